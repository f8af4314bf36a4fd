package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"outpost/internal/ppp"
	"outpost/modem"
)

// call is one use of the line, from opening the port to closing it.
type call struct {
	cfg ModemConfig

	*lifetime

	up, down atomic.Int64 // octets on the serial line

	// What there is to take down, set in this order as the call comes up: by
	// Up's goroutine, holding mu, until risen; then by the descent's.
	mu        sync.Mutex
	modem     *modem.Modem
	number    string // the last that was dialled
	data      *modem.Conn
	known     kept // of the provider, from earlier calls
	connected time.Time
	connect   string // the modem's CONNECT line
	ppp       *ppp.Link
	got       ppp.Addresses
	stack     *Stack
	pppd      *pppdRun // instead of both, on a PPPDLine

	shut   bool   // modem's port was closed after an attempt; under mu
	dialog string // the transcript of the modem that dialled, once there is another; under mu
}

func newCall(cfg ModemConfig) *call {
	return &call{cfg: cfg, number: cfg.Number, lifetime: newLifetime()}
}

// open opens the port.
func (c *call) open() error {
	port, err := c.cfg.Open()
	if err != nil {
		return err
	}
	// It asks the driver, which may not answer: not while mu is held, which Down needs.
	m := modem.New(port, c.cfg.Profile, modem.Options{Log: c.cfg.Log, Secrets: c.cfg.Secrets})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modem = m
	return nil
}

// transcript is all that was said to the modem.
func (c *call) transcript() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modem == nil {
		return c.dialog
	}
	return c.dialog + c.modem.Transcript()
}

// dial gets as far as CONNECT.
func (c *call) dial(ctx context.Context) error {
	if err := c.open(); err != nil {
		return err
	}
	c.step("port open")
	if err := c.modem.Init(ctx); err != nil {
		return causeOf(ctx, err)
	}
	c.step("modem ready")
	data, err := c.dialNumbers(ctx)
	if err != nil {
		c.step("no connection")
		return causeOf(ctx, err)
	}
	c.answered(data)
	c.step(data.Connect())
	return nil
}

// answered prepares what is to carry packets.
func (c *call) answered(data *modem.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected, c.connect, c.data = time.Now(), data.Connect(), data
	c.known = c.cfg.recall(c.number)
	if c.cfg.pppd != nil {
		c.pppd = newPPPDRun(c.cfg.pppd, &countedConn{data, c})
		c.pppd.names = c.known.Names
		return
	}
	cfg := c.cfg.PPP
	cfg.Memory = c.known.PPP
	if cfg.RTT == 0 && cfg.Memory != nil {
		cfg.RTT = cfg.Memory.RTT
	}
	c.ppp = ppp.New(&countedConn{data, c}, cfg)
}

// numberPause is between two numbers: an exchange takes a line that was on-hook for less
// than a second for a flash, and some modems are as slow to be ready again.
const numberPause = 2 * time.Second

// dialNumbers dials one number after the other. If none is reached, the error is what
// each of them said.
func (c *call) dialNumbers(ctx context.Context) (*modem.Conn, error) {
	var failed []error
	for i, number := range append([]string{c.cfg.Number}, c.cfg.Others...) {
		if i > 0 {
			if !pause(ctx, numberPause) {
				return nil, errors.Join(append(failed, context.Cause(ctx))...)
			}
		}
		c.mu.Lock()
		c.number = number
		c.mu.Unlock()
		c.step("dialling " + number)
		data, err := c.modem.Dial(ctx, number)
		if err == nil {
			return data, nil
		}
		if len(c.cfg.Others) > 0 {
			err = fmt.Errorf("number %s: %w", number, err)
		}
		failed = append(failed, err)
		var de *modem.DialError
		if !errors.As(err, &de) || !de.OtherNumber() || ctx.Err() != nil {
			break
		}
		c.cfg.Log.Warn("link: number not reached", "line", c.cfg.Name, "number", number, "error", err)
	}
	return nil, errors.Join(failed...)
}

