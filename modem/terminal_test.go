package modem

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// screen keeps what the modem says.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// person is somebody at a terminal.
type person struct {
	rig
	keys *io.PipeWriter
	screen
	done chan error
}

func sitDown(t *testing.T, opt modemtest.Options) *person {
	in, keys := io.Pipe()
	p := &person{rig: newRig(t, opt, Generic()), keys: keys, done: make(chan error, 1)}
	t.Cleanup(func() { keys.Close() })
	go func() { p.done <- p.Converse(t.Context(), Terminal{In: in, Out: p, Escape: 0x1d}) }()
	return p
}

// What is typed goes to the modem as it stands, what it says is shown as it stands,
// and a call placed by hand is on nobody's mind but ours.
func TestConverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sitDown(t, modemtest.Options{Echo: true, DialTime: 30 * time.Second, ConnectLine: "CONNECT 9600"})
		p.keys.Write([]byte("AT"))
		p.keys.Write([]byte("I\r"))
		synctest.Wait()
		if want := "ATI\r\r\nOutpost test modem 33600\r\n\r\nOK\r\n"; p.String() != want {
			t.Errorf("the screen shows %q", p)
		}
		p.keys.Write([]byte("ATDT1\r"))
		time.Sleep(time.Minute)
		far, err := p.device.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		far.Write([]byte("login: "))
		synctest.Wait()
		if !strings.HasSuffix(p.String(), "CONNECT 9600\r\nlogin: ") {
			t.Errorf("the screen shows %q", p)
		}
		p.keys.Write([]byte("ab\x1dcd"))
		if err := <-p.done; err != nil {
			t.Error(err)
		}
		got := make([]byte, 8)
		if n, _ := far.Read(got); string(got[:n]) != "ab" {
			t.Errorf("the far end got %q", got[:n])
		}
		p.hangUp()
		p.logged("DTR low, DCD down")
	})
}

// However it ends, the modem is ours again.
func TestConverseEnds(t *testing.T) {
	in(t, "end of input", func(t *testing.T) {
		p := sitDown(t, modemtest.Options{})
		p.keys.Close()
		if err := <-p.done; err != nil {
			t.Error(err)
		}
		p.init()
	})
	in(t, "the terminal fails", func(t *testing.T) {
		p := sitDown(t, modemtest.Options{})
		gone := errors.New("gone")
		p.keys.CloseWithError(gone)
		if err := <-p.done; !errors.Is(err, gone) {
			t.Error(err)
		}
	})
	in(t, "the port fails", func(t *testing.T) {
		p := sitDown(t, modemtest.Options{})
		synctest.Wait()
		p.device.Close()
		if err := <-p.done; err == nil || !strings.Contains(err.Error(), "port fails") {
			t.Error(err)
		}
	})
	in(t, "a hang-up from elsewhere", func(t *testing.T) {
		p := sitDown(t, modemtest.Options{NoStatusBits: true})
		synctest.Wait()
		p.hangUp()
		if err := <-p.done; !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
	})
	in(t, "flow control is stuck", func(t *testing.T) {
		r := newRig(t, modemtest.Options{HoldCTS: true}, Profile{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.Converse(ctx, Terminal{In: strings.NewReader("AT\r"), Out: io.Discard})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A script's lines wait for their answers: a modem drops the command it is at when the
// next is typed.
func TestScript(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		opt    modemtest.Options
		quiet  time.Duration
		want   string
		took   time.Duration
	}{
		"a question":        {"ATI\n", modemtest.Options{}, 0, "\r\nOutpost test modem 33600\r\n\r\nOK\r\n", 0},
		"no line end":       {"AT", modemtest.Options{}, 0, "\r\nOK\r\n", 0},
		"lines of DOS":      {"ATE0\r\nAT\r\n", modemtest.Options{Echo: true}, 0, "ATE0\r\r\nOK\r\n\r\nOK\r\n", 0},
		"a dial, awaited":   {"ATDT1\nATI\n", modemtest.Options{DialTime: 50 * time.Second, Answer: "BUSY"}, time.Minute, "\r\nBUSY\r\n\r\nOutpost test modem 33600\r\n\r\nOK\r\n", 50 * time.Second},
		"silence":           {"ATQ1\nAT\n", modemtest.Options{}, 0, "", 2 * defaultQuiet},
		"nothing":           {"", modemtest.Options{}, 0, "", 0},
		"numbers for words": {"ATV0\nAT\n", modemtest.Options{}, 0, "0\r0\r", 0},
	} {
		in(t, name, func(t *testing.T) {
			r := newRig(t, c.opt, Generic())
			var out screen
			begun := time.Now()
			if err := r.Converse(t.Context(), Terminal{In: strings.NewReader(c.script), Out: &out, Script: true, Quiet: c.quiet}); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("the modem said %q", &out)
			}
			if took := time.Since(begun); took != c.took {
				t.Errorf("took %v", took)
			}
		})
	}
	in(t, "a line too long", func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, Generic())
		err := r.Converse(t.Context(), Terminal{In: strings.NewReader(strings.Repeat("x", 4*maxLine)), Out: io.Discard, Script: true})
		if err == nil || !strings.Contains(err.Error(), "longer than") {
			t.Error(err)
		}
	})
}
