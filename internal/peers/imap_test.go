package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"outpost/internal/imapd"
	"outpost/internal/maildir"
	"outpost/internal/peers"
)

// reading is the office's IMAP server, with one user, ann, whose password is "secret".
type reading struct {
	t           *testing.T
	home        string // ann's Maildir
	certificate string
	opt         imapd.Options
	srv         *imapd.Server
	host        string
	imap, imaps string // ports
	delivered   int
}

func openReading(t *testing.T) *reading {
	t.Helper()
	dir := peers.Folder(t)
	r := &reading{t: t, home: filepath.Join(dir, "ann"), host: "localhost"}
	r.opt = imapd.Options{
		MailDir: dir, Hostname: "gate.office.example",
		Authenticate: func(user, password string) (string, bool) { return user, user == "ann" && password == "secret" },
	}
	r.opt.TLS, r.certificate = peers.Certificate(t)
	r.start()
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *reading) start() {
	r.t.Helper()
	r.srv = imapd.New(r.opt)
	for _, l := range []struct {
		port  *string
		serve func(net.Listener) error
	}{{&r.imap, r.srv.Serve}, {&r.imaps, r.srv.ServeTLS}} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		*l.port = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		go func() { _ = l.serve(listener) }()
	}
}

func (r *reading) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		r.t.Error(err)
	}
}

