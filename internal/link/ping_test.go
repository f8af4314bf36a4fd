package link

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/modem/modemtest"
)

// TestPing measures the line's round trip, and an echo that got lost isn't in it.
func TestPing(t *testing.T) {
	var mu sync.Mutex
	lose := 0
	w := &wire{delay: 100 * time.Millisecond, speed: 1, lose: func(string, []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		lose--
		return lose >= 0
	}}
	a, b := w.connect(t)
	near := hurried(t, a, nearAddr, StackOptions{}, w.speed)
	hurried(t, b, farAddr, StackOptions{}, w.speed)
	for _, lost := range []int{0, 1} {
		mu.Lock()
		lose = lost
		mu.Unlock()
		near.tune.askWait = time.Second
		rtt, err := near.Ping(t.Context(), farAddr)
		if err != nil || rtt < 200*time.Millisecond || rtt > time.Second {
			t.Errorf("%d lost: %v, %v", lost, rtt, err)
		}
	}
	near.tune.askWait = 50 * time.Millisecond
	if _, err := near.Ping(t.Context(), netip.MustParseAddr("192.0.2.9")); kindIn(err) != NoAnswer {
		t.Errorf("nobody's address: %v", err)
	}
	if _, err := near.Ping(t.Context(), netip.MustParseAddr("::1")); kindIn(err) != InvalidAddress {
		t.Errorf("IPv6: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	cancel(enough)
	if _, err := near.Ping(ctx, farAddr); !errors.Is(err, enough) {
		t.Errorf("given up: %v", err)
	}
	near.Close()
	if _, err := near.Ping(t.Context(), farAddr); kindIn(err) != LineLost {
		t.Errorf("after the end: %v", err)
	}
}

// TestModemLinePing finds somebody who answers, and tells every step of the call.
func TestModemLinePing(t *testing.T) {
	l, _ := dialled(t, modemtest.Options{ConnectLine: "CONNECT 33600/ARQ"}, &provider{})
	if _, err := l.Ping(t.Context()); kindIn(err) != LineLost {
		t.Errorf("before Up: %v", err)
	}
	var mu sync.Mutex
	var steps []string
	l.cfg.OnStep = func(s string) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, s)
	}
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	pong, err := l.Ping(t.Context())
	if err != nil || pong.From != farAddr || pong.How != "echo" || pong.RTT <= 0 {
		t.Errorf("%+v, %v", pong, err)
	}
	s, err := l.stack()
	if err != nil {
		t.Fatal(err)
	}
	if rtt, err := s.question(t.Context(), farAddr); err != nil || rtt <= 0 {
		t.Errorf("a name server's answer: %v, %v", rtt, err)
	}
	if got := l.Addresses(); got.Local != nearAddr || got.Peer != farAddr || l.ConnectLine() != "CONNECT 33600/ARQ" {
		t.Errorf("%+v, %q", got, l.ConnectLine())
	}
	if err := l.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"port open", "modem ready", "dialling 5551234", "CONNECT 33600/ARQ", "link up, our address is " + nearAddr.String(),
		"link ended", "on-hook: DTR low, DCD down"}
	if mu.Lock(); !slices.Equal(steps, want) {
		t.Errorf("steps:\n%s", strings.Join(steps, "\n"))
	}
	mu.Unlock()
}
