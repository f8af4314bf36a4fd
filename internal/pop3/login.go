package pop3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // APOP is MD5 by standard (RFC 1939 §7), and used only where a person asks for it
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"outpost/internal/patience"
)

// Mechanism is how a user proves to be the one.
type Mechanism string

// The mechanisms. Only "" chooses, and only among those that send the password.
const (
	// MechanismAny is USER and PASS, or SASL PLAIN where the server offers it and that spares a round trip.
	MechanismAny Mechanism = ""
	// MechanismPlain is SASL PLAIN (RFC 4616).
	MechanismPlain Mechanism = "plain"
	// MechanismXOAUTH2 sends an access token of OAuth 2, as Google and Microsoft want it. It needs Options.Token.
	MechanismXOAUTH2 Mechanism = "xoauth2"
	// MechanismAPOP proves the password by MD5 (RFC 1939 §7): of no use but with servers that have nothing else.
	MechanismAPOP Mechanism = "apop"
)

// maxCommand is how long a command may be, with CRLF (RFC 2449 §4). A longer initial response of SASL goes in a line of its own, once the
// server has asked for it (RFC 5034 §4).
const maxCommand = 255

// step is a command of the log-in, or of what follows it.
type step struct {
	due
	line string
	wait bool // nothing can be sent behind it before it was answered
}

// simpleStep is a command that a status answers.
func simpleStep(command, line string) step { return step{due: due{command: command}, line: line} }

// credentials checks what can be checked before anything is sent, and fetches the token.
func (s *session) credentials(ctx context.Context) *Error {
	if s.opt.TLS == TLSNone && !s.opt.AllowPlainAuth {
		return &Error{
			Command: "USER", Err: errors.New("the password is not sent over a connection without TLS"),
			Hint: "set TLS to implicit or starttls; only where the way is trusted, allow plain authentication",
		}
	}
	secret := s.opt.Password
	if s.opt.Mechanism == MechanismXOAUTH2 {
		var err error
		if secret, err = s.opt.Token(ctx); err != nil {
			return &Error{Command: "AUTH", Temporary: true, Err: fmt.Errorf("no access token: %w", err)}
		}
	}
	if s.opt.User == "" || strings.ContainsAny(s.opt.User+secret, "\r\n\x00") {
		return &Error{Command: "USER", Err: errors.New("user or password can't be sent: no user, or a line end in one of them")}
	}
	s.secrets = []string{secret}
	s.secret = secret
	return nil
}

// login are the commands of the log-in. The greeting must be there for APOP, the capabilities always.
func (s *session) login() ([]step, *Error) {
	switch s.mechanism() {
	case MechanismPlain:
		return s.sasl("PLAIN", "\x00"+s.opt.User+"\x00"+s.secret), nil
	case MechanismXOAUTH2:
		return s.sasl("XOAUTH2", "user="+s.opt.User+"\x01auth=Bearer "+s.secret+"\x01\x01"), nil
	case MechanismAPOP:
		return s.apop()
	default:
		return []step{simpleStep("USER", "USER "+s.opt.User), simpleStep("PASS", "PASS "+s.secret)}, nil
	}
}

// mechanism chooses where there is a choice: one command instead of two, where commands have to wait for each other, and one reply
// instead of two, a packet less, where they don't. Only a server that an earlier session has logged in to by USER and PASS is tried so:
// if it refuses, it isn't the password, or the password is tried in vain twice in this call and once in the next.
func (s *session) mechanism() Mechanism {
	if s.opt.Mechanism != MechanismAny || !s.known.has("SASL", "PLAIN") || s.known.NoPlain {
		return s.opt.Mechanism
	}
	choice := s.pipelining && s.known.has("USER", "")
	if choice && s.asked {
		return MechanismAny
	}
	s.trying = choice
	return MechanismPlain
}

// refusedPlain says that a log-in that was chosen here was refused, and another one may not be.
func (s *session) refusedPlain(err *Error) bool {
	return err != nil && s.trying && err.Command == "AUTH" && err.Line != "" && (err.Code == "" || err.Code == "AUTH")
}

// sasl begins with the response (RFC 5034 §4), in one line if that may have its length.
func (s *session) sasl(name, response string) []step {
	encoded := base64.StdEncoding.EncodeToString([]byte(response))
	s.secrets = append(s.secrets, encoded)
	answer := step{due: due{command: "AUTH", goOn: true}, line: "AUTH " + name + " " + encoded}
	if len(answer.line)+len("\r\n") <= maxCommand {
		return []step{answer}
	}
	answer.line = encoded
	return []step{{due: due{command: "AUTH", goOn: true}, line: "AUTH " + name, wait: true}, answer}
}

// apop makes a digest of the greeting's time stamp and the password.
func (s *session) apop() ([]step, *Error) {
	_, stamp, open := strings.Cut(s.welcome, "<")
	stamp, _, closed := strings.Cut(stamp, ">")
	if !open || !closed || !strings.Contains(stamp, "@") {
		return nil, &Error{
			Command: "APOP", Err: errors.New("the greeting has no time stamp: the server doesn't offer APOP"),
			Hint: "leave the mechanism to the program, with TLS",
		}
	}
	digest := md5.Sum([]byte("<" + stamp + ">" + s.secret)) //nolint:gosec // see above
	return []step{simpleStep("APOP", "APOP "+s.opt.User+" "+hex.EncodeToString(digest[:]))}, nil
}

// answer reads what the server says to a step of the log-in.
func (s *session) answer(st step) *Error {
	err := s.reply(st.command)
	if err == nil {
		challenged := isChallenge([]byte(s.said))
		switch {
		case st.wait && !challenged:
			err = lostError(st.command, s.opt.Timeout, fmt.Errorf("%w: it took a log-in for done that had not begun", errNotPOP3))
		case !st.wait && challenged:
			err = s.rejected(st)
		}
	}
	if err != nil {
		err.Line = s.mask(err.Line)
	}
	return err
}

// rejected is a challenge where success or failure was expected: in XOAUTH2 it has the reason, and wants an answer before the -ERR
// comes. Where commands were sent ahead, the next of them was taken for that answer.
func (s *session) rejected(st step) *Error {
	_, challenge, _ := strings.Cut(s.said, " ")
	reason, err := base64.StdEncoding.DecodeString(strings.TrimSpace(challenge))
	if err != nil {
		reason = []byte(challenge)
	}
	if !s.ahead {
		s.send(simpleStep(st.command, ""))
		s.flush()
	}
	refused := s.reply(st.command)
	if refused == nil {
		return lostError(st.command, s.opt.Timeout, fmt.Errorf("%w: a log-in was accepted after it was rejected", errNotPOP3))
	}
	if refused.Line != "" {
		refused.Line += " (" + patience.Legible(string(reason)) + ")"
	}
	if !refused.Temporary && s.opt.Mechanism == MechanismXOAUTH2 {
		refused.Hint = "the access token was refused: sign in at the provider again, and allow POP3 there"
	}
	return refused
}

// isChallenge is a line of SASL (RFC 5034 §4).
func isChallenge(status []byte) bool {
	return string(status) == "+" || bytes.HasPrefix(status, []byte("+ "))
}

// mask keeps secrets out of what is shown of a reply, should a server repeat them. A shorter one would show by what is masked.
func (s *session) mask(line string) string {
	for _, secret := range s.secrets {
		if len(secret) >= 4 {
			line = strings.ReplaceAll(line, secret, "***")
		}
	}
	return line
}
