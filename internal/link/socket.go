package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// socket is what connections, listeners and datagram sockets have in common: a
// place among the stack's open sockets, and errors that say why.
type socket struct {
	s       *Stack
	inner   io.Closer
	address string // the far end as the caller named it, or the port listened on
	count   func(int64)

	once   sync.Once
	closed chan struct{}
}

// adopt registers a socket of gVisor's. count, if not nil, is told of its
// beginning and its end.
func (s *Stack) adopt(inner io.Closer, address string, count func(int64)) (*socket, error) {
	k := &socket{s: s, inner: inner, address: address, count: count, closed: make(chan struct{})}
	if count == nil {
		k.count = func(int64) {}
	}
	k.count(1)
	if !s.keep(k) {
		k.Close() //nolint:errcheck // gVisor's Close has no errors
		return nil, s.lost(address)
	}
	return k, nil
}

// Close ends the socket. What was written to a connection is still sent.
func (k *socket) Close() error {
	err := net.ErrClosed
	k.once.Do(func() {
		close(k.closed)
		k.s.forget(k)
		err = k.inner.Close()
		k.count(-1)
	})
	return err
}

// explain says why an operation failed: the line first, then ourselves, then
// the far host.
func (k *socket) explain(err error) error {
	if err == nil {
		return nil
	}
	if k.s.Err() != nil {
		return k.s.lost(k.address)
	}
	select {
	case <-k.closed:
		return net.ErrClosed
	default:
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return explain(k.address, err)
}

// conn is a TCP connection, or a datagram socket with one far end.
type conn struct {
	net.Conn
	*socket
}

// Read returns *Error when the connection or the line broke.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.explain(err)
}

// Write returns when all of p waits in the stack's buffer.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.explain(err)
}

// Close sends what is still to be sent and ends the connection.
func (c *conn) Close() error { return c.socket.Close() }

// tcpConn can also end one direction.
type tcpConn struct{ conn }

// CloseWrite tells the far end that no more will come; reading goes on.
func (c *tcpConn) CloseWrite() error {
	half, ok := c.Conn.(*gonet.TCPConn)
	if !ok {
		return errors.ErrUnsupported
	}
	return c.explain(half.CloseWrite())
}

func (s *Stack) newTCPConn(inner net.Conn, address string) (net.Conn, error) {
	k, err := s.adopt(inner, address, func(n int64) { s.conns.Add(n) })
	if err != nil {
		return nil, err
	}
	return &tcpConn{conn{inner, k}}, nil
}

// listener accepts TCP connections.
type listener struct {
	*gonet.TCPListener
	*socket
}

// Accept returns net.ErrClosed after Close.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.TCPListener.Accept()
	if err != nil {
		return nil, l.explain(err)
	}
	address := "a connection reset while it waited" // gVisor has forgotten whose
	if from := inner.RemoteAddr(); from != nil {
		address = from.String()
	}
	return l.s.newTCPConn(inner, address)
}

// Close ends a waiting Accept. Accepted connections live on.
func (l *listener) Close() error { return l.socket.Close() }

// ListenTCP accepts connections to a port of the stack's address.
func (s *Stack) ListenTCP(port uint16) (net.Listener, error) {
	inner, err := gonet.ListenTCP(s.net, tcpip.FullAddress{NIC: nicID, Port: port}, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("link: TCP port %d: %w", port, err)
	}
	k, err := s.adopt(inner, fmt.Sprintf("TCP port %d", port), func(n int64) { s.listeners.Add(n) })
	if err != nil {
		return nil, err
	}
	return &listener{inner, k}, nil
}

// packetConn is a datagram socket.
type packetConn struct {
	*gonet.UDPConn
	*socket
}

// ReadFrom gives one datagram; what doesn't fit in p is lost.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.UDPConn.ReadFrom(p)
	return n, from, c.explain(err)
}

// WriteTo takes a *net.UDPAddr of IPv4.
func (c *packetConn) WriteTo(p []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok || udp.IP.To4() == nil {
		return 0, &Error{Kind: InvalidAddress, Address: fmt.Sprint(to)}
	}
	n, err := c.UDPConn.WriteTo(p, &net.UDPAddr{IP: udp.IP.To4(), Port: udp.Port})
	return n, c.explain(err)
}

// Close ends a waiting ReadFrom.
func (c *packetConn) Close() error { return c.socket.Close() }

// ListenUDP opens a datagram socket on a port of the stack's address; 0: any.
func (s *Stack) ListenUDP(port uint16) (net.PacketConn, error) {
	inner, err := gonet.DialUDP(s.net, &tcpip.FullAddress{NIC: nicID, Port: port}, nil, ipv4.ProtocolNumber)
	if err != nil {
		return nil, fmt.Errorf("link: UDP port %d: %w", port, err)
	}
	k, err := s.adopt(inner, fmt.Sprintf("UDP port %d", port), nil)
	if err != nil {
		return nil, err
	}
	return &packetConn{inner, k}, nil
}

// dialTCP connects to one address, for as long as tuning allows.
func (s *Stack) dialTCP(ctx context.Context, to netip.AddrPort, address string) (net.Conn, error) {
	ctx, cancel := s.bind(ctx)
	defer cancel(nil)
	limited, stop := context.WithTimeoutCause(ctx, s.tune.connectWait, errConnectWait)
	defer stop()
	inner, err := gonet.DialContextTCP(limited, s.net, fullAddress(to), ipv4.ProtocolNumber)
	switch {
	case err == nil:
		return s.newTCPConn(inner, address)
	case s.Err() != nil:
		return nil, s.lost(address)
	case ctx.Err() != nil:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: context.Cause(ctx)}
	case limited.Err() != nil:
		return nil, &Error{Kind: ConnectTimeout, Address: address, Temporary: true, Hint: ConnectTimeout.hint()}
	}
	return nil, explain(address, err)
}

var errConnectWait = errors.New("link: no answer in time")

// bind gives a context that ends with the stack too.
func (s *Stack) bind(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(s.Err()) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// dialUDP opens a datagram socket to one address.
func (s *Stack) dialUDP(to netip.AddrPort, address string) (net.Conn, error) {
	remote := fullAddress(to)
	inner, err := gonet.DialUDP(s.net, nil, &remote, ipv4.ProtocolNumber)
	if err != nil {
		return nil, explain(address, err)
	}
	k, err := s.adopt(inner, address, nil)
	if err != nil {
		return nil, err
	}
	return &conn{inner, k}, nil
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(a.Addr().As4()), Port: a.Port()}
}
