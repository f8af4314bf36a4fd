package lmtp

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/patience"
)

// Error is why the connection or a recipient failed.
type Error struct {
	// Command is what it happened at: "greeting", "LHLO" or "EHLO", "STARTTLS", "TLS", "AUTH PLAIN", "MAIL", "RCPT", "DATA", "RSET";
	// "content" is the message itself and the reply to it.
	Command string
	// Code is the server's, zero where it said nothing. Enhanced is its code by RFC 3463, or one of ours where we refuse ourselves; may be empty.
	Code     int
	Enhanced string
	// Line is the server's reply in its own words, lines joined by a blank; empty where it said nothing. Never a secret.
	Line string
	// Temporary: the same may succeed later. False: nothing will change until a person does something.
	Temporary bool
	// Hint is what a person can do about it; may be empty. Error doesn't contain it.
	Hint string
	// Err is the cause below, or our own reason; nil where Line says it.
	Err error
}

func (e *Error) Error() string {
	switch {
	case e.Line != "" && e.Err != nil:
		return fmt.Sprintf("office server: %s: %v: %s", e.Command, e.Err, e.Line)
	case e.Line != "":
		return fmt.Sprintf("office server: %s: %s", e.Command, e.Line)
	}
	return fmt.Sprintf("office server: %s: %v", e.Command, e.Err)
}

// Unwrap gives the cause, so that errors.Is finds a context's end or a body's own error.
func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }

var (
	errNotMail  = errors.New("the server speaks neither LMTP nor SMTP")
	errNotLMTP  = errors.New("the server does not speak LMTP")
	errMisfit   = errors.New("the reply doesn't fit the command")
	errSize     = errors.New("the message's size is not what it should be")
	errDeparted = errors.New("the connection is closed")
)

func closedError() *Error { return &Error{Command: "connection", Temporary: true, Err: errDeparted} }

// lostError is a connection that ended, fell silent, or speaks something else, silence being what the patience was.
func lostError(command string, silence time.Duration, err error) *Error {
	switch {
	case errors.Is(err, errNotLMTP):
		return &Error{Command: command, Err: err, Hint: "set the server's protocol to smtp, or give the port of its LMTP service"}
	case errors.Is(err, errNotMail):
		return &Error{
			Command: command, Temporary: true, Err: err,
			Hint: "check host, port and TLS mode; something else than a mail server may have answered",
		}
	}
	return &Error{Command: command, Temporary: true, Err: patience.Lost(err, silence)}
}

// refused is a reply that go-smtp takes for a refusal.
func refused(command string, r *smtp.SMTPError) *Error {
	e := &Error{Command: command, Code: r.Code, Line: line(r), Temporary: r.Code/100 == 4, Hint: hintFor(r.Code)}
	if r.EnhancedCode != (smtp.EnhancedCode{}) && r.EnhancedCode[0] == r.Code/100 {
		e.Enhanced = fmt.Sprintf("%d.%d.%d", r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2])
	}
	if r.Code/100 != 4 && r.Code/100 != 5 {
		// An answer to some other question: the two sides are out of step, which another connection may mend.
		e.Temporary, e.Err = true, errMisfit
	}
	// RFC 5321 §4.5.3.1.10: 552 for RCPT is an old way to say 452, unless the enhanced code says that it is about the mailbox.
	if command == "RCPT" && r.Code == 552 && (e.Enhanced == "" || e.Enhanced == "5.5.3") {
		e.Temporary = true
	}
	return e
}

// ends says whether a refusal is about the connection or its settings, and not about the message or the recipient that it answers.
func (e *Error) ends() bool {
	switch e.Code {
	case 421, 530, 534, 535, 538: // not 454, with which Postfix refuses single recipients as well
		return true
	}
	return errors.Is(e.Err, errMisfit)
}

func hintFor(code int) string {
	switch code {
	case 421:
		return "the server ended the connection itself; it is tried again"
	case 454:
		return "the server can't check passwords or start TLS just now; it is tried again"
	case 530:
		return "the server wants a log-in or TLS first: set user, password and TLS for it, or let it trust this computer's address"
	case 534, 538:
		return "the server wants another way to log in than PLAIN"
	case 535:
		return "user name or password was refused: check both"
	}
	return ""
}

// tlsError is a handshake that failed: for good where somebody has to mend something, else as a lost connection.
func tlsError(silence time.Duration, err error) *Error {
	if hint, bad := patience.Refused(err, "implicit or starttls"); bad {
		return &Error{Command: "TLS", Err: err, Hint: hint}
	}
	return &Error{Command: "TLS", Temporary: true, Err: patience.Lost(err, silence)}
}

// bodyError is a message that can't be read, or isn't what it should be; its server was told nothing of it, or not the end.
func bodyError(err error) *Error {
	return &Error{
		Command: "content", Temporary: true, Err: err,
		Hint: "the message could not be read here and was broken off, so that nobody takes it for whole",
	}
}

// line is the reply in one line, as the server sent it but for the enhanced code of further lines, which go-smtp removes.
func line(r *smtp.SMTPError) string {
	text := r.Message
	if r.EnhancedCode != (smtp.EnhancedCode{}) {
		text = fmt.Sprintf("%d.%d.%d %s", r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2], text)
	}
	return words(r.Code, text)
}

// words is a reply of one or more lines in one.
func words(code int, text string) string {
	return patience.Legible(strings.TrimRight(fmt.Sprintf("%d %s", code, strings.ReplaceAll(text, "\n", " ")), " "))
}
