// Package relay hands mail to the provider's smarthost over a connection that somebody else has opened.
//
// It owns the SMTP client's half of the dialogue and nothing of what lies around it: no dialling, no names to resolve, no queue, no
// second try. The flow is
//
//	Open   greeting, EHLO, STARTTLS and EHLO again, AUTH: as few round trips as what is Known of the server allows
//	Drain  the messages, one Result for each recipient, and QUIT
//	Known  what to remember for the next time
//
// Nothing waits for a reply that the protocol does not make it wait for. With CHUNKING (RFC 3030) and PIPELINING (RFC 2920) all messages
// and QUIT are under way at once, as far as Options.Window allows: one round trip for any number of them. With PIPELINING alone the
// content of one goes with the envelope of the next: a round trip a message and one more. Without it, one for each command. Before its
// greeting only a server is spoken to that was seen to offer that (PIPECONNECT): with others it saves nothing, as Nagle's algorithm
// (RFC 896) holds their reply to an early EHLO back until the greeting is acknowledged, and RFC 5321 §4.3.1 says to wait.
//
// # What a Result says
//
// The invariant is that no Result claims more than was heard. A recipient is accepted only when the server answered RCPT and then the
// content with a full 2xx reply. It has failed, with the server's own words, when one of the two was refused. Everything else, such as
// a line that dies or a context that ends, is a temporary failure; and if by then all had left that the server needs to accept the
// message, the Result is Doubtful as well: the server may hold it (RFC 5321 §4.5.3.2.6 is about this window), and the recipient may get
// it twice when it is sent again. After DATA that is the first octet of the line with the final dot, after BDAT the last octet of the
// last chunk. Before it no server can have accepted anything, so those Results are never Doubtful. Several messages may be in doubt at
// once; those behind the one whose turn it was that are not in doubt are Untried.
//
// What was refused of one message never gets into another: unless the one before is known to have left nothing open, MAIL goes behind
// RSET in the same group.
//
// # What the content may do
//
// The content goes out as lines ended by CRLF with dots stuffed, whatever came in: a lone CR or LF becomes CRLF and NUL is dropped. So
// the only CRLF.CRLF on the wire is ours, and no two servers can disagree on where the message ends (RFC 5321 §4.1.1.4). For a server
// with 8BITMIME it is not touched beyond that. One that doesn't offer it gets parts with octets over 127 as quoted-printable or base64
// (RFC 6152 §3), whichever is shorter for a text; the content is read once before for that. Either all bodies are in seven bits then,
// or the message goes as it is: where it is signed or encrypted (DKIM, PGP, S/MIME), as the signature is worth more than the rule and
// servers that are not 8-bit clean died out, and where its MIME is malformed, as nobody could say what was changed.
//
// Octets over 127 in a header stay. A message whose header alone is internationalised is sent without SMTPUTF8 where that is not offered;
// only addresses outside ASCII, which such a server cannot carry, are refused. BINARYMIME (RFC 3030 §3) is never asked for: all content
// is in lines, so there is nothing that needs it. Lines over 998 octets are left to the server to judge.
//
// # Reports to the sender
//
// What the sender wants to be told (RFC 3461) goes on to a server with DSN, which has to tell him from then on: Result.DSN. Where nothing was
// asked, or the server hasn't DSN, the commands are as they would be without all that.
//
// # Silence
//
// No step has a time limit of its own. A connection is given up when nothing moves on it, in either direction, for Options.Timeout, so a
// large message on a slow line may take hours while a dead line is noticed in a minute and a half.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"outpost/internal/patience"
)

// TLSMode says how a connection is protected.
type TLSMode string

// The TLS modes. None falls back to another.
const (
	TLSNone     TLSMode = "none"     // never encrypted
	TLSImplicit TLSMode = "implicit" // TLS from the first octet (RFC 8314 §3.3), port 465
	TLSStart    TLSMode = "starttls" // STARTTLS before anything else (RFC 3207), ports 587 and 25; never falls back to plain text
)

const (
	// defaultTimeout outlives the 70 seconds for which satellite lines are known to fall silent and still carry on.
	defaultTimeout = 90 * time.Second
	// finalFactor times Timeout is what the reply to the content may take. The far end of the content may still be in buffers of
	// the system when its last octet has been written, 64 KiB are four minutes and a half at 2400 bit/s, and giving up here may
	// send the message twice. RFC 5321 §4.5.3.2.6 asks for ten minutes, of somebody who does not pay for them.
	finalFactor = 4
)

