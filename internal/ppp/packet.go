package ppp

import (
	"encoding/binary"
	"net/netip"
)

// Protocol numbers (RFC 1661 §2 and the registry it names).
const (
	protoIP      = 0x0021
	protoVJ      = 0x002d // a TCP segment with its headers compressed (RFC 1332 §4)
	protoVJFull  = 0x002f // one that goes whole, and begins a slot
	protoDeflate = 0x00fd // a packet that is compressed (RFC 1962 §2)
	protoIPCP    = 0x8021
	protoCCP     = 0x80fd
	protoLCP     = 0xc021
	protoPAP     = 0xc023
	protoCHAP    = 0xc223
)

// Codes of the control protocols (RFC 1661 §5; 12 and 13: RFC 1570 §1).
const (
	codeRequest        = 1
	codeAck            = 2
	codeNak            = 3
	codeReject         = 4
	codeTerminate      = 5
	codeTerminateAck   = 6
	codeCodeReject     = 7
	codeProtocolReject = 8
	codeEchoRequest    = 9
	codeEchoReply      = 10
	codeDiscardRequest = 11
	codeIdentification = 12
	codeTimeRemaining  = 13
)

const (
	packetHeader      = 4  // code, identifier, length
	optionHeader      = 2  // type, length
	maxRejectedEchoed = 64 // octets of a rejected packet that are given back
)

// packet is one packet of LCP, IPCP, PAP or CHAP: all share this form.
type packet struct {
	code, id byte
	data     []byte
}

// parsePacket cuts padding off and refuses what is shorter than it says.
func parsePacket(b []byte) (packet, bool) {
	if len(b) < packetHeader {
		return packet{}, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < packetHeader || n > len(b) {
		return packet{}, false
	}
	return packet{b[0], b[1], b[packetHeader:n]}, true
}

func (p packet) bytes() []byte {
	b := make([]byte, 0, packetHeader+len(p.data))
	b = append(b, p.code, p.id)
	b = binary.BigEndian.AppendUint16(b, uint16(packetHeader+len(p.data))) //nolint:gosec // bounded by the MRU
	return append(b, p.data...)
}

// option is one configuration option (RFC 1661 §6).
type option struct {
	kind byte
	data []byte
}

// parseOptions refuses a list whose lengths don't add up: nothing in such a
// packet can be relied upon.
func parseOptions(b []byte) ([]option, bool) {
	var opts []option
	for len(b) > 0 {
		if len(b) < optionHeader || int(b[1]) < optionHeader || int(b[1]) > len(b) {
			return nil, false
		}
		opts = append(opts, option{b[0], b[optionHeader:b[1]]})
		b = b[b[1]:]
	}
	return opts, true
}

func appendOptions(dst []byte, opts []option) []byte { //nolint:unparam // in the form of every append
	for _, o := range opts {
		dst = append(dst, o.kind, byte(optionHeader+len(o.data)))
		dst = append(dst, o.data...)
	}
	return dst
}

func option16(kind byte, v uint16) option {
	return option{kind, binary.BigEndian.AppendUint16(nil, v)}
}

func option32(kind byte, v uint32) option {
	return option{kind, binary.BigEndian.AppendUint32(nil, v)}
}

// optionAddr writes an invalid address as 0.0.0.0, which asks for one
// (RFC 1332 §3.3).
func optionAddr(kind byte, a netip.Addr) option {
	if !a.Is4() {
		a = netip.IPv4Unspecified()
	}
	b := a.As4()
	return option{kind, b[:]}
}

func (o option) uint32() (uint32, bool) {
	if len(o.data) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(o.data), true
}

// addr gives an address that can be used: 0.0.0.0 is none, whoever says it.
func (o option) addr() netip.Addr {
	if len(o.data) != 4 {
		return netip.Addr{}
	}
	a := netip.AddrFrom4([4]byte(o.data))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
