package pop3

import (
	"context"
	"slices"
	"time"
)

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
	given   bool          // up: nothing more is wanted
	rest    int64         // octets under way
	stalled bool          // and they don't count, as they don't come
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
	w.come()
	if ahead != nil {
		b.fly(ahead)
	}
	w.grant()
	return b
}

func (b *berth) fly(m *message) {
	if b.w.out <= 0 {
		b.w.moved = time.Now()
	}
	m.left = m.octets
	b.count(m.left)
	b.flying = append(b.flying, m)
}

// count adds to what is under way.
func (b *berth) count(octets int64) {
	b.rest += octets
	if !b.stalled {
		b.w.out += octets
	}
}

// stall takes what is under way out of the Window's count, or back in.
func (b *berth) stall(is bool) {
	switch {
	case is && !b.stalled:
		b.w.out -= b.rest
	case !is && b.stalled:
		b.w.out += b.rest
	}
	b.stalled = is
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
	case len(b.wants) == 0, b.fenced, b.stalled, len(b.flying) >= b.most:
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
		b.count(-m.left)
		m.left = 0
		b.flying = slices.Delete(b.flying, i, i+1)
	}
}

// arrived says that octets of a message have come.
func (b *berth) arrived(m *message, octets int) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	if b.gone {
		return
	}
	b.w.moved = time.Now()
	b.stall(false)
	if n := min(int64(octets), m.left); n > 0 {
		m.left -= n
		b.count(-n)
		b.w.grant()
	}
}

// finish says that nothing more will come of a message. more are to be asked for besides, that one once more among them, unless it says no:
// the box is given up.
func (b *berth) finish(m *message, more ...*message) bool {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.stall(false)
	b.land(m)
	if m == b.fence {
		b.fence, b.fenced = nil, false
	}
	taken := b.add(more)
	b.settle()
	return taken
}

// add wants more; false, if they won't be asked for.
func (b *berth) add(more []*message) bool {
	if len(more) == 0 || b.gone || b.given {
		return len(more) == 0
	}
	b.wants = append(b.wants, more...)
	slices.SortStableFunc(b.wants, (*message).compare)
	return true
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

// doubt puts a fence behind the messages under way: they are suspect, and nothing is granted before fence is finished. Where nothing is
// to come any more there is nothing to doubt. It is called when m was answered and hasn't been finished yet; more are as finish has them.
func (b *berth) doubt(m, fence *message, more ...*message) bool {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.untake()
	taken := b.add(more)
	if b.fenced || len(b.flying) < 2 && len(b.wants) == 0 {
		return taken
	}
	b.fence, b.fenced = fence, true
	for _, other := range b.flying {
		other.suspect = other != m
	}
	return taken
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
	b.wants, b.given = nil, true
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
	b.count(-b.rest)
	b.granted, b.wants, b.flying = nil, nil, nil
	b.w.berths = slices.DeleteFunc(b.w.berths, func(other *berth) bool { return other == b })
	b.nudge()
	if b.w.watch != nil && len(b.w.berths) == 0 {
		b.w.watch.Stop()
		b.w.watch = nil
	}
	b.w.grant()
}
