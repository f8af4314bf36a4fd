package link

import "encoding/binary"

// A packet on its way between the stack and the line is changed in place, with
// its checksums carried along (RFC 1624), never computed anew: a packet that
// was damaged stays damaged. Whatever isn't a well-formed, whole TCP segment in
// IPv4 is left as it is.

// TCP's options and flags that are of interest here (RFC 9293 §3.1, RFC 7323).
const (
	optEnd, optNop, optMSS, optWindowScale, optTimestamps = 0, 1, 2, 3, 8

	flagFIN = 0x01
	flagSYN = 0x02
	flagACK = 0x10

	protocolTCP = 6

	dontFragment = 0x4000 // in IP's flags (RFC 791 §3.1)
)

// segment is a view of a TCP segment in an IPv4 packet.
type segment struct {
	packet []byte // no longer than its total length says
	ip     int    // octets of the IP header
	header int    // octets of the TCP header
}

// parseSegment says whether p is a whole TCP segment with a sound header.
func parseSegment(p []byte) (segment, bool) {
	if len(p) < tcpHeader || p[0]>>4 != 4 || p[9] != protocolTCP {
		return segment{}, false
	}
	ip, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	// A fragment has no header, or not all of what it announces.
	if fragment := binary.BigEndian.Uint16(p[6:]) & 0x3fff; fragment != 0 || ip < 20 || total > len(p) || total < ip+20 {
		return segment{}, false
	}
	header := int(p[ip+12]>>4) * 4
	if header < 20 || ip+header > total {
		return segment{}, false
	}
	return segment{packet: p[:total], ip: ip, header: header}, true
}

func (s segment) tcp() []byte     { return s.packet[s.ip:] }
func (s segment) payload() []byte { return s.packet[s.ip+s.header:] }
func (s segment) flags() byte     { return s.tcp()[13] }
func (s segment) isSYN() bool     { return s.flags()&flagSYN != 0 }
func (s segment) isOpening() bool { return s.flags()&(flagSYN|flagACK) == flagSYN }

// clampWindow lowers the window that the segment offers to limit. The caller
// sees to it that windows aren't scaled.
func (s segment) clampWindow(limit int) {
	field := s.tcp()[14:16]
	if int(binary.BigEndian.Uint16(field)) <= limit {
		return
	}
	s.rewrite16(field, s.tcp()[16:18], uint16(limit)) //nolint:gosec // below the old one
}

// plainSYN takes window scaling and timestamps off a SYN, so that neither end
// uses them (RFC 7323 §2.5, §3.2): windows can then be read in every segment, each
// is 12 octets shorter, and its headers compress. It returns the packet, which gets
// shorter.
func (s segment) plainSYN() []byte {
	options := s.tcp()[20:s.header]
	kept := plainOptions(options)
	if len(kept) == len(options) {
		return s.packet
	}
	sum := s.tcp()[16:18]
	cut := len(options) - len(kept)

	carry(sum, options, kept)
	offset := s.tcp()[12:14]
	oldOffset := [2]byte(offset)
	offset[0] = byte((20+len(kept))/4)<<4 | offset[0]&15
	carry(sum, oldOffset[:], offset)

	// The length is in the IP header, and in TCP's pseudo-header too.
	total := s.packet[2:4]
	oldTotal := [2]byte(total)
	binary.BigEndian.PutUint16(total, uint16(len(s.packet)-cut)) //nolint:gosec // below the old one
	carry(sum, oldTotal[:], total)
	carry(s.packet[10:12], oldTotal[:], total)

	payload := s.payload()
	copy(options, kept)
	copy(s.tcp()[20+len(kept):], payload)
	return s.packet[:len(s.packet)-cut]
}

// announce lowers the segment size that a SYN asks for.
func (s segment) announce(mss int) {
	for rest := s.tcp()[20:s.header]; len(rest) >= 4 && rest[0] != optEnd; {
		switch {
		case rest[0] == optNop:
			rest = rest[1:]
			continue
		case rest[0] == optMSS && rest[1] == 4 && (cap(s.packet)-cap(rest))%2 == 0 && int(binary.BigEndian.Uint16(rest[2:])) > mss:
			s.rewrite16(rest[2:4], s.tcp()[16:18], uint16(mss)) //nolint:gosec // below the old one
		case rest[1] < 2 || int(rest[1]) > len(rest):
			return
		}
		rest = rest[rest[1]:]
	}
}

// plainOptions gives the options without those we don't want, filled up to
// whole words. Options that can't be read are all kept.
func plainOptions(options []byte) []byte {
	var kept []byte
	for rest := options; len(rest) > 0 && rest[0] != optEnd; {
		if rest[0] == optNop { // padding: done again below
			rest = rest[1:]
			continue
		}
		if len(rest) < 2 || int(rest[1]) < 2 || int(rest[1]) > len(rest) {
			return options
		}
		option := rest[:rest[1]]
		rest = rest[rest[1]:]
		switch option[0] {
		case optTimestamps, optWindowScale:
		default:
			kept = append(kept, option...)
		}
	}
	for len(kept)%4 != 0 {
		kept = append(kept, optNop)
	}
	return kept
}

