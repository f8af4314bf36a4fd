package ppp

import "crypto/subtle"

// PAP's codes (RFC 1334 §2.2).
const (
	papRequest = 1
	papAck     = 2
	papNak     = 3
)

// maxName bounds names and passwords to what their length octets can say.
const maxName = 255

// sendPAP shows name and password.
func (a *auth) sendPAP() {
	user, password := a.engine.cfg.User, a.engine.cfg.Password
	data := appendString(nil, user)
	data = appendString(data, password)
	a.sendProof(protoPAP, packet{papRequest, 1, data})
}

func appendString(dst []byte, s string) []byte {
	s = s[:min(len(s), maxName)]
	dst = append(dst, byte(len(s)))
	return append(dst, s...)
}

// cutString reads a string with its length in front.
func cutString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}

// inputPAP takes one PAP packet; false if PAP was not agreed on.
func (a *auth) inputPAP(p packet) bool {
	switch {
	case p.code == papRequest && a.demand == PAP:
		a.papRequest(p)
	case a.prove != PAP:
		return a.demand == PAP
	case p.code == papAck && p.id == a.proof.id:
		a.accepted()
	case p.code == papNak && p.id == a.proof.id && !a.proved:
		message, _, _ := cutString(p.data)
		a.refused(message)
	}
	return true
}

// papRequest answers a peer. One that asks again, for its Ack was lost, is told
// again (RFC 1334 §2.2.1).
func (a *auth) papRequest(p packet) {
	user, rest, ok := cutString(p.data)
	password, _, ok2 := cutString(rest)
	if !ok || !ok2 {
		return
	}
	want, known := a.engine.cfg.Authenticate(string(user))
	if subtle.ConstantTimeCompare(password, []byte(want)) == 1 && known {
		a.engine.sendControl(protoPAP, packet{papAck, p.id, appendString(nil, "Login ok")})
		a.believed()
		return
	}
	a.engine.sendControl(protoPAP, packet{papNak, p.id, appendString(nil, "Login incorrect")})
	a.disbelieved()
}

// maskPAP gives a copy of a PAP packet for a trace, the password struck out.
func maskPAP(b []byte) []byte {
	masked := append([]byte(nil), b...)
	p, ok := parsePacket(masked)
	if !ok || p.code != papRequest {
		return masked
	}
	_, rest, _ := cutString(p.data)
	for i := 1; i < len(rest); i++ {
		rest[i] = '*'
	}
	return masked
}
