package relay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// screen settles, before anything is sent, what this server can't take or what must not be put on the wire at all; those still open
// are the recipients to offer.
func (t *transaction) screen() {
	c := t.c
	if c.err != nil {
		t.refusal = c.err
	} else if e := c.checkAddress("MAIL", t.m.From); e != nil && t.m.From != "" {
		t.refusal = e
	} else if e := c.checkSize(t.m.Size); e != nil {
		t.refusal = e
	}
	for i := range t.results {
		e := t.refusal
		if e == nil {
			e = c.checkAddress("RCPT", t.results[i].To)
		}
		if e != nil {
			t.results[i].fail(e)
			continue
		}
		t.open = append(t.open, i)
	}
}

// checkSize holds the message against the server's limit (RFC 1870 §6.1 lets the server refuse it: here the round trip is saved).
func (c *Client) checkSize(size int64) *Error {
	if c.ext.maxSize == 0 || size <= c.ext.maxSize {
		return nil
	}
	return &Error{
		Command: "MAIL", Enhanced: "5.3.4",
		Err:  fmt.Errorf("the message has %d octets, the server takes %d at most", size, c.ext.maxSize),
		Hint: "send it in smaller parts, or ask the provider for a higher limit",
	}
}

// checkAddress refuses what would break out of the command's line or its angle brackets, and what the server can't read.
func (c *Client) checkAddress(verb, addr string) *Error {
	if err := safeAddress(addr); err != nil {
		return &Error{Command: verb, Enhanced: "5.1.3", Err: fmt.Errorf("the address %q %w", addr, err)}
	}
	if !ascii(addr) && !c.ext.utf8 {
		return &Error{
			Command: verb, Enhanced: "5.6.7", // RFC 6531 §3.5
			Err:  fmt.Errorf("the address %q has letters outside ASCII, and the server doesn't take such addresses (SMTPUTF8)", addr),
			Hint: "use an ASCII address of the same person, or a smarthost that offers SMTPUTF8",
		}
	}
	return nil
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
func (t *transaction) mail() string {
	ext := t.c.ext
	line := "MAIL FROM:<" + t.m.From + ">"
	if ext.size && t.m.Size > 0 {
		line += " SIZE=" + strconv.FormatInt(t.m.Size, 10) // RFC 1870 §5: an estimate will do
	}
	if ext.eightBit && (t.m.EightBit || t.m.UTF8) {
		line += " BODY=8BITMIME"
	}
	if ext.utf8 && t.needsUTF8() {
		line += " SMTPUTF8"
	}
	return line + "\r\n"
}

func (t *transaction) needsUTF8() bool {
	need := t.m.UTF8 || !ascii(t.m.From)
	for _, i := range t.open {
		need = need || !ascii(t.results[i].To)
	}
	return need
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
