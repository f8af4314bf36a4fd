package notice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"outpost/internal/dsn"
	"outpost/queue"
	"outpost/spool"
)

// errStale says that a message is not any more as it was when its report was begun.
var errStale = errors.New("it has changed meanwhile")

// tell tells all there is to tell of a message, an event at a time.
func (n *Notifier) tell(ctx context.Context, id spool.ID, now time.Time) error {
	for _, e := range []event{expired, silent, failed, waits, held, delivered, relayed} {
		m, err := n.opt.Queue.Get(id)
		if errors.Is(err, queue.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if to := n.concerned(&m, e, now); len(to) > 0 {
			err := n.tellOf(ctx, m, e, to, now)
			if err != nil && !errors.Is(err, errStale) && !errors.Is(err, queue.ErrNotFound) {
				return fmt.Errorf("notice: message %s: %w", id, err)
			}
		}
	}
	return nil
}

// concerned are the recipients of which an event is to be told.
func (n *Notifier) concerned(m *queue.Message, e event, now time.Time) []queue.Recipient {
	var to []queue.Recipient
	for i := range m.To {
		if n.eventOf(m, &m.To[i], now) == e {
			to = append(to, m.To[i])
		}
	}
	return to
}

// tellOf writes one notice and settles what it is about, in one transaction.
func (n *Notifier) tellOf(ctx context.Context, m queue.Message, e event, to []queue.Recipient, now time.Time) error {
	settle := func(row *queue.Message) error {
		told := 0
		for i := range row.To {
			if r := &row.To[i]; n.eventOf(row, r, now) == e {
				e.settle(r, now)
				told++
			}
		}
		if told != len(to) {
			return errStale
		}
		return nil
	}
	log := n.opt.Log.With("id", string(m.ID), "from", m.From)
	if e == expired || e == silent || m.Origin == queue.Notice {
		for _, r := range to {
			log.Warn("mail failed", "to", r.Addr, "reason", r.Reply, "told", false)
		}
		return n.opt.Queue.Update(ctx, m.ID, settle)
	}
	places := n.places(&m, e)
	body, w := io.Pipe()
	go func() {
		defer func() {
			// What strangers wrote is looked into here. One message must not end the program, with a line perhaps up.
			if p := recover(); p != nil {
				w.CloseWithError(fmt.Errorf("panic: %v", p))
			}
		}()
		w.CloseWithError(n.write(w, &m, e, to, now))
	}()
	note, err := n.opt.Queue.AddWith(ctx, queue.Message{Origin: queue.Notice, To: places, UTF8: m.UTF8}, body, queue.WithUpdate(m.ID, settle))
	_ = body.Close() // lets the writer go, should the queue not have read all
	if err != nil {
		return err
	}
	for _, r := range to {
		log.Info("told", "event", e.String(), "to", r.Addr, "reason", r.Reply, "notice", string(note.ID), "whom", places[0].Addr)
	}
	return nil
}

// places are who gets a notice.
func (n *Notifier) places(m *queue.Message, e event) []queue.Recipient {
	sender := n.sender(m)
	list := []queue.Recipient{local(cmp.Or(sender, n.opt.Postmaster))}
	if e == held && sender != n.opt.Manager {
		list[0] = local(n.opt.Manager)
		if sender != "" {
			list = append(list, local(sender))
		}
	}
	return list
}

func local(place string) queue.Recipient { return queue.Recipient{Addr: place, Where: queue.Local} }

// sender is the place of who sent a message, "" if he has none here or doesn't want to hear
// of it. What was collected has its sender far away: he is never written to.
func (n *Notifier) sender(m *queue.Message) string {
	if m.Origin != queue.Submitted || m.From == "" {
		return ""
	}
	return n.opt.Home(m.User, m.From)
}

// write writes a notice.
func (n *Notifier) write(w io.Writer, m *queue.Message, e event, to []queue.Recipient, now time.Time) error {
	var original io.ReadSeeker
	body, err := n.opt.Queue.Body(m.ID)
	if err == nil {
		defer body.Close()
		original = body
	} else {
		// The notice is worth more than the copy of what it is about.
		n.opt.Log.Error("the message that a notice is about can't be read", "id", string(m.ID), "error", err)
	}
	if e == held {
		return n.writeHeld(w, m, to, original, now)
	}
	return n.report(m, e, to, original, now).Write(w)
}

// report is the DSN.
func (n *Notifier) report(m *queue.Message, e event, to []queue.Recipient, body io.ReadSeeker, now time.Time) *dsn.Report {
	r := &dsn.Report{
		Hostname: n.opt.Hostname, From: "outpost@" + n.opt.Hostname, To: n.recipientOf(m), Foreign: n.sender(m) == "", Kind: kinds[e],
		Arrived: m.Received, EnvID: m.EnvID, Now: now, ID: string(m.ID) + "." + e.String() + "." + strings.ToLower(rand.Text()[:8]),
		UTF8: m.UTF8, EightBit: true, Return: m.Return, Original: body, OriginalSize: m.Size,
	}
	for _, t := range to {
		one := dsn.Recipient{Addr: n.shown(t), Original: t.Original, Reply: t.Reply, At: t.At, Attempts: t.Attempts}
		if t.Attempts > 0 { // else it was decided here
			one.Remote = n.whoSays(t)
		}
		if e == waits && n.opt.GiveUp > 0 && t.Where == queue.Remote {
			one.WillRetryUntil = m.Received.Add(n.opt.GiveUp)
		}
		r.Recipients = append(r.Recipients, one)
	}
	return r
}

// whoSays is the server that answers for a recipient: the smarthost, or one of the office's by its name here; "" for a mailbox of ours.
func (n *Notifier) whoSays(r queue.Recipient) string {
	if r.Where == queue.Remote {
		return n.opt.Smarthost
	}
	server, _, _ := strings.Cut(r.Addr, ":")
	if server == r.Addr {
		return ""
	}
	return server
}

// recipientOf is the address a report is for.
func (n *Notifier) recipientOf(m *queue.Message) string {
	if home := n.sender(m); home != "" {
		return m.From
	}
	return n.opt.Address(n.opt.Postmaster)
}

// shown is a recipient as a person knows him.
func (n *Notifier) shown(r queue.Recipient) string {
	if r.Where == queue.Local {
		return n.opt.Address(r.Addr)
	}
	return r.Addr
}

var kinds = map[event]dsn.Kind{failed: dsn.Failed, waits: dsn.Delayed, delivered: dsn.Delivered, relayed: dsn.Relayed}

// String is the event's word in the log.
func (e event) String() string {
	return [...]string{"nothing", "expired", "failed", "waits", "held", "delivered", "relayed", "silent"}[e]
}
