package ppp

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The check value of CRC-16/X-25, which is PPP's FCS.
func TestFCS(t *testing.T) {
	fcs := uint16(fcsInit)
	for _, b := range []byte("123456789") {
		fcs = fcs16(fcs, b)
	}
	if got := fcs ^ 0xffff; got != 0x906e {
		t.Errorf("FCS %04x, want 906e", got)
	}
}

// slirpRequest is what slirp 1.0.17 puts on the line first: a Configure-Request
// with MRU 1500, a magic number, PFC and ACFC, and no ACCM.
const slirpRequest = "7eff7d23c0217d217d217d207d327d217d247d25dc7d257d26954d24fb7d277d227d287d2226547e"

func TestGoldenFrame(t *testing.T) {
	info := unhex(t, "01010012"+"010405dc"+"0506954d24fb"+"0702"+"0802")
	got := append([]byte{flag}, appendFrame(nil, plainFraming(), protoLCP, info)...)
	if want := unhex(t, slirpRequest); !bytes.Equal(got, want) {
		t.Errorf("sent\n%x, slirp sends\n%x", got, want)
	}
	frames, _ := deframe(unhex(t, slirpRequest))
	if len(frames) != 1 {
		t.Fatalf("%d frames from slirp's octets", len(frames))
	}
	protocol, data, ok := parseFrame(frames[0])
	if !ok || protocol != protoLCP || !bytes.Equal(data, info) {
		t.Errorf("read %04x %x", protocol, data)
	}
}

// Every framing must come back as it went out, and be as short as agreed.
func TestFramings(t *testing.T) {
	info := make([]byte, 256)
	for i := range info {
		info[i] = byte(i)
	}
	for _, c := range []struct {
		name     string
		f        framing
		protocol uint16
		octets   int // frame without its first flag; the FCS happens to need no escape
	}{
		{"plain", plainFraming(), protoIP, 4 + 256 + 32 + 2 + 2 + 1},
		{"no map", framing{}, protoIP, 4 + 256 + 2 + 2 + 1},
		{"xon xoff", framing{accm: 0x000a0000}, protoIP, 4 + 256 + 2 + 2 + 2 + 1},
		{"pfc", framing{pfc: true}, protoIP, 3 + 256 + 2 + 2 + 1},
		{"pfc, long protocol", framing{pfc: true}, protoIPCP, 4 + 256 + 2 + 2 + 1},
		{"acfc", framing{acfc: true}, protoIP, 2 + 256 + 2 + 2 + 1},
		{"both", framing{pfc: true, acfc: true}, protoIP, 1 + 256 + 2 + 2 + 1},
	} {
		b := appendFrame(nil, c.f, c.protocol, info)
		header := 0
		if !c.f.acfc && c.f.accm&(1<<unnumInfo) != 0 {
			header++ // the control field itself is escaped
		}
		if (!c.f.pfc || c.protocol > 0xff) && c.f.accm&1 != 0 {
			header++ // and so is the high octet of the protocol
		}
		if len(b) < c.octets+header || len(b) > c.octets+header+2 {
			t.Errorf("%s: %d octets, want %d", c.name, len(b), c.octets+header)
		}
		d := newDeframer(defaultMRU, &counters{})
		d.accm = c.f.accm
		var got []byte
		var protocol uint16
		d.feed(append([]byte{flag}, b...), func(f []byte) {
			var info []byte
			protocol, info, _ = parseFrame(f)
			got = bytes.Clone(info)
		})
		if protocol != c.protocol || !bytes.Equal(got, info) {
			t.Errorf("%s: came back as %04x, %d octets", c.name, protocol, len(got))
		}
	}
}

func TestParseFrame(t *testing.T) {
	for _, c := range []struct {
		in       string
		protocol uint16
		info     string
		ok       bool
	}{
		{"ff03c02101", protoLCP, "01", true},
		{"c02101", protoLCP, "01", true},
		{"ff032145", protoIP, "45", true},
		{"2145", protoIP, "45", true},
		{"002145", protoIP, "45", true},
		{"0020aa", 0x0020, "aa", true}, // breaks the rule for protocols: unknown
		{"ff03", 0, "", false},
		{"c0", 0, "", false},
		{"", 0, "", false},
	} {
		protocol, info, ok := parseFrame(unhex(t, c.in))
		if ok != c.ok || protocol != c.protocol || !bytes.Equal(info, unhex(t, c.info)) {
			t.Errorf("%s: %04x %x %v", c.in, protocol, info, ok)
		}
	}
}
