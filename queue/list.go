package queue

import (
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// Waiting lists the messages with at least one Waiting recipient there, oldest
// first. Rows that can't be read are joined into the error, which wraps
// ErrCorrupt; the messages that can be read are returned with it.
func (q *Queue) Waiting(w Where) ([]Message, error) {
	return q.list(func(m *Message) bool { return m.waiting(w) })
}

// List lists all messages, oldest first. Errors are as with Waiting.
func (q *Queue) List() ([]Message, error) {
	return q.list(func(*Message) bool { return true })
}

func (q *Queue) list(wanted func(*Message) bool) ([]Message, error) {
	var list []Message
	var faults []error
	err := q.view(func(tx *bbolt.Tx) error {
		return bucketMessages.in(tx).ForEach(func(id, row []byte) error {
			m, err := decode(id, row)
			switch {
			case err != nil:
				faults = append(faults, err)
			case wanted(&m):
				list = append(list, m)
			}
			return nil
		})
	})
	return list, errors.Join(append(faults, err)...)
}

// Get returns one message. ErrNotFound when there is none.
func (q *Queue) Get(id spool.ID) (Message, error) {
	var m Message
	err := q.view(func(tx *bbolt.Tx) (err error) {
		m, err = load(tx, id)
		return err
	})
	if err != nil {
		return Message{}, fmt.Errorf("queue: %w", err)
	}
	return m, nil
}

// Body opens the content of a message; the caller closes it. A body that is
// missing, or has another length than the row says, is an error that wraps
// ErrCorrupt: the caller reports it and may call Quarantine. ErrNotFound when
// there is no such message.
func (q *Queue) Body(id spool.ID) (io.ReadSeekCloser, error) {
	m, err := q.Get(id)
	if err != nil {
		return nil, err
	}
	body, err := q.spool.Open(id)
	if errors.Is(err, spool.ErrNotFound) {
		// A message goes row first, then body: only a row that is still there
		// misses anything.
		if _, err := q.Get(id); err != nil {
			return nil, err
		}
		return nil, missing(id)
	}
	if err != nil {
		return nil, fmt.Errorf("queue: body of %s: %w", id, err)
	}
	if err := checkLength(body, &m); err != nil {
		_ = body.Close()
		return nil, err
	}
	return body, nil
}

func checkLength(body io.Seeker, m *Message) error {
	n, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("queue: body of %s: %w", m.ID, err)
	}
	if n != m.Size {
		return wrongLength(m, n)
	}
	return nil
}

func missing(id spool.ID) error {
	return fmt.Errorf("queue: body of %s is %w: the file is missing", id, ErrCorrupt)
}

func wrongLength(m *Message, n int64) error {
	return fmt.Errorf("queue: body of %s is %w: it has %d octets instead of %d", m.ID, ErrCorrupt, n, m.Size)
}
