package relay

import (
	"net"
	"sync"
	"time"
)

// cable is a pair of connected conns with room in between, as on a network: what is written is under way, not yet there. It counts the
// octets and can be cut.
type cable struct {
	near, far net.Conn // the ends to use
	up, down  lane
	all       sync.WaitGroup
}

// lane is one direction. After its first limit octets (-1: no limit) either the whole cable breaks, or with deaf nothing arrives any
// more on this lane while whoever writes to it notices nothing.
type lane struct {
	limit int
	delay time.Duration // that each octet takes
	deaf  bool
	moved int // octets that arrived; to be read after close
}

func newCable(up, down lane) *cable {
	c := &cable{up: up, down: down}
	near, nearPeer := net.Pipe()
	far, farPeer := net.Pipe()
	c.near, c.far = near, far
	cut := func() {
		_ = nearPeer.Close()
		_ = farPeer.Close()
	}
	c.lay(&c.up, nearPeer, farPeer, cut)
	c.lay(&c.down, farPeer, nearPeer, cut)
	return c
}

func (c *cable) lay(l *lane, from, to net.Conn, cut func()) {
	type parcel struct {
		octets []byte
		due    time.Time
	}
	room := make(chan parcel, 4096)
	c.all.Go(func() {
		defer close(room)
		for {
			buf := make([]byte, 4096)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			room <- parcel{buf[:n], time.Now().Add(l.delay)}
		}
	})
	c.all.Go(func() {
		dead := false
		for parcel := range room {
			if l.delay > 0 {
				time.Sleep(time.Until(parcel.due))
			}
			p, broken := parcel.octets, false
			if l.limit >= 0 && l.moved+len(p) >= l.limit {
				p = p[:l.limit-l.moved]
				broken = true
			}
			if !dead {
				n, err := to.Write(p)
				l.moved += n
				dead = err != nil || broken
			}
			if broken && !l.deaf {
				cut()
			}
		}
		_ = to.Close()
	})
}

// close waits until nothing moves any more; the counts may be read after it.
func (c *cable) close() {
	_ = c.near.Close()
	_ = c.far.Close()
	c.all.Wait()
}
