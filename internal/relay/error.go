package relay

import (
	"errors"
	"fmt"
	"time"

	"outpost/internal/patience"
)

// Error is why the connection or a recipient failed.
type Error struct {
	// Command is what it happened at: "greeting", "EHLO", "STARTTLS", "TLS", "AUTH PLAIN", "MAIL", "RCPT", "DATA", "QUIT";
	// "content" is the message itself and the reply to it.
	Command string
	// Code is the server's, zero where it said nothing. Enhanced is its code by RFC 3463, or one of ours where we refuse ourselves.
	Code     int
	Enhanced string
	// Line is the server's reply in its own words, lines joined by a blank; empty where it said nothing. Never a secret.
	Line string
	// Temporary: the same may succeed on another call. False: nothing will change until a person does something.
	Temporary bool
	// Hint is what a person can do about it; may be empty. Error doesn't contain it.
	Hint string
	// Err is the cause below, or our own reason; nil where Line says it.
	Err error
}

func (e *Error) Error() string {
	switch {
	case e.Line != "" && e.Err != nil:
		return fmt.Sprintf("smtp: %s: %v: %s", e.Command, e.Err, e.Line)
	case e.Line != "":
		return fmt.Sprintf("smtp: %s: %s", e.Command, e.Line)
	case e.Command == "":
		return fmt.Sprintf("smtp: %v", e.Err)
	}
	return fmt.Sprintf("smtp: %s: %v", e.Command, e.Err)
}

// Words is what a sender may be told: the server's own words, or ours with our code in front where we refuse ourselves.
func (e *Error) Words() string {
	switch {
	case e.Line != "":
		return e.Line
	case e.Enhanced != "" && e.Err != nil:
		return e.Enhanced + " " + e.Err.Error()
	}
	return e.Error()
}

// Unwrap gives the cause, so that errors.Is finds a context's end or a body's own error.
func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }

// replyError is a refusal by the server.
func replyError(command string, r reply) *Error {
	e := &Error{
		Command: command, Code: r.code, Enhanced: r.enhanced(), Line: r.String(),
		Temporary: r.class() == 4,
	}
	if r.class() != 4 && r.class() != 5 {
		// Not a refusal but an answer to some other question. The two sides are out of step, which another connection may mend.
		e.Temporary, e.Err = true, errors.New("the reply doesn't fit the command")
		return e
	}
	// RFC 5321 §4.5.3.1.10: 552 for RCPT is an old way to say "too many recipients" and means 452, unless the enhanced code
	// says that it is about the mailbox.
	if command == "RCPT" && r.code == 552 && (e.Enhanced == "" || e.Enhanced == "5.5.3") {
		e.Temporary = true
	}
	e.Hint = hintFor(r.code)
	return e
}

func hintFor(code int) string {
	switch code {
	case 421:
		return "the server ended the connection itself; it is tried again on the next call"
	case 454:
		return "the server can't check passwords just now; it is tried again on the next call"
	case 530:
		return "the server wants a log-in or TLS first: set user, password and TLS for the smarthost"
	case 534, 538:
		return "the server wants another way to log in; some providers need an application password"
	case 535:
		return "user name or password was refused: check both; some providers need an application password"
	}
	return ""
}

// lostError is a connection that ended or fell silent. The cause is kept; words for the usual ones.
func lostError(command string, silence time.Duration, err error) *Error {
	if errors.Is(err, errNotSMTP) {
		return &Error{
			Command: command, Temporary: true, Err: err,
			Hint: "check host, port and TLS mode; something else than a mail server may have answered",
		}
	}
	return &Error{Command: command, Temporary: true, Err: patience.Lost(err, silence)}
}

// tlsError is a handshake that failed: for good where somebody has to mend something, else as a lost connection.
func tlsError(silence time.Duration, err error) *Error {
	if hint, refused := patience.Refused(err, "465 implicit, 587 starttls"); refused {
		return &Error{Command: "TLS", Err: err, Hint: hint}
	}
	return lostError("TLS", silence, err)
}
