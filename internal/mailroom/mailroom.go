// Package mailroom is the office's postman: it takes what staff hand in and what was collected from the
// boxes, has package route say where it goes, and puts it there.
//
// Where that is: a mailbox here (a Maildir), a mailbox on a mail server of the office (package lmtp), the
// smarthost (left in the queue for the next call), or the gateway's own desk, for answers to
// its notices. The rows of the queue say it, a recipient each:
//
//	Resolve   who an address given at the SMTP door is
//	Submit    takes what staff hand in: rules, rights, sizes, quotas; what can't go is marked as failed, or held
//	Sort      the same for what a box had
//	Run       delivers what waits for somebody in the office, as soon as it is there
//	Outward   how a message looks once it leaves the office
//
// The main flow of a delivery into a Maildir:
//
//  1. Run lists the queue's messages with a local recipient that is waiting: at the
//     start, at each wake, and when the time for another try has come.
//  2. Deliver writes the message into each recipient's Maildir: tmp/, fsync,
//     rename into new/, fsync of new/ (see maildir.Dir.Deliver).
//  3. One transaction of the queue then says which recipients have it.
//
// The invariant: each recipient gets a message exactly once, whatever happens between
// these steps. The name in the Maildir is made from the message's ID and the
// place, so a delivery that is not known to be new looks for it first, in new/,
// in cur/ with whatever flags, and in his other folders.
//
// One window stays open: if Outpost dies between the rename and the transaction, and
// the user deletes the message before Outpost runs again, he gets it a second time.
// To close it, the Maildir would have to remember what is gone from it; losing
// instead of doubling is not an answer. With a server of the office there is the window that SMTP has:
// a connection that dies between its acceptance and its reply.
//
// What fails for one user (a full disk, a broken Maildir, a server that is down) is tried again later, for
// him alone; others are not held up. What can't be placed goes to the unplaced mailbox,
// never away. The package keeps no state on disk of its own, and touches nothing of a Maildir but tmp/ and new/:
// flags, UIDs and the like are the reader's. It tells nobody what became of mail: that is package notice.
package mailroom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"outpost/internal/route"
	"outpost/queue"
	"outpost/spool"
)

// Options say who is who and how places are reached. MailDir, Table and Queue must be set.
type Options struct {
	// MailDir holds one Maildir++ per mailbox, MailDir/<name>. Made with mode 0700.
	MailDir string
	// Table is the office's book as it is at that moment.
	Table func() *route.Table
	// Servers are the office's mail servers, by name.
	Servers map[string]Server
	// Hostname stands in the names of delivered files, and after the @ of the desk's addresses. "": "localhost".
	Hostname string
	// Queue is where the mail waits.
	Queue *queue.Queue
	// Largest is the size in octets over which the smarthost is known to refuse a message; 0: no limit is known. nil: none ever is.
	Largest func() int64
	// HoldOut is the size in octets over which a user's message to outside waits for the manager now; 0: it never does.
	// nil: it never does. The user's name is "" if nobody knows who it is.
	HoldOut func(user string) int64
	// SignIn: only who has signed in may send outside, or have an errand done: a computer on a trusted network is not asked who
	// it is, and may say that it is anybody.
	SignIn bool
	// Desk says whether a local part at Hostname is the desk's, and which errand it is; Errand does it for
	// the place of who asks, "" if he has none. nil: there is no desk.
	Desk   func(local string) (errand string, ok bool)
	Errand func(ctx context.Context, errand, by string) error
	// Changed is told which mailbox and folder got a message, after it is there. It must not block. nil: nobody is.
	Changed func(mailbox, folder string)
	// Log gets a line for each delivery and each failure. nil: discarded.
	Log *slog.Logger
	// Step is called before each durable step ("create", "write", "fsync", "rename",
	// "dirsync", "commit"); an error aborts the delivery there. For fault tests. nil: none.
	Step func(step string) error
}

// Mailroom is the postman. Its methods may be called from any goroutine.
type Mailroom struct {
	opt     Options
	servers map[string]*server
	syncs   *spool.Syncs // of the Maildirs

	mu      sync.Mutex
	suspect map[spool.ID]bool          // may have been delivered by an earlier try
	working map[spool.ID]chan struct{} // being delivered; closed when done
	backoff backoff

	away sync.WaitGroup // those who hand over to servers, for Run
	back chan struct{}  // one of them has ended; room for one
}

// New takes note of what waits already: that may have been delivered in part before a
// crash.
func New(opt Options) (*Mailroom, error) {
	opt.Hostname = cmp.Or(opt.Hostname, "localhost")
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Step == nil {
		opt.Step = func(string) error { return nil }
	}
	if opt.Changed == nil {
		opt.Changed = func(string, string) {}
	}
	switch {
	case opt.MailDir == "":
		return nil, errors.New("mailroom: no folder for the mail is given")
	case opt.Table == nil || opt.Queue == nil:
		return nil, errors.New("mailroom: there is no table or no queue")
	}
	m := &Mailroom{
		opt: opt, servers: make(map[string]*server), syncs: spool.NewSyncs(),
		suspect: map[spool.ID]bool{}, working: map[spool.ID]chan struct{}{}, backoff: backoff{},
		back: make(chan struct{}, 1),
	}
	for name, s := range opt.Servers {
		if name+":" == deskPrefix {
			return nil, fmt.Errorf("mailroom: a server can't be called %q", name)
		}
		m.servers[name] = &server{Server: s}
	}
	err := opt.Queue.Each(func(msg queue.Message) {
		if msg.Waits(queue.Local) {
			m.suspect[msg.ID] = true
		}
	})
	if err != nil && !errors.Is(err, queue.ErrCorrupt) {
		return nil, fmt.Errorf("mailroom: list what waits: %w", err)
	}
	return m, nil
}

// table is the office's book as it is now.
func (m *Mailroom) table() *route.Table { return m.opt.Table() }

// Home is the place of somebody who hands a message in, by his login or the envelope's sender; "": he has none.
func (m *Mailroom) Home(user, from string) string {
	u, ok := m.table().Sender(user, from)
	if !ok {
		return ""
	}
	home, _ := m.table().Home(u.Name)
	return home.String()
}

// Has says whether mail for a place is the affair of the user whose own place is by: it comes into his mailbox, or into a
// shared folder that he may change.
func (m *Mailroom) Has(by, place string) bool {
	own, err := route.ParsePlace(by)
	p, bad := route.ParsePlace(place)
	switch {
	case err != nil || bad != nil:
		return false
	case by == place:
		return true
	case own.Mailbox == "" || own.Folder != "":
		return false // on a server nobody has folders that are known here
	case own.Mailbox == p.Mailbox:
		return true
	}
	folder, ok := m.table().Folder(p.Mailbox)
	return ok && folder.MayWrite(own.Mailbox)
}

// Address is a mail address of a place, for people to read.
func (m *Mailroom) Address(place string) string {
	p, err := route.ParsePlace(place)
	switch {
	case err != nil:
		return place // an address that nobody has
	case p.Server != "":
		return p.Address
	}
	return cmp.Or(m.table().Primary(p.Mailbox), m.table().DeliveredTo(place))
}

// recipients makes the envelope of some places, each once.
func recipients(places []string) []queue.Recipient {
	var list []queue.Recipient
	seen := map[string]bool{}
	for _, place := range places {
		if !seen[place] {
			seen[place] = true
			list = append(list, queue.Recipient{Addr: place, Where: queue.Local, State: queue.Waiting})
		}
	}
	return list
}
