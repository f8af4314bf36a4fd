package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"outpost/internal/relay"
	"outpost/queue"
	"outpost/spool"
)

const (
	// claimMost bounds how many messages are noted in one go as being sent.
	claimMost = 64
	// look is how often the queue is looked at for mail that came in meanwhile.
	look = 2 * time.Second
	// halving is how long a message waits to count as half its size, so that a big one doesn't wait for ever
	// behind small ones.
	halving = 24 * time.Hour
)

// outbox is what waits for the smarthost, in the order in which it goes: those with the fewest attempts first, so that
// one on which the smarthost breaks the connection cannot stand in front of the others in every call; among them the
// smallest, where each day of waiting halves a size. Its methods may be called from any goroutine.
type outbox struct {
	call *call

	mu      sync.Mutex
	listed  time.Time         // when the queue was read, or seen to have nothing new
	known   uint64            // its count of arrivals before it was read
	waiting []waiting         // not taken, in their order
	claimed []*outgoing       // noted as being sent, and not taken
	taken   map[spool.ID]bool // messages whose turn has come in this call
	unread  bool              // part of the queue could not be read, and this was told
}

// waiting is what the order needs of a message: there may be many thousands, and the rest is read when its turn comes.
type waiting struct {
	id       spool.ID
	size     int64
	received time.Time
	attempts int // the most of those who wait for it
}

// outgoing is a message on its way. Once relay has it, it belongs to relay's goroutines until it is done.
type outgoing struct {
	relay.Message
	row    queue.Message // as it was before
	failed error         // why the body could not be read
}

func newOutbox(c *call) *outbox { return &outbox{call: c, taken: make(map[spool.ID]bool)} }

// refresh reads the queue again if that was a while ago. mu is held.
func (o *outbox) refresh() {
	if time.Since(o.listed) < look {
		return
	}
	// A list of thousands takes a small processor a second to read.
	arrivals := o.call.s.opt.Queue.Arrivals(queue.Remote)
	fresh := o.listed.IsZero() || o.unread || arrivals != o.known
	o.listed, o.known = time.Now(), arrivals
	if !fresh {
		return
	}
	o.waiting = nil
	err := o.call.s.opt.Queue.Each(func(m queue.Message) {
		if m.Waits(queue.Remote) && !o.taken[m.ID] {
			o.waiting = append(o.waiting, waiting{m.ID, m.Size, m.Received, attempts(m)})
		}
	})
	if err != nil && !o.unread {
		o.unread = true // told once; what could be read goes all the same
		o.call.problem("queue", err)
	}
	now := time.Now()
	slices.SortFunc(o.waiting, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(a.attempts, b.attempts),
			cmp.Compare(a.weight(now), b.weight(now)), a.received.Compare(b.received))
	})
}

// weight is a message's size, less by half for each day that it has waited.
func (w waiting) weight(now time.Time) float64 {
	return math.Ldexp(float64(w.size), -min(int(now.Sub(w.received)/halving), 60))
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

// reread makes the next look one at the queue as it is then.
func (o *outbox) reread() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = time.Time{}
}

// any says whether something waits, as far as is known without a look at each moment.
func (o *outbox) any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refresh()
	return len(o.waiting)+len(o.claimed) > 0
}

// size is how many messages wait, and their octets on average.
func (o *outbox) size() (n int, average int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var sum int64
	for _, m := range o.waiting {
		sum += m.size
	}
	n = len(o.waiting)
	return n, sum / int64(max(n, 1))
}

// next gives the next message, noted as being sent; nil: nothing more waits.
func (o *outbox) next(ctx context.Context) *outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.claimed) == 0 {
		o.refresh()
		if len(o.waiting) == 0 || o.call.over(ctx) {
			return nil
		}
		o.claim(ctx)
	}
	out := o.claimed[0]
	o.claimed = o.claimed[1:]
	return out
}

// back makes a message the next one again.
func (o *outbox) back(out *outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claimed = slices.Insert(o.claimed, 0, out)
}

// only says that all that waits is of a kind.
func (o *outbox) only(kind func(waiting) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refresh()
	return len(o.claimed) == 0 && len(o.waiting) > 0 &&
		!slices.ContainsFunc(o.waiting, func(w waiting) bool { return !kind(w) })
}

// claim notes that some messages are being sent to their recipients, so that a crash from here on leaves those
// doubtful: as many as may be under way at once, side by side, because they then share a transaction. It doesn't end with
// the connection that asked, as the next one takes what was claimed. mu is held.
func (o *outbox) claim(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	room := max(o.call.drainWindow()/2, 1)
	var batch []waiting
	for len(o.waiting) > 0 && room > 0 && len(batch) < claimMost {
		m := o.waiting[0]
		o.waiting = o.waiting[1:]
		room -= m.size
		o.taken[m.id] = true
		batch = append(batch, m)
	}
	list := make([]*outgoing, len(batch))
	var all sync.WaitGroup
	for i, m := range batch {
		what := "message " + string(m.id)
		all.Go(func() {
			err := o.call.safely(what, func() error {
				row, to, err := o.mark(ctx, m.id)
				if err == nil && len(to) > 0 {
					list[i] = o.outgoing(row, to)
				}
				return err
			})
			if err != nil && !errors.Is(err, queue.ErrNotFound) && !o.call.over(ctx) { // a person may have removed it
				o.call.problem(what, fmt.Errorf("it can't be sent in this call: %w", err))
			}
		})
	}
	all.Wait()
	o.claimed = append(o.claimed, slices.DeleteFunc(list, func(out *outgoing) bool { return out == nil })...)
}

