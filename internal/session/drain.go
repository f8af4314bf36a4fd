package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"outpost/internal/relay"
	"outpost/queue"
)

const (
	// brokenTries is how many connections in a row may break without a message
	// getting through before the drain stops: a server that breaks every time does
	// so again, and each try costs a handshake.
	brokenTries = 3
	// storing is how many results may be on their way to the disk: they share its transactions.
	storing = 128
	// mostDrains is how many connections send side by side, to a server that can't be sent to without waiting.
	mostDrains = 4
)

// drain sends everything that waits for the smarthost, in the outbox's order. When all is sent the
// connection ends; a message that comes in before the boxes are done goes along
// on a new one.
func (c *call) drain(ctx context.Context, pulled <-chan struct{}) error {
	box := newOutbox(c)
	defer box.release(ctx)
	again := time.NewTicker(look)
	defer again.Stop()
	for {
		if err := c.drainAll(ctx, box); err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-pulled:
			box.reread()
			return c.drainAll(ctx, box)
		case <-ctx.Done():
			return nil
		}
	}
}

// drainAll sends until nothing waits that was not tried in this call.
func (c *call) drainAll(ctx context.Context, box *outbox) error {
	broken := 0
	for box.any() && !c.over(ctx) {
		if c.tooBig(ctx, box) {
			continue
		}
		done, err := c.drainOnce(ctx, box)
		var refused *opening
		switch {
		case c.over(ctx):
			return err
		case errors.As(err, &refused):
			return refused.error
		case err == nil:
			broken = 0
			continue
		case errors.Is(err, relay.ErrLimit) && done.judged > 0:
			// Each recipient has one try in a call, so this comes to an end.
			broken = 0
			continue
		case done.sent > 0:
			broken = 0
		}
		c.problem("smarthost", err)
		if broken++; broken >= brokenTries {
			return fmt.Errorf("gave up after %d broken connections: %w", broken, err)
		}
	}
	return nil
}

// opening is a connection that did not come to its first message.
type opening struct{ error }

func (o *opening) Unwrap() error { return o.error }

// progress is how many messages a connection has moved.
type progress struct {
	judged int // of some recipient it is known what became of it
	sent   int // accepted for some recipient
}

// drainOnce sends on one connection until nothing waits or it ends, and on a few more beside it where that helps.
func (c *call) drainOnce(ctx context.Context, box *outbox) (done progress, err error) {
	first, err := c.smarthost(ctx)
	if err != nil {
		return progress{}, &opening{err}
	}
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		faults []error
	)
	work := func(client *relay.Client) {
		var moved progress
		err := c.safely("smarthost", func() (err error) {
			moved, err = c.drainOver(ctx, client, box)
			return err
		})
		mu.Lock()
		defer mu.Unlock()
		done.judged, done.sent = done.judged+moved.judged, done.sent+moved.sent
		faults = append(faults, err)
	}
	more := c.moreDrains(first, box)
	all.Go(func() { work(first) })
	for range more {
		all.Go(func() {
			if client, err := c.smarthost(ctx); err == nil { // else one is enough
				work(client)
			}
		})
	}
	all.Wait()
	return done, errors.Join(faults...)
}

// smarthost opens a connection to the smarthost, on what is known of it; if it doesn't like that, another one without.
func (c *call) smarthost(ctx context.Context) (*relay.Client, error) {
	host := c.s.opt.Smarthost
	server := c.memory.smarthost(host.Address)
	opt := host.Relay
	opt.Window = c.drainWindow()
	if opt.TLSConfig != nil {
		opt.TLSConfig = c.memory.jar.Config(opt.TLSConfig, host.Address)
	}
	if !server.Known.At.IsZero() {
		opt.Known = &server.Known
		if time.Since(server.TooEarly) < limitHolds {
			opt.Known.Lines, opt.Known.Clear = nil, nil
		}
	}
	client, err := c.openSmarthost(ctx, opt)
	if !errors.Is(err, relay.ErrEarly) || c.over(ctx) {
		return client, err
	}
	c.s.log.Info("the smarthost may want to speak first: once more, without haste", "err", err)
	opt.Known = nil
	client, err = c.openSmarthost(ctx, opt)
	if err == nil { // else it may have been something else
		c.memory.learnSmarthost(host.Address, func(s *smtpServer) { *s = smtpServer{TooEarly: time.Now()} })
	}
	return client, err
}

// drainWindow is how much may be under way to the smarthost: as configured, or by the line.
func (c *call) drainWindow() int64 {
	if w := c.s.opt.Smarthost.Relay.Window; w > 0 {
		return w
	}
	return c.gauge.drainWindow()
}

