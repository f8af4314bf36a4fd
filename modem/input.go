package modem

import (
	"context"
	"strings"
	"sync"
	"time"
)

const (
	// maxInput is how much may wait for its reader. When it is full the port is not read,
	// and flow control holds the modem back.
	maxInput = 8 << 10
	// maxLine bounds a line of the dialogue; the rest of a longer one is dropped.
	maxLine = 512
)

// farewell is how a modem ends the data phase.
const farewell = "\r\nNO CARRIER\r\n"

// input is what came from the port. One goroutine, pump, reads the port without a
// time-out for the modem's whole life; whoever owns the input takes from it. Lines are
// taken octet by octet, so what follows CONNECT is left for the Conn.
type input struct {
	mu    sync.Mutex
	owner *Conn // nil: the dialogue
	buf   []byte
	err   error     // the port's end
	tail  []byte    // the last octets that came, at most as many as farewell has
	last  time.Time // when they came

	ready  chan struct{} // there is something to look at
	room   chan struct{} // buf has room
	afterR bool          // the last line ended with CR: its LF may follow
}

func newInput() *input {
	return &input{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// poke leaves one token in a channel of one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pump reads the port until it fails or stop is closed.
func (in *input) pump(port Port, stop <-chan struct{}) {
	b := make([]byte, 1024)
	for {
		n, err := port.Read(b)
		if n > 0 && !in.push(b[:n], stop) {
			err = ErrClosed
		}
		if err != nil {
			in.mu.Lock()
			in.err = err
			in.mu.Unlock()
			poke(in.ready)
			return
		}
	}
}

func (in *input) push(b []byte, stop <-chan struct{}) bool {
	for len(b) > 0 {
		in.mu.Lock()
		n := min(len(b), maxInput-len(in.buf))
		in.buf = append(in.buf, b[:n]...)
		in.note(b[:n])
		in.mu.Unlock()
		if b = b[n:]; n > 0 {
			poke(in.ready)
			continue
		}
		select {
		case <-in.room:
		case <-stop:
			return false
		}
	}
	return true
}

// note remembers the end of what came.
func (in *input) note(b []byte) {
	if len(b) == 0 {
		return
	}
	in.last = time.Now()
	in.tail = append(in.tail, b[max(0, len(b)-len(farewell)):]...)
	in.tail = in.tail[max(0, len(in.tail)-len(farewell)):]
}

// farewellSince says whether the last that came is the modem's NO CARRIER, and how
// long ago.
func (in *input) farewellSince() (time.Duration, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return time.Since(in.last), string(in.tail) == farewell
}

// failure is the port's error, nil while it works.
func (in *input) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// give makes c the owner.
func (in *input) give(c *Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.owner = c
	in.tail = in.tail[:0]
}

// leave gives the input back to the dialogue, if it was c's.
func (in *input) leave(c *Conn) {
	in.mu.Lock()
	if in.owner == c {
		in.owner = nil
	}
	in.mu.Unlock()
	poke(in.ready)
}

// discard drops what has come.
func (in *input) discard() {
	in.mu.Lock()
	in.buf, in.afterR = in.buf[:0], false
	in.mu.Unlock()
	poke(in.room)
}

// read gives what has come to its owner, waiting for something until done is closed;
// then it returns 0, nil. What has come before the port failed is given first.
func (in *input) read(c *Conn, p []byte, done <-chan struct{}) (int, error) {
	for over := false; ; {
		in.mu.Lock()
		if in.owner != c {
			in.mu.Unlock()
			poke(in.ready) // the token was the new owner's
			return 0, ErrClosed
		}
		n, err := copy(p, in.buf), in.err
		in.buf = in.buf[:copy(in.buf, in.buf[n:])]
		in.mu.Unlock()
		switch {
		case n > 0:
			poke(in.room)
			return n, nil
		case err != nil:
			return 0, err
		case over:
			return 0, nil
		}
		select {
		case <-in.ready:
		case <-done:
			over = true
		}
	}
}

// line takes one line that is not empty, without its end: CR, LF and any mixture end
// a line, as modems with other S3 and S4 and converters that translate make of it.
func (in *input) line(ctx context.Context) (string, error) {
	var text []byte
	var one [1]byte
	for {
		n, err := in.read(nil, one[:], ctx.Done())
		if err != nil {
			return "", err
		}
		if n == 0 {
			return strings.TrimSpace(string(text)), context.Cause(ctx)
		}
		b := one[0]
		in.afterR = b == '\r'
		switch {
		case b != '\r' && b != '\n':
			if len(text) < maxLine {
				text = append(text, b)
			}
		case len(strings.TrimSpace(string(text))) > 0:
			return strings.TrimSpace(string(text)), nil
		default:
			text = text[:0]
		}
	}
}
