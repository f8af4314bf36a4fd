package patience

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxWords is how much of a peer's words is kept for people, in octets. The queue stores them for every recipient.
const MaxWords = 1000

// Legible makes a peer's words safe for terminals, logs and the database: no control characters, valid UTF-8, MaxWords at most and three dots
// for the rest.
func Legible(s string) string {
	if len(s) > MaxWords {
		s = strings.ToValidUTF8(s[:MaxWords], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
