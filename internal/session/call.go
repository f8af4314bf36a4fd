package session

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"outpost/internal/pop3"
	"outpost/queue"
	"outpost/spool"
)

const (
	// hangupTries is how often a call tries to bring its line down before it
	// gives that to its owner with an OpenLineError.
	hangupTries = 3
	// hangupLimit bounds one try. A dialled line bounds its own at 60 s: an Up
	// that has to end first, PPP's last words over a satellite, DTR, guard times
	// and ATH twice, a driver that does not let go.
	hangupLimit = 75 * time.Second
	// windDown is how long the work may take to end when it has to: its
	// connections are closed at once, and what is left is a commit or two.
	windDown = 15 * time.Second
	// saveLimit bounds what is written down after a call, when its own context
	// may be over.
	saveLimit = 30 * time.Second
)

// call is one call under way. Its row is touched by several goroutines, under
// mu; the phases only by the goroutine that runs it.
type call struct {
	s      *Session
	route  Route
	memory *memory
	gauge  *gauge
	window *pop3.Window      // what may be asked for of all boxes
	saving chan struct{}     // a place for each message on its way to the disk
	unread map[spool.ID]bool // messages that stay in boxes with KeepUnread; nil: all

	upErr   error // why no carrier or no PPP
	cutErr  error // why a call that was up ended before its work did
	downErr error // why on-hook is not confirmed

	mu      sync.Mutex
	row     queue.Call
	phase   string
	phaseAt mark
	ended   time.Time
}

// begin writes the call down before the modem is touched, so that a crash
// leaves a row that says a line may be open. before says what became of the
// lines that were tried first: who reads this row need not look for theirs.
func (s *Session) begin(ctx context.Context, route Route, reason string, before []string) (*call, error) {
	c := s.newCall(route)
	row, err := s.opt.Queue.BeginCall(ctx, queue.Call{
		Line: route.Line.Name(), Number: route.Line.Number(), Reason: reason,
		Begun: time.Now(), Currency: route.Tariff.Currency, Problems: slices.Clone(before),
	})
	if err != nil {
		return c, fmt.Errorf("no call without a row in the ledger: %w", err)
	}
	c.row = row
	return c, nil
}

func (s *Session) newCall(route Route) *call {
	c := &call{s: s, route: route, memory: s.recollect(), saving: make(chan struct{}, saving)}
	c.gauge = newGauge(route.Rate, route.RTT, recall[lineFacts](c.memory, keyLine+route.Line.Name()))
	if _, own := route.Line.(packetLine); own {
		c.gauge.queue = ownQueueTime
	}
	c.window = pop3.NewWindow(c.gauge.pullWindow())
	return c
}

func (c *call) line() Line { return c.route.Line }

// dial opens a connection through the line, and learns its round trip by it.
func (c *call) dial(ctx context.Context, address string) (net.Conn, error) {
	begun := time.Now()
	conn, err := c.line().DialContext(ctx, "tcp", address)
	if err == nil {
		c.gauge.connected(time.Since(begun))
	}
	return conn, err
}

// run is the call. It returns when the line is down or cannot be brought down.
func (c *call) run(ctx context.Context) queue.Call {
	c.lookForUnread()
	working, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	guarded := make(chan struct{})
	go func() { //nolint:contextcheck // the watchdog must outlive every context of the call
		defer close(guarded)
		_ = c.safely("watchdog", func() error { c.watch(done, cancel); return nil })
	}()
	worked := make(chan error, 1)
	go func() { worked <- c.safely("call", func() error { return c.work(working, cancel) }) }()
	c.await(working, worked)
	cancel(nil)
	c.hangUp(ctx)
	close(done)
	<-guarded
	return c.finish(ctx)
}

