package ppp

import (
	"crypto/des"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // the standard wants it (RFC 2759 §8.3)
)

// MS-CHAPv2 (RFC 2759) is CHAP with another digest, by which each end proves that
// it knows the password. Its ciphers are old ones by standard; what it keeps
// from whoever listens is worth no more than they are.

const (
	msChallenge = 16 // octets of either end's challenge
	// msResponse is the peer's challenge, 8 octets of nothing, the NT-Response and
	// the flags (RFC 2759 §4).
	msResponse = msChallenge + 8 + ntResponse + 1
	ntResponse = 24
)

// msDigest is the NT-Response: three DES encryptions of a hash of both challenges
// and the user, with the password's hash as the key (RFC 2759 §8.1 to §8.5).
func msDigest(ours, theirs []byte, user, password string) []byte {
	key := make([]byte, 21)
	copy(key, ntHash(password))
	block := challengeHash(ours, theirs, user)
	digest := make([]byte, 0, ntResponse)
	for i := 0; i < len(key); i += 7 {
		c, err := des.NewCipher(desKey(key[i : i+7]))
		if err != nil {
			return nil // eight octets are always a key
		}
		digest = append(digest, make([]byte, des.BlockSize)...)
		c.Encrypt(digest[len(digest)-des.BlockSize:], block)
	}
	return digest
}

// challengeHash is RFC 2759 §8.2's: the user's domain isn't part of it.
func challengeHash(peer, authenticator []byte, user string) []byte {
	h := sha1.New()
	h.Write(peer)
	h.Write(authenticator)
	h.Write([]byte(user[strings.LastIndexByte(user, '\\')+1:]))
	return h.Sum(nil)[:8]
}

// ntHash is MD4 over the password in UTF-16, low octet first (RFC 2759 §8.3).
func ntHash(password string) []byte {
	var text []byte
	for _, c := range utf16.Encode([]rune(password)) {
		text = binary.LittleEndian.AppendUint16(text, c)
	}
	return md4Sum(text)
}

func md4Sum(b []byte) []byte {
	h := md4.New()
	h.Write(b)
	return h.Sum(nil)
}

// desKey spreads 56 bits over eight octets; the parity bits don't matter.
func desKey(b []byte) []byte {
	bits := uint64(0)
	for _, c := range b {
		bits = bits<<8 | uint64(c)
	}
	key := make([]byte, 8)
	for i := range key {
		key[i] = byte(bits>>(49-7*i)) << 1 //nolint:gosec // seven bits of it
	}
	return key
}

// msProof is what the authenticator says to show that it knows the password too
// (RFC 2759 §8.7).
func msProof(response, challenge []byte, password string) string {
	h := sha1.New()
	h.Write(md4Sum(ntHash(password)))
	h.Write(response)
	h.Write([]byte("Magic server to client signing constant"))
	digest := h.Sum(nil)
	h.Reset()
	h.Write(digest)
	h.Write(challenge)
	h.Write([]byte("Pad to make it do more than one iteration"))
	return "S=" + strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// msAnswer makes the value of a response to a challenge, and what the peer must say
// to it.
func (a *auth) msAnswer(challenge []byte) []byte {
	cfg := a.engine.cfg
	own := make([]byte, msChallenge)
	rand.Read(own)
	digest := msDigest(own, challenge, cfg.User, cfg.Password)
	a.expected = msProof(digest, challengeHash(own, challenge, cfg.User), cfg.Password)
	return append(append(append(own, make([]byte, 8)...), digest...), 0)
}

// msSucceeded checks the peer's own proof. One that fails has not asked whoever
// knows the password.
func (a *auth) msSucceeded(message []byte) {
	said, _, _ := strings.Cut(string(message), " ")
	if subtle.ConstantTimeCompare([]byte(strings.ToUpper(said)), []byte(a.expected)) == 1 {
		a.accepted()
		return
	}
	err := a.engine.newError(AuthRefused)
	err.Hint = "The far end says that it accepts us, but doesn't know the password itself: it may not be your provider."
	a.engine.fail(err)
}

// msRefusal is how a wrong answer is answered (RFC 2759 §6): once is enough.
const msRefusal = "E=691 R=0 V=3 M=Login incorrect"

// msVerdict judges a peer's response; proof is what it is told if it is right.
func msVerdict(response, challenge []byte, user, password string) (ok bool, proof string) {
	if len(response) != msResponse {
		return false, ""
	}
	peer, digest := response[:msChallenge], response[msChallenge+8:msChallenge+8+ntResponse]
	if subtle.ConstantTimeCompare(digest, msDigest(peer, challenge, user, password)) != 1 {
		return false, ""
	}
	return true, msProof(digest, challengeHash(peer, challenge, user), password) + " M=Login ok"
}

// msWords gives a failure's own words, and for its number those of RFC 2759 §6.
func msWords(message string) string {
	code, text := "", message
	for field := range strings.FieldsSeq(message) {
		if c, ok := strings.CutPrefix(field, "E="); ok {
			code = c
		}
	}
	if _, m, ok := strings.Cut(message, "M="); ok {
		text = m
	}
	meaning := map[string]string{
		"646": "restricted log-on hours", "647": "account disabled", "648": "password expired",
		"649": "no dial-in permission", "691": "authentication failure", "709": "error changing the password",
	}[code]
	if meaning != "" {
		text += " (" + code + ": " + meaning + ")"
	}
	return text
}
