package link

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"outpost/modem"
)

const (
	// DownLimit is the longest that Down takes: what its parts may take together.
	// What isn't done by then is reported as a hang-up that wasn't confirmed.
	DownLimit = riseLimit + stackLimit + goodbyeLimit + goodbyeSlack + hangUpLimit + closeLimit

	// riseLimit is for an Up in progress to notice: a dial that is stopped puts
	// the modem on-hook itself, which package modem bounds by 20 s.
	riseLimit = 22 * time.Second
	// linkedLimit is the same once the modem is in the data phase: then an Up that
	// is stopped has nothing to wait for, and one that doesn't end keeps nothing
	// from being hung up.
	linkedLimit = 500 * time.Millisecond
	// stackLimit is for the TCP/IP stack to end, which is a matter of memory alone.
	stackLimit = time.Second
	// goodbyeLimit bounds PPP's goodbye on the slowest lines. With the second in
	// which a modem's carrier has gone once DTR was dropped, a line is seen down 3 s
	// after the last octet of use; a satellite's answer (1.8 s) still comes in time.
	goodbyeLimit = 2 * time.Second
	// goodbyeSlack is for PPP to notice that its time is over.
	goodbyeSlack = 200 * time.Millisecond
	// hangUpLimit is for the hang-up: DTR (2 s), two escapes with guard times and
	// answers (2 × 9 s), and margin for a slow profile.
	hangUpLimit = 28 * time.Second
	// closeLimit is for the port: package modem waits 2 s twice for a driver
	// whose flow control is stuck.
	closeLimit = 6 * time.Second
)

// Down takes the line down: connections end at once, PPP says goodbye (one
// round trip, 2 s at most, and only while the far end is there), the modem hangs
// up and the port is closed. None of them can hold up the next: what doesn't end in
// its time is left behind. Nil means that the modem was seen on-hook, or that no
// port was opened since the last time. Anything else wraps a *modem.HangupError;
// call Down again then: it opens the port anew, which may be another by now, when
// the modem was pulled out and put back.
//
// It may be called at any time, also while Up runs, which then returns
// ErrClosed; and from several goroutines, which all get the same answer. When
// ctx ends first, Down returns a *modem.HangupError that wraps the cause, but
// the hang-up goes on: ask again. It takes DownLimit at most.
func (l *ModemLine) Down(ctx context.Context) error {
	c := l.current()
	if c == nil {
		return nil
	}
	c.stop()
	polite := ctx.Err() == nil
	d := c.descents.join(func() error { return c.takeDown(polite) }) //nolint:contextcheck // it goes on when ctx ends
	limit := time.NewTimer(DownLimit)
	defer limit.Stop()
	var cause error
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-limit.C:
		cause = fmt.Errorf("not done after %v", DownLimit)
	}
	return &modem.HangupError{Carrier: "unknown", Err: cause, Hint: hintStuck}
}

const (
	hintStuck = "the call may still be running and cost money; the hang-up is still being tried"
	hintOpen  = "the call may still be running and cost money: plug the modem in again, or switch it off"
)

// Reset is for the start after a crash, and for a line that Down could not
// confirm: it opens the port, looks whether the modem is on-hook, hangs up if not
// or if it doesn't say, and closes the port. Nil means that it was seen on-hook.
// On a line that is up or coming up it does nothing and returns an error.
func (l *ModemLine) Reset(ctx context.Context) error {
	if c := l.current(); c != nil && c.ended() && !c.descents.succeeded() {
		return l.Down(ctx) // which opens the port anew
	}
	c, err := l.begin(ctx)
	if err != nil {
		return err
	}
	err = c.open()
	close(c.risen)
	if err != nil {
		return fmt.Errorf("line %s: %w", l.cfg.Name, errors.Join(err, l.Down(ctx)))
	}
	// A modem that doesn't answer may be in the middle of a call. On-hook or
	// not, Down sees to it, and asks nothing twice.
	if on, err := c.modem.OnHook(ctx); err != nil || !on {
		l.cfg.Log.Warn("link: modem not on-hook at the start", "line", l.cfg.Name, "error", err)
	}
	return l.Down(ctx)
}

