package isp

import (
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func query(t testing.TB, name string, qtype dnsmessage.Type, change ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: qtype, Class: dnsmessage.ClassINET}},
	}
	for _, c := range change {
		c(&m)
	}
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestZoneAnswers(t *testing.T) {
	z := zone{domain: "pretend.example", addr: netip.MustParseAddr("192.0.2.1")}
	tests := []struct {
		name     string
		query    []byte
		code     dnsmessage.RCode
		answers  int
		soa      bool
		hasEDNS0 bool
	}{
		{"address", query(t, "smtp.pretend.example.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 1, false, false},
		{"any case", query(t, "PoP.pretend.EXAMPLE.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 1, false, false},
		{"no IPv6", query(t, "pop.pretend.example.", dnsmessage.TypeAAAA), dnsmessage.RCodeSuccess, 0, true, false},
		{"apex has no address", query(t, "pretend.example.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 0, true, false},
		{"no such host", query(t, "www.pretend.example.", dnsmessage.TypeA), dnsmessage.RCodeNameError, 0, true, false},
		{"the rest of the world", query(t, "mail.invalid.", dnsmessage.TypeMX), dnsmessage.RCodeNameError, 0, true, false},
		{"EDNS is answered by EDNS", query(t, "pop.pretend.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.Additionals = []dnsmessage.Resource{edns()}
		}), dnsmessage.RCodeSuccess, 1, false, true},
		{"another class", query(t, "pop.pretend.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.Questions[0].Class = dnsmessage.ClassCHAOS
		}), dnsmessage.RCodeRefused, 0, false, false},
		{"another operation", query(t, "pop.pretend.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.OpCode = 5
		}), dnsmessage.RCodeNotImplemented, 0, false, false},
		{"no question", query(t, "pop.pretend.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) {
			m.Questions = nil
		}), dnsmessage.RCodeFormatError, 0, false, false},
		{"cut off", query(t, "pop.pretend.example.", dnsmessage.TypeA)[:20], dnsmessage.RCodeFormatError, 0, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m dnsmessage.Message
			if err := m.Unpack(z.answer(tt.query)); err != nil {
				t.Fatal(err)
			}
			if m.ID != 4711 || !m.Response || m.RCode != tt.code || len(m.Answers) != tt.answers ||
				(len(m.Authorities) == 1) != tt.soa || (len(m.Additionals) == 1) != tt.hasEDNS0 {
				t.Errorf("answer is %v", m.GoString())
			}
			for _, a := range m.Answers {
				if a.Body.(*dnsmessage.AResource).A != [4]byte{192, 0, 2, 1} || a.Header.TTL != nameTTL {
					t.Errorf("address is %v", a.GoString())
				}
			}
		})
	}
}

// Two servers must not answer each other's replies for ever.
func TestZoneIgnoresReplies(t *testing.T) {
	z := zone{domain: "pretend.example", addr: netip.MustParseAddr("192.0.2.1")}
	reply := query(t, "pop.pretend.example.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true })
	for _, q := range [][]byte{reply, nil, []byte("short")} {
		if got := z.answer(q); got != nil {
			t.Errorf("answered %x to %x", got, q)
		}
	}
}

func FuzzZoneAnswer(f *testing.F) {
	f.Add(query(f, "pop.pretend.example.", dnsmessage.TypeA))
	f.Add(query(f, "pretend.example.", dnsmessage.TypeALL, func(m *dnsmessage.Message) { m.Additionals = []dnsmessage.Resource{edns()} }))
	f.Add([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	z := zone{domain: "pretend.example", addr: netip.MustParseAddr("192.0.2.1")}
	f.Fuzz(func(t *testing.T, q []byte) {
		reply := z.answer(q)
		if reply == nil {
			return
		}
		var m dnsmessage.Message
		if err := m.Unpack(reply); err != nil {
			t.Fatalf("our own answer: %v", err)
		}
		if !m.Response || len(reply) > 512 && len(q) <= 512 {
			t.Errorf("%d octets of answer to %d, response %v", len(reply), len(q), m.Response)
		}
	})
}
