package modem

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// maxChunk is what one write to the port carries: less than the 4 KiB of a Linux
// terminal's buffer, so that a write stuck in flow control ends when that buffer is
// emptied.
const maxChunk = 2048

var errWriteStopped = errors.New("modem: write stopped")

// output writes to the port in a goroutine of its own, because a write to a serial
// port has no time-out and flow control can hold it for ever: who waits for a write
// can stop waiting, hang up and empty the port's buffer.
type output struct {
	port Port
	turn chan struct{} // held from the hand-over of a chunk until the port took it
	work chan chunk
	buf  [maxChunk]byte // the chunk's octets; the holder of turn's
	idle chan struct{}  // closed when run has ended

	// owner is whose octets may go out, nil: the dialogue's. It is looked at with turn
	// held, so that after a purge no write of a Conn can still slip in.
	owner atomic.Pointer[Conn]

	begun time.Time
	last  atomic.Int64 // when the port last took octets, in nanoseconds since begun
}

type chunk struct {
	n   int
	err chan error
}

func newOutput(port Port) *output {
	return &output{port: port, turn: make(chan struct{}, 1), work: make(chan chunk), idle: make(chan struct{}), begun: time.Now()}
}

// quiet is how long the port has taken no octets: since its last write ended, as a
// write that flow control holds may put them in until then.
func (o *output) quiet() time.Duration { return time.Since(o.begun) - time.Duration(o.last.Load()) }

func (o *output) run(stop <-chan struct{}) {
	defer close(o.idle)
	for {
		select {
		case <-stop:
			return
		case c := <-o.work:
			c.err <- o.all(o.buf[:c.n], stop)
			<-o.turn
		}
	}
}

// all writes p; a signal may make the kernel take less than it was given.
func (o *output) all(p []byte, stop <-chan struct{}) error {
	for len(p) > 0 {
		select {
		case <-stop:
			return ErrClosed
		default:
		}
		n, err := o.port.Write(p)
		o.last.Store(int64(time.Since(o.begun)))
		if err != nil {
			return err
		}
		if n <= 0 {
			return io.ErrShortWrite
		}
		p = p[n:]
	}
	return nil
}

// write returns when the port has taken c's p, or with errWriteStopped when done is closed
// first; then part of p may have gone out and part may follow until purge.
func (o *output) write(c *Conn, p []byte, done <-chan struct{}) (int, error) {
	sent := 0
	for sent < len(p) {
		select {
		case o.turn <- struct{}{}:
		case <-done:
			return sent, errWriteStopped
		}
		if o.owner.Load() != c {
			<-o.turn
			return sent, ErrClosed
		}
		piece := chunk{n: copy(o.buf[:], p[sent:]), err: make(chan error, 1)}
		select {
		case o.work <- piece:
		case <-o.idle:
			<-o.turn
			return sent, ErrClosed
		}
		select {
		case err := <-piece.err:
			if err != nil {
				return sent, err
			}
			sent += piece.n
		case <-done:
			return sent, errWriteStopped
		}
	}
	return sent, nil
}

// purge throws away what the port has not sent and waits for a stuck write to end; it
// says whether it did. The second emptying takes what that write still put in.
func (o *output) purge(wait time.Duration) bool {
	_ = o.port.ResetOutputBuffer() // what a port won't throw away is waited for below
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case o.turn <- struct{}{}:
		_ = o.port.ResetOutputBuffer()
		<-o.turn
		return true
	case <-limit.C:
		return false
	}
}
