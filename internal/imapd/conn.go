package imapd

import (
	"net"
	"os"
	"sync"
	"time"
)

const (
	// loginTime bounds all that comes before a login, however busily it comes.
	loginTime = 3 * time.Minute
	// writeTimeout bounds the wait for a client to take some of an answer.
	writeTimeout = 2 * time.Minute
)

// conn is a client's connection below TLS. It bounds each silence, and can be told to
// let go.
type conn struct {
	net.Conn
	door *door

	mu       sync.Mutex
	silence  time.Duration // how long to wait for the client's next octet
	loginBy  time.Time     // zero when logged in
	busy     int           // commands under way: they are not interrupted
	farewell string        // text of the BYE; "" stays
	closed   bool
}

// Read reads with a deadline for this one silence.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.beforeRead(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// beforeRead sets the deadline under the lock, so that hangUp's own can't be
// overwritten by it.
func (c *conn) beforeRead() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaves() {
		return os.ErrDeadlineExceeded
	}
	by := time.Now().Add(c.silence)
	if !c.loginBy.IsZero() && c.loginBy.Before(by) {
		by = c.loginBy
	}
	return c.Conn.SetReadDeadline(by)
}

// leaves tells whether nothing more is wanted from the client; the caller holds mu.
func (c *conn) leaves() bool { return c.farewell != "" && c.busy == 0 }

// Write writes with a deadline of its own.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
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

// patience sets how long to wait for the client's next octet from now on.
func (c *conn) patience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silence = d
}

// loggedIn ends the time for that.
func (c *conn) loggedIn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loginBy = time.Time{}
}

// commands counts the commands under way.
func (c *conn) commands(change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy += change
}

// hangUp makes an idle client leave now with a BYE, a busy one after its command.
func (c *conn) hangUp(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell == "" {
		c.farewell = text
	}
	if c.busy == 0 {
		// Wakes a Read that waits. A connection that refuses is closed already.
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// bye is the text to part with, "" if the client may stay.
func (c *conn) bye() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.leaves() {
		return ""
	}
	return c.farewell
}

// idle tells whether no command is under way.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.busy == 0
}

// sentAway tells whether the client was told to leave, or will be.
func (c *conn) sentAway() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.farewell != ""
}
