package ppp

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxControl bounds the control frames that wait: more than any exchange
	// needs, and all of them are sent again by somebody if given up.
	maxControl = 32
	// paceLead is how early the writer hands over the next frame, so that the
	// line doesn't idle for a late timer. Serial hardware holds as much anyway.
	paceLead = 20 * time.Millisecond
	// flagIdle is the silence after which a frame opens with a flag of its own,
	// to end whatever noise came in between (as in most implementations, 1 s).
	flagIdle = time.Second
	// bitsPerOctet on an asynchronous line: start, eight bits, stop.
	bitsPerOctet = 10
)

// writer owns the way out: one goroutine, control frames first, no faster than
// the line. Its methods may be called from any goroutine.
type writer struct {
	w     io.Writer
	pace  *pace
	count *counters
	data  chan func() []byte // gives a packet when the line is free for it, nil if there is none after all
	wake  chan struct{}      // something changed under mu
	mtu   atomic.Int64       // longest packet the peer takes, in octets

	mu      sync.Mutex
	control [][]byte  // encoded frames
	queued  int       // octets in control
	framing framing   // for data
	vj      *vjSender // nil: headers go whole; the writing goroutine's once it is set
	deflate *deflater // nil: nothing is compressed; the same
	gate    bool      // data may flow
	freeAt  time.Time // when the line will have sent all it was given
}

func newWriter(w io.Writer, rate int, count *counters) *writer {
	out := &writer{
		w: w, pace: newPace(rate), count: count,
		data: make(chan func() []byte), wake: make(chan struct{}, 1),
	}
	out.mtu.Store(defaultMRU)
	return out
}

// sendControl queues a control frame ahead of all data.
func (w *writer) sendControl(f framing, protocol uint16, info []byte) {
	frame := appendFrame(nil, f, protocol, info)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.control) >= maxControl {
		w.count.dropped.Add(1)
		return
	}
	w.control = append(w.control, frame)
	w.queued += len(frame)
	w.poke()
}

// open lets data flow in the given framing, its headers compressed by vj unless
// that is nil; shut holds it back.
func (w *writer) open(f framing, mtu int, vj *vjSender) {
	w.mtu.Store(int64(mtu))
	w.setGate(f, vj, true)
}

func (w *writer) shut() { w.setGate(plainFraming(), nil, false) }

func (w *writer) setGate(f framing, vj *vjSender, gate bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.framing, w.vj, w.gate = f, vj, gate
	w.poke()
}

// compress lets data be compressed from now on; nil: not any more.
func (w *writer) compress(d *deflater) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deflate = d
}

func (w *writer) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// backlog is how long a control frame queued last will need to leave.
func (w *writer) backlog() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, time.Until(w.freeAt)) + w.pace.airtime(w.queued)
}

// run writes until stop is closed or the stream fails, which it returns.
func (w *writer) run(stop <-chan struct{}) error {
	buf := make([]byte, 0, 2*defaultMRU)
	pace := time.NewTimer(0)
	defer pace.Stop()
	var lastEnd time.Time
	for {
		if !w.pause(pace, stop) {
			return nil
		}
		free := time.Now()
		frame, ok := w.next(buf[:0], stop)
		if !ok {
			return nil
		}
		if w.idle(lastEnd) {
			frame[0] = flag // the place was kept free
		} else {
			frame = frame[1:]
		}
		w.book(len(frame))
		begun := time.Now()
		if _, err := w.w.Write(frame); err != nil {
			return err
		}
		w.pace.wrote(len(frame), begun, begun.Sub(free))
		lastEnd = time.Now()
		w.count.octetsOut.Add(int64(len(frame)))
		w.count.framesOut.Add(1)
	}
}

// pause waits until the line is nearly out of work. What to send is chosen
// only after it, so that a control frame overtakes all data but one frame.
func (w *writer) pause(pace *time.Timer, stop <-chan struct{}) bool {
	w.mu.Lock()
	wait := time.Until(w.freeAt.Add(-paceLead))
	w.mu.Unlock()
	if w.pace.configured <= 0 || wait <= 0 {
		return true
	}
	pace.Reset(wait)
	select {
	case <-pace.C:
		return true
	case <-stop:
		return false
	}
}

// idle says whether the line, last written to at lastEnd, has been silent.
func (w *writer) idle(lastEnd time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(lastEnd) > flagIdle && time.Since(w.freeAt) > flagIdle
}

// book notes that the line will be busy with octets more.
func (w *writer) book(octets int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); w.freeAt.Before(now) {
		w.freeAt = now
	}
	w.freeAt = w.freeAt.Add(w.pace.airtime(octets))
}

// next waits for a frame and appends it to buf after one free octet.
func (w *writer) next(buf []byte, stop <-chan struct{}) ([]byte, bool) {
	buf = append(buf, 0)
	for {
		frame, gate := w.takeControl()
		if frame != nil {
			return append(buf, frame...), true
		}
		var data <-chan func() []byte
		if gate {
			data = w.data
		}
		select {
		case <-stop:
			return nil, false
		case <-w.wake:
		case next := <-data:
			p := next()
			if p == nil {
				continue
			}
			w.mu.Lock()
			f, vj, deflate := w.framing, w.vj, w.deflate
			w.mu.Unlock()
			w.count.packetsOut.Add(1)
			protocol := uint16(protoIP)
			if vj != nil {
				protocol, p = vj.compress(p)
			}
			if deflate != nil {
				protocol, p = deflate.compress(protocol, p)
			}
			return appendFrame(buf, f, protocol, p), true
		}
	}
}

func (w *writer) takeControl() (frame []byte, gate bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.control) > 0 {
		frame = w.control[0]
		w.control[0] = nil
		w.control = w.control[1:]
		w.queued -= len(frame)
	}
	return frame, w.gate
}
