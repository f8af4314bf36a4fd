package link

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// terminal is a pretend VSAT terminal: an interface that its commands bring up and
// take down, each after a while.
type terminal struct {
	appears time.Duration // from the command's end to the address
	takes   time.Duration // for each command
	failUp  error
	fails   int  // calls of down that fail
	stays   bool // the address stays although down says that it went well

	mu    sync.Mutex
	state ifState
	octet [2]int64
	ran   []string
}

var vsatAddr = netip.MustParseAddr("192.0.2.7")

func (d *terminal) look(string) ifState {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state
}

func (d *terminal) set(up bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = ifState{up: up}
	if up {
		d.state.addrs = []netip.Addr{vsatAddr}
	}
}

func (d *terminal) octets(string) (up, down int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.state.up {
		return 0, 0, errors.New("no such interface")
	}
	return d.octet[0], d.octet[1], nil
}

func (d *terminal) count(up, down int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.octet = [2]int64{up, down}
}

func (d *terminal) run(ctx context.Context, argv, env []string, said func(string)) error {
	d.mu.Lock()
	d.ran = append(d.ran, argv[0])
	d.mu.Unlock()
	said("terminal of " + strings.Join(env, " "))
	if !pause(ctx, d.takes) {
		return context.Cause(ctx)
	}
	if argv[0] == "up" {
		if d.failUp != nil {
			return d.failUp
		}
		time.AfterFunc(d.appears, func() { d.set(true) })
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return errors.New("exit status 3")
	}
	if !d.stays {
		d.state = ifState{}
	}
	return nil
}

// commands gives what was run so far.
func (d *terminal) commands() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.ran, " ")
}

func vsat(d *terminal, edit func(*NetConfig)) *NetLine {
	cfg := NetConfig{
		Name: "vsat", UpCommand: []string{"up", "--now"}, DownCommand: []string{"down"}, CommandLimit: time.Minute,
		Interface: "sat0", AddressLimit: 30 * time.Second,
	}
	if edit != nil {
		edit(&cfg)
	}
	l := NewNetLine(cfg)
	l.ground = ground{d.look, d.octets, d.run}
	return l
}

// lostIn says how long it takes until the line counts as lost.
func lostIn(l *NetLine, limit time.Duration) (time.Duration, bool) {
	begun := time.Now()
	select {
	case <-l.Lost():
		return time.Since(begun), true
	case <-time.After(limit):
		return 0, false
	}
}

func TestNetLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{takes: 8 * time.Second, appears: 5 * time.Second}
		l := vsat(d, nil)
		if l.Lost() != nil || !l.Connected().IsZero() || l.Transcript() != "" || l.Number() != "" {
			t.Error("a line that was never up has a past")
		}
		if _, err := l.DialContext(t.Context(), "tcp", "192.0.2.1:25"); kindIn(err) != LineLost {
			t.Errorf("dialling before Up: %v", err)
		}
		for range 2 {
			begun := time.Now()
			var phases []string
			onPhase := func(phase string) {
				phases = append(phases, phase)
				if up := !l.Connected().IsZero(); up != (phase == PhaseLinking) {
					t.Errorf("in phase %s, charged: %v", phase, up)
				}
			}
			if err := l.Up(t.Context(), onPhase); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); took < 13*time.Second || took > 14*time.Second {
				t.Errorf("up after %v", took)
			}
			if !slices.Equal(phases, []string{PhaseDialling, PhaseLinking}) || !l.Connected().Equal(begun) {
				t.Errorf("phases %v, charged from %v", phases, l.Connected())
			}
			if err := l.Up(t.Context(), nil); err == nil {
				t.Error("Up on a line that is up")
			}
			if err := l.Reset(t.Context()); err == nil {
				t.Error("Reset on a line that is up")
			}
			time.Sleep(time.Hour)
			if l.Proof() != "" {
				t.Errorf("up, and there is proof that it isn't: %s", l.Proof())
			}
			if err := l.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.Down(t.Context()); err != nil {
				t.Errorf("Down again: %v", err)
			}
			if _, lost := lostIn(l, time.Minute); lost || l.Err() != nil {
				t.Errorf("Down counts as a loss: %v", l.Err())
			}
		}
		if got := l.Proof(); got != "down_command succeeded, sat0 is down or has no address" {
			t.Errorf("proof: %s", got)
		}
		if got := d.commands(); got != "up down up down" {
			t.Errorf("ran %s", got)
		}
		for _, want := range []string{"> up --now\n", "OUTPOST_LINE=vsat OUTPOST_INTERFACE=sat0", "sat0 has [192.0.2.7]", "> down\n", "done after 8s"} {
			if !strings.Contains(l.Transcript(), want) {
				t.Errorf("no %q in:\n%s", want, l.Transcript())
			}
		}
	})
}

