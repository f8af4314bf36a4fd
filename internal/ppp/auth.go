package ppp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// CHAP's algorithm numbers (RFC 1994 §3, RFC 2759 §3).
const (
	chapMD5  = 5
	chapMSv2 = 0x81
)

// authValue is the value of LCP's authentication option.
func authValue(a AuthProtocol) []byte {
	switch a {
	case PAP:
		return binary.BigEndian.AppendUint16(nil, protoPAP)
	case CHAPMD5:
		return append(binary.BigEndian.AppendUint16(nil, protoCHAP), chapMD5)
	case MSCHAPv2:
		return append(binary.BigEndian.AppendUint16(nil, protoCHAP), chapMSv2)
	}
	return nil
}

// authProtocol reads such a value; empty for what we don't speak.
func authProtocol(v []byte) AuthProtocol {
	switch {
	case len(v) == 2 && binary.BigEndian.Uint16(v) == protoPAP:
		return PAP
	case len(v) == 3 && binary.BigEndian.Uint16(v) == protoCHAP && v[2] == chapMD5:
		return CHAPMD5
	case len(v) == 3 && binary.BigEndian.Uint16(v) == protoCHAP && v[2] == chapMSv2:
		return MSCHAPv2
	}
	return ""
}

// authName says for a person what a value asks for.
func authName(v []byte) string {
	if a := authProtocol(v); a != "" {
		return string(a)
	}
	if len(v) < 2 {
		return "an unknown protocol"
	}
	switch protocol := binary.BigEndian.Uint16(v); {
	case protocol == protoCHAP && len(v) == 3 && v[2] == 0x80:
		return "MS-CHAP"
	case protocol == 0xc227:
		return "EAP"
	default:
		return fmt.Sprintf("protocol %x", v)
	}
}

// auth is the authentication phase, each direction by itself: prove is how we
// show who we are, demand is how the peer does.
type auth struct {
	engine        *engine
	prove, demand AuthProtocol // empty: not needed
	proved, shown bool         // each done
	running       bool         // LCP is open

	// Our request or response, or our challenge, sent again until answered.
	proof, challenge packet
	proofTo          uint16 // protocol
	proofTimer       alarm
	demandTimer      alarm
	proofTries       int
	demandTries      int
	challengeID      byte
	verdict          packet // our last CHAP verdict, for a response heard twice
	asked            []byte // the CHAP challenge we answered last
	expected         string // what an MS-CHAPv2 peer must say to have us believe it
}

func newAuth(e *engine) *auth {
	a := &auth{engine: e}
	a.proofTimer.ring = a.ringProof
	a.demandTimer.ring = a.ringDemand
	return a
}

// start begins the phase when LCP opens, with what the two ends agreed on. sent
// says that a PAP request is on its way already.
func (a *auth) start(prove, demand AuthProtocol, sent bool) {
	if !sent {
		a.stop()
	}
	a.prove, a.demand, a.running = prove, demand, true
	a.proved, a.shown = prove == "", demand == ""
	if prove == PAP && !sent {
		a.sendPAP()
	}
	switch demand {
	case CHAPMD5, MSCHAPv2:
		a.sendChallenge()
	case PAP:
		// The peer speaks first; Up's time-out bounds the wait.
	}
	a.check()
}

// stop forgets everything when LCP falls.
func (a *auth) stop() {
	a.running, a.proved, a.shown = false, false, false
	a.proofTimer.at, a.demandTimer.at = time.Time{}, time.Time{}
	a.proofTries, a.demandTries = 0, 0
	a.proof, a.challenge, a.verdict = packet{}, packet{}, packet{}
}

func (a *auth) done() bool { return a.running && a.proved && a.shown }

// check goes on to the network phase the moment both directions are done.
func (a *auth) check() {
	if a.done() {
		a.engine.authenticated()
	}
}

// imply takes a packet of the network phase as the peer's acceptance: only our
// proof was outstanding, and its verdict got lost on the line. It saves the
// wait for a timer, and a peer that has not accepted us will say so again.
func (a *auth) imply() {
	if a.running && a.shown && !a.proved && a.proofTries > 0 {
		a.accepted()
	}
}

// accepted: the peer believes us.
func (a *auth) accepted() {
	a.proofTimer.at = time.Time{}
	if !a.proved {
		a.proved = true
		a.check()
	}
}

// believed: we believe the peer.
func (a *auth) believed() {
	a.demandTimer.at = time.Time{}
	a.demandTries = 0
	if isCHAP(a.demand) && a.engine.cfg.Rechallenge > 0 {
		a.demandTimer.at = time.Now().Add(a.engine.cfg.Rechallenge)
	}
	if !a.shown {
		a.shown = true
		a.check()
	}
}

// refused: the peer doesn't believe us, with its words.
func (a *auth) refused(message []byte) {
	err := a.engine.newError(AuthRefused)
	err.Peer = words(message)
	a.engine.fail(err)
}

// disbelieved: we don't believe the peer.
func (a *auth) disbelieved() {
	err := a.engine.newError(AuthRefused)
	err.Hint = "The caller's name or password is wrong."
	a.engine.fail(err)
}

func (a *auth) sendProof(protocol uint16, p packet) {
	a.proof, a.proofTo, a.proofTries = p, protocol, 0
	a.repeatProof()
}

func (a *auth) repeatProof() {
	a.proofTries++
	a.engine.sendControl(a.proofTo, a.proof)
	a.proofTimer.at = a.engine.restartAt(a.proofTries)
}

// ringProof sends a PAP request or CHAP response again. RFC 1994 leaves a lost
// verdict to the authenticator, which may not be watching; a response heard
// twice must be answered twice, so that repeating it is safe (§4.2).
func (a *auth) ringProof() {
	if a.proofTries >= a.engine.cfg.MaxConfigure {
		a.engine.fail(a.engine.newError(Timeout))
		return
	}
	a.repeatProof()
}

// ringDemand repeats a challenge without an answer, or begins a new one on a
// link long open.
func (a *auth) ringDemand() {
	switch {
	case a.demandTries == 0:
		a.sendChallenge()
	case a.demandTries >= a.engine.cfg.MaxConfigure:
		a.engine.fail(a.engine.newError(Timeout))
	default:
		a.repeatChallenge()
	}
}
