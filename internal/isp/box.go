package isp

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"
)

// Box is a POP3 account to begin with.
type Box struct {
	Password string
	Messages [][]byte // stored as by AddMail, oldest first
}

// Stored is a message in a box.
type Stored struct {
	UIDL string    // unique in the box for ever, also after removal (RFC 1939 §7), unless ChangeUIDLs is called
	Data []byte    // lines end in CRLF; not to be changed
	At   time.Time // when it came into the box

	serial uint32 // what it is known by here, whatever its UIDL
}

// box is a maildrop. Only a session that holds its lock removes from it;
// mail may arrive at any time.
type box struct {
	user, password string

	mu     sync.Mutex
	mail   []Stored
	serial uint32 // of the next UIDL; never goes back
	held   bool   // a session has the maildrop lock of RFC 1939 §4
}

func newBox(user string, b Box) *box {
	x := &box{user: user, password: b.Password}
	for _, m := range b.Messages {
		x.add(m)
	}
	return x
}

// add stores a message and names it. The name has a part for the box, so
// that two boxes with the same history don't give the same UIDLs.
func (b *box) add(msg []byte) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	uidl := b.nextUIDL()
	b.mail = append(b.mail, Stored{UIDL: uidl, Data: canonical(msg), At: time.Now(), serial: b.serial})
	return uidl
}

// nextUIDL is one that was never given before. The caller holds mu.
func (b *box) nextUIDL() string {
	h := fnv.New32a()
	h.Write([]byte(b.user))
	b.serial++
	return fmt.Sprintf("%08x%08x", b.serial, h.Sum32())
}

// ChangeUIDLs gives every message in a box another UIDL, as a provider does that
// moves its boxes to another server, though RFC 1939 §7 forbids it: what to says of
// it, which may be the UIDL of a message that is gone; with nil, a new one. A
// session that is open doesn't see it, and deletes what it wants all the same.
func (p *Provider) ChangeUIDLs(user string, to func(Stored) string) {
	b := p.boxes[user]
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.mail {
		if to != nil {
			b.mail[i].UIDL = to(b.mail[i])
			continue
		}
		b.mail[i].UIDL = b.nextUIDL()
	}
}

// canonical returns a copy of msg in which every line ends in CRLF, the last
// one too: what RETR transfers, and what LIST has to count (RFC 1939 §11).
func canonical(msg []byte) []byte {
	out := make([]byte, 0, len(msg)+len(msg)/40+2)
	for line := range bytes.Lines(msg) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		out = append(append(out, line...), '\r', '\n')
	}
	return out
}

// AddMail puts a message into a box, as if it had just arrived from the
// Internet, and returns its UIDL; "" means there is no such box. Line ends
// become CRLF. A session that is open doesn't see it; the next one does.
func (p *Provider) AddMail(user string, msg []byte) string {
	b := p.boxes[user]
	if b == nil {
		return ""
	}
	return b.add(msg)
}

// Box returns what is in a box now, oldest first; nil when there is none.
func (p *Provider) Box(user string) []Stored {
	b := p.boxes[user]
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mail)
}

// maildrop is one session's view of a box: the messages there were at login,
// and which of them it wants deleted. It belongs to one goroutine.
type maildrop struct {
	box     *box
	mail    []Stored
	deleted []bool // by index in mail
}

// lock takes the box for a session, or returns nil when another has it.
func (b *box) lock() *maildrop {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held {
		return nil
	}
	b.held = true
	return &maildrop{box: b, mail: slices.Clone(b.mail), deleted: make([]bool, len(b.mail))}
}

// release gives the box back as it is: what wasn't committed never happened.
func (d *maildrop) release() {
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.held = false
}

// commit removes what was marked: the UPDATE state of RFC 1939 §6.
func (d *maildrop) commit() {
	gone := make(map[uint32]bool)
	for i, m := range d.mail {
		if d.deleted[i] {
			gone[m.serial] = true
		}
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	d.box.mail = slices.DeleteFunc(d.box.mail, func(m Stored) bool { return gone[m.serial] })
}

// count returns the number and octets of the messages not marked deleted.
func (d *maildrop) count() (n, octets int) {
	for i, m := range d.mail {
		if !d.deleted[i] {
			n++
			octets += len(m.Data)
		}
	}
	return n, octets
}
