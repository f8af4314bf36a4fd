package isp

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// maxSilence ends a connection on which nothing moves. RFC 1939 §3 asks for
// at least 10 minutes and RFC 5321 §4.5.3.2 for 5. It runs from the last
// octets, not from the last command, since a big message on a thin line takes
// longer than any limit on the whole.
const maxSilence = 10 * time.Minute

// patient is a connection that fails after maxSilence without progress.
type patient struct{ net.Conn }

func (c patient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(maxSilence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c patient) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(maxSilence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// whole is a connection whose end is always an error. go-smtp v0.25.1 copies
// a BDAT chunk up to its size or io.EOF and doesn't look which it was, so
// without this a client that closes in the middle of its last chunk would
// have a truncated message accepted.
//
// Known gap: behind STARTTLS the library puts its own tls.Conn outside of
// ours, and an orderly TLS close within a chunk is still taken for its end.
type whole struct{ net.Conn }

func (c whole) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// single is a listener for one connection that is there already. Its second
// Accept waits until that connection is closed and then fails, which ends a
// server that was started for it alone.
type single struct {
	conn   net.Conn
	taken  bool // Accept is called by one goroutine only
	once   sync.Once
	closed chan struct{}
}

func newSingle(conn net.Conn) *single { return &single{conn: conn, closed: make(chan struct{})} }

func (l *single) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return &singleConn{l.conn, l}, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *single) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *single) Addr() net.Addr { return l.conn.LocalAddr() }

// singleConn tells its listener when it is closed.
type singleConn struct {
	net.Conn
	l *single
}

func (c *singleConn) Close() error {
	_ = c.l.Close()
	return c.Conn.Close()
}

// serveSMTPS is serveSMTP behind a TLS handshake.
func (p *Provider) serveSMTPS(conn net.Conn) {
	if c := p.handshake(conn, "smtp"); c != nil {
		p.serveSMTP(c, true)
	}
}

// servePOPS is servePOP behind a TLS handshake.
func (p *Provider) servePOPS(conn net.Conn) {
	if c := p.handshake(conn, "pop3"); c != nil {
		p.servePOP(c, true)
	}
}

func (p *Provider) handshake(conn net.Conn, service string) net.Conn {
	c := tls.Server(conn, p.tlsConfig)
	if err := c.Handshake(); err != nil {
		p.log.Info("no TLS", "service", service, "error", err)
		_ = conn.Close()
		return nil
	}
	return c
}
