package ppp

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
)

func TestParsePacket(t *testing.T) {
	for _, c := range []struct {
		in   string
		want packet
		ok   bool
	}{
		{"01020004", packet{1, 2, []byte{}}, true},
		{"01020006aabb", packet{1, 2, []byte{0xaa, 0xbb}}, true},
		{"01020005aabbcc", packet{1, 2, []byte{0xaa}}, true}, // padding
		{"01020006aa", packet{}, false},                      // shorter than it says
		{"01020003", packet{}, false},                        // shorter than a header
		{"010200", packet{}, false},
		{"", packet{}, false},
	} {
		got, ok := parsePacket(unhex(t, c.in))
		if ok != c.ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v %v", c.in, got, ok)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []option
		ok   bool
	}{
		{"", nil, true},
		{"0702", []option{{7, []byte{}}}, true},
		{"010405dc0802", []option{{1, []byte{5, 0xdc}}, {8, []byte{}}}, true},
		{"0701", nil, false},   // length below the header: would never end
		{"0700", nil, false},   // likewise
		{"0104aa", nil, false}, // beyond the packet
		{"07", nil, false},
	} {
		got, ok := parseOptions(unhex(t, c.in))
		if ok != c.ok || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v %v", c.in, got, ok)
		}
	}
}

func TestOptionAddr(t *testing.T) {
	a := netip.MustParseAddr("10.0.2.15")
	for _, c := range []struct {
		in   option
		want netip.Addr
	}{
		{optionAddr(3, a), a},
		{optionAddr(3, netip.Addr{}), netip.Addr{}}, // 0.0.0.0 is no address
		{option{3, []byte{1, 2, 3}}, netip.Addr{}},
		{option{3, nil}, netip.Addr{}},
	} {
		if got := c.in.addr(); got != c.want {
			t.Errorf("%x: %v, want %v", c.in.data, got, c.want)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add(unhex(f, "010405dc0506954d24fb07020802"))
	f.Add(unhex(f, "0206000000000304c0230305c22305"))
	f.Add(unhex(f, "03060000000081060000000083060affff35"))
	f.Add([]byte{3, 2, 5, 2, 1, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		opts, ok := parseOptions(in)
		if !ok {
			return
		}
		if back := appendOptions(nil, opts); !bytes.Equal(back, in) {
			t.Fatalf("%x became %x", in, back)
		}
		// Both layers, both roles, judge whatever comes and answer within bounds.
		for _, server := range []bool{false, true} {
			var count counters
			cfg := Config{Server: server}.withDefaults()
			e := newEngine(cfg, newWriter(nil, 0, &count), &count)
			for _, l := range []layer{e.lcp, e.ipcp} {
				naks, rejects := l.judge(opts)
				if len(naks)+len(rejects) > len(opts) {
					t.Fatalf("%d options, %d answers", len(opts), len(naks)+len(rejects))
				}
				l.naked(opts)
				l.rejected(opts)
			}
		}
	})
}

// FuzzEngine feeds any control packets to a client in any phase.
func FuzzEngine(f *testing.F) {
	f.Add(uint16(protoLCP), unhex(f, "0101000a0305c22305"))
	f.Add(uint16(protoCHAP), unhex(f, "010100090401020304"))
	f.Add(uint16(protoPAP), unhex(f, "0201000500"))
	f.Add(uint16(protoIPCP), unhex(f, "0301000a03060a000001"))
	f.Add(uint16(protoLCP), unhex(f, "08010006c023"))
	f.Fuzz(func(t *testing.T, protocol uint16, info []byte) {
		for _, s := range []state{reqSent, ackRcvd, ackSent, opened, closing} {
			var count counters
			cfg := Config{Authenticate: func(string) (string, bool) { return "", false }}.withDefaults()
			e := newEngine(cfg, newWriter(nil, 0, &count), &count)
			e.start()
			e.lcp.state, e.ipcp.state = s, s
			for _, way := range []AuthProtocol{PAP, CHAPMD5} {
				e.auth.start(way, way, false)
				e.frame(append([]byte{byte(protocol >> 8), byte(protocol)}, info...))
			}
			if n := len(e.out.control); n > maxControl {
				t.Fatalf("%d frames queued", n)
			}
		}
	})
}
