package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// Add takes a message in. When it returns nil the message is kept, whatever
// happens to the power or to this process. This is where the promise is made,
// and this is its order; each step begins only when the one before has succeeded:
//
//  1. create   spool/tmp/<id>, unless the disk is under its floor (ErrFull)
//  2. write    the body into it, to the reader's end
//  3. fsync    flush what is buffered, fsync the file, close it (checked)
//  4. rename   spool/tmp/<id> to spool/<id>
//  5. dirsync  fsync the folder, shared by all who have renamed by then
//  6. commit   one bolt transaction, shared by all who are waiting by then: the
//     row, and with it the fact that (Box, UIDL) was seen; bolt fsyncs the pages,
//     then the page that makes them count
//  7. only now return nil: the caller says 250, or sends DELE
//
// A stop before 4 leaves a file in tmp; between 4 and 6, a body without a row.
// Both are removed at the next Open, and nobody was told that they were kept. A
// stop after 6 leaves the whole message, told or not: a sender who did not hear
// the 250 sends it again (RFC 5321 §4.5.4.1 allows that), and a box that did not
// get the DELE offers the same UIDL again, which is known.
//
// ID and Size are set here, and Received when it is zero. A State of "" becomes
// Waiting. Errors: ErrSeen when (Box, UIDL) was there already, in the database
// and durable (the reader has been read to its end and the body removed);
// ErrRelay, ErrInvalid; spool.ErrFull; the reader's own, wrapped; ctx's, when it
// ended before step 6 began. After any error the message isn't kept, except when
// the commit itself failed: then it may be there, and is whole if it is.
//
// Of a collected message with Copies, those recipients are passed over who have a copy, here or by a rule outside. If
// that is all of them, it is ErrCopy: nothing is kept but the fact that the UIDL was seen, with the ID of the message they have, which
// is durable as with ErrSeen.
//
// AddWith does something else in step 6 too.
func (q *Queue) Add(ctx context.Context, m Message, body io.Reader) (Message, error) {
	return q.AddWith(ctx, m, body)
}

// AddWith is Add with what belongs into the same transaction.
func (q *Queue) AddWith(ctx context.Context, m Message, body io.Reader, also ...Also) (Message, error) {
	if _, err := q.admit(m); err != nil {
		return Message{}, fmt.Errorf("queue: add: %w", err)
	}
	s, err := q.Stage(ctx, body) // 1, 2
	if err != nil {
		return Message{}, err
	}
	defer s.Drop()
	return s.Add(ctx, m, also...) // 3 to 7
}

// Staged is a body that has come in and isn't kept yet: steps 1 and 2 are done.
// It ends in Add or Drop, and belongs to one goroutine at a time. For those who read
// the next message while this one goes to the disk.
type Staged struct {
	q *Queue
	w *spool.Writer
}

// Stage reads body to its end and writes it down; nothing is durable. Errors:
// spool.ErrFull; the reader's own, wrapped; ctx's.
func (q *Queue) Stage(ctx context.Context, body io.Reader) (*Staged, error) {
	w, err := q.spool.Create() // 1
	if err != nil {
		return nil, fmt.Errorf("queue: add: %w", err)
	}
	if _, err := io.Copy(w, &untilDone{ctx: ctx, r: body}); err != nil { // 2
		w.Abort()
		return nil, fmt.Errorf("queue: add: %w", err)
	}
	return &Staged{q: q, w: w}, nil
}

// Body reads what came in, from its beginning. It may be called before Add only, and
// what it returned must not be used after that.
func (s *Staged) Body() io.ReadSeeker { return s.w.Reader() }

// Size is the body's length in octets.
func (s *Staged) Size() int64 { return s.w.Size() }

// Drop gives the body up. After Add it does nothing.
func (s *Staged) Drop() { s.w.Abort() }

