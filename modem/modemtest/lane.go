package modemtest

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// tick is how long a reader may be left with octets that have arrived while more
	// of the same write are on their way: the latency timer of the common USB serial
	// converter. At 33600 bit/s a wake-up then brings 54 octets.
	tick = 16 * time.Millisecond

	// unlimitedWindow bounds what is unread on a line without a rate.
	unlimitedWindow = 64 << 10
)

// lane is one direction of the line. The arrival of every octet is fixed when it
// is written: the first leaves when the one before has left, each takes 10 bits, and
// delay later it is there.
type lane struct {
	rate   int // bit/s, 0: no limit
	delay  time.Duration
	buffer int // octets not yet sent that the sending modem holds
	window int // octets not yet read, wherever they are: the receiving modem pushes back too
	burst  time.Duration
	began  time.Time // from which bursts are counted
	noise  noise
	jitter jitter

	segs    []segment
	written int64     // octets since the call began
	taken   int64     // of them read
	free    time.Time // when the last of them has left
	there   time.Time // when the last of them has arrived, bursts apart
}

// segment is what was written together; octet i arrives at start + delay + late +
// span(i+1), but not before floor.
type segment struct {
	start time.Time
	late  time.Duration
	floor time.Time // when all before it has arrived; zero: that is clear from its start
	data  []byte
	off   int // octets of data that were read
}

// newLane begins a direction at now; stream tells its chance from that of the others.
func newLane(rate int, opt Options, now time.Time, stream uint64) *lane {
	l := &lane{rate: rate, delay: opt.Delay, buffer: opt.Buffer, burst: opt.Burst, began: now}
	l.noise = newNoise(opt, rand.New(rand.NewPCG(opt.Seed, stream)))
	l.jitter = jitter{most: opt.Jitter, rng: rand.New(rand.NewPCG(^opt.Seed, stream))}
	l.window = unlimitedWindow
	if rate > 0 {
		inFlight := int(opt.Delay.Seconds() * float64(rate) / 10)
		l.window = 2*opt.Buffer + inFlight
	}
	return l
}

// span is the time n octets take: start bit, eight bits, stop bit each.
func (l *lane) span(n int) time.Duration {
	if l.rate <= 0 {
		return 0
	}
	return time.Duration(int64(n) * 10 * int64(time.Second) / int64(l.rate))
}

// within is how many of n octets are complete after d.
func (l *lane) within(d time.Duration, n int) int {
	if d < 0 {
		return 0
	}
	if l.rate <= 0 || d >= l.span(n) {
		return n
	}
	k := int(int64(d) * int64(l.rate) / (10 * int64(time.Second)))
	if k < n && l.span(k+1) <= d { // span rounds down, so k may be one short
		k++
	}
	return k
}

// sent is how many octets had left by t, arrived how many were there.
func (l *lane) sent(t time.Time) int64 {
	return l.passed(func(s *segment) int { return l.within(t.Sub(s.start), len(s.data)) })
}

func (l *lane) arrived(t time.Time) int64 {
	return l.passed(func(s *segment) int { return l.come(s, t) })
}

// come is how many octets of a segment were there by t.
func (l *lane) come(s *segment, t time.Time) int {
	if l.burst > 0 {
		t = l.began.Add(t.Sub(l.began).Truncate(l.burst))
	}
	if t.Before(s.floor) {
		return 0
	}
	return l.within(t.Sub(s.start)-l.delay-s.late, len(s.data))
}

func (l *lane) passed(of func(*segment) int) int64 {
	n := l.written
	for i := len(l.segs) - 1; i >= 0; i-- {
		s := &l.segs[i]
		k := of(s)
		n -= int64(len(s.data) - k)
		if k == len(s.data) {
			break
		}
	}
	return n
}

// room is how many octets may be written at now.
func (l *lane) room(now time.Time) int {
	unsent := int(l.written - l.sent(now))
	unread := int(l.written - l.taken)
	return max(0, min(l.buffer-unsent, l.window-unread))
}

