package modem

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"outpost/modem/modemtest"
)

func pseudoTerminal(t *testing.T) string {
	t.Helper()
	device := modemtest.New(modemtest.Options{})
	t.Cleanup(func() { device.Close() })
	name, err := device.PTY()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// settings are a port's, by a descriptor of the test's own.
func settings(t *testing.T, name string) *unix.Termios {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err) // exclusive, and we are not root
	}
	defer f.Close()
	attr, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return attr
}

// The library switches all flow control off when it opens; ours is the last word, in
// what the kernel says afterwards.
func TestFlowControl(t *testing.T) {
	for _, c := range []struct {
		flow, want Flow
		note       string
	}{
		{"", NoFlow, "no CTS"}, // the default, on a port without modem status lines
		{RTSCTS, NoFlow, "no CTS"},
		{XONXOFF, XONXOFF, ""},
		{NoFlow, NoFlow, ""},
	} {
		var notes []string
		name := pseudoTerminal(t)
		port, err := OpenPort(PortOptions{Name: name, Flow: c.flow, LockDirs: []string{}, Note: func(s string) { notes = append(notes, s) }})
		if err != nil {
			t.Fatal(err)
		}
		set := settings(t, name)
		if got := flowOf(set); got != c.want {
			t.Errorf("%q: the port has %s", c.flow, got)
		}
		if set.Cflag&unix.HUPCL == 0 {
			t.Errorf("%q: a killed process would leave DTR up", c.flow)
		}
		if got := strings.Join(notes, "; "); (got == "") != (c.note == "") || !strings.Contains(got, c.note) {
			t.Errorf("%q: noted %q", c.flow, got)
		}
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	}
	// A pseudo-terminal has no CTS, but it keeps the setting.
	name := pseudoTerminal(t)
	s := openSide(name)
	defer s.close()
	if err := s.setFlow(RTSCTS); err != nil || flowOf(settings(t, name)) != RTSCTS {
		t.Errorf("%v, %s", err, flowOf(settings(t, name)))
	}
}

// A driver that takes the settings and does not keep them is found out.
func TestFlowControlRefused(t *testing.T) {
	for _, flow := range []Flow{RTSCTS, XONXOFF} {
		var kept unix.Termios
		err := setFlow(flow, func() (*unix.Termios, error) { t := kept; return &t, nil }, func(t *unix.Termios) error {
			kept = *t
			kept.Cflag &^= unix.CRTSCTS
			kept.Iflag &^= unix.IXOFF
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "no "+string(flow)) {
			t.Errorf("%s: %v", flow, err)
		}
	}
	gone := errors.New("gone")
	for n := range 3 {
		calls := 0
		fail := func() error {
			if calls++; calls == n+1 {
				return gone
			}
			return nil
		}
		err := setFlow(NoFlow, func() (*unix.Termios, error) { return new(unix.Termios), fail() }, func(*unix.Termios) error { return fail() })
		if !errors.Is(err, gone) {
			t.Errorf("fault %d: %v", n, err)
		}
	}
}

// XOFF holds what is written and XON lets it go; a hang-up that empties the buffer
// also ends a stop that nobody would ever end.
func TestXOFFHolds(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	port, err := OpenPort(PortOptions{Name: slave.Name(), Flow: XONXOFF, LockDirs: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	heard := make(chan byte, 8)
	go func() {
		for b := make([]byte, 1); ; heard <- b[0] {
			if _, err := io.ReadFull(master, b); err != nil {
				return
			}
		}
	}()
	hears := func(want byte) {
		t.Helper()
		select {
		case got := <-heard:
			if got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q was never heard", want)
		}
	}
	for round, release := range []func(){
		func() { master.Write([]byte{xon}) },
		func() { port.ResetOutputBuffer() },
	} {
		if _, err := master.Write([]byte{'a', xoff}); err != nil {
			t.Fatal(err)
		}
		// The a has been read, so the kernel has seen the XOFF behind it as well: a
		// pseudo-terminal hands over what is written in one piece.
		if _, err := io.ReadFull(port, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		wrote := make(chan error, 1)
		go func() { _, err := port.Write([]byte{'1'}); wrote <- err }()
		select {
		case got := <-heard:
			t.Fatalf("round %d: %q came through an XOFF", round, got)
		case <-time.After(50 * time.Millisecond):
		}
		release()
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		hears('1')
	}
}
