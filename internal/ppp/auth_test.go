package ppp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Taken from pppd 2.4.9's debug log: its challenge, and a response to it with
// the secret "wrong".
func TestDigest(t *testing.T) {
	got := digest(0xb3, "wrong", unhex(t, "553c932570120525298f58f7acb2bc2897e18f"))
	if want := "7284a1dd3a046c673b1b83ae3dd0015e"; hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

func TestAuthNames(t *testing.T) {
	for _, c := range []struct{ value, protocol, name string }{
		{"c023", "PAP", "PAP"},
		{"c22305", "CHAP-MD5", "CHAP-MD5"},
		{"c22380", "", "MS-CHAP"},
		{"c22381", "MS-CHAPv2", "MS-CHAPv2"},
		{"c227", "", "EAP"},
		{"c223", "", "protocol c223"},
		{"c0", "", "an unknown protocol"},
		{"", "", "an unknown protocol"},
	} {
		v := unhex(t, c.value)
		if got := authProtocol(v); string(got) != c.protocol {
			t.Errorf("%s: protocol %q", c.value, got)
		}
		if got := authName(v); got != c.name {
			t.Errorf("%s: name %q", c.value, got)
		}
	}
}

func TestCutString(t *testing.T) {
	for _, c := range []struct {
		in, s, rest string
		ok          bool
	}{
		{"03414243" + "99", "414243", "99", true},
		{"00", "", "", true},
		{"034142", "", "", false},
		{"", "", "", false},
	} {
		s, rest, ok := cutString(unhex(t, c.in))
		if ok != c.ok || hex.EncodeToString(s) != c.s || hex.EncodeToString(rest) != c.rest {
			t.Errorf("%s: %x %x %v", c.in, s, rest, ok)
		}
	}
}

// An authenticator may challenge again on an open link, and data goes on.
func TestRechallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var challenges int
		client, server := clientConfig(), serverConfig(CHAPMD5)
		server.Rechallenge = 10 * time.Second
		client.Trace = func(dir Direction, f []byte) {
			if dir == Received && bytes.HasPrefix(f, []byte{0xc2, 0x23, chapChallenge}) {
				challenges++
			}
		}
		p := bringUp(t, wire{delay: 300 * time.Millisecond}, client, server)
		p.mustBeUp(t)
		time.Sleep(time.Minute)
		p.exchange(t)
		p.end(t)
		if challenges < 6 || challenges > 7 {
			t.Errorf("%d challenges in a minute, want one in 10 s", challenges)
		}
	})
}

// A challenge on an open link that gets no answer ends it, and one refused
// ends it with the peer's words.
func TestRechallengeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, result := play(t, clientConfig())
		s.openLCP(option{lcpAuth, authValue(CHAPMD5)})
		chap := func(id byte, verdict packet) {
			s.put(protoCHAP, packet{chapChallenge, id, append(appendString(nil, "challenge"), "isp"...)})
			p := s.next(protoCHAP, chapResponse)
			response, name, _ := cutString(p.data)
			if p.id != id || !bytes.Equal(response, digest(id, "secret", []byte("challenge"))) || string(name) != "joe" {
				t.Errorf("response %d %x %q", p.id, response, name)
			}
			s.put(protoCHAP, verdict)
		}
		chap(3, packet{chapSuccess, 3, nil})
		s.openIPCP()
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		chap(4, packet{chapFailure, 4, []byte("account \x07expired")})
		s.next(protoLCP, codeTerminate)
		s.conn.Close()
		<-l.Done()
		e := wantKind(t, "client", l.Err(), AuthRefused)
		if e.Peer != "account expired" || strings.Contains(e.Error(), "secret") {
			t.Errorf("%+v", *e)
		}
	})
}

