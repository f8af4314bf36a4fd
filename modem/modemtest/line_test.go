package modemtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// dialled is a call in its data phase.
func dialled(t *testing.T, opt Options) (*Modem, terminal, io.ReadWriteCloser) {
	t.Helper()
	m := New(opt)
	p := newTerminal(t, m)
	p.send("ATDT5551234\r")
	time.Sleep(opt.DialTime)
	if got := p.heard(); got == "" {
		t.Fatal("no CONNECT")
	}
	far, err := m.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m, p, far
}

func octets(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7)
	}
	return p
}

func TestDataPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, far := dialled(t, Options{Up: 9600, Down: 9600, Delay: 300 * time.Millisecond, DialTime: 20 * time.Second})
		if !p.dcd() {
			t.Error("DCD is down in a call")
		}
		begun := time.Now()
		p.send("up")
		buf := make([]byte, 2)
		if _, err := io.ReadFull(far, buf); err != nil || string(buf) != "up" {
			t.Fatalf("far end reads %q, %v", buf, err)
		}
		// Two octets are 20 bits.
		if d, want := time.Since(begun), 300*time.Millisecond+2*time.Second*10/9600; (d - want).Abs() > 2 {
			t.Errorf("two octets took %v, want %v", d, want)
		}
		far.Write([]byte("down"))
		time.Sleep(time.Second)
		if got := p.heard(); got != "down" {
			t.Errorf("DTE reads %q", got)
		}
		p.SetDTR(false)
		if p.dcd() {
			t.Error("DCD is up after DTR dropped")
		}
		if _, err := far.Read(buf); err != io.EOF {
			t.Errorf("far end after the hang-up: %v, want EOF", err)
		}
		if _, err := far.Write(buf); err == nil {
			t.Error("far end still writes after the hang-up")
		}
		c := m.Counters()
		if c.Dials != 1 || c.Connects != 1 || c.Hangups != 1 || c.Up != 2 || c.Down != 4 || c.OffHook {
			t.Errorf("counters: %+v", c)
		}
	})
}

// The last octet of a frame arrives at its exact time, over any number of frames.
func TestPacing(t *testing.T) {
	for _, rate := range []int{2400, 9600, 33600} {
		synctest.Test(t, func(t *testing.T) {
			_, p, far := dialled(t, Options{Up: rate, Down: rate, Delay: 600 * time.Millisecond})
			const frames, size = 100, 296
			begun := time.Now()
			go func() {
				for range frames {
					p.Write(octets(size))
				}
			}()
			buf := make([]byte, size)
			for i := range frames {
				if _, err := io.ReadFull(far, buf); err != nil {
					t.Fatal(err)
				}
				bits := time.Duration(i+1) * size * 10
				want := 600*time.Millisecond + bits*time.Second/time.Duration(rate)
				// The writer is woken once a quarter of the modem's buffer is free, so the line
				// never runs dry; what is off is a nanosecond of rounding a write.
				if d := time.Since(begun) - want; d.Abs() > time.Microsecond && i == frames-1 || d > tick {
					t.Fatalf("%d bit/s: frame %d off by %v", rate, i, d)
				}
				if !bytes.Equal(buf, octets(size)) {
					t.Fatalf("frame %d damaged", i)
				}
			}
		})
	}
}

// A reader that waits is woken about once a tick, not once an octet.
func TestChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, far := dialled(t, Options{Up: 33600})
		p.send(string(octets(3360)))
		reads, got := 0, 0
		buf := make([]byte, 4096)
		for got < 3360 {
			n, err := far.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			reads, got = reads+1, got+n
		}
		if most := int(time.Second/tick) + 1; reads > most {
			t.Errorf("a second's octets took %d reads, want at most %d", reads, most)
		}
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, far := dialled(t, Options{Up: 9600, Down: 9600, Buffer: 960})
		begun := time.Now()
		p.send(string(octets(960)))
		if d := time.Since(begun); d != 0 {
			t.Errorf("a write that fits blocked for %v", d)
		}
		bits, _ := p.GetModemStatusBits()
		if bits.CTS {
			t.Error("CTS is up with a full buffer")
		}
		p.send(string(octets(960)))
		// A second of line time has to go before the second buffer full is taken.
		if d := time.Since(begun); (d - time.Second).Abs() > time.Millisecond {
			t.Errorf("the second write took %v, want 1s", d)
		}
		// Nobody reads at the far end: the line fills and stands still.
		wrote := make(chan int)
		go func() {
			n, _ := p.Write(octets(100_000))
			wrote <- n
		}()
		select {
		case n := <-wrote:
			t.Errorf("%d octets vanished into a line that nobody reads", n)
		case <-time.After(time.Hour):
		}
		n, err := io.CopyN(io.Discard, far, 101_920)
		if err != nil || n != 101_920 || <-wrote != 100_000 {
			t.Errorf("then %d octets, %v", n, err)
		}
	})
}

