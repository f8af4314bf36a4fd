package pop3

import (
	"context"
	"slices"
	"sync"
)

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
// A Window is safe for concurrent use. It starts no goroutine, and holds nothing of a box that has left.
type Window struct {
	mu      sync.Mutex
	limit   int64
	out     int64 // asked for and not yet here, of all berths
	stopped bool
	berths  []*berth
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
	for !w.stopped && (w.limit <= 0 || w.out < w.limit) {
		var best *berth
		for _, b := range w.berths {
			if b.ready() && (best == nil || b.before(best)) {
				best = b
			}
		}
		if best == nil {
			return
		}
		m := best.wants[0]
		best.wants = best.wants[1:]
		best.granted = append(best.granted, m)
		best.fly(m)
		best.nudge()
	}
}

// berth is the place of a box at a Window. All of it is guarded by the Window's mutex.
type berth struct {
	w       *Window
	most    int  // flying at once
	urgent  bool // comes before boxes that are not
	wants   []*message
	granted []*message // not taken by next yet
	flying  []*message // granted and not finished, in the order of their commands
	fence   *message   // see doubt
	fenced  bool       // nothing is granted
	gone    bool
	wake    chan struct{} // that something has changed for next; holds one
}

// join gives a box its place. most is how many messages may be under way at once; ahead, unless nil, is one of wants that is under way
// already.
func (w *Window) join(wants []*message, most int, ahead *message) *berth {
	b := &berth{w: w, most: most, wake: make(chan struct{}, 1)}
	b.urgent = slices.ContainsFunc(wants, func(m *message) bool { return m.uidl == "" })
	b.wants = slices.DeleteFunc(slices.Clone(wants), func(m *message) bool { return m == ahead })
	slices.SortStableFunc(b.wants, (*message).compare)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.berths = append(w.berths, b)
	if ahead != nil {
		b.fly(ahead)
	}
	w.grant()
	return b
}

func (b *berth) fly(m *message) {
	m.left = m.size
	b.w.out += m.left
	b.flying = append(b.flying, m)
}

func (b *berth) nudge() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// ready says that the first of wants may be granted, as far as the box goes. A message at which a session has died is asked for alone, so
// that next time it is known which it was, and nothing dies with it.
func (b *berth) ready() bool {
	switch {
	case len(b.wants) == 0, b.fenced, len(b.flying) >= b.most:
		return false
	case len(b.flying) > 0:
		return b.wants[0].tried == 0 && b.flying[0].tried == 0
	}
	return true
}

// before says which of two boxes that are ready is served.
func (b *berth) before(other *berth) bool {
	if b.urgent != other.urgent {
		return b.urgent
	}
	return b.wants[0].compare(other.wants[0]) < 0
}

// next waits for what is granted; nil when that is nothing more, as all is there, or the Window stopped, or the box left, or ctx ended.
func (b *berth) next(ctx context.Context) []*message {
	for {
		granted, over := b.take()
		if len(granted) > 0 || over {
			return granted
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *berth) take() (granted []*message, over bool) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	granted, b.granted = b.granted, nil
	idle := len(b.flying) == 0 && len(granted) == 0
	return granted, b.gone || idle && (b.w.stopped || len(b.wants) == 0)
}

// untake gives back what was granted and not taken, but for the fence.
func (b *berth) untake() {
	b.granted = slices.DeleteFunc(b.granted, func(m *message) bool {
		if m == b.fence {
			return false
		}
		b.land(m)
		b.wants = append(b.wants, m)
		return true
	})
	slices.SortStableFunc(b.wants, (*message).compare)
}

// land ends the flight of a message.
func (b *berth) land(m *message) {
	if i := slices.Index(b.flying, m); i >= 0 {
		b.w.out -= m.left
		m.left = 0
		b.flying = slices.Delete(b.flying, i, i+1)
	}
}

// arrived says that octets of a message have come.
func (b *berth) arrived(m *message, octets int) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	n := min(int64(octets), m.left)
	if n > 0 && !b.gone {
		m.left -= n
		b.w.out -= n
		b.w.grant()
	}
}

// finish says that nothing more will come of a message.
func (b *berth) finish(m *message) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.land(m)
	if m == b.fence {
		b.fence, b.fenced = nil, false
	}
	b.settle()
}

// settle goes on after a message has landed.
func (b *berth) settle() {
	switch {
	case b.gone:
		return
	case b.fence != nil && len(b.flying) == 0: // all that was under way is here: now the fence itself
		b.granted = append(b.granted, b.fence)
		b.fly(b.fence)
	default:
		b.w.grant()
	}
	b.nudge()
}

// doubt puts a fence behind the messages under way: they are suspect, and nothing is granted before fence is finished. Without any under
// way there is nothing to doubt. It is called when m was answered and hasn't been finished yet.
func (b *berth) doubt(m, fence *message) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.untake()
	if b.fenced || len(b.flying) < 2 || m == b.fence {
		return
	}
	b.fence, b.fenced = fence, true
	for _, other := range b.flying {
		other.suspect = other != m
	}
}

// suspects says whether m was under way when there was doubt.
func (b *berth) suspects(m *message) bool {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return m.suspect
}

// again puts a suspect message back, to be asked for once more.
func (b *berth) again(m *message) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.land(m)
	m.suspect = false
	b.wants = append(b.wants, m)
	slices.SortStableFunc(b.wants, (*message).compare)
	b.settle()
}

// abandon asks for nothing more in this box, and says for how many messages it would have.
func (b *berth) abandon() int {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.untake()
	n := len(b.wants)
	b.wants = nil
	b.nudge()
	return n
}

// leave gives back all that is under way. It may be called more than once.
func (b *berth) leave() {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if b.gone {
		return
	}
	b.gone = true
	b.granted, b.wants = nil, nil
	for _, m := range b.flying {
		b.w.out -= m.left
	}
	b.flying = nil
	b.w.berths = slices.DeleteFunc(b.w.berths, func(other *berth) bool { return other == b })
	b.nudge()
	b.w.grant()
}