// The verdict gets lost, and the authenticator goes on to IPCP: that says it
// too, and no timer is waited for.
func TestLostVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, clientConfig())
		s.openLCP(option{lcpAuth, authValue(PAP)})
		s.next(protoPAP, papRequest)
		begun := time.Now()
		s.put(protoIPCP, packet{codeRequest, 1, appendOptions(nil, []option{optionAddr(ipcpAddress, serverAddr)})})
		ours := s.next(protoIPCP, codeRequest)
		s.next(protoIPCP, codeAck)
		s.put(protoIPCP, packet{codeNak, ours.id, appendOptions(nil, []option{optionAddr(ipcpAddress, clientAddr)})})
		s.ack(protoIPCP, s.next(protoIPCP, codeRequest))
		if err := <-result; err != nil || time.Since(begun) > 0 {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

// No packet gets a caller past a server that demands authentication: not data,
// not IPCP, not a verdict of its own.
func TestServerDemands(t *testing.T) {
	for _, way := range []AuthProtocol{PAP, CHAPMD5} {
		synctest.Test(t, func(t *testing.T) {
			s, l, result := play(t, serverConfig(way))
			s.openLCP()
			if way == CHAPMD5 {
				s.next(protoCHAP, chapChallenge)
			}
			s.put(protoIPCP, packet{codeRequest, 1, appendOptions(nil, []option{optionAddr(ipcpAddress, clientAddr)})})
			s.put(protoCHAP, packet{chapSuccess, 1, nil})
			s.put(protoPAP, packet{papAck, 1, []byte{0}})
			s.put(protoIP, packet{0x45, 0, nil})
			s.put(protoPAP, packet{papRequest, 1, []byte{200, 'x'}}) // malformed
			s.put(protoCHAP, packet{chapResponse, 77, []byte{0}})
			synctest.Wait()
			select {
			case f := <-s.frames:
				if protocol, _, _ := parseFrame(f); protocol != protoLCP { // a Protocol-Reject is fine
					t.Errorf("%s: answered with %x", way, f)
				}
			case err := <-result:
				t.Errorf("%s: up gave %v", way, err)
			default:
			}
			if n := l.Stats().PacketsIn; n != 0 {
				t.Errorf("%s: %d packets taken", way, n)
			}
		})
	}
}

// A response heard twice gets the same verdict twice (RFC 1994 §4.2), and so
// does a PAP request (RFC 1334 §2.2.1).
func TestRepeatedProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := play(t, serverConfig(CHAPMD5))
		s.openLCP()
		p := s.next(protoCHAP, chapChallenge)
		value, name, _ := cutString(p.data)
		if len(value) != 16 || string(name) != chapName {
			t.Errorf("challenge of %d octets from %q", len(value), name)
		}
		response := packet{chapResponse, p.id, append(appendString(nil, string(digest(p.id, "secret", value))), "joe"...)}
		s.put(protoCHAP, response)
		s.next(protoCHAP, chapSuccess)
		s.next(protoIPCP, codeRequest)
		s.put(protoCHAP, response)
		s.next(protoCHAP, chapSuccess)
	})
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := play(t, serverConfig(PAP))
		s.openLCP()
		request := packet{papRequest, 9, appendString(appendString(nil, "joe"), "secret")}
		s.put(protoPAP, request)
		s.next(protoPAP, papAck)
		s.next(protoIPCP, codeRequest)
		s.put(protoPAP, request)
		if p := s.next(protoPAP, papAck); p.id != 9 {
			t.Errorf("ack %d", p.id)
		}
	})
}

func TestMaskPAP(t *testing.T) {
	p := packet{papRequest, 1, appendString(appendString(nil, "joe"), "secret")}.bytes()
	masked := maskPAP(p)
	if bytes.Contains(masked, []byte("secret")) || !bytes.Contains(masked, []byte("joe")) || len(masked) != len(p) {
		t.Errorf("%q", masked)
	}
	if !bytes.Contains(p, []byte("secret")) {
		t.Error("the packet itself was masked")
	}
	maskPAP([]byte{1, 2}) // too short to be one
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"Login incorrect":       "Login incorrect",
		"a\r\nb\x1b[2J\xff\x00": "a b [2J",
		"":                      "",
		"Größe":                 "Größe",
	} {
		if got := words([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if n := len(words(bytes.Repeat([]byte("x"), 5000))); n > maxWords {
		t.Errorf("%d octets kept", n)
	}
}
