package link

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// build makes a packet with gVisor's own hands, so that the checksums it is
// tested by aren't ours.
func build(flags header.TCPFlags, window uint16, options, payload []byte) []byte {
	total := header.IPv4MinimumSize + header.TCPMinimumSize + len(options) + len(payload)
	p := make([]byte, total)
	ip := header.IPv4(p)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(total), TTL: 64, Protocol: protocolTCP, ID: 0x1234,
		SrcAddr: header.IPv4(p).SourceAddress(), DstAddr: header.IPv4(p).DestinationAddress(),
	})
	copy(p[12:], []byte{10, 1, 0, 2, 192, 0, 2, 110})
	ip.SetChecksum(0)
	ip.SetChecksum(^ip.CalculateChecksum())
	tcp := header.TCP(p[20:])
	tcp.Encode(&header.TCPFields{
		SrcPort: 40000, DstPort: 25, SeqNum: 0xfffffff0, AckNum: 77,
		DataOffset: uint8(header.TCPMinimumSize + len(options)), Flags: flags, WindowSize: window,
	})
	copy(tcp[20:], options)
	copy(tcp[20+len(options):], payload)
	sum := header.PseudoHeaderChecksum(protocolTCP, ip.SourceAddress(), ip.DestinationAddress(), uint16(total-20))
	for i := 0; i+1 < len(tcp); i += 2 {
		sum = add(sum, binary.BigEndian.Uint16(tcp[i:]))
	}
	if len(tcp)%2 == 1 {
		sum = add(sum, uint16(tcp[len(tcp)-1])<<8)
	}
	tcp.SetChecksum(^sum)
	return p
}

func add(a, b uint16) uint16 {
	n := uint32(a) + uint32(b)
	return uint16(n) + uint16(n>>16)
}

// sound says whether both checksums and all lengths are right.
func sound(p []byte) bool {
	ip := header.IPv4(p)
	if !ip.IsValid(len(p)) || int(ip.TotalLength()) != len(p) || !ip.IsChecksumValid() {
		return false
	}
	tcp := header.TCP(ip.Payload())
	sum := uint16(0)
	for i, b := range tcp.Payload() {
		sum = add(sum, uint16(b)<<(8*(1-i%2)))
	}
	return tcp.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), sum, uint16(len(tcp.Payload())))
}

var (
	mssOption  = []byte{2, 4, 0x05, 0xb4}
	linuxSYN   = []byte{2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}
	windowsSYN = []byte{2, 4, 0x05, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2}
)

func TestPlainSYN(t *testing.T) {
	for _, c := range []struct {
		name          string
		options, want []byte
	}{
		{"Linux", linuxSYN, []byte{2, 4, 0x05, 0xb4, 4, 2, 1, 1}},
		{"Windows", windowsSYN, []byte{2, 4, 0x05, 0xb4, 4, 2, 1, 1}},
		{"timestamps alone", []byte{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8}, nil},
		{"end of options", []byte{3, 3, 7, 0}, nil},
		{"nothing to take", mssOption, mssOption},
		{"none", nil, nil},
		{"unknown kept", []byte{30, 4, 1, 2, 3, 3, 7, 1}, []byte{30, 4, 1, 2}},
		{"length of zero", []byte{8, 0, 1, 1}, []byte{8, 0, 1, 1}},
		{"length of one", []byte{99, 1, 1, 1}, []byte{99, 1, 1, 1}},
		{"beyond the end", []byte{1, 1, 8, 10}, []byte{1, 1, 8, 10}},
		{"kind without length", []byte{1, 1, 1, 8}, []byte{1, 1, 1, 8}},
	} {
		for _, payload := range []string{"", "odd", "even"} {
			p := build(header.TCPFlagSyn, 0xffff, c.options, []byte(payload))
			s, ok := parseSegment(p)
			if !ok || !sound(p) {
				t.Fatalf("%s: the test's own packet is wrong", c.name)
			}
			p = s.plainSYN()
			s, ok = parseSegment(p)
			if !ok || !sound(p) {
				t.Fatalf("%s: % x", c.name, p)
			}
			if got := s.tcp()[20:s.header]; !bytes.Equal(got, c.want) || string(s.payload()) != payload {
				t.Errorf("%s: options % x, payload %q", c.name, got, s.payload())
			}
		}
	}
}

