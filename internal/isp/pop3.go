package isp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

const (
	// maxPOPLine bounds a command line. RFC 2449 §4 allows 255 octets; the
	// rest is room for a SASL response (RFC 5034 §4).
	maxPOPLine = 4096
	// maxPOPErrors closes a connection that talks nonsense; providers allow
	// between 3 and 20.
	maxPOPErrors = 10
	// maxPOPLogins is how many wrong passwords a connection may try.
	maxPOPLogins = 3
)

// popSession is one POP3 connection (RFC 1939). It is in the AUTHORIZATION
// state while drop is nil, in TRANSACTION while it isn't, and passes through
// UPDATE within QUIT. One goroutine owns it.
type popSession struct {
	p      *Provider
	conn   net.Conn
	secure bool
	r      *bufio.Reader
	w      *bufio.Writer

	user     string // of USER, until PASS
	drop     *maildrop
	failures int // commands not understood
	refused  int // logins refused
	done     bool
}

// flushing is the reading side of a session: before it waits for the client
// it sends what was answered so far. So the replies to a pipelined group
// leave together (RFC 2449 §6.6), and none is held back while the client
// waits for it.
type flushing struct {
	conn net.Conn
	w    *bufio.Writer
}

func (f flushing) Read(b []byte) (int, error) {
	if err := f.w.Flush(); err != nil {
		return 0, err
	}
	return f.conn.Read(b)
}

// servePOP speaks POP3 on conn until QUIT or until the connection ends, and
// closes it. With secure TLS is up already.
func (p *Provider) servePOP(conn net.Conn, secure bool) {
	s := &popSession{p: p, secure: secure}
	s.use(conn)
	// The lock goes when the connection does, however that happens.
	defer func() {
		if s.drop != nil {
			s.drop.release()
		}
		_ = s.w.Flush()
		_ = s.conn.Close()
	}()
	s.ok("%s POP3 ready", p.POPHost())
	for !s.done {
		line, err := s.readLine()
		if err != nil {
			return
		}
		s.command(line)
		if s.failures >= maxPOPErrors {
			s.err("Too many errors, closing")
			return
		}
	}
}

// use makes conn the session's connection.
func (s *popSession) use(conn net.Conn) {
	s.conn = conn
	s.w = bufio.NewWriter(conn)
	s.r = bufio.NewReaderSize(flushing{conn, s.w}, maxPOPLine)
}

// readLine returns a line without its end. A line that was cut off by the
// end of the connection is no command, so "QUI" or "QUIT" without CRLF
// deletes nothing.
func (s *popSession) readLine() (string, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.err("Line too long, closing")
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// command runs one command in the session's state.
func (s *popSession) command(line string) {
	verb, args, _ := strings.Cut(line, " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "CAPA":
		s.capa()
	case "QUIT":
		s.quit()
	default:
		run := s.authorization(verb)
		if s.drop != nil {
			run = s.transaction(verb)
		}
		if run == nil {
			s.failures++
			s.err("Unknown command, or not now")
			return
		}
		run(args)
	}
}

// authorization returns what a command does before login (RFC 1939 §4).
func (s *popSession) authorization(verb string) func(args string) {
	switch verb {
	case "USER":
		return s.cmdUser
	case "PASS":
		return s.cmdPass
	case "AUTH":
		return s.cmdAuth
	case "STLS":
		return s.cmdStls
	}
	return nil
}

// transaction returns what a command does after login (RFC 1939 §5, §7).
func (s *popSession) transaction(verb string) func(args string) {
	switch verb {
	case "STAT":
		return s.cmdStat
	case "LIST":
		return s.cmdList
	case "UIDL":
		if s.p.fault().NoUIDL {
			return nil
		}
		return s.cmdUidl
	case "RETR":
		return s.cmdRetr
	case "TOP":
		if s.p.fault().NoTOP {
			return nil
		}
		return s.cmdTop
	case "DELE":
		return s.cmdDele
	case "NOOP":
		return func(string) { s.ok("") }
	case "RSET":
		return s.cmdRset
	}
	return nil
}

// capa lists what is offered in this state (RFC 2449 §5).
func (s *popSession) capa() {
	s.ok("Capability list follows")
	caps := []string{"RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"}
	if !s.p.fault().NoTOP {
		caps = slices.Insert(caps, 0, "TOP")
	}
	if !s.p.fault().NoUIDL {
		caps = append(caps, "UIDL")
	}
	if s.passwordsAllowed() {
		caps = append(caps, "USER", "SASL PLAIN")
	}
	if s.offersTLS() {
		caps = append(caps, "STLS")
	}
	caps = append(caps, "IMPLEMENTATION Pretend-Provider")
	for _, c := range caps {
		s.line(c)
	}
	s.line(".")
}

// quit ends the session; after login it is the only thing that makes
// deletions real (RFC 1939 §6).
func (s *popSession) quit() {
	if s.drop != nil {
		s.drop.commit()
		n, _ := s.drop.count()
		s.p.log.Info("box closed", "user", s.drop.box.user, "deleted", len(s.drop.mail)-n)
		// Released before the reply: a client that has read it may come back
		// at once.
		s.drop.release()
		s.drop = nil
	}
	s.ok("Bye")
	s.done = true
}

// offersTLS is true while STLS may still be used.
func (s *popSession) offersTLS() bool {
	return s.p.tlsConfig != nil && !s.secure && s.drop == nil
}

// passwordsAllowed is false on a connection that must use STLS first.
func (s *popSession) passwordsAllowed() bool { return s.p.tlsConfig == nil || s.secure }

// cmdStls begins TLS (RFC 2595 §4).
func (s *popSession) cmdStls(string) {
	if !s.offersTLS() {
		s.err("STLS not available")
		return
	}
	s.ok("Begin TLS")
	if err := s.w.Flush(); err != nil || s.r.Buffered() > 0 {
		// Commands sent in the clear behind STLS may be an attacker's; they
		// must not be taken for the client's own after the handshake.
		s.done = true
		return
	}
	conn := tls.Server(s.conn, s.p.tlsConfig)
	if err := conn.Handshake(); err != nil {
		s.p.log.Info("no TLS", "service", "pop3", "error", err)
		s.done = true
		return
	}
	s.use(conn)
	s.secure, s.user = true, ""
}

// Write errors need no attention here: they stay in the bufio.Writer, and
// the next read flushes it and ends the session.

func (s *popSession) ok(format string, args ...any) {
	s.line(strings.TrimRight("+OK "+fmt.Sprintf(format, args...), " "))
}

func (s *popSession) err(format string, args ...any) { s.line("-ERR " + fmt.Sprintf(format, args...)) }

func (s *popSession) line(text string) {
	_, _ = s.w.WriteString(text)
	_, _ = s.w.WriteString("\r\n")
}
