package peers

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

//go:embed dovecot-imap.conf.tmpl
var dovecotIMAPConf string

// DovecotIMAP is Dovecot's IMAP server on a Maildir that somebody else has made, for one
// client who needs no login. Its methods are for the goroutine of the test.
type DovecotIMAP struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
	p   *process
	n   int

	files *DovecotServer // whose the files are to be
	root  string
}

// OpenDovecotIMAP starts one on the Maildir at root, whose files are given to the user that
// Dovecot reads mail as, if this is root. Close ends it.
func OpenDovecotIMAP(t testing.TB, root string) *DovecotIMAP {
	t.Helper()
	Need(t, "dovecot", "imap")
	d := &DovecotServer{t: t, dir: folder(t)}
	mail, err := user.Current()
	internal := "dovecot"
	if os.Geteuid() == 0 {
		mail, err = user.Lookup("mail")
	} else if err == nil {
		internal = mail.Username
	}
	if err != nil {
		t.Fatal(err)
	}
	d.uid, d.gid = number(t, mail.Uid), number(t, mail.Gid)
	var text bytes.Buffer
	err = template.Must(template.New("").Parse(dovecotIMAPConf)).Execute(&text, map[string]any{
		"Dir": d.dir, "Mail": root, "Since24": d.since24(), "InternalUser": internal, "InternalGroup": d.groupOf(internal),
		"UID": d.uid, "GID": d.gid,
	})
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(d.dir, "dovecot.conf")
	write(t, conf, text.String())
	d.mkdir("run")
	cmd := command(t, "imap", "-c", conf)
	cmd.Env = []string{"USER=" + mail.Username, "HOME=" + d.dir, "MAIL=maildir:" + root}
	runAs(cmd, d.uid, d.gid)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(d.dir, "errors"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = stdout, log
	i := &DovecotIMAP{t: t, in: in, out: bufio.NewReader(out), files: d, root: root}
	i.Adopt()
	t.Cleanup(func() { _ = out.Close() })
	i.p = start(t, cmd, filepath.Join(d.dir, "errors"))
	_ = stdout.Close() // The process has it; its end is the end of what we read.
	if greeting := i.line(); !strings.HasPrefix(greeting, "* PREAUTH") {
		t.Fatalf("Dovecot's IMAP server says %q", greeting)
	}
	return i
}

// Adopt gives it the files that others have made since it began.
func (i *DovecotIMAP) Adopt() {
	i.t.Helper()
	err := filepath.WalkDir(i.root, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			i.files.own(path)
		}
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
}

// Do gives a command, and returns the untagged answers. One that isn't OK fails the test.
func (i *DovecotIMAP) Do(command string) []string {
	i.t.Helper()
	untagged, end := i.Try(command)
	if !strings.HasPrefix(end, "OK") {
		i.t.Fatalf("Dovecot answers %s with %s", command, end)
	}
	return untagged
}

// Try is Do for what may fail; end is the tagged answer.
func (i *DovecotIMAP) Try(command string) (untagged []string, end string) {
	i.t.Helper()
	i.n++
	tag := fmt.Sprintf("d%d", i.n)
	if _, err := fmt.Fprintf(i.in, "%s %s\r\n", tag, command); err != nil {
		i.t.Fatal(err)
	}
	for {
		line := i.line()
		if end, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, end
		}
		untagged = append(untagged, strings.TrimPrefix(line, "* "))
	}
}

func (i *DovecotIMAP) line() string {
	i.t.Helper()
	line, err := i.out.ReadString('\n')
	if err != nil {
		i.t.Fatalf("Dovecot's IMAP server: %v after %q", err, line)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") // a CR before that is the message's
}

// Close logs out and waits for the end.
func (i *DovecotIMAP) Close() {
	i.t.Helper()
	i.Do("LOGOUT")
	_ = i.in.Close()
	select {
	case <-i.p.done:
	case <-time.After(startTimeout):
		i.t.Error("Dovecot's IMAP server doesn't end")
	}
}

// Log is all that it has complained about so far.
func (i *DovecotIMAP) Log() string { return tail(i.p.log) }
