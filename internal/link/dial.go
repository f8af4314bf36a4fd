package link

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Answer is what a name stands for.
type Answer struct {
	Addrs  []netip.Addr  // IPv4, in the server's order; at least one
	TTL    time.Duration // how long it may be kept, counted from when it came
	Server netip.Addr    // who said so
}

// DialContext connects to "host:port" through the line. The network is tcp or
// udp (or with a 4 behind); the port is a number. A host that is an address
// needs no name server; a name is looked up as Lookup does, and its addresses
// are tried in order. Errors are *Error, or a net.OpError with the context's
// cause when ctx ended it.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, &Error{Kind: InvalidAddress, Address: address, Err: err}
	}
	dial := s.dialTCP
	switch network {
	case "tcp", "tcp4":
	case "udp", "udp4":
		dial = func(_ context.Context, to netip.AddrPort, address string) (net.Conn, error) {
			return s.dialUDP(to, address)
		}
	default:
		return nil, &Error{Kind: InvalidAddress, Address: address, Err: net.UnknownNetworkError(network)}
	}
	addrs, err := s.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error
	for _, a := range addrs {
		c, err := dial(ctx, netip.AddrPortFrom(a, port), address)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || s.Err() != nil {
			break
		}
	}
	return nil, first
}

// addresses are those of a host, which may be an address itself.
func (s *Stack) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); !a.Is4() {
			return nil, &Error{Kind: InvalidAddress, Address: host, Hint: "the line carries IPv4 only"}
		}
		return []netip.Addr{a}, nil
	}
	answer, err := s.Lookup(ctx, host)
	return answer.Addrs, err
}

// Lookup asks the line's name servers, over the line, for a host's IPv4
// addresses. It asks for the name as it is written: no search domains, no hosts
// file, no IPv6. Questions for one name at the same time are one question, and
// an answer holds for its TTL while the stack lives. Errors are as in
// DialContext.
func (s *Stack) Lookup(ctx context.Context, host string) (Answer, error) {
	return s.names.lookup(ctx, host)
}

// splitAddress takes no port names: the host's /etc/services is not asked.
func splitAddress(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is no number from 1 to 65535", service)
	}
	if host == "" {
		return "", 0, fmt.Errorf("no host in %q", address)
	}
	return host, uint16(n), nil
}
