package ppp

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
)

// findOption gives a request's option of a kind, if it has one.
func findOption(t *testing.T, p packet, kind byte) (option, bool) {
	t.Helper()
	opts, ok := parseOptions(p.data)
	if !ok {
		t.Fatalf("options %x", p.data)
	}
	for _, o := range opts {
		if o.kind == kind {
			return o, true
		}
	}
	return option{}, false
}

// slirp 1.0.17, as seen on a pty: it leaves out ACCM, asks for VJ and for
// address 0.0.0.0, terminates if that is acknowledged, sends CCP unasked, and
// gives no second name server.
func TestSlirpOddities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, Config{NoVJ: true})
		s.openLCP(option16(lcpMRU, 1500), option32(lcpMagic, 0x11223344), option{kind: lcpPFC}, option{kind: lcpACFC})
		ours := s.next(protoIPCP, codeRequest)

		s.put(protoIPCP, packet{codeRequest, 1, unhex(t, "030600000000"+"0206002d0f01")})
		if p := s.next(protoIPCP, codeReject); !bytes.Equal(p.data, unhex(t, "0206002d0f01")) {
			t.Errorf("rejected %x, want VJ alone", p.data)
		}
		s.put(0x80fd, packet{1, 1, nil}) // CCP
		if p := s.next(protoLCP, codeProtocolReject); !bytes.HasPrefix(p.data, []byte{0x80, 0xfd, 1, 1}) {
			t.Errorf("protocol reject %x", p.data)
		}

		s.put(protoIPCP, packet{codeNak, ours.id, appendOptions(nil, []option{
			optionAddr(ipcpAddress, clientAddr), optionAddr(ipcpDNS1, dns1),
		})})
		ours = s.next(protoIPCP, codeRequest)
		if o, ok := findOption(t, ours, ipcpDNS2); !ok || o.addr().IsValid() {
			t.Errorf("the second name server is not asked for: %x", ours.data)
		}
		s.ack(protoIPCP, ours) // with DNS2 still 0.0.0.0

		// Its 0.0.0.0 gets an address for an answer three times, and then a
		// rejection; never an acknowledgement.
		for id := byte(2); id < 5; id++ {
			s.put(protoIPCP, packet{codeRequest, id, unhex(t, "030600000000")})
			p := s.next(protoIPCP, codeNak)
			if o, ok := findOption(t, p, ipcpAddress); !ok || !o.addr().IsValid() {
				t.Errorf("nak %x", p.data)
			}
		}
		s.put(protoIPCP, packet{codeRequest, 5, unhex(t, "030600000000")})
		s.next(protoIPCP, codeReject)
		s.put(protoIPCP, packet{codeRequest, 6, nil})
		s.next(protoIPCP, codeAck)
		if err := <-result; err != nil {
			t.Fatal(err)
		}

		// Without ACCM from the peer, every control character is escaped to it.
		if err := l.WritePacket([]byte{0x45, 0x00, 0x01}); err != nil {
			t.Fatal(err)
		}
		if f := <-s.frames; !bytes.Equal(f, []byte{protoIP, 0x45, 0, 1}) {
			t.Errorf("data frame %x, want both header fields compressed", f)
		}
	})
}

// A client must not come up as 0.0.0.0, by whatever way it is offered.
func TestNoAddress(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(s *script)
	}{
		{"acknowledged", func(s *script) { s.ack(protoIPCP, s.next(protoIPCP, codeRequest)) }},
		{"rejected", func(s *script) {
			p := s.next(protoIPCP, codeRequest)
			s.put(protoIPCP, packet{codeReject, p.id, p.data})
			s.ack(protoIPCP, s.next(protoIPCP, codeRequest))
		}},
		{"nak of 0.0.0.0", func(s *script) {
			p := s.next(protoIPCP, codeRequest)
			s.put(protoIPCP, packet{codeNak, p.id, p.data})
			s.ack(protoIPCP, s.next(protoIPCP, codeRequest))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, result := play(t, Config{})
				s.openLCP()
				c.answer(s)
				s.put(protoIPCP, packet{codeRequest, 9, appendOptions(nil, []option{optionAddr(ipcpAddress, serverAddr)})})
				s.next(protoIPCP, codeAck)
				p := s.next(protoLCP, codeTerminate)
				s.put(protoLCP, packet{codeTerminateAck, p.id, nil})
				wantKind(t, "client", <-result, NoAddress)
			})
		})
	}
}

