package ppp

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
)

// CHAP's codes (RFC 1994 §4).
const (
	chapChallenge = 1
	chapResponse  = 2
	chapSuccess   = 3
	chapFailure   = 4
)

// chapName is what we call ourselves in a challenge. Peers use it to find the
// secret; ours is found by the line.
const chapName = "outpost"

// digest is RFC 1994 §4.1's: over the identifier, the secret and the challenge.
func digest(id byte, secret string, challenge []byte) []byte {
	h := md5.New()
	h.Write([]byte{id})
	h.Write([]byte(secret))
	h.Write(challenge)
	return h.Sum(nil)
}

// isCHAP says whether a protocol is CHAP, whatever its digest.
func isCHAP(a AuthProtocol) bool { return a == CHAPMD5 || a == MSCHAPv2 }

// inputCHAP takes one CHAP packet; false if CHAP was not agreed on.
func (a *auth) inputCHAP(p packet) bool {
	switch {
	case p.code == chapResponse && isCHAP(a.demand):
		a.chapResponse(p)
	case !isCHAP(a.prove):
		return isCHAP(a.demand)
	case p.code == chapChallenge:
		a.chapChallenge(p)
	case p.id != a.proof.id || a.proofTries == 0:
		// A verdict on something else.
	case p.code == chapSuccess && a.prove == MSCHAPv2:
		a.msSucceeded(p.data)
	case p.code == chapSuccess:
		a.accepted()
	case p.code == chapFailure && a.prove == MSCHAPv2:
		a.refused([]byte(msWords(string(p.data))))
	case p.code == chapFailure:
		a.refused(p.data)
	}
	return true
}

// chapChallenge answers a challenge at any time: an authenticator may ask again
// while the link is open (RFC 1994 §2).
func (a *auth) chapChallenge(p packet) {
	value, _, ok := cutString(p.data)
	if !ok || len(value) == 0 {
		return
	}
	if len(a.proof.data) > 0 && a.proofTo == protoCHAP && a.proof.id == p.id && bytes.Equal(value, a.asked) {
		a.repeatProof() // the same challenge, heard again: the answer is the same
		return
	}
	a.asked = bytes.Clone(value)
	answer := digest(p.id, a.engine.cfg.Password, value)
	if a.prove == MSCHAPv2 {
		if len(value) != msChallenge {
			return
		}
		answer = a.msAnswer(value)
	}
	data := appendString(nil, string(answer))
	data = append(data, a.engine.cfg.User...)
	first := !a.proved
	a.sendProof(protoCHAP, packet{chapResponse, p.id, data})
	if first {
		a.engine.askNetwork()
	}
}

// sendChallenge begins a new challenge: a new identifier and a value never used
// before (RFC 1994 §2.3).
func (a *auth) sendChallenge() {
	value := make([]byte, md5.Size)
	rand.Read(value)
	a.challengeID++
	a.challenge = packet{chapChallenge, a.challengeID, append(appendString(nil, string(value)), chapName...)}
	a.demandTries = 0
	a.verdict = packet{}
	a.repeatChallenge()
}

func (a *auth) repeatChallenge() {
	a.demandTries++
	a.engine.sendControl(protoCHAP, a.challenge)
	a.demandTimer.at = a.engine.restartAt(a.demandTries)
}

// chapResponse checks an answer. One heard again gets the same verdict again
// (RFC 1994 §4.2).
func (a *auth) chapResponse(p packet) {
	if p.id != a.challengeID || len(a.challenge.data) == 0 {
		return
	}
	if a.verdict.code != 0 {
		a.engine.sendControl(protoCHAP, a.verdict)
		return
	}
	response, name, ok := cutString(p.data)
	challenge, _, _ := cutString(a.challenge.data)
	if !ok {
		return
	}
	secret, known := a.engine.cfg.Authenticate(string(name))
	right, yes, no := subtle.ConstantTimeCompare(response, digest(p.id, secret, challenge)) == 1, "Login ok", "Login incorrect"
	if a.demand == MSCHAPv2 {
		right, yes = msVerdict(response, challenge, string(name), secret)
		no = msRefusal
	}
	if right && known {
		a.verdict = packet{chapSuccess, p.id, []byte(yes)}
		a.engine.sendControl(protoCHAP, a.verdict)
		a.believed()
		return
	}
	a.verdict = packet{chapFailure, p.id, []byte(no)}
	a.engine.sendControl(protoCHAP, a.verdict)
	a.disbelieved()
}
