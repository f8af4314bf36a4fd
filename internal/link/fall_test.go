package link

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// TestUpFails has every way in which a call doesn't come up. None of them gets
// as far as a Stack, so all run in a bubble's time. After each, the modem must be
// on-hook, Down must say so, and the line must be usable again.
func TestUpFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		opt      modemtest.Options
		password string // that the provider has; "": ours
		phase    string // in which it fails
		check    func(error) bool
	}{
		{name: "busy", opt: modemtest.Options{Answer: "BUSY", DialTime: 9 * time.Second}, phase: "dialling",
			check: func(err error) bool { return resultIn(err) == modem.Busy }},
		{name: "no dial tone", opt: modemtest.Options{Answer: "NO DIALTONE"}, phase: "dialling",
			check: func(err error) bool { return resultIn(err) == modem.NoDialTone }},
		{name: "no carrier", opt: modemtest.Options{Answer: "NO CARRIER", DialTime: 40 * time.Second}, phase: "dialling",
			check: func(err error) bool { return resultIn(err) == modem.NoCarrier }},
		{name: "nothing but noise", opt: modemtest.Options{Answer: "GARBAGE"}, phase: "dialling",
			check: func(err error) bool { return resultIn(err) == modem.Timeout }},
		{name: "carrier lost at once", opt: modemtest.Options{Up: 9600, Down: 9600, CutAfter: 1}, phase: "linking",
			check: func(err error) bool { return kindOfPPP(err) == ppp.CarrierLost }},
		{name: "carrier lost in LCP", opt: modemtest.Options{Up: 9600, Down: 9600, CutAfter: 60}, phase: "linking",
			check: func(err error) bool { return kindOfPPP(err) == ppp.CarrierLost }},
		{name: "carrier lost in IPCP", opt: modemtest.Options{Up: 9600, Down: 9600, CutAfterDown: 150}, phase: "linking",
			check: func(err error) bool { return kindOfPPP(err) == ppp.CarrierLost }},
		{name: "wrong password", opt: modemtest.Options{Up: 9600, Down: 9600, Delay: 300 * time.Millisecond},
			password: "another", phase: "linking",
			check: func(err error) bool {
				return kindOfPPP(err) == ppp.AuthRefused && !strings.Contains(err.Error(), "secret")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, dev := dialled(t, c.opt, &provider{bare: true, password: c.password})
				var last string
				for range 2 {
					err := l.Up(t.Context(), func(phase string) { last = phase })
					if err == nil || !c.check(err) || last != c.phase {
						t.Fatalf("in phase %s: %v\n%s", last, err, l.Transcript())
					}
					begun := time.Now()
					if err := l.Down(t.Context()); err != nil {
						t.Fatalf("Down: %v\n%s", err, l.Transcript())
					}
					if took := time.Since(begun); took > 3*time.Second {
						t.Errorf("Down took %v", took)
					}
					if dev.Counters().OffHook {
						t.Error("off-hook after Down")
					}
				}
			})
		})
	}
}

func resultIn(err error) modem.Result {
	var e *modem.DialError
	if errors.As(err, &e) {
		return e.Result
	}
	return modem.None
}

func TestPortWontOpen(t *testing.T) {
	broken := errors.New("no such port")
	l := NewModemLine(ModemConfig{Name: "test", Open: func() (serial.Port, error) { return nil, broken }})
	if err := l.Up(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("Up: %v", err)
	}
	if err := l.Down(t.Context()); err != nil {
		t.Errorf("Down, with nothing dialled: %v", err)
	}
	if err := l.Reset(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Reset: %v", err)
	}
}

