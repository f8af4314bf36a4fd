package pop3

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

const (
	// maxWaiting bounds what is remembered of messages that were not collected.
	maxWaiting = 10_000
	// triedWeight is how much larger a message counts for each session that died at it, as a power of two: more than any message
	// that is not gigantic, but what has waited some two weeks comes forward all the same.
	triedWeight = 16
)

// Waiting is what is remembered of a message that is at the server and was not collected yet.
type Waiting struct {
	// Since is when it was first listed.
	Since time.Time `json:"since"`
	// Tried is how often it was asked for and not given, or the connection ended at it. It goes last then, and alone.
	Tried int `json:"tried,omitempty"`
}

// message is one that is to be collected.
type message struct {
	entry
	since  time.Time
	tried  int // in earlier sessions
	weight float64
	died   int // tried in this session; the reader's

	// The Window's, under its mutex.
	left    int64 // octets not here yet, of size
	suspect bool  // the reply that comes for it may be another one's

	// The collection's, under its mutex.
	read   bool // its identity by content is known
	failed bool // and counted so
	saved  bool
}

// waitingKey is what Waiting knows an entry by: best its identity. Two messages without one may be taken for each other when their sizes
// are equal, which makes one go before or behind where it should, and no more.
func (e entry) waitingKey() string {
	switch {
	case e.identity != "":
		return e.identity
	case e.uidl != "":
		return e.uidl
	}
	return fmt.Sprintf(" %d", e.size) // a blank can't begin a UIDL
}

func newMessage(e entry, waiting map[string]Waiting, now time.Time) *message {
	m := &message{entry: e, since: now}
	if known, ok := waiting[e.waitingKey()]; ok {
		m.tried = max(0, known.Tried)
		if known.Since.Before(now) {
			m.since = known.Since
		}
	}
	// The logarithm of the effective size, but for a part that is the same for all messages at any time: half the size for each
	// 24 hours since the message was first listed is one less for each of them.
	m.weight = math.Log2(float64(m.size)+1) + float64(m.since.Unix())/(24*60*60) + float64(m.tried*triedWeight)
	return m
}

// compare orders messages as they should come: lighter ones first, and what weighs the same in the server's order.
func (m *message) compare(other *message) int {
	return cmp.Or(cmp.Compare(m.weight, other.weight), cmp.Compare(m.number, other.number))
}
