package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"outpost/internal/patience"
)

// Error is why a session, or one message, failed.
type Error struct {
	// Command is what it happened at: "greeting", "TLS", "STLS", "CAPA", "USER", "PASS", "APOP", "AUTH", "LIST", "UIDL", "RETR 7",
	// "TOP 7", "DELE 7", "QUIT".
	Command string
	// Code is the response code of RFC 2449 §8 and RFC 3206 in upper case: "AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP",
	// "SYS/PERM"; empty where the server gave none.
	Code string
	// Line is the server's -ERR in its own words; empty where it said nothing. Never a secret.
	Line string
	// Temporary: the same may succeed on another call. False: nothing will change until a person does something.
	Temporary bool
	// Early: the session was begun on what was known of the server, before it had said anything, and may have failed of that. It is
	// worth one more try at once, on another connection, with Report.Known (nil, unless the server was not at fault) and without
	// Speculate.
	Early bool
	// Hint is what a person can do about it; may be empty. Error doesn't contain it.
	Hint string
	// Err is the cause below, or our own reason; nil where Line says it.
	Err error
}

func (e *Error) Error() string {
	if e.Line != "" {
		return fmt.Sprintf("pop3: %s: %s", e.Command, e.Line)
	}
	return fmt.Sprintf("pop3: %s: %v", e.Command, e.Err)
}

// Unwrap gives the cause, so that errors.Is finds a context's end or what Save returned.
func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }

// parseStatus takes a status line apart as far as go-pop3 understands it: the indicator, then nothing or a blank (RFC 1939 §3).
func parseStatus(status []byte) (ok, valid bool) {
	word, _, _ := bytes.Cut(status, []byte(" "))
	ok = string(word) == "+OK"
	return ok, ok || string(word) == "-ERR"
}

// responseCode is what stands in brackets first in a -ERR line (RFC 2449 §8), in upper case; "" if nothing does.
func responseCode(status []byte) string {
	_, text, _ := strings.Cut(string(status), " ")
	text, found := strings.CutPrefix(strings.TrimLeft(text, " "), "[")
	code, _, closed := strings.Cut(text, "]")
	if !found || !closed || code == "" || strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return ""
	}
	return strings.ToUpper(code)
}

const (
	hintInUse    = "the box is locked by another session: one that was cut and has not ended there yet, or another program with the same account"
	hintPassword = "user name or password was refused: check both; some providers want POP3 switched on, or an application password" //nolint:gosec // no password, but about one
)

// refusal is a -ERR. For most commands it may be otherwise next time; for the log-in that depends on what was said.
func refusal(command string, status []byte) *Error {
	e := &Error{Command: command, Code: responseCode(status), Line: patience.Legible(string(status)), Temporary: true}
	login := slices.Contains([]string{"USER", "PASS", "APOP", "AUTH", "greeting"}, command)
	class, _, _ := strings.Cut(e.Code, "/")
	switch {
	case e.Code == "SYS/PERM": // RFC 3206 §4
		e.Temporary, e.Hint = false, "the provider has to mend this: tell it what the server says"
	case class == "SYS":
	case class == "IN-USE": // RFC 2449 §8.1.2
		e.Hint = hintInUse
	case class == "LOGIN-DELAY": // RFC 2449 §8.1.1
		e.Hint = "the provider wants a longer time between log-ins: let the schedule call less often"
	case class == "AUTH": // RFC 3206 §5
		e.Temporary, e.Hint = false, hintPassword
	case login:
		e.guess()
	}
	return e
}

// guess reads the words of a server that gives no response code. The ones looked for are those of servers in use; where none is found, the
// password was refused, as that is what a log-in mostly fails of.
func (e *Error) guess() {
	said := strings.ToLower(e.Line)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("lock", "in use", "busy", "already", "another session", "another pop"):
		e.Hint = hintInUse
	case has("temporar", "try again", "try later", "later", "unavailable", "internal", "too many"), e.Command == "greeting":
	default:
		e.Temporary, e.Hint = false, hintPassword
	}
}

// lostError is a connection that ended, fell silent or lost its thread.
func lostError(command string, silence time.Duration, err error) *Error {
	e := &Error{Command: command, Temporary: true, Err: err}
	switch {
	case errors.Is(err, errNotPOP3):
		e.Hint = "check host, port and TLS mode; something else than a POP3 server may have answered"
	case errors.Is(err, errTooLong):
		e.Hint = "the server's LIST and what it sends don't agree; the message may have to be removed with the provider's web mail"
	case errors.Is(err, errUnbidden), errors.Is(err, errNotWanted):
	default:
		e.Err = patience.Lost(err, silence)
	}
	return e
}

// tlsError is a handshake that failed: for good where somebody has to mend something, else as a lost connection.
func tlsError(silence time.Duration, err error) *Error {
	if hint, refused := patience.Refused(err, "995 implicit, 110 starttls"); refused {
		return &Error{Command: "TLS", Err: err, Hint: hint}
	}
	return lostError("TLS", silence, err)
}
