package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"outpost/internal/patience"
)

// maxStatus is generous: RFC 2449 §4 allows 512 octets with CRLF.
const maxStatus = 2048

var (
	errNotPOP3   = errors.New("the server does not speak POP3")
	errTooLong   = errors.New("the server sends more than it announced")
	errUnbidden  = errors.New("the server sent something it wasn't asked for")
	errNotWanted = errors.New("a reply is read that nobody asked for")
)

// due is a reply that the server owes. They come in the order of the commands, so that commands can be sent ahead of replies.
type due struct {
	command string // for errors; never a secret
	multi   bool   // lines follow a positive status, up to a lone dot (RFC 1939 §3)
	limit   int64  // octets that those lines may have, dots stuffed and all
}

// wire is the connection as go-pop3 gets it: the server's octets pass through it reply by reply, see the package comment. One goroutine
// uses it at a time; Close may be called by any.
type wire struct {
	net.Conn                // what POP3 is spoken on: line, or TLS over it
	line     *patience.Conn // beneath TLS; closing it ends everything
	owed     []due          // not completely read yet; the first one is being read
	statuses [][]byte       // status lines read, verbatim, that nobody has taken yet
	ready    []byte         // for go-pop3
	err      error          // the end of it all, for the Read after ready
	in       [4 << 10]byte  // what go-pop3 reads at once

	// The reply being read.
	state  state
	status []byte
	count  int64
	crlf   bool // its status line ended in CRLF, so only that ends lines
}

// state is where in a reply the next octet stands.
type state byte

const (
	inStatus state = iota
	atStart        // at the start of a line
	afterDot       // behind a dot at the start of a line
	afterDotCR
	inLine
	afterCR
	afterLF // behind a lone LF, which is text and ends no line
)

func newWire(conn net.Conn, silence time.Duration) *wire {
	line := patience.New(conn, silence)
	return &wire{Conn: line, line: line}
}

// Close ends the connection without a word, at any time from anywhere. There is no closing handshake of TLS: QUIT has said where the
// session ends, and the line is paid for.
func (w *wire) Close() error { return w.line.Close() }

// owe announces a command that is about to be sent.
func (w *wire) owe(d due) { w.owed = append(w.owed, d) }

// take returns the oldest status line not taken yet, without its end.
func (w *wire) take() (status []byte, ok bool) {
	if len(w.statuses) == 0 {
		return nil, false
	}
	status, w.statuses = w.statuses[0], w.statuses[1:]
	return status, true
}

// startTLS puts TLS between POP3 and the line. It refuses if the server has said more than it was asked for: whoever could write into the
// plain text may have put replies there, to be read as if they had come protected. As none of that is let through, none is in
// go-pop3's buffer either.
func (w *wire) startTLS(ctx context.Context, config *tls.Config) error {
	if w.err != nil {
		return w.err
	}
	conn := tls.Client(w.line, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	w.Conn = conn
	return nil
}

// Read gives go-pop3 what it may see of the replies that are due.
func (w *wire) Read(p []byte) (int, error) {
	for len(w.ready) == 0 {
		if w.err == nil && len(w.owed) == 0 {
			w.err = errNotWanted
		}
		if w.err != nil {
			return 0, w.err
		}
		n, err := w.Conn.Read(w.in[:])
		w.ready = w.ready[:0]
		for _, b := range w.in[:n] {
			if failure := w.octet(b); failure != nil {
				err = failure
				break
			}
		}
		if errors.Is(err, io.EOF) && len(w.owed) > 0 {
			err = io.ErrUnexpectedEOF
		}
		w.err = err
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// octet takes the next octet of a reply.
func (w *wire) octet(b byte) error {
	if len(w.owed) == 0 {
		return errUnbidden
	}
	if w.state == inStatus {
		return w.statusOctet(b)
	}
	if w.count++; w.count > w.owed[0].limit {
		return fmt.Errorf("%w: %s brought %d octets and has no end", errTooLong, w.owed[0].command, w.count)
	}
	w.textOctet(b)
	return nil
}

func (w *wire) statusOctet(b byte) error {
	w.status = append(w.status, b)
	if b != '\n' {
		if len(w.status) > maxStatus {
			return fmt.Errorf("%w: a status line has more than %d octets", errNotPOP3, maxStatus)
		}
		return nil
	}
	status := bytes.TrimSuffix(w.status[:len(w.status)-1], []byte("\r"))
	ok, valid := parseStatus(status)
	if !valid {
		return fmt.Errorf("%w: it said %q", errNotPOP3, legible(status))
	}
	w.crlf = len(w.status) == len(status)+len("\r\n")
	w.ready = append(w.ready, w.status...)
	w.statuses = append(w.statuses, bytes.Clone(status))
	w.status = w.status[:0]
	if ok && w.owed[0].multi {
		w.state = atStart
	} else {
		w.owed = w.owed[1:]
	}
	return nil
}

// textOctet passes on the lines of a reply so that go-pop3, which takes LF for a line's end and drops one dot from its start, finds
// in them exactly what RFC 1939 §3 has there: lines end in CRLF. A lone LF ends one only if the server ended the status line
// so too. Else it is text of a careless message, and a dot behind it neither stuffed nor the end; who could send a "\n.\n"
// would otherwise decide what is cut off.
func (w *wire) textOctet(b byte) {
	switch w.state {
	case atStart:
		if b == '.' {
			w.state = afterDot
			return
		}
	case afterDot:
		switch {
		case b == '\r':
			w.state = afterDotCR
			return
		case b == '\n' && !w.crlf:
			w.end()
			return
		case b != '\n':
			w.ready = append(w.ready, '.')
		}
	case afterDotCR:
		if b == '\n' {
			w.end()
			return
		}
		w.ready = append(w.ready, '.', '\r')
		w.state = afterCR
	case afterLF:
		if b == '.' {
			w.ready = append(w.ready, '.')
		}
	default: // within a line an octet is nothing but text
	}
	w.ready = append(w.ready, b)
	switch {
	case b == '\r':
		w.state = afterCR
	case b == '\n' && (w.state == afterCR || !w.crlf):
		w.state = atStart
	case b == '\n':
		w.state = afterLF
	default:
		w.state = inLine
	}
}

// end is the lone dot behind the lines of a reply.
func (w *wire) end() {
	w.ready = append(w.ready, ".\r\n"...)
	w.state, w.count, w.owed = inStatus, 0, w.owed[1:]
}
