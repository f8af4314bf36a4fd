package peers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"outpost/internal/link"
	"outpost/internal/peers"
	"outpost/internal/ppp"
)

// upTimeout bounds what a link through slirp needs for anything; it takes milliseconds.
const upTimeout = 30 * time.Second

// dialUp brings PPP up against a slirp, and a stack on top.
func dialUp(t *testing.T) (*ppp.Link, *link.Stack) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	l := ppp.New(peers.Slirp(t), ppp.Config{})
	addresses, err := l.Up(ctx)
	if err != nil {
		t.Fatalf("PPP: %v", err)
	}
	if !addresses.Local.Is4() || addresses.Local.IsUnspecified() {
		t.Errorf("our address is %v", addresses.Local)
	}
	s, err := link.NewStack(l, addresses.Local, link.StackOptions{MTU: addresses.MTU})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close(context.WithoutCancel(t.Context()))
	})
	return l, s
}

// throughSlirp is where slirp's guest finds a server of the machine's loopback.
func throughSlirp(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(peers.SlirpHost, port)
}

// echo answers every connection with what it says.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(end)
	t.Cleanup(func() { _ = l.Close() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	return l.Addr().String()
}

// roundTrip sends text through a connection and wants it back.
func roundTrip(ctx context.Context, s *link.Stack, address, text string) error {
	conn, err := s.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(conn, text)
		sent <- err
	}()
	back := make([]byte, len(text))
	if _, err := io.ReadFull(conn, back); err != nil {
		return err
	}
	if string(back) != text {
		return errors.New("what came back is not what was sent")
	}
	return <-sent
}

// Our PPP and our TCP against two implementations that aren't ours: slirp's PPP
// and TCP on the line, the kernel's beyond.
func TestTCPThroughSlirp(t *testing.T) {
	t.Parallel()
	l, s := dialUp(t)
	before := l.Stats()
	address := throughSlirp(t, echo(t))
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	// All octets there are, so that everything PPP has to escape comes by.
	binary := make([]byte, 200_000)
	for i := range binary {
		binary[i] = byte(i * i >> 3)
	}
	if err := roundTrip(ctx, s, address, string(binary)); err != nil {
		t.Fatalf("one connection: %v", err)
	}
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			if err := roundTrip(ctx, s, address, text(50_000+n)); err != nil {
				t.Errorf("connection %d of four: %v", n, err)
			}
		})
	}
	all.Wait()
	// Without those at the beginning: slirp's words to a person may hold a flag.
	if after := l.Stats(); after.FCSErrors != before.FCSErrors || after.Aborted != before.Aborted || after.Oversized != before.Oversized {
		t.Errorf("damaged frames on a line that damages none: %+v, after coming up %+v", after, before)
	}
	if err := l.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestHTTPThroughSlirp(t *testing.T) {
	t.Parallel()
	_, s := dialUp(t)
	page := text(200_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posted, err := io.ReadAll(r.Body)
		if err != nil || string(posted) != page {
			http.Error(w, "that isn't what was sent", http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, strings.ToUpper(page))
	}))
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: s.DialContext}, Timeout: upTimeout}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+throughSlirp(t, server.Listener.Addr().String()), strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(got, []byte(strings.ToUpper(page))) {
		t.Errorf("status %s, %d octets, %v", response.Status, len(got), err)
	}
}

// A port where nobody listens is told from a line that is dead.
func TestRefusedThroughSlirp(t *testing.T) {
	t.Parallel()
	_, s := dialUp(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := throughSlirp(t, l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), upTimeout)
	defer cancel()
	conn, err := s.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
	}
	var refused *link.Error
	if !errors.As(err, &refused) || refused.Kind != link.Refused {
		t.Errorf("%v, want it refused", err)
	}
}
