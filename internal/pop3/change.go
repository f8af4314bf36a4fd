package pop3

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// fewMissing and manyMissing are how many messages must be missing for a change of UIDLs to be thought of: with none of them there, or
	// one in ten. Fewer were just as well removed by somebody.
	fewMissing  = 3
	manyMissing = 20
	// slack and slackPart are by how much the sizes of the same message differ, listed at different times: servers count LF for CRLF,
	// or before they have converted.
	slack     = 1 << 10
	slackPart = 20
	// maxSample is how many are looked at first, of those that may be familiar. Small messages have all about the same size, and there are
	// providers that show nothing again that was collected: the headers of all that is new would be paid for twice, in every call.
	maxSample = 8
)

// missing is a message that was collected, and whose UIDL is not listed any more.
type missing struct {
	identity string
	Seen
}

func (m missing) compareSize(size int64) int { return cmp.Compare(m.Size, size) }

// change is what there is to find out about messages that may have been collected under other UIDLs.
type change struct {
	missing []missing  // those that can be recognised, by size
	all     bool       // it is all messages, or nearly, that changed
	open    int        // to be examined yet
	rest    []*message // to be examined if one of the first is familiar
	reused  int        // UIDLs that now belong to others
	blind   int        // that may be familiar, and can't be examined
	// unmatched is why the Store did not take note of what was recognised.
	unmatched error
}

// findChange looks for messages that should be there and aren't listed.
func (c *collection) findChange() {
	if !c.complete || len(c.seen) == 0 || !c.strangers() {
		return
	}
	listed := make(map[string]bool, len(c.entries))
	for _, e := range c.entries {
		listed[e.uidl] = true
	}
	there, gone := 0, 0
	for id, s := range c.seen {
		uidl, hash, ok := splitIdentity(id)
		switch {
		case !ok || hash:
		case listed[uidl]:
			there++
		default:
			if c.keeps(id, s) {
				gone++
			}
			if s.Size > 0 && s.Print != "" {
				c.change.missing = append(c.change.missing, missing{id, s})
			}
		}
	}
	slices.SortFunc(c.change.missing, func(a, b missing) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.identity, b.identity))
	})
	c.change.all = there == 0 && gone >= fewMissing || there+gone >= manyMissing && there*10 < there+gone
}

// strangers says that something is listed that was never heard of.
func (c *collection) strangers() bool {
	return slices.ContainsFunc(c.entries, func(e entry) bool {
		_, seen := c.seen[e.identity]
		_, held := c.opt.Held[e.identity]
		return e.identity != "" && !seen && (!held || c.another(e))
	})
}

// familiar says that an entry which was never heard of may be a message that was.
func (c *collection) familiar(e entry) bool {
	_, held := c.opt.Held[e.identity]
	if e.identity == "" || held && !c.another(e) || !c.change.all && !c.opt.Waiting[e.identity].Doubt {
		return false
	}
	i, _ := slices.BinarySearchFunc(c.change.missing, e.size-max(slack, e.size/slackPart), missing.compareSize)
	return i < len(c.change.missing) && similar(c.change.missing[i].Size, e.size)
}

// similar says that two sizes may be of the same message.
func similar(a, b int64) bool { return max(a, b)-min(a, b) <= max(slack, max(a, b)/slackPart) }

// apart says that two sizes are hardly of the same message; unknown ones are not.
func apart(a, b int64) bool { return a > 0 && max(a, b)-min(a, b) > a/slackPart+slack }

// settleSeen deals with what was collected, as its identity says.
func (c *collection) settleSeen(e entry, s Seen, now time.Time) {
	verified := c.opt.Waiting[e.identity].Verified
	if !apart(s.Size, e.size) || verified > 0 && !apart(verified, e.size) {
		if apart(s.Size, e.size) {
			c.verified[e.identity] = verified
		}
		c.report.Skipped++
		c.here = append(c.here, collected{e, s, e.identity})
		return
	}
	m := newMessage(e, c.opt.Waiting, now)
	m.todo(examine)
	m.claims = true
	c.fresh = append(c.fresh, m)
	if !c.tops() || m.tried >= enoughTries {
		c.judge(m, "")
	}
}

// settleFamiliar has a message looked at that may be one that was collected.
func (c *collection) settleFamiliar(e entry, now time.Time) {
	m := newMessage(e, c.opt.Waiting, now)
	m.todo(examine)
	m.print = c.opt.Waiting[e.identity].Print
	m.examined = m.print != "" || !c.tops() || m.tried >= enoughTries
	if m.examined && m.print == "" {
		c.change.blind++
	}
	c.fresh = append(c.fresh, m)
}

// sample begins with those that are the likeliest, if many are to be examined.
func (c *collection) sample() {
	var all []*message
	for _, m := range c.fresh {
		if m.doubtful() && !m.examined {
			all = append(all, m)
		}
	}
	if len(all) > maxSample && !c.recognises() {
		slices.SortStableFunc(all, func(a, b *message) int { return cmp.Compare(c.distance(a), c.distance(b)) })
		c.change.rest = all[maxSample:]
		for _, m := range c.change.rest {
			m.put = true
		}
		all = all[:maxSample]
	}
	if c.change.open = len(all); c.change.open == 0 {
		c.match()
	}
}

