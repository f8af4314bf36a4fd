package imapd

import (
	"cmp"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// maxAddresses bounds those of one field in an ENVELOPE; lists of thousands of
// recipients stand in the header, for who wants them.
const maxAddresses = 2000

// envelope is what ENVELOPE tells of a header (RFC 3501 §7.4.2). Encoded words stay as
// they are: to decode them is the client's part, and what can't be decoded isn't lost.
// It takes what it can of a field that breaks the rules.
func envelope(header []byte) *imap.Envelope {
	e := &imap.Envelope{Date: date(first(header, "Date")), Subject: first(header, "Subject")}
	for name, to := range map[string]*[]imap.Address{
		"From": &e.From, "Sender": &e.Sender, "Reply-To": &e.ReplyTo, "To": &e.To, "Cc": &e.Cc, "Bcc": &e.Bcc,
	} {
		for n, field := range fields(header) {
			if strings.EqualFold(n, name) && len(*to) < maxAddresses {
				*to = append(*to, addresses(value(field))...)
			}
		}
	}
	e.InReplyTo = ids(first(header, "In-Reply-To"))
	if list := ids(first(header, "Message-ID")); len(list) > 0 {
		e.MessageID = list[0]
	}
	return e
}

// date reads a Date field, zero if it can't.
func date(s string) time.Time {
	t, err := mail.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// ids are message identifiers without their brackets.
func ids(s string) []string {
	var list []string
	for rest := s; len(list) < maxParameters; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			break
		}
		id, after, ok := strings.Cut(after, ">")
		if !ok {
			break
		}
		list, rest = append(list, id), after
	}
	if fields := strings.Fields(s); len(list) == 0 && len(fields) > 0 {
		return fields[:1]
	}
	return list
}

// addresses reads a list of addresses and groups (RFC 5322 §3.4).
func addresses(s string) []imap.Address {
	var list []imap.Address
	inGroup := false
	for _, piece := range splitOutside(strings.Join(split(s, 0), ""), ',', -1) { // without comments
		// A group's name comes before its first address: "name: a, b;".
		name, members, ok := cutOutside(piece, ':')
		if ok && !inGroup {
			list = append(list, imap.Address{Mailbox: cmp.Or(phrase(name), "group")})
			inGroup, piece = true, members
		}
		piece, after, end := cutOutside(piece, ';')
		if a, ok := address(piece); ok {
			list = append(list, a)
		}
		if end && inGroup {
			list = append(list, imap.Address{})
			inGroup = false
		}
		if a, ok := address(after); ok {
			list = append(list, a) // ";" for the comma, as Outlook's users write.
		}
		if len(list) >= maxAddresses {
			break
		}
	}
	if inGroup {
		list = append(list, imap.Address{})
	}
	return list
}

// cutOutside is strings.Cut outside of quotes and brackets.
func cutOutside(s string, at byte) (before, after string, found bool) {
	pieces := splitOutside(s, at, 2)
	if len(pieces) < 2 {
		return s, "", false
	}
	return pieces[0], pieces[1], true
}

// splitOutside is strings.SplitN outside of quotes and brackets, in one pass.
func splitOutside(s string, at byte, n int) []string {
	var pieces []string
	quoted, bracket, from := false, false, 0
	closing := strings.LastIndexAny(s, ">]") // A bracket that none closes stands for itself.
	for i := 0; i < len(s) && len(pieces) != n-1; i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<' || c == '[':
			bracket = i < closing
		case c == '>' || c == ']':
			bracket = false
		case c == at && !bracket:
			pieces = append(pieces, s[from:i])
			from = i + 1
		}
	}
	return append(pieces, s[from:])
}

// address reads one address; false if there is none.
func address(s string) (imap.Address, bool) {
	s = strings.TrimSpace(s)
	if s == "" {
		return imap.Address{}, false
	}
	var a imap.Address
	spec := s
	if name, rest, ok := cutAngle(s); ok {
		spec, _, _ = strings.Cut(rest, ">")
		a.Name = phrase(name)
		// A route is obsolete (RFC 5322 §4.4): <@a,@b:joe@c>.
		if strings.HasPrefix(spec, "@") {
			if _, after, ok := strings.Cut(spec, ":"); ok {
				spec = after
			}
		}
	}
	spec = strings.TrimSpace(spec)
	i := strings.LastIndexByte(spec, '@')
	if i < 0 {
		// The grammar has no address without a host: NIL is a group's.
		a.Mailbox, a.Host = unquote(spec), "MISSING_DOMAIN"
		if a.Mailbox == "" {
			a.Mailbox = "MISSING_MAILBOX"
		}
		return a, true
	}
	a.Mailbox, a.Host = unquote(strings.TrimSpace(spec[:i])), strings.TrimSpace(spec[i+1:])
	a.Mailbox = cmp.Or(a.Mailbox, "MISSING_MAILBOX")
	a.Host = cmp.Or(a.Host, "MISSING_DOMAIN")
	return a, true
}

// cutAngle cuts at the < of an address, outside of quotes.
func cutAngle(s string) (name, rest string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '<' && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// phrase is a name without its quotes.
func phrase(s string) string { return strings.TrimSpace(unquote(strings.TrimSpace(s))) }