func TestClampWindow(t *testing.T) {
	for _, window := range []uint16{0, 1, 1999, 2000, 2001, 0x8000, 0xffff} {
		p := build(header.TCPFlagAck, window, nil, []byte("payload"))
		s, _ := parseSegment(p)
		s.clampWindow(2000)
		if got := header.TCP(p[20:]).WindowSize(); got != min(window, 2000) || !sound(p) {
			t.Errorf("window %d: %d, sound: %v", window, got, sound(p))
		}
	}
}

// TestDamaged: a packet that the line has damaged must not get a good checksum.
func TestDamaged(t *testing.T) {
	p := build(header.TCPFlagSyn, 0xffff, linuxSYN, []byte("payload"))
	p[len(p)-1] ^= 4
	s, _ := parseSegment(p)
	s.clampWindow(2000)
	if p = s.plainSYN(); sound(p) {
		t.Error("mended")
	}
}

func TestNotSegments(t *testing.T) {
	good := build(header.TCPFlagAck, 1, nil, nil)
	for name, change := range map[string]func([]byte) []byte{
		"empty":                   func([]byte) []byte { return nil },
		"short":                   func(p []byte) []byte { return p[:39] },
		"IPv6":                    func(p []byte) []byte { p[0] = 0x65; return p },
		"UDP":                     func(p []byte) []byte { p[9] = 17; return p },
		"first fragment":          func(p []byte) []byte { p[6] |= 0x20; return p },
		"later fragment":          func(p []byte) []byte { p[7] = 1; return p },
		"short IP header":         func(p []byte) []byte { p[0] = 0x44; return p },
		"long IP header":          func(p []byte) []byte { p[0] = 0x4f; return p },
		"longer than it is":       func(p []byte) []byte { p[3]++; return p },
		"shorter than headers":    func(p []byte) []byte { p[3] = 30; return p },
		"short TCP header":        func(p []byte) []byte { p[32] = 0x40; return p },
		"TCP header past its end": func(p []byte) []byte { p[32] = 0x60; return p },
	} {
		if _, ok := parseSegment(change(bytes.Clone(good))); ok {
			t.Errorf("%s: taken for a segment", name)
		}
	}
	padded := append(bytes.Clone(good), 0, 0) // as on Ethernet
	if s, ok := parseSegment(padded); !ok || len(s.packet) != 40 {
		t.Error("padding")
	}
}

// FuzzRewrite: no panic, and what was sound stays sound and says the same.
func FuzzRewrite(f *testing.F) {
	f.Add(build(header.TCPFlagSyn, 0xffff, linuxSYN, nil), uint16(2144))
	f.Add(build(header.TCPFlagSyn|header.TCPFlagAck, 0xffff, windowsSYN, []byte("x")), uint16(1))
	f.Add(build(header.TCPFlagAck, 100, nil, []byte("payload")), uint16(99))
	f.Add(build(header.TCPFlagSyn, 0xffff, []byte{8, 0, 1, 1}, nil), uint16(0))
	f.Fuzz(func(t *testing.T, p []byte, limit uint16) {
		before := bytes.Clone(p)
		s, ok := parseSegment(p)
		if !ok {
			return
		}
		was := sound(s.packet)
		payload := bytes.Clone(s.payload())
		s.clampWindow(int(limit))
		out := s.packet
		if s.isSYN() {
			out = s.plainSYN()
		}
		after, ok := parseSegment(out)
		if !ok || len(out) > len(before) || !bytes.Equal(after.payload(), payload) {
			t.Fatalf("% x became % x", before, out)
		}
		if was && !sound(out) {
			t.Fatalf("unsound: % x became % x", before, out)
		}
	})
}
