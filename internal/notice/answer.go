package notice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"outpost/queue"
	"outpost/spool"
)

// releasePrefix begins the local part of the address that lets a held message go; its ID follows.
const releasePrefix = "release+"

func (n *Notifier) releaseAddress(id string) string { return releasePrefix + id + "@" + n.opt.Hostname }

// callErrand asks for a call.
const callErrand = "call"

// Desk says what a local part at this gateway's own host name stands for: an errand that Answer
// does. ok is false for any other.
func Desk(local string) (errand string, ok bool) {
	local = strings.ToLower(local)
	if local == callErrand {
		return local, true
	}
	id, ok := strings.CutPrefix(local, releasePrefix)
	return releasePrefix + id, ok && id != ""
}

// ErrNotYours says that somebody else decides on a held message.
var ErrNotYours = errors.New("somebody else decides on this message")

// Answer does an errand that came by mail, and writes back what came of it. by is the
// place of who asks. An error is to be tried again.
func (n *Notifier) Answer(ctx context.Context, errand, by string) error {
	if errand == callErrand {
		return n.reply(ctx, by, "Re: a call", n.call(by)+"\n")
	}
	id := strings.TrimPrefix(errand, releasePrefix)
	what, err := n.Release(ctx, id, by)
	text := ""
	switch {
	case err == nil:
		text = what + "\n"
	case errors.Is(err, queue.ErrNotFound):
		text = fmt.Sprintf("No message %s is held (any more).\n", id)
	case errors.Is(err, ErrNotYours):
		text = fmt.Sprintf("Message %s was not let go: only those it is for, or the manager, decide on it.\n", id)
	default:
		return err
	}
	return n.reply(ctx, by, "Re: held message "+id, text)
}

// TellManager writes to the manager what he should know.
func (n *Notifier) TellManager(ctx context.Context, subject, text string) error {
	return n.reply(ctx, n.opt.Manager, subject, text)
}

// reply writes back to who asked.
func (n *Notifier) reply(ctx context.Context, to, subject, text string) error {
	note := letter{
		host: n.opt.Hostname, to: n.opt.Address(to), id: "answer." + strings.ToLower(rand.Text()[:12]), at: n.opt.Now(), subject: subject, text: text,
	}
	_, err := n.opt.Queue.Add(ctx, queue.Message{Origin: queue.Notice, To: []queue.Recipient{local(to)}}, note.reader())
	return err
}

// call asks for a call and says what comes of it.
func (n *Notifier) call(by string) string {
	if n.opt.Call == nil || !n.opt.Call(by) {
		return "No call was placed: the manager of this office has not given you the right to ask for one.\nYour mail goes with the next call."
	}
	return "A call is placed now, or goes on already."
}

// Release lets a held message go, whether it is held here or at the provider, and says what that means. by is
// the place of who decides, "" for somebody at the gateway itself, who may let go anything. Errors:
// queue.ErrNotFound, ErrNotYours.
func (n *Notifier) Release(ctx context.Context, id, by string) (string, error) {
	if spool.ID(id).Valid() {
		if !n.manages(by) {
			return "", ErrNotYours
		}
		return "The message goes on its way.", n.decideHere(ctx, spool.ID(id), func(r *queue.Recipient) {
			// The reason that it was held for is none any more. Told stays: who knows of the hold needs no note that it takes long.
			r.State, r.Reply = queue.Waiting, ""
		})
	}
	if err := n.may(id, by); err != nil {
		return "", err
	}
	h, err := n.opt.Queue.Release(ctx, id, cmp.Or(by, "gateway"))
	return fmt.Sprintf("The message %q (%s) comes with the next call.", cmp.Or(h.Subject, "(no subject)"), size(h.Size)), err
}

// Refuse doesn't let a held message go: what staff sent goes back to them, what was collected is removed, here or at the provider in the next
// call. Errors are as with Release.
func (n *Notifier) Refuse(ctx context.Context, id, by string) (string, error) {
	if spool.ID(id).Valid() {
		return n.refuseHere(ctx, spool.ID(id), by)
	}
	if err := n.may(id, by); err != nil {
		return "", err
	}
	h, err := n.opt.Queue.GiveUp(ctx, id, cmp.Or(by, "gateway"))
	return fmt.Sprintf("The message %q is deleted at the provider in the next call.", cmp.Or(h.Subject, "(no subject)")), err
}

// refuseHere is for a message of the queue.
func (n *Notifier) refuseHere(ctx context.Context, id spool.ID, by string) (string, error) {
	if !n.manages(by) {
		return "", ErrNotYours
	}
	m, err := n.opt.Queue.Get(id)
	if err != nil {
		return "", err
	}
	if m.Origin == queue.Submitted {
		return "The message goes back to its sender.", n.decideHere(ctx, id, func(r *queue.Recipient) {
			r.State, r.Reply = queue.Failed, "550 5.7.1 the manager did not let it go"
		})
	}
	n.opt.Log.Warn("held mail removed", "id", string(id), "from", m.From, "by", cmp.Or(by, "gateway"), "route", m.Route)
	return "Nobody gets the message, and its sender is told nothing.", n.decideHere(ctx, id, func(r *queue.Recipient) {
		r.State, r.Reply = queue.Returned, "removed by "+cmp.Or(by, "gateway")
	})
}

// manages says whether somebody decides on everything: at the gateway itself, or as the manager, which may be several people
// who share a folder.
func (n *Notifier) manages(by string) bool { return by == "" || n.opt.Has(by, n.opt.Manager) }

// may says whether somebody decides on a message at the provider.
func (n *Notifier) may(id, by string) error {
	held, err := n.opt.Queue.Holds()
	if err != nil && !errors.Is(err, queue.ErrCorrupt) { // what can't be read is another message
		return err
	}
	i := slices.IndexFunc(held, func(h queue.Hold) bool { return h.ID == id })
	switch {
	case i < 0:
		return fmt.Errorf("held message %.40q: %w", id, queue.ErrNotFound)
	case !n.manages(by) && !slices.ContainsFunc(held[i].To, func(place string) bool { return n.opt.Has(by, place) }):
		return ErrNotYours
	}
	return nil
}

// decideHere decides on all recipients of a message of the queue who are held.
func (n *Notifier) decideHere(ctx context.Context, id spool.ID, decide func(*queue.Recipient)) error {
	return n.opt.Queue.Update(ctx, id, func(m *queue.Message) error {
		found := false
		for i := range m.To {
			if r := &m.To[i]; r.State == queue.Held {
				decide(r)
				found = true
			}
		}
		if !found {
			return queue.ErrNotFound
		}
		return nil
	})
}
