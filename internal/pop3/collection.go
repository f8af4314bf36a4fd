package pop3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
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
	fresh    []*message // to be retrieved
	ahead1   *message   // asked for with the log-in, and one of fresh

	// What follows is also touched by those who save.
	mu           sync.Mutex
	saves        sync.WaitGroup // not done yet
	seen         map[string]time.Time
	met          map[string]bool // identities by content that were found in this session
	doomed       []entry         // to be deleted
	saveFailures int             // in a row
	report       Report
}

func (c *collection) run() *Error {
	c.speculate = c.opt.Speculate && (len(c.seen) == 0 || c.opt.Emptied) && c.opt.LeaveDays == 0
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
	if err := c.retrieve(); err != nil {
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
		c.problem(fmt.Errorf("LIST has %d lines that make no sense, such as %q; their messages are passed over", len(bad), legible([]byte(bad[0]))))
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
		if e.number == 1 && e.size > c.opt.MaxBytes {
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
	for _, e := range c.entries {
		when, known := c.seen[e.identity]
		switch {
		case e.identity != "" && known:
			c.report.Skipped++
			c.dispose(e, when)
		case e.size > c.opt.MaxBytes:
			c.report.TooBig++
		default:
			m := newMessage(e, c.opt.Waiting, now)
			c.fresh = append(c.fresh, m)
			if c.ahead && c.speculate && e.number == 1 {
				c.ahead1 = m
			}
		}
	}
}

// dispose has a message deleted in the end that was saved at a given time, if it is due.
func (c *collection) dispose(e entry, saved time.Time) {
	days := int(c.opt.Now().Sub(saved) / (24 * time.Hour))
	if c.opt.LeaveDays < 0 || days < c.opt.LeaveDays {
		c.report.Left++
		return
	}
	c.doomed = append(c.doomed, e)
}

// quit deletes what is to be deleted, makes it come true, and forgets what the server showed to be gone. All of it is one group where
// the server lets it be, as no deletion counts before QUIT does.
func (c *collection) quit() *Error {
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
			c.quitted(marked, err)
		case err != nil:
			c.problem(fmt.Errorf("%s is stored here, but was not deleted: %w", c.doomed[i].describe(), err))
		default:
			marked++
		}
	}
	return nil
}

// quitted is the end, with the reply to QUIT.
func (c *collection) quitted(marked int, refused *Error) {
	if refused != nil {
		// RFC 1939 §6: some or none were deleted. What still is there will be listed and deleted next time.
		c.problem(fmt.Errorf("the server did not delete all it should have: %w", refused))
		return
	}
	c.report.Deleted = marked
	c.report.Emptied = c.complete && marked == c.report.Listed
	if gone := c.gone(); len(gone) > 0 {
		if err := c.store.Forget(c.ctx, gone); err != nil {
			c.problem(fmt.Errorf("what the server no longer has was not forgotten: %w", err))
		}
	}
}

// gone are the identities that no message of a complete listing can have.
func (c *collection) gone() []string {
	if !c.complete {
		return nil
	}
	listed := make(map[string]bool, len(c.entries))
	nameless := false // by its content a message may be any that was seen without a UIDL
	for _, e := range c.entries {
		listed[e.uidl] = true
		nameless = nameless || e.uidl == "" && e.size > c.opt.MaxBytes
	}
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

// waiting is what the next session should know of what is still there.
func (c *collection) waiting() map[string]Waiting {
	if !c.settled {
		return c.opt.Waiting
	}
	waiting := make(map[string]Waiting)
	for _, m := range c.fresh {
		if !m.saved && len(waiting) < maxWaiting {
			waiting[strings.Clone(m.waitingKey())] = Waiting{Since: m.since, Tried: m.tried + m.died}
		}
	}
	return waiting
}
