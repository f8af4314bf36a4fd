package modem

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// Every modem that can be hung up is, and how is in the transcript.
func TestHangup(t *testing.T) {
	for _, c := range []struct {
		name  string
		opt   modemtest.Options
		p     Profile
		limit time.Duration
		how   string
	}{
		{"DTR", modemtest.Options{}, bare(), time.Second, "DTR low, DCD down"},
		{"DTR, but the cable has no DCD", modemtest.Options{PowerUp: "&C0"}, Profile{IgnoreDCD: true}, 6 * time.Second, "OK to ATH, DCD unknown"},
		{"deaf to DTR", modemtest.Options{IgnoreDTR: true}, bare(), 6 * time.Second, "OK to ATH, DCD down"},
		{"&D0", modemtest.Options{PowerUp: "&D0E1"}, bare(), 6 * time.Second, "OK to ATH, DCD down"},
		{"&D1 only escapes", modemtest.Options{PowerUp: "&D1"}, bare(), 6 * time.Second, "OK to ATH, DCD down"},
		{"&D3 resets", modemtest.Options{PowerUp: "&D3", Echo: true}, bare(), time.Second, "DTR low, DCD down"},
		{"no status bits", modemtest.Options{NoStatusBits: true}, bare(), 5 * time.Second, "OK to ATH, DCD unknown"},
		{"no status bits, V0", modemtest.Options{NoStatusBits: true, PowerUp: "V0E1"}, bare(), 5 * time.Second, "0 to ATH, DCD unknown"},
		{"ATH unknown, DTR does it", modemtest.Options{Refuse: []string{"H"}}, bare(), time.Second, "DTR low, DCD down"},
	} {
		in(t, c.name, func(t *testing.T) {
			c.opt.Up, c.opt.Down, c.opt.Delay = 9600, 9600, time.Second
			r := newRig(t, c.opt, c.p)
			conn, far := r.dial()
			exchange(t, conn, far)
			// Both directions are busy when it happens.
			go far.Write(make([]byte, 100_000))
			go conn.Write(make([]byte, 100_000))
			time.Sleep(5 * time.Second)
			begun := time.Now()
			r.hangUp()
			if d := time.Since(begun); d > c.limit {
				t.Errorf("took %v", d)
			}
			r.logged("-- hang-up: " + c.how)
			r.hangUp() // idempotent
			if n := r.device.Counters().Hangups; n != 1 {
				t.Errorf("%d hang-ups", n)
			}
			again, far := r.dial()
			exchange(t, again, far)
			r.hangUp()
		})
	}
}

// What cannot be hung up is never said to be, and can be tried again.
func TestHangupNotConfirmed(t *testing.T) {
	for _, c := range []struct {
		name    string
		opt     modemtest.Options
		carrier string
	}{
		{"deaf", modemtest.Options{IgnoreDTR: true, IgnoreEscape: true}, "up"},
		{"deaf without status bits", modemtest.Options{NoStatusBits: true, IgnoreEscape: true}, "unknown"},
		{"says OK and stays", modemtest.Options{IgnoreDTR: true, IgnoreHangup: true}, "up"},
		{"stuck flow control", modemtest.Options{NoStatusBits: true, HoldCTS: true}, "unknown"},
	} {
		in(t, c.name, func(t *testing.T) {
			hold := c.opt.HoldCTS
			c.opt.HoldCTS = false
			r := newRig(t, c.opt, bare())
			conn, _ := r.dial()
			r.device.Set(func(o *modemtest.Options) { o.HoldCTS = hold })
			go conn.Write(make([]byte, 10_000))
			time.Sleep(time.Second)
			begun := time.Now()
			err := r.Hangup(t.Context())
			var he *HangupError
			if !errors.As(err, &he) || he.Carrier != c.carrier || he.Hint == "" || len(he.Tried) == 0 {
				t.Fatalf("%v, %+v", err, he)
			}
			if !strings.Contains(err.Error(), "not confirmed") {
				t.Errorf("not loud: %v", err)
			}
			if d := time.Since(begun); d > 30*time.Second {
				t.Errorf("took %v", d)
			}
			if _, err := r.Dial(t.Context(), "1"); err == nil {
				t.Error("dialled on an open line")
			}
			r.device.Set(func(o *modemtest.Options) {
				*o = modemtest.Options{NoStatusBits: o.NoStatusBits}
			})
			r.hangUp()
		})
	}
}

