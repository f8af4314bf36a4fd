package link

import (
	"encoding/binary"
	"sync"
	"time"
)

// Traffic is what went one way over the line as IP saw it. What the serial line
// carried is less by the headers that PPP compresses, and more by its framing.
type Traffic struct {
	Packets int64 `json:"packets"`
	IP      int64 `json:"ip_bytes"`      // octets of the packets, headers included
	Payload int64 `json:"payload_bytes"` // octets of TCP and UDP payload that were of use
	Resent  int64 `json:"resent_bytes"`  // octets of TCP payload that had crossed before
}

// flowKey names a TCP connection on the line.
type flowKey struct {
	near, far uint16  // ports
	host      [4]byte // the far end's address
}

// flow is what is known of a TCP connection from its segments.
type flow struct {
	ours     said   // what our TCP has said last
	told     said   // and what of it has left
	theirs   uint32 // what the far end has acknowledged last
	room     uint16 // and offered
	answered bool   // it has
	longest  int    // octets of payload in the longest segment our TCP has made
	up, down progress
	bulk     time.Time // when the far end's last large segment came; zero: never
	seen     time.Time // when its last packet came or went
	opens    time.Time // until when our side of its handshake is kept back
}

// progress is how far one direction of a connection has come.
type progress struct {
	end   uint32 // the sequence number behind the last octet
	known bool
}

// note takes a segment's payload and says how much of it had been there before.
func (p *progress) note(seq uint32, n int) (again int) {
	if n == 0 {
		return 0
	}
	end := seq + uint32(n) //nolint:gosec // a packet's length
	if p.known {
		if ahead := int(int32(p.end - seq)); ahead > 0 { //nolint:gosec // RFC 9293 §3.4: modulo 2^32
			again = min(n, ahead)
		}
	}
	if !p.known || int32(end-p.end) > 0 { //nolint:gosec // as above
		p.end, p.known = end, true
	}
	return again
}

// maxFlows bounds what is remembered of connections: far more than a session has
// at once. Beyond it, all are forgotten, which costs some octets and nothing else.
const maxFlows = 256

// flows are the connections of a stack, and the counts of all of them.
type flows struct {
	mu       sync.Mutex
	byKey    map[flowKey]*flow
	large    int           // octets of payload from which a segment counts as one
	greet    time.Duration // how long a handshake is kept back beside other connections
	up, down Traffic
}

func newFlows(large int) *flows { return &flows{byKey: make(map[flowKey]*flow), large: large} }

// sending says whether the far end is sending large segments on a connection, and
// on how many it does.
func (f *flows) sending(w *flow, within time.Duration) (this bool, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := time.Now().Add(-within)
	for _, other := range f.byKey {
		if other.bulk.After(since) {
			n++
		}
	}
	return w.bulk.After(since), n
}

// of gives the flow with a key; mu is held.
func (f *flows) of(k flowKey) *flow {
	if w := f.byKey[k]; w != nil {
		return w
	}
	if len(f.byKey) >= maxFlows {
		clear(f.byKey)
	}
	w := new(flow)
	f.byKey[k] = w
	return w
}

// news is what a segment of our TCP's has to tell.
type news int

const (
	fresh    news = iota
	repeated      // payload that was sent before
	roomier       // a larger window, and nothing else
)

// made notes a segment of our TCP's.
func (f *flows) made(s segment) (*flow, news) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.of(s.key(true))
	was := w.ours
	if s.flags()&flagACK != 0 {
		w.ours.ack, w.ours.window, w.ours.known = s.ack(), s.window(), true
	}
	n := len(s.payload())
	w.longest = max(w.longest, n)
	switch {
	case n > 0 && !s.isSYN() && w.up.known && int32(w.up.end-s.seq()) > 0: //nolint:gosec // modulo 2^32
		return w, repeated
	case s.isPlainAck() && was.known && was.ack == s.ack() && was.window < s.window():
		return w, roomier
	}
	return w, fresh
}

