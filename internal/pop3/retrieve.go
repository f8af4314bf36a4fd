package pop3

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
)

// maxSaves is how many messages may be with the Store at once, read but not done: their commits share one flush of the disk. Then
// nothing more is read.
const maxSaves = 64

var errNotRead = errors.New("the store did not read it to its end")

// retrieve brings in what is fresh. One goroutine asks for what the Window grants, while this one reads what comes. It returns when all
// of it is saved, or isn't going to be.
func (c *collection) retrieve() *Error {
	wants := slices.DeleteFunc(slices.Clone(c.fresh), func(m *message) bool { return m.saved || m.job == examine && (m.examined || m.put) })
	c.more = nil // they are among those
	if len(wants) == 0 {
		return c.discardFirst()
	}
	most := 1
	if c.pipelining {
		most = mostFlying
	}
	c.berth = c.opt.Window.join(wants, most, c.ahead1)
	defer c.berth.leave()
	sent := make(chan *message, 2*mostFlying) // more than can be under way
	if c.ahead1 != nil {
		c.wire.bound(retrLimit(c.ahead1.size))
		sent <- c.ahead1
	} else if err := c.discardFirst(); err != nil {
		return err
	}
	go c.ask(sent)
	slots := make(chan struct{}, maxSaves)
	var failure *Error
	for m := range sent {
		if failure != nil {
			continue
		}
		if failure = c.receive(m, slots); failure != nil {
			c.berth.leave()
			_ = c.wire.Close()
		}
	}
	c.saves.Wait()
	return failure
}

// discardFirst reads the reply to a RETR 1 that was sent with the log-in and that nobody wants after all, a -ERR if the box is empty.
func (c *collection) discardFirst() *Error {
	if !c.ahead || !c.speculate {
		return nil
	}
	if err := c.reply("RETR 1"); err != nil {
		if lost(err) {
			return err
		}
		return nil
	}
	for {
		switch _, err := c.wire.next(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return lostError("RETR 1", c.opt.Timeout, err)
		}
	}
}

// ask sends RETR for what is granted, and says what was asked for, in that order. When a write fails the connection is over, which is
// for the reader to find.
func (c *collection) ask(sent chan<- *message) {
	defer close(sent)
	for granted := c.berth.next(c.ctx); len(granted) > 0; granted = c.berth.next(c.ctx) {
		for _, m := range granted {
			c.send(m.request(c.opt.Preview))
			sent <- m
		}
		_ = c.wire.flush() // this is beside the reading already
	}
}

// receive takes what comes for a message. An error ends the session.
func (c *collection) receive(m *message, slots chan struct{}) *Error {
	command := m.command()
	err := c.reply(command)
	switch {
	case m.number == 0:
		return c.passFence(m, err)
	case lost(err):
		return c.diedOf(m, err)
	case err != nil:
		c.refused(m, err)
		c.counted(c.berth.doubt(m, &message{}, c.more...))
		c.berth.finish(m)
		return nil
	}
	b := &body{c: c, m: m}
	if c.berth.suspects(m) {
		if err := b.drain(); err != nil {
			return c.diedOf(m, lostError(command, c.opt.Timeout, err))
		}
		c.berth.again(m)
		return nil
	}
	if err := c.take(b, slots); err != nil {
		return c.diedOf(m, lostError(command, c.opt.Timeout, err))
	}
	c.counted(c.berth.finish(m, c.more...))
	return nil
}

// take does with the text of a message what it is wanted for. An error is the connection's.
func (c *collection) take(b *body, slots chan struct{}) error {
	switch b.m.job {
	case examine:
		return c.look(b)
	case show:
		return c.show(b)
	default:
		return c.save(b, slots)
	}
}

// refused is a message that the server doesn't give.
func (c *collection) refused(m *message, err *Error) {
	switch m.job {
	case examine:
		c.judge(m, "")
	case show:
		c.heldOrMore(m, nil)
	case retrieve:
		c.fail(m, fmt.Errorf("%s was not retrieved: %w", m.describe(), err))
		m.died++
	}
}

// counted is what was to be asked for more: as failed, if it won't be.
func (c *collection) counted(taken bool) {
	for _, m := range c.more {
		if !taken {
			c.fail(m, nil)
		}
	}
	c.more = nil
}

