package isp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
)

func plainAuth(user, password string) sasl.Client { return sasl.NewPlainClient("", user, password) }

func serveLoopback(t testing.TB, p *Provider) *Loopback {
	t.Helper()
	l, err := p.ServeLoopback()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func greetingAt(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "refused"
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line := make([]byte, 200)
	n, err := conn.Read(line)
	if err != nil {
		return "nothing"
	}
	first, _, _ := strings.Cut(string(line[:n]), " ")
	return first
}

func TestPorts(t *testing.T) {
	for mode, open := range map[TLSMode][]uint16{
		TLSNone:     {25, 587, 110, 53},
		TLSStart:    {25, 587, 110, 53},
		TLSImplicit: {25, 587, 110, 465, 995, 53},
	} {
		l := serveLoopback(t, newProvider(t, func(o *Options) { o.TLS = mode }))
		if len(l.net.tcp) != len(open) {
			t.Errorf("%s: ports %v are open, want %v", mode, l.net.tcp, open)
		}
		for _, port := range open {
			if l.Addr(port) == "" {
				t.Errorf("%s: port %d is closed", mode, port)
			}
		}
	}
}

func TestServicesDown(t *testing.T) {
	p := newProvider(t, nil)
	l := serveLoopback(t, p)
	if s, m := greetingAt(l.Addr(587)), greetingAt(l.Addr(110)); s != "220" || m != "+OK" {
		t.Fatalf("greeted with %q and %q", s, m)
	}
	// While it runs: dropped without a greeting.
	p.SetFaults(func(f *Faults) { f.SMTPDown = true })
	if s, m := greetingAt(l.Addr(587)), greetingAt(l.Addr(110)); s != "nothing" || m != "+OK" {
		t.Errorf("with SMTP down greeted with %q and %q", s, m)
	}
	// From the start: the port isn't open.
	p.SetFaults(func(f *Faults) { f.SMTPDown, f.POPDown = false, true })
	l = serveLoopback(t, p)
	if s := greetingAt(l.Addr(587)); s != "220" || l.Addr(110) != "" {
		t.Errorf("with POP3 down greeted with %q; POP3 at %q", s, l.Addr(110))
	}
	if c := p.Counters(); c.SMTPConnections != 2 || c.POPConnections != 2 {
		t.Errorf("counted %+v, want 2 and 2 connections", c)
	}
}

// Close ends what is in progress, whatever it waits for, and leaves nothing.
func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	p := newProvider(t, func(o *Options) { o.TLS = TLSImplicit; o.Boxes["big"] = Box{Messages: [][]byte{make([]byte, 8<<20)}} })
	l, err := p.ServeLoopback()
	if err != nil {
		t.Fatal(err)
	}
	idle := func(port uint16, say string) {
		conn, err := net.Dial("tcp", l.Addr(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, say); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		idle(110, "CAPA\r\n")                                                                    // waits for a command
		idle(995, "")                                                                            // waits for a handshake
		idle(587, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nhalf a message")   // waits for content
		idle(25, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 100\r\nhalf a chunk ") // and for a chunk
		idle(53, "\x00\x20half")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := len(p.Received()); n != 0 {
		t.Errorf("%d half messages accepted", n)
	}
	if err := settled(before); err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	p := newProvider(t, nil)
	l := serveLoopback(t, p)
	for range maxConnections {
		conn, err := net.Dial("tcp", l.Addr(110))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
	}
	if got := greetingAt(l.Addr(110)); got != "nothing" {
		t.Errorf("one more was greeted with %q", got)
	}
}

// One connection too many to the boxes is closed ungreeted, and those to the smarthost don't count.
func TestPOPAtOnce(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.Faults = Faults{POPAtOnce: 1} })
	l := serveLoopback(t, p)
	smtp, err := net.Dial("tcp", l.Addr(25))
	if err != nil {
		t.Fatal(err)
	}
	defer smtp.Close()
	first, err := net.Dial("tcp", l.Addr(110))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if line, err := bufio.NewReader(first).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("%q, %v", line, err)
	}
	if got := greetingAt(l.Addr(110)); got != "nothing" {
		t.Errorf("the second heard %q", got)
	}
	if got := greetingAt(l.Addr(25)); got != "220" {
		t.Errorf("the smarthost said %q", got)
	}
	if n := p.Counters().POPConnections; n != 1 {
		t.Errorf("%d connections were counted", n)
	}
}

func TestNamesOverTheWire(t *testing.T) {
	p := newProvider(t, nil)
	l := serveLoopback(t, p)
	for _, network := range []string{"udp", "tcp"} {
		addr := map[string]string{"udp": l.DNSAddr(), "tcp": l.Addr(53)}[network]
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}}
		for _, host := range []string{p.SMTPHost(), p.POPHost(), "POP.Pretend.Example"} {
			got, err := r.LookupHost(t.Context(), host)
			if err != nil || len(got) != 1 || got[0] != "127.0.0.1" {
				t.Errorf("%s over %s is %v, %v", host, network, got, err)
			}
		}
		_, err := r.LookupHost(t.Context(), "www.pretend.example.")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("unknown name over %s: %v", network, err)
		}
	}
	p.SetFaults(func(f *Faults) { f.NoDNS = true })
	before := p.Counters().DNSQueries
	conn, err := net.Dial("udp", l.DNSAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(query(t, "pop.pretend.example.", 1)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 512)); err == nil {
		t.Errorf("%d octets of answer with NoDNS", n)
	}
	if p.Counters().DNSQueries != before+1 {
		t.Error("the unanswered question wasn't counted")
	}
}
