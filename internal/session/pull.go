package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"outpost/internal/pop3"
	"outpost/queue"
)

// pull collects one box. Each message and the fact that it was seen are
// committed together before the server is told to delete it.
func (c *call) pull(ctx context.Context, box Box) error {
	conn, err := c.line().DialContext(ctx, "tcp", box.Address)
	if err != nil {
		return err
	}
	store := &boxStore{call: c, box: box}
	report, err := pop3.Collect(ctx, conn, box.POP3, store)
	c.count(func(row *queue.Call) { row.Deleted += report.Deleted })
	for _, p := range report.Problems {
		if err == nil || !c.over(ctx) {
			c.problem("box "+box.Name, p)
		}
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d listed, %d collected, %d deleted", report.Listed, report.Collected, report.Deleted)
	if report.TooBig > 0 {
		c.problem("box "+box.Name, fmt.Errorf("%d messages are larger than %d octets (max_message_bytes) and stay at the provider",
			report.TooBig, box.POP3.MaxBytes))
	}
	c.emit(Event{Kind: BoxDone, Box: box.Name, Text: text, Bytes: report.Bytes})
	return nil
}

// boxStore is a box's place in the queue, as package pop3 needs it.
type boxStore struct {
	call *call
	box  Box
}

func (b *boxStore) Seen() (map[string]time.Time, error) {
	return b.call.s.opt.Queue.Seen(b.box.Account)
}

func (b *boxStore) Forget(ctx context.Context, uidls []string) error {
	return b.call.s.opt.Queue.Forget(ctx, b.box.Account, uidls)
}

// Save says that a message is stored when it and its identity are committed, in
// this call or in one before. A message that has come in is kept even if the line
// has gone meanwhile: its octets were paid for.
func (b *boxStore) Save(ctx context.Context, _ int64, body io.Reader, identity func() string, done func(error)) {
	text, err := io.ReadAll(body)
	if err == nil {
		err = b.add(ctx, identity(), bytes.NewReader(text))
	}
	done(err)
}

func (b *boxStore) add(ctx context.Context, uidl string, body io.Reader) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), saveLimit)
	defer stop()
	m, err := b.call.s.opt.Queue.Add(ctx, queue.Message{
		Origin: queue.Collected, Box: b.box.Account, UIDL: uidl,
		To: b.call.s.opt.Recipients(b.box.Name), EightBit: true,
	}, body)
	if errors.Is(err, queue.ErrSeen) {
		return nil
	}
	if err != nil {
		return err
	}
	b.call.count(func(row *queue.Call) {
		row.Collected++
		row.CollectedBytes += m.Size
	})
	b.call.emit(Event{Kind: Collected, Box: b.box.Name, Message: string(m.ID), Bytes: m.Size})
	return nil
}