// await waits for the work to end. Once it has been told to, it gets a moment to
// note what was done; then the line comes down without it, because nothing may
// keep a line that costs money.
func (c *call) await(working context.Context, worked <-chan error) {
	select {
	case c.upErr = <-worked:
		return
	case <-working.Done():
	}
	grace := time.NewTimer(windDown)
	defer grace.Stop()
	select {
	case c.upErr = <-worked:
	case <-grace.C:
		c.s.log.Error("work does not end; hanging up without it", "call", c.row.ID, "line", c.row.Line)
		if c.line().Connected().IsZero() {
			c.upErr = context.Cause(working)
		}
		c.setCut(context.Cause(working))
	}
}

// work brings the line up and uses it. Its error is why the line did not come
// up; what happens on a line that is up are problems.
func (c *call) work(ctx context.Context, cancel context.CancelCauseFunc) error {
	onPhase := func(name string) {
		c.beginPhase(name)
		if name == Linking {
			c.answered(ctx)
		}
	}
	if err := c.line().Up(ctx, onPhase); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.problem("no connection", err)
		return err
	}
	c.beginPhase(Exchanging)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-c.line().Lost():
			cancel(ErrLost)
		case <-stop:
		}
	}()
	go func() { _ = c.safely("progress", func() error { c.tick(stop); return nil }) }()
	c.exchange(ctx)
	c.setCut(c.cause(ctx))
	return nil
}

// cause is why the work had to stop before it was done; nil if it was done. It
// asks the line itself, which may know before the context does.
func (c *call) cause(ctx context.Context) error {
	if err := c.line().Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return context.Cause(ctx)
}

// setCut notes why the call ended early, once.
func (c *call) setCut(err error) {
	if err == nil {
		return
	}
	c.mu.Lock()
	first := c.cutErr == nil
	if first {
		c.cutErr = err
	}
	c.mu.Unlock()
	if first {
		c.problem("the call ended early", err)
	}
}

// exchange drains and pulls at the same time, so that both directions of the
// line are full.
func (c *call) exchange(ctx context.Context) {
	var drain, pulls sync.WaitGroup
	job := func(group *sync.WaitGroup, what string, f func() error) {
		group.Go(func() {
			// A line that is gone has one cause; it is told once, not per job.
			if err := c.safely(what, f); err != nil && !c.over(ctx) {
				c.problem(what, err)
			}
		})
	}
	pulled := make(chan struct{})
	if c.s.opt.Smarthost != nil {
		job(&drain, "smarthost "+c.s.opt.Smarthost.Address, func() error { return c.drain(ctx, pulled) })
	}
	atOnce := c.route.BoxesAtOnce
	if atOnce == 0 {
		atOnce = c.gauge.boxesAtOnce()
	}
	c.window.Gather(min(atOnce, len(c.s.opt.Boxes)), c.gauge.facts().RTT+c.gauge.queue)
	places := newPlaces(atOnce, c.memory)
	for _, box := range c.s.opt.Boxes {
		job(&pulls, "box "+box.Name, func() error { return c.pull(ctx, places, box) })
	}
	for _, j := range c.s.opt.Jobs {
		job(&pulls, j.Name, func() error { return j.Do(ctx) })
	}
	pulls.Wait()
	close(pulled)
	drain.Wait()
}

// over says that the work has to stop: the line is gone, or the call is to end.
func (c *call) over(ctx context.Context) bool {
	select {
	case <-c.line().Lost():
		return true
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

func (c *call) safely(what string, f func() error) error {
	return Safely(c.s.log.With("call", c.row.ID), what, f)
}

// answered stores that the meter runs, for the row that a crash would leave.
func (c *call) answered(ctx context.Context) {
	c.mu.Lock()
	c.row.Connected, c.row.Number = c.line().Connected(), c.line().Number()
	row := c.row
	c.mu.Unlock()
	if err := c.s.opt.Queue.SaveCall(ctx, row); err != nil {
		c.problem("ledger", err)
	}
}

// tick tells the progress once a second: a person who watches a meter wants to
// see it move, and more often helps nobody.
func (c *call) tick(stop <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			up, down := c.line().Counters()
			c.gauge.second(up, down)
			c.window.SetLimit(c.gauge.pullWindow())
			c.emit(Event{Kind: Progress})
		case <-stop:
			return
		}
	}
}

