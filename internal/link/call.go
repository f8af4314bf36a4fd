package link

import (
	"context"
	"errors"
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

	life  context.Context // ended by the first Down
	stop  context.CancelFunc
	risen chan struct{} // closed when Up, or Reset's first part, has returned
	lost  chan struct{} // closed when the line went down by itself

	up, down atomic.Int64 // octets on the serial line

	// What there is to take down, set in this order as the call comes up: by
	// Up's goroutine, holding mu, until risen; then by the descent's.
	mu        sync.Mutex
	modem     *modem.Modem
	connected time.Time
	ppp       *ppp.Link
	stack     *Stack
	pppd      *pppdRun // instead of both, on a PPPDLine

	descent *descent // the last attempt to take it down; under mu
	shut    bool     // modem's port was closed after an attempt; under mu
	dialog  string   // the transcript of the modem that dialled, once there is another; under mu
}

func newCall(cfg ModemConfig) *call {
	c := &call{cfg: cfg, risen: make(chan struct{}), lost: make(chan struct{})}
	c.life, c.stop = context.WithCancel(context.Background())
	return c
}

// open opens the port.
func (c *call) open() error {
	port, err := c.cfg.Open()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.modem = modem.New(port, c.cfg.Profile, modem.Options{Log: c.cfg.Log, Secrets: c.cfg.Secrets})
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
	if err := c.modem.Init(ctx); err != nil {
		return causeOf(ctx, err)
	}
	data, err := c.modem.Dial(ctx, c.cfg.Number)
	if err != nil {
		return causeOf(ctx, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connected = time.Now()
	if c.cfg.pppd != nil {
		c.pppd = newPPPDRun(c.cfg.pppd, &countedConn{data, c})
		return nil
	}
	c.ppp = ppp.New(&countedConn{data, c}, c.cfg.PPP)
	return nil
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
	if c.pppd != nil {
		if err := c.pppd.Up(ctx); err != nil {
			return causeOf(ctx, err)
		}
		return nil
	}
	got, err := c.ppp.Up(ctx)
	if err != nil {
		return causeOf(ctx, err)
	}
	s, err := NewStack(c.ppp, got.Local, StackOptions{MTU: got.MTU, Rate: c.cfg.Rate, RTT: c.cfg.RTT, DNS: got.DNS})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stack = s
	return nil
}

// causeOf adds why ctx ended to an error that came of it.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return errors.Join(cause, err)
	}
	return err
}

// watch tells when the line goes down by itself.
func (c *call) watch() {
	select {
	case <-c.life.Done():
	case <-c.carrier().Done():
		if c.life.Err() == nil {
			c.cfg.Log.Warn("link: line lost", "line", c.cfg.Name, "error", c.carrier().Err())
			close(c.lost)
		}
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
