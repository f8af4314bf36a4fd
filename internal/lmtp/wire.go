package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"outpost/internal/patience"
)

const (
	// maxReplyLine is generous: RFC 5321 §4.5.3.1.5 allows 512 octets. go-smtp itself gives up after 2000.
	maxReplyLine = 2000
	// maxReplyLines is room for the longest reply to LHLO or EHLO several times over.
	maxReplyLines = 128
)

// wire is what go-smtp's client speaks on: the connection, or TLS over it. It makes up for what that client doesn't do itself. That one
// would hold a reply of any length, read on for ever in a reply with two codes, take the beginning of a line for all of it when the
// connection ends there, reject a reply without a text, say HELO to an LMTP server, and set time limits of its own.
//
// Whole lines of well-formed replies only come through Read.
type wire struct {
	net.Conn
	beneath io.Closer
	in      *bufio.Reader
	lmtp    bool

	rest  []byte // of a line that is being given out
	code  []byte // of the reply under way
	lines int    // that it has so far
	spoke bool   // something was written
	short int    // octets of the Write that failed which weren't taken
	err   error  // what Read or Write failed with first
}

// newWire makes a wire of conn, which goes over beneath; with greeted, for a server that greeted before TLS (RFC 3207 §4.2), one that makes
// up a greeting.
func newWire(conn net.Conn, beneath io.Closer, lmtp, greeted bool) *wire {
	w := &wire{Conn: conn, beneath: beneath, in: bufio.NewReaderSize(conn, maxReplyLine), lmtp: lmtp}
	if greeted {
		w.rest = []byte("220 \r\n")
	}
	return w
}

// Read gives a line or a part of it.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		line, err := w.line()
		if err != nil {
			w.fault(err)
			return 0, err
		}
		w.rest = line
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// line is the next line of a reply (RFC 5321 §4.2), valid until the next.
func (w *wire) line() ([]byte, error) {
	line, err := w.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a reply has a line of more than %d octets", errNotMail, maxReplyLine)
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	text := bytes.TrimRight(line, "\r\n")
	if !replyLine(text) {
		return nil, fmt.Errorf("%w: it said %q", errNotMail, patience.Legible(string(text)))
	}
	if w.lines > 0 && !bytes.Equal(w.code, text[:3]) {
		return nil, fmt.Errorf("%w: one reply has codes %s and %s", errNotMail, w.code, text[:3])
	}
	if w.lines++; w.lines > maxReplyLines {
		return nil, fmt.Errorf("%w: a reply has more than %d lines", errNotMail, maxReplyLines)
	}
	w.code = append(w.code[:0], text[:3]...)
	if len(text) > 3 && text[3] == '-' {
		return line, nil
	}
	w.lines = 0
	if len(text) == 3 {
		return []byte(string(text) + " \r\n"), nil
	}
	return line, nil
}

// replyLine says whether a line has the form of one: a code, and nothing, or a blank or hyphen and a text.
func replyLine(text []byte) bool {
	if len(text) < 3 || text[0] < '2' || text[0] > '5' {
		return false
	}
	for _, d := range text[1:3] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return len(text) == 3 || text[3] == ' ' || text[3] == '-'
}

// Write is the connection's. go-smtp says HELO where EHLO or LHLO is unknown to the server: one that then speaks SMTP would not give the
// replies that an LMTP client waits for.
func (w *wire) Write(p []byte) (int, error) {
	if w.lmtp && bytes.HasPrefix(p, []byte("HELO ")) {
		w.fault(errNotLMTP)
		return 0, errNotLMTP
	}
	w.spoke = true
	n, err := w.Conn.Write(p)
	if err != nil {
		w.short = len(p) - n
		w.fault(err)
	}
	return n, err
}

func (w *wire) fault(err error) {
	if w.err == nil {
		w.err = err
	}
}

// ahead says whether the server has said something that nobody has read yet.
func (w *wire) ahead() bool { return len(w.rest) > 0 || w.in.Buffered() > 0 }

// SetDeadline does nothing: deadlines are patience.Conn's, and a TLS connection doesn't survive one.
func (w *wire) SetDeadline(time.Time) error { return nil }

// Close closes what is beneath TLS. There is no goodbye of TLS, which may wait: SMTP says itself where it ends.
func (w *wire) Close() error { return w.beneath.Close() }
