package smtpd

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"outpost/internal/mailaddr"
)

// dateLayout is RFC 5322 §3.3, with the numeric zone.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

// received is the trace line of RFC 5321 §4.4. Its id is the session's own, which
// stands in the log beside the queue's: the queue gives its id only when it has
// the message, and by then this line is part of it. The recipient is named only
// when he is the only one, or blind copies would show (RFC 5321 §7.2). The TLS
// clause is RFC 8314 §4.3's.
func (s *session) received(tx transaction, user string, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from %s\r\n\tby %s (Outpost) with %s id %s",
		s.fromClause(), s.srv.opt.Hostname, s.protocol(tx, user), tx.id)
	if len(tx.rcpts) == 1 {
		fmt.Fprintf(&b, "\r\n\tfor <%s>", tx.rcpts[0])
	}
	if s.tls != nil {
		fmt.Fprintf(&b, "\r\n\ttls %s", tls.CipherSuiteName(s.tls.ConnectionState().CipherSuite))
	}
	fmt.Fprintf(&b, ";\r\n\t%s\r\n", now.Format(dateLayout))
	return b.String()
}

// protocol is the word for "with" (RFC 3848; RFC 6531 §4.3 with SMTPUTF8).
func (s *session) protocol(tx transaction, user string) string {
	word := "ESMTP"
	if tx.utf8 {
		word = "UTF8SMTP"
	}
	if s.tls != nil {
		word += "S"
	}
	if user != "" {
		word += "A"
	}
	return word
}

// fromClause is what the client calls itself and where it really is. What it calls
// itself is kept only if it looks like a host name or an address literal.
func (s *session) fromClause() string {
	literal := addressLiteral(s.client)
	switch {
	case !mailaddr.IsASCII(s.helo) || !validDomain(s.helo):
		if literal == "" {
			return "unknown"
		}
		return literal
	case literal == "":
		return s.helo
	}
	return s.helo + " (" + literal + ")"
}

// addressLiteral writes an address as RFC 5321 §4.1.3 wants it.
func addressLiteral(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		return "[" + a.String() + "]"
	}
	return "[IPv6:" + a.String() + "]"
}
