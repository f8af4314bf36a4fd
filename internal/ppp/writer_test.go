package ppp

import (
	"bytes"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// tape notes what is written and when.
type tape struct {
	frames [][]byte
	times  []time.Duration
	begun  time.Time
}

func (r *tape) Write(b []byte) (int, error) {
	r.frames = append(r.frames, bytes.Clone(b))
	r.times = append(r.times, time.Since(r.begun))
	return len(b), nil
}

// startWriter runs a writer onto a tape until the returned stop.
func startWriter(rate int) (w *writer, r *tape, stop func()) {
	r = &tape{begun: time.Now()}
	w = newWriter(r, rate, &counters{})
	end := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(end)
	}()
	return w, r, func() { close(end); <-done }
}

// The writer never runs ahead of the line, nor lets it idle.
func TestPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stop := startWriter(9600)
		w.open(framing{pfc: true, acfc: true}, 1500, nil)
		for range 20 {
			w.data <- func() []byte { return bytes.Repeat([]byte{'x'}, 500) }
		}
		time.Sleep(time.Minute)
		stop()
		if len(r.frames) != 20 {
			t.Fatalf("%d frames", len(r.frames))
		}
		octets := 0
		for i, f := range r.frames {
			due := time.Duration(octets) * 10 * time.Second / 9600
			if ahead := due - r.times[i]; ahead > paceLead || ahead < 0 {
				t.Errorf("frame %d at %v, the line is free at %v", i, r.times[i], due)
			}
			octets += len(f)
		}
	})
}

// A control frame waits for the frame on the line and for nothing else.
func TestControlFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stop := startWriter(2400)
		w.open(framing{}, 1500, nil)
		go func() {
			for range 6 {
				w.data <- func() []byte { return bytes.Repeat([]byte{'x'}, 1000) }
			}
		}()
		time.Sleep(time.Second)
		w.sendControl(plainFraming(), protoLCP, []byte("ctl"))
		if wait := w.backlog(); wait < 3*time.Second || wait > 4*time.Second {
			t.Errorf("backlog %v, want the rest of one frame", wait)
		}
		time.Sleep(time.Minute)
		stop()
		if len(r.frames) != 7 || !bytes.Contains(r.frames[1], []byte("ctl")) {
			t.Errorf("the control frame is not the second of %d", len(r.frames))
		}
		if w.backlog() != 0 {
			t.Errorf("backlog %v at the end", w.backlog())
		}
	})
}

// Data waits while the gate is shut, and the queues are bounded.
func TestGateAndBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stop := startWriter(0)
		var taken atomic.Int64
		for range 3 {
			go func() {
				w.data <- func() []byte { return []byte{'d'} }
				taken.Add(1)
			}()
		}
		synctest.Wait()
		if taken.Load() != 0 || len(r.frames) != 0 {
			t.Errorf("%d packets taken, %d written with the gate shut", taken.Load(), len(r.frames))
		}
		w.open(framing{}, 1500, nil)
		synctest.Wait()
		if taken.Load() != 3 || len(r.frames) != 3 {
			t.Errorf("%d taken, %d written with the gate open", taken.Load(), len(r.frames))
		}
		stop()
		for range 2 * maxControl {
			w.sendControl(plainFraming(), protoLCP, nil)
		}
		if len(w.control) != maxControl || w.count.dropped.Load() != maxControl {
			t.Errorf("%d control frames kept, %d dropped", len(w.control), w.count.dropped.Load())
		}
	})
}

// Frames in a row share a flag; after a silence there is one of their own, to
// end what noise came in between.
func TestFlags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r, stop := startWriter(0)
		for _, wait := range []time.Duration{0, 10 * time.Millisecond, 2 * time.Second} {
			time.Sleep(wait)
			w.sendControl(plainFraming(), protoLCP, []byte("x"))
			synctest.Wait()
		}
		stop()
		for i, own := range []bool{true, false, true} {
			if got := r.frames[i][0] == flag; got != own {
				t.Errorf("frame %d opens with a flag: %v", i, got)
			}
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(broken{}, 0, &counters{})
		w.sendControl(plainFraming(), protoLCP, nil)
		if err := w.run(nil); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
	})
}
