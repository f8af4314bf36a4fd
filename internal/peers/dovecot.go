package peers

import (
	"bytes"
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
)

//go:embed dovecot.conf.tmpl
var dovecotConf string

// DovecotOptions says what boxes there are.
type DovecotOptions struct {
	Users       map[string]string // passwords by user name; neither may hold a colon
	LMTP        bool              // mail for a user's name is taken by LMTP; for other names it is refused
	LockSession bool              // a second login to a box in use waits 10 s and gets -ERR [IN-USE] (RFC 2449 §8.1.1)
}

// DovecotServer is a running Dovecot: POP3 boxes over Maildirs, UIDLs in Dovecot's
// own format, and LMTP into them. Its methods are for the goroutine of the test.
type DovecotServer struct {
	POP3  string // address: plain, with STLS
	POP3S string // address: implicit TLS
	LMTP  string // address: with STARTTLS; "" without DovecotOptions.LMTP

	t         testing.TB
	dir       string
	cert      certificate
	uid, gid  int // whose the Maildirs are
	delivered int
}

// Dovecot starts a Dovecot whose boxes are empty. It works for root and, all
// processes being the caller's own then, for an ordinary user.
func Dovecot(t testing.TB, opt DovecotOptions) *DovecotServer {
	t.Helper()
	Need(t, "dovecot", "pop3-login")
	d := &DovecotServer{POP3: freeAddress(t), POP3S: freeAddress(t), t: t, dir: folder(t)}
	if opt.LMTP {
		Need(t, "lmtp")
		d.LMTP = freeAddress(t)
	}
	d.cert = newCertificate(t, d.dir)
	var passwd strings.Builder
	for _, name := range slices.Sorted(maps.Keys(opt.Users)) {
		fmt.Fprintf(&passwd, "%s:%s::::::\n", name, opt.Users[name])
	}
	write(t, filepath.Join(d.dir, "passwd"), passwd.String())
	conf := filepath.Join(d.dir, "dovecot.conf")
	write(t, conf, d.configuration(opt))
	d.mkdir("boxes")
	for name := range opt.Users {
		d.mkdir("boxes", name)
		for _, part := range []string{"tmp", "new", "cur"} {
			d.mkdir("boxes", name, part)
		}
	}
	running := start(t, command(t, "dovecot", "-F", "-c", conf), filepath.Join(d.dir, "log"))
	running.awaitGreeting(t, d.POP3, nil)
	running.awaitGreeting(t, d.POP3S, d.ClientTLS())
	if opt.LMTP {
		running.awaitGreeting(t, d.LMTP, nil)
	}
	return d
}

