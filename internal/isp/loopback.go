package isp

import (
	"fmt"
	"net"
	"net/netip"
)

// Loopback is a provider that is there without a call: its services on ports
// of 127.0.0.1 that the system chose.
type Loopback struct {
	host *host
	net  loopbackNetwork // not written after ServeLoopback
}

// ServeLoopback opens the services; Close ends them. The name server answers
// 127.0.0.1 for the provider's hosts, so clients need Addr for the ports.
func (p *Provider) ServeLoopback() (*Loopback, error) {
	l := &Loopback{net: loopbackNetwork{tcp: make(map[uint16]string), udp: make(map[uint16]string)}}
	h, err := p.open(l.net, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return nil, fmt.Errorf("isp: %w", err)
	}
	l.host = h
	return l, nil
}

// Addr is where the service of a well-known TCP port is to be found, such as
// "127.0.0.1:40123" for 25; "" if the provider doesn't offer it.
func (l *Loopback) Addr(port uint16) string { return l.net.tcp[port] }

// DNSAddr is the name server's UDP address.
func (l *Loopback) DNSAddr() string { return l.net.udp[53] }

// Close ends the services and their connections and waits until their
// goroutines are gone. It must not be called twice at the same time.
func (l *Loopback) Close() error {
	l.host.close()
	return nil
}

// loopbackNetwork opens sockets that stand for well-known ports, and
// remembers which.
type loopbackNetwork struct{ tcp, udp map[uint16]string }

func (n loopbackNetwork) ListenTCP(port uint16) (net.Listener, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.tcp[port] = l.Addr().String()
	return l, nil
}

func (n loopbackNetwork) ListenUDP(port uint16) (net.PacketConn, error) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n.udp[port] = c.LocalAddr().String()
	return c, nil
}