// passFence is the answer to RETR 0, a message that no box has (RFC 1939 §3 counts from 1). It is sent after a RETR was refused, once all
// that was under way is here: a -ERR that answers nothing, of a server that says good-bye or errs, would have every later message
// taken for the one behind it, and that one deleted unseen. If RETR 0 is refused as well, each reply had its command.
func (c *collection) passFence(m *message, err *Error) *Error {
	switch {
	case lost(err):
		return err
	case err == nil:
		return lostError("RETR 0", c.opt.Timeout, errUnbidden)
	}
	c.berth.finish(m)
	return nil
}

// diedOf is a connection that ended at a message.
func (c *collection) diedOf(m *message, err *Error) *Error {
	if !m.saved { // it was held, for all that
		c.fail(m, nil)
	}
	if c.ctx.Err() == nil {
		m.died++
	}
	err.Err = fmt.Errorf("%s: %w", m.describe(), err.Err)
	return err
}

// fail counts a message as failed, once.
func (c *collection) fail(m *message, problem error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(m, problem)
}

func (c *collection) failLocked(m *message, problem error) {
	if !m.failed {
		m.failed = true
		c.report.Failed++
	}
	if problem != nil {
		c.problem(problem)
	}
}

// save hands a message to the Store. An error is the connection's.
func (c *collection) save(b *body, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	if b.m.identity == "" {
		b.hash = sha256.New()
	}
	c.saves.Add(1)
	c.store.Save(c.ctx, b.m.size, b, b.identity, func(err error) {
		c.done(b, err)
		<-slots
		c.saves.Done()
	})
	return b.drain()
}

// done is what became of a message. It may be called before its body was read to its end, by a Store that won't have it.
func (c *collection) done(b *body, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := b.m
	switch {
	case b.broken:
		return // the connection ended; that is told
	case err == nil && !b.whole:
		err = errNotRead
	}
	if err == nil {
		c.saved(b)
		return
	}
	c.failLocked(m, fmt.Errorf("%s was not saved, and stays on the server: %w", m.describe(), err))
	if c.saveFailures++; c.saveFailures == maxSaveFailures {
		c.givenUp = true
		rest := c.berth.abandon()
		c.report.Failed += rest
		c.problem(fmt.Errorf("%d messages in a row could not be saved: %d more are left for the next time", c.saveFailures, rest))
	}
}

// saved is a message that is durable, and may be deleted.
func (c *collection) saved(b *body) {
	c.saveFailures = 0
	b.m.saved = true
	identity := b.identity()
	seen, known := c.seen[identity]
	if known {
		c.report.Skipped++
	} else {
		c.report.Collected++
		c.report.Bytes += b.octets
		seen = Seen{At: c.opt.Now(), Size: b.m.size}
		c.seen[identity] = seen // another copy in this listing is the same message
	}
	c.here = append(c.here, collected{b.m.entry, seen, identity})
}

// body is the text of a message, as it comes from the wire.
type body struct {
	c      *collection
	m      *message
	hash   hash.Hash // nil if the identity doesn't take it
	sum    []byte
	rest   []byte // of what the wire gave last
	octets int64
	end    error // io.EOF, or the connection's

	// Guarded by the collection's mutex: how it ended, once it has.
	whole, broken bool
}

// Read is io.Reader's.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 && !b.more() {
		return 0, b.end
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// more waits for more of the text.
func (b *body) more() bool {
	if b.end != nil {
		return false
	}
	b.rest, b.end = b.c.wire.next()
	if b.end != nil {
		b.finish()
		return false
	}
	b.octets += int64(len(b.rest))
	b.c.berth.arrived(b.m, len(b.rest))
	if b.hash != nil {
		b.hash.Write(b.rest)
	}
	return true
}

// finish notes how the text ended.
func (b *body) finish() {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.end != io.EOF {
		b.broken = true
		return
	}
	if b.hash != nil {
		b.sum = b.hash.Sum(nil)
		c.met[contentIdentity(b.m.uidl, b.sum)] = true
	}
	b.whole = true
	b.m.read = b.m.read || b.sum != nil
}

// drain reads what the Store left.
func (b *body) drain() error {
	for b.more() {
	}
	if b.end == io.EOF {
		return nil
	}
	return b.end
}

// identity is what the Store should know the message by; "" as long as that takes text that has not come.
func (b *body) identity() string {
	switch {
	case b.m.identity != "":
		return b.m.identity
	case b.sum == nil:
		return ""
	}
	return contentIdentity(b.m.uidl, b.sum)
}
