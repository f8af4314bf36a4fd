package queue

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// Update changes a message in one transaction. change gets the message as it is
// then and alters it in place; an error from it is returned, wrapped, and nothing
// is changed. It runs on the goroutine that serves everyone: it must be quick and
// must not call the queue. What can't change is put back: ID, Size, Origin, Box,
// UIDL, Received.
//
// When every recipient is Sent or Returned the message is done: its row goes with the same
// transaction, and then its body. A stop between the two leaves a body without a
// row, which the next Open sweeps; the other order could leave a row without a
// body. Errors: ErrNotFound, ErrRelay, ErrInvalid, spool.ErrFull, and ctx's when
// it ended before the transaction began.
func (q *Queue) Update(ctx context.Context, id spool.ID, change func(*Message) error) error {
	u := &update{id: id, change: change}
	err := q.change(ctx, "update", u.decide)
	if err == nil {
		u.committed(q)
	}
	return err
}

// update is one change of a message.
type update struct {
	id          spool.ID
	change      func(*Message) error
	changed     Message
	gone        bool // nothing is left to do, so the row goes
	before, now ways
}

func (u *update) decide(tx *bbolt.Tx) (func() error, error) {
	m, err := load(tx, u.id)
	if err != nil {
		return nil, err
	}
	u.before = m.ways()
	if err := alter(&m, u.change); err != nil {
		return nil, err
	}
	u.now, u.changed = m.ways(), m
	if u.gone = m.done(); u.gone {
		return func() error { return bucketMessages.in(tx).Delete([]byte(u.id)) }, nil
	}
	return store(tx, &m)
}

// committed is what follows.
func (u *update) committed(q *Queue) {
	q.countArrivals(u.before, u.now)
	switch {
	case u.gone:
		q.discard(u.id)
	case q.opt.OnUpdate != nil:
		q.opt.OnUpdate(clone(u.changed))
	}
}

func alter(m *Message, change func(*Message) error) error {
	before := *m
	if err := change(m); err != nil {
		return err
	}
	m.ID, m.Size, m.Origin = before.ID, before.Size, before.Origin
	m.Box, m.UIDL, m.Received = before.Box, before.UIDL, before.Received
	return m.check()
}

// Remove drops a message by a person's decision, whatever its recipients'
// states: the row, then the body. ErrNotFound when there is none. What its UIDL
// says stays: a message that was collected and dropped isn't collected again. A
// message whose row can't be read can be dropped too.
func (q *Queue) Remove(ctx context.Context, id spool.ID) error {
	err := q.change(ctx, "remove", func(tx *bbolt.Tx) (func() error, error) {
		messages := bucketMessages.in(tx)
		if messages.Get([]byte(id)) == nil {
			return nil, fmt.Errorf("message %.40s: %w", id, ErrNotFound)
		}
		return func() error { return messages.Delete([]byte(id)) }, nil
	})
	if err == nil {
		q.discard(id)
	}
	return err
}

// Quarantine sets a damaged message aside: recipients that are Waiting or
// Sending become Held with reason as their Reply, so that nobody tries it again
// and everybody sees it in List; then the body, if there is one, moves to
// spool/corrupt. Body keeps returning ErrCorrupt. The message ends with Remove.
func (q *Queue) Quarantine(ctx context.Context, id spool.ID, reason string) error {
	err := q.Update(ctx, id, func(m *Message) error {
		hold(m, reason)
		return nil
	})
	if err != nil {
		return err
	}
	if err := q.spool.Quarantine(id); err != nil && !errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("queue: quarantine: %w", err)
	}
	q.opt.Log.Error("message set aside", "id", string(id), "reason", reason)
	return nil
}

// hold takes the recipients that would be tried again out of the way.
func hold(m *Message, reason string) (changed bool) {
	for i := range m.To {
		if r := &m.To[i]; r.State == Waiting || r.State == Sending {
			r.Doubtful = r.Doubtful || r.State == Sending
			r.State, r.Reply = Held, reason
			changed = true
		}
	}
	return changed
}