// carry updates a checksum for a change of what it covers (RFC 1624 §3, equation
// 3). Both begin at an even octet, and have an even number of them.
func carry(sum, from, to []byte) {
	n := uint32(^binary.BigEndian.Uint16(sum))
	for ; len(from) > 0; from = from[2:] {
		n += uint32(^binary.BigEndian.Uint16(from))
	}
	for ; len(to) > 0; to = to[2:] {
		n += uint32(binary.BigEndian.Uint16(to))
	}
	binary.BigEndian.PutUint16(sum, ^fold(n))
}

// isBare says that a segment is for the far end's TCP alone. One that ends the
// stream isn't: it must not pass the octets before it.
func (s segment) isBare() bool { return len(s.payload()) == 0 && s.flags()&flagFIN == 0 }

// isPlainAck says that a segment only acknowledges, and in plain words: without
// options, as selective acknowledgements are.
func (s segment) isPlainAck() bool { return s.isBare() && s.flags() == flagACK && s.header == 20 }

func (s segment) seq() uint32    { return binary.BigEndian.Uint32(s.tcp()[4:]) }
func (s segment) ack() uint32    { return binary.BigEndian.Uint32(s.tcp()[8:]) }
func (s segment) window() uint16 { return binary.BigEndian.Uint16(s.tcp()[14:]) }

// end is the sequence number behind the payload.
func (s segment) end() uint32 { return s.seq() + uint32(len(s.payload())) } //nolint:gosec // a packet's length

// said is what a connection's TCP says in every segment.
type said struct {
	ack    uint32
	window uint16
	id     uint16 // IP identification
	known  bool   // ack and window are
}

// renew brings a segment up to date as it leaves, and offers no more than a limit.
func (s segment) renew(now said, limit int) {
	t := s.tcp()
	if now.known && s.flags()&flagACK != 0 {
		s.rewrite32(t[8:12], now.ack)
		s.rewrite16(t[14:16], t[16:18], now.window)
	}
	s.clampWindow(limit)
	// Nothing in between needs to take it apart: segments are made to the line.
	ip := s.packet
	s.rewrite16(ip[4:6], ip[10:12], now.id)
	s.rewrite16(ip[6:8], ip[10:12], binary.BigEndian.Uint16(ip[6:])|dontFragment)
}

// extend gives a segment with n octets of the one that follows it, and all of that
// one's flags if these are all of it.
func (s segment) extend(next segment, n int) segment {
	p := append(append(make([]byte, 0, len(s.packet)+n), s.packet...), next.payload()[:n]...)
	longer := segment{packet: p, ip: s.ip, header: s.header}
	if n == len(next.payload()) {
		longer.tcp()[13] |= next.flags()
	}
	longer.remake()
	return longer
}

// behead gives a segment without the first n octets of its payload; the zero value
// if that is all.
func (s segment) behead(n int) segment {
	if n == len(s.payload()) {
		return segment{}
	}
	start := s.ip + s.header
	p := append(append(make([]byte, 0, len(s.packet)-n), s.packet[:start]...), s.packet[start+n:]...)
	shorter := segment{packet: p, ip: s.ip, header: s.header}
	binary.BigEndian.PutUint32(shorter.tcp()[4:], s.seq()+uint32(n)) //nolint:gosec // a packet's length
	shorter.remake()
	return shorter
}

// withoutOptions gives a bare acknowledgement without its options: with a newer number
// in it, the selective acknowledgements it has would say that what they name came
// twice (RFC 2883 §4). Other segments stay as they are.
func (s segment) withoutOptions() segment {
	if s.header == 20 || s.isSYN() {
		return s
	}
	p := append([]byte(nil), s.packet[:s.ip+20]...)
	plain := segment{packet: p, ip: s.ip, header: 20}
	plain.tcp()[12] = 5<<4 | plain.tcp()[12]&15
	plain.remake()
	return plain
}

// remake sets length and checksums of a segment whose payload isn't what it was.
func (s segment) remake() {
	p, t := s.packet, s.tcp()
	binary.BigEndian.PutUint16(p[2:], uint16(len(p))) //nolint:gosec // at most an MTU
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:s.ip])))
	t[16], t[17] = 0, 0
	pseudo := sum(p[12:20]) + protocolTCP + uint32(len(t)) //nolint:gosec // as above
	binary.BigEndian.PutUint16(t[16:], ^fold(pseudo+sum(t)))
}

// sum adds 16-bit words, as IP's and TCP's checksums do (RFC 1071).
func sum(b []byte) (n uint32) {
	for ; len(b) > 1; b = b[2:] {
		n += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		n += uint32(b[0]) << 8
	}
	return n
}

func fold(n uint32) uint16 {
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	return uint16(n) //nolint:gosec // folded
}

// rewrite16 changes a field, and carries the checksum that covers it.
func (s segment) rewrite16(field, sum []byte, v uint16) {
	old := [2]byte(field)
	binary.BigEndian.PutUint16(field, v)
	carry(sum, old[:], field)
}

// rewrite32 changes a field of TCP's.
func (s segment) rewrite32(field []byte, v uint32) {
	old := [4]byte(field)
	binary.BigEndian.PutUint32(field, v)
	carry(s.tcp()[16:18], old[:], field)
}

// repeats says that two acknowledgements say the same.
func (s segment) repeats(o segment) bool { return s.ack() == o.ack() && s.window() == o.window() }
