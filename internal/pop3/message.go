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
	// topGuess is about what the reply to a TOP has: headers are 2 to 3 kB, mostly.
	topGuess = 4 << 10
	// maxTop is what it may have. Servers and messages are met that send all of a large message for it; it is for not
	// sending that over the line that we ask. It is above what mail servers take for a header, mostly.
	maxTop = 64 << 10
)

// Waiting is what is remembered of a message that is at the server and was not collected yet.
type Waiting struct {
	// Since is when it was first listed.
	Since time.Time `json:"since"`
	// Tried is how often it was asked for and not given, or the connection ended at it. It goes last then, and alone.
	Tried int `json:"tried,omitempty"`
	// Doubt is that it may be one that was collected, under another UIDL. Print is its Fingerprint then, if that was read.
	Doubt bool   `json:"doubt,omitempty"`
	Print string `json:"print,omitempty"`
	// Verified is the size with which the server lists a message that was collected when it had another size, but is the same. Such a
	// message isn't waiting; all that is remembered is that it needn't be asked for again.
	Verified int64 `json:"verified,omitempty"`
}

// job is what a message is asked for.
type job byte

const (
	retrieve job = iota // to have it, by RETR
	examine             // to know whether it is one that was collected, by its header, TOP with no line
	show                // for Store.Hold to have its header and first lines, by TOP
)

// message is one that is to be collected, or looked at.
type message struct {
	entry
	job    job
	octets int64 // that are expected of it, by its job
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
	saved  bool // or held, or known to be: nothing more is to be done about it

	// The reader's, of one to examine.
	claims   bool   // it has the UIDL of one that was collected, and another size; else it is the UIDL that is new
	put      bool   // off: it isn't asked for unless others are familiar
	examined bool   // print is as good as it will be
	print    string // "" if it has none
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
	m.todo(retrieve)
	return m
}

// todo changes what the message is asked for.
func (m *message) todo(j job) {
	m.job, m.octets = j, m.size
	if j != retrieve {
		m.octets = min(m.size, topGuess)
	}
	// The logarithm of the effective size, but for a part that is the same for all messages at any time: half the size for each
	// 24 hours since the message was first listed is one less for each of them.
	m.weight = math.Log2(float64(m.octets)+1) + float64(m.since.Unix())/(24*60*60) + float64(m.tried*triedWeight)
}

// command is what the message is asked for by, as errors have it.
func (m *message) command() string {
	if m.job == retrieve {
		return fmt.Sprintf("RETR %d", m.number)
	}
	return fmt.Sprintf("TOP %d", m.number)
}

// doubtful says that it isn't known yet whether the message was collected under another UIDL.
func (m *message) doubtful() bool { return m.job == examine && !m.claims && !m.saved }

// request asks for the message; lines are how many of the body to show.
func (m *message) request(lines int) step {
	st := step{due: due{command: m.command(), multi: true, limit: maxTop}}
	switch m.job {
	case retrieve:
		st.limit = retrLimit(m.size)
		st.line = st.command
	case examine:
		st.line = st.command + " 0"
	case show:
		st.line = fmt.Sprintf("%s %d", st.command, lines)
	}
	return st
}

// compare orders messages as they should come: lighter ones first, and what weighs the same in the server's order.
func (m *message) compare(other *message) int {
	return cmp.Or(cmp.Compare(m.weight, other.weight), cmp.Compare(m.number, other.number))
}
