package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/knadh/go-pop3"
)

const (
	// maxListing bounds LIST and UIDL: 100,000 messages with UIDLs of 70 characters.
	maxListing = 8 << 20
	// retrSlack and retrFactor bound RETR by the size in LIST: servers that count LF for CRLF are off by half at most, dots to
	// stuff double at most, and gateways add headers as they send. Some can't tell sizes and list all as nothing, which is
	// borne up to the slack.
	retrSlack  = 1 << 20
	retrFactor = 2
)

// session is a connection on which the commands of RFC 1939 can be given.
type session struct {
	wire *wire
	conn *pop3.Conn
	opt  Options
}

// dialer gives go-pop3 the connection that is there.
type dialer struct{ conn net.Conn }

func (d dialer) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// open is everything up to a box that is locked for us.
func (s *session) open(ctx context.Context) *Error {
	if s.opt.TLS == TLSImplicit {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	if err := s.greeting(); err != nil {
		return err
	}
	if s.opt.TLS == TLSStart {
		if err := s.stls(ctx); err != nil {
			return err
		}
	}
	return s.login()
}

// greeting is where go-pop3 takes the connection over.
func (s *session) greeting() *Error {
	s.wire.owe(due{command: "greeting"})
	conn, err := pop3.New(pop3.Opt{Dialer: dialer{s.wire}}).NewConn()
	if e := s.outcome("greeting", err); e != nil {
		return e
	}
	s.conn = conn
	return nil
}

// stls asks for TLS without asking first whether there is any (RFC 2595 §4): a refusal ends the session either way. Nothing that was said
// before is used after it.
func (s *session) stls(ctx context.Context) *Error {
	if err := s.command(due{command: "STLS"}, "STLS"); err != nil {
		if err.Line != "" {
			err.Temporary = false
			err.Hint = "nothing is sent without TLS: check port and TLS mode (995 implicit, 110 starttls); something on the way may strip it"
		}
		return err
	}
	return s.startTLS(ctx)
}

func (s *session) startTLS(ctx context.Context) *Error {
	err := s.wire.startTLS(ctx, s.opt.TLSConfig)
	switch {
	case errors.Is(err, errUnbidden):
		return &Error{
			Command: "STLS", Err: err,
			Hint: "this is how an attack on STLS looks: use implicit TLS (port 995) if the provider has it",
		}
	case err != nil:
		return tlsError(s.opt.Timeout, err)
	}
	return nil
}

func (s *session) login() *Error {
	if s.opt.TLS == TLSNone && !s.opt.AllowPlainAuth {
		return &Error{
			Command: "USER", Err: errors.New("the password is not sent over a connection without TLS"),
			Hint: "set TLS to implicit or starttls; only where the way is trusted, allow plain authentication",
		}
	}
	if s.opt.User == "" || strings.ContainsAny(s.opt.User+s.opt.Password, "\r\n\x00") {
		return &Error{Command: "USER", Err: errors.New("user or password can't be sent: no user, or a line end in one of them")}
	}
	for _, c := range []struct{ name, arg string }{{"USER", s.opt.User}, {"PASS", s.opt.Password}} {
		if err := s.command(due{command: c.name}, c.name+" "+c.arg); err != nil {
			err.Line = s.mask(err.Line)
			return err
		}
	}
	return nil
}

// mask keeps the password out of what is shown of a reply, should a server repeat it. A shorter one would show by what is masked.
func (s *session) mask(line string) string {
	if len(s.opt.Password) < 4 {
		return line
	}
	return strings.ReplaceAll(line, s.opt.Password, "***")
}

// command sends a line and reads the status that answers it. *Error has a Line if the server said -ERR; else the connection is over.
func (s *session) command(d due, line string) *Error {
	if s.wire.err != nil {
		return lostError(d.command, s.opt.Timeout, s.wire.err)
	}
	s.wire.owe(d)
	if err := s.conn.Send(line); err != nil {
		// The server may have said why before it closed.
		if _, err := s.conn.ReadOne(); err == nil || len(s.wire.statuses) > 0 {
			return s.outcome(d.command, err)
		}
		return lostError(d.command, s.opt.Timeout, err)
	}
	_, err := s.conn.ReadOne()
	return s.outcome(d.command, err)
}

// outcome is what the next status says; err is why there may be none. The wire knows better than go-pop3, whose errors don't tell a
// refusal from a connection that died.
func (s *session) outcome(command string, err error) *Error {
	status, there := s.wire.take()
	if !there {
		return lostError(command, s.opt.Timeout, err)
	}
	if ok, _ := parseStatus(status); !ok {
		return refusal(command, status)
	}
	return nil
}

// listing gives a command that answers with lines, and the lines.
func (s *session) listing(command string) ([]string, *Error) {
	text, err := s.text(due{command: command, multi: true, limit: maxListing}, command)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(text.String(), "\r\n")
	return lines[:len(lines)-1], nil
}

// retrieve gives the text of a message.
func (s *session) retrieve(number int, size int64) (*bytes.Buffer, *Error) {
	command := fmt.Sprintf("RETR %d", number)
	return s.text(due{command: command, multi: true, limit: retrFactor*size + retrSlack}, command)
}

func (s *session) text(d due, line string) (*bytes.Buffer, *Error) {
	if err := s.command(d, line); err != nil {
		return nil, err
	}
	text, err := s.conn.ReadAll()
	if err != nil {
		return nil, lostError(d.command, s.opt.Timeout, err)
	}
	return text, nil
}

// simple gives a command that answers with a status only.
func (s *session) simple(command string) *Error {
	return s.command(due{command: command}, command)
}

// lost says that the connection can't be used any more: err is not just a -ERR.
func lost(err *Error) bool { return err != nil && err.Line == "" }
