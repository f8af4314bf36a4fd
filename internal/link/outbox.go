package link

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// outbox is what waits for the line. On a slow line a segment takes seconds to
// send, and what is behind it is late: so acknowledgements, and all else without
// payload, go first, for the far end is waiting for them and takes what is late for
// lost. What was true when TCP made a segment may be old when its turn comes:
//
//   - each takes along the newest acknowledgement of its connection as it leaves;
//     one that a newer one covers, or the next segment with payload, isn't sent
//   - payload that waits is sent in whole segments, however it was written
//   - what TCP sends again isn't sent while the first still waits, nor once it was
//     acknowledged, nor before the line has shown that it lives: a satellite line
//     freezes for 70 s and loses nothing, and what it says then is worth more than
//     any timer
//
// And each is made so that its headers compress well: IP's identification goes up
// by one in a connection (RFC 1144 §3.2.2), which RFC 6864 §4.1 leaves to us for
// packets that nobody may fragment.
type outbox struct {
	flows  *flows
	offers func(*flow) int // what the far end may send on a connection, in octets
	// probe asks the line for a sign of life, and calls back when it comes; nil:
	// it can't be asked.
	probe func(answered func())
	grace time.Duration // after such an answer, for acknowledgements from beyond

	mu     sync.Mutex
	urgent []parcel
	bulk   []parcel
	held   []parcel // sent again, until the line has shown that it lives
	later  []parcel // of handshakes that are kept back
	turn   turn
	bulkAt atomic.Int64  // when the last whole segment left, in nanoseconds since 1970; 0: never
	ready  chan struct{} // there is something; one token
}

// turn sees to it that a connection whose acknowledgements ride on its payload
// doesn't keep the others' payload waiting.
type turn int

const (
	anyone   turn = iota
	passed        // payload has passed another's with an acknowledgement
	overtake      // and then an acknowledgement alone: the payload's turn
)

// parcel is a packet that waits, and what it is.
type parcel struct {
	packet []byte
	seg    segment // valid if flow isn't nil
	flow   *flow   // of a TCP segment
}

func newOutbox(f *flows, offers func(*flow) int) *outbox {
	return &outbox{flows: f, offers: offers, ready: make(chan struct{}, 1)}
}

// put takes a packet of the stack. It is the outbox's from now on.
func (o *outbox) put(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	item, news := parcel{packet: p}, fresh
	if seg, ok := parseSegment(p); ok {
		item.packet, item.seg = seg.packet, seg
		item.flow, news = o.flows.made(seg)
	}
	if item.flow != nil {
		if wait := o.flows.keptBack(item.flow); wait > 0 {
			o.later = append(o.later, item)
			time.AfterFunc(wait, o.open)
			return
		}
	}
	again := news == repeated
	switch {
	case news == roomier && o.flows.knows(item.flow, o.offers(item.flow)):
		// A larger window than it may have: sent, it would look like a duplicate
		// acknowledgement, which asks for what isn't missing.
	case len(o.urgent)+len(o.bulk)+len(o.held)+len(o.later) >= outQueue:
		// As in any router; TCP sends it again.
	case item.flow == nil || item.seg.isBare():
		o.hurry(item)
	case slices.ContainsFunc(o.bulk, item.same):
		// It is on its way already.
	case again && o.probe != nil:
		if !slices.ContainsFunc(o.held, item.same) {
			o.held = append(o.held, item)
		}
		// Also if it was held already: the question may be lost too.
		go o.probe(func() { time.AfterFunc(o.grace, o.release) })
	default:
		o.bulk = append(o.bulk, item)
	}
	o.wake()
}

func (o *outbox) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// open puts what was kept back, once its time is over.
func (o *outbox) open() {
	o.mu.Lock()
	later := o.later
	o.later = nil
	o.mu.Unlock()
	for _, item := range later {
		o.put(item.packet)
	}
}

