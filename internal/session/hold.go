package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"outpost/internal/pop3"
	"outpost/queue"
	"outpost/spool"
)

// Held is a message that a box has, too big to be brought in unasked.
type Held struct {
	Box, Account, UIDL string
	// Size is in octets, as the server has it.
	Size int64
	// Top is its header and first lines; nil: the server doesn't show them.
	Top []byte
	// Print identifies it by its header, as queue.Message.Print.
	Print string
	// Price is what it costs to bring it in.
	Price Price
	// Expires is when it is deleted at the provider if nobody decides; zero: never.
	Expires time.Time
}

// Price is what so many octets cost to bring in, beside a call that is placed anyway.
type Price struct {
	// Line is the line that is tried first; "": nothing is known of what it carries.
	Line string
	// Takes is how long they are on the line.
	Takes time.Duration
	// Now is the price at this hour and Later that of the cheapest Hours, with currency; Later and Hours
	// are "" where this hour is no dearer than any.
	Now, Later, Hours string
}

// Price says what so many octets more would cost, on the line that is tried first. It may be called at any time from any goroutine.
func (s *Session) Price(octets int64) Price {
	if len(s.opt.Lines) == 0 {
		return Price{}
	}
	route := s.opt.Lines[0]
	name := route.Line.Name()
	m := &memory{queue: s.opt.Queue, note: func(string, error) {}}
	line := newGauge(route.Rate, route.RTT, recall[lineFacts](m, keyLine+name)).facts()
	if line.Down <= 0 {
		return Price{}
	}
	p := Price{Line: name, Takes: time.Duration(explained(lineFacts{Up: line.Down, Down: line.Down}, 0, float64(octets)) * float64(time.Second))}
	now := route.Tariff.At(time.Now())
	cheap, band := route.Tariff.Cheapest()
	// The call is placed and paid for anyway: what is added to it is the time.
	now.SetUp, cheap.SetUp, now.Minimum, cheap.Minimum = decimal.Zero, decimal.Zero, 0, 0
	p.Now = now.Format(now.Charge(p.Takes).Amount)
	if cheap.PerMinute.LessThan(now.PerMinute) {
		p.Later, p.Hours = cheap.Format(cheap.Charge(p.Takes).Amount), cmp.Or(band.Hours.String(), "outside the dearer hours")
	}
	return p
}

// prepare sets what the office's rules and people say about the messages of a box.
func (b *boxStore) prepare(opt *pop3.Options) error {
	now := time.Now()
	if b.box.HoldAbove != nil && b.call.s.opt.Hold != nil {
		opt.HoldAbove = b.box.HoldAbove(now)
	}
	holds, err := b.holds()
	if err != nil {
		return err
	}
	opt.Held, opt.HeldSize, opt.Drop = make(map[string]bool), make(map[string]int64), make(map[string]bool)
	for _, h := range holds {
		opt.Held[h.UIDL], opt.HeldSize[h.UIDL], opt.Drop[h.UIDL] = !h.Released.IsZero(), h.Size, b.givenUp(h, now)
	}
	opt.StillDrop = b.stillDrop(now)
	if b.box.KeepUnread {
		opt.Keep, err = b.unread()
	}
	return err
}

// holds are the messages of the box that are held. A row that can't be read is told, and stops nothing: its message is shown again.
func (b *boxStore) holds() ([]queue.Hold, error) {
	all, err := b.call.s.opt.Queue.Holds()
	switch {
	case errors.Is(err, queue.ErrCorrupt):
		b.call.problem("box "+b.box.Name, err)
	case err != nil:
		return nil, fmt.Errorf("what is held at the provider: %w", err)
	}
	return slices.DeleteFunc(all, func(h queue.Hold) bool { return h.Box != b.box.Account }), nil
}

// givenUp says that a held message is to be deleted at the provider.
func (b *boxStore) givenUp(h queue.Hold, now time.Time) bool {
	return h.Released.IsZero() && (!h.Dropped.IsZero() || b.expired(h, now))
}

// ledgerRead is how many calls are looked at to see how long a message has waited; with several a day they are more than a year's.
const ledgerRead = 1000

