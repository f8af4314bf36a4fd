package dsn

import (
	"bytes"
	"strings"
	"time"
)

// machine writes the part for programs: fields of the message, and a group of fields for each recipient (RFC 3464 §2).
func (r *Report) machine(b *bytes.Buffer) {
	if r.UTF8 {
		field(b, "Content-Type", "message/global-delivery-status")
		field(b, "Content-Transfer-Encoding", "8bit")
	} else {
		field(b, "Content-Type", "message/delivery-status")
	}
	field(b, "Content-Description", "Delivery status, for programs")
	b.WriteString("\r\n")
	field(b, "Reporting-MTA", "dns; "+r.host())
	if id := clean(r.EnvID); id != "" {
		field(b, "Original-Envelope-Id", r.text(shorten(id, maxAddress)))
	}
	r.date(b, "Arrival-Date", r.Arrived)
	for i := range r.Recipients {
		b.WriteString("\r\n")
		r.group(b, &r.Recipients[i])
	}
}

// group is what is said of one recipient (RFC 3464 §2.3).
func (r *Report) group(b *bytes.Buffer, p *Recipient) {
	if kind, addr := p.original(); addr != "" {
		field(b, "Original-Recipient", r.address(kind, addr))
	}
	field(b, "Final-Recipient", r.address(p.final()))
	field(b, "Action", string(r.Kind))
	field(b, "Status", p.status(r.Kind))
	if p.Remote != "" {
		field(b, "Remote-MTA", "dns; "+atom(asciiDomain(p.Remote), "unknown"))
	}
	if reply := clean(p.Reply); reply != "" {
		// Only what a server said by SMTP is of its type; our own reasons have one of ours (RFC 3464 §2.3.6).
		kind := "x-outpost"
		if code, _, _ := Split(reply); code != "" {
			kind = "smtp"
		}
		field(b, "Diagnostic-Code", kind+"; "+r.text(shorten(reply, maxReply)))
	}
	r.date(b, "Last-Attempt-Date", p.At)
	if r.Kind == Delayed { // RFC 3464 §2.3.9: of no others
		r.date(b, "Will-Retry-Until", p.WillRetryUntil)
	}
}

// date writes a time unless it is zero.
func (r *Report) date(b *bytes.Buffer, name string, at time.Time) {
	if !at.IsZero() {
		field(b, name, at.In(r.Now.Location()).Format(dateLayout))
	}
}

// text is a text for a field that knows no encoding.
func (r *Report) text(s string) string {
	if r.UTF8 {
		return s
	}
	return ascii(s)
}

// address writes an address with its type. One outside ASCII is of type utf-8, in seven bits in its encoded form (RFC 6533 §3).
func (r *Report) address(kind, addr string) string {
	addr = shorten(clean(addr), maxAddress)
	switch {
	case isASCII(addr):
	case r.UTF8:
		kind = "utf-8"
	default:
		kind, addr = "utf-8", UTF8Xtext(addr)
	}
	return kind + "; " + addr
}

// original is the address that the sender gave, by its type; "" if he gave none.
func (p *Recipient) original() (kind, addr string) {
	kind, addr, found := strings.Cut(p.Original, ";")
	kind = strings.ToLower(atom(kind, ""))
	if addr = clean(addr); !found || kind == "" || addr == "" {
		return "", ""
	}
	return kind, addr
}

// final is the recipient as he was given to us (RFC 3464 §2.3.2). A place in the office is no address; the sender's own for it is as good, and
// without one a place is of a type of ours.
func (p *Recipient) final() (kind, addr string) {
	if isAddress(p.Addr) {
		return "rfc822", p.Addr
	}
	if kind, addr = p.original(); isAddress(addr) {
		return kind, addr
	}
	return "x-outpost", p.Addr
}

// isAddress tells an address from a place: that has no @, or a colon before it, which an address has only within quotes.
func isAddress(s string) bool {
	at := strings.LastIndexByte(s, '@')
	return at > 0 && (s[0] == '"' || !strings.ContainsRune(s[:at], ':'))
}

// name is the recipient for the sender's eye: as he wrote him, and where that leads if it is another address.
func (p *Recipient) name() string {
	addr := shorten(clean(p.Addr), maxAddress)
	_, sent := p.original()
	sent = shorten(sent, maxAddress)
	switch {
	case sent == "" || strings.EqualFold(sent, addr):
		return addr
	case isAddress(addr):
		return sent + " (as " + addr + ")"
	}
	return sent
}
