package ppp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a line between two streams with a rate and a delay, as far as a line
// shows at its ends. It works in virtual time, inside a bubble.
type wire struct {
	delay time.Duration // one way
	rate  int           // bit/s, ten to an octet; 0: no limit
	// alter, if set, is given each write of an end (0: the client's) and its
	// number, and gives what arrives; nil loses it.
	alter func(end, number int, b []byte) []byte
}

// connect gives the line's two ends.
func (w wire) connect() (a, b net.Conn) {
	a, a2 := net.Pipe()
	b2, b := net.Pipe()
	go w.carry(0, a2, b2)
	go w.carry(1, b2, a2)
	return a, b
}

type stamped struct {
	at time.Time
	b  []byte
}

// carry moves one direction; when the near end closes, so does the far end.
func (w wire) carry(end int, from, to net.Conn) {
	queue := make(chan stamped, 10_000)
	go func() {
		for s := range queue {
			time.Sleep(time.Until(s.at))
			to.Write(s.b)
		}
		to.Close()
	}()
	defer close(queue)
	buf := make([]byte, 8192)
	var free time.Time
	for number := 0; ; number++ {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		b := bytes.Clone(buf[:n])
		if now := time.Now(); free.Before(now) {
			free = now
		}
		if w.rate > 0 {
			free = free.Add(time.Duration(n) * 10 * time.Second / time.Duration(w.rate))
		}
		if w.alter != nil {
			b = w.alter(end, number, b)
		}
		if b != nil {
			queue <- stamped{free.Add(w.delay), b}
		}
	}
}

var (
	serverAddr = netip.MustParseAddr("10.1.0.1")
	clientAddr = netip.MustParseAddr("10.1.0.2")
	dns1       = netip.MustParseAddr("10.9.9.1")
	dns2       = netip.MustParseAddr("10.9.9.2")
)

func secretOf(user string) (string, bool) {
	if user == "joe" {
		return "secret", true
	}
	return "", false
}

func clientConfig() Config { return Config{User: "joe", Password: "secret"} }

func serverConfig(auth ...AuthProtocol) Config {
	cfg := Config{
		Server: true, LocalAddr: serverAddr, PeerAddr: clientAddr,
		DNS: [2]netip.Addr{dns1, dns2}, Auth: auth,
	}
	if len(auth) > 0 {
		cfg.Authenticate = secretOf
	}
	return cfg
}

// pair is a client and a server on one line.
type pair struct {
	client, server       *Link
	clientGot, serverGot Addresses
	clientErr, serverErr error
	took                 time.Duration // until both Ups returned
}

// bringUp starts both ends at once and waits for both.
func bringUp(t *testing.T, w wire, client, server Config) *pair {
	a, b := w.connect()
	p := &pair{client: New(a, client), server: New(b, server)}
	t.Cleanup(func() { p.end(t) })
	begun := time.Now()
	var both sync.WaitGroup
	both.Go(func() { p.clientGot, p.clientErr = p.client.Up(context.Background()) })
	both.Go(func() { p.serverGot, p.serverErr = p.server.Up(context.Background()) })
	both.Wait()
	p.took = time.Since(begun)
	return p
}

// mustBeUp fails the test unless both ends are open.
func (p *pair) mustBeUp(t *testing.T) {
	t.Helper()
	if p.clientErr != nil || p.serverErr != nil {
		t.Fatalf("client: %v; server: %v", p.clientErr, p.serverErr)
	}
}

