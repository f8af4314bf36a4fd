// Package clients counts who is connected to a server on the office's network: so many
// altogether, and so many from one computer, so that one mad program doesn't shut the
// others out. It knows no protocol: what is said to those who are turned away, and to
// those who have to leave, is the server's.
package clients

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// List is who is connected, each as the C that the server has for a connection. Its
// methods may be called from any goroutine.
type List[C comparable] struct {
	most, mostOfOne int

	mu        sync.Mutex
	listeners []net.Listener
	inside    map[C]netip.Prefix
	of        map[netip.Prefix]int
	closing   bool
	emptied   chan struct{} // closed when closing and nobody is inside
}

// New makes an empty list with room for most connections, mostOfOne of them from one
// address (IPv6: one /64, as a host has all of it).
func New[C comparable](most, mostOfOne int) *List[C] {
	return &List[C]{
		most: most, mostOfOne: mostOfOne, inside: make(map[C]netip.Prefix), of: make(map[netip.Prefix]int), emptied: make(chan struct{}),
	}
}

// Listen notes a listener, which Close closes. One that comes after that is closed at
// once.
func (l *List[C]) Listen(from net.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		_ = from.Close()
	}
	l.listeners = append(l.listeners, from)
}

// Enter counts a connection in; false when there is no room for it.
func (l *List[C]) Enter(c C, from netip.Addr) bool {
	key := computer(from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing || len(l.inside) >= l.most || l.of[key] >= l.mostOfOne {
		return false
	}
	l.inside[c] = key
	l.of[key]++
	return true
}

// Leave counts a connection out. One that isn't there leaves nothing.
func (l *List[C]) Leave(c C) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key, there := l.inside[c]
	if !there {
		return
	}
	delete(l.inside, c)
	if l.of[key]--; l.of[key] == 0 {
		delete(l.of, key)
	}
	if l.closing && len(l.inside) == 0 {
		close(l.emptied)
	}
}

// Inside gives those who are connected, in no order.
func (l *List[C]) Inside() []C {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.inside))
}

// Closing says that nobody is let in any more.
func (l *List[C]) Closing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closing
}

// Close lets nobody in any more and closes the listeners. It gives those who are still
// inside, for the server to send away.
func (l *List[C]) Close() []C {
	l.mu.Lock()
	first := !l.closing
	l.closing = true
	listeners, left := l.listeners, slices.Collect(maps.Keys(l.inside))
	if first && len(left) == 0 {
		close(l.emptied)
	}
	l.mu.Unlock()
	for _, from := range listeners {
		_ = from.Close()
	}
	return left
}

// Emptied is closed when, after Close, the last one has left.
func (l *List[C]) Emptied() <-chan struct{} { return l.emptied }

// Addr is a peer's address, invalid for a connection without one.
func Addr(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	// A v4 client on a dual-stack socket comes as ::ffff:a.b.c.d.
	return ap.Addr().Unmap().WithZone("")
}

// computer is what counts as one.
func computer(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	// The zero Addr gives the zero Prefix: all clients without address are one.
	p, _ := a.Prefix(bits)
	return p
}
