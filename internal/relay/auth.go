package relay

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"outpost/internal/patience"
)

// maxCommandLine is RFC 5321 §4.5.3.1.4; an initial response that doesn't fit waits for the server's go-ahead (RFC 4954 §4).
const maxCommandLine = 512

// mayLogIn says whether the password may go over this connection.
func (c *Client) mayLogIn() bool { return c.opt.TLS != TLSNone || c.opt.AllowPlainAuth }

// plain is AUTH PLAIN with its initial response, without the line's end; not ok if that doesn't fit into a line.
func (c *Client) plain() (line string, ok bool) {
	line = authPlain + " " + encode([]byte("\x00"+c.opt.User+"\x00"+c.opt.Password))
	return line, len(line)+len("\r\n") <= maxCommandLine
}

// authenticate logs in with PLAIN, which costs one round trip, else with LOGIN, which costs three.
func (c *Client) authenticate() *Error {
	if !c.mayLogIn() {
		return &Error{
			Command: "AUTH", Err: errors.New("the password is not sent over a connection without TLS"),
			Hint: "set TLS to implicit or starttls; only where the way is trusted, allow plain authentication",
		}
	}
	switch {
	case slices.Contains(c.ext.auth, sasl.Plain):
		return c.login(sasl.NewPlainClient("", c.opt.User, c.opt.Password), true)
	case slices.Contains(c.ext.auth, sasl.Login):
		return c.login(promptless{sasl.NewLoginClient(c.opt.User, c.opt.Password)}, false)
	case len(c.ext.auth) == 0:
		return &Error{
			Command: "AUTH", Err: errors.New("the server offers no log-in on this connection"),
			Hint: "check port and TLS mode; if the smarthost needs no log-in, leave the user empty",
		}
	}
	return &Error{
		Command: "AUTH",
		Err:     fmt.Errorf("the server offers %s, none of which can be done", patience.Legible(strings.Join(c.ext.auth, ", "))),
		Hint:    "PLAIN and LOGIN can be done: ask the provider for an application password",
	}
}

// login runs one mechanism (RFC 4954 §4). With early the first response goes with the command, if it fits.
func (c *Client) login(client sasl.Client, early bool) *Error {
	mechanism, first, err := client.Start()
	command := "AUTH " + mechanism
	if err != nil {
		return &Error{Command: command, Err: err}
	}
	line := command
	if response := encode(first); early && len(command)+1+len(response)+len("\r\n") <= maxCommandLine {
		line, first = command+" "+response, nil
	}
	rep, failure := c.command(command, line)
	for failure == nil && rep.code == 334 {
		response := first
		if first = nil; response == nil {
			if response, err = c.respond(client, rep); err != nil {
				_, _ = c.command(command, "*") // RFC 4954 §4: the client cancels; the connection is given up in any case
				return &Error{Command: command, Err: err}
			}
		}
		rep, failure = c.command(command, encode(response))
	}
	if failure != nil {
		return failure
	}
	if rep.class() != 2 {
		return c.refusedLogin(command, rep)
	}
	return nil
}

func (c *Client) refusedLogin(command string, rep reply) *Error {
	e := replyError(command, rep)
	e.Line = c.mask(e.Line)
	return e
}

func (c *Client) respond(client sasl.Client, rep reply) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.Join(rep.lines, ""))
	if err != nil {
		return nil, fmt.Errorf("the server's challenge can't be decoded: %w", err)
	}
	return client.Next(challenge)
}

// mask keeps the password out of what is shown of a reply, should a server repeat it. Shorter ones would show by what is masked.
func (c *Client) mask(line string) string {
	plain := encode([]byte("\x00" + c.opt.User + "\x00" + c.opt.Password))
	for _, secret := range []string{plain, encode([]byte(c.opt.Password)), c.opt.Password} {
		if len(secret) >= 4 {
			line = strings.ReplaceAll(line, secret, "***")
		}
	}
	return line
}

func encode(response []byte) string { return base64.StdEncoding.EncodeToString(response) }

// promptless is LOGIN for servers whose second prompt is not literally "Password:". LOGIN never had a standard; all that servers agree
// on is the order, user name and then password, so the prompt is not looked at.
type promptless struct{ sasl.Client }

func (p promptless) Next([]byte) ([]byte, error) { return p.Client.Next([]byte("Password:")) }
