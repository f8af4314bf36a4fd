package link

import (
	"context"
	"sync"
	"time"
)

const (
	// paceShare of the line's rate is what our sending takes: the rest is for the acknowledgements of what comes in, for
	// commands, and for the octets that framing escapes. Of more the acknowledgements come late, of less so does the mail.
	paceShare = 0.86
	// paceAhead is how much may wait in the system, so that it never runs dry while we wake up.
	paceAhead = 100 * time.Millisecond
	// headers are IP's, TCP's with timestamps, and a frame's.
	headers = 60
	// brief is what isn't held back: a command, or the beginning of TLS, waits for nothing, because the other direction waits for it.
	brief = 600
)

// pacer holds back what connections send in bulk, all of a line together, so that no queue builds up in the modem or
// terminal, where commands and acknowledgements would wait behind it for seconds. The kernel's own
// pacing (SO_MAX_PACING_RATE) is for one connection and doesn't hold back its first ten segments, which on a slow line are
// most of a message.
type pacer struct {
	rate float64 // octets a second; 0: nothing is held back

	mu   sync.Mutex
	free time.Time // when what was let go has left
}

func newPacer(rate int) *pacer { return &pacer{rate: paceShare * float64(rate)} }

// pass waits until n octets of a segment may go, of so many that are written; false: ctx has ended.
func (p *pacer) pass(ctx context.Context, n, of int) bool {
	if p.rate <= 0 {
		return true
	}
	p.mu.Lock()
	now := time.Now()
	if p.free.Before(now) {
		p.free = now // before the difference, which of the zero time is out of a Duration's range
	}
	wait := p.free.Sub(now) - paceAhead
	p.free = p.free.Add(time.Duration(float64(n+headers) / p.rate * float64(time.Second)))
	p.mu.Unlock()
	return of <= brief || wait <= 0 || pause(ctx, wait)
}

// latest is how long Linux lets the answer to a far end's SYN wait for company (TCP_DELACK_MAX), less what we may be late.
const latest = 190 * time.Millisecond

// lateAnswer is how late our answer to a far end's SYN should be. By that answer it learns the round trip, and with it how
// long it waits before it sends again what it takes for lost. Where a full segment takes long to cross the line, what it learns
// is too short for anything but the answer itself, and a good part of all mail would come twice.
func lateAnswer(rate int, rtt time.Duration) time.Duration {
	if rate == 0 {
		return 0
	}
	crossing := time.Duration(float64(commonSegment+headers) * 8 / float64(rate) * float64(time.Second))
	if crossing < rtt/2 {
		return 0
	}
	return min(crossing, latest)
}
