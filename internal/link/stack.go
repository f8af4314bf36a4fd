package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// PacketConn carries IPv4 packets, one each call; internal/ppp.Link does. An
// error from either method ends the Stack, except io.ErrShortBuffer, which
// loses the packet.
type PacketConn interface {
	ReadPacket(p []byte) (int, error)
	// WriteNext waits until the line is free for a packet, and takes what next
	// gives then; nil: there is nothing to send after all.
	WriteNext(next func() []byte) error
}

// prober is a PacketConn that can ask the far end of the line for a sign of life;
// internal/ppp.Link is one. All that the line carried before the answer has
// arrived by then.
type prober interface{ Probe(answered func()) }

// StackOptions is what a Stack is told about its line.
type StackOptions struct {
	MTU  int           // longest packet in octets that the far end takes; 0: 1500
	Rate int           // bit/s, ten to an octet; 0: unknown, TCP isn't tuned
	RTT  time.Duration // round trip of the idle line; 0: the usual one for Rate
	DNS  []netip.Addr  // name servers, best first; none: only addresses can be dialled
	// Names are those that earlier calls have asked for.
	Names map[string]KeptName
}

const (
	nicID      = 1
	defaultMTU = 1500
	// leastMTU is what every IPv4 host takes (RFC 791 §3.1).
	leastMTU = 68
	// longestPacket is what internal/ppp can be made to take.
	longestPacket = 16384
	// optionRoom is what gVisor keeps for them: four selective acknowledgements (RFC 2018 §3).
	optionRoom = 36
	// outQueue bounds the packets that wait for the line. Windows keep the queue
	// far shorter on a tuned line; on others, what doesn't fit is lost and sent
	// again, as in any router.
	outQueue = 256
	// bufferSegments is how many segments of a connection wait for the line
	// besides those in flight. Few, so that what was written is soon sent, and a
	// caller's progress is true.
	bufferSegments = 4
)

// Stack is a TCP/IP host in this process, on one link. Its methods may be called
// from any goroutine. It doesn't own the PacketConn.
type Stack struct {
	pc    PacketConn
	net   *stack.Stack
	wire  *channel.Endpoint
	tune  tuning                 // what the stack was made with
	live  atomic.Pointer[tuning] // its windows, by what has been measured
	names *resolver
	flows *flows
	out   *outbox

	life      context.Context // ended when the stack has, with the cause
	end       context.CancelCauseFunc
	destroyed chan struct{}

	conns     atomic.Int64 // open TCP connections: they share the windows
	listeners atomic.Int64

	mu   sync.Mutex
	open map[io.Closer]struct{} // all sockets; nil once the stack has ended
}

// NewStack puts a host with one address on a link. It reads pc until pc fails
// or the stack is closed, and a ReadPacket or WritePacket in progress then ends
// only when pc does: close the stack first, then the link.
func NewStack(pc PacketConn, addr netip.Addr, opt StackOptions) (*Stack, error) {
	t := tune(opt.Rate, opt.RTT)
	return newStack(pc, addr, opt, t, newSlowClock(time.Duration(t.slow)*time.Second))
}

func newStack(pc PacketConn, addr netip.Addr, opt StackOptions, t tuning, clock *slowClock) (*Stack, error) {
	if !addr.Is4() {
		return nil, fmt.Errorf("link: %v is no IPv4 address", addr)
	}
	if opt.MTU == 0 {
		opt.MTU = defaultMTU
	}
	if opt.MTU < leastMTU {
		return nil, fmt.Errorf("link: an MTU of %d octets is below IPv4's least of %d", opt.MTU, leastMTU)
	}
	s := &Stack{
		pc: pc, tune: t.fit(opt.MTU),
		open:      make(map[io.Closer]struct{}),
		destroyed: make(chan struct{}),
	}
	s.live.Store(&s.tune)
	s.flows = newFlows(s.tune.mss / 2)
	s.flows.greet = s.tune.greet
	s.out = newOutbox(s.flows, s.offers)
	if line, ok := pc.(prober); ok && s.tune.bounded {
		s.out.probe, s.out.grace = line.Probe, s.tune.grace
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.names = newResolver(s, opt, s.tune.askWait)
	// The device's MTU bounds our segments, and gVisor keeps room in it for options
	// that they hardly ever have. The far end's are bounded by the MSS we announce.
	mtu := min(s.tune.mss+tcpHeader+optionRoom, opt.MTU)
	s.wire = channel.New(outQueue, uint32(mtu), "") //nolint:gosec // 68 to 1500
	s.net = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		Clock:              clock,
		HandleLocal:        true,
	})
	if err := s.configure(addr, clock); err != nil {
		s.end(err)
		s.net.Destroy()
		return nil, fmt.Errorf("link: setting up TCP/IP: %w", err)
	}
	go s.receive()
	go s.send()
	go s.deliver()
	go s.wait()
	return s, nil
}

// configure returns gVisor's error as an ordinary one.
func (s *Stack) configure(addr netip.Addr, clock *slowClock) error {
	if err := s.net.CreateNIC(nicID, s.wire); err != nil {
		return errors.New(err.String())
	}
	self := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix(),
	}
	if err := s.net.AddProtocolAddress(nicID, self, stack.AddressProperties{}); err != nil {
		return errors.New(err.String())
	}
	s.net.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	for _, option := range s.options(clock) {
		if err := s.net.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("%T: %s", option, err)
		}
	}
	return nil
}

