package isp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"outpost/internal/ppp"
)

// wire is a line without modems, for calls by the hundred: what is dialled
// comes out of Accept, and the line dies after a number of octets.
type wire chan io.ReadWriteCloser

func (w wire) Accept(ctx context.Context) (io.ReadWriteCloser, error) {
	select {
	case c := <-w:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial returns the caller's end of a call that dies after so many octets,
// both directions together; 0 means never.
func (w wire) dial(cutAfter int64) *wireEnd {
	near, far := net.Pipe()
	c := &wireEnd{Conn: near}
	c.left.Store(cutAfter)
	if cutAfter == 0 {
		c.left.Store(1 << 40)
	}
	w <- far
	return c
}

// wireEnd is where the octets of both directions pass and are counted.
type wireEnd struct {
	net.Conn
	left atomic.Int64
}

func (c *wireEnd) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return c.pass(n), err
}

func (c *wireEnd) Write(b []byte) (int, error) {
	fits := c.pass(len(b))
	n, err := c.Conn.Write(b[:fits])
	if err == nil && n < len(b) {
		err = io.ErrClosedPipe
	}
	return n, err
}

// pass says how many of n octets still come through, and cuts the line
// behind the last one.
func (c *wireEnd) pass(n int) int {
	left := c.left.Add(-int64(n)) + int64(n)
	if left <= int64(n) {
		// Later, so that the caller can still pass on what came before.
		time.AfterFunc(0, func() { _ = c.Conn.Close() })
	}
	return int(max(0, min(left, int64(n))))
}

// exchange sends a message and empties a box, as a session does.
func exchange(body []byte) func(dial dialer) error {
	return func(dial dialer) error {
		conn, err := dial(ServerAddr().String() + ":25")
		if err != nil {
			return err
		}
		if err := send(conn, false, body); err != nil {
			return err
		}
		if conn, err = dial(ServerAddr().String() + ":110"); err != nil {
			return err
		}
		_, err = fetch(conn)
		return err
	}
}

// The line is cut at many octets of a call that sends and fetches. Each time
// mail must be whole where it was, and the next call must find the box
// unlocked and carry on; and nothing of the cut calls stays behind.
func TestLineCutAnywhere(t *testing.T) {
	body := []byte("Subject: out\r\n\r\n" + strings.Repeat("forty octets of text in a line, or so.\r\n", 20))
	p := newProvider(t, func(o *Options) { o.Boxes["ann"] = Box{Password: "pass word", Messages: [][]byte{body}} })
	line := make(wire)
	answer(t, p, line)
	call := func(cut int64) (octets int64, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		stream := line.dial(cut)
		err = online(ctx, stream, ppp.Config{}, exchange(body))
		return 1<<40 - stream.left.Load(), err
	}
	total, err := call(0)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	steps := int64(120)
	if testing.Short() {
		steps = 25
	}
	for cut := int64(1); cut < total; cut += max(1, total/steps) {
		p.AddMail("ann", body)
		sent := len(p.Received())
		_, err := call(cut)
		left, got := len(p.Box("ann")), len(p.Received())-sent
		if err == nil && (left != 0 || got != 1) || got > 1 {
			t.Errorf("cut at %d (%v): %d messages left, %d accepted", cut, err, left, got)
		}
		if left == 0 {
			p.AddMail("ann", body)
		}
		if _, err := call(0); err != nil || len(p.Box("ann")) != 0 {
			t.Fatalf("call after a cut at %d: %v, %d messages left", cut, err, len(p.Box("ann")))
		}
	}
	for _, m := range p.Received() {
		if !bytes.Equal(m.Data, body) {
			t.Errorf("a message of %d octets was accepted, want %d", len(m.Data), len(body))
		}
	}
	if err := settled(before); err != nil {
		t.Error(err)
	}
}

// Cancelling Answer's context hangs up on the caller.
func TestAnswerEndsTheCall(t *testing.T) {
	p := newProvider(t, nil)
	line := make(wire)
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { answered <- p.Answer(ctx, line) }()
	err := online(t.Context(), line.dial(0), ppp.Config{}, func(dial dialer) error {
		conn, err := dial(ServerAddr().String() + ":110")
		if err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 100)); err != nil {
			return fmt.Errorf("greeting: %w", err)
		}
		cancel()
		if n, err := conn.Read(make([]byte, 100)); err == nil {
			return fmt.Errorf("read %d octets after the hang-up", n)
		}
		return nil
	})
	if err = errors.Join(err, <-answered); err != nil {
		t.Error(err)
	}
}

// settled waits until no more goroutines run than before. They have been told
// to end; a library's may be in its last instructions.
func settled(before int) error {
	deadline := time.Now().Add(2 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			return fmt.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
	return nil
}
