package modem

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Who has the port is in the error, also of a port that would let us in.
func TestHolder(t *testing.T) {
	name := pseudoTerminal(t)
	if user := holder(name); user != nil {
		t.Errorf("we are %v ourselves", user)
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
		t.Fatal(err)
	}
	defer other.Wait()
	defer stdin.Close()
	if user := holder(name); user == nil || user.Name != "cat" || user.PID != other.Process.Pid {
		t.Errorf("the port is held by %v", user)
	}
	dir := t.TempDir()
	_, err = OpenPort(PortOptions{Name: name, LockDirs: []string{dir}, OnlyFree: true})
	var oe *OpenError
	if !errors.As(err, &oe) || oe.User == nil || !strings.Contains(err.Error(), "in use by cat (process ") || oe.Hint == "" {
		t.Errorf("opening a port that is in use: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("a port that was not opened stays locked: %v", left)
	}
}
