package lmtp

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// address is addr as it goes to the server. It refuses what would break out of the command's angle brackets, and what the server can't
// read. An international domain has an ASCII form, which says the same to a server without SMTPUTF8 (RFC 5891 §4.4); a local part has none.
func (c *Client) address(verb, addr string) (string, *Error) {
	if err := safeAddress(addr); err != nil {
		return "", &Error{Command: verb, Enhanced: "5.1.3", Err: fmt.Errorf("the address %q %w", addr, err)}
	}
	if ok, _ := c.smtp.Extension("SMTPUTF8"); ok || ascii(addr) {
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
		Hint: "use an ASCII address of the same person",
	}
}

// safeAddress lets through what can stand between angle brackets and can't be read as more than that. Brackets could stand in a quoted
// local part too, but servers that look no further than the first one are about. Whether it is an address beyond that, the server knows.
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
	return nil
}

// checkSize holds the message against the server's limit (RFC 1870 §6.1 lets the server refuse it: here nothing is sent for that).
func (c *Client) checkSize(size int64) *Error {
	limit, ok := c.smtp.MaxMessageSize()
	if !ok || limit == 0 || size <= int64(limit) {
		return nil
	}
	return &Error{
		Command: "MAIL", Enhanced: "5.3.4",
		Err:  fmt.Errorf("the message has %d octets, the server takes %d at most", size, limit),
		Hint: "raise the limit of the office's mail server to that of the boxes it gets mail from",
	}
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
