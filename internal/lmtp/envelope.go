package lmtp

import (
	"errors"
	"fmt"

	"outpost/internal/mailaddr"
)

// address is addr as it goes to the server. It refuses what must not be put into a command, and what the server can't read.
func (c *Client) address(verb, addr string) (string, *Error) {
	smtputf8, _ := c.smtp.Extension("SMTPUTF8")
	wire, err := mailaddr.Wire(addr, smtputf8)
	if err == nil {
		return wire, nil
	}
	refusal := &Error{Command: verb, Enhanced: "5.1.3", Err: fmt.Errorf("the address %q %w", addr, err)}
	if errors.Is(err, mailaddr.ErrUTF8) {
		refusal.Enhanced = "5.6.7" // RFC 6531 §3.5
		refusal.Hint = "use an ASCII address of the same person"
	}
	return "", refusal
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