// Options are what a connection needs. TLS must be set; forgetting it is an error, not plain text.
type Options struct {
	// Hello is the name for EHLO (RFC 5321 §4.1.1.1): a domain or an address literal. Empty means "localhost".
	Hello string
	TLS   TLSMode
	// TLSConfig must have ServerName set unless TLS is TLSNone.
	TLSConfig *tls.Config
	// User and Password are for AUTH; with an empty User there is none.
	User, Password string
	// AllowPlainAuth lets the password go over a connection without TLS. Without it Open refuses to.
	AllowPlainAuth bool
	// Timeout is the silence allowed on the line: nothing moves either way. Zero means 90 s.
	Timeout time.Duration
	// FinalTimeout is the silence allowed between the end of a message's content and the reply to it. Zero means four times Timeout.
	FinalTimeout time.Duration
	// Known is what an earlier connection to the same server has shown (Client.Known), nil if nothing. It is only read.
	Known *Known
	// Window is below how many octets of content, not answered by the server yet, more may be sent; one message always may. It bounds how
	// many messages are in doubt when the line dies. Zero means 64 KiB.
	Window int64
}

func (o Options) withDefaults() (Options, error) {
	if o.Hello == "" {
		o.Hello = "localhost"
	}
	if strings.ContainsFunc(o.Hello, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return o, fmt.Errorf("the EHLO name %q is not a domain name", o.Hello)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.FinalTimeout <= 0 {
		o.FinalTimeout = finalFactor * o.Timeout
	}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	switch o.TLS {
	case TLSNone:
	case TLSImplicit, TLSStart:
		if o.TLSConfig == nil {
			return o, errors.New("TLS is asked for without a TLS configuration")
		}
	default:
		return o, fmt.Errorf("unknown TLS mode %q", o.TLS)
	}
	return o, nil
}

// Client is a connection to a smarthost, ready for Drain. One goroutine uses it at a time; only Close may be called by any other, at
// any time. All memory it takes is bounded whatever the server sends, and no goroutine outlives a call.
type Client struct {
	line *patience.Conn // beneath TLS; closing it ends everything
	conn net.Conn       // what SMTP is spoken on: line, or TLS over it
	in   *replyReader   // reads conn
	opt  Options
	ext  extensions

	known Known // what to remember of the server

	// err is why the connection can't be used any more; nil while it can. During Drain its mutex guards it.
	err *Error
	// ctx is that of the call under way. It is kept only to name the cause when its end has closed the connection.
	ctx context.Context
}

// Open takes conn over, brings it to where messages can be sent, and closes it if it can't. Errors are *Error. Temporary is false where
// another attempt with the same settings would end the same way: a refused password, no STARTTLS, a certificate that doesn't fit.
// When ctx ends the connection is closed at once.
func Open(ctx context.Context, conn net.Conn, opt Options) (*Client, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		_ = conn.Close()
		return nil, &Error{Command: "configuration", Err: err}
	}
	line := patience.New(conn, opt.Timeout)
	c := &Client{line: line, conn: line, in: newReplyReader(line), opt: opt, known: recall(opt.Known)}
	defer c.begin(ctx)()
	if e := c.establish(); e != nil {
		c.fail(e)
	}
	if c.err != nil {
		return nil, c.err
	}
	c.known.At = time.Now()
	return c, nil
}

// establish is everything between a fresh connection and the first MAIL, with what is known of the server.
func (c *Client) establish() *Error {
	var known Known
	if c.opt.Known != nil {
		known = *c.opt.Known
	}
	fresh := true
	switch c.opt.TLS {
	case TLSNone:
	case TLSImplicit:
		if err := c.startTLS(); err != nil {
			return err
		}
	case TLSStart:
		sent, err := c.meet(known.Clear, true, "STARTTLS")
		if err != nil {
			return err
		}
		c.known.Clear = c.known.Lines
		if err := c.upgrade(sent); err != nil {
			return err
		}
		fresh = false
	}
	sent, err := c.meet(known.Lines, fresh, c.earlyLogin(known.Lines))
	if err != nil || c.opt.User == "" {
		return err
	}
	if sent {
		if done, err := c.heardLogin(); done || err != nil {
			return err
		}
	}
	return c.authenticate()
}

// Close ends the connection without a word. It may be called at any time from anywhere; a call under way then fails at once.
// There is no closing handshake of TLS: SMTP says itself where it ends, and the line is paid for.
func (c *Client) Close() error {
	return c.line.Close()
}

// begin ties the connection to ctx for the time of one call; the caller defers what it returns.
func (c *Client) begin(ctx context.Context) (end func()) {
	c.ctx = ctx
	if ctx.Err() != nil {
		c.fail(&Error{})
	}
	stop := context.AfterFunc(ctx, func() { _ = c.line.Close() })
	return func() {
		if !stop() {
			c.fail(&Error{})
		}
		c.ctx = nil
	}
}

// fail closes the connection and keeps the first reason for it in err. A context that has ended is the reason behind any
// failure of the connection, but never replaces the words of the server.
func (c *Client) fail(e *Error) {
	_ = c.line.Close()
	if c.err != nil {
		return
	}
	if c.ctx != nil && c.ctx.Err() != nil && e.Code == 0 {
		e = &Error{Command: e.Command, Temporary: true, Err: ended(c.ctx)}
	}
	c.err = e
}

// ended is why ctx has ended: its error, and the cause if it was given another.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
