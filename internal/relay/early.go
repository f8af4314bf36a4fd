package relay

import (
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-sasl"
)

// ErrEarly is that the server may not have liked to be spoken to before its greeting, though it offered to bear that. Another connection
// at once, with no Lines and no Clear in Options.Known, shows whether it was that.
var ErrEarly = errors.New("the server was spoken to before its greeting")

// meet is the greeting, unless it isn't fresh any more, and EHLO. lines are what the server is known to answer to that, where it stands
// now. A server that offers PIPECONNECT (Exim) takes commands before it has greeted and behind EHLO: there along goes with it, unless
// that is "". sent says so; its reply is still to be read.
//
// No message is among what goes early: if the server had changed, it could read the lines of one as commands.
func (c *Client) meet(lines []string, fresh bool, along string) (sent bool, failure *Error) {
	known := parseExtensions(lines)
	if !known.early {
		if fresh {
			if failure = c.greeting(); failure != nil {
				return false, failure
			}
		}
		return false, c.hello()
	}
	group := c.ehlo()
	if sent = along != ""; sent {
		group += along + "\r\n"
	}
	f := launch(c.conn, []byte(group))
	defer f.land()
	if fresh {
		if failure = c.greeting(); failure != nil {
			return false, c.tooEarly(failure)
		}
	}
	rep, failure := c.reply("EHLO")
	if failure == nil && rep.class() != 2 {
		failure = replyError("EHLO", rep)
	}
	if failure != nil {
		return false, c.tooEarly(failure)
	}
	c.offered(rep)
	return sent, nil
}

const authPlain = "AUTH " + sasl.Plain

// earlyLogin is the log-in that can go with EHLO to a server that is known to answer so, "" if none can.
func (c *Client) earlyLogin(lines []string) string {
	line, fits := c.plain()
	if c.opt.User == "" || !fits || !c.mayLogIn() || !slices.Contains(parseExtensions(lines).auth, sasl.Plain) {
		return ""
	}
	return line
}

// heardLogin is the reply to the log-in that went with EHLO. A refusal counts only where the server still offers that log-in.
func (c *Client) heardLogin() (done bool, failure *Error) {
	rep, failure := c.reply(authPlain)
	switch {
	case failure != nil:
		return false, c.tooEarly(failure)
	case rep.class() == 2:
		return true, nil
	case rep.class() == 3:
		return false, c.tooEarly(replyError(authPlain, rep))
	case slices.Contains(c.ext.auth, sasl.Plain) || c.err != nil:
		return false, c.refusedLogin(authPlain, rep)
	}
	return false, nil
}

// tooEarly marks a failure that may come of having spoken too early.
func (c *Client) tooEarly(e *Error) *Error {
	marked := *e
	marked.Temporary = true
	marked.Err = ErrEarly
	if e.Err != nil {
		marked.Err = fmt.Errorf("%w: %w", ErrEarly, e.Err)
	}
	if c.err != nil {
		c.err = &marked
	}
	return &marked
}
