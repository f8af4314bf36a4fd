package ppp

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// phase tells how far the link is.
func (e *engine) phase() Phase {
	switch {
	case e.lcp.state != opened:
		return PhaseEstablish
	case !e.auth.done():
		return PhaseAuthenticate
	case e.ipcp.state != opened:
		return PhaseNetwork
	}
	return PhaseOpen
}

// linkUp: LCP is open. What was agreed on comes into force.
func (e *engine) linkUp() {
	peer := e.lcp.peer
	// What our end can't have as data it can't send as data either (RFC 1662 §7.1 lets a
	// sender escape more than it is asked to): XON would be taken by our own modem.
	e.sending = framing{accm: peer.accm | e.cfg.ACCM, pfc: peer.pfc, acfc: peer.acfc}
	e.in.accm = e.lcp.ours.accm
	e.leaving, e.farewells = nil, 0
	if peer.auth != "" {
		e.lcp.refusal = ""
	}
	early := e.arrived()
	if !early {
		e.ipcp.deliver(evDown) // what it has sent is lost
	}
	e.auth.start(peer.auth, e.lcp.ours.auth, early)
}

// linkDown: LCP has fallen, by termination or because the peer negotiates anew.
// All above it falls and comes up again with it.
func (e *engine) linkDown() {
	e.unprobed()
	e.sending = plainFraming()
	// What is on its way was sent as agreed. A peer that negotiates anew escapes all,
	// which is understood whatever was agreed.
	e.auth.stop()
	e.ipcp.deliver(evDown)
	e.ccp.deliver(evDown)
	e.upBy.at = time.Now().Add(e.cfg.UpTimeout)
}

// authenticated: both ends know whom they talk to.
func (e *engine) authenticated() { e.networkAllowed() }

// interfaceWait is how long after our Configure-Ack the far end's interface may still be
// down: pppd sets it up once it has read that, and until then the kernel drops what
// comes. A question or a SYN that is lost costs seconds.
const interfaceWait = 50 * time.Millisecond

// networkUp: IPCP is open, and data may flow if there is an address.
func (e *engine) networkUp() {
	got := e.ipcp.addresses()
	got.MTU = min(e.lcp.peer.mru, defaultMRU)
	switch {
	case !got.Local.IsValid():
		e.fail(e.newError(NoAddress))
		return
	case e.local.IsValid() && e.local != got.Local:
		// Every connection is bound to the old one.
		e.fail(e.newError(AddressChanged))
		return
	}
	out, in := e.ipcp.compression()
	e.vj = in
	e.gate.ring = func() { e.out.open(e.sending, got.MTU, out) }
	e.gate.at = e.ipcp.ackedAt.Add(interfaceWait)
	e.upBy.at = time.Time{}
	if e.cfg.Server && e.cfg.Compress {
		e.offerCompression()
	}
	if e.cfg.EchoInterval > 0 && e.echo.at.IsZero() {
		e.echo.at = time.Now().Add(e.cfg.EchoInterval)
	}
	if !e.local.IsValid() {
		e.local = got.Local
		e.opened <- coming{got, e.learned()}
	}
}

func (e *engine) networkDown() {
	e.gate.at = time.Time{}
	e.out.shut()
	e.vj = nil
	e.upBy.at = time.Now().Add(e.cfg.UpTimeout)
}

// networkFinished: IPCP has given up. There is no other network protocol.
func (e *engine) networkFinished() {
	if e.leaving != nil {
		e.fail(e.leaving)
		return
	}
	err := e.newError(Timeout)
	err.Phase = PhaseNetwork
	e.fail(err)
}

// linkFinished: LCP has given up or is through with terminating.
func (e *engine) linkFinished() {
	if e.leaving != nil {
		e.end(e.leaving)
		return
	}
	e.end(e.newError(Timeout))
}

// peerTerminates notes a Terminate-Request and its words. Before the link is
// open, the first one may be left over from an earlier call on the same line;
// a second one means us.
func (e *engine) peerTerminates(a *automaton, said string) {
	err := e.newError(PeerTerminated)
	if e.lcp.refusal != "" && e.lcp.peer.auth == "" {
		err = e.newError(NoCommonAuth)
	}
	err.Peer = said
	if e.leaving != nil && e.leaving.Kind == err.Kind { // IPCP's reason tells more than LCP's after it
		err.Phase = e.leaving.Phase
		err.Peer = joinWords(e.leaving.Peer, said)
	}
	e.leaving = err
	if a != e.lcp.automaton {
		return
	}
	e.farewells++
	if e.farewells > 1 && a.state >= reqSent && a.state < opened {
		e.fail(err)
	}
}

