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
	return q.list(func(m *Message) bool { return m.Waits(w) })
}

// WaitingAfter is Waiting for n messages at most, those that came next after the message of that ID, "" for
// the oldest: who goes through a long queue in pieces holds none of it in memory but the last one. Less than
// n are the end.
func (q *Queue) WaitingAfter(w Where, after spool.ID, n int) ([]Message, error) {
	var (
		list   []Message
		faults []error
	)
	err := q.view(func(tx *bbolt.Tx) error {
		c := bucketMessages.in(tx).Cursor()
		id, row := c.Seek([]byte(after))
		if after != "" && string(id) == string(after) {
			id, row = c.Next()
		}
		for ; id != nil && len(list) < n; id, row = c.Next() {
			if m, err := decode(id, row); err != nil {
				faults = append(faults, err)
			} else if m.Waits(w) {
				list = append(list, m)
			}
		}
		return nil
	})
	return list, errors.Join(append(faults, err)...)
}

// Arrivals counts how often a message came to wait there, since Open: by Add, or
// because a change made it wait that didn't. While the count is what it was before
// Waiting was called, that list lacks nothing, and needn't be read again; what it
// holds may have gone meanwhile.
func (q *Queue) Arrivals(w Where) uint64 {
	if w == Local {
		return q.arrivals.local.Load()
	}
	return q.arrivals.remote.Load()
}

// ways says on which ways a message waits.
type ways struct{ local, remote bool }

// countArrivals counts where a message waits now, which is committed, and didn't
// before.
func (q *Queue) countArrivals(before, now ways) {
	if now.local && !before.local {
		q.arrivals.local.Add(1)
	}
	if now.remote && !before.remote {
		q.arrivals.remote.Add(1)
	}
}

// List lists all messages, oldest first. Errors are as with Waiting.
func (q *Queue) List() ([]Message, error) {
	return q.list(func(*Message) bool { return true })
}

func (q *Queue) list(wanted func(*Message) bool) ([]Message, error) {
	var list []Message
	err := q.Each(func(m Message) {
		if wanted(&m) {
			list = append(list, m)
		}
	})
	return list, err
}

// Each tells f all messages, oldest first, as they were at one moment, and holds none
// of them in memory. f must be quick and must not change the queue: a change may wait
// for the end of this reading. Errors are as with Waiting.
func (q *Queue) Each(f func(Message)) error {
	var faults []error
	err := q.view(func(tx *bbolt.Tx) error {
		return bucketMessages.in(tx).ForEach(func(id, row []byte) error {
			if m, err := decode(id, row); err != nil {
				faults = append(faults, err)
			} else {
				f(m)
			}
			return nil
		})
	})
	return errors.Join(append(faults, err)...)
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
	return q.BodyOf(m)
}

// BodyOf is Body for who has just got the message.
func (q *Queue) BodyOf(m Message) (io.ReadSeekCloser, error) {
	id := m.ID
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