// A client with an address of its own needs none given.
func TestFixedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, Config{LocalAddr: clientAddr})
		s.openLCP()
		p := s.next(protoIPCP, codeRequest)
		if o, _ := findOption(t, p, ipcpAddress); o.addr() != clientAddr {
			t.Errorf("asks for %v", o.addr())
		}
		s.put(protoIPCP, packet{codeReject, p.id, p.data}) // takes no option at all
		if p = s.next(protoIPCP, codeRequest); len(p.data) != 0 {
			t.Errorf("asks again for %x", p.data)
		}
		s.ack(protoIPCP, p)
		s.put(protoIPCP, packet{codeRequest, 9, nil})
		s.next(protoIPCP, codeAck)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
}

// Options of LCP that we refuse, change or don't know (RFC 1661 §5.3, §5.4).
func TestLCPAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   string
		code   byte
		answer string
	}{
		{"all we know", "010405dc" + "0206000a0000" + "050611223344" + "0702" + "0802", codeAck, "010405dc" + "0206000a0000" + "050611223344" + "0702" + "0802"},
		{"tiny mru", "01040040", codeNak, "01040080"},
		{"unknown and quality", "1104abcd" + "0408c02500000001" + "0702", codeReject, "1104abcd" + "0408c02500000001"},
		{"reject before nak", "01040040" + "0d0306", codeReject, "0d0306"},
		{"accm of a wrong length", "0203ff", codeNak, "020600000000"},
		{"ms-chap", "0305c22380", codeNak, "0305c22305"},
		{"eap", "0304c227", codeNak, "0305c22305"},
		{"nothing", "", codeAck, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, _ := play(t, clientConfig())
				s.next(protoLCP, codeRequest)
				s.put(protoLCP, packet{codeRequest, 7, unhex(t, c.opts)})
				if p := s.next(protoLCP, c.code); p.id != 7 || !bytes.Equal(p.data, unhex(t, c.answer)) {
					t.Errorf("answer %x, want %s", p.data, c.answer)
				}
			})
		})
	}
}

// What the peer Naks is asked as it says, what it rejects no more.
func TestLCPNakAndReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := play(t, Config{MRU: 1000})
		first := s.next(protoLCP, codeRequest)
		s.put(protoLCP, packet{codeNak, first.id, unhex(t, "01040240"+"0206000a0000"+"050611223344")})
		second := s.next(protoLCP, codeRequest)
		if second.id == first.id {
			t.Error("a changed request keeps its identifier")
		}
		if o, _ := findOption(t, second, lcpMRU); !bytes.Equal(o.data, []byte{0x02, 0x40}) {
			t.Errorf("mru %x", o.data)
		}
		if o, _ := findOption(t, second, lcpACCM); !bytes.Equal(o.data, []byte{0, 0x0a, 0, 0}) {
			t.Errorf("accm %x", o.data)
		}
		a, _ := findOption(t, first, lcpMagic)
		if b, _ := findOption(t, second, lcpMagic); bytes.Equal(a.data, b.data) {
			t.Error("the magic number is the same")
		}
		s.put(protoLCP, packet{codeReject, first.id, first.data}) // an old answer
		s.put(protoLCP, packet{codeReject, second.id, second.data})
		if third := s.next(protoLCP, codeRequest); len(third.data) != 0 {
			t.Errorf("asks again for %x", third.data)
		}
	})
}

// A peer that Naks or refuses for ever is not followed for ever.
func TestEndlessNegotiation(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		do   func(s *script)
		kind Kind
	}{
		{"naks", Config{}, func(s *script) {
			for f := range s.frames {
				_, info, _ := parseFrame(f)
				if p, _ := parsePacket(info); p.code == codeRequest {
					s.put(protoLCP, packet{codeNak, p.id, unhex(s.t, "050611223344")})
				}
			}
		}, Refused},
		{"requests", Config{}, func(s *script) {
			s.next(protoLCP, codeRequest)
			for id := range byte(40) {
				s.put(protoLCP, packet{codeRequest, id, unhex(s.t, "01040040")})
			}
		}, Refused},
		{"authentication", Config{}, func(s *script) {
			s.next(protoLCP, codeRequest)
			for id := range byte(40) {
				s.put(protoLCP, packet{codeRequest, id, unhex(s.t, "0305c22380")})
			}
		}, NoCommonAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, result := play(t, c.cfg)
				go c.do(s)
				err := <-result
				e := wantKind(t, "client", err, c.kind)
				if c.kind == NoCommonAuth && !strings.Contains(e.Hint, "wants MS-CHAP.") {
					t.Errorf("hint %q", e.Hint)
				}
			})
		})
	}
}

