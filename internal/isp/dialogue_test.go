package isp

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// newProvider makes a provider for pretend.example; set changes its options.
func newProvider(t testing.TB, set func(*Options)) *Provider {
	t.Helper()
	opt := Options{Domain: "pretend.example", Boxes: map[string]Box{
		"ann": {Password: "pass word", Messages: [][]byte{
			[]byte("Subject: one\r\n\r\nfirst\r\n.dot\r\n..\r\nlast\r\n"),
			[]byte("Subject: two\n\nbare line ends"),
		}},
		"bob": {Password: "b"},
	}}
	if set != nil {
		set(&opt)
	}
	if opt.TLS != "" && opt.Authority == nil {
		opt.Authority = testAuthority(t)
	}
	p, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// onceAuthority saves each test 0.1 s.
var onceAuthority = sync.OnceValues(NewAuthority)

func testAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := onceAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// peer is the client's end of a pipe to one service.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	done chan struct{} // closed when the service's function has returned
}

func connect(t testing.TB, serve func(net.Conn)) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &peer{t: t, conn: ours, r: bufio.NewReader(ours), done: make(chan struct{})}
	_ = ours.SetDeadline(time.Now().Add(20 * time.Second)) // ends a test that hangs
	go func() {
		defer close(c.done)
		serve(theirs)
	}()
	t.Cleanup(c.close)
	return c
}

// close ends the connection and waits for the service.
func (c *peer) close() {
	_ = c.conn.Close()
	<-c.done
}

// closed checks that the service has nothing more to say and hangs up.
func (c *peer) closed() {
	c.t.Helper()
	if line, err := c.r.ReadString('\n'); err == nil {
		c.t.Errorf("got %q, want the connection closed", line)
	}
	<-c.done
}

func (c *peer) send(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatalf("sending %q: %v", text, err)
	}
}

// expect reads a line and compares it; "…" at the end of want stands for
// anything.
func (c *peer) expect(want string) string {
	c.t.Helper()
	got, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reading, want %q: %v", want, err)
	}
	got = strings.TrimSuffix(got, "\r\n")
	start, open := strings.CutSuffix(want, "…")
	if got != want && !(open && strings.HasPrefix(got, start)) {
		c.t.Fatalf("got %q, want %q", got, want)
	}
	return got
}

// play runs a script: lines after "> " are sent, lines after "< " expected.
func (c *peer) play(script string) {
	c.t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimLeft(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case line == "":
		case strings.HasPrefix(line, "> "):
			c.send(line[2:] + "\r\n")
		case strings.HasPrefix(line, "< "):
			c.expect(line[2:])
		default:
			c.t.Fatalf("bad script line %q", line)
		}
	}
}

func (p *Provider) plainPOP(c net.Conn)  { p.servePOP(c, false) }
func (p *Provider) plainSMTP(c net.Conn) { p.serveSMTP(c, false) }
