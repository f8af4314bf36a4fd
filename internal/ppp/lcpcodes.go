package ppp

import (
	"encoding/binary"
	"log/slog"
	"time"
)

// extra handles LCP's codes beyond the automaton's own.
func (l *lcp) extra(p packet) bool {
	switch p.code {
	case codeProtocolReject:
		l.protocolReject(p)
	case codeEchoRequest:
		l.echoRequest(p)
	case codeEchoReply:
		l.engine.probed(p.id)
	case codeDiscardRequest:
		l.checkMagic(p)
	case codeIdentification:
		// RFC 1570 §2.1: for people only. The magic number comes first.
		if len(p.data) > 4 {
			l.engine.cfg.Log.Debug("peer identifies itself", slog.String("words", words(p.data[4:])))
		}
	case codeTimeRemaining:
		// RFC 1570 §2.2: nothing to do; the peer will terminate in its time.
	default:
		return false
	}
	return true
}

// protocolReject: the peer doesn't speak a protocol of ours (RFC 1661 §5.7).
func (l *lcp) protocolReject(p packet) {
	if l.state != opened || len(p.data) < 2 {
		return
	}
	switch protocol := binary.BigEndian.Uint16(p.data); protocol {
	case protoLCP:
		l.engine.refused(l.automaton, "it does not speak LCP")
		l.deliver(evFatalReject)
	case protoIPCP:
		if !l.engine.auth.done() { // it came too soon
			l.engine.lateNetwork = true
			l.engine.ipcp.deliver(evDown)
			return
		}
		l.engine.refused(l.engine.ipcp.automaton, "it does not carry IP")
	case protoIP:
		l.engine.refused(l.engine.ipcp.automaton, "it does not carry IP")
	case protoPAP, protoCHAP:
		l.engine.noCommonAuth()
	default:
		l.deliver(evMildReject)
	}
}

// rejectProtocol tells the peer that we don't speak one of its protocols.
// RFC 1661 §5.7 gives back the whole packet up to the peer's MRU. Only the
// protocol number is ever looked at, so a slow line is spared the rest.
func (l *lcp) rejectProtocol(protocol uint16, info []byte) {
	if l.state != opened {
		return
	}
	data := binary.BigEndian.AppendUint16(nil, protocol)
	data = append(data, info[:min(len(info), maxRejectedEchoed)]...)
	l.id++
	l.send(packet{codeProtocolReject, l.id, data})
}

// echoRequest answers with our own magic number and the peer's data
// (RFC 1661 §5.8).
func (l *lcp) echoRequest(p packet) {
	if len(p.data) < 4 || !l.checkMagic(p) {
		return
	}
	data := binary.BigEndian.AppendUint32(nil, l.ours.magic)
	data = append(data, p.data[4:]...)
	l.reply = packet{codeEchoReply, p.id, data[:min(len(data), l.peer.mru-packetHeader)]}
	l.deliver(evEcho)
}

// checkMagic ends the link if a packet carries our own number on an open link:
// the line has been looped back since (RFC 1661 §6.4). An Echo-Reply may carry
// it by mistake of its sender, and isn't looked at.
func (l *lcp) checkMagic(p packet) bool {
	if l.state != opened || l.ours.magic == 0 || len(p.data) < 4 {
		return true
	}
	if binary.BigEndian.Uint32(p.data) != l.ours.magic {
		return true
	}
	l.engine.loopback()
	return false
}

// ringEcho asks a peer for a sign of life that has been silent for the interval.
func (e *engine) ringEcho() {
	interval := e.cfg.EchoInterval
	if silence := time.Since(e.lastHeard); silence < interval {
		e.echo.at = e.lastHeard.Add(interval)
		return
	}
	if e.echoes >= e.cfg.EchoFailures {
		e.end(e.newError(PeerSilent))
		return
	}
	e.echoes++
	e.sendEcho()
	e.echo.at = time.Now().Add(interval + e.out.backlog())
}

func (e *engine) sendEcho() {
	e.lcp.id++
	e.lcp.send(packet{codeEchoRequest, e.lcp.id, binary.BigEndian.AppendUint32(nil, e.lcp.ours.magic)})
}

// maxProbes bounds those without an answer.
const maxProbes = 16

// probe sends an echo for Link.Probe.
func (e *engine) probe(answered func()) {
	if e.lcp.state != opened || e.noEcho || len(e.probes) >= maxProbes {
		answered()
		return
	}
	e.sendEcho()
	if e.probes == nil {
		e.probes = make(map[byte]func())
	}
	e.probes[e.lcp.id] = answered
}

// probed is told of each Echo-Reply. Those asked before it was are answered too:
// the line keeps the order, so theirs are lost.
func (e *engine) probed(id byte) {
	for asked, answered := range e.probes {
		if id-asked < 1<<7 {
			delete(e.probes, asked)
			answered()
		}
	}
}

// unprobed answers all of them: nothing is to be expected from the peer.
func (e *engine) unprobed() {
	for asked, answered := range e.probes {
		delete(e.probes, asked)
		answered()
	}
}
