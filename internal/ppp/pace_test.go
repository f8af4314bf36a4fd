package ppp

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowPort takes no more than a rate, and holds writes up when its buffer is full.
type slowPort struct {
	rate atomic.Int64 // bit/s
	free time.Time
}

func (p *slowPort) Write(b []byte) (int, error) {
	const buffer = time.Second // of what it sends
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(len(b)) * bitsPerOctet * time.Second / time.Duration(p.rate.Load()))
	time.Sleep(time.Until(p.free) - buffer)
	return len(b), nil
}

// A line that carries less than was configured sets the pace, and one that recovers
// has it back.
func TestPaceFollowsTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := new(slowPort)
		port.rate.Store(16800)
		w := newWriter(port, 33600, &counters{})
		stop := make(chan struct{})
		go w.run(stop)
		defer close(stop)
		w.open(framing{}, 1500, nil)
		send := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				w.data <- func() []byte { return make([]byte, 500) }
			}
		}
		send(30 * time.Second)
		if rate := w.pace.rate.Load(); rate < 15000 || rate > 18000 {
			t.Errorf("a pace of %d on a line of 16800", rate)
		}
		port.rate.Store(33600)
		send(2 * time.Minute)
		if rate := w.pace.rate.Load(); rate < 30000 {
			t.Errorf("a pace of %d on a line that has recovered", rate)
		}
		time.Sleep(time.Minute) // nothing to send says nothing
		send(10 * time.Second)
		if rate := w.pace.rate.Load(); rate < 30000 || rate > 33600 {
			t.Errorf("a pace of %d after a pause", rate)
		}
	})
}

// A port that takes each octet when the line has sent the one before is as fast as it
// was said to be, however often there is nothing to send.
func TestPaceOfAPortWithoutBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(portWithoutBuffer(9600), 9600, &counters{})
		stop := make(chan struct{})
		go w.run(stop)
		defer close(stop)
		w.open(framing{}, 1500, nil)
		for range 100 {
			for range 3 {
				w.data <- func() []byte { return make([]byte, 400) }
			}
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(time.Second) // the last write ends
		if rate := w.pace.rate.Load(); rate < 9500 {
			t.Errorf("a pace of %d", rate)
		}
	})
}

type portWithoutBuffer int // bit/s

func (p portWithoutBuffer) Write(b []byte) (int, error) {
	time.Sleep(time.Duration(len(b)) * bitsPerOctet * time.Second / time.Duration(p))
	return len(b), nil
}
