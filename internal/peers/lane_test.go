package peers

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// carried is what arrives of n octets, and how long the first and the last took.
func carried(l lane, n int) (got []byte, first, last time.Duration) {
	src, w := io.Pipe()
	r, dst := io.Pipe()
	begun := time.Now()
	go func() {
		_, _ = w.Write(bytes.Repeat([]byte{0x55}, n))
		_ = w.Close()
	}()
	go func() {
		l.carry(dst, src, make(chan struct{}))
		_ = dst.Close()
	}()
	buf := make([]byte, laneOctets)
	for {
		k, err := r.Read(buf)
		got = append(got, buf[:k]...)
		if k > 0 {
			last = time.Since(begun)
			if first == 0 {
				first = last
			}
		}
		if err != nil {
			return got, first, last
		}
	}
}

// A line of 9600 bit/s takes a second for 960 octets, and the first of them is there
// after the delay and a chunk.
func TestLaneTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 300 * time.Millisecond
		got, first, last := carried(lane{rate: 9600, delay: delay}, 9600)
		if len(got) != 9600 || slices.ContainsFunc(got, func(b byte) bool { return b != 0x55 }) {
			t.Errorf("%d octets arrived, or other ones", len(got))
		}
		if first < delay || first > delay+laneChunk {
			t.Errorf("the first took %v", first)
		}
		if wrong := last - delay - 10*time.Second; wrong.Abs() > time.Millisecond {
			t.Errorf("the last took %v", last)
		}
	})
}

// The same octets meet the same fate.
func TestLaneDamages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, share = 100_000, 3e-3
		damaged := func(seed uint64) []byte {
			got, _, _ := carried(lane{errors: share, random: rand.New(rand.NewPCG(seed, 0))}, n)
			return got
		}
		one, again, other := damaged(1), damaged(1), damaged(2)
		if !bytes.Equal(one, again) || bytes.Equal(one, other) {
			t.Error("it isn't the seed that decides")
		}
		changed := 0
		for _, b := range one {
			if b != 0x55 {
				changed++
			}
		}
		if len(one) != n || changed < n*share/2 || changed > n*share*2 {
			t.Errorf("of %d octets %d were changed", len(one), changed)
		}
	})
}

// Who hangs up leaves nothing behind, whatever the line is about.
func TestLaneStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, w := io.Pipe()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			lane{rate: 2400, delay: time.Hour}.carry(io.Discard, src, stop)
		}()
		go func() { _, _ = w.Write(make([]byte, 10_000)) }()
		time.Sleep(time.Second)
		close(stop)
		_ = src.Close()
		<-stopped
	})
}
