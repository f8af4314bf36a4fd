package spool

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"time"
)

// ID names a body, and the message it belongs to: 26 characters of lower-case
// Crockford base32, which are 48 bits of milliseconds since 1970 and 80 random
// bits (a ULID in lower case, so that it is safe on file systems that fold
// case). IDs sort as strings in the order they were given out. The zero value
// "" names nothing and is not valid.
type ID string

// crockford has no i, l, o or u: an ID is read aloud over a radio now and then.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	idLength = 26 // 130 bits, of which the first two are always 0
	idOctets = 16
)

// ParseID returns s as an ID, or ErrBadID. It accepts exactly what Valid does:
// no capitals, no spaces, no look-alikes.
func ParseID(s string) (ID, error) {
	if id := ID(s); id.Valid() {
		return id, nil
	}
	return "", fmt.Errorf("spool: %w: %.40q", ErrBadID, s)
}

// Valid reports whether id is well-formed. A valid ID holds no separator, no
// dot and no capital, so it can stand as a file name anywhere.
func (id ID) Valid() bool {
	if len(id) != idLength || id[0] > '7' { // 128 bits: the first character carries 3
		return false
	}
	for i := range len(id) {
		if !isCrockford(id[i]) {
			return false
		}
	}
	return true
}

func isCrockford(c byte) bool {
	switch {
	case '0' <= c && c <= '9':
		return true
	case 'a' <= c && c <= 'z':
		return c != 'i' && c != 'l' && c != 'o' && c != 'u'
	}
	return false
}

// newID returns an ID greater than every ID before it, within one millisecond
// and across a clock that was set back.
func (s *Spool) newID() ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := makeID(time.Now())
	if id <= s.last {
		id = s.last.next()
	}
	s.last = id
	return id
}

func makeID(now time.Time) ID {
	var b [idOctets]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16) //nolint:gosec // after 1970
	// Never fails: crypto/rand ends the program instead.
	_, _ = rand.Read(b[6:])
	return encodeID(b)
}

// next returns the ID that follows: the same 128-bit number, plus one.
func (id ID) next() ID {
	c := []byte(id)
	for i := len(c) - 1; i >= 0; i-- {
		v := digit(c[i]) + 1
		if v < 32 {
			c[i] = crockford[v]
			break
		}
		c[i] = crockford[0]
	}
	return ID(c)
}

func digit(c byte) int {
	for v := range len(crockford) {
		if crockford[v] == c {
			return v
		}
	}
	return 0
}

// encodeID writes 128 bits as 26 characters. base32 pads with zero bits at the
// end and a ULID at the beginning, hence the four octets in front: of their 32
// bits and our 128, 160 in all, the last 130 are the last 26 characters.
func encodeID(b [idOctets]byte) ID {
	var padded [4 + idOctets]byte
	copy(padded[4:], b[:])
	text := base32.NewEncoding(crockford).WithPadding(base32.NoPadding).EncodeToString(padded[:])
	return ID(text[len(text)-idLength:])
}
