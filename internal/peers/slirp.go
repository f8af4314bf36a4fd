package peers

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// SlirpHost is the address by which slirp's guest reaches the loopback of the
// machine, and so the other servers of this package, on the ports they have there.
const SlirpHost = "10.0.2.2"

// Slirp starts a slirp that talks PPP, and returns the far end of its serial
// line. It says a few lines of text first, as many a provider does, and asks for no
// password. It serves one link: when that has been terminated, it ends.
//
// Close may be called at any time, and is when the test ends. Reads fail once
// slirp has ended.
func Slirp(t testing.TB) io.ReadWriteCloser {
	t.Helper()
	wire, _ := slirp(t)
	return wire
}

// slirp returns the folder too.
func slirp(t testing.TB) (wire io.ReadWriteCloser, dir string) {
	t.Helper()
	Need(t, "slirp-fullbolt")
	dir = folder(t)
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if master, err = pollable(master); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	// No line discipline: every octet of a frame must come through as it is.
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil { //nolint:gosec // a descriptor fits
		t.Fatal(err)
	}
	cmd := command(t, "slirp-fullbolt", "-P")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir) // nobody's .slirprc
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	start(t, cmd, filepath.Join(dir, "log"))
	// Slirp's are the only ones now, so that its end is the line's end.
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return master, dir
}
