package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// screen settles, before anything is sent, what this server can't take or what must not be put on the wire at all; those still open
// are the recipients to offer.
func (t *transaction) screen(c *Client) {
	from, refusal := "", c.checkSize(t.m.Size)
	if t.m.From != "" && refusal == nil {
		from, refusal = c.address("MAIL", t.m.From)
	}
	t.dsn = c.ext.dsn
	t.from, t.utf8 = from, t.m.UTF8 || !ascii(from)
	most := lesser(c.ext.maxRecipients, c.known.MaxRecipients)
	for i := range t.results {
		to, e := "", refusal
		if e == nil {
			to, e = c.address("RCPT", t.results[i].To)
		}
		switch {
		case e != nil:
			t.fail(i, e)
		case most > 0 && len(t.open) == most:
			t.postpone(i, &Error{Command: "RCPT", Temporary: true, Err: errTooMany})
		default:
			t.open, t.wire = append(t.open, i), append(t.wire, to)
			t.utf8 = t.utf8 || !ascii(to)
		}
	}
}

// checkSize holds the message against the server's limit (RFC 1870 §6.1 lets the server refuse it: here the round trip is saved).
func (c *Client) checkSize(size int64) *Error {
	if c.ext.maxSize == 0 || size <= c.ext.maxSize {
		return nil
	}
	return TooLarge(size, c.ext.maxSize)
}

// TooLarge is the refusal of a message of so many octets for a server that takes no more than limit, without a word of the server's.
func TooLarge(size, limit int64) *Error {
	return &Error{
		Command: "MAIL", Enhanced: "5.3.4",
		Err:  fmt.Errorf("the message has %d octets, the server takes %d at most", size, limit),
		Hint: "send it in smaller parts, or ask the provider for a higher limit",
	}
}

// address is addr as it goes to the server. It refuses what would break out of the command's line or its angle brackets, and what the
// server can't read. An international domain has an ASCII form, which says the same to a server without SMTPUTF8 (RFC 5891 §4.4); a
// local part has none.
func (c *Client) address(verb, addr string) (string, *Error) {
	if err := safeAddress(addr); err != nil {
		return "", &Error{Command: verb, Enhanced: "5.1.3", Err: fmt.Errorf("the address %q %w", addr, err)}
	}
	if c.ext.utf8 || ascii(addr) {
		return addr, nil
	}
	if at := strings.LastIndexByte(addr, '@'); at > 0 && ascii(addr[:at]) {
		if domain, err := idna.Lookup.ToASCII(addr[at+1:]); err == nil && safeAddress(domain) == nil {
			return addr[:at+1] + domain, nil
		}
	}
	return "", &Error{
		Command: verb, Enhanced: "5.6.7", // RFC 6531 §3.5
		Err:  fmt.Errorf("the address %q has letters outside ASCII, and the server doesn't take such addresses (SMTPUTF8)", addr),
		Hint: "use an ASCII address of the same person, or a smarthost that offers SMTPUTF8",
	}
}

// safeAddress lets through what can stand between angle brackets and can't be read as more than that: no control characters, no
// brackets, valid UTF-8, and blanks, quotes and backslashes only within a quoted local part (RFC 5321 §4.1.2; brackets could stand
// there too, but servers that look no further than the first one are about). Whether the address exists, and is well formed beyond
// that, the server knows best.
func safeAddress(addr string) error {
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

// mail is the MAIL command with the parameters that the server knows.
func (t *transaction) mail(ext extensions) string {
	line := "MAIL FROM:<" + t.from + ">"
	if ext.size && t.m.Size > 0 {
		line += " SIZE=" + strconv.FormatInt(t.m.Size, 10) // RFC 1870 §5: an estimate will do
	}
	if ext.eightBit && (t.m.EightBit || t.m.UTF8) {
		line += " BODY=8BITMIME"
	}
	if ext.utf8 && t.utf8 {
		line += " SMTPUTF8"
	}
	if ext.dsn {
		line += t.m.dsnOfMessage()
	}
	return line + "\r\n"
}

// rcpt is the RCPT command for the k-th of those open.
func (t *transaction) rcpt(k int) string {
	line := "RCPT TO:<" + t.wire[k] + ">"
	if t.dsn {
		line += t.m.dsnOfRecipient(t.open[k])
	}
	return line + "\r\n"
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