// end closes both ends; a bubble's test may not leave goroutines.
func (p *pair) end(t *testing.T) {
	t.Helper()
	for _, l := range []*Link{p.client, p.server} {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	settle()
}

// settle lets the line deliver what is on its way, and end.
func settle() {
	time.Sleep(10 * time.Minute)
	synctest.Wait()
}

// exchange sends a packet each way and sees it arrive.
func (p *pair) exchange(t *testing.T) {
	t.Helper()
	for _, way := range [][2]*Link{{p.client, p.server}, {p.server, p.client}} {
		sent := bytes.Repeat([]byte{0x45, 0x7e, 0x11, 0x00}, 100)
		if err := way[0].WritePacket(sent); err != nil {
			t.Fatalf("write: %v", err)
		}
		got := make([]byte, 1500)
		n, err := way[1].ReadPacket(got)
		if err != nil || !bytes.Equal(got[:n], sent) {
			t.Fatalf("read %d octets, %v", n, err)
		}
	}
}

// wantKind checks the typed error of a link's end.
func wantKind(t *testing.T, who string, err error, kind Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v, want an *Error of kind %q", who, err, kind)
	}
	if e.Kind != kind {
		t.Errorf("%s: %v, want kind %q", who, err, kind)
	}
	return e
}

// script is a far end played by the test, frame by frame.
type script struct {
	t      *testing.T
	conn   net.Conn
	frames chan []byte // frames from the link under test; closed at its end
	send   framing
}

// play starts a client with cfg against a script on a line without delay.
// result gets what Up gives.
func play(t *testing.T, cfg Config) (s *script, l *Link, result chan error) {
	a, b := wire{}.connect()
	s = &script{t: t, conn: b, frames: make(chan []byte, 100), send: plainFraming()}
	go func() {
		defer close(s.frames)
		d := newDeframer(defaultMRU, &counters{})
		d.accm = 0
		buf := make([]byte, 4096)
		for {
			n, err := b.Read(buf)
			d.feed(buf[:n], func(f []byte) { s.frames <- bytes.Clone(f) })
			if err != nil {
				return
			}
		}
	}()
	l = New(a, cfg)
	t.Cleanup(func() { s.finish(l) })
	result = make(chan error, 1)
	go func() {
		_, err := l.Up(context.Background())
		result <- err
	}()
	return s, l, result
}

// next gives the next packet from the link, which must be of protocol and code.
func (s *script) next(protocol uint16, code byte) packet {
	s.t.Helper()
	f, ok := <-s.frames
	if !ok {
		s.t.Fatalf("the link ended, want %04x code %d", protocol, code)
	}
	got, info, _ := parseFrame(f)
	p, ok := parsePacket(info)
	if !ok || got != protocol || p.code != code {
		s.t.Fatalf("got %04x %x, want %04x code %d", got, info, protocol, code)
	}
	return p
}

func (s *script) put(protocol uint16, p packet) {
	s.conn.Write(append([]byte{flag}, appendFrame(nil, s.send, protocol, p.bytes())...))
}

// ack acknowledges a request as it is.
func (s *script) ack(protocol uint16, p packet) { s.put(protocol, packet{codeAck, p.id, p.data}) }

// openLCP negotiates LCP with the script's own options.
func (s *script) openLCP(opts ...option) {
	s.t.Helper()
	s.ack(protoLCP, s.next(protoLCP, codeRequest))
	s.put(protoLCP, packet{codeRequest, 200, appendOptions(nil, opts)})
	s.next(protoLCP, codeAck)
}

// openIPCP gives the client its address and opens IPCP.
func (s *script) openIPCP() {
	s.t.Helper()
	r := s.next(protoIPCP, codeRequest)
	s.put(protoIPCP, packet{codeNak, r.id, appendOptions(nil, []option{
		optionAddr(ipcpAddress, clientAddr), optionAddr(ipcpDNS1, dns1), optionAddr(ipcpDNS2, dns2),
	})})
	s.ack(protoIPCP, s.next(protoIPCP, codeRequest))
	s.put(protoIPCP, packet{codeRequest, 201, appendOptions(nil, []option{optionAddr(ipcpAddress, serverAddr)})})
	s.next(protoIPCP, codeAck)
}

// finish hangs up and sees the link's goroutines end, after every test.
func (s *script) finish(l *Link) {
	s.conn.Close()
	<-l.Done()
	for range s.frames {
	}
	settle()
}
