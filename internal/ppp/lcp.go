package ppp

import (
	"crypto/rand"
	"encoding/binary"
)

// LCP's configuration options (RFC 1661 §6; ACCM: RFC 1662 §7.1).
const (
	lcpMRU   = 1
	lcpACCM  = 2
	lcpAuth  = 3
	lcpMagic = 5
	lcpPFC   = 7
	lcpACFC  = 8
)

// loopsForLoopback is how many of our own requests in a row we must hear before
// we believe it. One may be an echo left in a modem; pppd takes ten, but every
// one costs a paid round trip.
const loopsForLoopback = 5

// lcpOptions is one direction's set: what its receiver told the sender to do.
type lcpOptions struct {
	mru       int
	accm      uint32
	magic     uint32 // 0: none
	auth      AuthProtocol
	pfc, acfc bool
}

// defaultLCP holds where a request says nothing (RFC 1661 §6): slirp leaves
// ACCM out, and means all of it.
func defaultLCP() lcpOptions { return lcpOptions{mru: defaultMRU, accm: 0xffffffff} }

// lcp is the link control protocol: RFC 1661's layer on the automaton.
type lcp struct {
	*automaton
	ours  lcpOptions // what the next request asks
	offer lcpOptions // the peer's request judged last
	peer  lcpOptions // the peer's request we agreed to

	skipACCM   bool           // the peer rejected the option
	candidates []AuthProtocol // left to ask of the peer
	suggested  int            // protocols we answered the peer's choice with
	refusal    string         // what the peer wanted and we can't; for the error
	loops      int            // our own requests heard in a row
	acked      bool           // the peer's request has just been acknowledged
}

func newLCP(e *engine) *lcp {
	l := &lcp{peer: defaultLCP(), offer: defaultLCP()}
	l.automaton = newAutomaton(e, l, protoLCP, "LCP")
	l.ours = lcpOptions{mru: e.cfg.MRU, accm: e.cfg.ACCM, magic: newMagic(), pfc: true, acfc: true}
	if e.cfg.Authenticate != nil {
		l.candidates = e.cfg.Auth
		l.ours.auth = l.candidates[0]
	}
	return l
}

// newMagic is random and has no octet that needs an escape: it goes over the
// line in every request and echo.
func newMagic() uint32 {
	var b [4]byte
	rand.Read(b[:])
	for i, c := range b {
		if c < 0x20 || c == flag || c == escape {
			b[i] = c ^ 0x40
		}
	}
	return binary.BigEndian.Uint32(b[:])
}

func (l *lcp) ask() []option {
	var opts []option
	if l.ours.mru != defaultMRU {
		opts = append(opts, option16(lcpMRU, uint16(l.ours.mru))) //nolint:gosec // at most maxMRU
	}
	if !l.skipACCM {
		opts = append(opts, option32(lcpACCM, l.ours.accm))
	}
	if l.ours.auth != "" {
		opts = append(opts, option{lcpAuth, authValue(l.ours.auth)})
	}
	if l.ours.magic != 0 {
		opts = append(opts, option32(lcpMagic, l.ours.magic))
	}
	if l.ours.pfc {
		opts = append(opts, option{kind: lcpPFC})
	}
	if l.ours.acfc {
		opts = append(opts, option{kind: lcpACFC})
	}
	return opts
}

func (l *lcp) judge(opts []option) (naks, rejects []option) {
	l.offer = defaultLCP()
	suggested := l.suggested
	for _, o := range opts {
		nak, known := l.judgeOne(o)
		switch {
		case !known:
			rejects = append(rejects, o)
		case nak != nil:
			naks = append(naks, *nak)
		}
	}
	if len(rejects) > 0 {
		l.suggested = suggested // a Reject goes first, and no Nak with it
	}
	return naks, rejects
}