// Add keeps the body as the message m: steps 3 to 7, and the promise, of Queue.Add.
func (s *Staged) Add(ctx context.Context, m Message, also ...Also) (Message, error) {
	q := s.q
	m, err := q.admit(m)
	if err != nil {
		s.w.Abort()
		return Message{}, fmt.Errorf("queue: add: %w", err)
	}
	if err := s.w.Commit(); err != nil { // 3 to 5
		return Message{}, fmt.Errorf("queue: add: %w", err)
	}
	m.ID, m.Size = s.w.ID(), s.w.Size()
	copied := false
	insert := func(tx *bbolt.Tx) (write func() error, err error) {
		write, copied, err = q.insert(tx, &m)
		return write, err
	}
	err = q.change(ctx, "add", together(insert, also)) // 6
	if err == nil && copied {
		err = fmt.Errorf("queue: add: %w", ErrCopy)
	}
	if err != nil {
		q.unmake(m.ID)
		return Message{}, err
	}
	for _, a := range also {
		if a.after != nil {
			a.after(q)
		}
	}
	q.countArrivals(ways{}, m.ways())
	if q.opt.OnAdd != nil {
		q.opt.OnAdd(clone(m))
	}
	return m, nil // 7
}

// admit completes and checks what the caller gave, before anything is written.
func (q *Queue) admit(m Message) (Message, error) {
	m = clone(m)
	if m.Received.IsZero() {
		m.Received = q.opt.Now()
	}
	m.Received = m.Received.Round(0).UTC() // as it will come back from the row
	for i := range m.To {
		if m.To[i].State == "" {
			m.To[i].State = Waiting
		}
	}
	if err := m.check(); err != nil {
		return m, err
	}
	if m.done() {
		return m, fmt.Errorf("%w: nothing is left to do for any recipient", ErrInvalid)
	}
	if m.UIDL != "" {
		return m, checkSeenKey(m.Box, m.UIDL)
	}
	return m, nil
}

// insert decides step 6. copied says that everybody has a copy, so that only the UIDL is
// noted.
func (q *Queue) insert(tx *bbolt.Tx, m *Message) (write func() error, copied bool, err error) {
	if m.UIDL != "" && isSeen(tx, m.Box, m.UIDL) {
		return nil, false, ErrSeen
	}
	var writes []func() error
	seen := seenOf(m)
	if m.Copies != "" {
		remember, other, all, err := q.passCopies(tx, m)
		if err != nil {
			return nil, false, err
		}
		if copied = all; copied {
			seen.ID = other
		} else {
			writes = append(writes, remember)
		}
	}
	if !copied {
		put, err := store(tx, m)
		if err != nil {
			return nil, false, err
		}
		writes = append(writes, put)
	}
	if m.UIDL != "" {
		writes = append(writes, func() error {
			return errors.Join(bucketHolds.in(tx).Delete(holdKey(m.Box, m.UIDL)), markSeen(tx, m.Box, m.UIDL, seen))
		})
	}
	return func() error {
		for _, write := range writes {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	}, copied, nil
}

// unmake removes the body of a message that wasn't committed. A commit that
// failed may have reached the database all the same; then the row is there and
// needs its body. When that can't be found out the body stays, and the next
// Open's sweep decides.
func (q *Queue) unmake(id spool.ID) {
	err := q.view(func(tx *bbolt.Tx) error {
		_, err := load(tx, id)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		q.discard(id)
	}
}

// discard removes a body that no row names. What can't be removed is an orphan,
// and goes with the next Open.
func (q *Queue) discard(id spool.ID) {
	if err := q.spool.Remove(id); err != nil && !errors.Is(err, spool.ErrNotFound) {
		q.opt.Log.Warn("a body could not be removed; the next start sweeps it", "id", string(id), "error", err)
	}
}

// clone returns m with recipients of its own.
func clone(m Message) Message {
	m.To = slices.Clone(m.To)
	return m
}

// untilDone is a reader that ends with ctx: a client that trickles must not hold
// a shutdown.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
