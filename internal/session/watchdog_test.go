package session

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"outpost/internal/link"
	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// Everything that could end the call hangs at once: the goroutine that runs it, in
// a reader of its events; PPP's, and with it the line's Up; and the port's Write, in
// flow control. The watchdog takes the line down by itself, at its hard maximum.
func TestWatchdogPastEverythingStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		dev := modemtest.New(modemtest.Options{DialTime: 20 * time.Second})
		defer dev.Close()
		stuck := make(chan struct{})
		line := link.NewModemLine(link.ModemConfig{
			Name: "fake", Number: "5551234", Profile: modem.Generic(),
			Open: func() (serial.Port, error) { return dev.Port(), nil },
			PPP: ppp.Config{Trace: func(ppp.Direction, []byte) {
				dev.Set(func(o *modemtest.Options) { o.HoldCTS = true })
				<-stuck
			}},
		})
		o.opt.Lines[0].Line = line
		o.opt.OnEvent = func(e Event) {
			if e.Phase == HangingUp {
				<-stuck
			}
		}
		begun := time.Now()
		ended := make(chan error, 1)
		go func() {
			_, err := New(o.opt).Call(t.Context(), "test", false)
			ended <- err
		}()
		time.Sleep(time.Hour + windDown)
		if !dev.Counters().OffHook {
			t.Fatal("the call has ended by itself: nothing is stuck")
		}
		for dev.Counters().OffHook && time.Since(begun) < 2*time.Hour {
			time.Sleep(100 * time.Millisecond)
		}
		limit := time.Hour + windDown + watchdogGrace + 4*time.Second
		if took := time.Since(begun); took > limit || line.Proof() == "" {
			t.Errorf("the line was down after %v, limit %v; proof %q\n%s", took, limit, line.Proof(), line.Transcript())
		} else {
			t.Logf("the line was down %v after the hard limit: %s", took-time.Hour, line.Proof())
		}
		close(stuck)
		if err := <-ended; !errors.Is(err, ErrMaxCall) {
			t.Errorf("the call ended with %v", err)
		}
		row := mustRow(t, o)
		if over := row.Metered - time.Hour; !row.OnHook || over > windDown+watchdogGrace {
			t.Errorf("on-hook %v, metered %v", row.OnHook, row.Metered)
		}
	})
}

// A line that the watchdog cannot take down is tried for again and again, whoever
// is stuck in hearing of it.
func TestWatchdogGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		stuck := make(chan struct{})
		o.line.dial = nil
		o.line.downErr, o.line.fails = errors.New("carrier still up"), 5
		o.opt.OnEvent = func(e Event) {
			if e.Phase == HangingUp {
				<-stuck
			}
		}
		go New(o.opt).Call(t.Context(), "test", false)
		time.Sleep(2 * time.Hour)
		if n := o.line.downCount(); n != 6 {
			t.Errorf("%d tries", n)
		}
		close(stuck)
	})
}