// takeDown does the work, with its own limits: a hang-up isn't cut short.
func (c *call) takeDown(polite bool) error {
	c.awaitRise()
	c.mu.Lock()
	s, p := c.stack, c.carrier()
	c.mu.Unlock()
	if s != nil {
		c.within(stackLimit, "TCP/IP", func() { _ = s.Close() })
	}
	if p != nil {
		wait := c.goodbye(polite)
		c.within(wait+goodbyeSlack, "PPP", func() {
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			defer cancel()
			if err := p.Close(ctx); err != nil {
				c.cfg.Log.Debug("link: no goodbye from the far end", "line", c.cfg.Name, "error", err)
			}
		})
		c.step("link ended")
	}
	err := c.hangUp()
	c.within(saveLimit, "memory", c.remember) // the line is paid for no longer
	return err
}

// awaitRise waits for an Up in progress, which has been told to end. If the port's
// opening hangs, or what came after, the modem can be hung up all the same.
func (c *call) awaitRise() {
	c.mu.Lock()
	limit := riseLimit
	if c.ppp != nil {
		limit = linkedLimit
	}
	c.mu.Unlock()
	rise := time.NewTimer(limit)
	defer rise.Stop()
	select {
	case <-c.risen:
	case <-rise.C:
		c.cfg.Log.Error("link: Up doesn't end", "line", c.cfg.Name)
	}
}

// within ends a part of the call and lets it take limit at most. Whether it is
// stuck or falls over, the line comes down.
func (c *call) within(limit time.Duration, what string, end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				c.cfg.Log.Error("link: panic; hanging up all the same", "in", what, "line", c.cfg.Name,
					"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			}
		}()
		end()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		c.cfg.Log.Error("link: a part of the call doesn't end; hanging up without it", "part", what, "line", c.cfg.Name)
	}
}

// hangUp ends the call on the modem and closes the port, confirmed or not: if
// the port is at fault, only a new one helps.
func (c *call) hangUp() error {
	m, err := c.handset()
	if m == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangUpLimit)
	defer cancel()
	if err = m.Hangup(ctx); err != nil {
		err = fmt.Errorf("line %s: %w", c.cfg.Name, err)
		c.step("hang-up not confirmed")
	} else {
		c.step("on-hook: " + m.Proof())
	}
	c.closePort(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	return err
}

// handset is the modem to hang up, opened anew if this isn't the first attempt.
// Nil without an error: there is none, nothing was dialled.
func (c *call) handset() (*modem.Modem, error) {
	c.mu.Lock()
	m, again := c.modem, c.shut
	if again && c.dialog == "" {
		c.dialog = m.Transcript()
	}
	c.mu.Unlock()
	switch {
	case m == nil:
		return nil, c.unopened()
	case !again:
		return m, nil
	}
	if err := c.open(); err != nil {
		return nil, &modem.HangupError{Carrier: "unknown", Err: fmt.Errorf("line %s: opening the port again: %w", c.cfg.Name, err), Hint: hintOpen}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = false
	return c.modem, nil
}

// closePort lets nobody wait for a driver that is stuck, and what fails here makes
// the line neither more nor less down.
func (c *call) closePort(m *modem.Modem) {
	closed := make(chan error, 1)
	go func() { closed <- m.Close() }()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	var err error
	select {
	case err = <-closed:
	case <-limit.C:
		err = errors.New("the driver doesn't let go of it")
	}
	if err != nil {
		c.cfg.Log.Warn("link: closing the port", "line", c.cfg.Name, "error", err)
	}
}

// goodbye is how long PPP may take to end in order: one round trip with a segment
// in front of it, and half a second for the far end. It is a courtesy to the
// provider's accounting, and paid for: it isn't waited for a second time.
func (c *call) goodbye(polite bool) time.Duration {
	if !polite {
		return 0
	}
	if c.cfg.Rate <= 0 {
		return goodbyeLimit // little is known of the line
	}
	rtt := c.cfg.RTT
	if rtt <= 0 {
		rtt = usualRTT(c.cfg.Rate)
	}
	return min(500*time.Millisecond+rtt+lane{c.cfg.Rate}.airtime(defaultMSS), goodbyeLimit)
}

// unopened is a call that ended before it had a port: nothing was dialled.
func (c *call) unopened() error {
	select {
	case <-c.risen:
		return nil
	default:
		return &modem.HangupError{Carrier: "unknown", Err: errors.New("the port is still being opened"), Hint: hintStuck}
	}
}
