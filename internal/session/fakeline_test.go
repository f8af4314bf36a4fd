package session

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// fakeLine is a line whose far end is reached by dial: real servers on
// loopback, or nothing. It counts what crosses it, goes down by itself when
// told to, and remembers how often it was brought down.
type fakeLine struct {
	name string
	dial func(ctx context.Context, address string) (net.Conn, error)

	upErr     error
	upPanic   bool
	upHangs   bool  // Up ignores its context until Down
	downHangs bool  // the first Down ignores its context until the second
	downErr   error // given by the first fails calls of Down
	fails     int
	downs     int
	cutAt     int64 // octets after which the line is lost; 0: never

	mu        sync.Mutex
	connected time.Time
	up, down  int64
	lost      chan struct{}
	downed    chan struct{} // closed by the first Down
	again     chan struct{} // closed by the second
	conns     []net.Conn
}

func newFakeLine(name string) *fakeLine {
	return &fakeLine{name: name, lost: make(chan struct{}), downed: make(chan struct{}), again: make(chan struct{})}
}

func (l *fakeLine) Name() string          { return l.name }
func (l *fakeLine) Number() string        { return "5551234" }
func (l *fakeLine) Transcript() string    { return "ATDT5551234" }
func (l *fakeLine) Lost() <-chan struct{} { return l.lost }

func (l *fakeLine) Err() error {
	select {
	case <-l.lost:
		return errors.New("carrier lost")
	default:
		return nil
	}
}

func (l *fakeLine) Up(_ context.Context, onPhase func(string)) error {
	onPhase(Dialling)
	if l.upPanic {
		panic("the driver fell over")
	}
	if l.upHangs {
		<-l.downed
		return errors.New("brought down")
	}
	if l.upErr != nil {
		return l.upErr
	}
	l.mu.Lock()
	l.connected = time.Now()
	l.mu.Unlock()
	onPhase(Linking)
	return nil
}

func (l *fakeLine) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	if l.dial == nil {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	conn, err := l.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, conn)
	return &countedConn{Conn: conn, line: l}, nil
}

func (l *fakeLine) Counters() (up, down int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.up, l.down
}

func (l *fakeLine) Connected() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}

func (l *fakeLine) Down(context.Context) error {
	l.mu.Lock()
	l.downs++
	n := l.downs
	l.mu.Unlock()
	switch n {
	case 1:
		close(l.downed)
		if l.downHangs {
			<-l.again
		}
	case 2:
		close(l.again)
	}
	if n <= l.fails {
		return l.downErr
	}
	return nil
}

func (l *fakeLine) count(up, down int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.up + l.down
	l.up, l.down = l.up+int64(up), l.down+int64(down)
	if l.cutAt > 0 && before < l.cutAt && l.up+l.down >= l.cutAt {
		close(l.lost)
		for _, c := range l.conns {
			_ = c.Close()
		}
	}
}

// countedConn tells its line what crosses it.
type countedConn struct {
	net.Conn
	line *fakeLine
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.line.count(0, n)
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.line.count(n, 0)
	return n, err
}

// downCount is how often Down was called so far.
func (l *fakeLine) downCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.downs
}
