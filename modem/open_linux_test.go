package modem

import (
	"os"
	"os/exec"
	"strings"
	"testing"

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

// The library switches RTS/CTS off when it opens; ours is the last word.
func TestHardwareFlowControl(t *testing.T) {
	name := pseudoTerminal(t)
	port, err := OpenPort(name, 115200)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	on := func() bool {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skip(err) // exclusive, and we are not root
		}
		defer f.Close()
		attr, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return attr.Cflag&unix.CRTSCTS != 0
	}
	if on() {
		t.Error("hardware flow control is on where there is no CTS")
	}
	flow := openFlow(name)
	defer flow.close()
	flow.hardware()
	if !on() {
		t.Error("hardware flow control is off")
	}
}

func TestHolder(t *testing.T) {
	name := pseudoTerminal(t)
	if who := holder(name); who != "" {
		t.Errorf("we are %q ourselves", who)
	}
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command("cat")
	other.ExtraFiles = []*os.File{f}
	stdin, err := other.StdinPipe()
	if err == nil {
		err = other.Start()
	}
	f.Close()
	if err != nil {
		t.Skip(err)
	}
	defer other.Wait()
	defer stdin.Close()
	if who := holder(name); !strings.HasPrefix(who, "cat (process ") {
		t.Errorf("the port is held by %q", who)
	}
}
