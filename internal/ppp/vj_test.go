package ppp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// tcpFlow makes the packets of one direction of a TCP connection.
type tcpFlow struct {
	port             uint16
	id, window       uint16
	seq, ack         uint32
	options          []byte
	flags            byte
	urgent, checksum uint16
}

// packet is a whole IPv4 packet; its TCP checksum is made up, as VJ carries it.
func (f *tcpFlow) packet(data []byte) []byte {
	header := 20 + len(f.options)
	p := make([]byte, 20+header, 20+header+len(data))
	p = append(p, data...)
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], f.id)
	p[6], p[8], p[9] = 0x40, 64, protTCP
	copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(p[10:], ^onesSum(p[:20]))
	t := p[20:]
	binary.BigEndian.PutUint16(t, f.port)
	binary.BigEndian.PutUint16(t[2:], 25)
	binary.BigEndian.PutUint32(t[4:], f.seq)
	binary.BigEndian.PutUint32(t[8:], f.ack)
	t[12], t[13] = byte(header/4)<<4, f.flags|tcpACK
	binary.BigEndian.PutUint16(t[14:], f.window)
	f.checksum += 7919
	binary.BigEndian.PutUint16(t[16:], f.checksum)
	binary.BigEndian.PutUint16(t[18:], f.urgent)
	copy(t[20:], f.options)
	f.id++
	f.seq += uint32(len(data))
	return p
}

// cross sends a packet from one end to the other and gives what arrives, with
// the octets that crossed the line.
func cross(t *testing.T, s *vjSender, r *vjReceiver, p []byte) (got []byte, octets int) {
	t.Helper()
	protocol, content := s.compress(bytes.Clone(p))
	content = bytes.Clone(content)
	ok := true
	switch protocol {
	case protoVJ:
		got, ok = r.compressed(content)
	case protoVJFull:
		got, ok = r.full(content)
	default:
		got = content
	}
	if !ok {
		return nil, len(content)
	}
	return got, len(content)
}

// The octets of the header that each kind of segment needs (RFC 1144 §3.2.2).
func TestVJOctets(t *testing.T) {
	s, r := newVJSender(vjSlots, true), newVJReceiver(vjSlots)
	f := &tcpFlow{port: 1025, window: 4096, seq: 1000, ack: 7}
	other := &tcpFlow{port: 1026, window: 4096}
	data := bytes.Repeat([]byte{'x'}, 536)
	for i, step := range []struct {
		what   string
		packet []byte
		change func()
		header int
	}{
		{what: "the first goes whole", header: 40},
		{what: "data after an acknowledgement", header: 3},
		{what: "data after data", header: 3},
		{what: "a small acknowledgement besides", change: func() { f.ack += 100 }, header: 3 + 1 + 3},
		{what: "a large one", change: func() { f.ack += 536 }, header: 3}, // both went on by the last segment's data
		{what: "another window", change: func() { f.window -= 8; f.ack += 9 }, header: 3 + 3 + 1 + 3},
		{what: "PSH", change: func() { f.flags = tcpPSH }, header: 3},
		{what: "another identification", change: func() { f.flags = 0; f.id += 4 }, header: 4},
		{what: "other options", change: func() { f.options = []byte{1, 1, 1, 1} }, header: 44},
		{what: "a segment sent again", change: func() { f.seq -= 536 }, header: 44},
	} {
		if step.change != nil {
			step.change()
		}
		payload := data
		if i == 0 {
			payload = nil
		}
		p := f.packet(payload)
		got, octets := cross(t, s, r, p)
		if !bytes.Equal(got, p) {
			t.Errorf("%s: changed on the way", step.what)
		}
		if octets-len(payload) != step.header {
			t.Errorf("%s: %d octets of header, want %d", step.what, octets-len(payload), step.header)
		}
	}
	for i, want := range []int{40, 4} { // another connection names its slot, and so does the first after it
		p := other.packet(data)
		if got, octets := cross(t, s, r, p); !bytes.Equal(got, p) || octets-len(data) != want {
			t.Errorf("the other connection's segment %d: %d octets of header", i, octets-len(data))
		}
		p = f.packet(data)
		if got, octets := cross(t, s, r, p); !bytes.Equal(got, p) || octets-len(data) != 4 {
			t.Errorf("back to the first: %d octets of header", octets-len(data))
		}
	}
}

// What isn't an ordinary segment crosses untouched.
func TestVJLeavesAlone(t *testing.T) {
	for name, p := range map[string][]byte{
		"SYN":        (&tcpFlow{flags: tcpSYN}).packet(nil),
		"FIN":        (&tcpFlow{flags: tcpFIN}).packet(nil),
		"short":      {0x45, 0, 0},
		"no IPv4":    bytes.Repeat([]byte{0x60}, 60),
		"padded":     append((&tcpFlow{}).packet(nil), 0),
		"no TCP":     func() []byte { p := (&tcpFlow{}).packet(nil); p[9] = 17; return p }(),
		"a fragment": func() []byte { p := (&tcpFlow{}).packet(nil); p[6] = 0x20; return p }(),
	} {
		protocol, got := newVJSender(vjSlots, true).compress(bytes.Clone(p))
		if protocol != protoIP || !bytes.Equal(got, p) {
			t.Errorf("%s: protocol %x", name, protocol)
		}
	}
}

