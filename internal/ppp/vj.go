package ppp

import (
	"encoding/binary"
	"slices"
)

// Van Jacobson's header compression (RFC 1144): of the 40 octets before a
// segment's data, only those that have changed since the connection's last
// segment cross the line, 3 on most. Each direction has a table of connections
// (slots), kept the same at both ends by what is sent; a lost frame breaks that
// until the sender's TCP sends again, which it does uncompressed.

// The change mask (RFC 1144 §3.2.2).
const (
	vjNewC  = 0x40 // the slot's number follows
	vjNewI  = 0x20 // IP identification: other than one more
	vjPush  = 0x10 // TCP's PSH flag
	vjNewS  = 0x08 // sequence number
	vjNewA  = 0x04 // acknowledgement number
	vjNewW  = 0x02 // window
	vjNewU  = 0x01 // urgent pointer, and URG
	vjSWU   = vjNewS | vjNewW | vjNewU
	vjSAWU  = vjNewS | vjNewA | vjNewW | vjNewU
	vjBoth  = vjSWU  // stands for: S and A went on by the last segment's data
	vjData  = vjSAWU // stands for: S went on by the last segment's data
	vjMask  = vjSAWU
	tcpFIN  = 0x01
	tcpSYN  = 0x02
	tcpRST  = 0x04
	tcpPSH  = 0x08
	tcpACK  = 0x10
	tcpURG  = 0x20
	protTCP = 6
)

const (
	// vjSlots is RFC 1144's number of connections, numbered from 0.
	vjSlots = 16
	// vjLeastSlots is the fewest that make sense; pppd refuses fewer than 2 too.
	vjLeastSlots = 2
	// vjMaxHeader is the longest header of IP and TCP together.
	vjMaxHeader = 120
	// vjLongest is a compressed header with every field in its long form.
	vjLongest = 19
)

// headers is a view of a packet that begins with whole IPv4 and TCP headers.
type headers struct {
	p       []byte
	ip, end int // octets of the IP header; where TCP's ends
}

// parseHeaders refuses what isn't an unfragmented TCP segment with sound
// headers. The data may be missing, as it is in a slot.
func parseHeaders(p []byte) (headers, bool) {
	if len(p) < 40 || p[0]>>4 != 4 || p[9] != protTCP || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return headers{}, false
	}
	ip := int(p[0]&15) * 4
	if ip < 20 || len(p) < ip+20 {
		return headers{}, false
	}
	tcp := int(p[ip+12]>>4) * 4
	if tcp < 20 || len(p) < ip+tcp {
		return headers{}, false
	}
	return headers{p, ip, ip + tcp}, true
}

func (h headers) flags() byte        { return h.p[h.ip+13] }
func (h headers) length() int        { return int(binary.BigEndian.Uint16(h.p[2:])) }
func (h headers) dataLen() uint32    { return uint32(h.length() - h.end) } //nolint:gosec // checked by who asks
func (h headers) id() uint16         { return binary.BigEndian.Uint16(h.p[4:]) }
func (h headers) seq() uint32        { return binary.BigEndian.Uint32(h.p[h.ip+4:]) }
func (h headers) ack() uint32        { return binary.BigEndian.Uint32(h.p[h.ip+8:]) }
func (h headers) window() uint16     { return binary.BigEndian.Uint16(h.p[h.ip+14:]) }
func (h headers) urgent() uint16     { return binary.BigEndian.Uint16(h.p[h.ip+18:]) }
func (h headers) checksum() []byte   { return h.p[h.ip+16 : h.ip+18] }
func (h headers) setSeq(v uint32)    { binary.BigEndian.PutUint32(h.p[h.ip+4:], v) }
func (h headers) setAck(v uint32)    { binary.BigEndian.PutUint32(h.p[h.ip+8:], v) }
func (h headers) setWindow(v uint16) { binary.BigEndian.PutUint16(h.p[h.ip+14:], v) }
func (h headers) setUrgent(v uint16) { binary.BigEndian.PutUint16(h.p[h.ip+18:], v) }
func (h headers) setID(v uint16)     { binary.BigEndian.PutUint16(h.p[4:], v) }
func (h headers) setFlag(f byte, on bool) {
	h.p[h.ip+13] &^= f
	if on {
		h.p[h.ip+13] |= f
	}
}

// sameConnection compares addresses and ports.
func (h headers) sameConnection(o headers) bool {
	return h.ip == o.ip && [8]byte(h.p[12:]) == [8]byte(o.p[12:]) && [4]byte(h.p[h.ip:]) == [4]byte(o.p[o.ip:])
}

// sameFrame compares what a compressed header can't express: version, lengths of
// headers, type of service, fragment bits, time to live, all options, and the flags
// that RFC 1144 doesn't know (RFC 3168's).
func (h headers) sameFrame(o headers) bool {
	return h.end == o.end && [2]byte(h.p) == [2]byte(o.p) && [3]byte(h.p[6:]) == [3]byte(o.p[6:]) &&
		h.p[h.ip+12] == o.p[o.ip+12] && h.flags()|tcpPSH|tcpURG == o.flags()|tcpPSH|tcpURG &&
		string(h.p[20:h.ip]) == string(o.p[20:o.ip]) && string(h.p[h.ip+20:h.end]) == string(o.p[o.ip+20:o.end])
}

