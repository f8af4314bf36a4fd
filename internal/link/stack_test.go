package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// noLeak fails the test if goroutines are left at its end.
func noLeak(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				return
			}
			runtime.Gosched()
		}
	})
}

func serveEcho(l net.Listener) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		work.Go(func() {
			defer c.Close()
			io.Copy(c, c)
		})
	}
}

// echoes sends data and wants it back.
func echoes(t testing.TB, c net.Conn, data []byte) {
	t.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got, data) {
		t.Error("octets changed on the way")
	}
}

func listenTCP(t testing.TB, s *Stack, port uint16) net.Listener {
	t.Helper()
	l, err := s.ListenTCP(port)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestStack(t *testing.T) {
	noLeak(t)
	for _, opt := range []StackOptions{{}, {Rate: 9600, RTT: 600 * time.Millisecond}, {Rate: 2400, MTU: 296}} {
		near, far, _ := pair(t, opt)
		l := listenTCP(t, far, 7)
		go serveEcho(l)
		c, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7")
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, c, bytes.Repeat([]byte("0123456789abcdef"), 4096))
		if got := c.LocalAddr().String(); !strings.HasPrefix(got, "10.1.0.2:") {
			t.Errorf("local address %s", got)
		}
		half, ok := c.(interface{ CloseWrite() error })
		if !ok || half.CloseWrite() != nil {
			t.Error("no CloseWrite")
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after both ends have closed: %d, %v", n, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		if n := near.conns.Load(); n != 0 {
			t.Errorf("%d connections counted, none is open", n)
		}
		near.Close()
		far.Close()
	}
}

// A connection that is reset before it is accepted is accepted, and broken.
func TestAcceptAfterReset(t *testing.T) {
	noLeak(t)
	near, far, _ := pair(t, StackOptions{})
	defer near.Close()
	defer far.Close()
	l := listenTCP(t, far, 7)
	if _, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7"); err != nil {
		t.Fatal(err)
	}
	for _, e := range near.net.RegisteredEndpoints() {
		e.Abort()
	}
	for end := time.Now().Add(5 * time.Second); far.net.Stats().TCP.EstablishedResets.Value() == 0; {
		if time.Now().After(end) {
			t.Fatal("no reset came")
		}
		runtime.Gosched()
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var broken *Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &broken) || broken.Kind != Reset {
		t.Errorf("read: %v", err)
	}
}

// TestStackTuning reads on the wire what a tuned line is promised.
func TestStackTuning(t *testing.T) {
	tuned := tune(9600, 600*time.Millisecond)
	var mu sync.Mutex
	w := &wire{lose: func(way string, p []byte) bool {
		s, ok := parseSegment(p)
		if !ok {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if n := len(s.payload()); n > tuned.mss {
			t.Errorf("%s: segment of %d octets", way, n)
		}
		if window := int(s.tcp()[14])<<8 | int(s.tcp()[15]); way == "up" && window > tuned.duplex {
			t.Errorf("%s: window of %d octets offered", way, window)
		}
		if s.isSYN() && !bytes.Equal(plainOptions(s.tcp()[20:s.header]), s.tcp()[20:s.header]) && way == "up" {
			t.Errorf("%s: options % x on a SYN", way, s.tcp()[20:s.header])
		}
		// gVisor's listener may take the first segments in another order, and says so.
		if options := s.tcp()[20:s.header]; !s.isSYN() && s.header != 20 && !bytes.HasPrefix(options, []byte{optNop, optNop, 5}) {
			t.Errorf("%s: options on a segment: % x", way, options)
		}
		return false
	}}
	a, b := w.connect(t)
	near := hurried(t, a, nearAddr, StackOptions{Rate: 9600, RTT: 600 * time.Millisecond}, 1)
	far := hurried(t, b, farAddr, StackOptions{}, 1)
	go serveEcho(listenTCP(t, far, 7))
	c, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, make([]byte, 30_000))
}

// TestSmallerPackets: what the far end takes bounds what both send.
func TestSmallerPackets(t *testing.T) {
	w := &wire{lose: func(way string, p []byte) bool {
		if len(p) > 296 {
			t.Errorf("%s: packet of %d octets", way, len(p))
		}
		return false
	}}
	a, b := w.connect(t)
	near := hurried(t, a, nearAddr, StackOptions{MTU: 296}, 1)
	far := hurried(t, b, farAddr, StackOptions{}, 1)
	go serveEcho(listenTCP(t, far, 7))
	c, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, make([]byte, 10_000))
}

func TestNewStackRefuses(t *testing.T) {
	w := &wire{}
	a, _ := w.connect(t)
	if _, err := NewStack(a, netip.IPv6Loopback(), StackOptions{}); err == nil {
		t.Error("an IPv6 address was taken")
	}
	if _, err := NewStack(a, nearAddr, StackOptions{MTU: 60}); err == nil {
		t.Error("an MTU of 60 was taken")
	}
}

// TestDeadline: the standard library and everybody else tells time-outs by
// os.ErrDeadlineExceeded and Timeout.
func TestDeadline(t *testing.T) {
	near, far, _ := pair(t, StackOptions{})
	listenTCP(t, far, 7)
	c, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	var timeout net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read: %v", err)
	}
}

