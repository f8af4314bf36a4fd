package imapd

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// turnAwayTimeout bounds the write of a BYE to a client there is no room for. A fresh
// TCP connection takes these few octets at once, so it never blocks accepting.
const turnAwayTimeout = time.Second

// door counts who is inside. It bounds the connections and ends them.
type door struct {
	opt Options

	mu        sync.Mutex
	listeners []net.Listener
	inside    map[*conn]struct{}
	perClient map[netip.Prefix]int
	draining  bool
	empty     chan struct{}  // closed when draining and nobody is inside
	work      sync.WaitGroup // the server's goroutines
}

func newDoor(opt Options) *door {
	return &door{opt: opt, inside: map[*conn]struct{}{}, perClient: map[netip.Prefix]int{}, empty: make(chan struct{})}
}

// listen notes a listener. One that comes after drain is closed.
func (d *door) listen(l net.Listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		_ = l.Close()
	}
	d.listeners = append(d.listeners, l)
}

// admit counts nc in, or turns it away and returns nil.
func (d *door) admit(nc net.Conn) *conn {
	key := clientKey(clientAddr(nc))
	d.mu.Lock()
	full := d.draining || len(d.inside) >= d.opt.MaxConnections || d.perClient[key] >= d.opt.MaxPerClient
	c := &conn{Conn: nc, door: d, key: key}
	if !full {
		d.inside[c] = struct{}{}
		d.perClient[key]++
	}
	d.mu.Unlock()
	if !full {
		return c
	}
	d.opt.Log.Warn("connection refused", "client", nc.RemoteAddr().String(), "reason", "too many connections")
	if nc.SetWriteDeadline(time.Now().Add(turnAwayTimeout)) == nil {
		// Who expects TLS first sees an error either way.
		_, _ = io.WriteString(nc, "* BYE [UNAVAILABLE] Too many connections, try again later\r\n")
	}
	_ = nc.Close()
	return nil
}

// leave counts c out.
func (d *door) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, c)
	if d.perClient[c.key]--; d.perClient[c.key] <= 0 {
		delete(d.perClient, c.key)
	}
	d.checkEmpty()
}

// checkEmpty tells emptied; the caller holds mu.
func (d *door) checkEmpty() {
	if !d.draining || len(d.inside) > 0 {
		return
	}
	select {
	case <-d.empty:
	default:
		close(d.empty)
	}
}

// emptied returns when, after drain, nobody is inside.
func (d *door) emptied() { <-d.empty }

func (d *door) isDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

// drain shuts the door and sends away those whose commands are answered.
func (d *door) drain() {
	d.mu.Lock()
	d.draining = true
	listeners, conns := d.listeners, d.all()
	d.checkEmpty()
	d.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.hangUp("[UNAVAILABLE] The server is shutting down")
	}
}

// closeAll cuts off everybody.
func (d *door) closeAll() {
	d.mu.Lock()
	conns := d.all()
	d.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// all lists the connections; the caller holds mu.
func (d *door) all() []*conn {
	list := make([]*conn, 0, len(d.inside))
	for c := range d.inside {
		list = append(list, c)
	}
	return list
}

// clientAddr is the peer's address, invalid for a connection without one.
func clientAddr(nc net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	// A v4 client on a dual-stack socket comes as ::ffff:a.b.c.d.
	return ap.Addr().Unmap().WithZone("")
}

// clientKey is what counts as one client.
func clientKey(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	// The zero Addr gives the zero Prefix: all clients without address are one.
	p, _ := a.Prefix(bits)
	return p
}
