package imapd

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/internal/maildir"
)

// rig is a server with ann, who may write to the shared folder news, and bob, who may
// only read it. Passwords are the names backwards.
type rig struct {
	t          testing.TB
	opt        Options
	srv        *Server
	piped      bool // in a bubble of synctest: over pipes, not sockets
	plain, tls func() (net.Conn, error)
	served     chan error
	n          int // deliveries
}

// pipes is a listener without a network.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func newRig(t testing.TB, change func(*Options)) *rig {
	t.Helper()
	return startRig(t, false, change)
}

func startRig(t testing.TB, piped bool, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, piped: piped, opt: Options{
		MailDir: t.TempDir(), Hostname: "gate.office.example", TLS: testTLS(t),
		Authenticate: func(user, password string) (string, bool) {
			return user, user == "ann" && password == "nna" || user == "bob" && password == "bob"
		},
		Shared: func(user string) []Shared { return []Shared{{Name: "news", Write: user == "ann"}} },
	}}
	if change != nil {
		change(&r.opt)
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func (r *rig) start() {
	r.t.Helper()
	r.srv, r.served = New(r.opt), make(chan error, 2)
	for _, l := range []struct {
		dial  *func() (net.Conn, error)
		serve func(net.Listener) error
	}{{&r.plain, r.srv.Serve}, {&r.tls, r.srv.ServeTLS}} {
		var listener net.Listener
		if r.piped {
			p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
			*l.dial, listener = p.dial, p
		} else {
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				r.t.Fatal(err)
			}
			*l.dial, listener = func() (net.Conn, error) { return net.Dial("tcp", tcp.Addr().String()) }, tcp
		}
		go func() { r.served <- l.serve(listener) }()
	}
}

// stop shuts the server down; it must end by itself.
func (r *rig) stop() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
	for range 2 {
		if err := <-r.served; err != nil {
			r.t.Errorf("serve: %v", err)
		}
	}
}

// deliver is what the mailroom does.
func (r *rig) deliver(mailbox, folder, text string) {
	r.t.Helper()
	r.n++
	d, err := r.srv.mailbox(mailbox).Folder(folder)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = d.Deliver(fmt.Sprintf("%d.%d.gate", 1_000_000_000+r.n, r.n), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.srv.Changed(mailbox, folder)
}

// client speaks IMAP by hand.
type client struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
	n    int
}

func (r *rig) dial() *client {
	r.t.Helper()
	conn, err := r.tls()
	if err != nil {
		r.t.Fatal(err)
	}
	conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	r.t.Cleanup(func() { conn.Close() })
	c := &client{t: r.t, conn: conn}
	c.line()
	return c
}

// dialPlain is a client before STARTTLS; greeted tells what he was greeted with.
func (r *rig) dialPlain() (c *client, greeted string) {
	r.t.Helper()
	conn, err := r.plain()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	c = &client{t: r.t, conn: conn}
	return c, c.line()
}

// login is a client who is in.
func (r *rig) login(user string) *client {
	r.t.Helper()
	c := r.dial()
	password := []byte(user)
	slices.Reverse(password)
	c.ok(fmt.Sprintf("LOGIN %s %s", user, password))
	return c
}

// line reads a line, with the literals in it.
func (c *client) line() string {
	c.t.Helper()
	var line strings.Builder
	for {
		part := c.until("\r\n")
		line.WriteString(part)
		var n int
		if i := strings.LastIndex(part, "{"); i < 0 || !strings.HasSuffix(part, "}") {
			return line.String()
		} else if _, err := fmt.Sscanf(part[i:], "{%d}", &n); err != nil {
			return line.String()
		}
		line.WriteString("\r\n" + c.octets(n))
	}
}

func (c *client) until(end string) string {
	c.t.Helper()
	for {
		if i := strings.Index(string(c.buf), end); i >= 0 {
			text := string(c.buf[:i])
			c.buf = c.buf[i+len(end):]
			return text
		}
		c.more()
	}
}

func (c *client) octets(n int) string {
	c.t.Helper()
	for len(c.buf) < n {
		c.more()
	}
	text := string(c.buf[:n])
	c.buf = c.buf[n:]
	return text
}

func (c *client) more() {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(c.patience()))
	b := make([]byte, 64<<10)
	n, err := c.conn.Read(b)
	c.buf = append(c.buf, b[:n]...)
	if err != nil && n == 0 {
		c.t.Fatalf("the connection ended: %v; last %q", err, c.buf)
	}
}

// patience is long: in a bubble time passes by itself, and elsewhere the test has a limit.
func (c *client) patience() time.Duration { return time.Hour }

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// do gives a command and returns the untagged answers and the tagged one, without tag.
func (c *client) do(command string) (untagged []string, end string) {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	c.send(tag + " " + command + "\r\n")
	return c.answer(tag)
}

func (c *client) answer(tag string) (untagged []string, end string) {
	c.t.Helper()
	for {
		line := c.line()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, strings.TrimPrefix(line, "* "))
	}
}

// ok is do for what must succeed.
func (c *client) ok(command string) []string {
	c.t.Helper()
	untagged, end := c.do(command)
	if !strings.HasPrefix(end, "OK") {
		c.t.Fatalf("%s: %s", command, end)
	}
	return untagged
}

// want is do with all answers as given: the untagged, and the beginning of the end.
func (c *client) want(command, end string, untagged ...string) {
	c.t.Helper()
	got, gotEnd := c.do(command)
	if !slices.Equal(got, untagged) || !strings.HasPrefix(gotEnd, end) {
		c.t.Errorf("%s:\n%q %q, want\n%q %q", command, got, gotEnd, untagged, end)
	}
}

// append is APPEND.
func (c *client) append(mailbox, flags, text string) string {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	c.send(fmt.Sprintf("%s APPEND %s %s {%d+}\r\n%s\r\n", tag, mailbox, flags, len(text), text))
	_, end := c.answer(tag)
	return end
}

// files are the names in a folder's new/ and cur/.
func (r *rig) files(mailbox, folder string) []string {
	r.t.Helper()
	d, err := r.srv.mailbox(mailbox).Folder(folder)
	if err != nil {
		r.t.Fatal(err)
	}
	var all []string
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(d.Root, sub))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, sub+"/"+e.Name())
		}
	}
	return all
}

// dir is a user's Maildir.
func (r *rig) dir(name string) maildir.Dir { return r.srv.mailbox(name) }
