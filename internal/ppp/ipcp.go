package ppp

import (
	"net/netip"
	"slices"
	"time"
)

// IPCP's configuration options (RFC 1332 §3; name servers: RFC 1877 §1).
const (
	ipcpCompression = 2

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
	askVJ   vj      // what we can take; no slots: it isn't asked
	offer   netip.Addr
	peer    netip.Addr // the peer's address as agreed
	offerVJ vj
	peerVJ  vj        // what the peer can take, as agreed
	ackedAt time.Time // when we acknowledged the peer's request
	dummies int       // Naks sent to a peer that wants an address of us
}

// vj is one direction's header compression, as its receiver has it. The zero
// value is none.
type vj struct {
	slots int  // connections, 0 to 256
	slim  bool // their numbers may be left out
}

// option is RFC 1332 §4's.
func (v vj) option() option {
	data := []byte{protoVJ >> 8, protoVJ & 0xff, byte(v.slots - 1), 0} //nolint:gosec // 1 to 256
	if v.slim {
		data[3] = 1
	}
	return option{ipcpCompression, data}
}

// parseVJ reads it; none for another protocol, or RFC 1172's shorter form.
func parseVJ(o option) vj {
	if len(o.data) != 4 || o.data[0] != protoVJ>>8 || o.data[1] != protoVJ&0xff {
		return vj{}
	}
	return vj{slots: int(o.data[2]) + 1, slim: o.data[3] == 1}
}

func newIPCP(e *engine) *ipcp {
	p := &ipcp{local: e.cfg.LocalAddr, ask3: true}
	p.automaton = newAutomaton(e, p, protoIPCP, "IPCP")
	p.askDNS = [2]bool{!e.cfg.Server, !e.cfg.Server}
	if !e.cfg.NoVJ {
		p.askVJ = vj{slots: vjSlots, slim: true}
	}
	return p
}

func (p *ipcp) ask() []option {
	var opts []option
	if p.askVJ.slots > 0 {
		opts = append(opts, p.askVJ.option())
	}
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
	p.offer, p.offerVJ = netip.Addr{}, vj{}
	dummies := p.dummies
	for _, o := range opts {
		if o.kind == ipcpCompression && !p.engine.cfg.NoVJ {
			if p.offerVJ = parseVJ(o); p.offerVJ.slots < vjLeastSlots {
				p.offerVJ = vj{}
				naks = append(naks, vj{slots: vjSlots, slim: true}.option())
			}
			continue
		}
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

func (p *ipcp) agreed() { p.peer, p.peerVJ, p.ackedAt = p.offer, p.offerVJ, time.Now() }

// naked takes what a server gives. A server keeps its own address.
func (p *ipcp) naked(opts []option) {
	for _, o := range opts {
		if o.kind == ipcpCompression {
			p.vjNaked(parseVJ(o))
		}
		if p.engine.cfg.Server {
			continue
		}
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

// vjNaked takes the peer's smaller table or its numbers; a peer that wants
// another compression gets none.
func (p *ipcp) vjNaked(want vj) {
	if want.slots < vjLeastSlots {
		p.askVJ = vj{}
		return
	}
	p.askVJ.slots = min(p.askVJ.slots, want.slots)
	p.askVJ.slim = p.askVJ.slim && want.slim
}

func (p *ipcp) rejected(opts []option) {
	for _, o := range opts {
		switch o.kind {
		case ipcpCompression:
			p.askVJ = vj{}
		case ipcpAddress:
			p.ask3 = false
		case ipcpDNS1:
			p.askDNS[0] = false
		case ipcpDNS2:
			p.askDNS[1] = false
		}
	}
}

// compression gives both directions, or none at all: a peer that agreed to one
// only has been seen to send what it could not take itself.
func (p *ipcp) compression() (out *vjSender, in *vjReceiver) {
	if p.askVJ.slots == 0 || p.peerVJ.slots == 0 {
		return nil, nil
	}
	return newVJSender(min(p.peerVJ.slots, vjSlots), p.peerVJ.slim), newVJReceiver(p.askVJ.slots)
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
