package smtpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outpost/queue"
)

func (o *office) listen() net.Listener {
	o.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { l.Close() })
	return l
}

// pipes is a listener whose connections are pipes, for bubbles.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr("listener") }

type pipeAddr string

func (pipeAddr) Network() string  { return "tcp" }
func (a pipeAddr) String() string { return string(a) }

// from is a pipe end that says where it comes from.
type from struct {
	net.Conn
	addr pipeAddr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// dial connects from an address.
func (p *pipes) dial(t *testing.T, addr string) *client {
	near, far := net.Pipe()
	p.conns <- from{far, pipeAddr(addr)}
	return newClient(t, near)
}

// serve runs an office on pipes inside a bubble; the function returned shuts it down.
func (o *office) serve(p *pipes) (shutdown func(context.Context) error) {
	done := make(chan error, 1)
	go func() { done <- o.srv.Serve(p) }()
	return func(ctx context.Context) error {
		err := o.srv.Shutdown(ctx)
		if serveErr := <-done; serveErr != nil {
			o.t.Errorf("Serve: %v", serveErr)
		}
		return err
	}
}

// Too many connections, of one client or of all, get 421; when one leaves, the next
// gets in.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, func(o *Options) { o.MaxConnections, o.MaxPerClient = 3, 2 })
		p := newPipes()
		shutdown := o.serve(p)
		a1, a2 := p.dial(t, "10.0.0.1:1"), p.dial(t, "10.0.0.1:2")
		a1.want("220")
		a2.want("220")
		p.dial(t, "[::ffff:10.0.0.1]:3").want("421 4.7.0 gate.office.example Too many connections")
		b := p.dial(t, "[2001:db8::1]:1")
		b.want("220")
		p.dial(t, "10.0.0.9:1").want("421 4.7.0")
		a1.play("> QUIT\n< 221")
		synctest.Wait()
		p.dial(t, "[2001:db8::2]:1").want("220") // The same /64, but it may have two.
		b.conn.Close()
		synctest.Wait()
		p.dial(t, "[2001:db8::3]:1").want("220")
		a2.conn.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := shutdown(ctx); err == nil {
			t.Error("two clients were left, and nothing was said")
		}
		if inside := o.srv.door.Inside(); len(inside) != 0 {
			t.Errorf("still counted: %v", inside)
		}
	})
}

