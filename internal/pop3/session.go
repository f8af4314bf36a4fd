package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

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

	known      *Known // never nil once the session is open
	asked      bool   // known is of this session
	pipelining bool   // RFC 2449 §6.6
	greeted    bool
	early      bool   // something was sent before the greeting
	trying     bool   // SASL PLAIN is tried where USER and PASS have done
	speculate  bool   // RETR 1 may be sent before it is known what there is
	ahead      bool   // LIST, UIDL, and RETR 1 if speculate, were sent with the log-in
	said       string // the last status line
	welcome    string // the greeting
	writing    sync.WaitGroup
	secret     string
	secrets    []string // in every form in which they are sent
}

// dialer gives go-pop3 the connection that is there.
type dialer struct{ conn net.Conn }

func (d dialer) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// newSession takes conn over. Nothing is sent or read yet.
func newSession(conn net.Conn, opt Options) (*session, error) {
	w := newWire(conn, opt.Timeout)
	c, err := pop3.New(pop3.Opt{Dialer: dialer{w}}).NewConn()
	return &session{wire: w, conn: c, opt: opt}, err
}

// open is everything up to a box that is locked for us, and what is sent along with it.
func (s *session) open(ctx context.Context) *Error {
	if err := s.credentials(ctx); err != nil {
		return err
	}
	known := s.opt.Known.fresh(s.opt.Now())
	if known {
		s.learn(s.opt.Known)
	}
	err := s.secure(ctx)
	if err == nil && (!s.pipelining || s.opt.Mechanism == MechanismAPOP) {
		err = s.greeting()
	}
	if err == nil && !known {
		err = s.capabilities()
	}
	if err == nil {
		err = s.enter()
	}
	if err != nil && (s.early || s.trying) {
		err.Early = err.Command == "greeting" && err.Code == "" || lost(err) && err.Temporary || s.refusedPlain(err)
	}
	return err
}

// learn takes note of what the server can do.
func (s *session) learn(k *Known) {
	s.known = k
	s.pipelining = k.has("PIPELINING", "")
}

// keep is what the next session should know, after this one was opened or failed to be. A log-in that was refused without a code may have
// been refused for what we took for known.
func (s *session) keep(err *Error) *Known {
	switch {
	case err == nil, s.asked && !err.Early:
		return s.known
	case s.refusedPlain(err):
		return &Known{NoPlain: true} // and nothing else: the server is asked again
	case err.Early, err.Line != "" && err.Code == "":
		return nil
	}
	return s.opt.Known
}

// secure brings TLS up, in the way that was chosen.
func (s *session) secure(ctx context.Context) *Error {
	switch s.opt.TLS {
	case TLSImplicit:
		return s.startTLS(ctx)
	case TLSStart:
		return s.stls(ctx)
	default:
		return nil
	}
}

// greeting is read once, before anything is sent or when first a reply is read.
func (s *session) greeting() *Error {
	if s.greeted {
		return nil
	}
	if !s.early {
		s.wire.owe(due{command: "greeting"})
	}
	s.greeted = true
	err := s.reply("greeting")
	s.welcome = s.said
	return err
}

// capabilities asks what the server can do (RFC 2449 §5). One that doesn't know CAPA can nothing.
func (s *session) capabilities() *Error {
	s.send(step{due: due{command: "CAPA", multi: true, limit: maxListing}, line: "CAPA"})
	s.flush()
	lines, err := s.lines("CAPA")
	if lost(err) {
		return err
	}
	s.asked = true
	s.learn(&Known{
		At: s.opt.Now(), Capabilities: bounded(lines), NoPlain: s.opt.Known != nil && s.opt.Known.NoPlain,
	})
	return nil
}

