package link

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// addresses are those of a host, which may be an address itself.
func (h *hostNet) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if _, err := newQuestion(0, host); err != nil {
		return nil, &Error{Kind: UnknownHost, Address: host, Err: err}
	}
	answer, err := h.names.lookup(ctx, host)
	return answer.Addrs, err
}

// untoldTTL is how long an answer holds whose TTL the system's resolver keeps to itself: what few names
// fall below. An older one is used once more while the name is asked for again.
const untoldTTL = 5 * time.Minute

// resolve asks for a name.
func (h *hostNet) resolve(ctx context.Context, host string) (Answer, error) {
	limited, cancel := h.bind(ctx)
	defer cancel(nil)
	r, err := h.resolver(limited)
	if err != nil {
		return Answer{}, err
	}
	// The root's dot keeps search domains out: each would be a question more.
	// IPv6 isn't asked for, as everywhere on a line that is paid for.
	addrs, err := r.LookupNetIP(limited, "ip4", strings.TrimSuffix(host, ".")+".")
	if err != nil {
		return Answer{}, h.whyNoName(ctx, host, err)
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return Answer{Addrs: addrs, TTL: untoldTTL}, nil
}

// resolver asks the line's name servers in turn, over the line, or else the
// system's.
func (h *hostNet) resolver(ctx context.Context) (*net.Resolver, error) {
	if h.opt.Servers == nil {
		return net.DefaultResolver, nil
	}
	servers := h.opt.Servers(ctx)
	if len(servers) == 0 {
		return nil, &Error{Kind: NoAnswer, Temporary: true,
			Err: errors.New("the provider named no name server"), Hint: "write the host's address instead of its name"}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		server := servers[int(h.turn.Add(1)-1)%len(servers)]
		d, err := h.dialer(network, server)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, network, netip.AddrPortFrom(server, portDNS).String())
	}}, nil
}

// whyNoName says what kept an answer from coming.
func (h *hostNet) whyNoName(ctx context.Context, host string, err error) error {
	var dns *net.DNSError
	switch {
	case h.life.Err() != nil:
		return h.lost(host)
	case ctx.Err() != nil:
		return gaveUp(ctx)
	case errors.As(err, &dns) && dns.IsNotFound:
		return &Error{Kind: UnknownHost, Address: host, Hint: "check the spelling of the host's name"}
	case errors.As(err, &dns) && dns.IsTimeout:
		return &Error{Kind: NoAnswer, Address: host, Temporary: true, Err: err}
	}
	return &Error{Kind: NameFailure, Address: host, Temporary: true, Err: err}
}
