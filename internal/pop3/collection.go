package pop3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"outpost/internal/patience"
)

// collection is one session with a box.
type collection struct {
	ctx context.Context
	*session
	store Store
	berth *berth // at the Window, while messages are retrieved

	entries []entry
	// complete: the listing was understood to the last line.
	complete bool
	settled  bool       // it is known what is to be done
	fresh    []*message // to be retrieved, or looked at
	ahead1   *message   // asked for with the log-in, and one of fresh
	later    []*message // to be shown to the Store next time, or not taken by it
	shown    int        // to be shown to the Store this time
	unnamed  int        // too large, and without an identity to hold them by
	unread   bool       // one without UIDL won't be read: it may be any that was seen without
	more     []*message // to be asked for when the reply that is read has ended
	change   change
	verified map[string]int64 // see Waiting

	// What follows is also touched by those who save.
	mu           sync.Mutex
	saves        sync.WaitGroup // not done yet
	seen         map[string]Seen
	met          map[string]bool // identities by content that were found in this session
	here         []collected     // what the server has of what is stored here
	doomed       []doomed
	saveFailures int  // in a row
	givenUp      bool // as they were too many
	report       Report
}

// collected is a message that is stored here.
type collected struct {
	entry
	Seen
	identity string
}

// doomed is a message that is to be deleted; unread if it never was retrieved.
type doomed struct {
	entry
	unread bool
}

func newCollection(ctx context.Context, s *session, store Store, seen map[string]Seen) *collection {
	return &collection{ctx: ctx, session: s, store: store, seen: seen, met: make(map[string]bool), verified: make(map[string]int64)}
}

func (c *collection) run() *Error {
	c.speculate = c.opt.Speculate && (len(c.seen) == 0 || c.opt.Emptied) && len(c.opt.Held) == 0 && c.opt.LeaveDays == 0 && c.opt.Keep == nil
	err := c.open(c.ctx)
	c.report.Known = c.keep(err)
	if err != nil {
		return err
	}
	if err := c.list(); err != nil {
		if c.early && errors.Is(err, errNotPOP3) { // it may have lost a command, so that later replies were taken for earlier ones
			err.Early, c.report.Known = true, nil
		}
		return err
	}
	err = c.retrieve()
	c.conclude()
	if err != nil {
		return err
	}
	return c.quit()
}

func (c *collection) problem(err error) { c.report.Problems = append(c.report.Problems, err) }

// list finds out what is in the box, and what of it is to be done.
func (c *collection) list() *Error {
	lines, err := c.inquire("LIST")
	if err != nil {
		return err
	}
	entries, bad := parseList(lines)
	c.entries, c.complete, c.report.Listed = entries, len(bad) == 0, len(entries)
	if len(bad) > 0 {
		c.problem(fmt.Errorf("LIST has %d lines that make no sense, such as %q; their messages are passed over", len(bad), patience.Legible(bad[0])))
	}
	if err := c.weighFirst(); err != nil {
		return err
	}
	var uidls map[int]string
	if len(entries) > 0 || c.ahead {
		if uidls, err = c.uidl(); err != nil {
			return err
		}
	}
	identify(c.entries, uidls, c.seen)
	c.settleKnown()
	return nil
}

// weighFirst ends the session when the message that was asked for before anything was known of it is too big: its octets are on the way,
// and only by hanging up they are not paid for.
func (c *collection) weighFirst() *Error {
	if !c.ahead || !c.speculate {
		return nil
	}
	for _, e := range c.entries {
		if e.number == 1 && (e.size > c.opt.MaxBytes || c.overHold(e.size)) {
			return &Error{Command: "RETR 1", Temporary: true, Early: true, Err: fmt.Errorf("%s is too large, and was asked for before that was known", e.describe())}
		}
	}
	return nil
}

// uidl asks for the UIDLs; none, if the server doesn't have the command. A server that has it and fails is another matter: to take its
// messages for ones without UIDL would collect what was collected before, so the session ends.
func (c *collection) uidl() (map[int]string, *Error) {
	lines, failure := c.inquire("UIDL")
	switch {
	case failure == nil:
		return parseUIDL(lines), nil
	case lost(failure), failure.Code != "" && len(c.entries) > 0, c.known.has("UIDL", "") && len(c.entries) > 0: // RFC 2449 §6.8
		return nil, failure
	}
	return nil, nil
}

// settleKnown deals with what needs no retrieving, and finds what does.
func (c *collection) settleKnown() {
	now := c.opt.Now()
	c.settled = true
	c.findChange()
	for _, e := range c.entries {
		seen, known := c.seen[e.identity]
		switch {
		case e.identity != "" && known:
			c.settleSeen(e, seen, now)
		case c.familiar(e):
			c.settleFamiliar(e, now)
		default:
			m := newMessage(e, c.opt.Waiting, now)
			if c.admit(m) {
				c.fresh = append(c.fresh, m)
			}
			if c.ahead && c.speculate && e.number == 1 && m.job == retrieve && !m.saved {
				c.ahead1 = m
			}
		}
	}
	c.sample()
}

// keeps says that a message that was collected is to stay on the server for now.
func (c *collection) keeps(identity string, s Seen) bool {
	if c.opt.Keep != nil {
		return c.opt.Keep(identity, s)
	}
	days := int(c.opt.Now().Sub(s.At) / (24 * time.Hour))
	return c.opt.LeaveDays < 0 || days < c.opt.LeaveDays
}

