package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"outpost/internal/patience"
)

const (
	// maxStatus is generous: RFC 2449 §4 allows 512 octets with CRLF.
	maxStatus = 2048
	// inRoom is what is read at once. It is all of a message that is in memory here, and must hold a status line.
	inRoom = 16 << 10
)

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
	goOn    bool   // "+ " may come instead of a status, in an AUTH (RFC 5034 §4)
}

// wire is the connection as go-pop3 gets it: the server's octets pass through it reply by reply, see the package comment. One goroutine
// may send while another reads; Close may be called by any.
type wire struct {
	net.Conn                // what POP3 is spoken on: line, or TLS over it
	line     *patience.Conn // beneath TLS; closing it ends everything

	out []byte // commands that wait for flush; the sender's

	mu   sync.Mutex
	owed []due // not completely read yet; the first one is being read

	// What follows is the reader's.
	err    error // the end of it all
	room   [inRoom]byte
	in     []byte // what of room was not looked at yet
	ready  []byte // of a status line, for go-pop3
	status []byte // the last status line read, verbatim, if nobody has taken it yet
	text   text
}

// newWire has a greeting ready that is not the server's: go-pop3 reads one before it lets anybody send, and we may send first.
func newWire(conn net.Conn, silence time.Duration) *wire {
	line := patience.New(conn, silence)
	return &wire{Conn: line, line: line, ready: []byte("+OK\r\n")}
}

// Close ends the connection without a word, at any time from anywhere. There is no closing handshake of TLS: QUIT has said where the
// session ends, and the line is paid for.
func (w *wire) Close() error { return w.line.Close() }

// startTLS puts TLS between POP3 and the line. It refuses if the server has said more than it was asked for: whoever could write into the
// plain text may have put replies there, to be read as if they had come protected. As none of that is let through, none is in
// go-pop3's buffer either.
func (w *wire) startTLS(ctx context.Context, config *tls.Config) error {
	if w.err != nil {
		return w.err
	}
	conn, err := w.line.StartTLS(ctx, config)
	if err != nil {
		return err
	}
	w.Conn = conn
	return nil
}

// owe announces a command that is about to be sent.
func (w *wire) owe(d due) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = append(w.owed, d)
}

// bound changes the limit of the reply that is read next.
func (w *wire) bound(limit int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.owed) > 0 {
		w.owed[0].limit = limit
	}
}

// first is the reply that is being read.
func (w *wire) first() (due, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.owed) == 0 {
		return due{}, errNotWanted
	}
	return w.owed[0], nil
}

// settle is the end of a reply. What lies behind the last one that is owed nobody has asked for.
func (w *wire) settle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owed = w.owed[1:]
	if len(w.owed) == 0 && len(w.in) > 0 {
		w.err = errUnbidden
	}
}

// Write takes a command from go-pop3; it leaves with flush.
func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

// flush sends the commands that wait, in one write. Its error is for those who have to stop sending: why the connection ended is for the
// reader to find, who may first find what the server said before it closed.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	return err
}

// Read gives go-pop3 a status line.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.ready) == 0 {
		if err := w.readStatus(); err != nil {
			w.err = err
			return 0, err
		}
	}
	n := copy(p, w.ready)
	w.ready = w.ready[n:]
	return n, nil
}

// take returns the status line that was read last, without its end; once.
func (w *wire) take() (status []byte, ok bool) {
	status, w.status = w.status, nil
	return status, status != nil
}

func (w *wire) readStatus() error {
	if w.err != nil {
		return w.err
	}
	d, err := w.first()
	if err != nil {
		return err
	}
	end := bytes.IndexByte(w.in, '\n')
	for ; end < 0 && len(w.in) <= maxStatus; end = bytes.IndexByte(w.in, '\n') {
		if err := w.fill(); err != nil {
			return err
		}
	}
	if end < 0 || end > maxStatus {
		return fmt.Errorf("%w: a status line has more than %d octets", errNotPOP3, maxStatus)
	}
	line := bytes.Clone(w.in[:end+1])
	w.in = w.in[end+1:]
	status := bytes.TrimSuffix(line[:end], []byte("\r"))
	ok, valid := parseStatus(status)
	valid = valid || d.goOn && isChallenge(status)
	if !valid {
		return fmt.Errorf("%w: it said %q", errNotPOP3, patience.Legible(string(status)))
	}
	w.ready, w.status = line, status
	if ok && d.multi {
		w.text.begin(len(line) == len(status)+len("\r\n"))
		return nil
	}
	w.settle()
	return nil
}

// next gives the text of the reply whose status was read, as it comes; io.EOF behind its last line. The octets are good until the
// next call.
func (w *wire) next() ([]byte, error) {
	for {
		if w.err != nil {
			return nil, w.err
		}
		used, out, state := w.text.scan(w.in)
		w.in = w.in[used:]
		if err := w.count(used); err != nil {
			w.err = err
			return nil, err
		}
		switch {
		case state == textEnd:
			w.settle()
			return nil, io.EOF
		case len(out) > 0:
			return out, nil
		case state == textShort:
			if w.err = w.fill(); w.err != nil {
				return nil, w.err
			}
		}
	}
}

// count bounds a reply.
func (w *wire) count(octets int) error {
	d, err := w.first()
	if err != nil {
		return err
	}
	if w.text.octets += int64(octets); w.text.octets > d.limit {
		return fmt.Errorf("%w: %s brought %d octets and has no end", errTooLong, d.command, w.text.octets)
	}
	return nil
}

// fill reads more, behind what there is, which is less than half of the room.
func (w *wire) fill() error {
	kept := copy(w.room[:], w.in)
	n, err := w.Conn.Read(w.room[kept:])
	w.in = w.room[:kept+n]
	switch {
	case n > 0: // an error will come again
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}
