package relay

import (
	"errors"
	"strconv"
	"strings"
)

// extensions are what the server offered in its last EHLO reply (RFC 5321 §4.1.1.1).
type extensions struct {
	pipelining bool // RFC 2920
	eightBit   bool // RFC 6152
	utf8       bool // RFC 6531
	startTLS   bool // RFC 3207
	size       bool // RFC 1870
	maxSize    int64
	auth       []string // mechanisms in upper case (RFC 4954)
	chunking   bool     // RFC 3030
	dsn        bool     // RFC 3461
	early      bool     // Exim's PIPECONNECT: commands before the greeting are welcome

	maxMessages, maxRecipients int // RFC 9422; 0: no limit is said
}

// parseExtensions reads the lines of an EHLO reply, of which the first is the server's name. What it doesn't know it passes over.
func parseExtensions(lines []string) extensions {
	var ext extensions
	for i, line := range lines {
		// "AUTH=LOGIN" is how servers spelled it before RFC 2554, and some still do beside the real one.
		fields := strings.Fields(strings.ToUpper(strings.Replace(line, "AUTH=", "AUTH ", 1)))
		if i == 0 || len(fields) == 0 {
			continue
		}
		switch fields[0] {
		case "PIPELINING":
			ext.pipelining = true
		case "8BITMIME":
			ext.eightBit = true
		case "SMTPUTF8":
			ext.utf8 = true
		case "STARTTLS":
			ext.startTLS = true
		case "CHUNKING":
			ext.chunking = true
		case "DSN":
			ext.dsn = true
		case "PIPECONNECT", "X_PIPE_CONNECT":
			ext.early = true
		case "LIMITS":
			ext.limits(fields[1:])
		case "SIZE":
			ext.size = true
			if len(fields) > 1 {
				// RFC 1870 §4: absent or 0 is no fixed limit; so is what can't be a limit.
				n, err := strconv.ParseInt(fields[1], 10, 64)
				if err == nil && n > 0 {
					ext.maxSize = n
				}
			}
		case "AUTH":
			ext.auth = append(ext.auth, fields[1:]...)
		}
	}
	return ext
}

// limits reads the LIMITS of a server (RFC 9422 §3).
func (ext *extensions) limits(words []string) {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			continue
		}
		switch name {
		case "MAILMAX":
			ext.maxMessages = n
		case "RCPTMAX":
			ext.maxRecipients = n
		}
	}
}

// greeting waits for the server's first words (RFC 5321 §3.1).
func (c *Client) greeting() *Error {
	rep, err := c.reply("greeting")
	if err != nil {
		return err
	}
	if rep.class() != 2 {
		return replyError("greeting", rep)
	}
	return nil
}

// hello says EHLO, or HELO to a server that doesn't know that (RFC 5321 §3.2).
func (c *Client) hello() *Error {
	f := launch(c.conn, []byte(c.ehlo()))
	defer f.land()
	rep, err := c.reply("EHLO")
	if err != nil {
		return err
	}
	if rep.class() == 2 {
		c.offered(rep)
		return nil
	}
	if rep.class() != 5 {
		return replyError("EHLO", rep)
	}
	c.offered(reply{})
	rep, err = c.command("HELO", "HELO "+c.opt.Hello)
	if err != nil {
		return err
	}
	if rep.class() != 2 {
		return replyError("HELO", rep)
	}
	return nil
}

func (c *Client) ehlo() string { return "EHLO " + c.opt.Hello + "\r\n" }

// offered keeps an EHLO reply. What the server said before doesn't count any more.
func (c *Client) offered(rep reply) {
	c.ext = parseExtensions(rep.lines)
	c.known.Lines = bounded(rep.lines)
}

// upgrade is STARTTLS (RFC 3207 §4), which may have been sent already. EHLO must follow it: what the server said before may have been anybody's words.
func (c *Client) upgrade(sent bool) *Error {
	if !c.ext.startTLS {
		return &Error{
			Command: "STARTTLS", Err: errors.New("the server does not offer STARTTLS"),
			Hint: "nothing is sent without TLS: check port and TLS mode (465 implicit, 587 starttls); something on the way may strip it",
		}
	}
	ask := c.command
	if sent {
		ask = func(name, _ string) (reply, *Error) { return c.reply(name) }
	}
	rep, err := ask("STARTTLS", "STARTTLS")
	if err != nil {
		return err
	}
	if rep.class() != 2 {
		return replyError("STARTTLS", rep)
	}
	// Whoever could write into the plain text may have put replies behind this one, to be read as if they had come protected.
	if c.in.buffered() > 0 {
		return &Error{
			Command: "STARTTLS", Err: errors.New("the server, or somebody on the way, sent more before TLS began"),
			Hint: "this is how an attack on STARTTLS looks: use implicit TLS (port 465) if the provider has it",
		}
	}
	return c.startTLS()
}

// startTLS puts TLS between SMTP and the line. The reader is a new one: not an octet from before survives.
func (c *Client) startTLS() *Error {
	conn, err := c.line.StartTLS(c.ctx, c.opt.TLSConfig)
	if err != nil {
		return tlsError(c.opt.Timeout, err)
	}
	c.conn, c.in = conn, newReplyReader(conn)
	return nil
}
