// Package mailroom knows who is who in the office and puts mail into people's
// mailboxes.
//
// It answers two questions and does one job. Resolve: where does mail for this
// address go, to somebody here or out through the smarthost? ForBox: who gets
// what was collected from this box at the provider? And Run delivers every message
// of the queue that waits for somebody here into his Maildir, as soon as it is there.
//
// The main flow of a delivery:
//
//  1. Run lists the queue's messages with a local recipient that is waiting: at the
//     start, at each wake, and when the time for another try has come.
//  2. Deliver writes the message into each recipient's Maildir: tmp/, fsync,
//     rename into new/, fsync of new/ (see maildir.Dir.Deliver).
//  3. One transaction of the queue then says which recipients have it.
//
// The invariant: each recipient gets a message exactly once, whatever happens between
// these steps. The name in the Maildir is made from the message's ID and the
// user's name, so a delivery that is not known to be new looks for it first, in new/,
// in cur/ with whatever flags, and in his other folders.
//
// One window stays open: if Outpost dies between the rename and the transaction, and
// the user deletes the message before Outpost runs again, he gets it a second time.
// To close it, the Maildir would have to remember what is gone from it; losing
// instead of doubling is not an answer.
//
// What fails for one user (a full disk, a broken Maildir) is tried again later, for
// him alone; others are not held up. What can't be placed goes to the Unrouted mailbox,
// never away. The package keeps no state on disk of its own, reads no mail, and
// touches nothing of a Maildir but tmp/ and new/: flags, dovecot-uidlist and the like are
// the reader's.
package mailroom

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"outpost/queue"
	"outpost/spool"
)

// DefaultUnrouted is the mailbox for what can't be placed, if none is chosen.
const DefaultUnrouted = "unrouted"

// User is somebody with a mailbox.
type User struct {
	// Name is the name of the mailbox and its folder: small letters, digits,
	// dot, dash, underscore. Name@domain is his in each of Options.Domains.
	Name string
	// Addresses are his others. One without @ counts in each of the domains; one
	// in a domain that is not the office's (his address at the provider) is
	// delivered here as well, without a call. An address that several users have
	// goes to all of them.
	Addresses []string
}

// Options say who is who. MailDir must be set.
type Options struct {
	// MailDir holds one Maildir++ per user, MailDir/<name>. Made with mode 0700.
	MailDir string
	// Domains are the office's own: an unknown address there is an error. UTF-8 or
	// xn-- form.
	Domains []string
	Users   []User
	// Boxes says which users get the mail of a box.
	Boxes map[string][]string
	// Unrouted is the user, or else the name of a separate mailbox, who gets what
	// can't be placed, and the postmaster's mail. "": DefaultUnrouted.
	Unrouted string
	// Hostname stands in the names of delivered files; postmaster@Hostname is known.
	// "": "localhost".
	Hostname string
	// Queue is where the mail waits. nil: Resolve and ForBox only.
	Queue *queue.Queue
	// Log gets a line for each delivery and each failure. nil: discarded.
	Log *slog.Logger
	// Step is called before each durable step ("create", "write", "fsync", "rename",
	// "dirsync", "commit"); an error aborts the delivery there. For fault tests. nil: none.
	Step func(step string) error
}

// Mailroom is the office's table of people and its postman. Its methods may be called
// from any goroutine.
type Mailroom struct {
	opt       Options
	names     map[string]bool     // mailboxes there are: users and Unrouted
	domains   map[string]bool     // canonical
	addresses map[string][]string // canonical address -> names
	primary   map[string]string   // name -> address for Delivered-To

	mu      sync.Mutex
	suspect map[spool.ID]bool          // may have been delivered by an earlier try
	working map[spool.ID]chan struct{} // being delivered; closed when done
	backoff backoff
}

// New checks the options, reporting all faults at once, and takes note of what waits
// already: that may have been delivered in part before a crash.
func New(opt Options) (*Mailroom, error) {
	opt.Unrouted = cmp.Or(opt.Unrouted, DefaultUnrouted)
	opt.Hostname = cmp.Or(opt.Hostname, "localhost")
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Step == nil {
		opt.Step = func(string) error { return nil }
	}
	m := &Mailroom{
		opt: opt, names: map[string]bool{}, domains: map[string]bool{},
		addresses: map[string][]string{}, primary: map[string]string{},
		suspect: map[spool.ID]bool{}, working: map[spool.ID]chan struct{}{},
		backoff: backoff{},
	}
	if err := errors.Join(m.readDomains(), m.readUsers(), m.readBoxes()); err != nil {
		return nil, err
	}
	if opt.Queue == nil {
		return m, nil
	}
	waiting, err := opt.Queue.Waiting(queue.Local)
	if err != nil && !errors.Is(err, queue.ErrCorrupt) {
		return nil, fmt.Errorf("mailroom: list what waits: %w", err)
	}
	for _, msg := range waiting {
		m.suspect[msg.ID] = true
	}
	return m, nil
}

func (m *Mailroom) readDomains() error {
	var faults []error
	if m.opt.MailDir == "" {
		faults = append(faults, errors.New("mailroom: no folder for the mail is given"))
	}
	for _, d := range m.opt.Domains {
		if d == "" || strings.ContainsAny(d, "@ ") {
			faults = append(faults, fmt.Errorf("mailroom: %q is not a domain", d))
		}
		m.domains[canonicalDomain(d)] = true
	}
	return errors.Join(faults...)
}

func (m *Mailroom) readUsers() error {
	var faults []error
	for _, u := range m.opt.Users {
		if err := checkName(u.Name); err != nil {
			faults = append(faults, fmt.Errorf("mailroom: user %w", err))
			continue
		}
		if m.names[u.Name] {
			faults = append(faults, fmt.Errorf("mailroom: there are two users %q", u.Name))
		}
		m.names[u.Name] = true
		faults = append(faults, m.readAddresses(u)...)
	}
	if err := checkName(m.opt.Unrouted); err != nil {
		faults = append(faults, fmt.Errorf("mailroom: unrouted mail: mailbox %w", err))
	}
	m.names[m.opt.Unrouted] = true
	return errors.Join(faults...)
}

// readAddresses enters a user's addresses. The first one is his primary.
func (m *Mailroom) readAddresses(u User) []error {
	var faults []error
	for _, a := range append([]string{u.Name}, u.Addresses...) {
		list := []string{a}
		if !strings.Contains(a, "@") {
			list = nil
			for _, d := range m.opt.Domains {
				list = append(list, a+"@"+d)
			}
		}
		for _, full := range list {
			local, domain := canonical(full)
			if local == "" || domain == "" {
				faults = append(faults, fmt.Errorf("mailroom: user %q: %q is not an address", u.Name, a))
				continue
			}
			key := local + "@" + domain
			if !slices.Contains(m.addresses[key], u.Name) {
				m.addresses[key] = append(m.addresses[key], u.Name)
			}
			if m.primary[u.Name] == "" {
				m.primary[u.Name] = full
			}
		}
	}
	return faults
}

func (m *Mailroom) readBoxes() error {
	var faults []error
	for box, users := range m.opt.Boxes {
		for _, name := range users {
			if !m.names[name] {
				faults = append(faults, fmt.Errorf("mailroom: box %q: there is no user %q", box, name))
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(faults...)
}