// mark sets the recipients of a message to being sent who wait and were not tried in this call, and gives them and the
// message as it was before. With an error nothing may be sent: nobody could say later what became of it.
func (o *outbox) mark(ctx context.Context, id spool.ID) (row queue.Message, to []queue.Recipient, err error) {
	err = o.call.s.opt.Queue.Update(ctx, id, func(m *queue.Message) error {
		row, to = *m, nil
		row.To = slices.Clone(m.To)
		for i := range m.To {
			r := &m.To[i]
			if r.Where != queue.Remote || r.State != queue.Waiting || r.Call == o.call.row.ID {
				continue
			}
			r.State, r.At, r.Call = queue.Sending, time.Now(), o.call.row.ID
			r.Attempts++
			to = append(to, *r)
		}
		return nil
	})
	return row, to, err
}

// outgoing is a message as it goes to the smarthost. What can't be read is found out when relay opens it.
func (o *outbox) outgoing(m queue.Message, to []queue.Recipient) *outgoing {
	look, unreadable := o.outward(m)
	out := &outgoing{row: m}
	out.Message = relay.Message{
		From: look.From, Size: m.Size + look.Grows, EightBit: m.EightBit, UTF8: m.UTF8, EnvID: m.EnvID, Return: m.Return,
	}
	for _, r := range to {
		out.To, out.Notify, out.Original = append(out.To, r.Addr), append(out.Notify, r.Notify), append(out.Original, r.Original)
	}
	out.Open = func() (io.ReadCloser, error) {
		if unreadable != nil {
			out.failed = unreadable
			return nil, unreadable
		}
		body, err := o.call.s.opt.Queue.Body(m.ID)
		if err != nil {
			out.failed = err
			return nil, err
		}
		return content{look.Content(body), body}, nil
	}
	return out
}

// content is a body as it looks outside.
type content struct {
	io.Reader
	io.Closer
}

// outward is how a message looks outside.
func (o *outbox) outward(m queue.Message) (Outward, error) {
	if o.call.s.opt.Outward == nil {
		return Outward{From: m.From, Content: func(r io.Reader) io.Reader { return r }}, nil
	}
	body, err := o.call.s.opt.Queue.Body(m.ID)
	if err != nil {
		return Outward{}, err
	}
	defer body.Close()
	return o.call.s.opt.Outward(m, body)
}

// again puts a message back that has recipients whose turn didn't come, for another connection of this call.
func (o *outbox) again(id spool.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.taken, id)
	o.listed = time.Time{} // it waits in the queue now
}

// release gives back what was claimed and never taken, side by side as the line waits for it.
func (o *outbox) release(ctx context.Context) {
	o.mu.Lock()
	left := o.claimed
	o.claimed = nil
	o.mu.Unlock()
	var all sync.WaitGroup
	for _, out := range left {
		results := make([]relay.Result, len(out.To))
		for i, to := range out.To {
			results[i] = relay.Result{To: to, Err: errors.New("its turn did not come"), Untried: true}
		}
		all.Go(func() {
			_ = o.call.safely("outbox", func() error { o.store(ctx, out, results); return nil })
		})
	}
	all.Wait()
}

// store writes down what became of a message's recipients. It does so even when the call is over: what the server said
// must not be forgotten.
func (o *outbox) store(ctx context.Context, out *outgoing, results []relay.Result) {
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	err := o.call.s.opt.Queue.Update(limited, out.row.ID, func(m *queue.Message) error {
		left := results // in the order of m.To, but for those whose state somebody else has changed meanwhile
		for i := range m.To {
			n := slices.IndexFunc(left, func(r relay.Result) bool { return r.To == m.To[i].Addr })
			if m.To[i].State == queue.Sending && n >= 0 {
				apply(&m.To[i], left[n])
				m.To[i].Tell = m.Origin == queue.Submitted && m.To[i].State == queue.Sent && m.To[i].Wants("SUCCESS") && !left[n].DSN
				left = left[n+1:]
			}
		}
		return nil
	})
	if err != nil {
		o.call.problem("message "+string(out.row.ID), fmt.Errorf("its result could not be stored: %w", err))
	}
}

// apply puts one result into a recipient's state.
func apply(to *queue.Recipient, r relay.Result) {
	switch {
	case r.Err == nil:
		to.State, to.Doubtful, to.Reply = queue.Sent, false, r.Reply
	case r.Untried:
		to.State, to.Call = queue.Waiting, 0
		to.Attempts--
	case temporary(r.Err):
		to.State, to.Reply = queue.Waiting, r.Reply
		to.Doubtful = to.Doubtful || r.Doubtful
	default:
		to.State, to.Reply = queue.Failed, r.Reply
	}
}

func temporary(err error) bool {
	var e *relay.Error
	return !errors.As(err, &e) || e.Temporary
}

// spoiled sets a message aside whose body is damaged: it would be tried in every call and never go.
func (o *outbox) spoiled(ctx context.Context, out *outgoing) {
	if !errors.Is(out.failed, queue.ErrCorrupt) {
		return
	}
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	if err := o.call.s.opt.Queue.Quarantine(limited, out.row.ID, out.failed.Error()); err != nil {
		o.call.problem("message "+string(out.row.ID), err)
	}
}
