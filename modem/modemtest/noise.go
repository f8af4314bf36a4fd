package modemtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// noise is what a line does to octets: it flips bits, doubles octets and loses them. It
// draws the distance to the next octet that is hit, not a number an octet.
type noise struct {
	flip, double, lose spoiler
	rng                *rand.Rand
}

// spoiler counts the octets until the next one that is hit.
type spoiler struct {
	rate float64
	gap  int
}

func newNoise(opt Options, rng *rand.Rand) noise {
	n := noise{rng: rng, flip: spoiler{rate: opt.ErrorRate}, double: spoiler{rate: opt.DoubleRate}, lose: spoiler{rate: opt.LossRate}}
	for _, s := range []*spoiler{&n.flip, &n.double, &n.lose} {
		s.draw(rng)
	}
	return n
}

func (s *spoiler) draw(rng *rand.Rand) {
	if s.rate > 0 {
		s.gap = int(min(rng.ExpFloat64()/s.rate, math.MaxInt32/2))
	}
}

// hits says whether the next octet is one.
func (s *spoiler) hits(rng *rand.Rand) bool {
	if s.rate <= 0 {
		return false
	}
	if s.gap > 0 {
		s.gap--
		return false
	}
	s.draw(rng)
	return true
}

// hit returns what comes of p, which it may change.
func (n *noise) hit(p []byte) []byte {
	if n.flip.rate <= 0 && n.double.rate <= 0 && n.lose.rate <= 0 {
		return p
	}
	out := make([]byte, 0, len(p))
	for _, b := range p {
		if n.flip.hits(n.rng) {
			b ^= 1 << n.rng.IntN(8)
		}
		if n.lose.hits(n.rng) {
			continue
		}
		if out = append(out, b); n.double.hits(n.rng) {
			out = append(out, b)
		}
	}
	return out
}

// jitterBlock is how many octets share a lateness: a frame's worth, so that it changes
// between frames and not within an octet's neighbours.
const jitterBlock = 32

// jitter is how late octets are. It changes with the octet's place in the stream, so that
// the same octets are as late however they are written.
type jitter struct {
	most  time.Duration // 0: none
	rng   *rand.Rand
	late  time.Duration // of the present block
	until int64         // where the present block ends
}

// reach is how many octets from the at-th on are as late as that one.
func (j *jitter) reach(at int64) int {
	if j.most <= 0 {
		return math.MaxInt
	}
	for at >= j.until {
		j.until += jitterBlock
		j.late = time.Duration(j.rng.Int64N(int64(j.most) + 1))
	}
	return int(j.until - at)
}
