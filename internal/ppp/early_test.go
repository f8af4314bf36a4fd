package ppp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// coming up over a line, as the client sees it.
type rise struct {
	rate int
	rtt  time.Duration
	auth []AuthProtocol
}

// run brings a link up, with what was learned before if that isn't nil.
func (r rise) run(t *testing.T, m *Memory) (took time.Duration, learned Memory, stats Stats) {
	t.Helper()
	a, b := wire{rate: r.rate, delay: r.rtt / 2}.connect()
	client, server := clientConfig(), serverConfig(r.auth...)
	client.Rate, client.RTT, client.Memory = r.rate, r.rtt, m
	server.Rate, server.RTT = r.rate, r.rtt
	p := &pair{client: New(a, client), server: New(b, server)}
	defer p.end(t)
	go p.server.Up(context.Background())
	begun := time.Now()
	if _, err := p.client.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	took, learned, stats = time.Since(begun), p.client.Memory(), p.client.Stats()
	p.exchange(t)
	return took, learned, stats
}

// Every round trip before the first mail is paid, and so is every octet.
func TestRoundTrips(t *testing.T) {
	for _, c := range []struct {
		name         string
		auth         []AuthProtocol
		first, known float64 // round trips, serialisation apart
	}{
		{"no authentication", nil, 2.5, 1.5},
		{"PAP", []AuthProtocol{PAP}, 2.5, 1.5},
		{"CHAP", []AuthProtocol{CHAPMD5}, 3.5, 2.5},
	} {
		for _, line := range []rise{{rate: 9600, rtt: 600 * time.Millisecond}, {rate: 2400, rtt: 1800 * time.Millisecond}} {
			t.Run(c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					line.auth = c.auth
					first, m, stats := line.run(t, nil)
					known, _, _ := line.run(t, &m)
					// What the octets of both ways take, if nothing overlaps.
					octets := time.Duration(stats.OctetsIn+stats.OctetsOut) * 10 * time.Second / time.Duration(line.rate)
					t.Logf("%-17s %5d bit/s, %5v: first contact %.2f s, provider known %.2f s", c.name, line.rate, line.rtt, first.Seconds(), known.Seconds())
					if most := time.Duration(c.first*float64(line.rtt)) + octets; first > most {
						t.Errorf("first contact took %v, want at most %v", first, most)
					}
					if stats.OctetsOut > 290 || stats.OctetsIn > 290 {
						t.Errorf("%d octets up, %d down", stats.OctetsOut, stats.OctetsIn)
					}
					if most := time.Duration(c.known*float64(line.rtt)) + octets; known > most {
						t.Errorf("known, it took %v, want at most %v", known, most)
					}
				})
			})
		}
	}
}

// A peer that looks a password up somewhere else drops what comes meanwhile. IPCP
// is asked again at once, and in the next call not before its time.
func TestEarlyNetworkDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, clientConfig())
		ours := s.next(protoLCP, codeRequest)
		s.put(protoLCP, packet{codeRequest, 1, unhex(t, "0304c023")})
		s.next(protoLCP, codeAck)
		pap := s.next(protoPAP, papRequest) // both without having heard our acknowledgement
		s.next(protoIPCP, codeRequest)
		s.ack(protoLCP, ours)
		time.Sleep(time.Second)
		begun := time.Now()
		s.put(protoPAP, packet{papAck, pap.id, []byte{0}})
		again := s.next(protoIPCP, codeRequest)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("asked again after %v", took)
		}
		s.ack(protoIPCP, again)
		s.finishIPCP()
		wantKind(t, "client", <-result, NoAddress)
		_ = l
	})
}

// finishIPCP opens IPCP for a client that was given no address.
func (s *script) finishIPCP() {
	s.put(protoIPCP, packet{codeRequest, 201, appendOptions(nil, []option{optionAddr(ipcpAddress, serverAddr)})})
	s.next(protoIPCP, codeAck)
	p := s.next(protoLCP, codeTerminate)
	s.put(protoLCP, packet{codeTerminateAck, p.id, nil})
}

// Our request was lost: the peer isn't open when the early packets come, and they
// are sent again once it is.
func TestEarlyAfterALostRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, clientConfig())
		s.next(protoLCP, codeRequest) // lost
		s.put(protoLCP, packet{codeRequest, 1, unhex(t, "0304c023")})
		s.next(protoLCP, codeAck)
		s.next(protoPAP, papRequest)
		s.next(protoIPCP, codeRequest)
		s.ack(protoLCP, s.next(protoLCP, codeRequest))
		pap := s.next(protoPAP, papRequest)
		s.put(protoPAP, packet{papAck, pap.id, []byte{0}})
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
	})
}

// What the provider rejected isn't asked for again, and what it gave is asked for.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, clientConfig())
		first := s.next(protoLCP, codeRequest)
		s.put(protoLCP, packet{codeReject, first.id, appendOptions(nil, []option{{kind: lcpPFC}, {kind: lcpACFC}})})
		s.openLCP()
		r := s.next(protoIPCP, codeRequest)
		s.put(protoIPCP, packet{codeReject, r.id, appendOptions(nil, []option{vj{slots: 16, slim: true}.option(), optionAddr(ipcpDNS2, clientAddr)})})
		r = s.next(protoIPCP, codeRequest)
		s.put(protoIPCP, packet{codeNak, r.id, appendOptions(nil, []option{optionAddr(ipcpAddress, clientAddr), optionAddr(ipcpDNS1, dns1)})})
		s.ack(protoIPCP, s.next(protoIPCP, codeRequest))
		s.put(protoIPCP, packet{codeRequest, 201, nil})
		s.next(protoIPCP, codeAck)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		m := l.Memory()
		if !m.NoPFC || !m.NoACFC || m.NoACCM || m.VJSlots != 0 || m.Local != clientAddr || m.DNS[0] != dns1 || !m.NoDNS[1] {
			t.Errorf("%+v", m)
		}
		s.finish(l)

		cfg := clientConfig()
		cfg.Memory = &m
		s, l, result = play(t, cfg)
		lcp := s.next(protoLCP, codeRequest)
		if _, asked := findOption(t, lcp, lcpPFC); asked {
			t.Error("asks again for what was rejected")
		}
		s.ack(protoLCP, lcp)
		s.put(protoLCP, packet{codeRequest, 200, nil})
		s.next(protoLCP, codeAck)
		ipcp := s.next(protoIPCP, codeRequest)
		if o, _ := findOption(t, ipcp, ipcpAddress); o.addr() != clientAddr {
			t.Errorf("asks for %v", o.addr())
		}
		if o, _ := findOption(t, ipcp, ipcpDNS1); o.addr() != dns1 {
			t.Errorf("asks for name server %v", o.addr())
		}
		if _, asked := findOption(t, ipcp, ipcpCompression); asked {
			t.Error("asks again for VJ")
		}
		s.ack(protoIPCP, ipcp)
		s.put(protoIPCP, packet{codeRequest, 201, nil})
		s.next(protoIPCP, codeAck)
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		_ = l
	})
}

// The far end's interface comes up a moment after our Configure-Ack: what is written
// at once waits for that.
func TestFirstPacketWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, clientConfig())
		s.openLCP()
		s.openIPCP()
		begun := time.Now()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{interfaceWait, 0} {
			if err := l.WritePacket([]byte{0x45}); err != nil {
				t.Fatal(err)
			}
			<-s.frames
			if took := time.Since(begun); took != want {
				t.Errorf("packet %d left after %v", i, took)
			}
			begun = time.Now()
		}
	})
}
