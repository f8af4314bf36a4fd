package mailroom

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"outpost/queue"
	"outpost/spool"
)

const (
	// workers deliver at the same time, so that their transactions share one
	// fsync of the queue, and those who deliver into one folder its fsync. Most of the time they wait for the disk.
	workers = 256
	// page is how much of the queue is in memory at a time, however much waits.
	page = 256
	// idleRound is how often the queue is looked through when nothing failed and
	// nothing called: for a recipient whom a person set waiting again by hand.
	idleRound = 10 * time.Minute
)

// Run delivers everything that waits, then again at each wake and when something that
// failed is due, until ctx ends. One wake is enough for many messages, so wake is best
// a channel with room for one and a send that doesn't block. When Run returns,
// its goroutines have ended.
func (m *Mailroom) Run(ctx context.Context, wake <-chan struct{}) {
	defer func() {
		m.away.Wait()
		m.hangUp(context.WithoutCancel(ctx))
	}()
	for ctx.Err() == nil {
		began := time.Now()
		m.deliverWaiting(ctx)
		if !m.rest(ctx, began, wake) {
			wake = nil
		}
	}
}

// rest waits for the next round after the one that began then. false: wake is closed.
func (m *Mailroom) rest(ctx context.Context, began time.Time, wake <-chan struct{}) (open bool) {
	for {
		// One timer for the next try, not a sleeping goroutine for each message.
		timer := time.NewTimer(m.nextTry(began))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.back: // what failed at a server may be due sooner
			timer.Stop()
			continue
		case _, open := <-wake:
			timer.Stop()
			return open
		}
		timer.Stop()
		return true
	}
}

// queueKey stands for the queue in the table of delays.
const queueKey = "the queue"

// deliverWaiting goes once through what waits. Failures are logged where they happen and
// set their own time of the next try.
func (m *Mailroom) deliverWaiting(ctx context.Context) {
	ids := make(chan spool.ID)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(ids)
	busy := 0
	away := make(map[*server][]spool.ID)
	for last, more := spool.ID(""), true; more && ctx.Err() == nil; {
		waiting, ok := m.waitingAfter(last)
		if !ok {
			return
		}
		for ; busy < min(workers, len(waiting)); busy++ {
			wg.Go(func() {
				for id := range ids {
					m.try(ctx, id)
				}
			})
		}
		for _, msg := range waiting {
			last = msg.ID
			pending := m.pending(msg)
			s := m.serverOf(pending)
			switch {
			case ctx.Err() != nil || len(pending) == 0:
			case s != nil:
				away[s] = append(away[s], msg.ID)
			default:
				ids <- msg.ID
			}
		}
		more = len(waiting) == page
	}
	for s, list := range away {
		m.send(ctx, s, list)
	}
}

// waitingAfter is the next page of what waits; false: the queue can't be read.
func (m *Mailroom) waitingAfter(last spool.ID) ([]queue.Message, bool) {
	waiting, err := m.opt.Queue.WaitingAfter(queue.Local, last, page)
	switch {
	case err == nil:
		m.worked(queueKey)
	case errors.Is(err, queue.ErrCorrupt): // Rows that can't be read; the others are there.
		m.opt.Log.Warn("part of the mail waiting can't be read", "error", err)
	default:
		m.opt.Log.Error("mail waiting can't be listed", "error", err, "again_in", m.failed(queueKey))
		return nil, false
	}
	return waiting, true
}

// try is Deliver for Run. It is a stranger's message, and the program has other mail, and perhaps a line that is up: one on which Deliver falls
// over is tried again, later and later.
func (m *Mailroom) try(ctx context.Context, id spool.ID) {
	defer func() {
		if p := recover(); p != nil {
			m.suspicion(id, true)
			m.opt.Log.Error("mail not delivered", "id", string(id), "error", fmt.Errorf("panic: %v", p),
				"again_in", m.failed(messageKey(id)), "stack", string(debug.Stack()))
		}
	}()
	_ = m.Deliver(ctx, id) // The error is in the log and in the queue.
}

// nextTry is how long until the next round after the one that began then.
func (m *Mailroom) nextTry(began time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.backoff.next(began)
}

// acquire waits until nobody else delivers the message.
func (m *Mailroom) acquire(ctx context.Context, id spool.ID) (release func(), err error) {
	for {
		m.mu.Lock()
		other, busy := m.working[id]
		if !busy {
			mine := make(chan struct{})
			m.working[id] = mine
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.working, id)
				m.mu.Unlock()
				close(mine)
			}, nil
		}
		m.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// isSuspect tells whether an earlier try may have delivered the message.
func (m *Mailroom) isSuspect(id spool.ID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.suspect[id]
}

// suspicion keeps a failed message under suspicion: its failure may have come after
// the rename. The clock is not asked, as these machines often have none that is right.
func (m *Mailroom) suspicion(id spool.ID, on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if on {
		m.suspect[id] = true
		return
	}
	delete(m.suspect, id)
	m.backoff.worked(messageKey(id))
}

// failed notes a failure and returns the time until the next try.
func (m *Mailroom) failed(key string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.backoff.failed(key)
}

// worked forgets the failures.
func (m *Mailroom) worked(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backoff.worked(key)
}
