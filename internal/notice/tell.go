package notice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"outpost/internal/dsn"
	"outpost/queue"
	"outpost/spool"
)

// errStale says that a message is not any more as it was when its report was begun.
var errStale = errors.New("it has changed meanwhile")

// tell tells all there is to tell of a message, an event at a time.
func (n *Notifier) tell(ctx context.Context, id spool.ID, at moment) error {
	for _, e := range []event{expired, silent, failed, waits, held, delivered, relayed} {
		m, err := n.opt.Queue.Get(id)
		if errors.Is(err, queue.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if to := n.concerned(&m, e, at); len(to) > 0 {
			err := n.tellOf(ctx, telling{&m, e, to, at})
			if err != nil && !errors.Is(err, errStale) && !errors.Is(err, queue.ErrNotFound) {
				return fmt.Errorf("notice: message %s: %w", id, err)
			}
		}
	}
	return nil
}

// concerned are the recipients of which an event is to be told.
func (n *Notifier) concerned(m *queue.Message, e event, at moment) []queue.Recipient {
	var to []queue.Recipient
	for i := range m.To {
		if n.eventOf(m, &m.To[i], at) == e {
			to = append(to, m.To[i])
		}
	}
	return to
}

// telling is what one notice is about: an event of some recipients of a message.
type telling struct {
	m  *queue.Message
	e  event
	to []queue.Recipient
	at moment
}

// tellOf writes one notice and settles what it is about, in one transaction.
func (n *Notifier) tellOf(ctx context.Context, t telling) error {
	settle := func(row *queue.Message) error {
		told := 0
		for i := range row.To {
			if r := &row.To[i]; n.eventOf(row, r, t.at) == t.e {
				t.e.settle(r, t.at)
				told++
			}
		}
		if told != len(t.to) {
			return errStale
		}
		return nil
	}
	log := n.opt.Log.With("id", string(t.m.ID), "from", t.m.From)
	if t.e == expired || t.e == silent || t.m.Origin == queue.Notice {
		for _, r := range t.to {
			log.Warn("mail failed", "to", r.Addr, "reason", r.Reply, "told", false)
		}
		return n.opt.Queue.Update(ctx, t.m.ID, settle)
	}
	note, err := n.add(ctx, t, queue.WithUpdate(t.m.ID, settle))
	if err != nil {
		return err
	}
	for _, r := range t.to {
		log.Info("told", "event", t.e.String(), "to", r.Addr, "reason", r.Reply, "notice", string(note.ID), "whom", note.To[0].Addr)
	}
	return nil
}

// errOriginal says that the message which a notice is about can't be read to its end.
var errOriginal = errors.New("the message itself can't be read")

// add puts a notice into the queue. It is worth more than the copy of what it is about, and goes without that where that can't be read.
func (n *Notifier) add(ctx context.Context, t telling, settle queue.Also) (queue.Message, error) {
	notice := queue.Message{Origin: queue.Notice, To: n.places(t.m, t.e), UTF8: t.m.UTF8}
	body, err := n.opt.Queue.Body(t.m.ID)
	if err == nil {
		defer body.Close()
		var note queue.Message
		if note, err = n.addOver(ctx, notice, n.writer(t, &original{body}), settle); !errors.Is(err, errOriginal) {
			return note, err
		}
	}
	n.opt.Log.Error("a notice goes without the message that it is about", "id", string(t.m.ID), "error", err)
	return n.addOver(ctx, notice, n.writer(t, nil), settle)
}

// original marks the errors of what a notice is about.
type original struct{ io.ReadSeeker }

func (o *original) Read(p []byte) (int, error) {
	n, err := o.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errOriginal, err)
	}
	return n, err
}

// addOver adds what write writes.
func (n *Notifier) addOver(ctx context.Context, notice queue.Message, write func(io.Writer) error, also queue.Also) (queue.Message, error) {
	body, w := io.Pipe()
	go func() {
		defer func() {
			// What strangers wrote is looked into here. One message must not end the program, with a line perhaps up.
			if p := recover(); p != nil {
				w.CloseWithError(fmt.Errorf("panic: %v", p))
			}
		}()
		w.CloseWithError(write(w))
	}()
	note, err := n.opt.Queue.AddWith(ctx, notice, body, also)
	_ = body.Close() // lets the writer go, should the queue not have read all
	return note, err
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

// writer is what writes a notice.
func (n *Notifier) writer(t telling, body io.ReadSeeker) func(io.Writer) error {
	return func(w io.Writer) error {
		if t.e == held {
			return n.writeHeld(w, t, body)
		}
		return n.report(t, body).Write(w)
	}
}

// report is the DSN.
func (n *Notifier) report(t telling, body io.ReadSeeker) *dsn.Report {
	m := t.m
	r := &dsn.Report{
		Hostname: n.opt.Hostname, From: "outpost@" + n.opt.Hostname, To: n.recipientOf(m), Foreign: n.sender(m) == "", Kind: kinds[t.e],
		Arrived: m.Received, EnvID: m.EnvID, Now: t.at.now, ID: string(m.ID) + "." + t.e.String() + "." + strings.ToLower(rand.Text()[:8]),
		UTF8: m.UTF8, EightBit: true, Return: m.Return, Original: body, OriginalSize: m.Size,
	}
	for _, to := range t.to {
		one := dsn.Recipient{Addr: n.shown(to), Original: to.Original, Reply: to.Reply, At: to.At, Attempts: to.Attempts}
		if to.Attempts > 0 { // else it was decided here
			one.Remote = n.whoSays(to)
		}
		if to.Where == queue.Remote && to.Reply == "" {
			one.Reply = t.at.trouble()
		}
		if t.e == waits && n.opt.GiveUp > 0 && to.Where == queue.Remote {
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