// configuration fills in dovecot.conf. Dovecot reads no mail as root, and drops
// root's rights where it has them: to the users that its package made, and for the
// mail to Debian's user for that.
func (d *DovecotServer) configuration(opt DovecotOptions) string {
	d.t.Helper()
	me, err := user.Current()
	if err != nil {
		d.t.Fatal(err)
	}
	mail := me
	internal, login := me.Username, me.Username
	if os.Geteuid() == 0 {
		internal, login = "dovecot", "dovenull"
		if mail, err = user.Lookup("mail"); err != nil {
			d.t.Fatal(err)
		}
	}
	d.uid, d.gid = number(d.t, mail.Uid), number(d.t, mail.Gid)
	group := d.groupOf(internal)
	var text bytes.Buffer
	err = template.Must(template.New("dovecot.conf").Parse(dovecotConf)).Execute(&text, map[string]any{
		"Dir": d.dir, "Cert": d.cert.certFile, "Key": d.cert.keyFile,
		"Since24": d.since24(), "SASL": d.saslSocket(),
		"POP3Port": port(d.POP3), "POP3SPort": port(d.POP3S), "LMTPPort": port(d.LMTP), "LockSession": opt.LockSession,
		"InternalUser": internal, "InternalGroup": group, "LoginUser": login,
		"UID": d.uid, "GID": d.gid,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return text.String()
}

// since24 tells whether the Dovecot here reads a configuration in the form of 2.4.
func (d *DovecotServer) since24() bool {
	d.t.Helper()
	version, err := command(d.t, "dovecot", "--version").Output()
	if err != nil {
		d.t.Fatalf("dovecot --version: %v", err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(version), "%d.%d", &major, &minor); err != nil {
		d.t.Fatalf("dovecot --version says %q: %v", version, err)
	}
	return major > 2 || minor >= 4
}

// groupOf names a user's first group.
func (d *DovecotServer) groupOf(name string) string {
	d.t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		d.t.Fatal(err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		d.t.Fatal(err)
	}
	return g.Name
}

// ClientTLS returns the configuration of a client that trusts this server only.
func (d *DovecotServer) ClientTLS() *tls.Config { return d.cert.client() }

// Deliver puts a message with CRLF lines into a user's box, the way mail gets
// there in life: written to tmp, renamed into new, lines ending in LF (the form of
// Dovecot's own delivery). It goes behind those already there.
func (d *DovecotServer) Deliver(name string, message []byte) {
	d.t.Helper()
	d.delivered++
	// Dovecot numbers new mail in the order of these names.
	file := fmt.Sprintf("%d.M%06dP%d.%s", 1_000_000_000+d.delivered, d.delivered, os.Getpid(), serverName)
	temporary := filepath.Join(d.dir, "boxes", name, "tmp", file)
	write(d.t, temporary, string(bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))))
	d.own(temporary)
	if err := os.Rename(temporary, filepath.Join(d.dir, "boxes", name, "new", file)); err != nil {
		d.t.Fatal(err)
	}
}

// ChangeUIDLs has all messages in a user's box named anew, as when a provider moves
// it to another server: Dovecot makes UIDLs of what it keeps beside the mail, and of
// a number that it never gives again. Nobody may be in the box.
func (d *DovecotServer) ChangeUIDLs(name string) {
	d.t.Helper()
	box := filepath.Join(d.dir, "boxes", name)
	index, err := filepath.Glob(filepath.Join(box, "dovecot.index*"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, file := range append(index, filepath.Join(box, "dovecot-uidlist")) {
		if err := os.Remove(file); err != nil {
			d.t.Fatal(err)
		}
	}
}

// Left returns the messages that are still in a user's box, with CRLF lines, in
// the order that Deliver was called; those that came by LMTP in any.
func (d *DovecotServer) Left(name string) [][]byte {
	d.t.Helper()
	for {
		left, err := d.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a session moved or removed a message since we saw its name: look again
		}
		if err != nil {
			d.t.Fatal(err)
		}
		return left
	}
}

// read is one attempt of Left. It looks into new before cur, for that is the
// way messages go.
func (d *DovecotServer) read(name string) ([][]byte, error) {
	paths := make(map[string]string) // by file name without flags
	for _, part := range []string{"new", "cur"} {
		dir := filepath.Join(d.dir, "boxes", name, part)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			base, _, _ := strings.Cut(e.Name(), ":")
			paths[base] = filepath.Join(dir, e.Name())
		}
	}
	var left [][]byte
	for _, base := range slices.Sorted(maps.Keys(paths)) {
		text, err := os.ReadFile(paths[base])
		if err != nil {
			return nil, err
		}
		left = append(left, bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	}
	return left, nil
}

// saslSocket is where Postfix asks about passwords.
func (d *DovecotServer) saslSocket() string { return filepath.Join(d.dir, "sasl") }

// mkdir makes a folder that the mail processes may write to.
func (d *DovecotServer) mkdir(parts ...string) {
	d.t.Helper()
	path := filepath.Join(append([]string{d.dir}, parts...)...)
	if err := os.Mkdir(path, 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.own(path)
}

// own gives a file to the user that Dovecot reads mail as.
func (d *DovecotServer) own(path string) {
	d.t.Helper()
	if err := os.Chown(path, d.uid, d.gid); err != nil {
		d.t.Fatal(err)
	}
}

// number is a user's or group's number, as a number.
func number(t testing.TB, id string) int {
	t.Helper()
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