// vjSender compresses what we send. The zero value isn't usable; see newVJSender.
// It belongs to the writer.
type vjSender struct {
	slots []vjSlot // the most recently used first
	last  byte     // the slot of the last segment
	any   bool     // there is such a segment
	slim  bool     // the slot's number may be left out if it is the last one's
}

type vjSlot struct {
	number byte
	used   bool
	buf    [vjMaxHeader]byte
	h      headers
}

// newVJSender uses so many slots; slim if the peer does without their numbers.
func newVJSender(slots int, slim bool) *vjSender {
	v := &vjSender{slots: make([]vjSlot, slots), slim: slim}
	for i := range v.slots {
		v.slots[i].number = byte(i)
	}
	return v
}

// compress gives the protocol and the content that a packet crosses the line as.
// It overwrites p.
func (v *vjSender) compress(p []byte) (protocol uint16, content []byte) {
	h, ok := parseHeaders(p)
	if !ok || h.length() != len(p) || h.flags()&(tcpSYN|tcpFIN|tcpRST|tcpACK) != tcpACK {
		return protoIP, p
	}
	known := v.find(h)
	slot := &v.slots[0]
	old := slot.h
	encoded, fits := []byte(nil), false
	if known && h.sameFrame(old) {
		encoded, fits = v.encode(h, old)
	}
	number := slot.number
	slot.keep(h)
	fresh := !v.any || number != v.last
	v.last, v.any = number, true
	if !fits {
		h.p[9] = number // in place of the protocol, which is known to be TCP
		return protoVJFull, p
	}
	header := make([]byte, 0, vjLongest)
	header = append(header, encoded[0])
	if fresh || !v.slim {
		header[0] |= vjNewC
		header = append(header, number)
	}
	header = append(header, h.checksum()...)
	header = append(header, encoded[1:]...)
	content = p[h.end-len(header):] // it is never longer than what it replaces
	copy(content, header)
	return protoVJ, content
}

// find moves the connection's slot to the front, or else the oldest.
func (v *vjSender) find(h headers) (known bool) {
	i := slices.IndexFunc(v.slots, func(s vjSlot) bool { return s.used && s.h.sameConnection(h) })
	if known = i >= 0; !known {
		i = len(v.slots) - 1
	}
	if i > 0 {
		slot := v.slots[i]
		copy(v.slots[1:i+1], v.slots[:i])
		v.slots[0] = slot
		for j := range v.slots[:i+1] { // the views move with their octets
			s := &v.slots[j]
			s.h.p = s.buf[:]
		}
	}
	return known
}

func (s *vjSlot) keep(h headers) {
	copy(s.buf[:], h.p[:h.end])
	s.used, s.h = true, headers{s.buf[:], h.ip, h.end}
}

// encode gives the mask and the changed fields in their order, or says that the
// segment must go whole (RFC 1144 §3.2.3).
func (v *vjSender) encode(h, old headers) (encoded []byte, fits bool) {
	mask := byte(0)
	encoded = append(make([]byte, 0, vjLongest), 0)
	if h.flags()&tcpURG != 0 {
		mask |= vjNewU
		encoded = appendDelta(encoded, h.urgent())
	} else if h.urgent() != old.urgent() {
		return nil, false // nothing may change it without the flag
	}
	if d := h.window() - old.window(); d != 0 {
		mask |= vjNewW
		encoded = appendDelta(encoded, d)
	}
	dA, dS := h.ack()-old.ack(), h.seq()-old.seq()
	if dA > 0xffff || dS > 0xffff {
		return nil, false // backwards, or too far
	}
	if dA != 0 {
		mask |= vjNewA
		encoded = appendDelta(encoded, uint16(dA))
	}
	if dS != 0 {
		mask |= vjNewS
		encoded = appendDelta(encoded, uint16(dS))
	}
	// Where a mask stands for something else, the receiver leaves URG as it was.
	short := old.flags()&tcpURG == 0
	switch mask {
	case 0:
		// Data after a bare acknowledgement is ordinary; anything else is sent
		// again, and the peer may have lost what we think it has.
		if h.length() == old.length() || old.dataLen() != 0 {
			return nil, false
		}
	case vjBoth, vjData:
		return nil, false // these masks mean something else
	case vjNewS | vjNewA:
		if short && dS == dA && dS == old.dataLen() {
			mask, encoded = vjBoth, encoded[:1]
		}
	case vjNewS:
		if short && dS == old.dataLen() {
			mask, encoded = vjData, encoded[:1]
		}
	}
	if d := h.id() - old.id(); d != 1 {
		mask |= vjNewI
		encoded = appendDelta(encoded, d)
	}
	if h.flags()&tcpPSH != 0 {
		mask |= vjPush
	}
	encoded[0] = mask
	return encoded, true
}

// appendDelta writes 1 to 255 in an octet, other values in three.
func appendDelta(b []byte, d uint16) []byte {
	if d == 0 || d > 255 {
		return append(b, 0, byte(d>>8), byte(d))
	}
	return append(b, byte(d))
}
