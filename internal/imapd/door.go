package imapd

import (
	"io"
	"net"
	"sync"
	"time"

	"outpost/internal/clients"
)

// turnAwayTimeout bounds the write of a BYE to a client there is no room for. A fresh
// TCP connection takes these few octets at once, so it never blocks accepting.
const turnAwayTimeout = time.Second

// door lets clients in.
type door struct {
	*clients.List[*conn]
	opt  Options
	work sync.WaitGroup // the server's goroutines
}

func newDoor(opt Options) *door {
	return &door{List: clients.New[*conn](opt.MaxConnections, opt.MaxPerClient), opt: opt}
}

// admit lets nc in, or turns it away and returns nil.
func (d *door) admit(nc net.Conn) *conn {
	c := &conn{Conn: nc, door: d}
	if d.Enter(c, clients.Addr(nc)) {
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

// drain shuts the door and sends away those whose commands are answered.
func (d *door) drain() {
	for _, c := range d.Close() {
		c.hangUp("[UNAVAILABLE] The server is shutting down")
	}
}

// closeAll cuts off everybody.
func (d *door) closeAll() {
	for _, c := range d.Inside() {
		_ = c.Close()
	}
}
