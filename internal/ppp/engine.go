package ppp

import (
	"log/slog"
	"net/netip"
	"time"
)

// engine owns all protocol state: its methods run on its one goroutine, and
// nothing in it is touched by another.
type engine struct {
	cfg   Config
	out   *writer
	in    *deframer
	count *counters
	lcp   *lcp
	ipcp  *ipcp
	ccp   *ccp
	auth  *auth

	packets chan []byte // IPv4 packets for ReadPacket
	opened  chan coming // the first time the link is open, for Up

	sending   framing         // what the peer agreed to, once LCP is open
	vj        *vjReceiver     // restores headers, once IPCP is open; nil: none are compressed
	heard     bool            // a good frame came, ever
	lastHeard time.Time       // when the last one came
	echo      alarm           // next look at the peer's silence
	echoes    int             // unanswered so far
	noEcho    bool            // the peer knows none
	probes    map[byte]func() // echoes of Link.Probe without an answer, by identifier
	upBy      alarm           // the link must be open by then
	gate      alarm           // data may flow from then

	measured time.Duration // last round trip seen; 0: none yet
	quickest time.Duration // the least that was measured of a request sent once; 0: none yet
	early    early         // what went out before its phase
	// lateNetwork: the peer drops IPCP's packets until it believes us.
	lateNetwork bool

	local netip.Addr // our address since the link first opened

	leaving   *Error // what the peer's Terminate-Request means
	farewells int    // how many of those came in this negotiation
	err       error  // why we end; nil: not ending
	stopped   bool   // leave the loop
}

func newEngine(cfg Config, out *writer, count *counters) *engine {
	e := &engine{
		cfg: cfg, out: out, count: count,
		in:      newDeframer(cfg.MRU, count),
		packets: make(chan []byte, inboundSlots),
		opened:  make(chan coming, 1),
		sending: plainFraming(),
	}
	e.lcp = newLCP(e)
	e.ipcp = newIPCP(e)
	e.ccp = newCCP(e)
	e.auth = newAuth(e)
	if cfg.Memory != nil && !cfg.Server {
		e.recall(*cfg.Memory)
	}
	e.in.damaged = e.headersLost
	e.echo.ring = e.ringEcho
	e.upBy.ring = func() { e.fail(e.newError(Timeout)) }
	return e
}

// inboundSlots bounds the packets that wait for ReadPacket: more than any TCP
// window that makes sense on a slow line. TCP repairs what overflows.
const inboundSlots = 64

// coming is what a link came up with.
type coming struct {
	addresses Addresses
	memory    Memory
}

// chunk is what the reader read; err comes with or after the last octets.
type chunk struct {
	octets []byte
	err    error
}

// run is the engine's life. After each chunk it asks the reader for the next
// one on again.
func (e *engine) run(chunks <-chan chunk, again chan<- struct{}, commands <-chan func(*engine)) {
	e.start()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !e.stopped {
		timer.Stop()
		if wait, set := e.untilAlarm(); set {
			timer.Reset(wait)
		}
		select {
		case c := <-chunks:
			e.in.feed(c.octets, e.frame)
			if c.err != nil {
				e.lost(c.err)
				return
			}
			again <- struct{}{}
		case command := <-commands:
			command(e)
		case <-timer.C:
		}
		e.ringAlarms()
	}
}

// start opens everything. Both ends send at once: the first request is on its
// way before anything was heard.
func (e *engine) start() {
	e.upBy.at = time.Now().Add(e.cfg.UpTimeout)
	e.ipcp.deliver(evOpen)
	e.lcp.deliver(evOpen)
	e.lcp.deliver(evUp)
}

func (e *engine) alarms() [8]*alarm {
	return [...]*alarm{
		&e.lcp.timer, &e.ipcp.timer, &e.ccp.timer, &e.auth.proofTimer, &e.auth.demandTimer, &e.echo, &e.upBy, &e.gate,
	}
}

// untilAlarm is how long the first alarm is away; false: none is set.
func (e *engine) untilAlarm() (wait time.Duration, set bool) {
	var first time.Time
	for _, a := range e.alarms() {
		if !a.at.IsZero() && (first.IsZero() || a.at.Before(first)) {
			first = a.at
		}
	}
	return time.Until(first), !first.IsZero()
}

func (e *engine) ringAlarms() {
	now := time.Now()
	for _, a := range e.alarms() {
		if !e.stopped && !a.at.IsZero() && !a.at.After(now) {
			a.at = time.Time{}
			a.ring()
		}
	}
}

// frame takes one good frame to its protocol. What comes before its phase is
// dropped without a word (RFC 1661 §3.4, §3.5).
func (e *engine) frame(b []byte) {
	protocol, info, ok := parseFrame(b)
	if !ok || e.stopped {
		return
	}
	e.heard, e.lastHeard, e.echoes = true, time.Now(), 0
	switch protocol {
	case protoIP, protoVJ, protoVJFull:
		if e.ccp.in != nil {
			e.ccp.in.plain(protocol, info)
		}
		e.dataFrame(protocol, info)
		return
	case protoDeflate:
		e.inflate(info)
		return
	}
	e.trace(Received, protocol, info)
	switch {
	case protocol == protoLCP:
		if p, ok := parsePacket(info); ok {
			e.lcp.input(p)
		}
		if e.lcp.acked && e.lcp.state == ackSent {
			e.anticipate()
		}
		e.lcp.acked = false
	case e.lcp.state != opened:
	case protocol == protoPAP || protocol == protoCHAP:
		e.authFrame(protocol, info)
	case protocol == protoIPCP:
		e.auth.imply()
		if p, ok := parsePacket(info); ok && e.auth.done() {
			e.ipcp.input(p)
		}
	case !e.auth.done():
	case protocol == protoCCP && e.cfg.Compress:
		e.ccpFrame(info)
	default:
		e.lcp.rejectProtocol(protocol, info)
	}
}

