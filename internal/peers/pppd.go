package peers

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The user that every pppd lets in.
const (
	PPPDUser     = "joe"
	PPPDPassword = "secret"
)

// The guest's services, TCP ports of each of its addresses.
const (
	EchoPort   = 2007 // gives back all it is given
	SinkPort   = 2009 // is told "N\n", takes N octets, answers with their SHA-256, in hexadecimal, and "\n"
	SourcePort = 2019 // is told "N SEED\n", gives the first N octets of Random(SEED)
	HTTPPort   = 2080 // has one short page, HTTPPage
)

// HTTPPage is the guest's web page.
const HTTPPage = "Hello from Linux.\n"

// Random gives the octets of the guest's source.
func Random(seed uint64) io.Reader {
	return rand.NewChaCha8([32]byte{
		byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24),
		byte(seed >> 32), byte(seed >> 40), byte(seed >> 48), byte(seed >> 56),
	})
}

// PPPDOptions says how a pppd and the line to it behave.
type PPPDOptions struct {
	Options []string      // pppd's own, each word by itself: "require-chap", "mru", "296"
	Rate    int           // bit/s each way, ten to an octet; 0: no limit
	Delay   time.Duration // one way
	Errors  float64       // share of octets that are changed on the way
	Seed    uint64        // decides which
}

// PPPDServer is the far end of a serial line with a pppd on it: what is written goes
// to the guest, what its pppd and its kernel send is read. Its methods are safe for
// any goroutine.
//
// A frame of the guest's may come cut short, even without PPPDOptions.Errors: when the
// pty is full for want of a reader, on a busy machine, user-mode Linux says so in a way
// that its PPP takes for the end of the line. TCP mends it.
type PPPDServer struct {
	Peer  netip.Addr // the guest's address on this line
	Local netip.Addr // the address that it gives
	DNS   netip.Addr // the name server that it gives; nobody answers there

	guest   *Guest
	port    *serialPort
	options []string
	in      *io.PipeReader // what comes from the line
	out     fifo           // what goes to it
	lost    atomic.Bool    // whether that gets lost at its end
	hangUp  func()
}

// PPPD boots a Linux with one pppd.
func PPPD(t testing.TB, opt PPPDOptions) *PPPDServer {
	t.Helper()
	return StartGuest(t).PPPD(t, opt)
}

// PPPD starts a pppd on a serial line that wasn't used before. It serves one call;
// when t has failed, its log is shown.
func (g *Guest) PPPD(t testing.TB, opt PPPDOptions) *PPPDServer {
	t.Helper()
	p := &PPPDServer{guest: g, port: g.port(t), options: opt.Options}
	number := byte(p.port.number) //nolint:gosec // below guestPorts
	p.Peer, p.Local = netip.AddrFrom4([4]byte{10, 64, number, 1}), netip.AddrFrom4([4]byte{10, 64, number, 2})
	p.DNS = netip.AddrFrom4([4]byte{10, 9, 9, 1})
	p.connect(opt)
	t.Cleanup(func() {
		p.hangUp()
		if err := p.kill(); err != nil {
			t.Errorf("pppd doesn't end: %v", err)
		}
		if t.Failed() {
			t.Logf("log of pppd:\n%s", p.Log())
		}
	})
	if err := p.start(); err != nil {
		t.Fatalf("start pppd: %v", err)
	}
	return p
}

// connect puts the line between the pty and who reads and writes here.
func (p *PPPDServer) connect(opt PPPDOptions) {
	stop := make(chan struct{})
	fromLine, in := io.Pipe()
	p.in, p.out = fromLine, newFIFO(stop)
	var lanes sync.WaitGroup
	for n, way := range []struct {
		dst io.Writer
		src io.Reader
	}{{in, p.port.master}, {guestEnd{p}, p.out}} {
		l := lane{rate: opt.Rate, delay: opt.Delay, errors: opt.Errors, random: rand.New(rand.NewPCG(opt.Seed, uint64(n)))}
		lanes.Go(func() { l.carry(way.dst, way.src, stop) })
	}
	p.hangUp = sync.OnceFunc(func() {
		close(stop)
		_ = p.port.master.Close()
		_ = in.Close()
		lanes.Wait()
	})
}

// guestEnd is where octets arrive at the guest.
type guestEnd struct{ *PPPDServer }

const (
	// ptyFill is how many octets the guest may leave unread. User-mode Linux looks at
	// a line when something new comes in, and on a busy machine it doesn't always read
	// all there is. In a full pty nothing can be new, and the line is deaf for good.
	ptyFill = 2048
	// ptyLook is the time between two looks at what it has left.
	ptyLook = time.Millisecond
)

// Write lets the guest read what it got before. One octet more is what reminds it.
func (e guestEnd) Write(b []byte) (int, error) {
	for sent, looks := 0, 0; sent < len(b); looks++ {
		if e.lost.Load() {
			return len(b), nil
		}
		room := ptyFill - unread(e.port.tty)
		if room <= 0 {
			time.Sleep(ptyLook)
			if looks%int(nudgeInterval/ptyLook) != 0 {
				continue
			}
			room = 1
		}
		n, err := e.port.master.Write(b[sent:min(sent+room, len(b))])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return len(b), nil
}

func (p *PPPDServer) start() error {
	_, err := p.guest.order(append([]string{"start", strconv.Itoa(p.port.number)}, p.options...)...)
	return err
}

func (p *PPPDServer) kill() error {
	_, err := p.guest.order("kill", strconv.Itoa(p.port.number))
	return err
}

// Read gives io.EOF after Close.
func (p *PPPDServer) Read(b []byte) (int, error) { return p.in.Read(b) }

// Write returns when all of b is in the port's buffer, which has room for 4 KiB, or has
// left it.
func (p *PPPDServer) Write(b []byte) (int, error) { return p.out.Write(b) }

// Close hangs up: pppd sees its modem hang up, and ends. Idempotent.
func (p *PPPDServer) Close() error {
	p.hangUp()
	return nil
}

// Restart kills pppd, which then has no time to say goodbye, and starts it again on the
// same line: an access server that was restarted, and negotiates anew. What is sent to
// it meanwhile is lost.
func (p *PPPDServer) Restart(t testing.TB) {
	t.Helper()
	const started = "using channel"
	before := strings.Count(p.Log(), started)
	p.lost.Store(true)
	time.Sleep(restartPause)
	if err := p.start(); err != nil {
		t.Fatalf("restart pppd: %v", err)
	}
	p.AwaitLog(t, fmt.Sprintf(`(?s)(%s.*){%d}`, started, before+1))
	p.lost.Store(false)
}

// restartPause is the time for the guest to read what the line has brought already.
const restartPause = 5 * nudgeInterval

// At is the address of one of the guest's services on this line.
func (p *PPPDServer) At(port uint16) string { return netip.AddrPortFrom(p.Peer, port).String() }

// Log is what pppd has said so far: every packet of its negotiations, in words.
func (p *PPPDServer) Log() string {
	p.guest.mu.Lock()
	defer p.guest.mu.Unlock()
	return p.port.log.String()
}

// AwaitLog returns when pppd has said something that matches the expression: its log
// comes by another way than the line, and may be later.
func (p *PPPDServer) AwaitLog(t testing.TB, expression string) {
	t.Helper()
	wanted := regexp.MustCompile(expression)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	p.guest.process.await(ctx, t, func() bool { return wanted.MatchString(p.Log()) })
}
