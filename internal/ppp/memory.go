package ppp

import (
	"net/netip"
	"time"
)

// Memory is what a provider agreed to in one call. Asking for just that in the
// next brings a link up in the fewest round trips. The zero value knows nothing;
// one that is wrong by now costs a round trip and no more. It can be kept as JSON.
type Memory struct {
	// What it rejected of LCP's options, and the MRU it wanted (0: 1500).
	NoACCM  bool `json:"no_accm,omitempty"`
	NoMagic bool `json:"no_magic,omitempty"`
	NoPFC   bool `json:"no_pfc,omitempty"`
	NoACFC  bool `json:"no_acfc,omitempty"`
	MRU     int  `json:"mru,omitempty"`

	// What it gave us, and what of that it rejected to be asked for.
	Local netip.Addr    `json:"local,omitzero"`
	DNS   [2]netip.Addr `json:"dns"`
	NoDNS [2]bool       `json:"no_dns"`

	// VJSlots is how many connections it compresses headers of, 0: none; VJNumbers
	// that it wants their numbers in every segment.
	VJSlots   int  `json:"vj_slots,omitempty"`
	VJNumbers bool `json:"vj_numbers,omitempty"`

	// LateNetwork: it dropped an IPCP request that came before it had said that it
	// believes us.
	LateNetwork bool `json:"late_network,omitempty"`

	// RTT is the round trip of a small packet on the idle line, the least seen.
	RTT time.Duration `json:"rtt_ns,omitempty"`
}

// recall makes the first requests those of the last call.
func (e *engine) recall(m Memory) {
	l, p := e.lcp, e.ipcp
	l.skipACCM = m.NoACCM
	if m.NoACCM {
		l.ours.accm = 0xffffffff
	}
	if m.NoMagic {
		l.ours.magic = 0
	}
	l.ours.pfc, l.ours.acfc = !m.NoPFC, !m.NoACFC
	if m.MRU >= minMRU && m.MRU <= maxMRU {
		l.ours.mru = min(m.MRU, max(e.cfg.MRU, defaultMRU))
	}
	if !p.local.IsValid() && m.Local.Is4() {
		p.local = m.Local
	}
	for i, a := range m.DNS {
		if a.Is4() {
			p.dns[i] = a
		}
		p.askDNS[i] = !m.NoDNS[i]
	}
	if !e.cfg.NoVJ {
		p.askVJ = vj{}
		if m.VJSlots >= vjLeastSlots {
			p.askVJ = vj{slots: min(m.VJSlots, vjSlots), slim: !m.VJNumbers}
		}
	}
	e.lateNetwork = m.LateNetwork
}

// learned is what to remember of a link that is open.
func (e *engine) learned() Memory {
	l, p := e.lcp, e.ipcp
	m := Memory{
		NoACCM: l.skipACCM, NoMagic: l.ours.magic == 0, NoPFC: !l.ours.pfc, NoACFC: !l.ours.acfc,
		Local: p.local, DNS: p.dns, NoDNS: [2]bool{!p.askDNS[0], !p.askDNS[1]},
		VJSlots: p.askVJ.slots, VJNumbers: p.askVJ.slots > 0 && !p.askVJ.slim,
		LateNetwork: e.lateNetwork, RTT: e.quickest,
	}
	if l.ours.mru != defaultMRU {
		m.MRU = l.ours.mru
	}
	return m
}