// enter logs in; with PIPELINING it asks by the way what there is.
func (s *session) enter() *Error {
	steps, err := s.login()
	if err != nil {
		return err
	}
	group := steps
	if s.pipelining {
		group = append(group, listing("LIST"), listing("UIDL"))
		if s.speculate {
			group = append(group, retrieval(1, s.opt.MaxBytes))
		}
	}
	sent := 0
	for i, st := range steps {
		if i == sent {
			sent += s.group(group[sent:])
			s.ahead = sent > len(steps)
		}
		if err := s.greeting(); err != nil {
			return err
		}
		if err := s.answer(st); err != nil {
			return err
		}
	}
	return nil
}

// group sends what can be sent at once, and says how many steps that were.
func (s *session) group(steps []step) (sent int) {
	for _, st := range steps {
		s.send(st)
		sent++
		if !s.pipelining || st.wait {
			break
		}
	}
	s.flush()
	return sent
}

// stls asks for TLS without asking first whether there is any (RFC 2595 §4): a refusal ends the session either way. Nothing that was said
// before is used after it.
func (s *session) stls(ctx context.Context) *Error {
	if !s.pipelining {
		if err := s.greeting(); err != nil {
			return err
		}
	}
	s.send(simpleStep("STLS", "STLS"))
	s.flush()
	if err := s.greeting(); err != nil {
		return err
	}
	if err := s.reply("STLS"); err != nil {
		if err.Line != "" {
			err.Temporary = false
			err.Hint = "nothing is sent without TLS: check port and TLS mode (995 implicit, 110 starttls); something on the way may strip it"
		}
		return err
	}
	return s.startTLS(ctx)
}

func (s *session) startTLS(ctx context.Context) *Error {
	s.writing.Wait()
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

// listing is a command that answers with lines about all messages.
func listing(command string) step {
	return step{due: due{command: command, multi: true, limit: maxListing}, line: command}
}

// retrieval of a message that has about that size.
func retrieval(number int, size int64) step {
	command := fmt.Sprintf("RETR %d", number)
	return step{due: due{command: command, multi: true, limit: retrLimit(size)}, line: command}
}

func retrLimit(size int64) int64 { return retrFactor*size + retrSlack }

// send has a command ready to leave. Only one goroutine sends at a time.
func (s *session) send(st step) {
	s.writing.Wait()
	if !s.greeted && !s.early {
		s.early = true
		s.wire.owe(due{command: "greeting"})
	}
	s.wire.owe(st.due)
	_ = s.conn.Send(st.line) // into memory
}

// flush sends what is ready, beside the reading: a server may not read on before its greeting or its replies are read.
func (s *session) flush() {
	s.writing.Wait()
	s.writing.Go(func() { _ = s.wire.flush() })
}

// reply reads the status that comes next. *Error has a Line if the server said -ERR; else the connection is over. The wire knows better
// than go-pop3, whose errors don't tell a refusal from a connection that died, nor know what SASL says.
func (s *session) reply(command string) *Error {
	_, err := s.conn.ReadOne()
	status, there := s.wire.take()
	if !there {
		return lostError(command, s.opt.Timeout, err)
	}
	s.said = string(status)
	if isChallenge(status) {
		return nil
	}
	if ok, _ := parseStatus(status); !ok {
		return refusal(command, status)
	}
	return nil
}

// lines reads a reply that has lines.
func (s *session) lines(command string) ([]string, *Error) {
	if err := s.reply(command); err != nil {
		return nil, err
	}
	var all bytes.Buffer
	for {
		piece, err := s.wire.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, lostError(command, s.opt.Timeout, err)
		}
		all.Write(piece)
	}
	lines := strings.Split(all.String(), "\r\n")
	return lines[:len(lines)-1], nil
}

// inquire is a command that answers with lines, sent now unless it was before.
func (s *session) inquire(command string) ([]string, *Error) {
	if !s.ahead {
		s.send(listing(command))
		s.flush()
	}
	return s.lines(command)
}

// lost says that the connection can't be used any more: err is not just a -ERR.
func lost(err *Error) bool { return err != nil && err.Line == "" }
