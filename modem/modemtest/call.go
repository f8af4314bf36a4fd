package modemtest

import (
	"context"
	"io"
	"time"
)

// maxWaiting bounds the answered calls that nobody accepted; the oldest go first.
const maxWaiting = 16

// call is the line from CONNECT to hang-up: two lanes and the faults to come. It is
// guarded by the modem's lock.
type call struct {
	m        *Modem
	up, down *lane
	began    time.Time
	ended    bool
	toFar    gate
	fromFar  gate

	faults  []fault
	next    time.Time // when the first of faults is due as far as is known, zero: not yet
	timer   *time.Timer
	farGone bool      // the far end was closed
	leaving time.Time // then: when what it had written has arrived and the carrier goes
}

// fault is what happens when an octet has come through the line.
type fault struct {
	after    int64 // octets, of the directions that count
	up, down bool
	freeze   time.Duration // 0: the carrier is lost
}

// lanes are those that count, in the order in which octets that arrive at the same
// moment are dropped.
func (c *call) lanes(f *fault) []*lane {
	switch {
	case f.up && f.down:
		return []*lane{c.down, c.up}
	case f.up:
		return []*lane{c.up}
	default:
		return []*lane{c.down}
	}
}

func (c *call) through(f *fault, t time.Time) int64 {
	var n int64
	if f.up {
		n += c.up.arrived(t)
	}
	if f.down {
		n += c.down.arrived(t)
	}
	return n
}

func (m *Modem) newCall(now time.Time) *call {
	c := &call{m: m, began: now}
	// Each direction of each call has chance of its own, or the same seed would not give the
	// same when both write at once.
	n := uint64(m.count.Connects) * 2 //nolint:gosec // a count
	c.up, c.down = newLane(m.opt.Up, m.opt, now, n), newLane(m.opt.Down, m.opt, now, n+1)
	c.toFar.on(&m.mu)
	c.fromFar.on(&m.mu)
	for _, f := range []fault{
		{after: m.opt.CutAfter, up: true, down: true},
		{after: m.opt.CutAfterUp, up: true},
		{after: m.opt.CutAfterDown, down: true},
		{after: m.opt.FreezeAfter, up: true, down: true, freeze: max(m.opt.FreezeFor, 1)},
	} {
		if f.after > 0 {
			c.faults = append(c.faults, f)
		}
	}
	return c
}

// schedule finds out when the next fault is due, after octets were written.
func (c *call) schedule(now time.Time) {
	c.next = c.leaving
	for i := range c.faults {
		c.next = earlier(c.next, c.dueAt(&c.faults[i]))
	}
	if c.next.IsZero() {
		return
	}
	if !c.next.After(now) {
		c.settle(now)
		return
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(c.next), c.fire)
		return
	}
	c.timer.Reset(time.Until(c.next))
}

func (c *call) fire() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.call == c {
		c.settle(time.Now())
	}
}

// dueAt is when f's last octet arrives, zero: it has not been written yet.
func (c *call) dueAt(f *fault) time.Time {
	last := c.up.end()
	if d := c.down.end(); d.After(last) {
		last = d
	}
	if c.through(f, last) < f.after {
		return time.Time{}
	}
	lo, hi := time.Duration(0), last.Sub(c.began)
	for lo < hi { // the first moment at which enough have arrived
		mid := lo + (hi-lo)/2
		if c.through(f, c.began.Add(mid)) >= f.after {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return c.began.Add(lo)
}

// settle lets happen what is due by now, at the time it was due.
func (c *call) settle(now time.Time) {
	for !c.ended && !c.next.IsZero() && !c.next.After(now) {
		at := c.next
		c.next = time.Time{}
		if !c.leaving.IsZero() && !c.leaving.After(at) {
			c.m.loseCarrier(at)
			return
		}
		for i := range c.faults {
			f := c.faults[i]
			if due := c.dueAt(&f); due.IsZero() || due.After(at) {
				continue
			}
			if f.freeze == 0 {
				c.trim(&f, at)
				c.m.loseCarrier(at)
				return
			}
			c.faults = append(c.faults[:i:i], c.faults[i+1:]...)
			c.freeze(at, f.freeze)
			break
		}
		c.schedule(now)
	}
}

// trim keeps exactly the octets f lets through when several arrive at one moment,
// as they do on a line without a rate.
func (c *call) trim(f *fault, at time.Time) {
	over := c.through(f, at) - f.after
	for _, l := range c.lanes(f) {
		here := l.arrived(at)
		n := min(over, here-l.arrived(at.Add(-1)))
		if n > 0 {
			l.keep(here - n)
			over -= n
		}
	}
}

func (c *call) freeze(now time.Time, d time.Duration) {
	c.up.freeze(now, d)
	c.down.freeze(now, d)
	if !c.leaving.IsZero() {
		c.leaving = c.leaving.Add(d)
	}
	c.schedule(now)
	c.m.wakeAll()
}

// end closes both lanes at a moment: what has arrived stays readable, the rest is lost.
func (c *call) end(at time.Time) {
	c.ended = true
	c.up.keep(c.up.arrived(at))
	c.down.keep(c.down.arrived(at))
	if c.timer != nil {
		c.timer.Stop()
	}
	c.toFar.stop()
	c.fromFar.stop()
}

// Accept waits for the next answered call and returns the provider's end of it.
// Its Read gives io.EOF once the call is over and everything that came through is
// read; its Write blocks while the line's buffers are full; closing it hangs up from
// the far side, after what was written has arrived ([Modem.Cut] is the rude way).
func (m *Modem) Accept(ctx context.Context) (io.ReadWriteCloser, error) {
	stop := context.AfterFunc(ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.accept.wake()
	})
	defer stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if m.closed {
			return nil, errClosed
		}
		if len(m.waiting) > 0 {
			f := m.waiting[0]
			m.waiting = m.waiting[1:]
			return f, nil
		}
		m.accept.wait(time.Time{})
	}
}

// farEnd is the provider's end of a call.
type farEnd struct{ c *call }

func (f *farEnd) Read(p []byte) (int, error) {
	c, m := f.c, f.c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		now := f.now()
		if c.farGone {
			return 0, io.ErrClosedPipe
		}
		if n := c.up.read(p, now); n > 0 || len(p) == 0 {
			m.fromHost.wake()
			return n, nil
		}
		if c.ended {
			return 0, io.EOF
		}
		c.toFar.wait(c.up.wakeAt())
	}
}

func (f *farEnd) Write(p []byte) (int, error) {
	c, m := f.c, f.c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for {
		now := f.now()
		if c.farGone || c.ended {
			return n, io.ErrClosedPipe
		}
		if n == len(p) {
			return n, nil
		}
		if k := c.down.write(p[n:], now); k > 0 {
			n += k
			c.schedule(now)
			m.toHost.wake()
			continue
		}
		c.fromFar.wait(c.down.roomAt(now, len(p)-n))
	}
}

// Close hangs up from the far side. Idempotent.
func (f *farEnd) Close() error {
	c, m := f.c, f.c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	now := f.now()
	if c.farGone {
		return nil
	}
	c.farGone = true
	c.toFar.wake()
	c.fromFar.wake()
	if !c.ended {
		c.leaving = now
		if end := c.down.end(); end.After(now) {
			c.leaving = end
		}
		c.schedule(now)
	}
	return nil
}

func (f *farEnd) now() time.Time {
	now := time.Now()
	if !f.c.ended {
		f.c.settle(now)
	}
	return now
}
