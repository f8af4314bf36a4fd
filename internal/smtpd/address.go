package smtpd

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"outpost/internal/mailaddr"
)

// parseMailbox checks what go-smtp took for a mailbox and writes it in the one form
// that is safe to send on. go-smtp removes the quotes of a quoted local part and
// checks little else, so "a> SIZE=1"@example.org arrives here without them; sent on
// as it is, it would be a different command. Errors are worded for the client.
func parseMailbox(s string) (string, error) {
	local, domain := cutAddr(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("it has characters that are not text")
	case len(local) == 0 || len(local) > 64 || len(domain) > 255: // RFC 5321 §4.5.3.1
		return "", errors.New("it is too long or has no local part")
	case !validDomain(domain):
		return "", errors.New("the part after the @ is not a domain")
	}
	return mailaddr.Local(local) + "@" + domain, nil
}

// cutAddr splits at the last @: the local part may have one inside quotes.
func cutAddr(s string) (local, domain string) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// validDomain takes host names, internationalised ones and address literals.
func validDomain(d string) bool {
	if lit, ok := strings.CutPrefix(d, "["); ok {
		lit, ok = strings.CutSuffix(lit, "]")
		return ok && lit != "" && !strings.ContainsFunc(lit, func(r rune) bool {
			return r > '~' || !(isAlnum(r) || strings.ContainsRune(".:-", r))
		})
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notLabel) {
			return false
		}
	}
	return true
}

// notLabel is true for what no label of a host name has. The underscore isn't
// one's right either, but there are offices with it on their Windows network.
func notLabel(r rune) bool {
	if r > unicode.MaxASCII {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r)
	}
	return !isAlnum(r) && r != '-' && r != '_'
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
