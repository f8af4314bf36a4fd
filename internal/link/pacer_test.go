package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Bulk leaves at the line's rate less the share of the rest, and what is brief at once.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1000)
		begun := time.Now()
		// The first of all is a segment: it once waited for ever.
		for range 10 {
			if !p.pass(t.Context(), 1000, 1000) {
				t.Fatal("not let through")
			}
		}
		// Each takes 1060 octets at 860 a second; the last may leave as soon as those before it have, but for what is let ahead.
		want := 9*1060*time.Second/860 - paceAhead
		if got := time.Since(begun); (got - want).Abs() > time.Millisecond {
			t.Errorf("10 segments took %v, want %v", got, want)
		}
		begun = time.Now()
		for range 20 {
			p.pass(t.Context(), brief, brief)
		}
		if got := time.Since(begun); got != 0 {
			t.Errorf("commands were held back for %v", got)
		}
		// They aren't free: what comes in bulk makes room for them.
		p.pass(t.Context(), 1000, 1000)
		if got := time.Since(begun); got < 20*(brief+headers)*time.Second/860 {
			t.Errorf("a segment behind them was let through after %v", got)
		}
	})
}

// All connections of a line share its rate.
func TestPacerIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1000)
		begun := time.Now()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 5 {
					p.pass(t.Context(), 1000, 1000)
				}
			})
		}
		all.Wait()
		if got := time.Since(begun); got < 19*1060*time.Second/860-paceAhead-time.Millisecond {
			t.Errorf("20 segments took %v", got)
		}
	})
}

func TestPacerLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(10)
		ctx, cancel := context.WithCancel(t.Context())
		p.pass(ctx, 1000, 1000)
		time.AfterFunc(time.Second, cancel)
		if begun := time.Now(); p.pass(ctx, 1000, 1000) || time.Since(begun) != time.Second {
			t.Errorf("a segment of a connection that has ended was let through, or waited %v", time.Since(begun))
		}
		// A line whose rate isn't known holds nothing back, nor does silence save up for a burst.
		if begun := time.Now(); !newPacer(0).pass(ctx, 1<<20, 1<<20) || time.Since(begun) != 0 {
			t.Error("held back without a rate")
		}
		p = newPacer(1000)
		p.pass(t.Context(), 1000, 1000)
		time.Sleep(time.Hour)
		begun := time.Now()
		for range 3 {
			p.pass(t.Context(), 1000, 1000)
		}
		if got := time.Since(begun); got < 2*time.Second {
			t.Errorf("after an hour's silence 3 segments took %v", got)
		}
	})
}

func TestLateAnswer(t *testing.T) {
	for _, c := range []struct {
		rate int // bit/s
		rtt  time.Duration
		want time.Duration
	}{
		{0, 150 * time.Millisecond, 0},
		{2400, 1800 * time.Millisecond, latest},
		{9600, 600 * time.Millisecond, latest},
		{33600, 150 * time.Millisecond, latest},
		{128000, 80 * time.Millisecond, 94250000 * time.Nanosecond},
		{176000, 700 * time.Millisecond, 0}, // a segment takes a tenth of the round trip
		{100_000_000, 0, 120640 * time.Nanosecond},
	} {
		if got := lateAnswer(c.rate, c.rtt); got != c.want {
			t.Errorf("%d bit/s, %v: %v, want %v", c.rate, c.rtt, got, c.want)
		}
	}
}

// Close ends a connection at once: the far end is told that it was aborted, and a Write that is held back returns.
func TestHostConnCloseAborts(t *testing.T) {
	noLeak(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	met := make(chan error, 1)
	go func() {
		far, err := l.Accept()
		if err == nil {
			defer far.Close()
			_, err = io.Copy(io.Discard, far)
		}
		met <- err
	}()
	h := newHostNet(hostOptions{Wait: 10 * time.Second, Pace: 1})
	defer h.close(errGone)
	c, err := h.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, brief)); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 10*brief)) // at this pace it takes an hour
		wrote <- err
	}()
	select {
	case err := <-wrote:
		t.Errorf("not held back: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the write that was held back: %v", err)
	}
	if err := <-met; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the far end met %v, want a reset", err)
	}
	if len(h.open) != 0 {
		t.Errorf("%d connections are kept", len(h.open))
	}
}
