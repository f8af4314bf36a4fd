package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	// maxShown is how many messages Store.Hold is shown in a session: a box that was found full of large ones shouldn't make a call of its
	// own. With their tops of 32 KiB they are 1 MiB at most, to be kept somewhere.
	maxShown = 32
	// maxTopKept is what of a top is kept, in octets.
	maxTopKept = 32 << 10
	// enoughTries is after how many sessions that ended at a TOP none is sent any more for that message.
	enoughTries = 3
)

// tops says that TOP (RFC 1939 §7) is worth trying: the server says that it has it (RFC 2449 §6.2), or nothing of what it has.
func (c *collection) tops() bool {
	return len(c.known.Capabilities) == 0 || c.known.has("TOP", "")
}

// decide says what is to be done about a message that was not collected before: true, if it is to be asked for, as m.job says then. It is
// called under the mutex.
func (c *collection) decide(m *message) bool {
	released, shown := c.opt.Held[m.identity]
	nameless, drop := m.identity == "", c.opt.Drop[m.identity]
	if c.another(m.entry) {
		released, shown, drop = false, false, false
	}
	m.todo(retrieve)
	switch {
	case released && !nameless:
		return true
	case drop && !nameless:
		c.doomed = append(c.doomed, doomed{m.entry, true})
	case shown && !nameless:
		c.report.Held++
	case c.overHold(m.size) && !nameless:
		m.todo(show)
		return true
	case c.overHold(m.size), m.size > c.opt.MaxBytes:
		c.report.TooBig++
		c.unread = c.unread || m.uidl == ""
		if c.overHold(m.size) {
			c.unnamed++
		}
	default:
		return true
	}
	m.saved = true // as far as we go
	return false
}

// another says that a message is not the one that was held under its UIDL, by its size. To delete it takes the very same size: if that is a
// mistake, the message is shown once more, and nothing is lost.
func (c *collection) another(e entry) bool {
	size := c.opt.HeldSize[e.identity]
	return apart(size, e.size) || size > 0 && size != e.size && c.opt.Drop[e.identity]
}

// listsHeld is Held.Listed.
func (c *collection) listsHeld(identity string) bool {
	return slices.ContainsFunc(c.entries, func(e entry) bool { return e.identity == identity && !c.another(e) })
}

// overHold says that a message of that size is shown and not retrieved.
func (c *collection) overHold(size int64) bool { return c.opt.HoldAbove > 0 && size > c.opt.HoldAbove }

// admit decides about a message that was not collected before. True: it is to be asked for.
func (c *collection) admit(m *message) bool {
	c.mu.Lock()
	asked := c.decide(m)
	c.mu.Unlock()
	switch {
	case !asked:
		return false
	case m.job != show:
		return true
	}
	if c.shown++; c.shown > maxShown {
		c.later = append(c.later, m)
		return false
	}
	if !c.tops() || m.tried >= enoughTries {
		wanted := c.hold(m, nil)
		if !m.saved && !wanted {
			c.later = append(c.later, m)
		}
		return wanted
	}
	return true
}

// show reads the top of a message for Store.Hold. An error is the connection's.
func (c *collection) show(b *body) error {
	var top bytes.Buffer
	_, err := io.Copy(&top, io.LimitReader(b, maxTopKept))
	if err == nil {
		err = b.drain()
	}
	if err == nil || errors.Is(err, errTooLong) { // that is no reason to ask for it again
		c.heldOrMore(b.m, wholeLines(top.Bytes()))
	}
	return err
}

// heldOrMore is hold while messages are retrieved.
func (c *collection) heldOrMore(m *message, top []byte) {
	if c.hold(m, top) {
		c.more = append(c.more, m)
	}
}

// wholeLines are those of a text; all of it, if there is none.
func wholeLines(text []byte) []byte {
	if end := bytes.LastIndexByte(text, '\n'); end >= 0 {
		return text[:end+1]
	}
	return text
}

// hold gives a message into the hands of the Store, which decides with others what becomes of it. top is nil if it can't be had. True: it is to be
// retrieved now.
func (c *collection) hold(m *message, top []byte) (wanted bool) {
	err := c.store.Hold(c.ctx, Held{Identity: m.identity, Size: m.size, Top: top, Listed: c.listsHeld})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, ErrWanted) && m.size <= c.opt.MaxBytes:
		m.todo(retrieve)
		return true
	case errors.Is(err, ErrWanted):
		c.report.TooBig++
	case err != nil:
		c.failLocked(m, fmt.Errorf("%s is too large to be collected unasked, and was not held: %w", m.describe(), err))
		return false
	default:
		c.report.Held++
	}
	m.saved = true
	return false
}

// tellHeld says what couldn't be done about large messages.
func (c *collection) tellHeld() {
	if n := c.shown - maxShown; n > 0 {
		c.problem(fmt.Errorf("%d more messages larger than %d octets are shown next time: there were more than %d", n, c.opt.HoldAbove, maxShown))
	}
	if c.unnamed > 0 {
		c.problem(fmt.Errorf("%d messages larger than %d octets can't be held, as the server gives them no identification of their own (UIDL): they stay there untouched",
			c.unnamed, c.opt.HoldAbove))
	}
}
