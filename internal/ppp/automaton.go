package ppp

import (
	"bytes"
	"time"
)

// layer is what a control protocol adds to the automaton: its options and what
// follows from its states.
type layer interface {
	// ask gives the options of the next Configure-Request.
	ask() []option
	// judge looks at the peer's request. Both lists empty: it is acceptable.
	judge(opts []option) (naks, rejects []option)
	// agreed makes the request judged last the peer's word: it is being acked.
	agreed()
	// naked and rejected change what ask gives next.
	naked(opts []option)
	rejected(opts []option)
	up()
	down()
	finished()
	// extra handles codes above Code-Reject; false: the code is unknown.
	extra(p packet) bool
}

// alarm is a deadline of the engine. A zero at: not set.
type alarm struct {
	at   time.Time
	ring func()
}

// automaton runs the table of RFC 1661 §4.1 for one control protocol. Only the
// engine's goroutine touches it.
type automaton struct {
	engine   *engine
	layer    layer
	protocol uint16
	name     string // for the log

	state state
	count int   // restart counter: transmissions left (RFC 1661 §4.6)
	tries int   // transmissions since the counter was initialised
	timer alarm // restart timer

	id        byte   // of the last packet we began
	request   []byte // options of our last Configure-Request
	requestID byte
	waiting   bool      // that request has no answer yet
	firstSent time.Time // when it first went out
	sent      int       // Configure-Requests that went out, copies included
	hurried   bool      // the restart timer was shortened, see hurry

	reply    packet // what sca, scn, sta, scj or ser will send
	refused  packet // the peer's request refused last,
	refusal  packet // and our answer to it
	rounds   int    // Naks and Rejects received since the last Ack
	refusals int    // Naks and Rejects sent since the last Ack
	goodbye  string // our words in Terminate-Request
}

func newAutomaton(e *engine, l layer, protocol uint16, name string) *automaton {
	a := &automaton{engine: e, layer: l, protocol: protocol, name: name}
	a.timer.ring = a.timeout
	return a
}

// deliver moves the automaton on one event. The state changes before the
// actions run, so that an action may deliver the next event.
func (a *automaton) deliver(ev event) {
	t := table[ev][a.state]
	if t.do&illegal != 0 {
		return
	}
	if ev == evUp {
		a.waiting, a.hurried, a.rounds, a.refusals, a.refused = false, false, 0, 0, packet{}
	}
	a.state = t.to
	if !a.state.timed() {
		a.timer.at = time.Time{}
	}
	a.perform(t.do)
}

// perform runs a set of actions in the order of their bits.
func (a *automaton) perform(do action) {
	for bit := tld; bit <= tlu; bit <<= 1 {
		if do&bit != 0 {
			a.act(bit)
		}
	}
}

func (a *automaton) act(one action) {
	switch one {
	case tld:
		a.waiting, a.hurried, a.rounds, a.refusals, a.refused = false, false, 0, 0, packet{}
		a.layer.down()
	case tls:
		// The layer below LCP is the stream, which is up already.
	case tlf:
		a.layer.finished()
	case irc:
		a.count, a.tries = a.engine.cfg.MaxConfigure, 0
		if a.state == closing || a.state == stopping {
			a.count = a.engine.cfg.MaxTerminate
		}
	case zrc:
		// The peer ended it: leave time for our Terminate-Ack to go out, no
		// more, for the time is paid (RFC 1661 §4.4 allows any interval).
		a.count = 0
		a.startTimer(lingerAfterTerminate)
	case scr:
		a.sendRequest()
	case str:
		a.id++
		a.transmit(packet{codeTerminate, a.id, []byte(a.goodbye)})
	case sca:
		a.layer.agreed()
		a.refusals, a.refused = 0, packet{}
		a.send(a.reply)
	case scn, sta, scj, ser:
		a.send(a.reply)
	case tlu:
		a.layer.up()
	case illegal:
		// deliver ignores it, and perform never comes to its bit.
	}
}

// lingerAfterTerminate is how long the end that was told goodbye waits for its
// last frame to leave the modem; what is queued before it is added.
const lingerAfterTerminate = 500 * time.Millisecond

// sendRequest sends our Configure-Request. One that was not answered and has
// not changed keeps its identifier, so that a late answer still counts
// (RFC 1661 §5.1).
func (a *automaton) sendRequest() {
	content := appendOptions(nil, a.layer.ask())
	if !a.waiting || !bytes.Equal(content, a.request) {
		a.id++
		a.request, a.requestID = content, a.id
		a.waiting, a.firstSent = true, time.Now()
	}
	a.sent++
	a.transmit(packet{codeRequest, a.requestID, content})
}

// transmit sends what the restart timer will send again.
func (a *automaton) transmit(p packet) {
	a.send(p)
	a.startTimer(a.engine.restartAfter(a.tries))
	a.count--
	a.tries++
}

func (a *automaton) startTimer(d time.Duration) {
	a.timer.at = time.Now().Add(d + a.engine.out.backlog())
}

func (a *automaton) send(p packet) { a.engine.sendControl(a.protocol, p) }

