package smtpd

import (
	"net"
	"os"
	"sync"
	"time"
)

// conn is a client's connection below TLS and below go-smtp. It bounds each
// silence, remembers that the stream has ended, and can be told to let go.
//
// Where it refuses to read it returns os.ErrDeadlineExceeded: go-smtp answers
// a time-out with 421 and closes, which is what a server that wants to leave must
// say (RFC 5321 §3.8).
type conn struct {
	net.Conn
	door *door

	mu        sync.Mutex
	ended     error // first error of Read: nothing more comes
	busy      int   // messages being taken; two when one given up is still ending
	draining  bool  // leave as soon as not busy
	hungUp    bool  // leave at the next read
	held      bool  // refuse reads for a moment, without ending
	lastWords bool  // close after the next write
	closed    bool
	failures  int // AUTH attempts that failed
}

// Read reads with a deadline for this one silence. An error is final.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.beforeRead(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	if err != nil {
		c.mu.Lock()
		c.ended = err
		c.mu.Unlock()
	}
	return n, err
}

// beforeRead sets the deadline under the lock, so that drain's own deadline
// can't be overwritten by it.
func (c *conn) beforeRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return c.ended
	case c.held, c.hungUp, c.draining && c.busy == 0:
		return os.ErrDeadlineExceeded
	}
	return c.SetReadDeadline(time.Now().Add(c.door.opt.ReadTimeout))
}

// Write writes with a deadline of its own.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.door.opt.WriteTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	last := c.lastWords
	c.mu.Unlock()
	if last {
		_ = c.Close()
	}
	return n, err
}

// Close leaves the house; it may be called often.
func (c *conn) Close() error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return nil
	}
	c.door.Leave(c)
	return c.Conn.Close()
}

// drain makes an idle client leave now, a busy one after its message.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.busy == 0 {
		// Wakes a Read that waits. A connection that refuses is closed already.
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

// messages counts the messages being taken.
func (c *conn) messages(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy += change
}

// hangUp takes no more from the client: what is buffered is worked off, then 421.
func (c *conn) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp = true
}

// hold refuses reads while it is on.
func (c *conn) hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = on
}

// closeAfterReply closes when the next reply is written.
func (c *conn) closeAfterReply() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastWords = true
}

// hasEnded tells whether a read has met the end of the stream.
func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended != nil
}

// failure counts a failed AUTH and returns how many there were.
func (c *conn) failure() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures++
	return c.failures
}

// failedTooOften tells whether the attempts are used up.
func (c *conn) failedTooOften() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures >= maxAuthFailures
}
