package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"time"

	"outpost/internal/clients"
)

const (
	// hallLine bounds a command in plain text: STARTTLS has ten octets, and a LOGIN that
	// is refused some more.
	hallLine = 1024
	// hallCommands bounds how many a client may give there.
	hallCommands = 20
	// hallSilence bounds each silence before a login.
	hallSilence = 30 * time.Second
)

// hallCaps is all there is in plain text.
const hallCaps = "CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED"

// hall serves a client in plain text until STARTTLS, and hands him over then.
func (s *Server) hall(c *conn) {
	c.patience(hallSilence)
	c.mu.Lock()
	c.loginBy = time.Now().Add(loginTime)
	c.mu.Unlock()
	in := bufio.NewReaderSize(c, hallLine)
	say := func(line string) bool {
		_, err := c.Write([]byte(line + "\r\n"))
		return err == nil
	}
	ok := say("* OK [" + hallCaps + "] " + s.opt.Hostname + " ready")
	for n := 0; ok && n < hallCommands; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil {
			if text := c.bye(); text != "" {
				say("* BYE " + text)
			}
			break
		}
		tag, command, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		command, arguments, _ := strings.Cut(strings.ToUpper(command), " ")
		if tag == "" || strings.ContainsAny(tag, "+*(){%\"\\\x00") {
			say("* BAD Commands begin with a tag")
			break // Another protocol (RFC 3501 §7.1.3 allows to go).
		}
		if command == "STARTTLS" && arguments == "" {
			// What was sent ahead of TLS must not count within (RFC 3501 §6.2.1).
			if in.Buffered() == 0 && say(tag+" OK Begin TLS negotiation now") {
				s.encrypt(c, true)
				return
			}
			break
		}
		ok = s.answerPlain(say, tag, command)
	}
	_ = c.Close()
}

// answerPlain answers what can be asked before TLS; false ends the connection.
func (s *Server) answerPlain(say func(string) bool, tag, command string) bool {
	switch command {
	case "CAPABILITY":
		return say("* "+hallCaps) && say(tag+" OK CAPABILITY completed")
	case "NOOP":
		return say(tag + " OK NOOP completed")
	case "LOGOUT":
		say("* BYE Logging out")
		say(tag + " OK LOGOUT completed")
		return false
	case "LOGIN", "AUTHENTICATE":
		// The password is out, perhaps; but it gets no answer (RFC 9051 §6.2.3).
		return say(tag + " NO [PRIVACYREQUIRED] Switch on TLS (STARTTLS) to log in")
	}
	return say(tag + " BAD Not before STARTTLS")
}

// shake begins with TLS (RFC 8314).
func (s *Server) shake(c *conn) {
	c.mu.Lock()
	c.loginBy = time.Now().Add(loginTime)
	c.mu.Unlock()
	s.encrypt(c, false)
}

// encrypt shakes hands and hands over.
func (s *Server) encrypt(c *conn, silent bool) {
	c.patience(hallSilence)
	w := &wire{Conn: tls.Server(c, s.opt.TLS), conn: c, silent: silent}
	ctx, cancel := context.WithTimeout(s.ctx, hallSilence)
	defer cancel()
	if err := w.HandshakeContext(ctx); err != nil {
		s.opt.Log.Debug("imap connection ended", "client", clients.Addr(c).String(), "reason", err.Error())
		_ = c.Close()
		return
	}
	if !s.inside.give(w) {
		_ = w.Close()
	}
}

// handover is the library's listener: it gets who has come through the hall.
type handover struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give hands one over; false when the server has ended.
func (h *handover) give(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.closed:
		return false
	}
}

// Accept is the library's end.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the library's Serve.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr is for the interface.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }
