// Package peers starts the real servers that Outpost is tested against: Dovecot
// as the provider's POP3 boxes or the office's mail server, Postfix as the
// provider's smarthost, slirp and pppd as its PPP servers. None of them shares a line
// of code with Outpost, so what they accept and what they hand out is a second
// opinion on every protocol here.
//
// A test asks for a server and gets it up, answering, with its own folder, its
// own ports of 127.0.0.1 and its own certificate:
//
//	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{"joe": "secret"}})
//	smarthost := peers.Postfix(t, peers.PostfixOptions{Auth: boxes})
//	takenOver := peers.OpenDovecotIMAP(t, maildir)
//	wire := peers.Slirp(t)
//	far := peers.PPPD(t, peers.PPPDOptions{Options: []string{"require-chap"}})
//
// Slirp is a process of the machine, and reaches the other servers. A pppd needs a
// kernel that speaks PPP: it runs in a Linux booted for it, see Guest.
//
// Invariant: when the test ends, its servers have ended too, by the process
// group that each was started in, and their folders are gone; nothing of the
// machine's own installation (its /etc, its services, its queues) is read or
// touched. When the test has failed, it shows what the servers logged.
//
// A server that isn't installed is never passed over in silence: see Need.
//
// The package imports testing, and only tests import it. It knows nothing of
// Outpost, not even its mail: bytes go in, bytes come out.
package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Need ends the test unless all these programs are installed: with CI=true in
// the environment it fails, elsewhere it is skipped. Both ways the last line
// says what could not be run, and how to come by it (of a skipped test only "go
// test -v" shows it; scripts/peers.sh, which "make test" runs first, says it always).
// The servers of this package call it for themselves; tests call it for anything
// else they run.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		giveUp(t, "the servers of the tests are started on Linux only")
	}
	var missing []string
	for _, name := range programs {
		if find(name) == "" {
			missing = append(missing, fmt.Sprintf("%s is not installed (Debian: package %s)", name, debianPackage(name)))
		}
	}
	if len(missing) > 0 {
		giveUp(t, strings.Join(missing, "; ")+`; "make peers" as root installs what the tests talk to`)
	}
}

// NeedRoot ends the test, as Need does, unless it runs as root.
func NeedRoot(t testing.TB, why string) {
	t.Helper()
	if os.Geteuid() != 0 {
		giveUp(t, why+"; run the tests as root")
	}
}

// giveUp is the one place that decides between skipping and failing.
func giveUp(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s cannot run, and with CI=true that is a failure: %s", t.Name(), reason)
	}
	t.Skipf("%s was NOT run: %s", t.Name(), reason)
}

// find returns the path of a program, or "" if it isn't there. An ordinary
// user's PATH often lacks the folders where servers are, and Dovecot keeps its
// protocols in a folder that is in nobody's.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{
		"/usr/sbin", "/usr/local/sbin",
		"/usr/lib/dovecot", "/usr/libexec/dovecot", "/usr/local/libexec/dovecot",
	} {
		// One that we may not run counts too: Debian's pppd is for the group dip only.
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// debianPackage names the package that brings a program; without an entry it is
// called like the program.
func debianPackage(program string) string {
	switch program {
	case "dovecot", "pop3-login":
		return "dovecot-pop3d"
	case "imap":
		return "dovecot-imapd"
	case "mbsync":
		return "isync"
	case "lmtp":
		return "dovecot-lmtpd"
	case "ip":
		return "iproute2"
	case "linux.uml":
		return "user-mode-linux"
	case "pppd":
		return "ppp"
	case "ldd":
		return "libc-bin"
	case "go":
		return "golang-go"
	case "nft":
		return "nftables"
	case "slirp-fullbolt":
		return "slirp"
	default:
		return program
	}
}

// Folder makes a folder that servers which drop root's rights can walk through, as they
// can't through t.TempDir's. It is removed when the test has ended.
func Folder(t testing.TB) string { return folder(t) }

// folder makes the folder of one server, removed when the test has ended.
// It isn't t.TempDir's: that one is named after the test, and the path of a Unix
// socket may have no more than 108 octets (unix(7)), 104 on a Mac.
// Servers that drop root's rights must be able to walk through it.
func folder(t testing.TB) string {
	t.Helper()
	parent := os.TempDir()
	if len(parent) > 40 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("a server's folder stays behind: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	return dir
}

// write makes a file of a server's folder.
func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // read by servers that dropped root's rights
		t.Fatal(err)
	}
}