// conclude finds out what is to be deleted, and says what there is to say, when all is saved that will be.
func (c *collection) conclude() {
	for _, m := range c.here {
		if c.keeps(m.identity, m.Seen) {
			c.report.Left++
			continue
		}
		c.doomed = append(c.doomed, doomed{entry: m.entry})
	}
	for _, m := range c.fresh {
		if c.givenUp && m.doubtful() && (m.examined || m.put) {
			c.fail(m, nil) // as all others that were given up
		}
	}
	c.tellHeld()
	c.tellChange()
}

// spare keeps what was to be dropped when the session began, and isn't any more.
func (c *collection) spare() {
	if c.opt.StillDrop == nil {
		return
	}
	c.doomed = slices.DeleteFunc(c.doomed, func(d doomed) bool {
		spared := d.unread && !c.opt.StillDrop(d.identity)
		if spared {
			c.report.Held++
		}
		return spared
	})
}

// quit deletes what is to be deleted, makes it come true, and forgets what the server showed to be gone. All of it is one group where
// the server lets it be, as no deletion counts before QUIT does.
func (c *collection) quit() *Error {
	c.spare()
	commands := make([]step, 0, len(c.doomed)+1)
	for _, e := range c.doomed {
		command := fmt.Sprintf("DELE %d", e.number)
		commands = append(commands, simpleStep(command, command))
	}
	commands = append(commands, simpleStep("QUIT", "QUIT"))
	if c.pipelining {
		for _, st := range commands {
			c.send(st)
		}
		c.flush()
	}
	marked := 0
	var unread []string
	for i, st := range commands {
		if !c.pipelining {
			c.send(st)
			c.flush()
		}
		err := c.reply(st.command)
		switch {
		case lost(err):
			return err
		case i == len(c.doomed):
			c.quitted(marked, unread, err)
		case err != nil && c.doomed[i].unread:
			c.problem(fmt.Errorf("%s was to be dropped, but was not deleted: %w", c.doomed[i].describe(), err))
		case err != nil:
			c.problem(fmt.Errorf("%s is stored here, but was not deleted: %w", c.doomed[i].describe(), err))
		default:
			marked++
			if c.doomed[i].unread {
				unread = append(unread, c.doomed[i].identity)
			}
		}
	}
	return nil
}

// quitted is the end, with the reply to QUIT. unread are the identities of those marked that never were retrieved.
func (c *collection) quitted(marked int, unread []string, refused *Error) {
	if refused != nil {
		// RFC 1939 §6: some or none were deleted. What still is there will be listed and deleted next time.
		c.problem(fmt.Errorf("the server did not delete all it should have: %w", refused))
		return
	}
	c.report.Deleted, c.report.Dropped = marked, len(unread)
	c.report.Gone = slices.Sorted(slices.Values(append(unread, c.goneHeld()...)))
	c.report.Emptied = c.complete && marked == c.report.Listed
	if gone := c.gone(); len(gone) > 0 {
		if err := c.store.Forget(c.ctx, gone); err != nil {
			c.problem(fmt.Errorf("what the server no longer has was not forgotten: %w", err))
		}
	}
}

// gone are the identities that no message of a complete listing can have; none, as long as one of them may be there under another.
func (c *collection) gone() []string {
	if !c.complete || slices.ContainsFunc(c.fresh, (*message).doubtful) {
		return nil
	}
	if leaves := c.opt.LeaveDays != 0 || c.opt.Keep != nil; leaves && len(c.entries) == 0 && !c.opt.Emptied {
		// A server whose store is away for an hour shows such a box, and all that was left there would be collected and paid for again. It is
		// believed when it is so the next time too.
		return nil
	}
	listed := make(map[string]bool, len(c.entries))
	for _, e := range c.entries {
		listed[e.uidl] = true
	}
	nameless := c.unread // by its content a message may be any that was seen without a UIDL
	for _, m := range c.fresh {
		nameless = nameless || m.uidl == "" && !m.read
	}
	var gone []string
	for id := range c.seen {
		uidl, hash, ok := splitIdentity(id)
		switch {
		case !ok:
			// Not ours to judge.
		case hash && uidl == "" && (c.met[id] || nameless):
		case hash && uidl == "":
			gone = append(gone, id)
		case !listed[uidl]:
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return gone
}

// goneHeld are the identities in Options.Held that no message of a complete listing can have, in no order.
func (c *collection) goneHeld() []string {
	listed := make(map[string]bool, len(c.entries))
	for _, e := range c.entries {
		listed[e.uidl] = true
	}
	changed := c.report.Renamed > 0 || c.change.blind > 0 || slices.ContainsFunc(c.fresh, (*message).doubtful)
	if !c.complete || changed || listed[""] {
		return nil
	}
	var gone []string
	for id := range c.opt.Held {
		if !listed[id] {
			gone = append(gone, id)
		}
	}
	return gone
}

// waiting is what the next session should know of what is still there.
func (c *collection) waiting() map[string]Waiting {
	if !c.settled {
		return c.opt.Waiting
	}
	waiting := make(map[string]Waiting)
	for _, m := range slices.Concat(c.fresh, c.later) {
		if m.saved || len(waiting) >= maxWaiting {
			continue
		}
		w := Waiting{Since: m.since, Tried: m.tried + m.died, Doubt: m.doubtful()}
		if w.Doubt {
			w.Print = m.print
		}
		waiting[strings.Clone(m.waitingKey())] = w
	}
	for id, size := range c.verified {
		if len(waiting) < maxWaiting {
			waiting[strings.Clone(id)] = Waiting{Since: c.seen[id].At, Verified: size}
		}
	}
	return waiting
}