// The same request twice, because our answer was late, is one round: the
// protocols we can do are not used up by it.
func TestRepeatedRequestGetsSameAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := play(t, clientConfig())
		s.next(protoLCP, codeRequest)
		want := authValue(CHAPMD5)
		for range 5 {
			s.put(protoLCP, packet{codeRequest, 7, unhex(t, "0305c22380")})
			p := s.next(protoLCP, codeNak)
			if o, _ := findOption(t, p, lcpAuth); !bytes.Equal(o.data, want) {
				t.Errorf("suggests %x", o.data)
			}
		}
		for i, want := range []AuthProtocol{MSCHAPv2, PAP} {
			s.put(protoLCP, packet{codeRequest, byte(8 + i), unhex(t, "0305c22380")})
			p := s.next(protoLCP, codeNak)
			if o, _ := findOption(t, p, lcpAuth); !bytes.Equal(o.data, authValue(want)) {
				t.Errorf("then suggests %x", o.data)
			}
		}
	})
}

// Codes and protocols beyond ours, on an open link (RFC 1661 §5.6-§5.9).
func TestCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, Config{})
		s.openLCP()
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		s.put(protoLCP, packet{codeEchoRequest, 5, unhex(t, "00000000"+"aabb")})
		if p := s.next(protoLCP, codeEchoReply); p.id != 5 || !bytes.HasSuffix(p.data, []byte{0xaa, 0xbb}) || len(p.data) != 6 {
			t.Errorf("echo reply %d %x", p.id, p.data)
		}
		s.put(protoLCP, packet{codeDiscardRequest, 6, unhex(t, "00000000aabb")})
		s.put(protoLCP, packet{codeIdentification, 7, append(unhex(t, "00000000"), "a server"...)})
		s.put(protoLCP, packet{codeTimeRemaining, 8, unhex(t, "0000000000000e10")})
		s.put(protoLCP, packet{99, 9, []byte("what?")})
		if p := s.next(protoLCP, codeCodeReject); !bytes.HasPrefix(p.data, []byte{99, 9}) {
			t.Errorf("code reject %x", p.data)
		}
		s.put(protoIPCP, packet{99, 10, nil})
		if p := s.next(protoIPCP, codeCodeReject); !bytes.HasPrefix(p.data, []byte{99, 10}) {
			t.Errorf("code reject %x", p.data)
		}
		s.put(0x8057, packet{1, 1, bytes.Repeat([]byte{1}, 1000)}) // IPV6CP, long
		if p := s.next(protoLCP, codeProtocolReject); !bytes.HasPrefix(p.data, []byte{0x80, 0x57}) || len(p.data) > 100 {
			t.Errorf("protocol reject of %d octets", len(p.data))
		}
		// Rejects of what we can do without, or didn't send, change nothing.
		s.put(protoLCP, packet{codeCodeReject, 1, []byte{codeEchoRequest, 1, 0, 4}})
		s.put(protoLCP, packet{codeProtocolReject, 2, []byte{0x80, 0x57}})
		s.put(protoLCP, packet{codeAck, 3, nil})
		s.put(protoLCP, packet{codeEchoRequest, 11, unhex(t, "00000000")})
		if p := s.next(protoLCP, codeEchoReply); p.id != 11 {
			t.Errorf("echo reply %d", p.id)
		}
	})
}

// Without these PPP is no use.
func TestFatalRejects(t *testing.T) {
	for _, c := range []struct {
		name string
		p    packet
		want Kind
	}{
		{"code of LCP", packet{codeCodeReject, 1, []byte{codeRequest, 1, 0, 4}}, Refused},
		{"LCP", packet{codeProtocolReject, 1, []byte{0xc0, 0x21, 1, 1, 0, 4}}, Refused},
		{"IPCP", packet{codeProtocolReject, 1, []byte{0x80, 0x21, 1, 1, 0, 4}}, Refused},
		{"PAP", packet{codeProtocolReject, 1, []byte{0xc0, 0x23, 1, 1, 0, 4}}, NoCommonAuth},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, result := play(t, Config{})
				s.openLCP()
				s.next(protoIPCP, codeRequest)
				s.put(protoLCP, c.p)
				wantKind(t, "client", <-result, c.want)
			})
		})
	}
}
