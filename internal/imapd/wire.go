package imapd

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
)

// wireBuffer is how much of an answer is gathered before it is sent: two TLS records.
// The library flushes each line of an answer, and 100,000 lines are one FETCH of flags.
const wireBuffer = 32 << 10

// wire is the connection that the library sees, above TLS. It gathers small writes,
// takes time-outs for one silence each, says BYE, and puts right four things that the
// library has no way to say:
//
//   - LITERAL- is not offered where LITERAL+ is (RFC 7888 §4);
//   - the greeting after STARTTLS, which a client doesn't expect, is left out;
//   - a mailbox that its user may only read is selected READ-ONLY (RFC 3501 §6.3.1);
//   - a client whose APPEND is too large for the library is sent away, for what would be
//     read as commands next is the message (LITERAL+ doesn't wait to be asked).
type wire struct {
	*tls.Conn
	conn *conn

	mu       sync.Mutex
	out      []byte
	err      error // of a write: nothing more is sent
	silent   bool  // leave out the next write
	readOnly bool  // the next SELECT completed is READ-ONLY
	ended    bool  // BYE was said
}

var (
	selected     = []byte("OK [READ-WRITE] SELECT completed\r\n")
	selectedOnly = []byte("OK [READ-ONLY] SELECT completed\r\n")
	literalPlus  = []byte(" LITERAL+ ")
	literalMinus = []byte(" LITERAL-")
	tooBig       = []byte(" NO [TOOBIG] Literals are limited to ")
)

// Read sends what is gathered and waits for the client.
func (w *wire) Read(p []byte) (int, error) {
	w.flush()
	n, err := 0, io.EOF
	if !w.hasEnded() {
		n, err = w.Conn.Read(p)
	}
	if err == nil || n > 0 {
		return n, err
	}
	text := w.conn.bye()
	if timeout, ok := err.(net.Error); text == "" && ok && timeout.Timeout() { //nolint:errorlint // as crypto/tls hands it on
		text = "[UNAVAILABLE] Nothing was heard for too long"
	}
	if text != "" {
		w.part(text)
		return 0, io.EOF
	}
	return n, err
}

// part says BYE (RFC 3501 §7.1.5), once.
func (w *wire) part(text string) {
	w.mu.Lock()
	if !w.ended {
		w.ended = true
		w.out = append(w.out, "* BYE "+text+"\r\n"...)
	}
	w.mu.Unlock()
	w.flush()
}

func (w *wire) hasEnded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// Write takes part of an answer.
func (w *wire) Write(p []byte) (int, error) {
	n := len(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.silent:
		w.silent = false
		return n, nil
	case w.readOnly && bytes.HasSuffix(p, selected):
		w.readOnly = false
		p = append(bytes.TrimSuffix(bytes.Clone(p), selected), selectedOnly...)
	case bytes.Contains(p, literalPlus) && w.conn.idle():
		p = bytes.Replace(p, literalMinus, nil, 1)
	case bytes.Contains(p, tooBig) && w.conn.idle():
		w.conn.hangUp("The message is too big")
	}
	w.out = append(w.out, p...)
	if len(w.out) >= wireBuffer {
		w.send()
	}
	return n, w.err
}

// flush sends what is gathered.
func (w *wire) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send()
}

// send is flush; the caller holds mu.
func (w *wire) send() {
	if len(w.out) == 0 || w.err != nil {
		return
	}
	_, w.err = w.Conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > 2*wireBuffer {
		w.out = nil
	}
}

// selects tells whether the answer to the SELECT under way is READ-ONLY.
func (w *wire) selects(readOnly bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readOnly = readOnly
}

// Close sends what is gathered and ends the connection.
func (w *wire) Close() error {
	w.flush()
	_ = w.Conn.Close() // Says close_notify, if it can.
	return w.conn.Close()
}

// SetReadDeadline is the library's way to say how long to wait. It is meant for one
// silence, and taken so: a slow client that keeps sending is welcome.
func (w *wire) SetReadDeadline(t time.Time) error {
	w.conn.patience(time.Until(t))
	return nil
}

// SetWriteDeadline does nothing: conn bounds each write.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline does nothing.
func (w *wire) SetDeadline(time.Time) error { return nil }
