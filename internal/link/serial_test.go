package link

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"outpost/internal/ppp"
)

// serialLine is a line for octets, as a modem's data phase is: each direction has
// a rate, ten bits to an octet, and a delay; what was written together arrives with
// its last octet. It may run speed times fast. Octets are exact, and so is the time
// that they take on the line; when somebody gets round to writing is not.
type serialLine struct {
	rate  int           // bit/s
	delay time.Duration // one way
	speed float64
	alter func(way string, b []byte) // may damage what is sent; nil: nothing does

	up, down *track
}

// track is one direction.
type track struct {
	line   *serialLine
	name   string
	queue  chan timed
	closed chan struct{}

	mu     sync.Mutex
	octets int64
	free   time.Time // when the last octet will have left
	first  time.Time // when the first one left
	busy   time.Duration
	idle   time.Duration // since first
	frozen time.Time     // nothing arrives before
}

// ends gives both ends of the line. Up is from near to far.
func (l *serialLine) ends() (near, far io.ReadWriteCloser) {
	closed := make(chan struct{})
	var once sync.Once
	shut := func() { once.Do(func() { close(closed) }) }
	make1 := func(name string) *track {
		return &track{line: l, name: name, queue: make(chan timed, 1<<16), closed: closed}
	}
	l.up, l.down = make1("up"), make1("down")
	return &serialEnd{out: l.up, in: l.down, shut: shut}, &serialEnd{out: l.down, in: l.up, shut: shut}
}

type serialEnd struct {
	out, in *track
	rest    []byte
	shut    func()
}

func (e *serialEnd) Close() error { e.shut(); return nil }

func (e *serialEnd) Write(p []byte) (int, error) {
	t := e.out
	select {
	case <-t.closed:
		return 0, io.ErrClosedPipe
	default:
	}
	b := append([]byte(nil), p...)
	if t.line.alter != nil {
		t.line.alter(t.name, b)
	}
	t.queue <- timed{t.book(len(b)), b}
	return len(p), nil
}

// book gives the line n octets more, and says when the last arrives.
func (t *track) book(n int) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	took := t.line.real(lane{t.line.rate}.airtime(n))
	if t.free.Before(now) {
		if !t.first.IsZero() {
			t.idle += now.Sub(t.free)
		} else {
			t.first = now
		}
		t.free = now
	}
	t.free = t.free.Add(took)
	t.busy += took
	t.octets += int64(n)
	return t.free.Add(t.line.real(t.line.delay))
}

// real is the time that passes here for a duration of the line's.
func (l *serialLine) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / l.speed)
}

func (e *serialEnd) Read(p []byte) (int, error) {
	t := e.in
	if len(e.rest) == 0 {
		var c timed
		select {
		case c = <-t.queue:
		case <-t.closed:
			return 0, io.EOF
		}
		t.mu.Lock()
		until := c.at
		if until.Before(t.frozen) {
			until = t.frozen
		}
		t.mu.Unlock()
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-t.closed:
			return 0, io.EOF
		}
		e.rest = c.packet
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// freeze lets nothing arrive for d of the line's time.
func (l *serialLine) freeze(d time.Duration) {
	for _, t := range []*track{l.up, l.down} {
		t.mu.Lock()
		t.frozen = time.Now().Add(l.real(d))
		t.mu.Unlock()
	}
}

// count gives the octets so far.
func (t *track) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.octets
}

// overPPP is a caller and an access server on a line, with TCP/IP on both.
type overPPP struct {
	line      *serialLine
	near, far *Stack
	nearPPP   *ppp.Link
	farPPP    *ppp.Link
}

// dial brings PPP and TCP/IP up on a line. The far end is an access server as they
// are: it knows nothing of the line, takes what it gets and lets it wait.
func (l *serialLine) dial(t testing.TB, rtt time.Duration, farOpt StackOptions, config func(near, far *ppp.Config)) *overPPP {
	t.Helper()
	a, b := l.ends()
	near := ppp.Config{Rate: int(float64(l.rate) * l.speed), RTT: l.real(rtt), User: "joe", Password: "secret"}
	far := ppp.Config{Server: true, LocalAddr: farAddr, PeerAddr: nearAddr}
	if config != nil {
		config(&near, &far)
	}
	d := &overPPP{line: l, nearPPP: ppp.New(a, near), farPPP: ppp.New(b, far)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	up := make(chan error, 1)
	go func() { _, err := d.farPPP.Up(ctx); up <- err }()
	if _, err := d.nearPPP.Up(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = d.nearPPP.Close(context.Background())
		_ = d.farPPP.Close(context.Background())
	})
	d.near = hurried(t, d.nearPPP, nearAddr, StackOptions{Rate: l.rate, RTT: rtt}, l.speed)
	d.far = hurried(t, d.farPPP, farAddr, farOpt, l.speed)
	return d
}