func TestNetLineFails(t *testing.T) {
	refused := errors.New("exit status 1")
	for _, c := range []struct {
		name    string
		dev     *terminal
		edit    func(*NetConfig)
		check   func(error) bool
		charged bool
	}{
		{"the command fails", &terminal{failUp: refused}, nil, func(err error) bool { return errors.Is(err, refused) }, false},
		{"the command doesn't end", &terminal{takes: time.Hour}, func(c *NetConfig) { c.DownCommand = nil },
			func(err error) bool { return strings.Contains(err.Error(), "not done after 1m0s") }, false},
		{"no address", &terminal{appears: time.Hour}, nil, func(err error) bool { return kindIn(err) == NoAddress }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := c.dev
				l := vsat(d, c.edit)
				if err := l.Up(t.Context(), nil); err == nil || !c.check(err) {
					t.Errorf("Up: %v", err)
				}
				if charged := !l.Connected().IsZero(); charged != c.charged {
					t.Errorf("charged: %v", charged)
				}
				if err := l.Down(t.Context()); err != nil {
					t.Errorf("Down: %v", err)
				}
				if len(l.cfg.DownCommand) > 0 && d.commands() != "up down" {
					t.Errorf("ran %s", d.commands())
				}
				if _, err := l.DialContext(t.Context(), "tcp", "192.0.2.1:25"); kindIn(err) != LineLost {
					t.Errorf("dialling after Down: %v", err)
				}
			})
		})
	}
}

// A line that down_command doesn't take down is reported each time, and nothing
// is brought up over it.
func TestNetLineStaysUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{fails: 3}
		l := vsat(d, nil)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		var down *DownError
		if err := l.Down(t.Context()); !errors.As(err, &down) || down.Advice() == "" {
			t.Errorf("Down: %v", err)
		}
		if err := l.Up(t.Context(), nil); !errors.As(err, &down) {
			t.Errorf("Up over a line that isn't down: %v", err)
		}
		if err := l.Reset(t.Context()); !errors.As(err, &down) {
			t.Errorf("Reset: %v", err)
		}
		if err := l.Down(t.Context()); err != nil || d.commands() != "up down down down down" {
			t.Errorf("%v, ran %s", err, d.commands())
		}

		d.stays = true // it says that it went well, and it didn't
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Down(t.Context()); !errors.As(err, &down) || !strings.Contains(err.Error(), "sat0 is still up") {
			t.Errorf("Down with an interface that stays: %v", err)
		}
		d.stays = false
		if err := l.Down(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An interface that was there before says nothing about the line.
func TestNetLineOnSharedInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{stays: true}
		d.set(true)
		l := vsat(d, nil)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := l.Down(t.Context()); err != nil || d.commands() != "up down" {
			t.Errorf("%v, ran %s", err, d.commands())
		}
	})
}

func TestNetLineIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{}
		l := vsat(d, nil)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		d.set(false) // a renewed lease
		time.Sleep(lookInterval)
		d.set(true)
		if _, lost := lostIn(l, time.Minute); lost {
			t.Error("lost by a moment's absence")
		}
		d.set(false)
		took, lost := lostIn(l, time.Minute)
		if !lost || took > time.Second || !errors.Is(l.Err(), errGone) {
			t.Errorf("lost: %v after %v, %v", lost, took, l.Err())
		}
		if _, err := l.DialContext(t.Context(), "tcp", "192.0.2.1:25"); kindIn(err) != LineLost || !errors.Is(err, errGone) {
			t.Errorf("dialling on a lost line: %v", err)
		}
		if err := l.Down(t.Context()); err != nil || d.commands() != "up down" {
			t.Errorf("%v, ran %s", err, d.commands())
		}
	})
}

// The end comes at any moment of Up; whatever was begun is taken down.
func TestNetLineDownDuringUp(t *testing.T) {
	for after := time.Second; after < 15*time.Second; after += 3 * time.Second {
		synctest.Test(t, func(t *testing.T) {
			d := &terminal{takes: 8 * time.Second, appears: 5 * time.Second}
			l := vsat(d, nil)
			failed := make(chan error, 1)
			go func() { failed <- l.Up(t.Context(), nil) }()
			time.Sleep(after)
			if err := l.Down(t.Context()); err != nil {
				t.Errorf("Down after %v: %v", after, err)
			}
			if err := <-failed; !errors.Is(err, ErrClosed) && after < 13*time.Second {
				t.Errorf("Up taken down after %v: %v", after, err)
			}
			if d.commands() != "up down" {
				t.Errorf("ran %s", d.commands())
			}
		})
	}
}

// Who can't wait for down_command is told, and may ask again.
func TestNetLineDownIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{takes: 40 * time.Second}
		l := vsat(d, nil)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		hasty, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var down *DownError
		if err := l.Down(hasty); !errors.As(err, &down) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Down: %v", err)
		}
		if err := l.Down(t.Context()); err != nil || d.commands() != "up down" {
			t.Errorf("%v, ran %s", err, d.commands())
		}
	})
}

// After a crash a line is taken down if a call had begun on it, and else left
// alone.
func TestNetLineReset(t *testing.T) {
	broken := errors.New("the ledger can't be read")
	for _, c := range []struct {
		open bool
		err  error
		ran  string
	}{{false, nil, ""}, {true, nil, "down"}, {false, broken, ""}} {
		synctest.Test(t, func(t *testing.T) {
			d := &terminal{}
			d.set(true)
			l := vsat(d, func(cfg *NetConfig) { cfg.Interrupted = func() (bool, error) { return c.open, c.err } })
			for range 2 { // the second finds it down already
				if err := l.Reset(t.Context()); !errors.Is(err, c.err) {
					t.Errorf("Reset: %v", err)
				}
			}
			if d.commands() != c.ran {
				t.Errorf("an open call: %v; ran %q", c.open, d.commands())
			}
			if err := l.Up(t.Context(), nil); err != nil {
				t.Error(err)
			}
			if err := l.Down(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
