package relay

import (
	"errors"
	"fmt"
	"strconv"

	"outpost/internal/mailaddr"
)

// screen settles, before anything is sent, what this server can't take or what must not be put on the wire at all; those still open
// are the recipients to offer.
func (t *transaction) screen(c *Client) {
	from, refusal := "", c.checkSize(t.m.Size)
	if t.m.From != "" && refusal == nil {
		from, refusal = c.address("MAIL", t.m.From)
	}
	t.dsn = c.ext.dsn
	t.from, t.utf8 = from, t.m.UTF8 || !mailaddr.IsASCII(from)
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
			t.utf8 = t.utf8 || !mailaddr.IsASCII(to)
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

// address is addr as it goes to the server. It refuses what must not be put into a command, and what the server can't read.
func (c *Client) address(verb, addr string) (string, *Error) {
	wire, err := mailaddr.Wire(addr, c.ext.utf8)
	if err == nil {
		return wire, nil
	}
	refusal := &Error{Command: verb, Enhanced: "5.1.3", Err: fmt.Errorf("the address %q %w", addr, err)}
	if errors.Is(err, mailaddr.ErrUTF8) {
		refusal.Enhanced = "5.6.7" // RFC 6531 §3.5
		refusal.Hint = "use an ASCII address of the same person, or a smarthost that offers SMTPUTF8"
	}
	return "", refusal
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
