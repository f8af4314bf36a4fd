package smtpd

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// turnAwayTimeout bounds the write of a 421 to a client there is no room for. A
// fresh TCP connection takes these few octets at once, so it never blocks accepting.
const turnAwayTimeout = time.Second

// door counts who is inside. It bounds the connections and ends them.
type door struct {
	opt Options

	mu        sync.Mutex
	listeners []net.Listener
	inside    map[*conn]struct{}
	perClient map[netip.Prefix]int
	draining  bool           // no new connections, idle ones leave
	finished  bool           // no new messages either
	work      sync.WaitGroup // messages being taken
}

func newDoor(opt Options) *door {
	return &door{opt: opt, inside: map[*conn]struct{}{}, perClient: map[netip.Prefix]int{}}
}

// listen puts the door in front of l. A listener that comes after drain is closed.
func (d *door) listen(l net.Listener, plain bool) net.Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining {
		_ = l.Close()
	}
	d.listeners = append(d.listeners, l)
	return &guardedListener{Listener: l, door: d, plain: plain}
}

// guardedListener lets only those in for whom there is room.
type guardedListener struct {
	net.Listener
	door  *door
	plain bool // the client expects plain text first, not TLS
}

// Accept returns the next admitted connection.
func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.door.admit(nc); c != nil {
			return c, nil
		}
		l.turnAway(nc)
	}
}

// turnAway closes with 421 (RFC 5321 §3.8). Where TLS should come first nothing
// can be said.
func (l *guardedListener) turnAway(nc net.Conn) {
	l.door.opt.Log.Warn("connection refused", "client", nc.RemoteAddr().String(), "reason", "too many connections")
	if l.plain && nc.SetWriteDeadline(time.Now().Add(turnAwayTimeout)) == nil {
		// An error here is the client's going, which is what is wanted.
		_, _ = io.WriteString(nc, "421 4.7.0 "+l.door.opt.Hostname+" Too many connections, try again later\r\n")
	}
	_ = nc.Close()
}

// admit counts nc in, or returns nil when the house is full.
func (d *door) admit(nc net.Conn) *conn {
	key := clientKey(clientAddr(nc))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.draining || len(d.inside) >= d.opt.MaxConnections || d.perClient[key] >= d.opt.MaxPerClient {
		return nil
	}
	c := &conn{Conn: nc, door: d, key: key}
	d.inside[c] = struct{}{}
	d.perClient[key]++
	return c
}

// leave counts c out.
func (d *door) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.inside, c)
	if d.perClient[c.key]--; d.perClient[c.key] <= 0 {
		delete(d.perClient, c.key)
	}
}

// begin counts a message in; false when the server has ended. The BDAT goroutine of
// go-smtp may come here after its connection is gone.
func (d *door) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.finished {
		return false
	}
	d.work.Add(1)
	return true
}

// finish lets no message in any more and waits for those under way.
func (d *door) finish() {
	d.mu.Lock()
	d.finished = true
	d.mu.Unlock()
	d.work.Wait()
}

func (d *door) isDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

// drain shuts the door and sends away those who are not in a message.
func (d *door) drain() {
	d.mu.Lock()
	d.draining = true
	listeners, conns := d.listeners, d.all()
	d.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, c := range conns {
		c.drain()
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
