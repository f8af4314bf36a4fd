package users

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// MaxPassword is how many octets a password may have. Nobody types more, and each is
// hashed for anybody who asks.
const MaxPassword = 1024

// What a new hash costs: OWASP's least memory for argon2id, because a Raspberry Pi has
// to find it for each who signs in, and takes a few tenths of a second.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	lanes     = 1
	saltSize  = 16
	keySize   = 32
)

// Bounds for hashes that were made elsewhere: above them one sign-in takes the memory
// or the minutes of a small computer.
const (
	maxMemoryKiB = 256 * 1024
	maxPasses    = 16
	maxLanes     = 16
	maxCost      = 14 // of bcrypt: 1 s on a PC, 10 on a Raspberry Pi
)

// argonHash is an argon2id hash taken apart.
type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// Hash makes the argon2id hash of a password, in PHC form:
// $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY.
func Hash(password string) (string, error) {
	if password == "" || len(password) > MaxPassword {
		return "", fmt.Errorf("a password has 1 to %d octets", MaxPassword)
	}
	h := argonHash{memory: memoryKiB, passes: passes, lanes: lanes, salt: make([]byte, saltSize)}
	rand.Read(h.salt)
	h.key = h.of(password, keySize)
	return h.String(), nil
}

// String is the hash in PHC form.
func (h argonHash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes, b64(h.salt), b64(h.key))
}

// CheckHash tells whether a text is a hash that Verify takes. The error holds nothing
// of it.
func CheckHash(hash string) error {
	if strings.HasPrefix(hash, "$argon2") {
		_, err := parseArgon(hash)
		return err
	}
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || !likeBcrypt(hash):
		return errors.New("is neither an argon2id hash nor one of bcrypt")
	case cost > maxCost:
		return fmt.Errorf("is a bcrypt hash of cost %d; more than %d takes too long to sign in", cost, maxCost)
	}
	return nil
}

// likeBcrypt says that a hash has the form $2b$10$SALTANDKEY, of which the library looks
// only at the beginning.
func likeBcrypt(hash string) bool {
	return len(hash) == 60 && hash[0] == '$' && hash[1] == '2' && strings.IndexByte("abxy", hash[2]) >= 0 && hash[3] == '$' && hash[6] == '$' &&
		!strings.ContainsFunc(hash[7:], func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '/')
		})
}

// Verify tells whether a password is the one of a hash. It takes as long for a wrong
// one as for the right one.
func Verify(hash, password string) bool {
	if len(password) > MaxPassword {
		return false
	}
	if strings.HasPrefix(hash, "$argon2") {
		h, err := parseArgon(hash)
		return err == nil && subtle.ConstantTimeCompare(h.key, h.of(password, len(h.key))) == 1
	}
	return CheckHash(hash) == nil && bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

func (h argonHash) of(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(size)) //nolint:gosec // 64 at most
}

// parseArgon reads a hash in PHC form. Fields that others leave in (keyid, data) are
// not known here.
func parseArgon(hash string) (h argonHash, err error) {
	wrong := errors.New("is not an argon2id hash such as $argon2id$v=19$m=19456,t=2,p=1$SALT$KEY")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, wrong
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); err != nil {
		return h, wrong
	}
	if h.memory > maxMemoryKiB || h.passes > maxPasses || h.lanes > maxLanes {
		return h, fmt.Errorf("asks for more than m=%d, t=%d or p=%d: too much for each who signs in", maxMemoryKiB, maxPasses, maxLanes)
	}
	if h.memory < 8 || h.passes < 1 || h.lanes < 1 { // RFC 9106 §3.1
		return h, wrong
	}
	var saltErr, keyErr error
	h.salt, saltErr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	h.key, keyErr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || keyErr != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.key) < 16 || len(h.key) > 64 {
		return h, wrong
	}
	if h.String() != hash { // the decoders above skip spaces and line ends
		return h, wrong
	}
	return h, nil
}