// peerTerminated: a Terminate-Ack that answers nothing of ours, after a
// Terminate-Request, is a closed peer's answer to our Configure-Request.
func (e *engine) peerTerminated(a *automaton) {
	if a == e.lcp.automaton && e.leaving != nil && a.state >= reqSent && a.state < opened {
		e.end(e.leaving)
	}
}

func joinWords(a, b string) string {
	switch {
	case a == "" || strings.Contains(b, a):
		return b
	case b == "" || strings.Contains(a, b):
		return a
	}
	return words([]byte(a + "; " + b))
}

// The faults that a negotiation can end in.

func (e *engine) loopback() { e.end(e.newError(Loopback)) }

func (e *engine) noCommonAuth() { e.fail(e.newError(NoCommonAuth)) }

func (e *engine) refused(a *automaton, why string) {
	err := e.newError(Refused)
	err.Err = fmt.Errorf("%s: %s", a.name, why)
	e.fail(err)
}

// noAgreement: the two ends have exchanged requests long enough.
func (e *engine) noAgreement(a *automaton) {
	if e.lcp.refusal != "" {
		e.noCommonAuth()
		return
	}
	e.refused(a, "the two ends find no agreement on its options")
}

// fail ends the link for err after a goodbye, if there is anybody to hear it.
func (e *engine) fail(err *Error) {
	if e.err == nil {
		e.shutdown(err, err.Kind.String())
	}
}

// close ends the link because its user wants so.
func (e *engine) close() {
	if e.err == nil {
		e.shutdown(ErrClosed, "")
	}
}

// shutdown closes LCP, which terminates within MaxTerminate restart timers.
func (e *engine) shutdown(err error, goodbye string) {
	e.err = err
	e.lcp.goodbye = goodbye
	if !e.heard {
		e.stopped = true
		return
	}
	e.lcp.deliver(evClose)
	if !e.lcp.state.timed() {
		e.stopped = true // it was closed already
	}
}

// end ends the link at once. A reason that was there before stands.
func (e *engine) end(err error) {
	if e.err == nil {
		e.err = err
	}
	e.stopped = true
}

// lost ends the link because the stream did.
func (e *engine) lost(cause error) {
	if e.leaving != nil { // the peer said goodbye and hung up
		e.end(e.leaving)
		return
	}
	err := e.newError(CarrierLost)
	err.Err = cause
	e.end(err)
}

// abort ends the link because the user won't wait.
func (e *engine) abort(cause error) {
	if errors.Is(cause, ErrClosed) {
		e.end(cause)
		return
	}
	e.end(fmt.Errorf("ppp: given up (%s): %w", e.phase(), cause))
}

// newError makes an error of the present phase, with the usual decision and hint.
func (e *engine) newError(k Kind) *Error {
	err := &Error{Kind: k, Phase: e.phase(), Temporary: true}
	switch k {
	case AuthRefused:
		err.Temporary = false
		err.Hint = "Check user and password of this line."
	case NoCommonAuth:
		err.Temporary, err.Phase = false, PhaseAuthenticate
		err.Hint = fmt.Sprintf("This end can do %v.", e.cfg.Auth)
		if e.lcp.refusal != "" {
			err.Hint += " The far end wants " + e.lcp.refusal + "."
		} else {
			err.Hint += " The far end would have none of it."
		}
	case Loopback:
		err.Hint = "The far end repeats what it hears: its modem is in test mode, or a text log-in is waiting there."
	case PeerTerminated:
		if err.Phase == PhaseAuthenticate {
			err.Hint = "Check user and password of this line."
		}
	case Timeout:
		err.Hint = e.timeoutHint()
	case NoAddress:
		err.Temporary = false
		err.Hint = "The provider gives no address: ask for a fixed one and set it for this line."
	case Refused:
		err.Temporary = false
	case CarrierLost, PeerSilent, AddressChanged:
		// Another call is what helps, and needs no hint.
	}
	return err
}

func (e *engine) timeoutHint() string {
	switch {
	case e.heard:
		return ""
	case e.count.fcsErrors.Load() > 0:
		return "All that came was damaged: check that the port has 8 bits, no parity and hardware flow control."
	case e.count.octetsIn.Load() > 0:
		return "The far end does not speak PPP yet: it may want a log-in in text first."
	}
	return "Nothing at all was heard: check the number, and that it answers with PPP."
}
