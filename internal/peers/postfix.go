package peers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	_ "embed"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

var (
	//go:embed postfix-main.cf.tmpl
	postfixMain string
	//go:embed postfix-master.cf.tmpl
	postfixMaster string
)

// settleTimeout is how long Postfix may take to hand over what it has accepted.
// Its queue manager starts on a message at once.
const settleTimeout = 30 * time.Second

// PostfixOptions says what the smarthost accepts.
type PostfixOptions struct {
	Auth     *DovecotServer // whose users may submit on the ports with TLS; nil: no AUTH, the whole loopback may
	Reject   []string       // recipients that are answered 550 5.1.1
	Defer    []string       // recipients that are answered 450 4.2.1
	MaxBytes int64          // the SIZE it announces and keeps; 0: 10240000, Postfix's own
}

// PostfixServer is a running Postfix: a smarthost for any address, that hands all
// it accepts to the test. Its methods are safe for any goroutine.
type PostfixServer struct {
	SMTP       string // address: without TLS, relays for the loopback
	Submission string // address: STARTTLS is a must, AUTH if there is PostfixOptions.Auth
	SMTPS      string // address: implicit TLS, AUTH likewise

	t       testing.TB
	dir     string
	cert    certificate
	process *process
	sink    *sink
}

// Postfix starts a Postfix. It needs root: Postfix's master process does.
func Postfix(t testing.TB, opt PostfixOptions) *PostfixServer {
	t.Helper()
	Need(t, "postfix", "postconf")
	NeedRoot(t, "Postfix runs as root only")
	p := &PostfixServer{SMTP: freeAddress(t), Submission: freeAddress(t), SMTPS: freeAddress(t), t: t, dir: folder(t)}
	p.cert = newCertificate(t, p.dir)
	p.folders()
	p.configure(opt)
	p.sink = newSink(t, filepath.Join(p.dir, "sink"))
	daemons, err := command(t, "postconf", "-d", "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatalf("postconf: %v", err)
	}
	// Straight to the master: what "postfix start" does beyond it is to look after
	// an installation. The shell around it is for a test that is killed: the master
	// changes its user for a moment, whereupon the kernel forgets what ownSession asked for.
	master := command(t, "sh", "-c", `trap "kill -9 0" TERM; "$@" & wait`, "postfix",
		filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-d", "-c", p.dir)
	p.process = start(t, master, filepath.Join(p.dir, "log"))
	p.process.awaitGreeting(t, p.SMTP, nil)
	p.process.awaitGreeting(t, p.Submission, nil)
	p.process.awaitGreeting(t, p.SMTPS, p.ClientTLS())
	return p
}

// ClientTLS returns the configuration of a client that trusts this server only.
func (p *PostfixServer) ClientTLS() *tls.Config { return p.cert.client() }

// Mail returns what has been accepted so far, each transaction once, in the
// order of arrival. It waits until Postfix's queue is empty first: what was answered
// 250 before the call is in the result, and so is every duplicate.
func (p *PostfixServer) Mail() []Mail {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), settleTimeout)
	defer cancel()
	p.process.await(ctx, p.t, func() bool {
		// In the order that messages pass through: none can slip by.
		for _, queue := range []string{"incoming", "active", "deferred"} {
			if p.holds(queue) {
				return false
			}
		}
		return true
	})
	return p.sink.all()
}

// Copies counts the transactions that brought exactly this body.
func (p *PostfixServer) Copies(body []byte) int {
	p.t.Helper()
	n := 0
	for _, m := range p.Mail() {
		if bytes.Equal(m.Body, body) {
			n++
		}
	}
	return n
}

// holds tells whether there is a message in one of Postfix's queues.
func (p *PostfixServer) holds(queue string) bool {
	found := false
	err := filepath.WalkDir(filepath.Join(p.dir, "queue", queue), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			found = true // one that vanished under our eyes is on its way to the next queue
			return fs.SkipAll
		}
		return nil
	})
	return found || err != nil
}

// folders makes what "postfix check" would make: the queues, Postfix's own but for
// the one where the master notes its number.
func (p *PostfixServer) folders() {
	p.t.Helper()
	mail, err := user.Lookup("postfix")
	if err != nil {
		p.t.Fatal(err)
	}
	uid, gid := number(p.t, mail.Uid), number(p.t, mail.Gid)
	for _, name := range []string{"queue", "queue/pid"} {
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil { //nolint:gosec // Postfix's daemons walk through
			p.t.Fatal(err)
		}
	}
	for _, name := range []string{
		"data", "queue/active", "queue/bounce", "queue/corrupt", "queue/defer", "queue/deferred", "queue/flush",
		"queue/hold", "queue/incoming", "queue/maildrop", "queue/private", "queue/public", "queue/saved", "queue/trace",
	} {
		path := filepath.Join(p.dir, name)
		if err := cmp.Or(os.Mkdir(path, 0o700), os.Chown(path, uid, gid)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// configure writes Postfix's two configuration files and the list of refusals.
func (p *PostfixServer) configure(opt PostfixOptions) {
	p.t.Helper()
	var refused strings.Builder
	for _, address := range opt.Reject {
		refused.WriteString(address + " 550 5.1.1 No such user here\n")
	}
	for _, address := range opt.Defer {
		refused.WriteString(address + " 450 4.2.1 Not now\n")
	}
	p.write("refused", refused.String())
	values := map[string]any{
		"Dir": p.dir, "Cert": p.cert.certFile, "Key": p.cert.keyFile, "SASL": "",
		"SMTP": p.SMTP, "Submission": p.Submission, "SMTPS": p.SMTPS,
		"MaxBytes": cmp.Or(opt.MaxBytes, 10240000),
	}
	if opt.Auth != nil {
		values["SASL"] = opt.Auth.saslSocket()
	}
	for name, text := range map[string]string{"main.cf": postfixMain, "master.cf": postfixMaster} {
		var out bytes.Buffer
		if err := template.Must(template.New(name).Parse(text)).Execute(&out, values); err != nil {
			p.t.Fatal(err)
		}
		p.write(name, out.String())
	}
}

// write makes a file that Postfix reads. It is made out to be an hour old, for
// Postfix waits until a file is two seconds old, lest somebody still be writing.
func (p *PostfixServer) write(name, content string) {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	write(p.t, file, content)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		p.t.Fatal(err)
	}
}
