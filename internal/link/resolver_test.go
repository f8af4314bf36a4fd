package link

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers questions over a stack's socket. answer is given the
// question and its number from 0 on, and makes the messages to send, if any.
type nameServer struct {
	answer func(query dnsmessage.Message, number int) []dnsmessage.Message
	asked  atomic.Int64
}

func (n *nameServer) serve(pc net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		size, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		for _, m := range n.reply(buf[:size]) {
			pc.WriteTo(m, from)
		}
	}
}

func (n *nameServer) reply(query []byte) (packed [][]byte) {
	var q dnsmessage.Message
	if q.Unpack(query) != nil {
		return nil
	}
	for _, m := range n.answer(q, int(n.asked.Add(1)-1)) {
		if b, err := m.Pack(); err == nil {
			packed = append(packed, b)
		}
	}
	return packed
}

func (n *nameServer) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		var length [2]byte
		io.ReadFull(c, length[:])
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		io.ReadFull(c, query)
		for _, m := range n.reply(query) {
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
		}
		c.Close()
	}
}

// replyTo is the head of an answer.
func replyTo(q dnsmessage.Message, code dnsmessage.RCode, answers ...dnsmessage.Resource) dnsmessage.Message {
	return dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true, RCode: code},
		Questions: q.Questions, Answers: answers,
	}
}

func record(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
	}
}

func host(name string, ttl uint32, a netip.Addr) dnsmessage.Resource {
	return record(name, ttl, &dnsmessage.AResource{A: a.As4()})
}

func alias(name string, ttl uint32, to string) dnsmessage.Resource {
	return record(name, ttl, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)})
}

// address answers every question with one address.
func address(name string, a netip.Addr) func(dnsmessage.Message, int) []dnsmessage.Message {
	return func(q dnsmessage.Message, _ int) []dnsmessage.Message {
		if q.Questions[0].Name.String() != name {
			return []dnsmessage.Message{replyTo(q, dnsmessage.RCodeNameError)}
		}
		return []dnsmessage.Message{replyTo(q, 0, host(name, 300, a))}
	}
}

var (
	server2 = netip.MustParseAddr("10.9.9.2") // nobody is there
	popAddr = netip.MustParseAddr("192.0.2.110")
	altAddr = netip.MustParseAddr("192.0.2.111")
)

// asking is a stack whose name server, at the far end, is n.
func asking(t *testing.T, n *nameServer, servers ...netip.Addr) (near *Stack, w *wire) {
	near, far, w := pair(t, StackOptions{DNS: servers})
	near.names.wait = 100 * time.Millisecond
	pc, err := far.ListenUDP(53)
	if err != nil {
		t.Fatal(err)
	}
	go n.serve(pc)
	go n.serveTCP(listenTCP(t, far, 53))
	return near, w
}

