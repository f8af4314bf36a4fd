package link

import "encoding/binary"

// A packet on its way between the stack and the line is changed in place, with
// its checksums carried along (RFC 1624), never computed anew: a packet that
// was damaged stays damaged. Whatever isn't a well-formed, whole TCP segment in
// IPv4 is left as it is.

// TCP's options and flags that are of interest here (RFC 9293 §3.1, RFC 7323).
const (
	optEnd, optNop, optWindowScale, optTimestamps = 0, 1, 3, 8

	flagSYN = 0x02
	flagACK = 0x10

	protocolTCP = 6
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
	old := [2]byte(field)
	binary.BigEndian.PutUint16(field, uint16(limit)) //nolint:gosec // below the old one
	carry(s.tcp()[16:18], old[:], field)
}

// plainSYN takes window scaling and timestamps off a SYN, so that neither end
// uses them (RFC 7323 §2.5, §3.2): windows can then be read in every segment, and
// each is 12 octets shorter. It returns the packet, which gets shorter.
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
		if option[0] != optTimestamps && option[0] != optWindowScale {
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
	for n > 0xffff {
		n = n>>16 + n&0xffff
	}
	binary.BigEndian.PutUint16(sum, ^uint16(n)) //nolint:gosec // folded above
}