// TestDownDuringUp ends a call that is still coming up, at many moments of it,
// and once for each moment by Down and by Up's own context.
func TestDownDuringUp(t *testing.T) {
	opt := modemtest.Options{Up: 2400, Down: 2400, Delay: 900 * time.Millisecond, DialTime: 20 * time.Second}
	for after := 50 * time.Millisecond; after < 24*time.Second; after = after * 3 / 2 {
		for _, byContext := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l, dev := dialled(t, opt, &provider{bare: true})
				ctx, cancel := context.WithCancelCause(t.Context())
				enough := errors.New("enough")
				failed := make(chan error, 1)
				go func() { failed <- l.Up(ctx, nil) }()
				time.Sleep(after)
				want := ErrClosed
				if byContext {
					cancel(enough)
					want = enough
					if err := <-failed; !errors.Is(err, want) {
						t.Errorf("Up cancelled after %v: %v", after, err)
					}
				}
				begun := time.Now()
				second := make(chan error, 1)
				go func() { second <- l.Down(t.Context()) }()
				if err := l.Down(t.Context()); err != nil {
					t.Errorf("Down after %v: %v\n%s", after, err, l.Transcript())
				}
				if err := <-second; err != nil {
					t.Errorf("the other Down after %v: %v", after, err)
				}
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("Down after %v took %v", after, took)
				}
				if !byContext {
					if err := <-failed; !errors.Is(err, want) {
						t.Errorf("Up taken down after %v: %v", after, err)
					}
				}
				if dev.Counters().OffHook {
					t.Errorf("off-hook after Down after %v", after)
				}
				cancel(nil)
			})
		}
	}
}

// TestWontHangUp: a line that stays open is reported, within the limit, each
// time anybody asks, until it is down. Nothing is dialled over it.
func TestWontHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The far end holds the line and says nothing.
		dev := modemtest.New(modemtest.Options{IgnoreDTR: true, IgnoreEscape: true})
		defer dev.Close()
		l := lineTo(dev)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := l.Up(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for range 2 {
			var e *modem.HangupError
			begun := time.Now()
			if err := l.Down(t.Context()); !errors.As(err, &e) {
				t.Errorf("Down with the carrier up: %v", err)
			}
			if took := time.Since(begun); took > DownLimit {
				t.Errorf("Down took %v", took)
			}
			if err := l.Up(t.Context(), nil); !errors.As(err, &e) {
				t.Errorf("Up with the carrier up: %v", err)
			}
		}
		if dials := dev.Counters().Dials; dials != 1 {
			t.Errorf("%d dials", dials)
		}
		dev.Set(func(o *modemtest.Options) { o.IgnoreDTR = false })
		if err := l.Down(t.Context()); err != nil {
			t.Errorf("Down once the modem obeys: %v", err)
		}
		if dev.Counters().OffHook {
			t.Error("off-hook")
		}
	})
}

// TestDownContext: who gives up waiting is told that nothing is confirmed, and
// the hang-up goes on.
func TestDownContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dev := dialled(t, modemtest.Options{DialTime: time.Minute, IgnoreAbort: true}, &provider{bare: true})
		failed := make(chan error, 1)
		go func() { failed <- l.Up(t.Context(), nil) }()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var e *modem.HangupError
		if err := l.Down(ctx); !errors.As(err, &e) || !errors.Is(err, context.Canceled) {
			t.Errorf("Down with its context at its end: %v", err)
		}
		<-failed
		if err := l.Down(t.Context()); err != nil {
			t.Error(err)
		}
		if dev.Counters().OffHook {
			t.Error("off-hook")
		}
	})
}