// A write that flow control holds for ever does not hold the hang-up.
func TestHangupWithStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		conn, _ := r.dial()
		r.device.Set(func(o *modemtest.Options) { o.HoldCTS = true })
		wrote := make(chan error, 1)
		go func() {
			_, err := conn.Write(make([]byte, 100_000))
			wrote <- err
		}()
		time.Sleep(time.Hour)
		begun := time.Now()
		r.hangUp()
		if d := time.Since(begun); d > time.Second {
			t.Errorf("took %v", d)
		}
		if err := <-wrote; !errors.Is(err, ErrClosed) {
			t.Errorf("the write ended with %v", err)
		}
		if up := r.device.Counters().Up; up != 0 {
			t.Errorf("%d octets of the stuck write went out", up)
		}
	})
}

// A watchdog hangs up while another goroutine initialises or dials.
func TestHangupInterrupts(t *testing.T) {
	in(t, "a dial", func(t *testing.T) {
		r := newRig(t, modemtest.Options{DialTime: time.Minute}, bare())
		dialled := make(chan error)
		go func() {
			_, err := r.Dial(t.Context(), "1")
			dialled <- err
		}()
		time.Sleep(30 * time.Second)
		go func() {
			if err := <-dialled; !errors.Is(err, ErrInterrupted) {
				t.Errorf("Dial: %v", err)
			}
			dialled <- nil
		}()
		begun := time.Now()
		r.hangUp()
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		<-dialled
	})
	in(t, "an init", func(t *testing.T) {
		p := Profile{Init: []Step{{Send: "ATZ", Timeout: time.Hour}}}
		r := newRig(t, modemtest.Options{}, p)
		done := make(chan error, 1)
		go func() { done <- r.Init(t.Context()) }()
		synctest.Wait()
		r.hangUp()
		if err := <-done; err != nil && !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
	})
	in(t, "each other", func(t *testing.T) {
		r := newRig(t, modemtest.Options{IgnoreDTR: true}, bare())
		r.dial()
		errs := make(chan error, 5)
		for range cap(errs) {
			go func() { errs <- r.Hangup(t.Context()) }()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := r.device.Counters(); n.Hangups != 1 || n.OffHook {
			t.Errorf("%+v", n)
		}
	})
}

// With no time left DTR is dropped all the same, and nothing is claimed that was not seen.
func TestHangupWithoutTime(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, modemtest.Options{IgnoreDTR: deaf}, bare())
			r.dial()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := r.Hangup(ctx)
			if open := r.device.Counters().OffHook; open != deaf || (err != nil) != deaf {
				t.Errorf("off-hook %v, %v", open, err)
			}
			if deaf && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
}

// After a lost carrier the modem is on-hook by itself, and it is seen.
func TestHangupAfterCarrierLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		conn, _ := r.dial()
		r.device.Cut()
		if _, err := conn.Read(make([]byte, 100)); err != nil {
			t.Fatal(err) // NO CARRIER
		}
		r.hangUp()
		r.logged("DTR low, DCD down")
	})
}

func TestCloseDropsDTR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		conn, _ := r.dial()
		read := make(chan error)
		go func() {
			_, err := conn.Read(make([]byte, 1))
			read <- err
		}()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if r.device.Counters().OffHook {
			t.Error("a closed modem holds the line")
		}
		var he *HangupError
		if err := r.Hangup(t.Context()); !errors.As(err, &he) {
			t.Errorf("a hang-up nobody saw: %v", err)
		}
		if _, err := r.Dial(t.Context(), "1"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := r.Init(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// At start-up, on a port that a killed process left in whatever state.
func TestOnHook(t *testing.T) {
	for _, c := range []struct {
		name   string
		opt    modemtest.Options
		onLine bool
		want   bool
		fails  bool
	}{
		{"idle", modemtest.Options{Echo: true}, false, true, false},
		{"idle, no status bits", modemtest.Options{NoStatusBits: true}, false, true, false},
		{"switched off", modemtest.Options{HoldCTS: true}, false, false, true},
		{"on line", modemtest.Options{IgnoreDTR: true}, true, false, false},
		{"on line, no status bits", modemtest.Options{NoStatusBits: true}, true, false, true},
	} {
		in(t, c.name, func(t *testing.T) {
			device := modemtest.New(c.opt)
			defer device.Close()
			if c.onLine { // dialled by somebody who was killed: the kernel closes the port
				before := device.Port()
				before.Write([]byte("ATDT1\r"))
				before.Close()
				if !device.Counters().OffHook {
					t.Fatal("the line is down")
				}
			}
			m := New(device.Port(), bare(), Options{})
			defer m.Close()
			on, err := m.OnHook(t.Context())
			if on != c.want || (err != nil) != c.fails {
				t.Errorf("OnHook: %v, %v", on, err)
			}
			if c.onLine {
				if err := m.Hangup(t.Context()); err != nil || device.Counters().OffHook {
					t.Errorf("hang-up: %v\n%s", err, m.Transcript())
				}
			}
		})
	}
}
