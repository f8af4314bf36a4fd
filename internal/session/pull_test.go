package session

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/isp"
	"outpost/internal/pop3"
)

// sixBoxes have a letter each.
func sixBoxes() map[string]isp.Box {
	boxes := make(map[string]isp.Box)
	for i := range 6 {
		boxes[fmt.Sprint("box", i)] = isp.Box{Password: password, Messages: [][]byte{letter(fmt.Sprint("letter ", i))}}
	}
	return boxes
}

// A server that refuses the connection one too many has all its boxes collected in the call, and the limit is remembered; also
// where it was known before, so that the refusal looks like one of our haste, and where it comes before TLS.
func TestLimitOfConnections(t *testing.T) {
	offices := map[string]func(*testing.T, map[string]isp.Box) *office{"in the clear": newOffice, "before TLS": secureOffice}
	for name, open := range offices {
		for _, known := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, known %v", name, known), func(t *testing.T) {
				o := open(t, sixBoxes())
				o.opt.Lines[0].BoxesAtOnce = 6
				if known {
					o.mustCall()
					for i := range 6 {
						o.provider.AddMail(fmt.Sprint("box", i), letter("another"))
					}
					o.redial()
				}
				g := &gate{open: make(chan struct{})}
				o.opt.Log = slog.New(g)
				o.line.dial = g.before(o.line.dial)
				o.provider.SetFaults(func(f *isp.Faults) { f.POPAtOnce = 3 })
				if row := o.mustCall(); row.Collected != 6 || row.Deleted != 6 || len(row.Problems) != 0 {
					t.Errorf("%d collected, %d deleted, %q", row.Collected, row.Deleted, row.Problems)
				}
				limit := New(o.opt).recollect().mailServer(o.opt.Boxes[0].Address).limit()
				if limit < 1 || limit > 5 {
					t.Errorf("the limit is remembered as %d", limit)
				}
			})
		}
	}
}

// gate holds back what servers say until a box was told to come again later, so that those who were let in are still there. Who is
// refused hears it before.
type gate struct {
	slog.Handler // none: everything is discarded
	open         chan struct{}
	once         sync.Once
}

func (g *gate) Enabled(context.Context, slog.Level) bool { return true }

func (g *gate) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "bears no more") {
		g.once.Do(func() { close(g.open) })
	}
	return nil
}

func (g *gate) WithAttrs([]slog.Attr) slog.Handler { return g }

func (g *gate) before(dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dial(ctx, address)
		return &gatedConn{Conn: conn, open: g.open}, err
	}
}

type gatedConn struct {
	net.Conn
	open chan struct{}
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && !bytes.HasPrefix(p[:n], []byte("-ERR")) {
		<-c.open
	}
	return n, err
}

// testPlaces are places with nothing known of any server.
func testPlaces(n int) *places {
	m := &memory{pop3: make(map[string]mailServer), changed: make(map[string]any)}
	return newPlaces(n, m)
}

// A box that waits for its server takes no place from those of another, and gets its own in the end.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{pop3: map[string]mailServer{"slow:110": {AtOnce: 1, LimitedAt: time.Now()}}, changed: make(map[string]any)}
		p := newPlaces(3, m)
		begun := time.Now()
		var slow, quick atomic.Int32
		for range 5 {
			go func() {
				if _, err := p.enter(t.Context(), "slow:110"); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				p.leave("slow:110")
				slow.Add(1)
			}()
		}
		synctest.Wait()
		for range 4 {
			go func() {
				if _, err := p.enter(t.Context(), "quick:110"); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				p.leave("quick:110")
				quick.Add(1)
			}()
		}
		time.Sleep(2*time.Second + time.Millisecond)
		if quick.Load() != 4 {
			t.Errorf("after %v %d of the other server's boxes are done", time.Since(begun), quick.Load())
		}
		time.Sleep(5 * time.Minute)
		if slow.Load() != 5 || p.free != 3 {
			t.Errorf("%d of the slow one's boxes are done, %d places free", slow.Load(), p.free)
		}
	})
}

// Who waits for a place goes when the call ends, with its cause.
func TestPlacesOfAnEndedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := testPlaces(1)
		ctx, cancel := context.WithCancelCause(t.Context())
		if _, err := p.enter(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(ErrMaxCall) })
		if _, err := p.enter(ctx, "a"); err != ErrMaxCall {
			t.Errorf("%v", err)
		}
		p.leave("a")
		if p.free != 1 || p.hosts["a"].inside != 0 {
			t.Errorf("%d free, %d inside", p.free, p.hosts["a"].inside)
		}
	})
}

// A refusal is because of the others, if there are or were any.
func TestRefusedConnections(t *testing.T) {
	p := testPlaces(9)
	for want := 1; want <= 4; want++ {
		if n, err := p.enter(t.Context(), "a"); err != nil || n != want {
			t.Fatalf("%d, %v", n, err)
		}
	}
	for _, c := range []struct {
		entered, limit int
		because        bool
	}{{4, 3, true}, {3, 2, true}, {2, 1, true}, {1, 1, false}} {
		if got := p.refused("a", c.entered); got != c.because || p.hosts["a"].limit != c.limit {
			t.Errorf("the one that came in as the %dth: %v, limit %d", c.entered, got, p.hosts["a"].limit)
		}
	}
	if _, err := p.enter(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if !p.refused("a", 2) || p.memory.mailServer("a").limit() != 1 {
		t.Error("those who were there and have left don't count")
	}
}

// A limit is believed for a while.
func TestLimitFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mailServer{AtOnce: 3, LimitedAt: time.Now()}
		if s.limit() != 3 {
			t.Error("not believed")
		}
		time.Sleep(limitLasts + time.Second)
		if s.limit() != 0 {
			t.Error("believed for ever")
		}
	})
}

func TestCrowded(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {context.Canceled, false},
		{&pop3.Error{Command: "greeting", Temporary: true}, true},
		{&pop3.Error{Command: "TLS", Temporary: true}, true},
		{&pop3.Error{Command: "TLS"}, false}, // a certificate
		{&pop3.Error{Command: "PASS", Temporary: true}, false},
	} {
		if got := crowded(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
