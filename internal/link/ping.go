package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"

	"outpost/internal/ppp"
)

const (
	// echoTries is how many are sent before a host counts as one that doesn't answer.
	// Access servers answer the first or none.
	echoTries = 2
	// asksName is what a name server is asked when nobody answers an echo: any answer
	// will do, and every server has one for the root's own servers.
	asksName = "a.root-servers.net"
)

// Pong is an answer that came back over the line.
type Pong struct {
	From netip.Addr    // who answered
	How  string        // "echo" (RFC 792) or "question" (a name server's answer, RFC 1035)
	RTT  time.Duration // from sending to the answer
}

// Ping sends one echo to an address (RFC 792) and, if it stays unanswered, another,
// and gives the time from the one that was answered to its answer. An *Error of kind
// NoAnswer: it doesn't answer echoes, which says nothing about the rest of it.
func (s *Stack) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	if !to.Is4() {
		return 0, &Error{Kind: InvalidAddress, Address: to.String(), Hint: "the line carries IPv4 only"}
	}
	if s.Err() != nil {
		return 0, s.lost(to.String())
	}
	ctx, cancel := s.bind(ctx)
	defer cancel(nil)
	var queue waiter.Queue
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	socket, fault := s.net.NewEndpoint(icmp.ProtocolNumber4, ipv4.ProtocolNumber, &queue)
	if fault != nil {
		return 0, &Error{Kind: ConnectionFault, Address: to.String(), Err: errors.New(fault.String())}
	}
	defer socket.Close()
	if fault := socket.Connect(fullAddress(netip.AddrPortFrom(to, 0))); fault != nil {
		return 0, &Error{Kind: ConnectionFault, Address: to.String(), Err: errors.New(fault.String())}
	}
	var sent [echoTries]time.Time
	for i := range sent {
		sent[i] = time.Now()
		if fault := sendEcho(socket, i); fault != nil {
			return 0, &Error{Kind: ConnectionFault, Address: to.String(), Err: errors.New(fault.String())}
		}
		if n, ok := s.awaitEcho(ctx, socket, ready); ok && n < len(sent) {
			return time.Since(sent[n]), nil
		}
		if s.Err() != nil {
			return 0, s.lost(to.String())
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return 0, &Error{Kind: NoAnswer, Address: to.String(), Temporary: true, Err: fmt.Errorf("%d echoes stayed unanswered", echoTries)}
}

// sendEcho sends an echo without data; the stack fills in who asks and the checksum.
func sendEcho(socket tcpip.Endpoint, sequence int) tcpip.Error {
	message := header.ICMPv4(make([]byte, header.ICMPv4MinimumSize))
	message.SetType(header.ICMPv4Echo)
	message.SetSequence(uint16(sequence)) //nolint:gosec // 0 or 1
	_, fault := socket.Write(bytes.NewReader(message), tcpip.WriteOptions{})
	return fault
}

// awaitEcho waits for an answer, as long as for a name server's, and gives its number.
func (s *Stack) awaitEcho(ctx context.Context, socket tcpip.Endpoint, ready <-chan struct{}) (int, bool) {
	wait := time.NewTimer(s.tune.askWait)
	defer wait.Stop()
	for {
		var answer bytes.Buffer
		_, fault := socket.Read(&answer, tcpip.ReadOptions{})
		if message := answer.Bytes(); fault == nil && len(message) >= header.ICMPv4MinimumSize {
			return int(header.ICMPv4(message).Sequence()), true
		}
		select {
		case <-ready:
		case <-wait.C:
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
	}
}

// question asks one name server for a name and takes whatever it says for an answer.
func (s *Stack) question(ctx context.Context, server netip.Addr) (time.Duration, error) {
	ctx, cancel := s.bind(ctx)
	defer cancel(nil)
	c, err := s.dialUDP(netip.AddrPortFrom(server, portDNS), server.String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	q, err := newQuestion(1, asksName)
	if err != nil {
		return 0, err
	}
	query, err := q.pack()
	if err != nil {
		return 0, err
	}
	sent := time.Now()
	if _, err := c.Write(query); err != nil {
		return 0, err
	}
	if err := c.SetReadDeadline(sent.Add(s.tune.askWait)); err != nil {
		return 0, err
	}
	buf := make([]byte, maxMessage)
	for {
		n, err := c.Read(buf)
		switch {
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		case errors.Is(err, net.ErrClosed), err != nil:
			return 0, &Error{Kind: NoAnswer, Address: server.String(), Server: server, Temporary: true, Err: err}
		}
		if n >= 2 && binary.BigEndian.Uint16(buf) == q.id {
			return time.Since(sent), nil
		}
	}
}

// Ping finds somebody at the far end who answers: the end of the link itself, then
// the provider's name servers, by an echo and then by a question, as many providers
// drop echoes. The error is an *Error; NoAnswer with a link that is up means that the
// provider carries nothing.
func (l *ModemLine) Ping(ctx context.Context) (Pong, error) {
	s, err := l.stack()
	if err != nil {
		return Pong{}, &Error{Kind: LineLost, Temporary: true, Err: err}
	}
	got := l.Addresses()
	var hosts []netip.Addr
	if got.Peer.Is4() && !got.Peer.IsUnspecified() {
		hosts = append(hosts, got.Peer)
	}
	hosts = append(hosts, got.DNS...)
	for _, way := range []struct {
		how string
		to  []netip.Addr
		ask func(context.Context, netip.Addr) (time.Duration, error)
	}{{"echo", hosts, s.Ping}, {"question", got.DNS, s.question}} {
		for _, host := range way.to {
			rtt, fault := way.ask(ctx, host)
			if fault == nil {
				return Pong{From: host, How: way.how, RTT: rtt}, nil
			}
			if ctx.Err() != nil || s.Err() != nil {
				return Pong{}, fault
			}
			err = errors.Join(err, fault)
		}
	}
	if err == nil {
		err = errors.New("the provider named neither its own address nor a name server")
	}
	return Pong{}, &Error{Kind: NoAnswer, Temporary: true, Err: err,
		Hint: "the link is up and nobody at its far end answers: the provider may not have opened the account's way to the network"}
}

// Addresses is what the link came up with in the present call or else the last; zero:
// it never did.
func (l *ModemLine) Addresses() ppp.Addresses {
	c := l.current()
	if c == nil {
		return ppp.Addresses{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got
}

// ConnectLine is the modem's verbatim CONNECT line of the present call or else the
// last; "": it never came.
func (l *ModemLine) ConnectLine() string {
	c := l.current()
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connect
}