// hurry queues what goes first. A bare acknowledgement takes the place of an older
// one; one that repeats it says that something is missing, and both go.
func (o *outbox) hurry(item parcel) {
	if item.flow != nil && item.seg.isPlainAck() {
		for i, waits := range o.urgent {
			if waits.flow == item.flow && waits.seg.isPlainAck() && !waits.seg.repeats(item.seg) {
				o.urgent[i] = item
				return
			}
		}
	}
	o.urgent = append(o.urgent, item)
}

// same says that a carries nothing that b doesn't.
func (a parcel) same(b parcel) bool {
	if a.flow != b.flow || a.flow == nil {
		return false
	}
	ahead := a.seg.seq() - b.seg.seq() // modulo 2^32: huge if a begins before b
	return len(a.seg.payload()) > 0 && uint64(ahead)+uint64(len(a.seg.payload())) <= uint64(len(b.seg.payload()))
}

// next gives what goes now, nil if nothing does.
func (o *outbox) next() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	item, ok := o.choose()
	if !ok {
		return nil
	}
	if item.flow != nil {
		item = o.fill(item)
		if len(item.seg.payload()) >= o.flows.large {
			o.bulkAt.Store(time.Now().UnixNano())
		}
		now := o.flows.leaves(item.flow)
		if item.seg.isBare() && item.seg.ack() != now.ack {
			item.seg = item.seg.withoutOptions()
			item.packet = item.seg.packet
		}
		item.seg.renew(now, o.offers(item.flow))
		o.flows.sent(item.flow, item.seg)
	}
	o.flows.left(item.packet)
	return item.packet
}

// release lets what was held go, unless it was acknowledged meanwhile: the line
// lives, so it was lost.
func (o *outbox) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	needless := func(item parcel) bool { return !o.flows.needed(item.seg) }
	o.bulk = append(slices.DeleteFunc(o.held, needless), o.bulk...)
	o.held = nil
	o.wake()
}

// choose takes the next parcel out. An acknowledgement rides on its connection's
// next payload, if there is some.
func (o *outbox) choose() (parcel, bool) {
	if len(o.urgent) == 0 || o.turn == overtake && len(o.bulk) > 0 {
		o.turn = anyone
		if len(o.bulk) == 0 {
			return parcel{}, false
		}
		return o.pick(0), true
	}
	first := o.urgent[0]
	i := -1
	if first.flow != nil && first.seg.isPlainAck() {
		i = slices.IndexFunc(o.bulk, func(b parcel) bool { return b.flow == first.flow })
	}
	o.urgent = slices.Delete(o.urgent, 0, 1)
	switch {
	case i == 0:
		return o.pick(0), true
	case i > 0 && o.turn == anyone:
		o.turn = passed
		return o.pick(i), true
	case i > 0:
		o.turn = overtake
	}
	return first, true
}

func (o *outbox) pick(i int) parcel {
	item := o.bulk[i]
	o.bulk = slices.Delete(o.bulk, i, i+1)
	return item
}

// fill makes a whole segment, as long as the longest that TCP has made, of one that
// is short and what follows it.
func (o *outbox) fill(item parcel) parcel {
	n, whole := len(item.seg.payload()), o.flows.longest(item.flow)
	if n == 0 {
		return item
	}
	for i := 0; i < len(o.bulk) && n < whole; {
		next := o.bulk[i]
		if next.flow != item.flow {
			i++
			continue
		}
		if next.seg.seq() != item.seg.end() || item.seg.flags()&flagFIN != 0 || next.seg.header != item.seg.header {
			break
		}
		take := min(whole-n, len(next.seg.payload()))
		item.seg = item.seg.extend(next.seg, take)
		item.packet = item.seg.packet
		n += take
		if rest := next.seg.behead(take); rest.packet != nil {
			o.bulk[i].seg, o.bulk[i].packet = rest, rest.packet
			break
		}
		o.bulk = slices.Delete(o.bulk, i, i+1)
	}
	return item
}

// sending says whether we have sent a large segment within a time.
func (o *outbox) sending(within time.Duration) bool {
	at := o.bulkAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < within
}

// waits says whether there is something that may go.
func (o *outbox) waits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.urgent)+len(o.bulk) > 0
}