// A client that can't even be told 421 doesn't keep others from coming in.
func TestRoomDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, func(o *Options) { o.MaxPerClient = 1 })
		p := newPipes()
		shutdown := o.serve(p)
		one := p.dial(t, "10.0.0.1:1")
		one.want("220")
		p.dial(t, "10.0.0.1:2") // Reads nothing.
		p.dial(t, "10.0.0.2:1").want("220")
		_ = shutdown(cancelled())
	})
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Silence ends with 421 after the time-out, in a command and inside content. A slow
// client that keeps sending may take as long as it likes.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, func(o *Options) { o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
		p := newPipes()
		shutdown := o.serve(p)
		c := p.dial(t, "10.0.0.1:1")
		c.want("220")
		start := time.Now()
		c.want("421 4.4.2")
		if d := time.Since(start); d != DefaultReadTimeout {
			t.Errorf("after %v", d)
		}

		c = p.dial(t, "10.0.0.1:2")
		c.play(hello + "> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
		for i := range 10 {
			c.raw(fmt.Sprintf("X-%d: y\r\n", i))
			time.Sleep(DefaultReadTimeout - time.Second)
		}
		start = time.Now()
		c.want("421 4.4.2 The message stopped coming")
		if d := time.Since(start); d != time.Second {
			t.Errorf("after %v", d)
		}
		c.conn.Close()
		if n := len(o.messages()); n != 0 {
			t.Errorf("%d messages were kept", n)
		}
		if err := shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A client that takes no replies is let go.
func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, nil)
		p := newPipes()
		shutdown := o.serve(p)
		p.dial(t, "10.0.0.1:1") // Doesn't read the greeting, nor the 421 later.
		time.Sleep(DefaultReadTimeout + 3*DefaultWriteTimeout)
		synctest.Wait()
		if n := len(o.srv.door.Inside()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		if err := shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown sends the idle away with 421 and lets a message come to its answer.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := open(t, func(o *Options) { o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
		p := newPipes()
		shutdown := o.serve(p)
		idle, busy := p.dial(t, "10.0.0.1:1"), p.dial(t, "10.0.0.2:1")
		idle.play(hello)
		busy.play(hello + "> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
		busy.raw("A: b\r\n")
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- shutdown(context.Background()) }()
		idle.want("421")
		busy.raw("\r\nbody\r\n.\r\n")
		busy.want("250 2.0.0 OK")
		busy.want("421")
		if err := <-ended; err != nil {
			t.Error(err)
		}
		o.only()
		if err := o.srv.Serve(newPipes()); err != nil {
			t.Errorf("Serve after Shutdown: %v", err)
		}
		if err := o.srv.Shutdown(context.Background()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
	})
}

// Shutdown with a deadline cuts off who doesn't finish, also a Submit that
// waits for its context. The bubble checks that no goroutine is left.
func TestShutdownCut(t *testing.T) {
	for _, how := range []string{"DATA", "BDAT", "submit"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := open(t, func(o *Options) {
					o.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
					if how == "submit" {
						o.Submit = func(ctx context.Context, m queue.Message, body io.Reader) (queue.Message, error) {
							_, _ = io.Copy(io.Discard, body)
							<-ctx.Done()
							return m, ctx.Err()
						}
					}
				})
				p := newPipes()
				shutdown := o.serve(p)
				c := p.dial(t, "10.0.0.1:1")
				c.play(hello + "> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250")
				switch how {
				case "BDAT":
					c.raw("BDAT 4\r\nA: bBDAT 100 LAST\r\nxyz")
					c.want("250")
				case "DATA":
					c.play("> DATA\n< 354")
				case "submit":
					c.play("> DATA\n< 354")
					c.raw(letter + ".\r\n")
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				start := time.Now()
				if err := shutdown(ctx); err != context.DeadlineExceeded || time.Since(start) > 11*time.Second {
					t.Errorf("%v after %v", err, time.Since(start))
				}
				if n := len(o.messages()); n != 0 {
					t.Errorf("%d messages were kept", n)
				}
			})
		})
	}
}

// Many clients at once: everything is kept once, nothing is mixed up.
func TestManyClients(t *testing.T) {
	o := open(t, nil)
	first := o.dial()
	addr := first.conn.RemoteAddr().String()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := connect(t, addr)
			c.play(hello)
			for j := range 5 {
				mark := fmt.Sprintf("X-Mark: %d/%d\r\n", i, j)
				c.play(fmt.Sprintf("> MAIL FROM:<u%d@office.example>\n< 250\n> RCPT TO:<r%d@far.example>\n< 250", i, j))
				if j%2 == 0 {
					c.play("> DATA\n< 354")
					c.raw(mark + letter + ".\r\n")
				} else {
					c.raw(fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%s", len(mark), mark, len(letter), letter))
					c.want("250")
				}
				c.want("250 2.0.0 OK")
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range o.messages() {
		var i, j int
		_, rest, _ := strings.Cut(m.body, "X-Mark: ")
		if _, err := fmt.Sscanf(rest, "%d/%d", &i, &j); err != nil {
			t.Fatal(err)
		}
		if m.From != fmt.Sprintf("u%d@office.example", i) || m.To[0].Addr != fmt.Sprintf("r%d@far.example", j) {
			t.Errorf("mixed up: %+v has %d/%d", m.Message, i, j)
		}
		seen[fmt.Sprint(i, "/", j)] = true
	}
	if len(seen) != 40 || len(o.messages()) != 40 {
		t.Errorf("%d messages, %d different", len(o.messages()), len(seen))
	}
}