// sent notes what a segment that leaves has told the far end.
func (f *flows) sent(w *flow, s segment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.told = said{ack: s.ack(), window: s.window(), known: s.flags()&flagACK != 0}
}

// knows says that the far end has been told what our TCP says, within a limit.
func (f *flows) knows(w *flow, limit int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return w.told.known && w.told.ack == w.ours.ack && int(w.told.window) == min(int(w.ours.window), limit)
}

// leaves gives what a segment of a connection says now.
func (f *flows) leaves(w *flow) said {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.ours.id++
	return w.ours
}

// recently is how long a connection without a packet still counts as one that may be
// used beside others.
const recently = 30 * time.Second

// others says whether there are connections beside one; mu is held.
func (f *flows) others(w *flow) bool {
	for _, o := range f.byKey {
		if o != w && time.Since(o.seen) < recently {
			return true
		}
	}
	return false
}

// keptBack is how long a connection's packets must wait still.
func (f *flows) keptBack(w *flow) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.opens.IsZero() {
		return 0
	}
	return time.Until(w.opens)
}

// longest is the most payload in a segment that our TCP has made.
func (f *flows) longest(w *flow) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return w.longest
}

// needed says whether the far end still lacks some of a segment's payload.
func (f *flows) needed(s segment) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.of(s.key(true))
	return !w.answered || int32(s.end()-w.theirs) > 0 //nolint:gosec // modulo 2^32
}

// came counts a packet from the line. It says whether our TCP may be spared it: a
// bare acknowledgement that only offers another window, when we take no more than
// limit of either. With both clamped, it would be taken for a duplicate.
func (f *flows) came(p []byte, limit int) (needless bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := parseSegment(p)
	if !ok {
		f.down.count(p, datagram(p), 0)
		return false
	}
	w := f.of(s.key(false))
	if s.isSYN() {
		w.down, w.bulk = progress{}, time.Time{}
	}
	if s.flags()&flagACK != 0 {
		needless = s.isPlainAck() && w.answered && s.ack() == w.theirs && s.window() != w.room &&
			min(int(s.window()), limit) == min(int(w.room), limit)
		w.theirs, w.room, w.answered = s.ack(), s.window(), true
	}
	if w.seen = time.Now(); s.isSYN() && s.flags()&flagACK != 0 && f.others(w) {
		w.opens = w.seen.Add(f.greet)
	}
	n := len(s.payload())
	if n >= f.large {
		w.bulk = time.Now()
	}
	again := w.down.note(s.seq(), n)
	f.down.count(p, n-again, again)
	return needless
}

// left counts a packet for the line.
func (f *flows) left(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := parseSegment(p)
	if !ok {
		f.up.count(p, datagram(p), 0)
		return
	}
	w := f.of(s.key(true))
	w.seen = time.Now()
	if s.isSYN() {
		w.up, w.answered, w.opens = progress{}, false, time.Time{}
	}
	n := len(s.payload())
	again := w.up.note(s.seq(), n)
	f.up.count(p, n-again, again)
}

func (t *Traffic) count(p []byte, payload, again int) {
	t.Packets++
	t.IP += int64(len(p))
	t.Payload += int64(payload)
	t.Resent += int64(again)
}

// traffic gives the counts so far.
func (f *flows) traffic() (up, down Traffic) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.up, f.down
}

// datagram is the payload of a packet that isn't TCP's: UDP's, or nothing.
func datagram(p []byte) int {
	const udp, headers = 17, 28
	if len(p) < headers || p[9] != udp {
		return 0
	}
	return len(p) - headers
}

// key names a segment's connection; up says that it is one of ours.
func (s segment) key(up bool) flowKey {
	source, target := binary.BigEndian.Uint16(s.tcp()), binary.BigEndian.Uint16(s.tcp()[2:])
	if up {
		return flowKey{near: source, far: target, host: [4]byte(s.packet[16:20])}
	}
	return flowKey{near: target, far: source, host: [4]byte(s.packet[12:16])}
}
