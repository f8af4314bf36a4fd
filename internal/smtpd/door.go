package smtpd

import (
	"io"
	"net"
	"sync"
	"time"

	"outpost/internal/clients"
)

// turnAwayTimeout bounds the write of a 421 to a client there is no room for. A
// fresh TCP connection takes these few octets at once, so it never blocks accepting.
const turnAwayTimeout = time.Second

// door lets clients in, and counts the messages being taken.
type door struct {
	*clients.List[*conn]
	opt Options

	mu       sync.Mutex
	finished bool           // no new messages
	work     sync.WaitGroup // messages being taken
}

func newDoor(opt Options) *door {
	return &door{List: clients.New[*conn](opt.MaxConnections, opt.MaxPerClient), opt: opt}
}

// listen puts the door in front of l.
func (d *door) listen(l net.Listener, plain bool) net.Listener {
	d.Listen(l)
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
		if c := (&conn{Conn: nc, door: l.door}); l.door.Enter(c, clients.Addr(nc)) {
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

// drain shuts the door and sends away those who are not in a message.
func (d *door) drain() {
	for _, c := range d.Close() {
		c.drain()
	}
}

// closeAll cuts off everybody.
func (d *door) closeAll() {
	for _, c := range d.Inside() {
		_ = c.Close()
	}
}