// distance is by how much the size of a message differs from that of the likeliest that is missing.
func (c *collection) distance(m *message) int64 {
	least := int64(math.MaxInt64)
	i, _ := slices.BinarySearchFunc(c.change.missing, m.size, missing.compareSize)
	for _, old := range c.change.missing[max(i-1, 0):min(i+1, len(c.change.missing))] {
		least = min(least, max(old.Size, m.size)-min(old.Size, m.size))
	}
	return least
}

// recognises says that one of the messages examined is familiar.
func (c *collection) recognises() bool {
	prints := make(map[string]bool)
	for _, m := range c.fresh {
		prints[m.print] = prints[m.print] || m.doubtful()
	}
	return slices.ContainsFunc(c.change.missing, func(old missing) bool { return prints[old.Print] })
}

// look reads the header of a message to examine. An error is the connection's.
func (c *collection) look(b *body) error {
	found := Fingerprint(b)
	if err := b.drain(); err != nil {
		return err
	}
	c.judge(b.m, found)
	return nil
}

// judge goes on with a message of which all is known that can be.
func (c *collection) judge(m *message, found string) {
	m.print, m.examined = found, true
	if m.claims {
		c.judgeClaim(m)
		return
	}
	if c.change.open--; c.change.open > 0 {
		return
	}
	if c.change.rest != nil && c.recognises() {
		for _, m := range c.change.rest {
			m.put = false
		}
		c.more = append(c.more, c.change.rest...)
		c.change.open, c.change.rest = len(c.change.rest), nil
		return
	}
	c.match()
}

// judgeClaim decides about a message that has the UIDL of one that was collected. If it is another one, the old one isn't there any more; and
// only when that is forgotten will the Store take this one for new.
func (c *collection) judgeClaim(m *message) {
	c.mu.Lock()
	s := c.seen[m.identity]
	same := m.print != "" && m.print == s.Print
	if same {
		c.verified[m.identity] = m.size
		c.skipLocked(m, s)
	}
	c.mu.Unlock()
	if same {
		return
	}
	if err := c.store.Forget(c.ctx, []string{m.identity}); err != nil {
		c.fail(m, fmt.Errorf("%s is not what was collected under its UIDL, and stays on the server: %w", m.describe(), err))
		return
	}
	c.mu.Lock()
	delete(c.seen, m.identity)
	c.mu.Unlock()
	c.change.reused++
	c.readmit(m)
}

// match finds out which messages were collected under other UIDLs, when all are examined that will be. A print that several of them have
// says nothing: who sends a message again gets the same, and one of the two would be lost.
func (c *collection) match() {
	alike := make(map[string][]*message)
	var all []*message
	for _, m := range c.fresh {
		if m.job == examine && !m.claims {
			all = append(all, m)
			alike[m.print] = append(alike[m.print], m)
		}
	}
	found := make(map[string]string)
	matched := make(map[*message]missing)
	for _, old := range c.change.missing {
		same := alike[old.Print]
		if len(same) != 1 || !similar(old.Size, same[0].size) {
			continue
		}
		if earlier, twice := matched[same[0]]; twice {
			if !old.At.After(earlier.At) {
				continue
			}
			delete(found, earlier.identity)
		}
		found[old.identity], matched[same[0]] = same[0].identity, old
	}
	if len(found) > 0 {
		if err := c.store.Renamed(c.ctx, found); err != nil {
			c.change.unmatched = fmt.Errorf("%d messages have another identification (UIDL) than when they were collected, and wait for that to be noted: %w", len(found), err)
		}
	}
	for _, m := range all {
		old, ok := matched[m]
		switch {
		case !ok:
			c.readmit(m)
		case c.change.unmatched != nil:
			c.fail(m, nil)
		default:
			c.recognised(m, old)
		}
	}
}

// recognised is a message that was collected under another UIDL.
func (c *collection) recognised(m *message, old missing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, old.identity)
	c.seen[m.identity] = old.Seen
	c.report.Renamed++
	c.skipLocked(m, old.Seen)
}

// skipLocked is a message that turned out to have been collected.
func (c *collection) skipLocked(m *message, s Seen) {
	m.saved = true
	c.report.Skipped++
	c.here = append(c.here, collected{m.entry, s, m.identity})
}

// readmit has a message asked for that has turned out to be new, or looked at once more.
func (c *collection) readmit(m *message) {
	if c.admit(m) {
		c.more = append(c.more, m)
	}
}

// tellChange says what the provider did to its UIDLs.
func (c *collection) tellChange() {
	if c.change.unmatched != nil {
		c.problem(c.change.unmatched)
	}
	if n := c.report.Renamed; n > 0 {
		c.problem(fmt.Errorf("the provider changed the identification (UIDL) of %d messages; they were recognised and not collected again", n))
	}
	if n := c.change.blind; n > 0 {
		c.problem(fmt.Errorf("the provider changed the identification (UIDL) of its messages, and %d of them can't be recognised, as their headers can't be looked at (TOP): they are collected again", n))
	}
	if n := c.change.reused; n > 0 {
		c.problem(fmt.Errorf("the provider gave %d messages the identification (UIDL) of others that were collected: they are collected as well", n))
	}
}
