package ppp

import "time"

// Early is what saves paid round trips when a link comes up. The line keeps the
// order, so what follows our LCP Configure-Ack finds a peer that is open, if it has
// acknowledged our own request: PAP's request, and IPCP's behind it, need not wait
// until we have heard so. A peer that does have to be asked again drops them
// (RFC 1661 §3.4), and they are sent once more in their time. Only a client does
// this, and nothing is sent that the peer hasn't asked for or that it would reject.
//
//	nothing known        LCP ┐ PAP, IPCP ┐ IPCP with the address given   2.5 round trips
//	provider is known    LCP ┘ PAP, IPCP ┘                               1.5
//	the same with CHAP   the peer's challenge comes first                3.5, 2.5
type early struct {
	sent     bool
	requests int // LCP Configure-Requests that had gone out by then
}

// anticipate follows a Configure-Ack of ours with the next phases' first packets.
func (e *engine) anticipate() {
	if e.cfg.Server || e.lcp.ours.auth != "" {
		return
	}
	e.early = early{sent: true, requests: e.lcp.sent}
	switch e.lcp.peer.auth {
	case "":
		e.askNetwork()
	case PAP:
		e.auth.sendPAP()
		e.askNetwork()
	default: // the peer speaks first
	}
}

// askNetwork begins IPCP before the peer has said that it believes us, unless it is
// known to drop what comes so soon.
func (e *engine) askNetwork() {
	if e.cfg.Server || e.lateNetwork || e.auth.demand != "" {
		return
	}
	e.ipcp.deliver(evDown) // if it was sent before: that was dropped
	e.ipcp.deliver(evUp)
}

// arrived says, when LCP opens, whether the peer took what was sent early: it did
// if our request that it has acknowledged was there before.
func (e *engine) arrived() bool {
	was := e.early
	e.early = early{}
	return was.sent && was.requests == e.lcp.sent
}

// graceForAnswer is how long behind the peer's "accepted" its answer to an early
// IPCP request may come: its own request stands between the two, and it works
// through them in order. graceOctets is what those take on the line.
const (
	graceForAnswer = 300 * time.Millisecond
	graceOctets    = 160
)

// networkAllowed begins IPCP, or makes sure of one that began early.
func (e *engine) networkAllowed() {
	if e.ipcp.state <= starting {
		e.ipcp.deliver(evUp)
		return
	}
	if e.auth.prove != "" && e.ipcp.waiting {
		e.ipcp.hurry(graceForAnswer + e.out.pace.airtime(graceOctets))
	}
}

// hurry shortens the restart timer for a request that may have come too soon.
func (a *automaton) hurry(d time.Duration) {
	if at := time.Now().Add(d); at.Before(a.timer.at) {
		a.timer.at, a.hurried = at, true
	}
}
