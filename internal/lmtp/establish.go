package lmtp

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/textproto"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// establish is everything between a fresh connection and the first MAIL.
func (c *Client) establish(ctx context.Context) *Error {
	conn := net.Conn(c.line)
	if c.opt.TLS == TLSImplicit {
		secure, e := c.handshake(ctx)
		if e != nil {
			return e
		}
		conn = secure
	}
	if e := c.greet(conn, false); e != nil {
		return e
	}
	if c.opt.TLS == TLSStart {
		if e := c.startTLS(); e != nil {
			return e
		}
		secure, e := c.handshake(ctx)
		if e != nil {
			return e
		}
		// What was said in the clear counts for nothing any more (RFC 3207 §4.2).
		if e := c.greet(secure, true); e != nil {
			return e
		}
	}
	return c.logIn()
}

func (c *Client) handshake(ctx context.Context) (net.Conn, *Error) {
	conn, err := c.line.StartTLS(ctx, c.opt.TLSConfig)
	if err != nil {
		return nil, tlsError(c.opt.Timeout, err)
	}
	return conn, nil
}

// greet hears the greeting, if it is still to come, and says LHLO or EHLO.
func (c *Client) greet(conn net.Conn, greeted bool) *Error {
	c.wire = newWire(conn, c.line, c.opt.LMTP, greeted)
	if c.opt.LMTP {
		c.smtp = smtp.NewClientLMTP(c.wire)
	} else {
		c.smtp = smtp.NewClient(c.wire)
	}
	return c.hello()
}

// hello says LHLO or EHLO. It is due again after RSET, as go-smtp will have it.
func (c *Client) hello() *Error {
	err := c.smtp.Hello(c.opt.Hello)
	if err == nil {
		return nil
	}
	command := "EHLO"
	switch {
	case !c.wire.spoke:
		command = "greeting"
	case c.opt.LMTP:
		command = "LHLO"
	}
	e := c.failure(command, err)
	if command == "EHLO" && (e.Code == 500 || e.Code == 502) {
		e.Hint = "the server may speak LMTP on this port: set its protocol to lmtp, or give the port of its SMTP service"
	}
	return e
}

// startTLS asks for TLS. go-smtp can do so for SMTP only, and says EHLO under another name before.
func (c *Client) startTLS() *Error {
	if ok, _ := c.smtp.Extension("STARTTLS"); !ok {
		return &Error{
			Command: "STARTTLS", Err: errors.New("the server does not offer STARTTLS"),
			Hint: "check port and TLS mode; somebody on the way may have removed the offer",
		}
	}
	if _, err := c.wire.Write([]byte("STARTTLS\r\n")); err != nil {
		return c.failure("STARTTLS", err)
	}
	_, _, err := textproto.NewReader(bufio.NewReader(c.wire)).ReadResponse(220)
	var no *textproto.Error
	switch {
	case errors.As(err, &no):
		return refused("STARTTLS", &smtp.SMTPError{Code: no.Code, Message: no.Msg})
	case err != nil:
		return c.failure("STARTTLS", err)
	case c.wire.ahead():
		return &Error{
			Command: "STARTTLS", Err: errors.New("the server sent more before TLS than its reply"),
			Hint: "somebody on the way may have put words into its mouth",
		}
	}
	return nil
}

// logIn says AUTH PLAIN (RFC 4616) if there is a user.
func (c *Client) logIn() *Error {
	const command = "AUTH PLAIN"
	switch {
	case c.opt.User == "":
		return nil
	case c.opt.TLS == TLSNone && !c.opt.AllowPlainAuth:
		return &Error{
			Command: command, Err: errors.New("the password is not sent over a connection without TLS"),
			Hint: "set TLS to implicit or starttls; only where the way is trusted, allow plain authentication",
		}
	case !c.smtp.SupportsAuth(sasl.Plain):
		return &Error{
			Command: command, Err: errors.New("the server doesn't offer to log in with PLAIN on this connection"),
			Hint: "check port and TLS mode; if the server trusts this computer's address, leave the user empty",
		}
	}
	err := c.smtp.Auth(sasl.NewPlainClient("", c.opt.User, c.opt.Password))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sasl.ErrUnexpectedServerChallenge):
		return &Error{Command: command, Temporary: true, Err: err}
	}
	e := c.failure(command, err)
	e.Line = c.mask(e.Line)
	return e
}

// mask keeps the password out of what is shown of a reply, should a server repeat it. Shorter ones would show by what is masked.
func (c *Client) mask(line string) string {
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		encode([]byte("\x00" + c.opt.User + "\x00" + c.opt.Password)), encode([]byte(c.opt.Password)), c.opt.Password,
	} {
		if len(secret) >= 4 {
			line = strings.ReplaceAll(line, secret, "***")
		}
	}
	return line
}

// failure is what a call to go-smtp's client ended with: a refusal, or what happened on the wire.
func (c *Client) failure(command string, err error) *Error {
	var refusal *smtp.SMTPError
	switch {
	case errors.As(err, &refusal):
		return refused(command, refusal)
	case c.wire.err != nil:
		err = c.wire.err
	}
	return lostError(command, c.line.Patience(), err)
}
