package link

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// resolver looks names up with the line's name servers. Go's own would read the
// host's /etc/hosts, resolv.conf and nsswitch.conf, and ask for IPv6 as well.
type resolver struct {
	s       *Stack
	servers []netip.Addr
	wait    time.Duration // for an answer

	*names
}

const (
	portDNS = 53
	// attempts is how many times a question is asked in all: twice each of two
	// servers, or four times the only one.
	attempts = 4
	// maxMessage is the largest answer over UDP without EDNS (RFC 1035 §4.2.1),
	// and some: a server that sends more is read all the same.
	maxMessage = 1500
)

func newResolver(s *Stack, opt StackOptions, wait time.Duration) *resolver {
	r := &resolver{s: s, wait: wait}
	r.names = newNames(s.life, opt.Names, r.resolve)
	for _, a := range opt.DNS {
		if a.Is4() && !a.IsUnspecified() {
			r.servers = append(r.servers, a)
		}
	}
	return r
}

// resolve asks until there are addresses: once, unless a server gives an alias
// and leaves it to us to ask on.
func (r *resolver) resolve(ctx context.Context, host string) (Answer, error) {
	if len(r.servers) == 0 {
		return Answer{}, &Error{Kind: NoAnswer, Address: host, Temporary: true,
			Err: errors.New("the provider named no name server"), Hint: "write the host's address instead of its name"}
	}
	ctx, cancel := r.s.bind(ctx)
	defer cancel(nil)
	name, ttl := host, maxTTL
	for range maxAliases {
		got, server, err := r.ask(ctx, name)
		switch {
		case err != nil:
			return Answer{}, r.why(ctx, host, server, err)
		case got.unknown:
			return Answer{}, &Error{Kind: UnknownHost, Address: host, Server: server, Hint: "check the spelling of the host's name"}
		case got.failure != "":
			return Answer{}, &Error{Kind: NameFailure, Address: host, Server: server, Temporary: true, Err: errors.New(got.failure)}
		}
		ttl = min(ttl, got.ttl)
		if len(got.addrs) > 0 {
			return Answer{Addrs: got.addrs, TTL: ttl, Server: server}, nil
		}
		name = got.alias
	}
	return Answer{}, &Error{Kind: NameFailure, Address: host, Err: errors.New("the name's aliases go round in circles")}
}

// why says what kept an answer from coming.
func (r *resolver) why(ctx context.Context, host string, server netip.Addr, err error) error {
	var invalid invalidName
	switch {
	case r.s.Err() != nil:
		return r.s.lost(host)
	case ctx.Err() != nil:
		return gaveUp(ctx)
	case errors.As(err, &invalid):
		return &Error{Kind: UnknownHost, Address: host, Err: err}
	}
	return &Error{Kind: NoAnswer, Address: host, Server: server, Temporary: true, Err: err}
}

// gaveUp is the error of a lookup that its caller ended.
func gaveUp(ctx context.Context) error {
	return &net.OpError{Op: "lookup", Net: "udp", Err: context.Cause(ctx)}
}

// invalidName is a host that can't be asked for.
type invalidName struct{ error } //nolint:errname // told apart, never shown

// ask puts one question to the servers in turn, until one of them knows. All
// use one socket and one ID, so that a late answer to an earlier try counts.
func (r *resolver) ask(ctx context.Context, host string) (reply, netip.Addr, error) {
	var id [2]byte
	if _, err := rand.Read(id[:]); err != nil {
		return reply{}, netip.Addr{}, err
	}
	q, err := newQuestion(binary.BigEndian.Uint16(id[:]), host)
	if err != nil {
		return reply{}, netip.Addr{}, invalidName{err}
	}
	query, err := q.pack()
	if err != nil {
		return reply{}, netip.Addr{}, invalidName{err}
	}
	socket, err := r.s.ListenUDP(0)
	if err != nil {
		return reply{}, netip.Addr{}, err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { socket.Close() })() // ends a read

	var said reply // the last failure that a server reported
	var who netip.Addr
	for i := range attempts {
		if said.failure != "" && i >= len(r.servers) {
			break // every server has said that it can't, or nothing
		}
		server := r.servers[i%len(r.servers)]
		if _, err := socket.WriteTo(query, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, portDNS))); err != nil {
			return reply{}, server, err
		}
		// The second round waits twice as long (RFC 1035 §4.2.1 asks for backing off).
		got, from, err := r.hear(socket, q, r.wait<<(2*i/attempts))
		switch {
		case ctx.Err() != nil:
			return reply{}, server, context.Cause(ctx)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !who.IsValid() {
				who = server
			}
			continue
		case err != nil:
			return reply{}, server, err
		case got.truncated:
			if got, err = r.askTCP(ctx, from, q, query); err != nil {
				got = reply{failure: "the answer over TCP: " + err.Error()}
			}
		}
		if got.failure == "" {
			return got, from, nil
		}
		said, who = got, from
	}
	if said.failure == "" {
		return reply{}, who, errors.New("asked " + r.list())
	}
	return said, who, nil
}

// hear waits for a server's answer to q.
func (r *resolver) hear(socket net.PacketConn, q question, wait time.Duration) (reply, netip.Addr, error) {
	if err := socket.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return reply{}, netip.Addr{}, err
	}
	buf := make([]byte, maxMessage)
	for {
		n, from, err := socket.ReadFrom(buf)
		if err != nil {
			return reply{}, netip.Addr{}, err
		}
		server := r.asked(from)
		if !server.IsValid() {
			continue
		}
		if got, err := q.parse(buf[:n]); err == nil {
			return got, server, nil
		}
	}
}

// asked gives the server that a datagram came from; invalid: from none of them.
func (r *resolver) asked(from net.Addr) netip.Addr {
	udp, ok := from.(*net.UDPAddr)
	if !ok || udp.Port != portDNS {
		return netip.Addr{}
	}
	for _, a := range r.servers {
		if a == udp.AddrPort().Addr().Unmap() {
			return a
		}
	}
	return netip.Addr{}
}

// askTCP asks again where an answer can be long (RFC 1035 §4.2.2).
func (r *resolver) askTCP(ctx context.Context, server netip.Addr, q question, query []byte) (reply, error) {
	to := netip.AddrPortFrom(server, portDNS)
	c, err := r.s.dialTCP(ctx, to, to.String())
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.SetDeadline(time.Now().Add(2 * r.wait)); err != nil {
		return reply{}, err
	}
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...) //nolint:gosec // some 300 octets at most
	if _, err := c.Write(framed); err != nil {
		return reply{}, err
	}
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return reply{}, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, message); err != nil {
		return reply{}, err
	}
	got, err := q.parse(message)
	if err == nil && got.truncated {
		err = errors.New("cut short here too")
	}
	return got, err
}

// list is the servers for a person.
func (r *resolver) list() string {
	words := make([]string, len(r.servers))
	for i, a := range r.servers {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
