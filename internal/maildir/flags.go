package maildir

import (
	"math/bits"
	"strings"
)

// Flags are the letters behind ":2," in a message's file name: the standard ones in
// capitals, and the mailbox's keywords a to z (see Box.Keyword). Letters that mean
// nothing here are kept.
type Flags uint64

// The standard flags (cr.yp.to/proto/maildir.html).
const (
	Draft    = Flags(1) << ('D' - 'A')
	Flagged  = Flags(1) << ('F' - 'A')
	Passed   = Flags(1) << ('P' - 'A') // resent or bounced; IMAP has no flag for it
	Answered = Flags(1) << ('R' - 'A')
	Seen     = Flags(1) << ('S' - 'A')
	Deleted  = Flags(1) << ('T' - 'A')
)

// keywordsAt is where the bits of the small letters begin.
const keywordsAt = 26

// maxKeywords is how many keywords a mailbox has letters for.
const maxKeywords = 26

// Settable are all flags that IMAP can set: the five it has, and keywords.
const Settable = Draft | Flagged | Answered | Seen | Deleted | allKeywords

// allKeywords are the bits of all small letters.
const allKeywords = Flags(1<<maxKeywords-1) << keywordsAt

// keywordFlag is the flag of a letter, 0 for a.
func keywordFlag(i int) Flags { return 1 << (keywordsAt + i) }

// parseFlags takes the letters of an info part, and leaves what isn't one.
func parseFlags(s string) Flags {
	var f Flags
	for _, c := range []byte(s) {
		switch {
		case c >= 'A' && c <= 'Z':
			f |= 1 << (c - 'A')
		case c >= 'a' && c <= 'z':
			f |= keywordFlag(int(c - 'a'))
		}
	}
	return f
}

// String gives the letters in the order of ASCII, as they must be.
func (f Flags) String() string {
	letters := make([]byte, 0, bits.OnesCount64(uint64(f)))
	for rest := uint64(f); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if i < keywordsAt {
			letters = append(letters, byte('A'+i))
		} else {
			letters = append(letters, byte('a'+i-keywordsAt))
		}
	}
	return string(letters)
}

// splitInfo cuts a file name into what names the message and its flags.
func splitInfo(name string) (base string, f Flags) {
	base, info, ok := strings.Cut(name, infoMark)
	if ok {
		f = parseFlags(strings.TrimPrefix(info, "2,"))
	}
	return base, f
}

// sizes reads S= and W= of a base name, -1 where it has none.
func sizes(base string) (size, virtual int64) {
	size, virtual = -1, -1
	_, rest, _ := strings.Cut(base, ",")
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		if len(field) < 3 || field[1] != '=' {
			continue
		}
		n := parseNumber(field[2:])
		switch field[0] {
		case 'S':
			size = n
		case 'W':
			virtual = n
		}
	}
	return size, virtual
}

// parseNumber reads decimal digits that fit into 62 bits, else -1.
func parseNumber(s string) int64 {
	if s == "" || len(s) > 18 {
		return -1
	}
	var n int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
