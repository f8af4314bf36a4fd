package link

import (
	"net"
	"net/netip"
	"sync"
)

// ifState is how an interface of this computer is. The zero value: it isn't
// there.
type ifState struct {
	up    bool         // switched on, with its carrier
	addrs []netip.Addr // that can be used beyond the link
}

// ready says that connections can be made from it.
func (s ifState) ready() bool { return s.up && len(s.addrs) > 0 }

// has says that an address is one of the interface's.
func (s ifState) has(a netip.Addr) bool {
	for _, own := range s.addrs {
		if own == a {
			return true
		}
	}
	return false
}

// lookAt asks the system. What it doesn't know isn't there. Addresses for the
// link alone (RFC 3927, RFC 4291 §2.5.6) are what a computer gives itself when
// nobody has given it one.
func lookAt(name string) ifState {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return ifState{}
	}
	s := ifState{up: i.Flags&net.FlagUp != 0 && i.Flags&net.FlagRunning != 0}
	addrs, err := i.Addrs()
	if err != nil {
		return s
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		if ip, ok := netip.AddrFromSlice(n.IP); ok && (ip.IsGlobalUnicast() || ip.IsLoopback()) {
			s.addrs = append(s.addrs, ip.Unmap())
		}
	}
	return s
}

// ifMeter adds up the octets that cross an interface: all of them, whoever they
// belong to, as the provider counts them. The system's counters run from when the
// interface was made, and begin anew with it.
type ifMeter struct {
	read func() (up, down int64, err error)

	mu       sync.Mutex
	last     [2]int64 // the counters, up and down
	up, down int64
}

// newIfMeter begins to count. An interface that isn't there yet begins with
// nothing.
func newIfMeter(read func() (up, down int64, err error)) *ifMeter {
	m := &ifMeter{read: read}
	if up, down, err := read(); err == nil {
		m.last = [2]int64{up, down}
	}
	return m
}

// total looks and gives the octets so far. What passed between the last look and
// an interface's end is missing.
func (m *ifMeter) total() (up, down int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if up, down, err := m.read(); err == nil {
		if up < m.last[0] || down < m.last[1] { // made anew
			m.last = [2]int64{}
		}
		m.up, m.down = m.up+up-m.last[0], m.down+down-m.last[1]
		m.last = [2]int64{up, down}
	}
	return m.up, m.down
}
