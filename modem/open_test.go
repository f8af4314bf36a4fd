package modem

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"outpost/modem/modemtest"
)

func TestOpenPortErrors(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, hint := range map[string]string{
		filepath.Join(t.TempDir(), "ttyUSB9"): "no such port",
		plain:                                 "not a serial port",
	} {
		port, err := OpenPort(PortOptions{Name: name, Baud: 9600, LockDirs: []string{}})
		var oe *OpenError
		if port != nil || !errors.As(err, &oe) || oe.Name != name {
			t.Fatalf("%v, %v", port, err)
		}
		if runtime.GOOS == "linux" && !strings.Contains(oe.Hint, hint) {
			t.Errorf("%v: hint %q", err, oe.Hint)
		}
	}
}

// The one test with real time and the real library: a pseudo-terminal has no modem
// status bits, so this is the way down by +++ and ATH, with the words of the modem.
func TestPseudoTerminal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("pseudo-terminals are served on Linux")
	}
	device := modemtest.New(modemtest.Options{Echo: true, ConnectLine: "CONNECT 33600"})
	defer device.Close()
	name, err := device.PTY()
	if err != nil {
		t.Fatal(err)
	}
	port, err := OpenPort(PortOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	p := Generic()
	p.Init = append(p.Init, Step{Send: "ATS12=5"}) // a guard time of 0.1 s
	p.GuardTime = 150 * time.Millisecond
	m := New(port, p, Options{})
	r := rig{m, t, device}
	r.init()
	conn, far := r.dial()
	exchange(t, conn, far)
	r.hangUp()
	r.logged("OK to ATH, DCD unknown")
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(m.Transcript())
	}
}