func TestLookup(t *testing.T) {
	ok := func(q dnsmessage.Message, _ int) []dnsmessage.Message {
		return []dnsmessage.Message{replyTo(q, 0, host("pop.example.", 60, popAddr), host("pop.example.", 30, altAddr))}
	}
	code := func(c dnsmessage.RCode) func(dnsmessage.Message, int) []dnsmessage.Message {
		return func(q dnsmessage.Message, _ int) []dnsmessage.Message { return []dnsmessage.Message{replyTo(q, c)} }
	}
	both := []netip.Addr{popAddr, altAddr}
	for _, c := range []struct {
		name    string
		answer  func(q dnsmessage.Message, number int) []dnsmessage.Message
		servers []netip.Addr
		want    []netip.Addr
		ttl     time.Duration
		kind    Kind
		server  netip.Addr // that the error names
		asked   int
	}{
		{name: "two addresses", answer: ok, want: both, ttl: 30 * time.Second, asked: 1},
		{name: "first server is dead", answer: ok, servers: []netip.Addr{server2, farAddr}, want: both, ttl: 30 * time.Second, asked: 1},
		{name: "server unset", answer: ok, servers: []netip.Addr{{}, netip.IPv4Unspecified(), farAddr}, want: both, ttl: 30 * time.Second, asked: 1},
		{name: "aliases, out of order", asked: 1, want: []netip.Addr{popAddr}, ttl: 20 * time.Second,
			answer: func(q dnsmessage.Message, _ int) []dnsmessage.Message {
				return []dnsmessage.Message{replyTo(q, 0, host("c.example.", 60, popAddr), alias("b.example.", 20, "C.example."),
					alias("Pop.Example.", 40, "b.example."), host("z.example.", 1, altAddr))}
			}},
		{name: "alias alone", asked: 2, want: []netip.Addr{popAddr}, ttl: 10 * time.Second,
			answer: func(q dnsmessage.Message, n int) []dnsmessage.Message {
				if n == 0 {
					return []dnsmessage.Message{replyTo(q, 0, alias("pop.example.", 10, "b.example."))}
				}
				return []dnsmessage.Message{replyTo(q, 0, host("b.example.", 60, popAddr))}
			}},
		{name: "circle", asked: 1, kind: NameFailure, server: farAddr,
			answer: func(q dnsmessage.Message, _ int) []dnsmessage.Message {
				return []dnsmessage.Message{replyTo(q, 0, alias("pop.example.", 10, "b.example."), alias("b.example.", 10, "pop.example."))}
			}},
		{name: "first try lost", asked: 2, want: both, ttl: 30 * time.Second,
			answer: func(q dnsmessage.Message, n int) []dnsmessage.Message {
				if n == 0 {
					return nil
				}
				return ok(q, n)
			}},
		{name: "forgeries first", asked: 1, want: both, ttl: 30 * time.Second,
			answer: func(q dnsmessage.Message, n int) []dnsmessage.Message {
				wrongID, wrongName, wrongType, query := ok(q, n)[0], ok(q, n)[0], ok(q, n)[0], q
				wrongID.ID++
				wrongName.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("evil.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
				wrongType.Questions = []dnsmessage.Question{{Name: q.Questions[0].Name, Type: dnsmessage.TypeAAAA, Class: dnsmessage.ClassINET}}
				return append([]dnsmessage.Message{wrongID, wrongName, wrongType, query}, ok(q, n)...)
			}},
		{name: "cut short, then TCP", asked: 2, want: both, ttl: 30 * time.Second,
			answer: func(q dnsmessage.Message, n int) []dnsmessage.Message {
				m := ok(q, n)
				m[0].Truncated = n == 0
				return m
			}},
		{name: "unknown", answer: code(dnsmessage.RCodeNameError), kind: UnknownHost, server: farAddr, asked: 1},
		{name: "no address", answer: code(dnsmessage.RCodeSuccess), kind: UnknownHost, server: farAddr, asked: 1},
		{name: "refused", answer: code(dnsmessage.RCodeRefused), kind: NameFailure, server: farAddr, asked: 1},
		{name: "failure, and the other is dead", answer: code(dnsmessage.RCodeServerFailure), servers: []netip.Addr{farAddr, server2},
			kind: NameFailure, server: farAddr, asked: 1},
		{name: "silence", answer: func(dnsmessage.Message, int) []dnsmessage.Message { return nil }, kind: NoAnswer, server: farAddr, asked: attempts},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := &nameServer{answer: c.answer}
			if c.servers == nil {
				c.servers = []netip.Addr{farAddr}
			}
			near, _ := asking(t, n, c.servers...)
			got, err := near.Lookup(t.Context(), "pop.example")
			var e *Error
			switch {
			case c.kind == 0 && err != nil:
				t.Fatal(err)
			case c.kind != 0 && (!errors.As(err, &e) || e.Kind != c.kind || e.Server != c.server || e.Temporary == (c.kind == UnknownHost)):
				t.Fatalf("%+v", err)
			}
			if len(got.Addrs) != len(c.want) || got.TTL != c.ttl {
				t.Fatalf("%+v", got)
			}
			for i := range c.want {
				if got.Addrs[i] != c.want[i] {
					t.Errorf("%v", got.Addrs)
				}
			}
			if asked := int(n.asked.Load()); asked != c.asked {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// TestLookupOnce: boxes at one provider begin together; it is asked once, with
// two packets.
func TestLookupOnce(t *testing.T) {
	n := &nameServer{answer: address("pop.example.", popAddr)}
	near, w := asking(t, n, farAddr)
	var work sync.WaitGroup
	for _, name := range []string{"pop.example", "POP.example.", "pop.example", "pop.example"} {
		work.Go(func() {
			if got, err := near.Lookup(t.Context(), name); err == nil && got.Addrs[0] != popAddr {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		})
	}
	work.Wait()
	if _, err := near.Lookup(t.Context(), "pop.example"); err != nil {
		t.Error(err)
	}
	if up, down := w.up.count().packets, w.down.count().packets; up != 1 || down != 1 {
		t.Errorf("%d packets up, %d down", up, down)
	}
}

// TestLookupGivenUp: who began the question may leave; who joined it isn't hurt.
func TestLookupGivenUp(t *testing.T) {
	heard := make(chan struct{}, attempts)
	n := &nameServer{answer: func(q dnsmessage.Message, number int) []dnsmessage.Message {
		heard <- struct{}{}
		if number == 0 {
			return nil
		}
		return address("pop.example.", popAddr)(q, number)
	}}
	near, _ := asking(t, n, farAddr)
	near.names.wait = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := near.Lookup(ctx, "pop.example")
		first <- err
	}()
	<-heard
	go func() {
		_, err := near.Lookup(t.Context(), "pop.example")
		second <- err
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("who stayed: %v", err)
	}
}

// TestFailureNotKept: what failed is asked again.
func TestFailureNotKept(t *testing.T) {
	n := &nameServer{answer: func(q dnsmessage.Message, number int) []dnsmessage.Message {
		if number == 0 {
			return []dnsmessage.Message{replyTo(q, dnsmessage.RCodeServerFailure)}
		}
		return address("pop.example.", popAddr)(q, number)
	}}
	near, _ := asking(t, n, farAddr)
	if _, err := near.Lookup(t.Context(), "pop.example"); kindIn(err) != NameFailure {
		t.Errorf("first: %v", err)
	}
	if _, err := near.Lookup(t.Context(), "pop.example"); err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestNotNames(t *testing.T) {
	near, w := asking(t, &nameServer{}, farAddr)
	for _, name := range []string{"", ".", "a..b", "mäil.example", "a b.example", string(make([]byte, 300)), "a." + string(make([]byte, 64))} {
		var e *Error
		if _, err := near.Lookup(t.Context(), name); !errors.As(err, &e) || e.Kind != UnknownHost || e.Temporary {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := w.up.count().packets; n != 0 {
		t.Errorf("asked with %d packets", n)
	}
}

// FuzzAnswer: whatever a name server sends, there is no panic, and an answer
// without an address or a reason isn't one.
func FuzzAnswer(f *testing.F) {
	q, err := newQuestion(7, "pop.example")
	if err != nil {
		f.Fatal(err)
	}
	query := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{q.section()}}
	for _, m := range []dnsmessage.Message{
		query,
		replyTo(query, 0, host("pop.example.", 60, popAddr)),
		replyTo(query, 0, alias("pop.example.", 60, "b.example."), host("b.example.", 60, popAddr)),
		replyTo(query, 0, alias("pop.example.", 60, "pop.example.")),
		replyTo(query, dnsmessage.RCodeNameError),
		replyTo(query, 9),
	} {
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := q.parse(message)
		if err != nil {
			return
		}
		if len(r.addrs) == 0 && r.alias == "" && !r.truncated && !r.unknown && r.failure == "" {
			t.Errorf("nothing at all: %+v", r)
		}
		if len(r.addrs) > maxAddresses || r.ttl < 0 || r.ttl > maxTTL {
			t.Errorf("out of bounds: %+v", r)
		}
	})
}
