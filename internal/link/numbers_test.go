package link

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// numbered is a line with three numbers to a provider behind a log-in, inside a bubble.
func numbered(t *testing.T, opt modemtest.Options, change func(*ModemConfig)) (*ModemLine, *modemtest.Modem) {
	t.Helper()
	dev := modemtest.New(opt)
	p := &provider{password: "secret", bare: true}
	door := modemtest.Login{User: "office", Password: "secret", Echo: true, EchoPassword: true}.At(dev)
	p.work.Go(func() {
		for {
			var call io.ReadWriteCloser
			call, err := door.Accept(context.Background())
			if err != nil {
				return
			}
			p.work.Go(func() { p.answer(call) })
		}
	})
	t.Cleanup(func() {
		dev.Close()
		p.work.Wait()
	})
	cfg := ModemConfig{
		Name: "test", Number: "111", Others: []string{"222", "333"}, Profile: quick(), Secrets: []string{"secret"},
		Open: func() (serial.Port, error) { return dev.Port(), nil },
		PPP:  ppp.Config{User: "office", Password: "secret"},
		Login: modem.Login{Abort: []string{"incorrect"}, Steps: []modem.LoginStep{
			{Expect: "ogin:", Send: "office"}, {Expect: "word:", Send: "secret"}, {Expect: "PPP"},
		}},
	}
	if change != nil {
		change(&cfg)
	}
	return NewModemLine(cfg), dev
}

// A number that is not reached is followed by the next, and then by a log-in and PPP;
// what was said is in the transcript, the password is not.
func TestNumbersAndLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dev := numbered(t, modemtest.Options{DialTime: 5 * time.Second, ByNumber: map[string]string{"111": "BUSY", "222": "RINGING\nNO ANSWER"}}, nil)
		if l.Number() != "111" {
			t.Errorf("before the call the number is %s", l.Number())
		}
		// A bare provider has no TCP/IP stack, nor have we one in a bubble: PPP is up is enough.
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatalf("%v\n%s", err, l.Transcript())
		}
		up, down := l.Counters()
		if c := dev.Counters(); up < 15 || up > c.Up || down < 30 || down > c.Down || !slices.Equal(c.Numbers, []string{"T111", "T222", "T333"}) {
			t.Errorf("%d up, %d down of %+v", up, down, c)
		}
		if l.Number() != "333" {
			t.Errorf("the number is %s", l.Number())
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l.Number() != "333" {
			t.Errorf("after the call the number is %s", l.Number())
		}
		for _, said := range []string{"> ATDT111\n", "< BUSY\n", "< NO ANSWER\n", "< login:\n", "> office\n", "> ***\n", "DCD down"} {
			if !strings.Contains(l.Transcript(), said) {
				t.Errorf("the transcript lacks %q:\n%s", said, l.Transcript())
			}
		}
		if strings.Contains(l.Transcript(), "secret") {
			t.Errorf("the password shows:\n%s", l.Transcript())
		}
		if c := dev.Counters(); c.OffHook {
			t.Error("off-hook")
		}
	})
}

func TestNumbersInVain(t *testing.T) {
	for _, c := range []struct {
		name    string
		numbers map[string]string
		dialled []string
		says    []string
	}{
		{"nobody there", map[string]string{"111": "BUSY", "222": "NO CARRIER", "333": "NO ANSWER"}, []string{"T111", "T222", "T333"},
			[]string{"number 111", `"BUSY"`, "number 222", `"NO CARRIER"`, "number 333", `"NO ANSWER"`}},
		{"no dial tone for any", map[string]string{"111": "BUSY", "222": "NO DIALTONE"}, []string{"T111", "T222"},
			[]string{"number 111", "number 222", `"NO DIALTONE"`}},
		{"no card", map[string]string{"111": "+CME ERROR: 10"}, []string{"T111"}, []string{"number 111", "+CME ERROR: 10"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, dev := numbered(t, modemtest.Options{DialTime: time.Second, ByNumber: c.numbers}, nil)
				err := l.Up(t.Context(), nil)
				var de *modem.DialError
				if !errors.As(err, &de) || de.Advice() == "" {
					t.Fatalf("%v", err)
				}
				for _, s := range c.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("%v: lacks %s", err, s)
					}
				}
				if got := dev.Counters().Numbers; !slices.Equal(got, c.dialled) {
					t.Errorf("dialled %v", got)
				}
				if err := l.Down(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Between two numbers a call can be ended as at any time.
func TestNumbersCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dev := numbered(t, modemtest.Options{Answer: "BUSY"}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), numberPause/2)
		defer cancel()
		if err := l.Up(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if n := dev.Counters().Dials; n != 1 {
			t.Errorf("dialled %d times", n)
		}
		if err := l.Down(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A log-in that fails ends the call on-hook, with what was heard.
func TestLoginFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dev := numbered(t, modemtest.Options{Down: 9600, Delay: 300 * time.Millisecond}, func(c *ModemConfig) { c.Login.Steps[1].Send = "wrong" })
		err := l.Up(t.Context(), nil)
		var le *modem.LoginError
		if !errors.As(err, &le) || le.Abort != "" && le.Abort != "incorrect" {
			t.Fatalf("%v", err)
		}
		if l.Connected().IsZero() {
			t.Error("the call was answered, and costs")
		}
		if err := l.Down(t.Context()); err != nil {
			t.Error(err)
		}
		if c := dev.Counters(); c.OffHook || c.Connects != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// Down ends a log-in under way.
func TestLoginInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dev := numbered(t, modemtest.Options{}, func(c *ModemConfig) { c.Login.Steps[0].Expect = "never" })
		time.AfterFunc(10*time.Second, func() { _ = l.Down(context.Background()) })
		begun := time.Now()
		if err := l.Up(t.Context(), nil); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if d := time.Since(begun); d > 11*time.Second {
			t.Errorf("took %v", d)
		}
		if err := l.Down(t.Context()); err != nil {
			t.Error(err)
		}
		if dev.Counters().OffHook {
			t.Error("off-hook")
		}
	})
}