// login holds the far end's dialogue in text. Its octets are the line's like all others.
func (c *call) login(ctx context.Context) error {
	if len(c.cfg.Login.Steps) == 0 {
		return nil
	}
	sent, heard, err := c.data.Login(ctx, c.cfg.Login)
	c.up.Add(int64(sent))
	c.down.Add(int64(heard))
	return err
}

// step tells how far the call has come.
func (c *call) step(what string) {
	if c.cfg.OnStep != nil {
		c.cfg.OnStep(what)
	}
}

// carrier is what carries packets over a call that was answered.
type carrier interface {
	Done() <-chan struct{} // closed when it has ended
	Err() error            // why
	Close(ctx context.Context) error
}

// carrier is the call's: our PPP, or the system's. Nil: the call wasn't answered.
func (c *call) carrier() carrier {
	switch {
	case c.pppd != nil:
		return c.pppd
	case c.ppp != nil:
		return c.ppp
	}
	return nil
}

// establish gets from CONNECT to packets.
func (c *call) establish(ctx context.Context) error {
	if err := c.login(ctx); err != nil {
		return causeOf(ctx, err)
	}
	if c.pppd != nil {
		if err := c.pppd.Up(ctx); err != nil {
			c.step("no link")
			return causeOf(ctx, err)
		}
		c.step("link up")
		return nil
	}
	got, err := c.ppp.Up(ctx)
	if err != nil {
		c.step("no link")
		return causeOf(ctx, err)
	}
	s, err := NewStack(c.ppp, got.Local, StackOptions{MTU: got.MTU, Rate: c.cfg.Rate, RTT: c.roundTrip(), DNS: got.DNS, Names: c.known.Names})
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.stack, c.got = s, got
	c.mu.Unlock()
	c.step("link up, our address is " + got.Local.String())
	return nil
}

// roundTrip is the line's as it is configured, unless it was seen to be longer.
func (c *call) roundTrip() time.Duration {
	return max(c.cfg.RTT, c.ppp.Memory().RTT)
}

// causeOf adds why ctx ended to an error that came of it.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return errors.Join(cause, err)
	}
	return err
}

// measured is how often the line's rate is looked at: long enough for some segments
// on the slowest.
const measured = 4 * time.Second

// watch follows what the line carries, and tells when it goes down by itself.
func (c *call) watch() {
	tick := time.NewTicker(measured)
	defer tick.Stop()
	rate, before := c.cfg.Rate, c.down.Load()
	for alive := true; alive; {
		select {
		case <-c.life.Done():
			return
		case <-c.carrier().Done():
			alive = false
		case <-tick.C:
			now := c.down.Load()
			came := int(float64(now-before) * bitsPerOctet / measured.Seconds())
			before = now
			rate = c.follow(rate, came)
		}
	}
	c.tellLost()
}

// follow adapts the windows if the line carries other than it was thought to: by a
// tenth more, or a fifth less, for a measurement is never quite what the line is.
func (c *call) follow(was, came int) int {
	if was <= 0 || c.stack == nil {
		return was
	}
	is := max(c.ppp.Rate(), came)
	if is <= was+was/10 && is >= was-was/5 {
		return was
	}
	c.cfg.Log.Info("link: the line's rate", "line", c.cfg.Name, "configured", c.cfg.Rate, "measured", is)
	c.stack.Retune(is, c.roundTrip())
	return is
}

// tellLost says that the line went down by itself, unless Down was at work.
func (c *call) tellLost() {
	if c.life.Err() == nil {
		c.cfg.Log.Warn("link: line lost", "line", c.cfg.Name, "error", c.carrier().Err())
		close(c.lost)
	}
}

// countedConn counts what crosses the serial line.
type countedConn struct {
	io.ReadWriteCloser
	call *call
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.call.down.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Write(p)
	c.call.up.Add(int64(n))
	return n, err
}