// Connections come and go over a line that loses frames: whatever arrives is what
// was sent, and after a loss that was noticed nothing wrong is made up.
func TestVJOnALossyLine(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		slots := 2 + int(seed)%15
		s, r := newVJSender(slots, seed%3 != 0), newVJReceiver(slots)
		flows := make([]*tcpFlow, 1+seed%24)
		for i := range flows {
			flows[i] = &tcpFlow{port: uint16(1000 + i), window: uint16(rng.Uint32()), seq: rng.Uint32(), ack: rng.Uint32()}
		}
		var whole, restored int
		for range 2000 {
			f := flows[rng.IntN(len(flows))]
			switch rng.IntN(8) {
			case 0:
				f.ack += uint32(rng.IntN(3000))
			case 1:
				f.window = uint16(rng.Uint32())
			case 2:
				f.id += uint16(rng.IntN(500))
			case 3:
				f.flags = tcpPSH
			case 4:
				f.flags, f.urgent = tcpURG, uint16(rng.IntN(600))
			case 5:
				f.flags, f.urgent = 0, 0
			case 6:
				f.seq -= uint32(rng.IntN(2) * rng.IntN(5000))
			}
			p := f.packet(make([]byte, rng.IntN(2)*rng.IntN(600)))
			protocol, content := s.compress(bytes.Clone(p))
			if rng.IntN(50) == 0 { // a damaged frame
				r.lost()
				continue
			}
			got, ok := content, true
			switch protocol {
			case protoVJ:
				got, ok = r.compressed(bytes.Clone(content))
			case protoVJFull:
				whole++
				got, ok = r.full(bytes.Clone(content))
			}
			// A segment that was lost leaves its slot behind; its TCP checksum is
			// what tells (RFC 1144 §4.1), and then the sender sends again.
			if ok && bytes.Equal(got, p) {
				restored++
			}
		}
		if restored < 600 || whole == 0 {
			t.Errorf("seed %d: only %d of 2000 arrived, %d whole", seed, restored, whole)
		}
	}
}

// Without losses nothing is wrong, ever.
func TestVJRestoresAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	s, r := newVJSender(4, true), newVJReceiver(4)
	flows := make([]*tcpFlow, 7) // more than there are slots
	for i := range flows {
		flows[i] = &tcpFlow{port: uint16(i), seq: rng.Uint32()}
	}
	for n := range 5000 {
		f := flows[rng.IntN(len(flows))]
		f.ack += uint32(rng.IntN(3) * rng.IntN(70000))
		f.window = uint16(4000 + rng.IntN(2)*rng.IntN(4000))
		f.flags = []byte{0, tcpPSH, tcpURG}[rng.IntN(3)]
		f.urgent = uint16(rng.IntN(3))
		f.id += uint16(rng.IntN(2) * rng.IntN(700))
		p := f.packet(make([]byte, rng.IntN(3)*rng.IntN(300)))
		if got, _ := cross(t, s, r, p); !bytes.Equal(got, p) {
			t.Fatalf("packet %d: sent %x, arrived %x", n, p, got)
		}
	}
}

func FuzzVJReceiver(f *testing.F) {
	s := newVJSender(vjSlots, true)
	flow := &tcpFlow{port: 3}
	for range 4 {
		_, content := s.compress(flow.packet([]byte("hello")))
		f.Add(content, content)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		r := newVJReceiver(vjSlots)
		for _, p := range [][]byte{first, second, first} {
			if got, ok := r.full(bytes.Clone(p)); ok && len(got) > len(p) {
				t.Fatal("longer than what came")
			}
			if got, ok := r.compressed(bytes.Clone(p)); ok && (len(got) > maxMRU || int(binary.BigEndian.Uint16(got[2:])) != len(got)) {
				t.Fatalf("%d octets that say they are %d", len(got), binary.BigEndian.Uint16(got[2:]))
			}
		}
	})
}

func FuzzVJSender(f *testing.F) {
	f.Add((&tcpFlow{port: 1}).packet([]byte("x")), (&tcpFlow{port: 1, seq: 1}).packet([]byte("yy")))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s, r := newVJSender(vjLeastSlots, true), newVJReceiver(vjLeastSlots)
		for _, p := range [][]byte{first, second, second, first} {
			want := bytes.Clone(p)
			got, _ := cross(t, s, r, p)
			if len(want) >= 20 && want[0]>>4 == 4 { // the IP header's checksum is made anew
				ip := int(want[0]&15) * 4
				if ip >= 20 && ip <= len(want) && len(got) == len(want) {
					copy(want[10:12], got[10:12])
				}
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("sent %x, arrived %x", want, got)
			}
		}
	})
}