func TestCarrierLoss(t *testing.T) {
	const size = 500
	for _, c := range []struct {
		name     string
		opt      Options
		up, down int // octets that come through
	}{
		{"both", Options{CutAfter: 301}, -1, -1},
		{"up", Options{CutAfterUp: 77}, 77, -1},
		{"down", Options{CutAfterDown: 78}, -1, 78},
		{"first octet", Options{CutAfter: 1}, -1, -1},
	} {
		for _, rate := range []int{0, 9600} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opt := c.opt
					opt.Up, opt.Down, opt.Delay = rate, rate/2, 100*time.Millisecond
					m, p, far := dialled(t, opt)
					go far.Write(octets(size))
					go p.Write(octets(size))
					up, err := io.ReadAll(far)
					if err != nil {
						t.Fatal(err)
					}
					down := []byte(p.heard())
					down, said := bytes.CutSuffix(down, []byte("\r\nNO CARRIER\r\n"))
					if !said || p.dcd() {
						t.Errorf("NO CARRIER said: %v, DCD %v", said, p.dcd())
					}
					n := m.Counters()
					if int(n.Up) != len(up) || int(n.Down) != len(down) {
						t.Errorf("counted %d up, %d down; came %d, %d", n.Up, n.Down, len(up), len(down))
					}
					if !bytes.HasPrefix(octets(size), up) || !bytes.HasPrefix(octets(size), down) {
						t.Error("octets damaged")
					}
					switch {
					case c.up >= 0 && len(up) != c.up, c.down >= 0 && len(down) != c.down,
						opt.CutAfter > 0 && int64(len(up)+len(down)) != opt.CutAfter:
						t.Errorf("came through: %d up, %d down", len(up), len(down))
					}
				})
			})
		}
	}
}

func TestCutLosesWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, far := dialled(t, Options{Up: 9600, Down: 9600, Delay: time.Second})
		p.send("lost")
		time.Sleep(900 * time.Millisecond)
		m.Cut()
		if got, err := io.ReadAll(far); len(got) != 0 || err != nil {
			t.Errorf("far end got %q, %v", got, err)
		}
		if got := p.heard(); got != "\r\nNO CARRIER\r\n" {
			t.Errorf("the modem says %q", got)
		}
		m.Cut() // on-hook: nothing
		if n := m.Counters().Hangups; n != 1 {
			t.Errorf("%d hang-ups", n)
		}
	})
}

func TestFarEndHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, far := dialled(t, Options{Up: 9600, Down: 9600, Delay: time.Second})
		far.Write([]byte("bye"))
		far.Close()
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("read after close: %v", err)
		}
		time.Sleep(2 * time.Second)
		if got := p.heard(); got != "bye\r\nNO CARRIER\r\n" {
			t.Errorf("the DTE reads %q", got)
		}
	})
}

func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, far := dialled(t, Options{Up: 9600, FreezeAfter: 480, FreezeFor: 70 * time.Second})
		begun := time.Now()
		p.send(string(octets(960)))
		buf := make([]byte, 960)
		io.ReadFull(far, buf[:480])
		if d := time.Since(begun); (d - 500*time.Millisecond).Abs() > time.Microsecond {
			t.Errorf("the first half took %v", d)
		}
		io.ReadFull(far, buf[480:])
		if d := time.Since(begun); (d - 71*time.Second).Abs() > time.Microsecond {
			t.Errorf("all of it took %v, want 71s", d)
		}
		if !bytes.Equal(buf, octets(960)) {
			t.Error("octets damaged by a freeze")
		}
		m.Freeze(time.Minute)
		p.send("x")
		far.Read(buf)
		if d := time.Since(begun); d < 131*time.Second {
			t.Errorf("an octet came after %v, in the second freeze", d)
		}
	})
}

func TestErrorRate(t *testing.T) {
	damage := func(seed uint64) (wrong int) {
		synctest.Test(t, func(t *testing.T) {
			_, p, far := dialled(t, Options{ErrorRate: 0.01, Seed: seed})
			go p.Write(octets(20_000))
			got := make([]byte, 20_000)
			io.ReadFull(far, got)
			for i, b := range octets(20_000) {
				if got[i] != b {
					wrong += i
				}
			}
		})
		return wrong
	}
	one := damage(1)
	if n := one / 10_000; n < 120 || n > 300 { // 200 errors, 10,000 octets from the front on average
		t.Errorf("about %d octets of 20,000 wrong, want about 200", n)
	}
	if damage(1) != one || damage(2) == one {
		t.Error("errors do not follow the seed")
	}
}