// expired says that a held message has waited for a decision as long as the office's rule has it. The clock alone is not believed: many
// of these computers start with one of years ago, and a message that was met then would be deleted in the call in which the time is right.
func (b *boxStore) expired(h queue.Hold, now time.Time) bool {
	expire := b.box.HoldExpire
	if expire <= 0 || now.Sub(h.Since) < expire {
		return false
	}
	if b.calls == nil {
		b.calls = sync.OnceValues(func() ([]queue.Call, error) { return b.call.s.opt.Queue.Calls(ledgerRead) })
	}
	calls, err := b.calls()
	if err != nil {
		b.call.problem("box "+b.box.Name, fmt.Errorf("how long a held message has waited can't be told, so it stays: %w", err))
		return false
	}
	return waited(h.Since, now, calls, expire/2) >= expire
}

// waited is how long something has waited, as far as calls have seen: the time from one call to the next counts up to most, and a clock that is
// set back and forth counts once. calls are newest first.
func waited(since, now time.Time, calls []queue.Call, most time.Duration) (sum time.Duration) {
	last := since
	see := func(at time.Time) {
		if gap := at.Sub(last); gap > 0 {
			sum += min(gap, most)
			last = at
		}
	}
	for _, c := range slices.Backward(calls) {
		if !c.Begun.After(now) {
			see(c.Begun)
		}
	}
	see(now)
	return sum
}

// stillDrop is pop3.Options.StillDrop: it looks once, when the first message is to be deleted. If that can't be told, all stay for now.
func (b *boxStore) stillDrop(now time.Time) func(identity string) bool {
	look := sync.OnceValue(func() map[string]bool {
		drop := make(map[string]bool)
		holds, err := b.holds()
		if err != nil {
			b.call.problem("box "+b.box.Name, err)
		}
		for _, h := range holds {
			drop[h.UIDL] = b.givenUp(h, now)
		}
		return drop
	})
	return func(identity string) bool { return look()[identity] }
}

// unread says which messages of the box stay there because nobody has read them here. What is collected in this session has
// not been read either.
func (b *boxStore) unread() (func(identity string, _ pop3.Seen) bool, error) {
	seen, err := b.call.s.opt.Queue.Seen(b.box.Account)
	if err != nil {
		return nil, err
	}
	return func(identity string, _ pop3.Seen) bool {
		s, known := seen[identity]
		return !known || b.call.unread == nil || s.ID != "" && b.call.unread[s.ID]
	}, nil
}

// lookForUnread finds out what stays in boxes with KeepUnread, which takes a while where there are many messages. Where that can't
// be told all stay: that costs nothing, and deleting could.
func (c *call) lookForUnread() {
	ids := make(map[spool.ID]bool)
	for _, box := range c.s.opt.Boxes {
		if !box.KeepUnread {
			continue
		}
		seen, err := c.s.opt.Queue.Seen(box.Account)
		if err != nil {
			c.problem("box "+box.Name, err)
			return
		}
		for _, s := range seen {
			ids[s.ID] = true
		}
	}
	if len(ids) == 0 {
		return
	}
	unread, err := c.s.opt.Unread(ids)
	if err != nil {
		c.problem("mailboxes", fmt.Errorf("which messages were read can't be told, so all stay at the provider: %w", err))
		return
	}
	c.unread = unread
}

// renumbered says that a message is held already, under a UIDL that the provider has changed, and notes the new one.
func (b *boxStore) renumbered(ctx context.Context, print string, h pop3.Held) (bool, error) {
	if print == "" {
		return false, nil
	}
	holds, err := b.holds()
	if err != nil {
		return false, err
	}
	for _, known := range holds {
		if known.Print == print && known.Size == h.Size && !h.Listed(known.UIDL) {
			return true, b.call.s.opt.Queue.MoveHold(ctx, known.Box, known.UIDL, h.Identity)
		}
	}
	return false, nil
}

// Hold enters a message that stays at the provider, and has those told whom it is for.
func (b *boxStore) Hold(ctx context.Context, h pop3.Held) error {
	print := pop3.Fingerprint(bytes.NewReader(h.Top))
	if known, err := b.renumbered(ctx, print, h); err != nil || known {
		return err
	}
	held := Held{
		Print: print, Box: b.box.Name, Account: b.box.Account, UIDL: h.Identity, Size: h.Size, Top: h.Top, Price: b.call.s.Price(h.Size),
	}
	if b.box.HoldExpire > 0 {
		held.Expires = time.Now().Add(b.box.HoldExpire)
	}
	if err := b.call.s.opt.Hold(ctx, held); err != nil {
		return err
	}
	b.call.count(func(row *queue.Call) { row.Held++ })
	b.call.emit(Event{Kind: HeldBack, Box: b.box.Name, Bytes: h.Size, Text: queue.HoldID(held.Account, held.UIDL)})
	return nil
}