// deliver puts a message with CRLF lines into a folder of ann's.
func (r *reading) deliver(folder string, message []byte) {
	r.t.Helper()
	r.delivered++
	d, err := maildir.Dir{Root: r.home}.Folder(folder)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = d.Deliver(fmt.Sprintf("%d.%d.gate", 1_700_000_000+r.delivered, r.delivered), func(w io.Writer) error {
		_, err := w.Write(message)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv.Changed("ann", folder)
}

// drop is deliver by a program that is in a hurry, and puts no sizes into names.
func (r *reading) drop(folder string, message []byte) {
	r.t.Helper()
	r.delivered++
	d, err := maildir.Dir{Root: r.home}.Folder(folder)
	if err != nil {
		r.t.Fatal(err)
	}
	name := fmt.Sprintf("%d.%d.mda", 1_700_000_000+r.delivered, r.delivered)
	if err := os.WriteFile(filepath.Join(d.Root, "new", name), bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a client that must succeed, and returns what it says.
func (r *reading) run(input string, program string, args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), program, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return string(out)
}

// ask logs in, selects a folder and gives a command.
func (r *reading) ask(folder, command string) []string {
	r.t.Helper()
	trust := x509.NewCertPool()
	pem, err := os.ReadFile(r.certificate)
	if err != nil || !trust.AppendCertsFromPEM(pem) {
		r.t.Fatal("the certificate can't be read", err)
	}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+r.imaps, &tls.Config{ServerName: "localhost", RootCAs: trust})
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "a LOGIN ann secret\r\nb SELECT %s\r\nc %s\r\nd LOGOUT\r\n", folder, command); err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for in := bufio.NewScanner(conn); in.Scan(); {
		line := in.Text()
		switch {
		case strings.HasPrefix(line, "b "):
			lines = nil
		case strings.HasPrefix(line, "c OK"):
			return lines
		case strings.HasPrefix(line, "c "):
			r.t.Fatalf("%s: %s", command, line)
		default:
			lines = append(lines, strings.TrimPrefix(line, "* "))
		}
	}
	r.t.Fatalf("%s: the connection ended", command)
	return nil
}

// tree is what a folder holds: the content of each file, by its path, but for the times
// and caches that programs keep.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, root)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameTree fails unless nothing has changed.
func sameTree(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	bad := 0
	for path := range after {
		if before[path] != after[path] {
			if _, ok := before[path]; !ok {
				t.Errorf("%s: %s is new", what, path)
			} else {
				t.Errorf("%s: %s has changed", what, path)
			}
			bad++
		}
		if bad > 5 {
			return
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok && bad < 5 {
			t.Errorf("%s: %s is gone", what, path)
			bad++
		}
	}
}

// mbsync writes mbsync's configuration.
func (r *reading) mbsync(dir string) string {
	r.t.Helper()
	conf := filepath.Join(dir, "mbsyncrc")
	text := fmt.Sprintf(`IMAPStore far
Host %s
Port %s
User ann
Pass secret
SSLType IMAPS
CertificateFile %s

MaildirStore near
Path %[4]s/near/
Inbox %[4]s/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState %[4]s/state/
`, r.host, r.imaps, r.certificate, dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	for _, sub := range []string{"near", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			r.t.Fatal(err)
		}
	}
	return conf
}

// mirrored are the messages of a Maildir of mbsync's, with CRLF and without the marks it
// puts into them.
func mirrored(t *testing.T, root string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(root, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(root, sub, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
			if i := bytes.Index(text, []byte("X-TUID: ")); i >= 0 {
				end := i + bytes.IndexByte(text[i:], '\n') + 1
				text = append(text[:i:i], text[end:]...)
			}
			all = append(all, text)
		}
	}
	return all
}

// A two-way sync of 5,000 messages by mbsync: all arrive as they are, what is changed
// on either side gets to the other, and a second run changes nothing on either.
func TestMbsync(t *testing.T) {
	peers.Need(t, "mbsync")
	r := openReading(t)
	var want [][]byte
	r.deliver("", letter(0, "first\r\n"))
	r.deliver("Projects/Well 7", letter(10_000, "first\r\n"))
	want = append(want, letter(0, "first\r\n"))
	for i := 1; i < 4800; i++ {
		m := letter(i, text(200+i%3000))
		want = append(want, m)
		r.drop("", m)
	}
	for i := 1; i < 200; i++ {
		r.drop("Projects/Well 7", letter(10_000+i, "deep\r\n"))
	}
	dir := t.TempDir()
	conf := r.mbsync(dir)
	sync := func() time.Duration {
		begun := time.Now()
		r.run("", "mbsync", "-q", "-c", conf, "all")
		return time.Since(begun)
	}
	t.Logf("first sync of 5,000 messages: %v", sync().Round(time.Millisecond))
	eachOnce(t, "pulled", mirrored(t, filepath.Join(dir, "near", "INBOX")), want)
	settled := func(what string) {
		t.Helper()
		near, far := tree(t, filepath.Join(dir, "near")), tree(t, r.home)
		state := tree(t, filepath.Join(dir, "state"))
		t.Logf("%s: the sync that changes nothing: %v", what, sync().Round(time.Millisecond))
		sameTree(t, what+", near", near, tree(t, filepath.Join(dir, "near")))
		sameTree(t, what+", far", far, tree(t, r.home))
		sameTree(t, what+", state", state, tree(t, filepath.Join(dir, "state")))
	}
	settled("after the first")

	r.changeBoth(filepath.Join(dir, "near", "INBOX"))
	t.Logf("sync of changes on both sides: %v", sync().Round(time.Millisecond))
	settled("after changes")
	got := r.ask("INBOX", "UID SEARCH RETURN (COUNT) FLAGGED")
	if !strings.HasSuffix(got[0], "COUNT 1000") {
		t.Errorf("flagged here after being flagged there: %q", got)
	}
	got = r.ask("INBOX", "UID SEARCH RETURN (COUNT) ALL")
	if !strings.HasSuffix(got[0], "COUNT 4850") { // 4,800 - 50 + 100
		t.Errorf("all messages: %q", got)
	}

	// UIDs and UIDVALIDITY are the same after a restart: nothing to do.
	r.stop()
	r.start()
	r.mbsync(dir) // another port
	settled("after a restart")
}

// changeBoth flags 1,000 messages and adds 100 near; removes 50 and marks 500 seen far.
func (r *reading) changeBoth(inbox string) {
	r.t.Helper()
	flagged := 0
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(inbox, sub))
		if err != nil {
			r.t.Fatal(err)
		}
		slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(uidOf(a.Name()), uidOf(b.Name())) })
		for _, e := range entries {
			if flagged == 1000 {
				break
			}
			base, _, _ := strings.Cut(e.Name(), ":")
			if n, err := strconv.Atoi(uidOf(base)); err != nil || n > 4000 {
				continue // Those far are changed below.
			}
			if err := os.Rename(filepath.Join(inbox, sub, e.Name()), filepath.Join(inbox, "cur", base+":2,F")); err != nil {
				r.t.Fatal(err)
			}
			flagged++
		}
	}
	for i := range 100 {
		name := filepath.Join(inbox, "new", fmt.Sprintf("%d.%d.near", 1_800_000_000+i, i))
		text := bytes.ReplaceAll(letter(20_000+i, "from near\r\n"), []byte("\r\n"), []byte("\n"))
		if err := os.WriteFile(name, text, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.ask("INBOX", `UID STORE 4101:4600 +FLAGS.SILENT (\Seen)`)
	r.ask("INBOX", `UID STORE 4701:4750 +FLAGS.SILENT (\Deleted)`)
	r.ask("INBOX", `EXPUNGE`)
}

// uidOf is the UID that mbsync puts into a name.
func uidOf(name string) string {
	_, after, _ := strings.Cut(name, ",U=")
	uid, _, _ := strings.Cut(after, ":")
	return uid
}
