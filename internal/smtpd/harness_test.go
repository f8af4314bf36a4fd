package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/queue"
	"outpost/spool"
)

// kept is a message that Submit took.
type kept struct {
	queue.Message
	body string
}

// office is a running door with a store in memory behind it.
type office struct {
	t   *testing.T
	srv *Server
	log *logBook
	// submit, if set, decides after the body was read whether it is kept.
	submit func(body string) error

	mu   sync.Mutex
	mail []kept
}

// open makes an office. change may alter the options.
func open(t *testing.T, change func(*Options)) *office {
	t.Helper()
	o := &office{t: t, log: &logBook{}}
	opt := Options{
		Hostname: "gate.office.example",
		MaxBytes: 64 << 10,
		Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		Resolve:  resolve,
		Submit:   o.keep,
		Log:      slog.New(slog.NewTextHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&opt)
	}
	o.srv = New(opt)
	return o
}

// logBook is a log that may be read while it is written.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// resolve knows a small office.
func resolve(_ context.Context, _ Sender, rcpt string) ([]queue.Recipient, error) {
	local, domain := cutAddr(rcpt)
	switch {
	case local == "nobody":
		return nil, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case local == "broken":
		return nil, errors.New("the address book is on fire")
	case local == "panic":
		panic("resolve fell over")
	case local == "all":
		return []queue.Recipient{{Addr: "ann", Where: queue.Local}, {Addr: "bob", Where: queue.Local}}, nil
	case domain == "office.example":
		return []queue.Recipient{{Addr: local, Where: queue.Local}}, nil
	}
	return []queue.Recipient{{Addr: rcpt, Where: queue.Remote}}, nil
}

// keep is Submit: a body that doesn't end properly isn't kept.
func (o *office) keep(_ context.Context, m queue.Message, body io.Reader) (queue.Message, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return m, fmt.Errorf("keep: %w", err)
	}
	if o.submit != nil {
		if err := o.submit(string(b)); err != nil {
			return m, err
		}
	}
	m.ID, m.Size = spool.ID(fmt.Sprintf("%026d", len(b))), int64(len(b))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mail = append(o.mail, kept{m, string(b)})
	return m, nil
}

func (o *office) messages() []kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mail
}

// only is the one message there must be.
func (o *office) only() kept {
	o.t.Helper()
	m := o.messages()
	if len(m) != 1 {
		o.t.Fatalf("%d messages were kept, want 1\n%s", len(m), o.log)
	}
	return m[0]
}

// dial serves on loopback and connects; everything ends with the test.
func (o *office) dial() *client {
	o.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- o.srv.Serve(l) }()
	o.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = o.srv.Shutdown(ctx)
		if err := <-done; err != nil {
			o.t.Errorf("Serve: %v", err)
		}
	})
	return connect(o.t, l.Addr().String())
}

func connect(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return newClient(t, nc)
}

// client is a scripted one.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func newClient(t *testing.T, nc net.Conn) *client {
	return &client{t: t, conn: nc, r: bufio.NewReader(nc)}
}

// raw sends octets as they are.
func (c *client) raw(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send %.60q: %v", s, err)
	}
}

// reply reads one whole reply.
func (c *client) reply() (string, error) {
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return all.String(), err
		}
	}
}

// want reads a reply whose last line begins as given.
func (c *client) want(prefix string) string {
	c.t.Helper()
	got, err := c.reply()
	lines := strings.Split(strings.TrimRight(got, "\r\n"), "\n")
	if err != nil || !strings.HasPrefix(lines[len(lines)-1], prefix) {
		c.t.Fatalf("reply %q, %v; want %s", got, err, prefix)
	}
	return got
}

// wantClosed checks that the server has gone, whatever it says before.
func (c *client) wantClosed() string {
	c.t.Helper()
	rest, _ := io.ReadAll(c.r)
	return string(rest)
}

// play runs a dialogue: "> " sends a line, "< " wants a reply, "! " does STARTTLS.
func (c *client) play(script string) {
	c.t.Helper()
	for line := range strings.Lines(strings.TrimSpace(script)) {
		line = strings.TrimSpace(line)
		kind, text, _ := strings.Cut(line, " ")
		switch kind {
		case ">":
			c.raw(text + "\r\n")
		case "<":
			c.want(text)
		case "!":
			c.startTLS()
		default:
			c.t.Fatalf("script line %q", line)
		}
	}
}

func (c *client) startTLS() {
	c.t.Helper()
	c.raw("STARTTLS\r\n")
	c.want("220")
	t := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = t, bufio.NewReader(t)
}

// certificate makes a server's TLS configuration.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"gate.office.example"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// withLogin gives the office TLS and one user, and no trusted network.
func withLogin(t *testing.T) func(*Options) {
	return func(o *Options) {
		o.TLS = certificate(t)
		o.Trusted = nil
		o.Authenticate = func(user, password string) (string, bool) { return user, user == "ann" && password == "s3cret-word" }
	}
}