// options are TCP's settings, for a line that needs them.
func (s *Stack) options(clock *slowClock) []tcpip.SettableTransportProtocolOption {
	if !s.tune.bounded {
		return nil
	}
	// Full segments go out as long as writes fill the buffer with whole ones.
	buffer := s.tune.up + bufferSegments*s.tune.mss
	send := tcpip.TCPSendBufferSizeRangeOption{Min: buffer, Default: buffer, Max: buffer}
	// The receive buffer must not bind before the window does: gVisor counts
	// some 500 octets of its own for each segment, and half for headroom. The
	// window offered is clamped in receive and send.
	space := max(8*s.tune.down, 32<<10)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: space, Default: space, Max: space}
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	minRTO := tcpip.TCPMinRTOOption(clock.theirs(s.tune.minRTO))
	// Tail loss probes resend after twice the round trip, which a queue that
	// builds up exceeds (RFC 8985 §7.2).
	recovery := tcpip.TCPRecovery(0)
	return []tcpip.SettableTransportProtocolOption{&send, &receive, &moderate, &minRTO, &recovery}
}

// receive hands packets of the link to the stack until the link fails.
func (s *Stack) receive() {
	buf := make([]byte, longestPacket)
	for {
		n, err := s.pc.ReadPacket(buf)
		if errors.Is(err, io.ErrShortBuffer) {
			continue
		}
		if err != nil {
			s.end(err)
		}
		if s.life.Err() != nil {
			return
		}
		if s.flows.came(buf[:n], s.share()) {
			continue
		}
		p := s.incoming(buf[:n])
		if len(p) == 0 || p[0]>>4 != 4 {
			continue
		}
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
		s.wire.InjectInbound(ipv4.ProtocolNumber, pkt)
		pkt.DecRef()
	}
}

// send puts packets of the stack into the outbox until the stack ends.
func (s *Stack) send() {
	for {
		pkt := s.wire.ReadContext(s.life)
		if pkt == nil {
			return
		}
		view := pkt.ToView()
		pkt.DecRef()
		s.out.put(s.outgoing(bytes.Clone(view.AsSlice())))
		view.Release()
	}
}

// deliver hands packets of the outbox to the link until either ends.
func (s *Stack) deliver() {
	for {
		select {
		case <-s.out.ready:
		case <-s.life.Done():
			return
		}
		for s.out.waits() {
			if err := s.pc.WriteNext(s.out.next); err != nil {
				s.end(err)
				return
			}
		}
	}
}

// Traffic counts the packets that crossed the line since the stack was made.
func (s *Stack) Traffic() (up, down Traffic) { return s.flows.traffic() }

// incoming adapts a packet from the line, and gives nil for one that nobody
// here asked for: answering it would cost.
func (s *Stack) incoming(p []byte) []byte {
	seg, ok := parseSegment(p)
	if !ok {
		return p
	}
	if seg.isOpening() && s.listeners.Load() == 0 {
		return nil
	}
	if !s.tune.bounded {
		return p
	}
	// The far end's window bounds what we send.
	seg.clampWindow(s.share())
	if seg.isSYN() {
		return seg.plainSYN()
	}
	return seg.packet
}

// share is what a connection may have in flight up.
func (s *Stack) share() int {
	if !s.tune.bounded {
		return maxWindow
	}
	return s.live.Load().share(int(s.conns.Load()))
}

// outgoing adapts a packet for the line. Its window is the outbox's business.
func (s *Stack) outgoing(p []byte) []byte {
	if seg, ok := parseSegment(p); ok && s.tune.bounded && seg.isSYN() {
		seg.announce(s.tune.mss)
		return seg.plainSYN()
	}
	return p
}

// Retune adapts the windows to a rate that was measured; segments and timers stay,
// which connections have from their beginning. A line that isn't tuned stays so.
func (s *Stack) Retune(rate int, rtt time.Duration) {
	t := tune(rate, rtt)
	if !s.tune.bounded || !t.bounded {
		return
	}
	t.mss = s.tune.mss
	t.down, t.duplex = whole(t.down, t.mss), whole(t.duplex, t.mss)
	t.up, t.least = min(whole(t.up, t.mss), maxWindow), s.tune.least
	s.live.Store(&t)
}

// offers gives what the far end may send on a connection: our window bounds that.
func (s *Stack) offers(w *flow) int {
	if !s.tune.bounded {
		return maxWindow
	}
	now := s.live.Load()
	bulk, sending := s.flows.sending(w, now.bulkFor)
	return now.offer(bulk, sending, int(s.conns.Load()), s.out.sending(now.bulkFor))
}

// wait takes everything down when the stack's life ends.
func (s *Stack) wait() {
	<-s.life.Done()
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for c := range open {
		c.Close() //nolint:errcheck // gVisor's Close has no errors
	}
	s.net.Destroy()
	close(s.destroyed)
}

// Close ends the stack and every connection on it at once, in the middle of
// whatever they do; nothing more is sent. Idempotent.
func (s *Stack) Close() error {
	s.end(ErrClosed)
	<-s.destroyed
	return nil
}

// Done is closed when the stack has ended: by Close, or because the link failed.
func (s *Stack) Done() <-chan struct{} { return s.life.Done() }

// Err is nil while the stack lives, then why it ended: the link's error, or
// ErrClosed.
func (s *Stack) Err() error { return context.Cause(s.life) }

// keep registers a socket to be closed with the stack; false: it has ended.
func (s *Stack) keep(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *Stack) forget(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// lost is the error of everything that is tried on a stack that has ended.
func (s *Stack) lost(address string) error {
	return &Error{Kind: LineLost, Address: address, Temporary: true, Err: s.Err()}
}
