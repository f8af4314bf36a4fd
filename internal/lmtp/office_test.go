package lmtp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// office is a mail server made of go-smtp's, speaking LMTP or SMTP. It refuses the sender refused@x, the recipients nobody@x (for good) and
// later@x, and the content from spam@x; by LMTP full@x is refused once the content has come.
type office struct {
	lmtp bool
	set  func(*smtp.Server)

	mu      sync.Mutex
	letters []letter
	params  []*smtp.MailOptions
	logins  []string
}

type letter struct {
	from string
	to   []string
	body string
}

// one is a listener with one connection.
type one struct {
	conns chan net.Conn
	close func()
}

func newOne(conn net.Conn) *one {
	conns := make(chan net.Conn, 1)
	conns <- conn
	return &one{conns, sync.OnceFunc(func() { close(conns) })}
}

func (o *one) Accept() (net.Conn, error) {
	if c, ok := <-o.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (o *one) Close() error   { o.close(); return nil }
func (o *one) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// serve talks over conn; stop ends that.
func (o *office) serve(conn net.Conn) (stop func()) {
	s := smtp.NewServer(o)
	s.LMTP, s.Domain, s.MaxLineLength = o.lmtp, "office.example", 1<<20
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.AllowInsecureAuth = true
	if o.set != nil {
		o.set(s)
	}
	l := newOne(conn)
	var done sync.WaitGroup
	done.Go(func() { _ = s.Serve(l) })
	return func() {
		_, _ = l.Close(), conn.Close() // not Server.Close, which races with a session that begins
		done.Wait()
	}
}

func (o *office) NewSession(*smtp.Conn) (smtp.Session, error) { return &visit{office: o}, nil }

func (o *office) all() []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.letters)
}

type visit struct {
	*office
	now letter
}

func (v *visit) Reset()        { v.now = letter{} }
func (v *visit) Logout() error { return nil }

func (v *visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.logins = append(v.logins, user)
		if password != "secret" {
			return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "not with " + password}
		}
		return nil
	}), nil
}

func (v *visit) Mail(from string, opts *smtp.MailOptions) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.params = append(v.params, opts)
	if from == "refused@x" {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not you"}
	}
	v.now = letter{from: from}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch to {
	case "nobody@x":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case "later@x":
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "not now"}
	}
	v.now.to = append(v.now.to, to)
	return nil
}

// read takes the content, or refuses it.
func (v *visit) read(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if v.now.from == "spam@x" {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "spam"}
	}
	v.now.body = string(body)
	return nil
}

func (v *visit) keep(l letter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.letters = append(v.letters, l)
}

func (v *visit) Data(r io.Reader) error {
	err := v.read(r)
	if err == nil {
		v.keep(v.now)
	}
	return err
}

func (v *visit) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if err := v.read(r); err != nil {
		return err
	}
	for _, to := range v.now.to {
		if to == "full@x" {
			status.SetStatus(to, &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "full"})
			continue
		}
		v.keep(letter{v.now.from, []string{to}, v.now.body})
		status.SetStatus(to, nil)
	}
	return nil
}

// fuse is the near end of a pipe that lets so many octets pass each way (below 0: any number), and then breaks; deaf, it then swallows what
// is sent and keeps silent.
type fuse struct {
	net.Conn
	up, down int
	deaf     bool

	wrote, read int
	sent        bytes.Buffer
}

func (f *fuse) Write(p []byte) (int, error) {
	n := len(p)
	blown := f.up >= 0 && f.wrote+n > f.up
	if blown {
		n = f.up - f.wrote
	}
	k, err := f.Conn.Write(p[:n])
	f.wrote += k
	f.sent.Write(p[:k])
	switch {
	case err != nil || !blown:
		return k, err
	case f.deaf:
		return len(p), nil
	}
	_ = f.Close()
	return k, errors.New("broken")
}

func (f *fuse) Read(p []byte) (int, error) {
	if f.down < 0 || f.read < f.down {
		if f.down >= 0 {
			p = p[:min(len(p), f.down-f.read)]
		}
		n, err := f.Conn.Read(p)
		f.read += n
		return n, err
	}
	if !f.deaf {
		_ = f.Close()
		return 0, io.EOF
	}
	for {
		if _, err := f.Conn.Read(make([]byte, 100)); err != nil {
			return 0, err
		}
	}
}

// connect gives the near end of a connection to the office.
func connect(t *testing.T, o *office) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	stop := o.serve(far)
	t.Cleanup(func() {
		_ = near.Close()
		stop()
	})
	return near
}

// open is a client of the office.
func open(t *testing.T, o *office, opt Options) *Client {
	t.Helper()
	opt.LMTP = o.lmtp
	c, err := Open(t.Context(), connect(t, o), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

var plain = Options{TLS: TLSNone}

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// verdict is a Result in a word or two.
func verdict(r Result) string {
	var e *Error
	switch {
	case r.Err == nil:
		return "ok"
	case !errors.As(r.Err, &e):
		return "not an *Error"
	case r.Doubtful:
		return "doubtful"
	case e.Temporary:
		return "temporary"
	}
	return "permanent"
}

func verdicts(results []Result) string {
	var all []string
	for _, r := range results {
		all = append(all, verdict(r))
	}
	return strings.Join(all, " ")
}

// certificate is for office.example, with a pool that trusts it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "office.example"}, DNSNames: []string{"office.example"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})

// script is a server that answers each command by its first word from a list, "ok" where it has nothing for it; "." is the end of the
// content. HANGUP closes, MUTE says nothing.
type script map[string]string

func (s script) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	say := func(verb, other string) bool {
		answer, ok := s[verb]
		if !ok {
			answer = other
		}
		switch answer {
		case "HANGUP":
			return false
		case "MUTE":
			return true
		}
		_, err := io.WriteString(conn, answer+"\r\n")
		return err == nil
	}
	if !say("greeting", "220 hi") {
		return
	}
	rest := ""
	next := func() (string, bool) {
		for {
			if line, more, ok := strings.Cut(rest, "\r\n"); ok {
				rest = more
				return line, true
			}
			b := make([]byte, 4096)
			n, err := conn.Read(b)
			if err != nil {
				return "", false
			}
			rest += string(b[:n])
		}
	}
	for content := false; ; {
		line, ok := next()
		verb, _, _ := strings.Cut(line, " ")
		switch {
		case !ok:
			return
		case content && line != ".":
			continue
		case verb == "DATA":
			ok = say(verb, "354 go")
			content = s[verb] == "" || strings.HasPrefix(s[verb], "354")
		default:
			content = false
			ok = say(verb, "250 ok")
		}
		if !ok {
			return
		}
	}
}

// talk is the near end of a connection to a script.
func talk(t *testing.T, s script) net.Conn {
	near, far := net.Pipe()
	var done sync.WaitGroup
	done.Go(func() { s.serve(far) })
	t.Cleanup(func() {
		_, _ = near.Close(), far.Close()
		done.Wait()
	})
	return near
}

// deliver opens and delivers to a script, without a goodbye.
func deliver(ctx context.Context, conn net.Conn, lmtp bool, m Message) (*Client, []Result, error) {
	c, err := Open(ctx, conn, Options{LMTP: lmtp, TLS: TLSNone})
	if err != nil {
		return nil, nil, err
	}
	results, err := c.Deliver(ctx, m)
	return c, results, err
}
