package session

import (
	"sync"
	"time"
)

// lineFacts are what a line carries, as its calls have shown.
type lineFacts struct {
	Up, Down float64       // octets a second; 0: not known
	RTT      time.Duration // 0: not known
}

// credible says that they can be a line's, whatever has become of where they were kept.
func (f lineFacts) credible() bool {
	return f.Up >= 0 && f.Up <= mostRate && f.Down >= 0 && f.Down <= mostRate && f.RTT >= 0 && f.RTT <= mostRTT
}

// No line that is paid for carries more octets a second, nor has a longer round trip.
const (
	mostRate = 1 << 30
	mostRTT  = time.Minute
)

const (
	// queueTime is how long what was asked for may wait before the line, so that it never runs dry. More of it delays
	// what is urgent, and makes servers send again what only waits: their first time-out is a few round trips.
	queueTime = 250 * time.Millisecond
	// ownQueueTime is that on a line whose TCP is ours: there the far end is made to wait long enough, and our commands stand
	// behind what is sent.
	ownQueueTime = 1500 * time.Millisecond
	// Bounds of what may be under way each way, in octets: below the first a line is never filled, above the second
	// memory and the far end's buffers are.
	leastWindow = 1 << 10
	mostWindow  = 1 << 20
	// rateSpan is over how many seconds a rate is measured: one is a modem's burst, ten are longer than most
	// messages last.
	rateSpan = 3
	// fade is what a rate is worth that was not reached again, from call to call: a call with little to do shows
	// less than the line can carry, but a line that has become slower must not be overrun for ever.
	fade = 0.9
	// taught is for how long a call must have moved mail at a rate to teach it: what a small message happens to take says
	// nothing of the line, and would hold the next call back.
	taught = 10 // seconds
)

// gauge is what is known of a call's line, and measures it. Its methods may be called from any goroutine.
type gauge struct {
	known lineFacts     // from the configuration and earlier calls
	queue time.Duration // queueTime, or ownQueueTime

	mu       sync.Mutex
	up, down [rateSpan + 1]int64 // the counters, of this second and those before it
	seconds  int
	best     lineFacts // what this call has shown
}

// newGauge begins with what is configured, a rate in bit/s and a round trip, each 0 if it isn't, else with what earlier calls
// have shown.
func newGauge(configured int, rtt time.Duration, seen lineFacts) *gauge {
	g := &gauge{queue: queueTime}
	if seen.credible() {
		g.known = seen
	}
	if configured > 0 {
		rate := float64(configured) / 8
		g.known.Up = rate
		g.known.Down = max(rate, g.known.Down) // lines are configured by what they send; many take in more
	}
	if rtt > 0 {
		g.known.RTT = rtt
	}
	return g
}

// second takes the counters once a second.
func (g *gauge) second(up, down int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	copy(g.up[1:], g.up[:rateSpan])
	copy(g.down[1:], g.down[:rateSpan])
	g.up[0], g.down[0] = up, down
	if g.seconds++; g.seconds > rateSpan {
		g.best.Up = max(g.best.Up, float64(g.up[0]-g.up[rateSpan])/rateSpan)
		g.best.Down = max(g.best.Down, float64(g.down[0]-g.down[rateSpan])/rateSpan)
	}
}

// connected takes how long a connection took to be made: the shortest is the line's round trip.
func (g *gauge) connected(took time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.best.RTT == 0 || took < g.best.RTT {
		g.best.RTT = took
	}
}

// facts is what is known by now.
func (g *gauge) facts() lineFacts {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.known
	if f.RTT == 0 {
		f.RTT = g.best.RTT
	}
	f.Up, f.Down = max(f.Up, g.best.Up), max(f.Down, g.best.Down)
	return f
}

// lesson is what to keep for the next call.
func (g *gauge) lesson() lineFacts {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.best
	if float64(g.up[0]) < taught*f.Up {
		f.Up = 0
	}
	if float64(g.down[0]) < taught*f.Down {
		f.Down = 0
	}
	f.Up, f.Down = max(f.Up, fade*g.known.Up), max(f.Down, fade*g.known.Down)
	if f.RTT == 0 {
		f.RTT = g.known.RTT
	}
	return f
}

// window is how many octets may be under way: what the line holds in a round trip, and in the time that it may have queued.
func window(rate float64, wait time.Duration) int64 {
	return min(max(int64(rate*wait.Seconds()), leastWindow), mostWindow)
}

// pullWindow is how many octets of mail may be asked for and not yet here. A rate that isn't known grows with what it lets through,
// because the window is always half as large again as what was seen to pass.
func (g *gauge) pullWindow() int64 {
	f := g.facts()
	rate := f.Down
	if g.known.Down == 0 {
		rate *= 1.5
	}
	if rate == 0 || f.RTT == 0 {
		return firstWindow
	}
	return window(rate, f.RTT+g.queue)
}

// firstWindow is for a line of which nothing is known: a second of a fast landline.
const firstWindow = 8 << 10

// answerTime is how long an answer of the smarthost may take beside the round trip: it stands behind mail that comes in, and
// the server has a disk to write to. What is sent meanwhile is in doubt if the line dies.
const answerTime = 4 * time.Second

// drainWindow is how much mail may be on its way to the smarthost and not answered for.
func (g *gauge) drainWindow() int64 {
	f := g.facts()
	if f.Up == 0 {
		return firstDrain
	}
	return min(int64(f.Up*(f.RTT+answerTime).Seconds()), mostWindow)
}

// firstDrain is for a line of which nothing is known.
const firstDrain = 64 << 10

const (
	// boxRoundTrips is how many round trips a box takes, and boxOctets what crosses the line for one with a small
	// message: a box alone would leave the line idle for the first while the second take no time.
	boxRoundTrips = 4
	boxOctets     = 2200
	// spareBoxes are there so that some begin while others end.
	spareBoxes = 4
	// mostBoxes is what a provider bears of one caller.
	mostBoxes = 32
	// someBoxes is for a line of which nothing is known.
	someBoxes = 8
)

// boxesAtOnce is how many boxes are collected side by side: as many as fill the line, and no more, because each
// costs a handshake, and those that are slow to begin are taken for lost.
func (g *gauge) boxesAtOnce() int {
	f := g.facts()
	if f.Down == 0 || f.RTT == 0 {
		return someBoxes
	}
	idle := boxRoundTrips * f.RTT.Seconds() * f.Down
	return min(spareBoxes+int(idle/boxOctets), mostBoxes)
}

// longAndFast says that a round trip is dear and octets are not: that is where it pays to ask for what may not be there.
func (g *gauge) longAndFast() bool {
	f := g.facts()
	return f.Down*f.RTT.Seconds() > 2*boxOctets
}
