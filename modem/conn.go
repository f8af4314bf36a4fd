package modem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// carrierPoll is how often the carrier is looked at. Five times a second finds a loss
	// well within the second in which connections must fail, and costs one ioctl of some
	// microseconds each; to wait for a change instead (TIOCMIWAIT) is Linux's alone and
	// not every driver's. The modem itself waits S10 (1.4 s) before it gives a carrier up,
	// so a DCD seen low once is low for good.
	carrierPoll = 200 * time.Millisecond

	// farewellWait is the silence after which NO CARRIER at the end of the data is the
	// modem's own word, where DCD cannot be asked. In a mail's text the rest of the frame
	// follows it within milliseconds.
	farewellWait = 2 * time.Second
)

// Conn is the data phase of a call. Read and Write may be called from two goroutines,
// Close from a third. Deadlines are not supported: Close ends everything that waits.
type Conn struct {
	m       *Modem
	connect string
	rate    int
	sawDCD  atomic.Bool // the carrier signal was up in this call, so its absence means something
	trim    bool        // the line end of CONNECT may still have to come
	pending []byte      // taken by Login and not meant for it; the reader's

	once sync.Once
	done chan struct{}
	err  error // why done was closed
}

func newConn(m *Modem, r reply, trim bool) *Conn {
	return &Conn{m: m, connect: r.line, rate: connectRate(r.detail), trim: trim, done: make(chan struct{})}
}

// Connect returns the modem's verbatim CONNECT line.
func (c *Conn) Connect() string { return c.connect }

// Rate returns the bit/s named in the CONNECT line, 0 when there is none. It may be
// the serial port's rate instead of the line's: never plan on it.
func (c *Conn) Rate() int { return c.rate }

// Read returns what came from the far end. Once the carrier is lost and everything
// that came before is read, it returns an error that wraps ErrCarrierLost; after Close
// or a hang-up, ErrClosed. The modem's own NO CARRIER may be the last that is read.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	for {
		n, err := c.m.in.read(c, p, c.done)
		if err == nil && n == 0 && len(p) > 0 {
			return 0, c.err
		}
		if err != nil && !errors.Is(err, ErrClosed) {
			c.end(fmt.Errorf("%w: %w", ErrCarrierLost, err))
			return 0, c.err
		}
		if n = c.trimmed(p[:n]); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// readUntil is Read with an end: the cause of ctx's. What has come is given first.
func (c *Conn) readUntil(ctx context.Context, p []byte) (int, error) {
	for {
		n, err := c.m.in.read(c, p, ctx.Done())
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrCarrierLost, err)
		}
		if n == 0 {
			return 0, context.Cause(ctx)
		}
		if n = c.trimmed(p[:n]); n > 0 {
			return n, nil
		}
	}
}

// writeUntil is Write with an end: the cause of ctx's.
func (c *Conn) writeUntil(ctx context.Context, p []byte) (int, error) {
	n, err := c.m.out.write(c, p, ctx.Done())
	switch {
	case errors.Is(err, errWriteStopped):
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrCarrierLost, err)
	}
	return n, err
}

// trimmed takes off what is left of the CONNECT line's end. The line was taken at its
// CR, as S4 need not be LF; an octet of PPP begins with a flag and cannot be meant.
func (c *Conn) trimmed(p []byte) int {
	for i, b := range p {
		if !c.trim || (b != '\r' && b != '\n') {
			c.trim = false
			return copy(p, p[i:])
		}
		c.trim = b == '\r'
	}
	return 0
}

// Write returns when the port has taken all of p; flow control may make that wait.
func (c *Conn) Write(p []byte) (int, error) {
	select {
	case <-c.done:
		return 0, c.err
	default:
	}
	n, err := c.m.out.write(c, p, c.done)
	if errors.Is(err, errWriteStopped) {
		return n, c.err
	}
	if errors.Is(err, ErrClosed) {
		return n, ErrClosed
	}
	if err != nil {
		c.end(fmt.Errorf("%w: %w", ErrCarrierLost, err))
		return n, c.err
	}
	return n, nil
}

// Close ends reads and writes at once. It does not hang up: that is Modem.Hangup's.
func (c *Conn) Close() error {
	c.m.in.leave(c)
	c.m.out.owner.CompareAndSwap(c, nil)
	c.end(ErrClosed)
	return nil
}

func (c *Conn) end(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.done)
	})
}

// watch ends the Conn when the carrier goes.
func (c *Conn) watch() {
	tick := time.NewTicker(carrierPoll)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		if err := c.check(); err != nil {
			c.m.record.note("%v", err)
			c.end(err)
			return
		}
	}
}

// check looks once. A DCD that was never up says nothing (it may come a moment after
// CONNECT, or not be wired), and then the modem's words must do.
func (c *Conn) check() error {
	switch up, err := c.m.dcd(); {
	case err != nil:
		return fmt.Errorf("%w: the port fails: %w", ErrCarrierLost, err)
	case up == carrierUp:
		c.sawDCD.Store(true)
		return nil
	case up == carrierDown && c.sawDCD.Load():
		return fmt.Errorf("%w: DCD is down", ErrCarrierLost)
	}
	if since, said := c.m.in.farewellSince(); said && since >= farewellWait {
		return fmt.Errorf("%w: the modem says NO CARRIER", ErrCarrierLost)
	}
	return nil
}

// carrier is what DCD says.
type carrier int

const (
	carrierUnknown carrier = iota
	carrierDown
	carrierUp
)

func (c carrier) String() string { return [...]string{"unknown", "down", "up"}[c] }

// dcd asks the port. An error is a port that had the bits and has no more: pulled out.
func (m *Modem) dcd() (carrier, error) {
	if !m.hasBits {
		return carrierUnknown, nil
	}
	bits, err := m.port.GetModemStatusBits()
	switch {
	case err != nil:
		return carrierUnknown, err
	case m.profile.IgnoreDCD:
		return carrierUnknown, nil
	case bits.DCD:
		return carrierUp, nil
	}
	return carrierDown, nil
}
