package ppp

import (
	"bytes"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// A peer may negotiate anew at any time: data stops, all comes up again without
// a word to the user, and the address is asked for again.
func TestRenegotiation(t *testing.T) {
	for _, c := range []struct {
		name string
		addr netip.Addr
	}{{"same address", clientAddr}, {"another address", netip.MustParseAddr("10.1.0.99")}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l, result := play(t, clientConfig())
				s.openLCP()
				s.openIPCP()
				if err := <-result; err != nil {
					t.Fatal(err)
				}
				s.put(protoLCP, packet{codeRequest, 50, unhex(t, "0304c023")}) // now with PAP
				ours := s.next(protoLCP, codeRequest)
				s.next(protoLCP, codeAck)
				written := make(chan error, 1)
				go func() { written <- l.WritePacket([]byte{0x45}) }() // waits
				s.ack(protoLCP, ours)
				p := s.next(protoPAP, papRequest)
				s.put(protoPAP, packet{papAck, p.id, []byte{0}})
				p = s.next(protoIPCP, codeRequest)
				if o, _ := findOption(t, p, ipcpAddress); o.addr() != clientAddr {
					t.Errorf("asks for %v", o.addr())
				}
				if c.addr != clientAddr {
					s.put(protoIPCP, packet{codeNak, p.id, appendOptions(nil, []option{optionAddr(ipcpAddress, c.addr)})})
					p = s.next(protoIPCP, codeRequest)
				}
				s.ack(protoIPCP, p)
				s.put(protoIPCP, packet{codeRequest, 51, nil})
				s.next(protoIPCP, codeAck)
				if c.addr == clientAddr {
					if f := <-s.frames; !bytes.HasSuffix(f, []byte{protoIP, 0x45}) {
						t.Errorf("then %x, want the packet that waited", f)
					}
					if err := <-written; err != nil {
						t.Error(err)
					}
				} else {
					s.next(protoLCP, codeTerminate)
					s.conn.Close()
					<-l.Done()
					wantKind(t, "client", l.Err(), AddressChanged)
					if err := <-written; err == nil {
						t.Error("a packet was taken by a link that has ended")
					}
				}
			})
		})
	}
}

// A renegotiation that leads nowhere ends the link.
func TestRenegotiationTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, Config{})
		s.openLCP()
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		s.put(protoLCP, packet{codeRequest, 50, nil})
		<-l.Done()
		wantKind(t, "client", l.Err(), Timeout)
		if took := time.Since(begun); took > 90*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A Terminate-Request from before may be left in a modem: one is answered and
// passed over. A second one is meant for us.
func TestTerminatedDuringLCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, Config{})
		s.next(protoLCP, codeRequest)
		s.put(protoLCP, packet{codeTerminate, 1, []byte("all modems\r\nbusy \xff")})
		s.next(protoLCP, codeTerminateAck)
		s.put(protoLCP, packet{codeTerminate, 2, nil})
		s.conn.Close()
		e := wantKind(t, "client", <-result, PeerTerminated)
		if e.Peer != "all modems busy" {
			t.Errorf("words %q", e.Peer)
		}
	})
}

// IPCP's own goodbye says more than LCP's after it.
func TestWordsOfIPCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, Config{})
		s.openLCP()
		s.next(protoIPCP, codeRequest)
		s.put(protoIPCP, packet{codeTerminate, 1, []byte("No address for you")})
		s.put(protoLCP, packet{codeTerminate, 2, []byte("No network protocols running")})
		e := wantKind(t, "client", <-result, PeerTerminated)
		if e.Peer != "No address for you; No network protocols running" || e.Phase != PhaseNetwork {
			t.Errorf("%+v", *e)
		}
	})
}

// LCP's own packets go out in the plain form although all is compressed by
// agreement, so that a peer in any state can read them (RFC 1661 §6.5, §6.6).
func TestLCPStaysPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, Config{})
		s.openLCP(option32(lcpACCM, 0), option{kind: lcpPFC}, option{kind: lcpACFC})
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		go l.Close(t.Context())
		if f := <-s.frames; !bytes.HasPrefix(f, []byte{allStn, unnumInfo, 0xc0, 0x21, codeTerminate}) {
			t.Errorf("terminate as %x", f)
		}
		s.put(protoLCP, packet{codeTerminateAck, 2, nil})
	})
}