func TestEscape(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name          string
		before, after time.Duration
		text          string
		opt           Options
		escapes       bool
	}{
		{"as it should be", s, s, "+++", Options{}, true},
		{"no silence before", s / 2, s, "+++", Options{}, false},
		{"no silence after", s, s / 2, "+++", Options{}, false},
		{"four", s, s, "++++", Options{}, false},
		{"within text", s, s, "a+++", Options{}, false},
		{"a deaf modem", s, s, "+++", Options{IgnoreEscape: true}, false},
		{"guard time set", s / 5, s / 5, "+++", Options{PowerUp: "S12=10"}, true},
		{"switched off", s, s, "+++", Options{PowerUp: "S2=128"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p, far := dialled(t, c.opt)
				p.send("data")
				time.Sleep(c.before)
				p.send(c.text)
				time.Sleep(c.after)
				if !c.escapes {
					p.send("more")
					if got := p.heard(); got != "" || !p.dcd() {
						t.Fatalf("escaped: %q", got)
					}
					return
				}
				p.want("", "\r\nOK\r\n")
				far.Write([]byte("meanwhile"))
				p.want("ATO\r", "\r\nCONNECT\r\nmeanwhile")
				time.Sleep(s)
				p.send("+++")
				time.Sleep(s + s/100)
				p.want("ATH\r", "\r\nOK\r\n\r\nOK\r\n")
				if p.dcd() || m.Counters().OffHook {
					t.Error("ATH did not hang up")
				}
			})
		})
	}
}

func TestStubbornModem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, _ := dialled(t, Options{IgnoreDTR: true, IgnoreHangup: true})
		p.SetDTR(false)
		p.SetDTR(true)
		time.Sleep(time.Second)
		p.send("+++")
		time.Sleep(time.Second + time.Millisecond)
		p.want("ATH\r", "\r\nOK\r\n\r\nOK\r\n")
		if !p.dcd() || !m.Counters().OffHook {
			t.Error("a modem that does not hang up did")
		}
	})
}

func TestDialIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{DialTime: time.Minute})
		p := newTerminal(t, m)
		p.send("ATDT1\r\n") // the LF is no keystroke
		time.Sleep(30 * time.Second)
		if !m.Counters().OffHook {
			t.Fatal("not off-hook while dialling")
		}
		p.want("x", "\r\nNO CARRIER\r\n")
		time.Sleep(time.Minute)
		if c := m.Counters(); c.OffHook || c.Connects != 0 || c.OffHookTime != 0 {
			t.Errorf("an aborted dial went on: %+v", c)
		}
	})
}

// The meter runs from CONNECT to the hang-up, over all calls.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, _ := dialled(t, Options{DialTime: 20 * time.Second})
		begun := time.Now().Add(-50 * time.Millisecond) // heard waits that long
		time.Sleep(30 * time.Second)
		if d := m.Counters().OffHookTime; d != time.Since(begun) {
			t.Errorf("the meter shows %v in the call", d)
		}
		p.Close() // as a killed process does: DTR falls with the last port
		want := time.Since(begun)
		time.Sleep(time.Hour)
		if c := m.Counters(); c.OffHookTime != want || c.OffHook {
			t.Errorf("after the call: %v, want %v", c.OffHookTime, want)
		}
	})
}

func TestStuckFlowControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, _ := dialled(t, Options{HoldCTS: false})
		m.Set(func(o *Options) { o.HoldCTS = true })
		done := make(chan error)
		go func() {
			_, err := p.Write([]byte("stuck"))
			done <- err
		}()
		select {
		case <-done:
			t.Fatal("a write passed without CTS")
		case <-time.After(time.Hour):
		}
		p.ResetOutputBuffer()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := m.Counters().Up; n != 0 {
			t.Errorf("%d purged octets went out", n)
		}
	})
}

func TestNoStatusBits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, _ := dialled(t, Options{NoStatusBits: true})
		if _, err := p.GetModemStatusBits(); err == nil {
			t.Error("there are status bits")
		}
		if err := p.SetDTR(false); err == nil || !m.Counters().OffHook {
			t.Error("there is a DTR")
		}
	})
}

// Everything that waits ends with the modem, and synctest sees to it that nothing is left.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p, far := dialled(t, Options{Up: 300, Down: 300, CutAfter: 1 << 20})
		p.SetReadTimeout(-1)
		ends := make(chan error)
		buf := make([]byte, 10)
		go func() { _, err := p.Read(buf); ends <- err }()
		go func() { _, err := p.Write(octets(10_000)); ends <- err }()
		go func() { _, err := io.Copy(io.Discard, far); ends <- err }()
		go func() { _, err := m.Accept(context.Background()); ends <- err }()
		time.Sleep(time.Second)
		m.Close()
		failed := 0
		for range 4 {
			if err := <-ends; err != nil {
				failed++
			}
		}
		if failed != 3 { // the far end's copy ends with EOF
			t.Errorf("%d of 3 waits ended with an error", failed)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAcceptCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{})
		defer m.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := m.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A full minute both ways at once: each direction at its own full rate, nothing lost.
func TestBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, far := dialled(t, Options{Up: 9600, Down: 9600, Delay: 300 * time.Millisecond})
		p.SetReadTimeout(-1)
		const n = 57_600
		begun := time.Now()
		go p.Write(octets(n))
		go far.Write(octets(n))
		got := make(chan int64)
		go func() { k, _ := io.CopyN(io.Discard, far, n); got <- k }()
		if k, err := io.CopyN(io.Discard, p, n); k != n || err != nil {
			t.Error(k, err)
		}
		if k := <-got; k != n {
			t.Error(k)
		}
		if d := time.Since(begun) - time.Minute - 300*time.Millisecond; d.Abs() > time.Microsecond {
			t.Errorf("a minute's octets are off by %v", d)
		}
	})
}
