package ppp

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
)

// The vectors of RFC 2759 §9.2.
func TestMSCHAPv2Vectors(t *testing.T) {
	const user, password = "User", "clientPass"
	authenticator := unhex(t, "5B5D7C7D7B3F2F3E3C2C602132262628")
	peer := unhex(t, "21402324255E262A28295F2B3A337C7E")
	if got := challengeHash(peer, authenticator, user); !bytes.Equal(got, unhex(t, "D02E4386BCE91226")) {
		t.Errorf("challenge hash %x", got)
	}
	if got := ntHash(password); !bytes.Equal(got, unhex(t, "44EBBA8D5312B8D611474411F56989AE")) {
		t.Errorf("password hash %x", got)
	}
	digest := msDigest(peer, authenticator, `DOMAIN\`+user, password)
	if !bytes.Equal(digest, unhex(t, "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")) {
		t.Errorf("NT-Response %x", digest)
	}
	if got := msProof(digest, challengeHash(peer, authenticator, user), password); got != "S=407A5589115FD0D6209F510FE9C04566932CDA56" {
		t.Errorf("proof %s", got)
	}
}

func TestMSCHAPv2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bringUp(t, wire{}, clientConfig(), serverConfig(MSCHAPv2))
		p.mustBeUp(t)
		p.exchange(t)
	})
	synctest.Test(t, func(t *testing.T) {
		p := bringUp(t, wire{}, Config{User: "joe", Password: "wrong"}, serverConfig(MSCHAPv2))
		e := wantKind(t, "client", p.clientErr, AuthRefused)
		if e.Peer != "Login incorrect (691: authentication failure)" || e.Temporary {
			t.Errorf("%+v", *e)
		}
		wantKind(t, "server", p.serverErr, AuthRefused)
	})
}

// A far end that accepts anybody isn't believed.
func TestMSCHAPv2FalseServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, result := play(t, clientConfig())
		s.openLCP(option{lcpAuth, authValue(MSCHAPv2)})
		s.put(protoCHAP, packet{chapChallenge, 7, append(appendString(nil, "0123456789abcdef"), "isp"...)})
		answer := s.next(protoCHAP, chapResponse)
		if value, name, ok := cutString(answer.data); !ok || len(value) != msResponse || string(name) != "joe" {
			t.Errorf("response %x", answer.data)
		}
		s.next(protoIPCP, codeRequest)
		s.put(protoCHAP, packet{chapSuccess, 7, []byte("S=" + strings.Repeat("0", 40) + " M=Welcome")})
		p := s.next(protoLCP, codeTerminate)
		s.put(protoLCP, packet{codeTerminateAck, p.id, nil})
		wantKind(t, "client", <-result, AuthRefused)
	})
}
