// Package patience is a connection that is given up after silence, what a TLS handshake that fails on it means in words, and what a peer says
// on it, fit to be shown.
//
// It owns what the mail protocols need alike of a line that is slow, falls silent and is paid for by the minute:
//
//	New      a Conn around the conn that somebody else has opened; TLS, if any, goes over it
//	StartTLS a TLS handshake over a Conn that spends no packet on its own end
//	Lost     why such a connection ended, in words
//	Refused  whether a TLS handshake failed for good, and what a person can do about it
//	Legible  a peer's words, fit for terminals, logs and the database
//
// The invariant is that only silence ends a connection: as long as an octet moves, either way, it lives, however long a step takes. So
// no time limit has to be guessed from the size of a message and the rate of a line. And once it was given up it stays so: it is closed,
// and whatever fails from then on fails of silence.
//
// It starts no goroutine, dials nothing, and decides nothing about mail: whether to try again is for those who use it.
package patience

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Conn gives up when nothing has moved in either direction for a while. It lies beneath TLS, because a TLS connection doesn't survive a
// deadline of its own, and there every octet counts as life.
//
// A large Write on a slow line may take longer than the patience and still get somewhere: it goes on as long as each stretch of
// patience brought it further. Nor is a Read that waits meanwhile to blame for hearing nothing, so a Write suspends its deadline.
//
// The deadlines of the net.Conn within are Conn's to set. Close, SetPatience and Patience may be called at any time from anywhere.
type Conn struct {
	net.Conn

	order    sync.Mutex // for writes, so that what is held leaves first
	mu       sync.Mutex
	patience time.Duration
	writing  bool
	silent   bool // the patience came to its end
	holding  bool // writes wait for a Read, see StartTLS
	held     []byte
}

// New takes conn over. The patience must be above zero: with none, the first Read fails. It runs only while a Read or a Write does.
func New(conn net.Conn, patience time.Duration) *Conn {
	return &Conn{Conn: conn, patience: patience}
}

// SetPatience changes the patience, from now on and also for a Read that waits already, which then counts anew.
func (c *Conn) SetPatience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience = d
	if !c.writing {
		_ = c.SetReadDeadline(time.Now().Add(d))
	}
}

// Patience is the patience as it is.
func (c *Conn) Patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.patience
}

// Read is net.Conn's; after silence its error is os.ErrDeadlineExceeded. Errors of setting deadlines are not looked at: where that
// fails the connection is closed, and Read says so.
func (c *Conn) Read(b []byte) (int, error) {
	c.letGo()
	c.mu.Lock()
	if !c.writing {
		_ = c.SetReadDeadline(time.Now().Add(c.patience))
	}
	c.mu.Unlock()
	n, err := c.Conn.Read(b)
	return n, c.judge(err)
}

// Write is net.Conn's; after silence its error is os.ErrDeadlineExceeded. One goroutine writes at a time (TLS sees to it for what it
// adds itself).
func (c *Conn) Write(b []byte) (int, error) {
	c.order.Lock()
	defer c.order.Unlock()
	all, held, kept := c.keep(b)
	if kept {
		return len(b), nil
	}
	n, err := c.write(all)
	return max(0, n-held), err
}

func (c *Conn) write(b []byte) (int, error) {
	c.mu.Lock()
	c.writing = true
	patience := c.patience
	_ = c.SetReadDeadline(time.Time{})
	c.mu.Unlock()

	n, err := c.push(b, patience)

	c.mu.Lock()
	c.writing = false
	_ = c.SetReadDeadline(time.Now().Add(c.patience))
	c.mu.Unlock()
	return n, c.judge(err)
}

func (c *Conn) push(b []byte, patience time.Duration) (int, error) {
	done := 0
	for {
		_ = c.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.Conn.Write(b[done:])
		done += n
		if n == 0 || done == len(b) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
	}
}

// judge closes the connection when the patience is at its end, for both directions and for good: TLS would go on to spend as much again
// on an alert. From then on silence is the reason for whatever fails.
func (c *Conn) judge(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.silent = true
		_ = c.Close()
	}
	if c.silent {
		return os.ErrDeadlineExceeded
	}
	return err
}

// Lost puts words for a person around the error with which a connection ended or, after that much patience, was given up. err must not
// be nil; errors.Is finds it in what is returned.
func Lost(err error, patience time.Duration) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("nothing moved on the line for %v: %w", patience, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	return fmt.Errorf("the connection was lost: %w", err)
}