func (a *automaton) timeout() {
	if a.hurried { // what came early was dropped: not again next time
		a.hurried, a.engine.lateNetwork = false, true
	}
	if a.count > 0 {
		a.deliver(evTimeout)
		return
	}
	a.deliver(evGiveUp)
}

// input takes one packet of the protocol.
func (a *automaton) input(p packet) {
	if a.state <= starting {
		return // the layer below is not up: nothing is expected
	}
	switch p.code {
	case codeRequest:
		a.configureRequest(p)
	case codeAck:
		// An Ack must repeat the request to the octet (RFC 1661 §5.2).
		if a.answers(p) && bytes.Equal(p.data, a.request) {
			a.answered()
			a.rounds = 0
			a.deliver(evAck)
		}
	case codeNak, codeReject:
		a.configureNak(p)
	case codeTerminate:
		a.engine.peerTerminates(a, words(p.data))
		a.reply = packet{codeTerminateAck, p.id, nil}
		a.deliver(evTerminate)
	case codeTerminateAck:
		a.engine.peerTerminated(a)
		a.deliver(evTerminateAck)
	case codeCodeReject:
		a.codeReject(p)
	default:
		if !a.layer.extra(p) {
			a.rejectCode(p)
		}
	}
}

// answers says whether p answers our request and is the first to do so: a
// second answer is an old one, and must not disturb what is agreed.
func (a *automaton) answers(p packet) bool { return a.waiting && p.id == a.requestID }

func (a *automaton) answered() {
	a.waiting = false
	if a.hurried {
		a.hurried = false
		a.startTimer(a.engine.restartAfter(a.tries))
	}
	a.engine.observe(time.Since(a.firstSent), a.tries <= 1)
}

// configureRequest answers the peer's request: Reject for what we don't know
// or won't do, else Nak for what we want otherwise, else Ack (RFC 1661 §5).
func (a *automaton) configureRequest(p packet) {
	if p.id == a.refused.id && a.refused.code != 0 && bytes.Equal(p.data, a.refused.data) {
		// Sent again, for our answer was lost or is late: it is no new round.
		a.reply = a.refusal
		a.deliver(evBadRequest)
		return
	}
	opts, ok := parseOptions(p.data)
	if !ok {
		return
	}
	naks, rejects := a.layer.judge(opts)
	if a.refusals >= a.engine.cfg.MaxFailure {
		// Enough hints: what it still wants otherwise, it can't have
		// (RFC 1661 §4.6, Max-Failure).
		rejects, naks = append(rejects, sameKind(opts, naks)...), nil
	}
	switch {
	case len(rejects) > 0:
		a.reply = packet{codeReject, p.id, appendOptions(nil, rejects)}
	case len(naks) > 0:
		a.reply = packet{codeNak, p.id, appendOptions(nil, naks)}
	default:
		a.reply = packet{codeAck, p.id, bytes.Clone(p.data)}
		a.deliver(evGoodRequest)
		return
	}
	a.refused, a.refusal = packet{p.code, p.id, bytes.Clone(p.data)}, a.reply
	a.refusals++
	if a.refusals > a.engine.cfg.MaxFailure+a.engine.cfg.MaxConfigure {
		a.engine.noAgreement(a)
		return
	}
	a.deliver(evBadRequest)
}

// sameKind picks the peer's own options out of opts that wanted names.
func sameKind(opts, wanted []option) []option {
	var same []option
	for _, o := range opts {
		for _, w := range wanted {
			if o.kind == w.kind {
				same = append(same, o)
				break
			}
		}
	}
	return same
}

// configureNak takes a Nak or a Reject of our request.
func (a *automaton) configureNak(p packet) {
	opts, ok := parseOptions(p.data)
	if !ok || !a.answers(p) {
		return
	}
	a.answered()
	a.rounds++
	switch {
	case a.rounds > 2*a.engine.cfg.MaxConfigure:
		a.engine.noAgreement(a)
		return
	case p.code == codeReject || a.rounds > a.engine.cfg.MaxConfigure:
		// A peer that Naks for ever is taken as one that rejects.
		a.layer.rejected(opts)
	default:
		a.layer.naked(opts)
	}
	a.deliver(evNak)
}

// codeReject: the peer doesn't know a code of ours. Without those of the
// automaton itself nothing works (RFC 1661 §4.3, RXJ-).
func (a *automaton) codeReject(p packet) {
	if len(p.data) == 0 {
		return
	}
	if code := p.data[0]; code >= codeRequest && code <= codeCodeReject {
		a.engine.refused(a, "it does not know a required code")
		a.deliver(evFatalReject)
		return
	}
	if p.data[0] == codeEchoRequest {
		a.engine.echo.at, a.engine.noEcho = time.Time{}, true // do without
		a.engine.unprobed()
	}
	a.deliver(evMildReject)
}

// rejectCode answers a code we don't know with the packet that had it, cut to
// what the peer takes (RFC 1661 §5.6).
func (a *automaton) rejectCode(p packet) {
	b := p.bytes()
	a.id++
	a.reply = packet{codeCodeReject, a.id, b[:min(len(b), maxRejectedEchoed)]}
	a.deliver(evUnknown)
}
