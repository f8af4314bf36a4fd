package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"outpost/internal/relay"
	"outpost/queue"
	"outpost/spool"
)

// brokenTries is how many connections in a row may break without a message
// getting through before the drain stops: a server that breaks every time does
// so again, and each try costs a handshake.
const brokenTries = 3

// look is how often the queue is looked at for mail that came in while the boxes
// are still being collected.
const look = 2 * time.Second

// drain sends everything that waits for the smarthost over one connection,
// small messages first so that one big one blocks nobody. When all is sent the
// connection ends; a message that comes in before the boxes are done goes along
// on a new one.
func (c *call) drain(ctx context.Context, pulled <-chan struct{}) error {
	d := &drain{call: c, tried: make(map[spool.ID]bool)}
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		if err := d.all(ctx); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-pulled:
			return d.all(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// all sends until nothing waits that was not tried in this call.
func (d *drain) all(ctx context.Context) error {
	for {
		m, ok := d.next()
		if !ok || d.call.over(ctx) {
			return nil
		}
		if err := d.open(ctx); err != nil {
			return err
		}
		if err := d.flow(ctx, m); err != nil && !errors.Is(err, relay.ErrLimit) {
			if d.call.over(ctx) {
				return err
			}
			d.call.problem("smarthost", err)
			if d.broken >= brokenTries {
				return fmt.Errorf("gave up after %d broken connections: %w", d.broken, err)
			}
		}
	}
}

// drain is the outgoing half of a call.
type drain struct {
	call   *call
	client *relay.Client
	mu     sync.Mutex // guards tried
	tried  map[spool.ID]bool
	broken int  // connections in a row that ended without a message sent
	unread bool // part of the queue could not be read, and this was told
}

// next picks a message that waits and was not tried in this call: those with the
// fewest attempts first, so that one on which the smarthost breaks the connection
// cannot stand in front of the others in every call; among them the smallest.
func (d *drain) next() (queue.Message, bool) {
	waiting, err := d.call.s.opt.Queue.Waiting(queue.Remote)
	if err != nil && !d.unread {
		d.unread = true // told once; what could be read goes all the same
		d.call.problem("queue", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting = slices.DeleteFunc(waiting, func(m queue.Message) bool { return d.tried[m.ID] })
	if len(waiting) == 0 {
		return queue.Message{}, false
	}
	return slices.MinFunc(waiting, func(a, b queue.Message) int {
		return cmp.Or(cmp.Compare(attempts(a), attempts(b)), cmp.Compare(a.Size, b.Size), a.Received.Compare(b.Received))
	}), true
}

// attempts is how often a message was tried for those who still wait for it.
func attempts(m queue.Message) (most int) {
	for _, r := range m.To {
		if r.Where == queue.Remote && r.State == queue.Waiting {
			most = max(most, r.Attempts)
		}
	}
	return most
}

// open connects to the smarthost unless there is a connection.
func (d *drain) open(ctx context.Context) error {
	if d.client != nil {
		return nil
	}
	host := d.call.s.opt.Smarthost
	conn, err := d.call.line().DialContext(ctx, "tcp", host.Address)
	if err != nil {
		return err
	}
	d.client, err = relay.Open(ctx, conn, host.Relay)
	return err
}

// flight is a message that was given to the smarthost's connection.
type flight struct {
	queue.Message
	body io.Closer
}

// flow sends first and whatever waits behind it over the connection, and ends it.
func (d *drain) flow(ctx context.Context, first queue.Message) error {
	var (
		mu     sync.Mutex
		given  = map[*relay.Message]flight{}
		waits  = &first
		sent   int
		client = d.client
	)
	d.client = nil
	err := client.Drain(ctx, func(ctx context.Context) *relay.Message {
		for !d.call.over(ctx) {
			if waits == nil {
				m, ok := d.next()
				if !ok {
					break
				}
				waits = &m
			}
			m := *waits
			waits = nil
			out, body := d.take(ctx, m)
			if out == nil {
				continue
			}
			mu.Lock()
			given[out] = flight{m, body}
			mu.Unlock()
			return out
		}
		return nil
	}, func(out *relay.Message, results []relay.Result) {
		mu.Lock()
		f := given[out]
		delete(given, out)
		mu.Unlock()
		_ = f.body.Close()
		sent += d.settle(ctx, f.Message, results)
	})
	if d.broken++; sent > 0 || err == nil {
		d.broken = 0
	}
	return err
}

// take marks a message as being sent and opens it; nil if it can't go, which is told.
func (d *drain) take(ctx context.Context, m queue.Message) (*relay.Message, io.Closer) {
	d.mu.Lock()
	d.tried[m.ID] = true
	d.mu.Unlock()
	to, err := d.mark(ctx, m.ID)
	if err == nil && len(to) == 0 {
		return nil, nil
	}
	var body io.ReadCloser
	if err == nil {
		if body, err = d.call.s.opt.Queue.Body(m.ID); err != nil {
			err = errors.Join(err, d.unreadable(ctx, m.ID, err))
		}
	}
	if err != nil {
		d.call.problem("message "+string(m.ID), err)
		return nil, nil
	}
	return &relay.Message{
		From: m.From, To: to, Size: m.Size, EightBit: m.EightBit, UTF8: m.UTF8,
		Open: func() (io.ReadCloser, error) { return body, nil },
	}, body
}

// mark notes that the waiting recipients of a message are being sent to, so
// that a crash from here on leaves them doubtful, and gives their addresses.
func (d *drain) mark(ctx context.Context, id spool.ID) (to []string, err error) {
	err = d.call.s.opt.Queue.Update(ctx, id, func(m *queue.Message) error {
		to = nil
		for i := range m.To {
			r := &m.To[i]
			if r.Where != queue.Remote || r.State != queue.Waiting {
				continue
			}
			r.State, r.At, r.Call = queue.Sending, time.Now(), d.call.row.ID
			r.Attempts++
			to = append(to, r.Addr)
		}
		return nil
	})
	return to, err
}

// settle stores the results of a transaction and tells them. It does so even
// when the call is over: what the server said must not be forgotten.
func (d *drain) settle(ctx context.Context, m queue.Message, results []relay.Result) (accepted int) {
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	left := results
	err := d.call.s.opt.Queue.Update(limited, m.ID, func(m *queue.Message) error {
		left = results
		for i := range m.To {
			if m.To[i].State == queue.Sending && len(left) > 0 && left[0].To == m.To[i].Addr {
				apply(&m.To[i], left[0])
				left = left[1:]
			}
		}
		return nil
	})
	if err != nil {
		d.call.problem("message "+string(m.ID), fmt.Errorf("its result could not be stored: %w", err))
	}
	for _, r := range results {
		if r.Err == nil {
			accepted++
		}
		if r.Untried {
			d.mu.Lock()
			d.tried[m.ID] = false
			d.mu.Unlock()
			continue
		}
		d.tell(m, r)
	}
	d.call.tellTwice(m, results)
	d.call.count(func(row *queue.Call) {
		if accepted > 0 {
			row.Sent++
			row.SentBytes += m.Size
		}
	})
	return accepted
}

// apply puts one result into a recipient's state.
func apply(to *queue.Recipient, r relay.Result) {
	to.Reply = r.Reply
	if r.Err == nil {
		to.State, to.Doubtful = queue.Sent, false
		return
	}
	to.State = queue.Failed
	if r.Untried {
		to.Attempts--
	}
	if temporary(r.Err) {
		to.State = queue.Waiting
		to.Doubtful = to.Doubtful || r.Doubtful
	}
}

func temporary(err error) bool {
	var e *relay.Error
	return !errors.As(err, &e) || e.Temporary
}

// tell makes an event of a result, and a line for the report of every result
// that a sender would ask about.
func (d *drain) tell(m queue.Message, r relay.Result) {
	e := Event{Kind: Sent, Message: string(m.ID), To: r.To, Bytes: m.Size}
	if r.Err != nil {
		e.Text = Explain(r.Err)
		e.Kind = Failed
		if temporary(r.Err) {
			e.Kind = Deferred
		}
		if r.Doubtful {
			e.Text += "; it may have been accepted all the same"
		}
		d.call.count(func(row *queue.Call) {
			if e.Kind == Failed {
				row.Failed++
			}
			row.Problems = append(row.Problems, fmt.Sprintf("to %s, %s: %s", r.To, e.Kind, e.Text))
		})
	}
	d.call.emit(e)
}

// tellTwice says which recipients may have a message twice: those in doubt from
// an earlier call who have now been sent it again.
func (c *call) tellTwice(before queue.Message, results []relay.Result) {
	for _, r := range results {
		doubtful := slices.ContainsFunc(before.To, func(to queue.Recipient) bool { return to.Addr == r.To && to.Doubtful })
		if r.Err == nil && doubtful {
			c.problem("to "+r.To, errors.New("the message may have arrived twice: an earlier call was cut between its content and the answer"))
		}
	}
}

// unreadable sets a message aside whose body is damaged: it would be tried in
// every call and never go. If only the reading failed, it waits for the next.
func (d *drain) unreadable(ctx context.Context, id spool.ID, why error) error {
	if errors.Is(why, queue.ErrCorrupt) {
		return d.call.s.opt.Queue.Quarantine(ctx, id, why.Error())
	}
	return d.call.s.opt.Queue.Update(ctx, id, func(m *queue.Message) error {
		for i := range m.To {
			if r := &m.To[i]; r.State == queue.Sending {
				r.State, r.Reply = queue.Waiting, why.Error()
			}
		}
		return nil
	})
}
