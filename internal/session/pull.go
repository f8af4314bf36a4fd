package session

import (
	"context"
	"errors"
	"fmt"
	"io"

	"outpost/internal/pop3"
	"outpost/queue"
)

// saving is how many messages of all boxes may be on their way to the disk: they share its transactions, and each holds a
// file open.
const saving = 128

// crowdedTries is how often a box is tried that its server would not have beside others of ours: the limit may be found
// only step by step, and connections that have ended may count for a moment longer.
const crowdedTries = 3

// pull collects one box. One that the server would not have beside others of ours is tried again when they are fewer.
func (c *call) pull(ctx context.Context, places *places, box Box) error {
	var (
		report pop3.Report
		err    error
	)
	for range crowdedTries {
		var again bool
		if report, again, err = c.visit(ctx, places, box); !again {
			break
		}
		c.s.log.Info("the server bears no more connections of ours: once more, later", "box", box.Name, "err", err)
	}
	return c.collected(ctx, box, report, err)
}

// visit is a session with a box when there is a place for it, and a second one if the first failed of what was known of the
// server. again says that one later may do better.
func (c *call) visit(ctx context.Context, places *places, box Box) (report pop3.Report, again bool, err error) {
	entered, err := places.enter(ctx, box.Address)
	if err != nil {
		return pop3.Report{}, false, err
	}
	refused := false
	defer func() {
		if !refused {
			places.leave(box.Address)
		}
	}()
	report, err = c.collect(ctx, box, c.memory.mailServer(box.Address).Known, c.gauge.longAndFast())
	var failed *pop3.Error
	if errors.As(err, &failed) && failed.Early && !c.over(ctx) {
		c.s.log.Info("the server is not as it was: once more, without haste", "box", box.Name, "err", err)
		report, err = c.collect(ctx, box, report.Known, false)
	}
	if refused = crowded(err) && !c.over(ctx); refused {
		again = places.refused(box.Address, entered)
	}
	return report, again, err
}

// crowded says that a connection ended before anybody had said who we are, which is how servers refuse the one too many.
func crowded(err error) bool {
	var failed *pop3.Error
	return errors.As(err, &failed) && failed.Temporary && (failed.Command == "greeting" || failed.Command == "TLS")
}

// collect is one session with a box, on what is known of its server, nil for nothing.
func (c *call) collect(ctx context.Context, box Box, known *pop3.Known, speculate bool) (pop3.Report, error) {
	opt := box.POP3
	opt.Known, opt.Speculate = known, speculate
	left := c.memory.left(box.Account)
	opt.Waiting, opt.Emptied = left.Waiting, left.Emptied
	store := &boxStore{call: c, box: box}
	if err := store.prepare(&opt); err != nil {
		return pop3.Report{Known: opt.Known, Waiting: opt.Waiting}, err
	}
	opt.Window = c.window
	if opt.TLSConfig != nil {
		opt.TLSConfig = c.memory.jar.Config(opt.TLSConfig, box.Address)
	}
	conn, err := c.dial(ctx, box.Address)
	if err != nil {
		return pop3.Report{Known: opt.Known, Waiting: opt.Waiting}, err
	}
	report, err := pop3.Collect(ctx, conn, opt, store)
	if report.Known != known {
		c.memory.learnMailServer(box.Address, func(s *mailServer) { s.Known = report.Known })
	}
	c.memory.learnLeft(box.Account, boxFacts{report.Waiting, report.Emptied})
	if gone := c.s.opt.Queue.DropHolds(ctx, box.Account, report.Gone); gone != nil {
		err = errors.Join(err, gone)
	}
	return report, err
}