func (c *call) openSmarthost(ctx context.Context, opt relay.Options) (*relay.Client, error) {
	conn, err := c.dial(ctx, c.s.opt.Smarthost.Address)
	if err != nil {
		return nil, err
	}
	return relay.Open(ctx, conn, opt)
}

// moreDrains is how many connections more than one help. A server that takes messages without a wait between them
// fills the line by one; where each message costs a round trip, several take turns in waiting.
func (c *call) moreDrains(client *relay.Client, box *outbox) int {
	known := client.Known()
	line := c.gauge.facts()
	n, average := box.size()
	if known.Chunking() || line.Up == 0 || line.RTT == 0 || average == 0 {
		return 0
	}
	waits := line.RTT.Seconds() * line.Up / float64(average) // messages that would fit into the wait for one
	return min(int(waits), mostDrains-1, n/2)
}

// drainOver sends over one connection and stores what became of each message.
func (c *call) drainOver(ctx context.Context, client *relay.Client, box *outbox) (moved progress, err error) {
	under := make(map[*relay.Message]*outgoing) // what relay has
	var mu sync.Mutex
	var stores sync.WaitGroup
	slots := make(chan struct{}, storing)
	next := func(wanted context.Context) (m *relay.Message) {
		_ = c.safely("outbox", func() error {
			if wanted.Err() != nil {
				return nil
			}
			out := box.next(ctx) // what is claimed is for all connections: the end of this one mustn't stop it
			if out == nil {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			under[&out.Message], m = out, &out.Message
			return nil
		})
		return m
	}
	done := func(m *relay.Message, results []relay.Result) {
		mu.Lock()
		out := under[m]
		delete(under, m)
		mu.Unlock()
		if slices.ContainsFunc(results, func(r relay.Result) bool { return !r.Untried }) {
			moved.judged++
		}
		if slices.ContainsFunc(results, func(r relay.Result) bool { return r.Err == nil }) {
			moved.sent++
		}
		slots <- struct{}{}
		stores.Go(func() {
			defer func() { <-slots }()
			_ = c.safely("message "+string(out.row.ID), func() error { c.settle(ctx, box, out, results); return nil })
		})
	}
	err = client.Drain(ctx, next, done)
	stores.Wait()
	c.memory.learnSmarthost(c.s.opt.Smarthost.Address, func(s *smtpServer) { s.Known = client.Known() })
	return moved, err
}

// settle stores the results of a message and tells them.
func (c *call) settle(ctx context.Context, box *outbox, out *outgoing, results []relay.Result) {
	box.store(ctx, out, results)
	if out.failed != nil {
		c.problem("message "+string(out.row.ID), out.failed)
		box.spoiled(ctx, out)
		return
	}
	accepted := 0
	var again bool
	for _, r := range results {
		switch {
		case r.Untried:
			again = true
			continue
		case r.Err == nil:
			accepted++
		}
		c.tell(out.row, r)
	}
	if again {
		box.again(out.row.ID)
	}
	c.tellTwice(out.row, results)
	c.count(func(row *queue.Call) {
		if accepted > 0 {
			row.Sent++
			row.SentBytes += out.row.Size
		}
	})
}

// tooBig refuses what the smarthost is known not to take, without a connection for it. While something else waits
// there is a connection anyway, on which the server says what its limit is today. It says whether it did.
func (c *call) tooBig(ctx context.Context, box *outbox) bool {
	limit := c.memory.smarthost(c.s.opt.Smarthost.Address).largest()
	if limit == 0 || !box.only(func(w waiting) bool { return w.size > limit }) {
		return false
	}
	for {
		out := box.next(ctx)
		if out == nil {
			return true
		}
		if out.row.Size <= limit { // it has come in meanwhile
			box.back(out)
			return false
		}
		e := relay.TooLarge(out.row.Size, limit)
		results := make([]relay.Result, len(out.To))
		for i, to := range out.To {
			results[i] = relay.Result{To: to, Err: e, Reply: e.Words()}
		}
		c.settle(ctx, box, out, results)
	}
}

// limitHolds is how long a server's limit, or that it won't be spoken to early, is believed without a look.
const limitHolds = 7 * 24 * time.Hour

// tell makes an event of a result, and a line for the report of every result
// that a sender would ask about.
func (c *call) tell(m queue.Message, r relay.Result) {
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
		c.count(func(row *queue.Call) {
			if e.Kind == Failed {
				row.Failed++
			}
			row.Problems = append(row.Problems, fmt.Sprintf("to %s, %s: %s", r.To, e.Kind, e.Text))
		})
	}
	c.emit(e)
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
