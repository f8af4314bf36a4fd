package patience

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the writes that reach the line.
type counted struct {
	net.Conn
	writes *atomic.Int32
}

func (c counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// The end of the handshake and the first command are one write; a client that listens first doesn't wait for ever, nor does one that
// speaks TLS 1.2, where the server has the last word.
func TestStartTLS(t *testing.T) {
	cert, pool := certificate(t, time.Now().Add(time.Hour))
	for name, test := range map[string]struct {
		version uint16
		listens bool // to a greeting, before it says anything
		writes  int32
	}{
		"1.3, speaks":  {tls.VersionTLS13, false, 2},
		"1.3, listens": {tls.VersionTLS13, true, 3},
		"1.2, speaks":  {tls.VersionTLS12, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer func() { _ = far.Close() }()
			go func() {
				server := tls.Server(far, &tls.Config{MinVersion: test.version, MaxVersion: test.version, Certificates: []tls.Certificate{cert}})
				if test.listens {
					_, _ = io.WriteString(server, "hi")
				}
				b := make([]byte, 2)
				_, _ = io.ReadFull(server, b)
				_, _ = server.Write(b)
			}()
			writes := new(atomic.Int32)
			c := New(counted{near, writes}, time.Minute)
			defer func() { _ = c.Close() }()
			conn, err := c.StartTLS(t.Context(), &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "mail.example", RootCAs: pool})
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 2)
			if test.listens {
				if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hi" {
					t.Fatalf("%q, %v", b, err)
				}
			}
			if n, err := io.WriteString(conn, "yo"); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			if _, err := io.ReadFull(conn, b); err != nil || string(b) != "yo" {
				t.Errorf("%q, %v", b, err)
			}
			if n := writes.Load(); n != test.writes {
				t.Errorf("%d writes, want %d", n, test.writes)
			}
		})
	}
}

// What a write on a line that breaks has moved is counted without what was held before it.
func TestHeldAndCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for room, want := range map[int]int{0: 0, 3: 0, 4: 0, 6: 2, 8: 4} {
			near, far := net.Pipe()
			c := New(near, time.Minute)
			c.hold(true)
			if n, err := c.Write([]byte("held")); n != 4 || err != nil {
				t.Fatal(n, err)
			}
			c.hold(false)
			go func() {
				_, _ = io.ReadFull(far, make([]byte, room))
				_ = far.Close()
			}()
			if n, err := c.Write([]byte("more")); n != want || (err == nil) != (want == 4) {
				t.Errorf("room for %d: %d, %v", room, n, err)
			}
			_ = c.Close()
			synctest.Wait()
		}
	})
}

// More than a handshake needs isn't held, whatever somebody writes.
func TestHeldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := New(near, time.Minute)
		c.hold(true)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		for range 100 {
			if _, err := c.Write(make([]byte, 1000)); err != nil || len(c.held) > maxHeld {
				t.Fatal(len(c.held), err)
			}
		}
		_, _ = c.Close(), far.Close()
	})
}
