package link

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// hostConn is a connection of a hostNet.
type hostConn struct {
	net.Conn
	net     *hostNet
	address string          // as the caller named it
	segment int             // octets of payload that go into one
	begun   sync.Once       // somebody has read or written
	life    context.Context // ended by Close
	end     context.CancelFunc
}

// commonSegment is what a segment holds where the system doesn't say: that of an Ethernet, less timestamps.
const commonSegment = 1448

func newHostConn(h *hostNet, inner net.Conn, address string) *hostConn {
	c := &hostConn{Conn: inner, net: h, address: address, segment: commonSegment}
	c.life, c.end = context.WithCancel(h.life)
	c.control(func(fd uintptr) {
		if n, err := segmentSize(fd); err == nil && n > 0 {
			c.segment = n
		}
	})
	return c
}

// control runs f on the socket.
func (c *hostConn) control(f func(fd uintptr)) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(f)
		}
	}
}

// Read returns *Error when the connection or the line broke. If the far end is to speak first, it is told at once that we
// are there.
func (c *hostConn) Read(p []byte) (int, error) {
	c.begun.Do(func() { c.control(func(fd uintptr) { _ = prompt(fd) }) })
	n, err := c.Conn.Read(p)
	c.net.down.Add(int64(n))
	return n, c.explain(err)
}

// Write returns when the system has taken all of p. It takes it a segment at a time, as the line carries it.
func (c *hostConn) Write(p []byte) (int, error) {
	c.begun.Do(func() { pause(c.life, c.net.opt.Late) })
	done := 0
	for {
		piece := p[done:min(len(p), done+c.segment)]
		if !c.net.pacer.pass(c.life, len(piece), len(p)) {
			return done, c.explain(net.ErrClosed)
		}
		n, err := c.Conn.Write(piece)
		done += n
		c.net.up.Add(int64(n))
		if err != nil || done == len(p) {
			return done, c.explain(err)
		}
	}
}

func (c *hostConn) explain(err error) error {
	if err == nil {
		return nil
	}
	return c.net.explain(context.Background(), c.address, err)
}

// Close ends the connection at once (RFC 9293 §3.10.5, abort): whoever has something to lose has waited for an answer to it.
// That spares the line the handshake by which connections are closed, and the repetition of what a server that is given up
// has not acknowledged.
func (c *hostConn) Close() error {
	c.end()
	c.net.mu.Lock()
	delete(c.net.open, c)
	c.net.mu.Unlock()
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return c.Conn.Close()
}
