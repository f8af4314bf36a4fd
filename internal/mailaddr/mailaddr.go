// Package mailaddr knows how an address is written, above all in a command of SMTP and LMTP. All of it may be called from any goroutine.
package mailaddr

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ErrUTF8 says that an address can't be told to a server without SMTPUTF8 (RFC 6531).
var ErrUTF8 = errors.New("has letters outside ASCII, and the server doesn't take such addresses (SMTPUTF8)")

// Wire is addr as it goes between the angle brackets of MAIL and RCPT, to a server that has SMTPUTF8 or hasn't. An international domain
// has an ASCII form, which says the same to one that hasn't (RFC 5891 §4.4); a local part has none: ErrUTF8. The other errors refuse
// what would break out of the brackets or the line. All are the end of a sentence that begins with the address.
func Wire(addr string, smtputf8 bool) (string, error) {
	if err := check(addr); err != nil {
		return "", err
	}
	if smtputf8 || IsASCII(addr) {
		return addr, nil
	}
	if at := strings.LastIndexByte(addr, '@'); at > 0 && IsASCII(addr[:at]) {
		if domain, err := idna.Lookup.ToASCII(addr[at+1:]); err == nil && check(domain) == nil {
			return addr[:at+1] + domain, nil
		}
	}
	return "", ErrUTF8
}

// check lets through what can stand between angle brackets and can't be read as more than that: no control characters, no
// brackets, valid UTF-8, and blanks, quotes and backslashes only within a quoted local part (RFC 5321 §4.1.2; brackets could stand
// there too, but servers that look no further than the first one are about). Whether the address exists, and is well formed beyond
// that, the server knows best.
func check(addr string) error {
	switch {
	case addr == "":
		return errors.New("is empty")
	case !utf8.ValidString(addr):
		return errors.New("is not valid UTF-8")
	case strings.ContainsFunc(addr, unicode.IsControl):
		return errors.New("has a control character in it")
	case strings.ContainsAny(addr, "<>"):
		return errors.New("has an angle bracket in it")
	}
	rest, ok := cutQuoted(addr)
	switch {
	case !ok:
		return errors.New("has a quoted part that doesn't end before the @")
	case strings.ContainsAny(rest, " \"\\"):
		return errors.New("has a blank, quote or backslash outside a quoted part")
	}
	return nil
}

// cutQuoted returns what follows a quoted local part; the whole address if there is none.
func cutQuoted(addr string) (rest string, ok bool) {
	if addr[0] != '"' {
		return addr, true
	}
	for i := 1; i < len(addr); i++ {
		switch addr[i] {
		case '\\':
			i++
		case '"':
			return addr[i+1:], strings.HasPrefix(addr[i+1:], "@")
		}
	}
	return "", false
}

// Local writes a local part, its meaning without quotes, as Dot-string where it can be, else as
// Quoted-string (RFC 5321 §4.1.2).
func Local(local string) string {
	dotString := true
	for atom := range strings.SplitSeq(local, ".") {
		dotString = dotString && atom != "" && !strings.ContainsFunc(atom, notAtext)
	}
	if dotString {
		return local
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// notAtext is true for what RFC 5322 §3.2.3 and RFC 6531 §3.3 leave out of an atom.
func notAtext(r rune) bool {
	return r <= ' ' || strings.ContainsRune(`()<>[]:;@\,".`, r) || r == 0x7f
}

// IsASCII tells whether seven bits are enough for s.
func IsASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
