package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// loopback is the interface that every computer has, by the name it has on Linux.
const loopback = "lo"

// listenEcho answers on the computer's own loopback until the test ends.
func listenEcho(t *testing.T) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() { serveEcho(l) })
	t.Cleanup(func() {
		l.Close()
		work.Wait()
	})
	return l.Addr().String()
}

func TestHostNet(t *testing.T) {
	noLeak(t)
	h := newHostNet(hostOptions{Wait: 10 * time.Second})
	address := listenEcho(t)
	c, err := h.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, c, []byte("EHLO office\r\n"))
	if h.up.Load() != 13 || h.down.Load() != 13 {
		t.Errorf("%d octets up, %d down", h.up.Load(), h.down.Load())
	}
	// A deadline is what it is everywhere else.
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past its deadline: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}

	// Connections end with the line, in the middle of what they do.
	waiting, err := h.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("the dish fell over")
	failed := make(chan error, 1)
	go func() {
		_, err := waiting.Read(make([]byte, 1))
		failed <- err
	}()
	h.close(cause)
	h.close(errors.New("another cause"))
	if err := <-failed; kindIn(err) != LineLost || !errors.Is(err, cause) {
		t.Errorf("a read in progress: %v", err)
	}
	if _, err := waiting.Write([]byte("x")); kindIn(err) != LineLost || !errors.Is(err, cause) {
		t.Errorf("a write afterwards: %v", err)
	}
	if _, err := h.dial(t.Context(), "tcp", address); kindIn(err) != LineLost || !errors.Is(err, cause) {
		t.Errorf("a dial afterwards: %v", err)
	}
	if len(h.open) != 0 {
		t.Errorf("%d connections are kept", len(h.open))
	}
}

func TestHostNetRefuses(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	enough := errors.New("enough")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	for _, c := range []struct {
		network, address string
		kind             Kind
		hint             string
	}{
		{"tcp", closed, Refused, "check the port"},
		{"tcp", "127.0.0.1", InvalidAddress, ""},
		{"tcp", "127.0.0.1:smtp", InvalidAddress, ""},
		{"unix", "127.0.0.1:25", InvalidAddress, ""},
		{"tcp", "two words:25", UnknownHost, ""},
		{"tcp", "mail.example:25", NoAnswer, "write the host's address"},
	} {
		h := newHostNet(hostOptions{Wait: 10 * time.Second, Servers: func(context.Context) []netip.Addr { return nil }})
		_, err := h.dial(t.Context(), c.network, c.address)
		var e *Error
		if !errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(e.Advice(), c.hint) {
			t.Errorf("%s %s: %v", c.network, c.address, err)
		}
		if _, err := h.dial(ended, "tcp", closed); !errors.Is(err, enough) || kindIn(err) != 0 {
			t.Errorf("dialling for somebody who has gone: %v", err)
		}
	}
	h := newHostNet(hostOptions{Interface: loopback, Local: []netip.Addr{netip.IPv6Loopback()}})
	if _, err := h.dial(t.Context(), "tcp", closed); kindIn(err) != Unreachable {
		t.Errorf("no address of the kind: %v", err)
	}
}

// A name that an earlier call has found is not asked for, and found by the next call too.
func TestHostNetKnowsNames(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	_, port, _ := net.SplitHostPort(far.Addr().String())
	asked := 0
	h := newHostNet(hostOptions{
		Wait:    10 * time.Second,
		Servers: func(context.Context) []netip.Addr { asked++; return nil },
		Names:   map[string]KeptName{"pop.example": {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Until: time.Now().Add(time.Hour)}},
	})
	c, err := h.dial(t.Context(), "tcp", "POP.example:"+port)
	if err != nil || asked != 0 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	c.Close()
	if kept := h.names.keep(); len(kept) != 1 || len(kept["pop.example"].Addrs) != 1 {
		t.Errorf("%v", kept)
	}
	h.close(errGone)
}

// A net line's names are in its memory once it is down.
func TestNetLineRemembersNames(t *testing.T) {
	book := new(notebook)
	l := NewNetLine(NetConfig{Name: "vsat", Memory: book})
	remember(book, l.cfg.memoryKey(), kept{At: time.Now(), Names: map[string]KeptName{
		"pop.example": {Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Until: time.Now().Add(-time.Hour)},
	}}, l.cfg.Log)
	for range 2 {
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if old := l.host().names.old; len(old) != 1 {
			t.Errorf("known: %v", old)
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
