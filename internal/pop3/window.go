package pop3

import (
	"sync"
	"time"
)

// stallLimit is how long nothing arrives before what is under way in one box doesn't hold up another. Only a server that has got stuck
// is silent for so long while the line is good; where the line itself is, that much more is queued than should be.
const stallLimit = 20 * time.Second

// mostFlying is how many messages of a box are asked for and not yet there, at most. It is for memory, here and in the server, which has
// to keep the commands somewhere: 256 of them are 2.5 kB.
const mostFlying = 256

// Window grants the messages of all boxes of a call, so that the line is never idle and never has much queued: what waits in the
// provider's routers behind other mail is taken for lost and sent twice, and what was asked for too early comes before what is smaller.
//
// Of all messages that wait in any box it grants the smallest first, by effective size: half as much for each 24 hours since the message
// was first listed, so that nothing starves. Before them come all messages of boxes without UIDLs, where a cut before QUIT
// costs all that was retrieved. It grants as long as fewer octets are under way than the limit; so a message larger than the
// limit comes too, and at most one message is queued behind it.
//
// Octets that don't come for 20 s while other boxes wait don't count any more until some do, so that a server that got stuck keeps only
// its own box waiting.
//
// A Window is safe for concurrent use. It starts no goroutine, and holds nothing of a box that has left.
type Window struct {
	mu      sync.Mutex
	limit   int64
	out     int64 // asked for and not yet here, of all berths that are not stalled
	stopped bool
	berths  []*berth
	awaited int           // boxes that are still to come before anything large is granted
	waits   time.Duration // for them, from when the first has come
	moved   time.Time     // when octets arrived last, or were asked for after none were under way
	watch   *time.Timer   // for a stall; nil while nothing is held up
}

// NewWindow makes a Window with a limit in octets: what the line carries in a round trip, and some more. Zero or less: no limit.
func NewWindow(limit int64) *Window { return &Window{limit: limit} }

// SetLimit changes the limit, at any time. What is under way stays so.
func (w *Window) SetLimit(limit int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = limit
	w.grant()
}

// Outstanding is how many octets were asked for and are not yet here, by the sizes of LIST.
func (w *Window) Outstanding() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out
}

// Stop grants nothing more: the call is to end. Boxes take in what was asked for, delete what they have, and quit. It can't be undone.
func (w *Window) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	for _, b := range w.berths {
		b.untake()
		b.nudge()
	}
}

// grant asks for all that may be asked for now.
func (w *Window) grant() {
	for !w.stopped {
		best := w.best()
		if best == nil || w.awaited > 0 && best.wants[0].octets > w.limit {
			return
		}
		if w.limit > 0 && w.out >= w.limit {
			w.lookOut()
			return
		}
		m := best.wants[0]
		best.wants = best.wants[1:]
		best.granted = append(best.granted, m)
		best.fly(m)
		best.nudge()
	}
}

// Gather waits with all that is larger than the limit until so many boxes have come, or for a time once the first has: else the call
// would begin with what happens to be in the box that is the first. It is called once, before any box comes.
func (w *Window) Gather(boxes int, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited, w.waits = boxes, d
}

// come counts a box. The caller holds mu.
func (w *Window) come() {
	if w.awaited == 0 {
		return
	}
	if w.waits > 0 {
		time.AfterFunc(w.waits, w.gathered)
		w.waits = 0
	}
	w.awaited--
}

// gathered is that no more boxes are waited for.
func (w *Window) gathered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaited = 0
	w.grant()
}

// best is the box that has the message to come next, if any may.
func (w *Window) best() (best *berth) {
	for _, b := range w.berths {
		if b.ready() && (best == nil || b.before(best)) {
			best = b
		}
	}
	return best
}

// lookOut waits for a stall while a box is held up.
func (w *Window) lookOut() {
	if w.watch == nil {
		w.watch = time.AfterFunc(time.Until(w.moved.Add(stallLimit)), w.look)
	}
}

// look lets others go on where nothing arrives.
func (w *Window) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch = nil
	if time.Since(w.moved) >= stallLimit {
		for _, b := range w.berths {
			b.stall(len(b.flying) > 0)
		}
		w.moved = time.Now()
	}
	w.grant()
}
