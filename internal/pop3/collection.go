package pop3

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// collection is one session with a box.
type collection struct {
	ctx context.Context
	session
	store Store
	seen  map[string]time.Time
	// met are the identities by content that were found in this session.
	met map[string]bool

	entries []entry
	// complete: the listing was understood to the last line.
	complete bool
	// unread: there are messages without UIDL whose content is not known now.
	unread       bool
	marked       int // DELE answered with +OK
	saveFailures int // in a row

	report Report
}

func (c *collection) run() *Error {
	if err := c.open(c.ctx); err != nil {
		return err
	}
	if err := c.list(); err != nil {
		return err
	}
	fresh, err := c.settleKnown()
	if err != nil {
		return err
	}
	for i, e := range fresh {
		if c.saveFailures >= maxSaveFailures {
			c.giveUp(len(fresh) - i)
			break
		}
		if err := c.collect(e); err != nil {
			return err
		}
	}
	return c.quit()
}

func (c *collection) giveUp(rest int) {
	c.unread = true
	c.report.Failed += rest
	c.problem(fmt.Errorf("%d messages in a row could not be saved: %d more are left for the next time", c.saveFailures, rest))
}

func (c *collection) problem(err error) { c.report.Problems = append(c.report.Problems, err) }

// list finds out what is in the box.
func (c *collection) list() *Error {
	lines, err := c.listing("LIST")
	if err != nil {
		return err
	}
	entries, bad := parseList(lines)
	c.entries, c.complete, c.report.Listed = entries, len(bad) == 0, len(entries)
	if len(bad) > 0 {
		c.problem(fmt.Errorf("LIST has %d lines that make no sense, such as %q; their messages are passed over", len(bad), legible([]byte(bad[0]))))
	}
	if len(entries) == 0 {
		return nil
	}
	uidls, err := c.uidl()
	if err != nil {
		return err
	}
	c.met = make(map[string]bool)
	identify(c.entries, uidls, c.seen)
	return nil
}

// uidl asks for the UIDLs; none, if the server doesn't have the command. A server that has it and fails is another matter: to take its
// messages for ones without UIDL would collect what was collected before, so the session ends.
func (c *collection) uidl() (map[int]string, *Error) {
	lines, failure := c.listing("UIDL")
	switch {
	case failure == nil:
		return parseUIDL(lines), nil
	case lost(failure), failure.Code != "":
		return nil, failure
	}
	capabilities, err := c.listing("CAPA") // RFC 2449 §5
	if lost(err) {
		return nil, err
	}
	for _, line := range capabilities {
		if strings.EqualFold(strings.TrimSpace(line), "UIDL") { // RFC 2449 §6.8
			return nil, failure
		}
	}
	return nil, nil
}

// settleKnown deals with what needs no retrieving, deletions first, and returns what does.
func (c *collection) settleKnown() ([]entry, *Error) {
	var fresh []entry
	for _, e := range c.entries {
		when, known := c.seen[e.identity]
		switch {
		case e.identity != "" && known:
			c.report.Skipped++
			if err := c.dispose(e, when); err != nil {
				return nil, err
			}
		case e.size > c.opt.MaxBytes:
			c.report.TooBig++
			c.unread = c.unread || e.identity == ""
		default:
			fresh = append(fresh, e)
		}
	}
	return c.turn(fresh), nil
}

// turn begins the round at another message each time. A message that ends the session whenever it is retrieved, because the server dies
// of it or lies about its size, then doesn't hold back for ever what comes after it.
func (c *collection) turn(fresh []entry) []entry {
	if len(fresh) < 2 {
		return fresh
	}
	random := rand.New(rand.NewPCG(uint64(c.opt.Now().UnixNano()), 0)) //nolint:gosec // no secret
	first := random.IntN(len(fresh))
	return slices.Concat(fresh[first:], fresh[:first])
}

// collect retrieves a message, saves it, and only then has it deleted. An error ends the session.
func (c *collection) collect(e entry) *Error {
	text, err := c.retrieve(e.number, e.size)
	if err != nil {
		c.unread = true
		c.report.Failed++
		if lost(err) {
			err.Err = fmt.Errorf("%s: %w", e.describe(), err.Err)
			return err
		}
		c.problem(fmt.Errorf("%s was not retrieved: %w", e.describe(), err))
		return nil
	}
	if e.identity == "" {
		e.identity = contentIdentity(e.uidl, text.Bytes())
		c.met[e.identity] = true
		if when, known := c.seen[e.identity]; known {
			c.report.Skipped++
			return c.dispose(e, when)
		}
	}
	return c.save(e, text)
}

func (c *collection) save(e entry, text *bytes.Buffer) *Error {
	size := int64(text.Len())
	if err := c.store.Save(c.ctx, e.identity, size, text); err != nil {
		c.report.Failed++
		c.saveFailures++
		c.problem(fmt.Errorf("%s was not saved, and stays on the server: %w", e.describe(), err))
		if c.ctx.Err() != nil {
			return &Error{Command: "save", Temporary: true, Err: c.ctx.Err()}
		}
		return nil
	}
	c.saveFailures = 0
	c.report.Collected++
	c.report.Bytes += size
	now := c.opt.Now()
	c.seen[e.identity] = now // another copy in this listing is the same message
	return c.dispose(e, now)
}

// dispose has a message deleted that was saved at a given time, if it is due.
func (c *collection) dispose(e entry, saved time.Time) *Error {
	days := int(c.opt.Now().Sub(saved) / (24 * time.Hour))
	if c.opt.LeaveDays < 0 || days < c.opt.LeaveDays {
		c.report.Left++
		return nil
	}
	err := c.simple(fmt.Sprintf("DELE %d", e.number))
	switch {
	case lost(err):
		return err
	case err != nil:
		c.problem(fmt.Errorf("%s is stored here, but was not deleted: %w", e.describe(), err))
	default:
		c.marked++
	}
	return nil
}

// quit makes the deletions true, and forgets what the server showed to be gone.
func (c *collection) quit() *Error {
	err := c.simple("QUIT")
	switch {
	case lost(err):
		return err
	case err != nil:
		// RFC 1939 §6: some or none were deleted. What still is there will be listed and deleted next time.
		c.problem(fmt.Errorf("the server did not delete all it should have: %w", err))
		return nil
	}
	c.report.Deleted = c.marked
	if gone := c.gone(); len(gone) > 0 {
		if err := c.store.Forget(c.ctx, gone); err != nil {
			c.problem(fmt.Errorf("what the server no longer has was not forgotten: %w", err))
		}
	}
	return nil
}

// gone are the identities that no message of a complete listing can have.
func (c *collection) gone() []string {
	if !c.complete {
		return nil
	}
	listed := make(map[string]bool, len(c.entries))
	for _, e := range c.entries {
		if e.uidl != "" {
			listed[e.uidl] = true
		} else {
			// By its content a message may be any that was seen without a UIDL.
			listed[""] = true
		}
	}
	var gone []string
	for id := range c.seen {
		uidl, hash, ok := splitIdentity(id)
		switch {
		case !ok:
			// Not ours to judge.
		case hash && uidl == "" && (c.met[id] || c.unread && listed[""]):
		case hash && uidl == "":
			gone = append(gone, id)
		case !listed[uidl]:
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return gone
}