// TestModemPulledOut: nothing can be confirmed about a modem that is gone; once
// it is back, on whatever port, it can, by Down or by the next Up.
func TestModemPulledOut(t *testing.T) {
	for _, again := range []string{"Down", "Up", "Reset"} {
		synctest.Test(t, func(t *testing.T) {
			dev := modemtest.New(modemtest.Options{Answer: "BUSY"})
			defer dev.Close()
			var port serial.Port
			gone := false
			l := lineTo(dev)
			l.cfg.Open = func() (serial.Port, error) {
				if gone {
					return nil, errors.New("no such port")
				}
				port = dev.Port()
				return port, nil
			}
			if err := l.Up(t.Context(), nil); resultIn(err) != modem.Busy {
				t.Fatal(err)
			}
			gone = true
			port.Close()
			var e *modem.HangupError
			for range 2 {
				if err := l.Down(t.Context()); !errors.As(err, &e) {
					t.Errorf("Down without a modem: %v", err)
				}
				if err := l.Up(t.Context(), nil); !errors.As(err, &e) {
					t.Errorf("Up without a modem: %v", err)
				}
			}
			gone = false
			switch again {
			case "Up":
				if err := l.Up(t.Context(), nil); resultIn(err) != modem.Busy {
					t.Errorf("Up with the modem back: %v", err)
				}
				if err := l.Reset(t.Context()); err == nil {
					t.Error("Reset on a line in use")
				}
			case "Reset":
				if err := l.Reset(t.Context()); err != nil {
					t.Errorf("Reset with the modem back: %v", err)
				}
			}
			if err := l.Down(t.Context()); err != nil {
				t.Errorf("Down with the modem back: %v", err)
			}
			if !strings.Contains(l.Transcript(), "BUSY") {
				t.Errorf("transcript: %s", l.Transcript())
			}
		})
	}
}

// TestReset finds a modem that was left in the middle of a call.
func TestReset(t *testing.T) {
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dev := modemtest.New(modemtest.Options{IgnoreDTR: true}) // else closing the port hangs up
			defer dev.Close()
			if open {
				m := modem.New(dev.Port(), quick(), modem.Options{})
				if err := m.Init(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := m.Dial(t.Context(), "1"); err != nil {
					t.Fatal(err)
				}
				m.Close() // the process died
				if !dev.Counters().OffHook {
					t.Fatal("the call has ended by itself")
				}
				dev.Set(func(o *modemtest.Options) { o.IgnoreDTR = false })
			}
			l := lineTo(dev)
			if err := l.Reset(t.Context()); err != nil {
				t.Fatalf("%v\n%s", err, l.Transcript())
			}
			if c := dev.Counters(); c.OffHook || c.Hangups != c.Connects {
				t.Errorf("%+v\n%s", c, l.Transcript())
			}
			if l.Transcript() == "" {
				t.Error("no transcript")
			}
			if err := l.Reset(t.Context()); err != nil { // and again
				t.Error(err)
			}
		})
	}
}

// TestResetSilent: a modem that doesn't answer isn't called on-hook.
func TestResetSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := modemtest.New(modemtest.Options{HoldCTS: true, NoStatusBits: true})
		defer dev.Close()
		var e *modem.HangupError
		begun := time.Now()
		if err := lineTo(dev).Reset(t.Context()); !errors.As(err, &e) {
			t.Errorf("Reset of a dead modem: %v", err)
		}
		if took := time.Since(begun); took > DownLimit {
			t.Errorf("took %v", took)
		}
	})
}

// TestCarrierLost drops the carrier of a line that is up: everything on it ends
// within a second, with the cause.
func TestCarrierLost(t *testing.T) {
	noLeak(t)
	l, dev := dialled(t, modemtest.Options{}, &provider{})
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c, err := l.DialContext(t.Context(), "tcp", farAddr.String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, []byte("hello"))
	broken := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(c, make([]byte, 1))
		broken <- err
	}()
	cut := time.Now()
	dev.Cut()
	<-l.Lost()
	err = <-broken
	if kindIn(err) != LineLost || !errors.Is(err, modem.ErrCarrierLost) {
		t.Errorf("the connection says %v", err)
	}
	if took := time.Since(cut); took > time.Second {
		t.Errorf("found out after %v", took)
	}
	if kindOfPPP(l.Err()) != ppp.CarrierLost {
		t.Errorf("the line says %v", l.Err())
	}
	if _, err := l.DialContext(t.Context(), "tcp", farAddr.String()+":7"); kindIn(err) != LineLost {
		t.Errorf("dialling on a lost line: %v", err)
	}
	if err := l.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Up(t.Context(), nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if l.Err() != nil {
		t.Errorf("the next call knows of the last one's end: %v", l.Err())
	}
	if err := l.Down(t.Context()); err != nil {
		t.Error(err)
	}
}
