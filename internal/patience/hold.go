package patience

import (
	"context"
	"crypto/tls"
)

// maxHeld bounds what is held: no flight of a client's handshake comes near it, but for one with a long chain of client certificates,
// which fills packets of its own anyway.
const maxHeld = 16 << 10

// StartTLS does the client's handshake over c. Its last flight stays here and leaves in one write with the first octets that are written
// to the returned connection: a packet less, and under TLS 1.3 and in resumed sessions the server waits for both anyway.
//
// Nothing stays for ever as long as the connection is used: what is held leaves before any Read looks at the line, so a client that waits
// for a greeting doesn't wait in vain, and with the next write. It is for somebody who goes on to read or to write at once; a
// connection that is to be opened and left alone must be read once, or handshake without this. After an error the connection is of no
// use, and an alert that was to explain it may not have left; Close doesn't send it either.
//
// It is called by the one goroutine that uses c so far.
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config) (*tls.Conn, error) {
	c.hold(true)
	defer c.hold(false)
	conn := tls.Client(c, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, nil
}

// hold makes writes wait for a Read, from now on or no longer. What is held already goes on waiting for the next write or Read.
func (c *Conn) hold(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = on
}

// keep holds b back if it should be; else it returns what to write, b behind what was held.
func (c *Conn) keep(b []byte) (all []byte, held int, kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holding && len(c.held)+len(b) <= maxHeld {
		c.held = append(c.held, b...)
		return nil, 0, true
	}
	held = len(c.held)
	if held == 0 {
		return b, 0, false
	}
	c.held = append(c.held, b...)
	all, c.held = c.held, nil
	return all, held, false
}

// letGo writes what is held. If that fails the Read it is for finds out as well, and may find first what the peer said before.
func (c *Conn) letGo() {
	if !c.holds() {
		return // and doesn't wait for a Write that is under way, which may wait for this Read
	}
	c.order.Lock()
	defer c.order.Unlock()
	c.mu.Lock()
	held := c.held
	c.held = nil
	c.mu.Unlock()
	if len(held) > 0 {
		_, _ = c.write(held)
	}
}

func (c *Conn) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held) > 0
}
