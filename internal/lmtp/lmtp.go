// Package lmtp hands mail to a mail server on the office network, such as Exchange, Postfix or Dovecot, by LMTP (RFC 2033) or SMTP over a
// connection that somebody else has opened.
//
// It owns what go-smtp's client leaves to its caller: TLS, patience, bounds, the end of a context, and what may be claimed of a message
// when something breaks. It does not dial, resolve, queue, or try again. The flow is
//
//	Open     greeting, LHLO or EHLO, STARTTLS and that again, AUTH PLAIN
//	Deliver  one message to its recipients in one transaction, a Result for each; again as often as there is mail
//	Quit     goodbye
//
// and Deliver, the func, is all three. Round trips are not saved, as they cost nothing on such a network; the lines to a smarthost, where
// they do, are package relay's.
//
// # What a Result says
//
// No Result claims more than was heard. With LMTP the server answers for each recipient when it has the content (RFC 2033 §4.2), and may
// have it for some and not for others. With SMTP one answer holds for all whom it took. Where the answer didn't come though all had left
// that the server needs, the Result is temporary and Doubtful: the recipient may get it twice when it is sent again (RFC 5321 §4.5.3.2.6).
// That is from the final dot on. A recipient of whom nothing was heard has no Result, and Deliver an error.
//
// A server that wants no more recipients gets the others in further transactions of the same call.
//
// # What the content may do
//
// The content goes out as it is, in eight bits and with NUL, also to a server without 8BITMIME: mail systems that are not 8-bit clean
// died out, and this one is the office's own. BODY=8BITMIME and SIZE are said where they are offered; SMTPUTF8 only where it is needed
// too. What changes is what RFC 5321 §2.3.8 demands, so that no two servers can disagree on where a message ends: a lone CR or LF becomes
// CRLF, and NULs between the beginning of a line and a dot are dropped. A last line without an end gets one, and a message of nothing is an empty line.
//
// What the server makes of it is its own: see the tests against Dovecot and Postfix in internal/peers.
//
// # Silence
//
// No step has a time limit of its own. A connection is given up when nothing moves on it, in either direction, for Options.Timeout.
package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/patience"
)

// TLSMode says how a connection is protected.
type TLSMode string

// The TLS modes. None falls back to another.
const (
	TLSNone     TLSMode = "none"     // never encrypted
	TLSImplicit TLSMode = "implicit" // TLS from the first octet (RFC 8314 §3.3)
	TLSStart    TLSMode = "starttls" // STARTTLS before anything else (RFC 3207); never falls back to plain text
)

const (
	// defaultTimeout is what RFC 5321 §4.5.3.2 gives most commands. Nobody pays for waiting on the office network.
	defaultTimeout = 5 * time.Minute
	// finalFactor times Timeout is what a reply to the content may take: ten minutes (RFC 5321 §4.5.3.2.6), as giving up may deliver twice.
	finalFactor = 2
	// quitPatience is for the reply to QUIT. Nothing hangs on it.
	quitPatience = 5 * time.Second
)

// Options are what a connection needs. TLS must be set; forgetting it is an error, not plain text.
type Options struct {
	// LMTP: speak RFC 2033. False: SMTP.
	LMTP bool
	// Hello is the name for LHLO or EHLO: a domain or an address literal. Empty means "localhost".
	Hello string
	TLS   TLSMode
	// TLSConfig must have ServerName set unless TLS is TLSNone.
	TLSConfig *tls.Config
	// User and Password are for AUTH PLAIN; with an empty User there is none.
	User, Password string
	// AllowPlainAuth lets the password go over a connection without TLS. Without it Open refuses to.
	AllowPlainAuth bool
	// Timeout is the silence allowed: nothing moves either way. Zero means 5 minutes. The replies to a message's content may take twice that.
	Timeout time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.Hello == "" {
		o.Hello = "localhost"
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	switch {
	case strings.ContainsFunc(o.Hello, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return o, fmt.Errorf("the name %q to greet with is not a domain name", o.Hello)
	case o.TLS == TLSNone:
	case o.TLS != TLSImplicit && o.TLS != TLSStart:
		return o, fmt.Errorf("unknown TLS mode %q", o.TLS)
	case o.TLSConfig == nil:
		return o, errors.New("TLS is asked for without a TLS configuration")
	}
	return o, nil
}

// Client is a connection to a server, ready for Deliver. One goroutine uses it at a time; only Close may be called by any other, at any
// time. The memory it takes is bounded whatever the server sends.
type Client struct {
	line *patience.Conn // beneath TLS; closing it ends everything
	wire *wire          // what smtp speaks on
	smtp *smtp.Client
	opt  Options
	// err is why the connection can't be used any more; nil while it can.
	err *Error
}

// Open takes conn over, brings it to where messages can be handed over, and closes it if it can't. Errors are *Error. Temporary is false
// where another attempt with the same settings would end the same way. When ctx ends the connection is closed at once.
func Open(ctx context.Context, conn net.Conn, opt Options) (*Client, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		_ = conn.Close()
		return nil, &Error{Command: "configuration", Err: err}
	}
	c := &Client{line: patience.New(conn, opt.Timeout), opt: opt}
	end := c.begin(ctx)
	if e := c.establish(ctx); e != nil {
		c.fail(ctx, e)
	}
	if end(); c.err != nil {
		return nil, c.err
	}
	return c, nil
}

// Deliver is Open, the delivery of one message, and Quit. Its results and its error are those of Client.Deliver; where Open fails there are no results.
func Deliver(ctx context.Context, conn net.Conn, opt Options, m Message) ([]Result, error) {
	c, err := Open(ctx, conn, opt)
	if err != nil {
		return nil, err
	}
	results, err := c.Deliver(ctx, m)
	c.Quit(ctx)
	return results, err
}

// Usable says whether Deliver may be called again. Where it is false the connection is closed already. A server may have closed an idle
// connection without this being known: then the next Deliver fails without any result, and it is worth to try once on a fresh connection.
func (c *Client) Usable() bool { return c.err == nil }

// Quit says goodbye, if that can still be said, and closes the connection. It waits 5 s at most, and no longer than ctx.
func (c *Client) Quit(ctx context.Context) {
	if c.err == nil {
		end := c.begin(ctx)
		c.line.SetPatience(quitPatience)
		_ = c.smtp.Quit()
		end()
	}
	_ = c.Close()
	c.err = closedError()
}

// Close ends the connection without a word. It may be called at any time from anywhere; a call under way then fails at once.
func (c *Client) Close() error { return c.line.Close() }

// begin ties the connection to ctx for the time of one call; the caller calls what it returns when nothing uses the connection any more.
func (c *Client) begin(ctx context.Context) (end func()) {
	if ctx.Err() != nil {
		c.fail(ctx, closedError())
	}
	stop := context.AfterFunc(ctx, func() { _ = c.line.Close() })
	return func() {
		if !stop() && c.err == nil {
			c.fail(ctx, closedError())
		}
	}
}

// fail closes the connection and keeps the first reason. A context that has ended is the reason behind any failure of the connection, but
// never replaces the words of the server.
func (c *Client) fail(ctx context.Context, e *Error) {
	_ = c.line.Close()
	if c.err != nil {
		return
	}
	if ctx.Err() != nil && e.Code == 0 {
		e = &Error{Command: e.Command, Temporary: true, Err: ended(ctx)}
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
