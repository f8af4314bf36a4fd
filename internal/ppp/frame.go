package ppp

// The octets with a meaning in RFC 1662 §4.
const (
	flag      = 0x7e
	escape    = 0x7d
	escapeBit = 0x20
	allStn    = 0xff // address: all stations
	unnumInfo = 0x03 // control: unnumbered information
)

const (
	fcsInit = 0xffff
	fcsGood = 0xf0b8 // the FCS over a frame and its own FCS (RFC 1662 §C.2)
	fcsLen  = 2
)

// fcs16 adds one octet to a frame check sequence, x^16 + x^12 + x^5 + 1 with
// the low bit first. It is RFC 1662 §C.2's table worked out per octet.
func fcs16(fcs uint16, b byte) uint16 {
	x := byte(fcs) ^ b
	x ^= x << 4
	return fcs>>8 ^ uint16(x)<<8 ^ uint16(x)<<3 ^ uint16(x>>4)
}

// framing is what one direction of a line uses at a time.
type framing struct {
	accm uint32 // control characters to escape
	pfc  bool   // protocol field compression
	acfc bool   // address and control field compression
}

// plainFraming is in force until LCP is open, and for LCP's own packets for
// ever: a peer that has lost its state must be able to read them
// (RFC 1662 §7.1, RFC 1661 §6.5, §6.6).
func plainFraming() framing { return framing{accm: 0xffffffff} }

// appendFrame appends a frame without its opening flag: the writer adds one
// only where the closing flag of the frame before can't serve (RFC 1662 §3).
func appendFrame(dst []byte, f framing, protocol uint16, info []byte) []byte {
	fcs := uint16(fcsInit)
	put := func(b byte) {
		fcs = fcs16(fcs, b)
		dst = f.appendOctet(dst, b)
	}
	if !f.acfc {
		put(allStn)
		put(unnumInfo)
	}
	if !f.pfc || protocol > 0xff {
		put(byte(protocol >> 8))
	}
	put(byte(protocol))
	for _, b := range info {
		put(b)
	}
	fcs ^= 0xffff
	dst = f.appendOctet(dst, byte(fcs)) // low octet first (RFC 1662 §3.1)
	dst = f.appendOctet(dst, byte(fcs>>8))
	return append(dst, flag)
}

func (f framing) appendOctet(dst []byte, b byte) []byte {
	if b == flag || b == escape || b < 0x20 && f.accm>>b&1 == 1 {
		return append(dst, escape, b^escapeBit)
	}
	return append(dst, b)
}

// parseFrame takes a frame apart whose FCS was good and is cut off. Compressed
// fields are understood whether agreed on or not. A protocol that breaks the
// rule of RFC 1661 §2 (even low octet) comes out as it is and is then unknown.
func parseFrame(b []byte) (protocol uint16, info []byte, ok bool) {
	if len(b) >= 2 && b[0] == allStn && b[1] == unnumInfo {
		b = b[2:]
	}
	if len(b) == 0 {
		return 0, nil, false
	}
	if b[0]&1 == 1 { // compressed: an odd first octet is the last one
		return uint16(b[0]), b[1:], true
	}
	if len(b) < 2 {
		return 0, nil, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), b[2:], true
}
