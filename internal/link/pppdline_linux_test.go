package link

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"outpost/modem"
	"outpost/modem/modemtest"
)

// pppdTo is a line with the system's pppd to a provider on a simulated modem.
func pppdTo(t *testing.T, opt modemtest.Options, p *provider, edit func(*PPPDConfig)) (*PPPDLine, *modemtest.Modem) {
	t.Helper()
	over, dev := dialled(t, opt, p)
	cfg := PPPDConfig{Modem: over.cfg, Dir: t.TempDir(), Unit: 87}
	cfg.Modem.Rate, cfg.Modem.RTT = opt.Up, 2*opt.Delay
	if edit != nil {
		edit(&cfg)
	}
	l := NewPPPDLine(cfg)
	t.Cleanup(func() { _ = l.Down(context.Background()) })
	return l, dev
}

// down takes a line down and wants to see that.
func down(t *testing.T, l *PPPDLine, dev *modemtest.Modem) {
	t.Helper()
	if err := l.Down(t.Context()); err != nil {
		t.Errorf("Down: %v\n%s", err, l.Transcript())
	}
	if dev.Counters().OffHook {
		t.Error("off-hook after Down")
	}
	if lookAt("ppp87").up {
		t.Error("ppp87 is still there")
	}
	if r := l.run(); r != nil && r.process != nil {
		if err := r.process.Signal(syscall.Signal(0)); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("pppd lives on: %v", err)
		}
	}
	left, err := os.ReadDir(l.setup.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

// TestRealPPPD is the system's pppd and the kernel's TCP/IP against our own far
// end.
func TestRealPPPD(t *testing.T) {
	if !withPPP(t) {
		return
	}
	for _, c := range []struct {
		name string
		opt  modemtest.Options
		edit func(*PPPDConfig)
	}{
		{"at once", modemtest.Options{}, nil},
		{"slow", modemtest.Options{Up: 33600, Down: 33600, Delay: 75 * time.Millisecond}, nil},
		{"default route", modemtest.Options{}, func(c *PPPDConfig) { c.DefaultRoute = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, dev := pppdTo(t, c.opt, &provider{}, c.edit)
			for call := range 2 {
				if err := l.Up(t.Context(), nil); err != nil {
					t.Fatalf("%v\n%s", err, l.Transcript())
				}
				if _, err := os.Stat(l.setup.secretsFile()); err == nil {
					t.Error("the file with the password is still there")
				}
				conn, err := l.DialContext(t.Context(), "tcp", "echo.example:7")
				if err != nil {
					t.Fatalf("%v\n%s", err, l.Transcript())
				}
				pace := c.opt.Up / bitsPerOctet
				if pace > 0 {
					wantTied(t, conn, "ppp87", pace)
				}
				echoes(t, conn, make([]byte, 2000))
				if up, down := l.Counters(); up < 2000 || down < 2000 {
					t.Errorf("%d octets up, %d down", up, down)
				}
				routes, _ := os.ReadFile("/proc/net/route")
				if routed := strings.Contains(string(routes), "ppp87\t00000000"); routed != l.setup.DefaultRoute {
					t.Errorf("default route over the line: %v\n%s", routed, routes)
				}
				if strings.Contains(l.Transcript(), "secret") || !strings.Contains(l.Transcript(), "local  IP address "+nearAddr.String()) {
					t.Errorf("transcript:\n%s", l.Transcript())
				}
				down(t, l, dev)
				if _, err := conn.Write([]byte("x")); kindIn(err) != LineLost {
					t.Errorf("a connection outlived its line: %v", err)
				}
				if seen := dev.Counters(); seen.Connects != call+1 {
					t.Errorf("%+v", seen)
				}
			}
		})
	}
}

func TestRealPPPDFails(t *testing.T) {
	if !withPPP(t) {
		return
	}
	t.Run("wrong password", func(t *testing.T) {
		l, dev := pppdTo(t, modemtest.Options{}, &provider{password: "another"}, nil)
		err := l.Up(t.Context(), nil)
		var e *PPPDError
		if !errors.As(err, &e) || e.Code != 19 || e.Temporary || e.Peer == "" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v\n%s", err, l.Transcript())
		}
		down(t, l, dev)
	})
	t.Run("busy", func(t *testing.T) {
		l, dev := pppdTo(t, modemtest.Options{Answer: "BUSY"}, &provider{}, nil)
		if err := l.Up(t.Context(), nil); resultIn(err) != modem.Busy {
			t.Error(err)
		}
		down(t, l, dev)
	})
	t.Run("an option it doesn't know", func(t *testing.T) {
		l, dev := pppdTo(t, modemtest.Options{}, &provider{}, func(c *PPPDConfig) { c.Options = []string{"teapot"} })
		err := l.Up(t.Context(), nil)
		var e *PPPDError
		if !errors.As(err, &e) || e.Code != 2 || !strings.Contains(e.Why, "teapot") || dev.Counters().Dials != 0 {
			t.Errorf("%v, dialled %d times", err, dev.Counters().Dials)
		}
		down(t, l, dev)
	})
	t.Run("carrier lost", func(t *testing.T) {
		l, dev := pppdTo(t, modemtest.Options{}, &provider{}, nil)
		lost(t, l, func() { dev.Cut() }, modem.ErrCarrierLost)
		down(t, l, dev)
	})
	t.Run("pppd killed", func(t *testing.T) {
		l, dev := pppdTo(t, modemtest.Options{}, &provider{}, nil)
		lost(t, l, func() { _ = endGroup(l.run().process, true) }, nil)
		down(t, l, dev)
	})
}

// lost brings a line up, ends it, and wants connections to fail with the cause.
func lost(t *testing.T, l *PPPDLine, end func(), cause error) {
	t.Helper()
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatalf("%v\n%s", err, l.Transcript())
	}
	conn, err := l.DialContext(t.Context(), "tcp", farAddr.String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		failed <- err
	}()
	begun := time.Now()
	end()
	err = <-failed
	if took := time.Since(begun); kindIn(err) != LineLost || cause != nil && !errors.Is(err, cause) || took > time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	select {
	case <-l.Lost():
	case <-time.After(5 * time.Second):
		t.Fatalf("the line doesn't count as lost\n%s", l.Transcript())
	}
	var e *PPPDError
	if err := l.Err(); !errors.As(err, &e) || cause != nil && !errors.Is(err, cause) {
		t.Errorf("lost: %v", err)
	}
}