// TestUnasked: a far end that knocks isn't answered, for that would cost, and
// nobody is meant to come in.
func TestUnasked(t *testing.T) {
	near, far, w := pair(t, StackOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := far.DialContext(ctx, "tcp", "10.1.0.2:7"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialling in: %v", err)
	}
	if n := w.up.count().packets; n != 0 {
		t.Errorf("answered with %d packets", n)
	}
	go serveEcho(listenTCP(t, near, 7)) // but a listener is meant
	c, err := far.DialContext(t.Context(), "tcp", "10.1.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, []byte("hello"))
}

func TestDialErrors(t *testing.T) {
	near, far, _ := pair(t, StackOptions{})
	near.tune.connectWait = 50 * time.Millisecond
	listenTCP(t, far, 7)
	for _, c := range []struct {
		network, address string
		kind             Kind
		temporary        bool
	}{
		{"tcp", "10.1.0.1:8", Refused, true},
		{"tcp", "10.1.0.99:7", ConnectTimeout, true}, // the far host drops what isn't for it
		{"tcp", "[::1]:7", InvalidAddress, false},
		{"tcp", "10.1.0.1", InvalidAddress, false},
		{"tcp", "10.1.0.1:pop3", InvalidAddress, false},
		{"tcp", "10.1.0.1:0", InvalidAddress, false},
		{"tcp", "10.1.0.1:65536", InvalidAddress, false},
		{"tcp", ":7", InvalidAddress, false},
		{"tcp6", "10.1.0.1:7", InvalidAddress, false},
		{"unix", "/tmp/x", InvalidAddress, false},
		{"tcp", "pop.example:7", NoAnswer, true}, // no name server is known
	} {
		_, err := near.DialContext(t.Context(), c.network, c.address)
		var e *Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Temporary != c.temporary {
			t.Errorf("dial %s %s: %v", c.network, c.address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := near.DialContext(ctx, "tcp", "10.1.0.1:7"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestBrokenByPeer(t *testing.T) {
	near, far, _ := pair(t, StackOptions{})
	l := listenTCP(t, far, 7)
	c, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("not read by the far end, which closes with a reset")); err != nil {
		t.Fatal(err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	if _, err := c.Read(make([]byte, 1)); kindIn(err) != Reset {
		t.Errorf("read from a connection that was reset: %v", err)
	}
}

// TestCloseEndsAll has something waiting in every call there is, and ends the
// stack: by Close, and by the link's end.
func TestCloseEndsAll(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*Stack, *wireEnd)
		cause error
	}{
		"Close":    {func(s *Stack, _ *wireEnd) { s.Close() }, ErrClosed},
		"the link": {func(_ *Stack, e *wireEnd) { e.shut() }, errCut},
	} {
		t.Run(name, func(t *testing.T) {
			noLeak(t)
			w := &wire{}
			a, b := w.connect(t)
			near := hurried(t, a, nearAddr, StackOptions{DNS: []netip.Addr{netip.MustParseAddr("10.9.9.9")}}, 1)
			far := hurried(t, b, farAddr, StackOptions{}, 1)
			listenTCP(t, far, 7)
			failures := make(chan error, 6)
			waiting(t, near, failures)
			c.end(near, a)
			<-near.Done()
			for range cap(failures) {
				if err := <-failures; kindIn(err) != LineLost || !errors.Is(err, c.cause) {
					t.Errorf("%v", err)
				}
			}
			near.Close()
			if !errors.Is(near.Err(), c.cause) {
				t.Errorf("Err: %v", near.Err())
			}
			if _, err := near.DialContext(t.Context(), "tcp", "10.1.0.1:7"); kindIn(err) != LineLost {
				t.Errorf("dial after the end: %v", err)
			}
			if _, err := near.ListenTCP(9); err == nil {
				t.Error("listen after the end")
			}
			a.shut()
		})
	}
}

// waiting starts six calls that wait for something that doesn't come.
func waiting(t *testing.T, s *Stack, failures chan<- error) {
	t.Helper()
	c, err := s.DialContext(t.Context(), "tcp", "10.1.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	l := listenTCP(t, s, 8)
	u, err := s.ListenUDP(0)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{}, 6)
	for _, wait := range []func() error{
		func() error { _, err := c.Read(make([]byte, 1)); return err },
		func() error { _, err := c.Write(make([]byte, 32<<20)); return err }, // nobody reads it
		func() error { _, err := l.Accept(); return err },
		func() error { _, _, err := u.ReadFrom(make([]byte, 1)); return err },
		func() error { _, err := s.DialContext(t.Context(), "tcp", "10.9.9.9:7"); return err },
		func() error { _, err := s.Lookup(t.Context(), "pop.example"); return err },
	} {
		go func() {
			started <- struct{}{}
			failures <- wait()
		}()
	}
	for range cap(started) {
		<-started
	}
}

func TestUDP(t *testing.T) {
	near, far, _ := pair(t, StackOptions{})
	server, err := far.ListenUDP(123)
	if err != nil {
		t.Fatal(err)
	}
	c, err := near.DialContext(t.Context(), "udp", "10.1.0.1:123")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("what time is it?")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := server.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "what time is it?" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := server.WriteTo([]byte("late"), from); err != nil {
		t.Fatal(err)
	}
	if n, err = c.Read(buf); err != nil || string(buf[:n]) != "late" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := server.WriteTo(nil, &net.TCPAddr{}); kindIn(err) != InvalidAddress {
		t.Errorf("to a TCP address: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}
