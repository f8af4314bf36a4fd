package ppp

import (
	"sync/atomic"
	"time"
)

// pace is the rate that the writer keeps to. It begins as the configured one. Where
// the line takes less, flow control says so by holding writes up; what got through
// meanwhile is what the line carries, and keeping to that lets nothing wait in the
// modem, where no urgent frame can pass it. Once writes aren't held up any more it
// rises again, for lines that fade and recover. It belongs to the writing goroutine,
// but for the rate.
type pace struct {
	configured int          // bit/s; 0: none is kept
	rate       atomic.Int64 // bit/s, now

	since  time.Time // the measurement began
	octets int
	held   time.Duration // writes were held up
}

const (
	// paceWindow is how long is measured: some frames even on the slowest line.
	paceWindow = 4 * time.Second
	// paceIdle is how long the writer may wait for a frame without the line idling:
	// as long as it is early.
	paceIdle = paceLead
	// leastPace bounds an error: no line is worth less than a sixteenth.
	leastPace = 16
)

func newPace(rate int) *pace {
	p := &pace{configured: rate}
	p.rate.Store(int64(rate))
	return p
}

// airtime is how long octets take on the line; 0 if no pace is kept.
func (p *pace) airtime(octets int) time.Duration {
	rate := p.rate.Load()
	if rate <= 0 {
		return 0
	}
	return time.Duration(octets) * bitsPerOctet * time.Second / time.Duration(rate)
}

// wrote is told of a write of so many octets that began at a time, and how long the
// writer had waited for something to write. Only a line that was never out of work
// says what it carries.
func (p *pace) wrote(octets int, begun time.Time, waited time.Duration) {
	if p.configured <= 0 {
		return
	}
	now := time.Now()
	if p.since.IsZero() || waited > paceIdle {
		p.since, p.octets, p.held = begun, 0, 0
	}
	p.octets += octets
	p.held += now.Sub(begun)
	elapsed := now.Sub(p.since)
	if elapsed < paceWindow {
		return
	}
	rate := int(p.rate.Load())
	switch {
	case p.held > elapsed/4:
		carried := int(float64(p.octets) * bitsPerOctet / elapsed.Seconds())
		rate = max(min(rate, carried), p.configured/leastPace)
	case p.held < elapsed/50:
		rate = min(p.configured, rate+rate/8+1)
	}
	p.rate.Store(int64(rate))
	p.since, p.octets, p.held = now, 0, 0
}