// judgeOne notes an acceptable option in offer. known is false for one to
// reject; nak is what we would take instead.
func (l *lcp) judgeOne(o option) (nak *option, known bool) {
	switch o.kind {
	case lcpMRU:
		mru := 0
		if len(o.data) == 2 {
			mru = int(binary.BigEndian.Uint16(o.data))
		}
		if mru < minMRU {
			return new(option16(lcpMRU, minMRU)), true
		}
		l.offer.mru = mru
	case lcpACCM:
		accm, ok := o.uint32()
		if !ok {
			return new(option32(lcpACCM, 0)), true
		}
		l.offer.accm = accm
	case lcpMagic:
		return l.judgeMagic(o)
	case lcpAuth:
		return l.judgeAuth(o)
	case lcpPFC:
		l.offer.pfc = true
	case lcpACFC:
		l.offer.acfc = true
	default:
		return nil, false
	}
	return nil, true
}

// judgeMagic refuses zero, and our own number, which shows that we may hear
// ourselves (RFC 1661 §6.4).
func (l *lcp) judgeMagic(o option) (nak *option, known bool) {
	magic, ok := o.uint32()
	if ok && magic != 0 && magic != l.ours.magic {
		l.offer.magic, l.loops = magic, 0
		return nil, true
	}
	if ok && magic != 0 {
		l.loops++
		if l.loops >= loopsForLoopback {
			l.engine.loopback()
		}
	}
	return new(option32(lcpMagic, newMagic())), true
}

// judgeAuth agrees to what we can do. Else each protocol that we can is
// suggested once, and then the option is rejected, for every round is paid.
func (l *lcp) judgeAuth(o option) (nak *option, known bool) {
	can := l.engine.cfg.Auth
	asked := authProtocol(o.data)
	for _, c := range can {
		if asked == c {
			l.offer.auth = c
			return nil, true
		}
	}
	l.refusal = authName(o.data)
	if l.suggested >= len(can) {
		return nil, false
	}
	l.suggested++
	return &option{lcpAuth, authValue(can[l.suggested-1])}, true
}

func (l *lcp) agreed() { l.peer, l.acked = l.offer, true }

func (l *lcp) naked(opts []option) {
	for _, o := range opts {
		switch o.kind {
		case lcpMRU:
			if len(o.data) == 2 {
				mru := int(binary.BigEndian.Uint16(o.data))
				l.ours.mru = min(max(mru, minMRU), max(l.engine.cfg.MRU, defaultMRU))
			}
		case lcpACCM:
			if accm, ok := o.uint32(); ok {
				l.ours.accm |= accm // what it can't leave raw, it will escape
			}
		case lcpMagic:
			l.ours.magic = newMagic()
		case lcpAuth:
			l.authNaked(authProtocol(o.data))
		case lcpPFC:
			l.ours.pfc = false
		case lcpACFC:
			l.ours.acfc = false
		}
	}
}

// authNaked falls back to what the peer suggests, if it is on our list, else to
// the next on the list.
func (l *lcp) authNaked(suggested AuthProtocol) {
	var left []AuthProtocol
	for _, c := range l.candidates {
		if c != l.ours.auth {
			left = append(left, c)
		}
	}
	l.candidates = left
	for _, c := range left {
		if c == suggested {
			l.ours.auth = c
			return
		}
	}
	if len(left) == 0 {
		l.engine.noCommonAuth()
		return
	}
	l.ours.auth = left[0]
}

func (l *lcp) rejected(opts []option) {
	for _, o := range opts {
		switch o.kind {
		case lcpMRU:
			l.ours.mru = defaultMRU
		case lcpACCM:
			l.skipACCM, l.ours.accm = true, 0xffffffff
		case lcpMagic:
			l.ours.magic = 0
		case lcpAuth:
			l.engine.noCommonAuth()
		case lcpPFC:
			l.ours.pfc = false
		case lcpACFC:
			l.ours.acfc = false
		}
	}
}

func (l *lcp) up()       { l.engine.linkUp() }
func (l *lcp) down()     { l.engine.linkDown() }
func (l *lcp) finished() { l.engine.linkFinished() }