// hangUp brings the line down and says so loudly when it can't.
func (c *call) hangUp(ctx context.Context) {
	c.beginPhase(HangingUp)
	for try := range hangupTries {
		c.downErr = c.safely("hang-up", func() error {
			limited, stop := context.WithTimeout(context.WithoutCancel(ctx), hangupLimit)
			defer stop()
			return c.line().Down(limited)
		})
		if c.downErr == nil {
			break
		}
		c.emit(Event{Kind: Alarm, Text: fmt.Sprintf("hang-up not confirmed (try %d of %d): %v", try+1, hangupTries, c.downErr)})
	}
	c.stopMeter()
	c.endPhase()
}

// finish completes the row and stores it.
func (c *call) finish(ctx context.Context) queue.Call {
	up, down := c.line().Counters()
	metered := c.metered()
	price := c.price()
	charge := price.Charge(metered)
	c.mu.Lock()
	c.row.Connected, c.row.Number = c.line().Connected(), c.line().Number()
	if c.downErr == nil {
		c.row.Ended = c.ended // else it has not ended: CloseInterrupted does that
	}
	c.row.Metered, c.row.Units = metered, charge.Units
	c.row.Cost = price.Text(charge.Amount)
	c.row.Up, c.row.Down = up, down
	c.row.Traffic = trafficOf(c.line())
	c.row.Handshakes, c.row.Resumed = c.memory.jar.Handshakes()
	c.row.OnHook = c.downErr == nil
	c.row.Transcript = c.line().Transcript()
	switch {
	case c.downErr != nil:
		c.row.Error = (&OpenLineError{Line: c.row.Line, Err: c.downErr}).Error()
	case c.upErr != nil:
		c.row.Error = c.upErr.Error()
	case c.cutErr != nil:
		c.row.Error = (&CutError{Line: c.row.Line, Err: c.cutErr}).Error()
	}
	row := c.row
	c.mu.Unlock()
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	if err := c.s.opt.Queue.SaveCall(limited, row); err != nil {
		c.problem("ledger", err)
	}
	if !row.Connected.IsZero() {
		facts := c.gauge.lesson()
		c.memory.learnLine(row.Line, facts)
		if row.Error == "" {
			c.memory.learnCall(row, facts)
		}
	}
	c.memory.keep(limited)
	c.emit(Event{Kind: Ended, Text: summary(row)})
	return row
}

// trafficOf is what a line's octets were of use for; nil where that can't be seen.
func trafficOf(l Line) *queue.Traffic {
	p, ok := l.(packetLine)
	if !ok {
		return nil
	}
	up, down, ok := p.Packets()
	if !ok {
		return nil
	}
	return &queue.Traffic{
		UpIP: up[0], UpPayload: up[1], UpResent: up[2], DownIP: down[0], DownPayload: down[1], DownResent: down[2],
	}
}

func summary(row queue.Call) string {
	if row.Connected.IsZero() {
		return "not connected: " + row.Error
	}
	s := fmt.Sprintf("%d sent, %d collected, %s on the line, %s", row.Sent, row.Collected, row.Metered.Round(time.Second),
		strings.TrimSpace(row.Cost+" "+row.Currency))
	switch n := len(row.Problems); n {
	case 0:
	case 1:
		s += ", 1 problem"
	default:
		s += fmt.Sprintf(", %d problems", n)
	}
	return s
}

// problem notes a line for a person: what, why, and what to do about it.
func (c *call) problem(what string, err error) {
	text := what + ": " + Explain(err)
	c.mu.Lock()
	c.row.Problems = append(c.row.Problems, text)
	c.mu.Unlock()
	c.emit(Event{Kind: Problem, Text: text})
}

func (c *call) count(f func(row *queue.Call)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.row)
}