// roomAt is when n octets may be written, as far as sending decides it; zero: it
// depends on the reader.
func (l *lane) roomAt(now time.Time, n int) time.Time {
	at := l.free.Add(-l.span(l.buffer - l.least(n)))
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// least is how much room a writer of n octets waits for: a modem that has dropped CTS
// raises it again when a part of its buffer is free, not for every octet.
func (l *lane) least(n int) int { return min(n, max(1, l.buffer/4)) }

// write takes what there is room for, nothing if that is too little to begin with.
func (l *lane) write(p []byte, now time.Time) int {
	n := min(len(p), l.room(now))
	if n < l.least(len(p)) || n == 0 {
		return 0
	}
	data := l.noise.hit(slices.Clone(p[:n]))
	for len(data) > 0 {
		k := min(len(data), l.jitter.reach(l.written))
		l.append(data[:k:k], now)
		data = data[k:]
	}
	return n
}

// append puts octets behind what is on its way.
func (l *lane) append(data []byte, now time.Time) {
	s := segment{start: now, late: l.jitter.late, data: data}
	if l.free.After(now) {
		s.start = l.free
	}
	// What is late holds up what follows it: octets never overtake.
	if l.there.After(s.start.Add(l.delay + s.late)) {
		s.floor = l.there
	}
	l.segs = append(l.segs, s)
	l.written += int64(len(data))
	l.free = s.start.Add(l.span(len(data)))
	l.there = later(s.floor, l.free.Add(l.delay+s.late))
}

// read gives what has arrived.
func (l *lane) read(p []byte, now time.Time) int {
	n := 0
	for len(l.segs) > 0 && n < len(p) {
		s := &l.segs[0]
		k := l.come(s, now)
		c := copy(p[n:], s.data[s.off:k])
		s.off += c
		n += c
		if s.off < len(s.data) {
			break
		}
		l.segs[0].data = nil
		l.segs = l.segs[1:]
	}
	l.taken += int64(n)
	return n
}

// wakeAt is when a reader who found nothing should look again; zero: nothing is on its way.
func (l *lane) wakeAt() time.Time {
	if len(l.segs) == 0 {
		return time.Time{}
	}
	s := &l.segs[0]
	there := s.start.Add(l.delay + s.late)
	next := later(s.floor, there.Add(l.span(len(s.data))))
	if soon := later(s.floor, there.Add(l.span(s.off+1)).Add(tick)); soon.Before(next) {
		next = soon
	}
	return l.handed(next)
}

// end is when the last octet written so far arrives.
func (l *lane) end() time.Time { return l.handed(later(l.there, l.free.Add(l.delay))) }

// handed is when what has arrived at t is handed over.
func (l *lane) handed(t time.Time) time.Time {
	if l.burst <= 0 {
		return t
	}
	whole := t.Sub(l.began).Truncate(l.burst)
	if whole < t.Sub(l.began) {
		whole += l.burst
	}
	return l.began.Add(whole)
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// keep drops every octet from the n-th on, counted from the beginning of the call.
func (l *lane) keep(n int64) {
	for len(l.segs) > 0 && l.written > n {
		s := &l.segs[len(l.segs)-1]
		drop := int(min(l.written-n, int64(len(s.data)-s.off)))
		if drop == 0 {
			break
		}
		s.data = s.data[:len(s.data)-drop]
		l.written -= int64(drop)
		if s.off == len(s.data) {
			l.segs = l.segs[:len(l.segs)-1]
		}
	}
}

// freeze moves everything that has not arrived by now to d later.
func (l *lane) freeze(now time.Time, d time.Duration) {
	var segs []segment
	for _, s := range l.segs {
		k := l.come(&s, now)
		if k > s.off {
			segs = append(segs, segment{start: s.start, late: s.late, floor: s.floor, data: s.data[:k], off: s.off})
		}
		if k < len(s.data) {
			// The rest is a segment of its own; what of it was read is none.
			rest := segment{start: s.start.Add(l.span(k)).Add(d), late: s.late, data: s.data[k:]}
			if s.floor.After(now) {
				rest.floor = s.floor.Add(d)
			}
			segs = append(segs, rest)
		}
	}
	if l.there.After(now) {
		l.there = l.there.Add(d)
	}
	l.segs = segs
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(d)
}
