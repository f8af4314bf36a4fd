package ppp

import (
	"net/netip"
	"slices"
)

// IPCP's configuration options (RFC 1332 §3; name servers: RFC 1877 §1).
const (
	ipcpAddress = 3
	ipcpDNS1    = 129
	ipcpDNS2    = 131
)

// dummyPeer is what a peer is told to call itself that asks us for its own
// address while we have none to give: slirp does. Only the two ends of the line
// ever see it. maxDummies Naks of it, and the option is rejected.
var dummyPeer = netip.AddrFrom4([4]byte{10, 64, 64, 64})

const maxDummies = 3

// ipcp is the IP control protocol: RFC 1332's layer on the automaton. A zero
// netip.Addr is an address not known, sent as 0.0.0.0.
type ipcp struct {
	*automaton
	local   netip.Addr // what we ask to be
	dns     [2]netip.Addr
	ask3    bool    // whether the address option is asked
	askDNS  [2]bool // whether each name server is asked
	offer   netip.Addr
	peer    netip.Addr // the peer's address as agreed
	dummies int        // Naks sent to a peer that wants an address of us
}

func newIPCP(e *engine) *ipcp {
	p := &ipcp{local: e.cfg.LocalAddr, ask3: true}
	p.automaton = newAutomaton(e, p, protoIPCP, "IPCP")
	p.askDNS = [2]bool{!e.cfg.Server, !e.cfg.Server}
	return p
}

func (p *ipcp) ask() []option {
	var opts []option
	if p.ask3 {
		opts = append(opts, optionAddr(ipcpAddress, p.local))
	}
	for i, kind := range []byte{ipcpDNS1, ipcpDNS2} {
		if p.askDNS[i] {
			opts = append(opts, optionAddr(kind, p.dns[i]))
		}
	}
	return opts
}

func (p *ipcp) judge(opts []option) (naks, rejects []option) {
	p.offer = netip.Addr{}
	dummies := p.dummies
	for _, o := range opts {
		want, known := p.wantInstead(o)
		switch {
		case !known:
			rejects = append(rejects, o)
		case want.IsValid():
			naks = append(naks, optionAddr(o.kind, want))
		}
	}
	if len(rejects) > 0 {
		p.dummies = dummies // a Reject goes first, and no Nak with it
	}
	return naks, rejects
}

// wantInstead judges one option of the peer: not known to us, or fine as it is
// (no address), or to be replaced by an address.
func (p *ipcp) wantInstead(o option) (want netip.Addr, known bool) {
	cfg := p.engine.cfg
	switch {
	case o.kind == ipcpAddress:
		return p.wantPeer(o.addr())
	case o.kind == ipcpDNS1 && cfg.Server:
		return wantDNS(o.addr(), cfg.DNS[0])
	case o.kind == ipcpDNS2 && cfg.Server:
		return wantDNS(o.addr(), cfg.DNS[1])
	}
	return netip.Addr{}, false
}

// wantPeer judges the address the peer gives itself. 0.0.0.0 asks us for one
// and must never be acknowledged: the peer would take it for good, and slirp
// hangs up.
func (p *ipcp) wantPeer(asked netip.Addr) (want netip.Addr, known bool) {
	give := p.engine.cfg.PeerAddr
	switch {
	case p.engine.cfg.Server && give.IsValid() && asked != give:
		return give, true
	case asked.IsValid():
		p.offer = asked
		return netip.Addr{}, true
	case p.dummies >= maxDummies:
		return netip.Addr{}, false
	case !give.IsValid():
		give = dummyPeer
	}
	p.dummies++
	return give, true
}

func wantDNS(asked, have netip.Addr) (want netip.Addr, known bool) {
	switch {
	case !have.IsValid():
		return netip.Addr{}, false
	case asked == have:
		return netip.Addr{}, true
	}
	return have, true
}

func (p *ipcp) agreed() { p.peer = p.offer }

// naked takes what a server gives. A server keeps its own address.
func (p *ipcp) naked(opts []option) {
	if p.engine.cfg.Server {
		return
	}
	for _, o := range opts {
		switch a := o.addr(); o.kind {
		case ipcpAddress:
			if a.IsValid() {
				p.local = a
			}
		case ipcpDNS1:
			p.dns[0], p.askDNS[0] = a, a.IsValid()
		case ipcpDNS2:
			p.dns[1], p.askDNS[1] = a, a.IsValid()
		}
	}
}

func (p *ipcp) rejected(opts []option) {
	for _, o := range opts {
		switch o.kind {
		case ipcpAddress:
			p.ask3 = false
		case ipcpDNS1:
			p.askDNS[0] = false
		case ipcpDNS2:
			p.askDNS[1] = false
		}
	}
}

func (p *ipcp) addresses() Addresses {
	a := Addresses{Local: p.local, Peer: p.peer}
	for i, ask := range p.askDNS {
		if ask && p.dns[i].IsValid() && !slices.Contains(a.DNS, p.dns[i]) {
			a.DNS = append(a.DNS, p.dns[i])
		}
	}
	return a
}

func (p *ipcp) up()               { p.engine.networkUp() }
func (p *ipcp) down()             { p.engine.networkDown() }
func (p *ipcp) finished()         { p.engine.networkFinished() }
func (p *ipcp) extra(packet) bool { return false }