// collected tells what came of a box.
func (c *call) collected(ctx context.Context, box Box, report pop3.Report, err error) error {
	c.count(func(row *queue.Call) { row.Deleted += report.Deleted })
	for _, p := range report.Problems {
		if err == nil || !c.over(ctx) {
			c.problem("box "+box.Name, p)
		}
	}
	c.tellOfNumbering(ctx, box, report)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d listed, %d collected, %d deleted", report.Listed, report.Collected, report.Deleted)
	for _, more := range []struct {
		n    int
		what string
	}{{report.Held, "held"}, {report.Dropped, "deleted uncollected, as was decided"}, {report.Renamed, "recognised under new names"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	if report.TooBig > 0 {
		c.problem("box "+box.Name, fmt.Errorf("%d messages are larger than %d octets (max_message_bytes) and stay at the provider",
			report.TooBig, box.POP3.MaxBytes))
	}
	c.emit(Event{Kind: BoxDone, Box: box.Name, Text: text, Bytes: report.Bytes})
	return nil
}

// tellOfNumbering tells the manager that a provider has numbered a box anew: he may want to ask why.
func (c *call) tellOfNumbering(ctx context.Context, box Box, report pop3.Report) {
	if report.Renamed == 0 || c.s.opt.TellManager == nil {
		return
	}
	text := fmt.Sprintf("The provider has numbered the messages of box %s anew. %d that stay there were known again\n"+
		"by their headers and not collected a second time. What could not be known again came\nonce more, and copies of it are not delivered twice.\n", box.Name, report.Renamed)
	err := c.s.opt.TellManager(context.WithoutCancel(ctx), "Box "+box.Name+" was numbered anew", text)
	if err != nil {
		c.problem("box "+box.Name, fmt.Errorf("the manager was not told of its new numbering: %w", err))
	}
}

// boxStore is a box's place in the queue, as package pop3 needs it.
type boxStore struct {
	call  *call
	box   Box
	calls func() ([]queue.Call, error) // the ledger's newest, read once; nil: not yet
}

// Seen gives what was collected from the box.
func (b *boxStore) Seen() (map[string]pop3.Seen, error) {
	kept, err := b.call.s.opt.Queue.Seen(b.box.Account)
	seen := make(map[string]pop3.Seen, len(kept))
	for identity, s := range kept {
		seen[identity] = pop3.Seen{At: s.At, Size: s.Size, Print: s.Print}
	}
	return seen, err
}

// Renamed keeps what is known of messages under their new UIDLs.
func (b *boxStore) Renamed(ctx context.Context, identities map[string]string) error {
	return b.call.s.opt.Queue.Rename(ctx, b.box.Account, identities)
}

// Forget drops what the box no longer has.
func (b *boxStore) Forget(ctx context.Context, uidls []string) error {
	return b.call.s.opt.Queue.Forget(ctx, b.box.Account, uidls)
}

// Save writes the message down as it comes and lets the disk take its time while the next one comes in. done hears nil
// only when the message and its UIDL are committed, in this call or in one before. A
// message that has come in is kept even if the line has gone meanwhile: its octets were paid for.
func (b *boxStore) Save(ctx context.Context, size int64, body io.Reader, identity func() string, done func(error)) {
	q := b.call.s.opt.Queue
	b.call.saving <- struct{}{}
	staged, err := q.Stage(ctx, body)
	if err != nil {
		<-b.call.saving
		done(err)
		return
	}
	uidl := identity()
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer func() { <-b.call.saving }()
		done(b.call.safely("box "+b.box.Name, func() error { return b.keep(ctx, staged, uidl, size) }))
	}()
}

// keep stores what has come in, for those whom it is for. listed is its size as the server has it.
func (b *boxStore) keep(ctx context.Context, staged *queue.Staged, uidl string, listed int64) error {
	ctx, stop := context.WithTimeout(ctx, saveLimit)
	defer stop()
	defer staged.Drop()
	octets := staged.Size()
	m, discard, err := b.call.s.opt.Sort(b.box.Name, staged.Body(), octets)
	if err != nil {
		return err
	}
	if discard != "" && len(m.To) == 0 {
		return b.discard(ctx, uidl, discard, octets)
	}
	m.Box, m.UIDL, m.Listed, m.Print = b.box.Account, uidl, listed, pop3.Fingerprint(staged.Body())
	m, err = staged.Add(ctx, m)
	copied := errors.Is(err, queue.ErrCopy)
	switch {
	case errors.Is(err, queue.ErrSeen):
		return nil
	case err != nil && !copied:
		return err
	}
	b.call.count(func(row *queue.Call) {
		row.Collected++
		row.CollectedBytes += octets
		if copied {
			row.Copies++
		}
	})
	b.call.emit(Event{Kind: Collected, Box: b.box.Name, Message: string(m.ID), Bytes: octets, Text: m.Route})
	return nil
}

// discard is what a rule of the office says about a message: it is seen, and goes nowhere.
func (b *boxStore) discard(ctx context.Context, uidl, rule string, octets int64) error {
	if err := b.call.s.opt.Queue.MarkSeen(ctx, b.box.Account, []string{uidl}); err != nil {
		return err
	}
	b.call.count(func(row *queue.Call) {
		row.Collected++
		row.CollectedBytes += octets
		if row.Discarded == nil {
			row.Discarded = make(map[string]int)
		}
		row.Discarded[rule]++
	})
	b.call.emit(Event{Kind: Discarded, Box: b.box.Name, Bytes: octets, Text: fmt.Sprintf("rule %q", rule)})
	return nil
}
