package modemtest

import (
	"sync"
	"time"
)

// gate is where goroutines wait for a change or a time. It works on the modem's
// lock, which is held around every method, and starts no goroutine of its own: one
// timer is shared by all who wait here, set for the earliest of them.
type gate struct {
	mu    *sync.Mutex
	cond  *sync.Cond
	timer *time.Timer
	due   time.Time // when timer fires, zero: it is not set
}

func (g *gate) on(mu *sync.Mutex) {
	g.mu, g.cond = mu, sync.NewCond(mu)
}

// wait returns after a wake, or at until; zero: no time. It may return early, so
// the caller looks again.
func (g *gate) wait(until time.Time) {
	if !until.IsZero() {
		g.arm(until)
	}
	g.cond.Wait()
}

func (g *gate) arm(until time.Time) {
	if !g.due.IsZero() && !g.due.After(until) {
		return
	}
	g.due = until
	if g.timer == nil {
		g.timer = time.AfterFunc(time.Until(until), g.fire)
		return
	}
	g.timer.Reset(time.Until(until))
}

func (g *gate) fire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = time.Time{}
	g.wake()
}

func (g *gate) wake() { g.cond.Broadcast() }

// stop ends the timer and lets everybody look again.
func (g *gate) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
	g.due = time.Time{}
	g.wake()
}

// earlier returns the earlier of two times where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
