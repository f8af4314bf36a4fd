package peers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Mail is one transaction that the smarthost accepted.
type Mail struct {
	From  string   // envelope sender, "" = null reverse-path
	To    []string // envelope recipients, in the order given
	Trace []byte   // the Received line (folded) that Postfix put in front
	Body  []byte   // what it was given: CRLF lines, dots not doubled
}

// sink is where Postfix delivers to: an LMTP server (RFC 2033) on a Unix
// socket, in the test itself, that keeps everything in memory.
type sink struct {
	t    testing.TB
	mu   sync.Mutex
	mail []Mail
}

// newSink starts a sink that ends with the test.
func newSink(t testing.TB, socket string) *sink {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil { //nolint:gosec // Postfix's client isn't root
		t.Fatal(err)
	}
	s := &sink{t: t}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait() // Postfix has ended: clean-ups run last to first
	})
	return s
}

// all returns a copy of the list of what has come.
func (s *sink) all() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// serve talks to Postfix until one of the two ends it. Only Postfix comes here, so
// anything out of order is a fault of the test's set-up, and shown.
func (s *sink) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	var m Mail
	reply := "220 sink LMTP"
	for {
		if _, err := fmt.Fprintf(conn, "%s\r\n", reply); err != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "LHLO":
			reply = "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES"
		case "MAIL":
			m, reply = Mail{From: path(rest)}, "250 2.1.0 OK"
		case "RCPT":
			m.To = append(m.To, path(rest))
			reply = "250 2.1.5 OK"
		case "DATA":
			if _, err := fmt.Fprint(conn, "354 Go on\r\n"); err != nil {
				return
			}
			if err := s.data(r, &m); err != nil {
				s.t.Errorf("sink: %v", err)
				return
			}
			// One reply a recipient (RFC 2033 §4.2).
			reply = strings.TrimSuffix(strings.Repeat("250 2.0.0 Kept\r\n", len(m.To)), "\r\n")
		case "RSET", "NOOP":
			reply = "250 2.0.0 OK"
		case "QUIT":
			_, _ = fmt.Fprint(conn, "221 2.0.0 Bye\r\n")
			return
		default:
			s.t.Errorf("sink: Postfix says %q", line)
			reply = "500 5.5.1 What?"
		}
	}
}

// data reads a message to its last dot and keeps it.
func (s *sink) data(r *bufio.Reader, m *Mail) error {
	var text bytes.Buffer
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("message from <%s> cut off: %w", m.From, err)
		}
		if string(line) == ".\r\n" {
			break
		}
		// RFC 5321 §4.5.2
		text.Write(bytes.TrimPrefix(line, []byte(".")))
	}
	var ok bool
	if m.Trace, m.Body, ok = cutTrace(text.Bytes()); !ok {
		return errors.New("no Received line in front")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mail = append(s.mail, *m)
	return nil
}

// cutTrace parts the first header, with its folded lines, from the rest.
func cutTrace(text []byte) (trace, rest []byte, ok bool) {
	if !bytes.HasPrefix(text, []byte("Received:")) {
		return nil, text, false
	}
	end := 0
	for {
		n := bytes.IndexByte(text[end:], '\n')
		if n < 0 {
			return nil, text, false
		}
		end += n + 1
		if end == len(text) || (text[end] != ' ' && text[end] != '\t') {
			return text[:end], text[end:], true
		}
	}
}

// path takes the address out of "FROM:<a@b> SIZE=1" or "TO:<a@b>".
func path(arg string) string {
	_, arg, _ = strings.Cut(arg, "<")
	address, _, _ := strings.Cut(arg, ">")
	return address
}
