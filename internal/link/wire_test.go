package link

import (
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// wire is a line for packets between two stacks, as PPP on a modem gives it: a
// rate, a delay, and writers that wait until it is free. gVisor's
// goroutines park in ways that testing/synctest doesn't count as idle, so time
// is real here, but may run speed times faster, on the wire and in the stacks
// alike.
type wire struct {
	rate  int           // bit/s, ten to an octet; 0: no limit
	delay time.Duration // one way
	speed float64       // 0: 1
	lose  func(way string, packet []byte) bool

	up, down *direction
}

// connect gives the two ends. Up is from a to b.
func (w *wire) connect(t testing.TB) (a, b *wireEnd) {
	if w.speed == 0 {
		w.speed = 1
	}
	closed := make(chan struct{})
	w.up = newDirection(w, "up", closed)
	w.down = newDirection(w, "down", closed)
	var once sync.Once
	shut := func() { once.Do(func() { close(closed) }) }
	a = &wireEnd{out: w.up, in: w.down, shut: shut}
	b = &wireEnd{out: w.down, in: w.up, shut: shut}
	t.Cleanup(func() {
		shut()
		w.up.wg.Wait()
		w.down.wg.Wait()
	})
	return a, b
}

type wireEnd struct {
	out, in *direction
	shut    func()
}

func (e *wireEnd) ReadPacket(p []byte) (int, error) {
	select {
	case packet := <-e.in.arrived:
		return copy(p, packet), nil
	case <-e.in.closed:
		return 0, errCut
	}
}

func (e *wireEnd) WriteNext(next func() []byte) error {
	select {
	case e.out.waiting <- next:
		return nil
	case <-e.out.closed:
		return errCut
	}
}

// errCut is what both ends see of a wire that was cut.
var errCut = io.ErrUnexpectedEOF

type direction struct {
	w       *wire
	name    string
	waiting chan func() []byte
	flying  chan timed
	arrived chan []byte
	closed  chan struct{}
	wg      sync.WaitGroup
	mu      sync.Mutex
	octets  int // on the wire, framing and escapes included
	packets int
	payload int // of TCP
	resent  int // of it, octets that had been sent before
	syn     int
	busy    time.Duration // virtual
	last    map[[4]byte]uint32
}

type timed struct {
	at     time.Time
	packet []byte
}

func newDirection(w *wire, name string, closed chan struct{}) *direction {
	d := &direction{
		w: w, name: name, closed: closed, last: make(map[[4]byte]uint32),
		waiting: make(chan func() []byte), flying: make(chan timed, 4096), arrived: make(chan []byte, 4096),
	}
	d.wg.Go(d.serialise)
	d.wg.Go(d.fly)
	return d
}

func (d *direction) serialise() {
	free := time.Now()
	for {
		var p []byte
		select {
		case next := <-d.waiting:
			if p = next(); p == nil {
				continue
			}
		case <-d.closed:
			return
		}
		octets := d.note(p)
		if now := time.Now(); free.Before(now) {
			free = now
		}
		if d.w.rate > 0 {
			airtime := time.Duration(octets) * 10 * time.Second / time.Duration(d.w.rate)
			d.mu.Lock()
			d.busy += airtime
			d.mu.Unlock()
			free = free.Add(time.Duration(float64(airtime) / d.w.speed))
			if !d.sleep(free) {
				return
			}
		}
		if d.w.lose != nil && d.w.lose(d.name, p) {
			continue
		}
		d.flying <- timed{free.Add(time.Duration(float64(d.w.delay) / d.w.speed)), p}
	}
}

func (d *direction) fly() {
	for {
		select {
		case f := <-d.flying:
			if !d.sleep(f.at) {
				return
			}
			select {
			case d.arrived <- f.packet:
			case <-d.closed:
				return
			}
		case <-d.closed:
			return
		}
	}
}

func (d *direction) sleep(until time.Time) bool {
	wait := time.Until(until)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.closed:
		return false
	}
}

// note counts a packet and gives its octets on the wire: in PPP frames without
// compressed fields, a flag between frames, and escapes for 7d and 7e.
func (d *direction) note(p []byte) int {
	octets := len(p) + 7
	for _, b := range p {
		if b == 0x7d || b == 0x7e {
			octets++
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.packets++
	d.octets += octets
	s, ok := parseSegment(p)
	if !ok {
		return octets
	}
	if s.isSYN() {
		d.syn++
	}
	n := len(s.payload())
	if n == 0 {
		return octets
	}
	flow := [4]byte(s.tcp()[:4])
	seq := binary.BigEndian.Uint32(s.tcp()[4:])
	end := seq + uint32(n)
	d.payload += n
	if last, known := d.last[flow]; known && int32(last-seq) > 0 {
		d.resent += min(n, int(last-seq))
	}
	if last, known := d.last[flow]; !known || int32(end-last) > 0 {
		d.last[flow] = end
	}
	return octets
}

// count is what went one way, for assertions.
type count struct{ octets, packets, payload, resent, syn int }

func (d *direction) count() count {
	d.mu.Lock()
	defer d.mu.Unlock()
	return count{d.octets, d.packets, d.payload, d.resent, d.syn}
}

var (
	nearAddr = netip.MustParseAddr("10.1.0.2")
	farAddr  = netip.MustParseAddr("10.1.0.1")
)

// hurried is a stack whose time runs as fast as a wire's.
func hurried(t testing.TB, pc PacketConn, addr netip.Addr, opt StackOptions, speed float64) *Stack {
	t.Helper()
	tuned := tune(opt.Rate, opt.RTT)
	faster := func(d time.Duration) time.Duration { return time.Duration(float64(d) / speed) }
	clock := newSlowClock(faster(time.Duration(tuned.slow) * time.Second))
	tuned.minRTO = faster(tuned.minRTO)
	tuned.bulkFor, tuned.grace, tuned.greet = faster(tuned.bulkFor), faster(tuned.grace), faster(tuned.greet)
	tuned.connectWait, tuned.askWait = faster(tuned.connectWait), faster(tuned.askWait)
	s, err := newStack(pc, addr, opt, tuned, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// pair is two stacks on a fast wire, the near one tuned by opt.
func pair(t testing.TB, opt StackOptions) (near, far *Stack, w *wire) {
	w = &wire{}
	a, b := w.connect(t)
	return hurried(t, a, nearAddr, opt, 1), hurried(t, b, farAddr, StackOptions{}, 1), w
}
