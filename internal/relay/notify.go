package relay

import (
	"slices"
	"strings"
	"unicode"

	"outpost/internal/dsn"
	"outpost/internal/mailaddr"
)

// What every server with DSN takes (RFC 3461 §5.4), in octets as they are sent. What is longer is left out rather than have the message refused for it.
const (
	maxEnvID    = 100
	maxOriginal = 500
)

// dsnOfMessage are the parameters of MAIL for a server with DSN (RFC 3461 §4.3, §4.4). What isn't well formed is left out: the mail matters more
// than a report on it.
func (m *Message) dsnOfMessage() string {
	var params string
	if m.Return == "FULL" || m.Return == "HDRS" {
		params = " RET=" + m.Return
	}
	if id := dsn.Xtext(m.EnvID); id != "" && len(id) <= maxEnvID && mailaddr.IsASCII(m.EnvID) && !strings.ContainsFunc(m.EnvID, unicode.IsControl) {
		params += " ENVID=" + id
	}
	return params
}

// dsnOfRecipient are the parameters of RCPT for the recipient at place i (RFC 3461 §4.1, §4.2).
func (m *Message) dsnOfRecipient(i int) string {
	var params string
	if i < len(m.Notify) && validNotify(m.Notify[i]) {
		params = " NOTIFY=" + m.Notify[i]
	}
	if i < len(m.Original) {
		params += originalParam(m.Original[i])
	}
	return params
}

// validNotify says that s is NEVER alone, or some of the others, each once.
func validNotify(s string) bool {
	words := strings.Split(s, ",")
	for i, w := range words {
		if w != "SUCCESS" && w != "FAILURE" && w != "DELAY" || slices.Contains(words[:i], w) {
			return s == "NEVER"
		}
	}
	return true
}

// originalParam is ORCPT, "" if it can't be sent. An address outside ASCII goes in the form that needs no SMTPUTF8 (RFC 6533 §3).
func originalParam(original string) string {
	kind, addr, found := strings.Cut(original, ";")
	if !found || kind == "" || addr == "" || strings.ContainsFunc(kind, notAtom) || strings.ContainsFunc(addr, unicode.IsControl) {
		return ""
	}
	encoded := dsn.Xtext(addr)
	if strings.EqualFold(kind, "utf-8") || !mailaddr.IsASCII(addr) {
		kind, encoded = "utf-8", dsn.UTF8Xtext(addr)
	}
	if len(kind)+1+len(encoded) > maxOriginal {
		return ""
	}
	return " ORCPT=" + kind + ";" + encoded
}

// notAtom is true for what the name of an address type has not.
func notAtom(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
}