// dataFrame takes a packet of the network to its reader.
func (e *engine) dataFrame(protocol uint16, info []byte) {
	switch protocol {
	case protoIP:
		e.deliverIP(info)
	case protoVJ, protoVJFull:
		e.restore(protocol, info)
	}
}

// headersLost: a frame was damaged, and it may have been one whose headers are
// compressed.
func (e *engine) headersLost() {
	if e.vj != nil {
		e.vj.lost()
	}
}

func (e *engine) authFrame(protocol uint16, info []byte) {
	p, ok := parsePacket(info)
	if !ok {
		return
	}
	input := e.auth.inputPAP
	if protocol == protoCHAP {
		input = e.auth.inputCHAP
	}
	if !input(p) {
		e.lcp.rejectProtocol(protocol, info)
	}
}

// restore takes a TCP segment whose headers are compressed, or that begins a slot.
// What can't be restored is lost, and TCP sends it again.
func (e *engine) restore(protocol uint16, info []byte) {
	if e.vj == nil {
		if e.lcp.state == opened && e.auth.done() {
			e.lcp.rejectProtocol(protocol, info)
		}
		return
	}
	restore := e.vj.compressed
	if protocol == protoVJFull {
		restore = e.vj.full
	}
	p, ok := restore(info)
	if !ok {
		e.count.tossed.Add(1)
		return
	}
	e.deliverIP(p)
}

// deliverIP never waits: the engine has a peer to keep content.
func (e *engine) deliverIP(info []byte) {
	if e.ipcp.state != opened {
		return
	}
	select {
	case e.packets <- append([]byte(nil), info...):
		e.count.packetsIn.Add(1)
	default:
		e.count.dropped.Add(1)
	}
}

// sendControl queues a control packet, framed as its kind must be: LCP's own
// codes always in the plain form, which any peer in any state can read.
func (e *engine) sendControl(protocol uint16, p packet) {
	f := e.sending
	if protocol == protoLCP && p.code <= codeCodeReject {
		f = plainFraming()
	}
	info := p.bytes()
	e.trace(Sent, protocol, info)
	e.out.sendControl(f, protocol, info)
}

func (e *engine) trace(dir Direction, protocol uint16, info []byte) {
	if len(info) >= packetHeader {
		e.cfg.Log.Debug("ppp "+string(dir),
			slog.String("protocol", protocolName(protocol)),
			slog.Int("code", int(info[0])), slog.Int("id", int(info[1])), slog.Int("octets", len(info)))
	}
	if e.cfg.Trace == nil {
		return
	}
	if protocol == protoPAP {
		info = maskPAP(info)
	}
	e.cfg.Trace(dir, append([]byte{byte(protocol >> 8), byte(protocol)}, info...))
}

// observe notes a round trip. It starts at the first transmission, so that a
// request sent more than once counts as too long rather than too short; only
// one that was sent once is a measure.
func (e *engine) observe(roundTrip time.Duration, once bool) {
	e.measured = max(roundTrip, time.Millisecond)
	if once && (e.quickest == 0 || e.measured < e.quickest) {
		e.quickest = e.measured
	}
}

const (
	restartUnknown = 3 * time.Second  // RFC 1661 §4.6
	restartLeast   = 2 * time.Second  // a provider may ask its own servers first
	restartMost    = 12 * time.Second // twice the worst satellite round trip, 5.4 s
	firstRetry     = 1 * time.Second
)

// restartAfter gives the restart timer for the transmission after so many
// others; the package comment says why so. What is queued is added elsewhere.
func (e *engine) restartAfter(tries int) time.Duration {
	if e.cfg.RestartTimer > 0 {
		return e.cfg.RestartTimer
	}
	rtt := e.cfg.RTT
	if e.measured > 0 {
		rtt = e.measured
	}
	usual := restartUnknown
	if rtt > 0 {
		usual = min(max(2*rtt+500*time.Millisecond, restartLeast), restartMost)
	}
	if !e.heard && tries < 2 {
		return min(usual, max(firstRetry<<tries, rtt+500*time.Millisecond))
	}
	return usual
}

// restartAt is the deadline for an answer in the authentication phase.
func (e *engine) restartAt(tries int) time.Time {
	return time.Now().Add(e.restartAfter(tries) + e.out.backlog())
}

func protocolName(p uint16) string {
	switch p {
	case protoLCP:
		return "LCP"
	case protoPAP:
		return "PAP"
	case protoCHAP:
		return "CHAP"
	case protoIPCP:
		return "IPCP"
	case protoCCP:
		return "CCP"
	}
	const hex = "0123456789abcdef"
	return string([]byte{hex[p>>12], hex[p>>8&15], hex[p>>4&15], hex[p&15]})
}
