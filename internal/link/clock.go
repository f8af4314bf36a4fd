package link

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// slowClock is gVisor's clock, running slower than ours: TCP's fixed 1 s before
// the first measurement becomes pace of ours, and so does every other timer of
// the stack. Deadlines of connections are not its business and stay true.
type slowClock struct {
	begin time.Time
	pace  time.Duration // of our time for a second of the stack's
}

func newSlowClock(pace time.Duration) *slowClock {
	return &slowClock{begin: time.Now(), pace: pace}
}

// ours turns a duration of the stack's into one of ours, theirs the other way.
func (c *slowClock) ours(d time.Duration) time.Duration {
	return time.Duration(float64(d) * c.pace.Seconds())
}

func (c *slowClock) theirs(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.pace.Seconds())
}

// Now is the true time: the stack only tells it, and measures with the other.
func (c *slowClock) Now() time.Time { return time.Now() }

// NowMonotonic is the slowed time since the clock was made.
func (c *slowClock) NowMonotonic() tcpip.MonotonicTime {
	return tcpip.MonotonicTime{}.Add(c.theirs(time.Since(c.begin)))
}

// AfterFunc calls f in a goroutine of its own when d of slowed time has passed.
func (c *slowClock) AfterFunc(d time.Duration, f func()) tcpip.Timer {
	return slowTimer{Timer: time.AfterFunc(c.ours(d), f), clock: c}
}

type slowTimer struct {
	*time.Timer
	clock *slowClock
}

// Reset lets the timer fire when d of slowed time has passed.
func (t slowTimer) Reset(d time.Duration) { t.Timer.Reset(t.clock.ours(d)) }
