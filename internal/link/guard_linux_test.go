package link

import (
	"errors"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"outpost/internal/peers"
)

// sends says what the kernel says to a datagram of a user's out of wan0.
// A packet that the guard drops on its way out is told to who sent it. Whose a
// socket is depends on the thread's file system user when it is made.
func sends(t *testing.T, uid int) error {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(uid); err != nil {
		t.Fatal(err)
	}
	h := newHostNet(hostOptions{Interface: "wan0", Strict: true})
	c, err := (&net.Dialer{Control: h.tied}).DialContext(t.Context(), "udp", farAddr.String()+":9")
	if err := unix.Setfsuid(0); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Write([]byte("anybody there?"))
	return err
}

func TestGuard(t *testing.T) {
	peers.Need(t, "nft")
	if !apart(t) {
		return
	}
	tun := newTunnel(t, "wan0")
	defer tun.Close()
	system(t, "ip", "addr", "add", nearAddr.String()+"/24", "dev", "wan0")
	system(t, "ip", "link", "set", "wan0", "up")
	const ours, theirs = 65533, 65532
	g := newGuard("my line", "wan0")
	g.uid = ours
	check := func(when string, uid int, want error) {
		t.Helper()
		if err := sends(t, uid); !errors.Is(err, want) {
			t.Errorf("%s, user %d: %v", when, uid, err)
		}
	}
	for range 2 { // the second finds the table of a crash
		if err := g.install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check("guarded", ours, nil)
	check("guarded", theirs, syscall.EPERM)
	check("guarded", 0, syscall.EPERM)
	other := newGuard("other", "wan1") // for another interface: nobody's business here
	if err := other.install(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing to do
		if err := g.remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check("removed", theirs, nil)
	out, err := exec.CommandContext(t.Context(), "nft", "list", "tables").Output()
	if err != nil || strings.TrimSpace(string(out)) != "table inet outpost_other" {
		t.Errorf("tables %q, %v", out, err)
	}

	g.table = "1st; no name"
	var e *ProgramError
	if err := g.install(t.Context()); !errors.As(err, &e) || e.Advice() == "" || !strings.Contains(e.Said, "syntax error") {
		t.Errorf("rules that nft doesn't take: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := findProgram("no-nft-here"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no such program: %v", err)
	}
}

// needGuard ends the test unless it can put up a guard.
func needGuard(t *testing.T) {
	t.Helper()
	peers.NeedRoot(t, "only root puts up a guard")
	peers.Need(t, "nft")
}
