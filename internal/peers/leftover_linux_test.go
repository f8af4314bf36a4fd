package peers

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// alive lists the processes whose command line, environment or working folder
// mentions dir. One that has ended but that nobody has waited for mentions nothing.
func alive(t *testing.T, dir string) []string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range processes {
		cmdline, _ := os.ReadFile(filepath.Join(p, "cmdline")) //nolint:errcheck // it may have ended
		environ, _ := os.ReadFile(filepath.Join(p, "environ"))
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		if strings.Contains(string(cmdline)+"\x00"+string(environ)+"\x00"+cwd, dir) {
			found = append(found, strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return found
}

// A leftover of one test would answer, or hold a port or a pty of, another one.
func TestNothingStaysBehind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		start func(t *testing.T) (dir string, addresses []string)
	}{
		{"Dovecot", func(t *testing.T) (string, []string) {
			d := Dovecot(t, DovecotOptions{Users: map[string]string{"joe": "secret"}})
			return d.dir, []string{d.POP3, d.POP3S}
		}},
		{"Postfix", func(t *testing.T) (string, []string) {
			p := Postfix(t, PostfixOptions{})
			return p.dir, []string{p.SMTP, p.Submission, p.SMTPS}
		}},
		{"slirp", func(t *testing.T) (string, []string) {
			wire, dir := slirp(t)
			if _, err := wire.Read(make([]byte, 1)); err != nil { // it is under way
				t.Error(err)
			}
			return dir, nil
		}},
		{"pppd", func(t *testing.T) (string, []string) {
			far := PPPD(t, PPPDOptions{})
			if _, err := far.Read(make([]byte, 1)); err != nil { // it is under way
				t.Error(err)
			}
			return far.guest.dir, nil
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var dir string
			var addresses []string
			if !t.Run("while it runs", func(t *testing.T) {
				dir, addresses = test.start(t)
				if len(alive(t, dir)) == 0 {
					t.Error("no process was found, so none would be afterwards")
				}
			}) || dir == "" {
				return // failed, or skipped for want of the server
			}
			if left := alive(t, dir); len(left) > 0 {
				t.Errorf("still running: %q", left)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s: %v, want it gone", dir, err)
			}
			for _, address := range addresses {
				if conn, err := net.Dial("tcp", address); err == nil {
					conn.Close()
					t.Errorf("%s still answers", address)
				}
			}
		})
	}
}
