package mailroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"outpost/internal/maildir"
	"outpost/queue"
	"outpost/spool"
)

// Deliver puts a message into the mailboxes of those of its local recipients who wait
// for it, and records in the queue who has it. Recipients whose mailbox failed a
// moment ago are left for later (see Run). It returns what failed now, joined; each
// failure is logged and recorded already. A message that the queue doesn't have counts
// as delivered. Calls for one message wait for each other.
func (m *Mailroom) Deliver(ctx context.Context, id spool.ID) error {
	if m.opt.Queue == nil {
		return errors.New("mailroom: there is no queue to deliver from")
	}
	release, err := m.acquire(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	msg, err := m.opt.Queue.Get(id)
	if errors.Is(err, queue.ErrNotFound) {
		m.suspicion(id, false)
		return nil
	}
	if err != nil {
		return fmt.Errorf("mailroom: message %s: %w", id, err)
	}
	pending := m.pending(msg)
	if len(pending) == 0 {
		return nil
	}
	results := m.deliverTo(ctx, msg, pending)
	// Also when ctx has ended: what is delivered should be known to be.
	err = m.record(context.WithoutCancel(ctx), msg, results)
	for _, r := range results {
		err = errors.Join(err, r.err)
	}
	m.conclude(ctx, msg, len(results), err)
	return err
}

// conclude decides what a later try has to reckon with.
func (m *Mailroom) conclude(ctx context.Context, msg queue.Message, tried int, err error) {
	switch {
	case err == nil && tried == waiting(msg): // Nobody was left for later.
		m.suspicion(msg.ID, false)
	case errors.Is(err, queue.ErrCorrupt):
		// No later try will find what is lost. It stays in the queue's list, held, for
		// a person to see.
		if err := m.opt.Queue.Quarantine(context.WithoutCancel(ctx), msg.ID, err.Error()); err != nil {
			m.opt.Log.Error("damaged mail not set aside", "id", string(msg.ID), "error", err)
		}
	case err != nil:
		m.suspicion(msg.ID, true)
	}
}

// waiting counts the local recipients who wait.
func waiting(msg queue.Message) int {
	n := 0
	for _, r := range msg.To {
		if waitsHere(r) {
			n++
		}
	}
	return n
}

func waitsHere(r queue.Recipient) bool {
	return r.Where == queue.Local && r.State == queue.Waiting
}

// result is what became of one recipient.
type result struct {
	name string // as in the envelope
	file string // in new/, or wherever it was found
	err  error
}

// pending are the local recipients who wait and whose turn it is.
func (m *Mailroom) pending(msg queue.Message) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.backoff.due(messageKey(msg.ID)) {
		return nil
	}
	var names []string
	for _, r := range msg.To {
		if waitsHere(r) && m.backoff.due(m.home(r.Addr)) {
			names = append(names, r.Addr)
		}
	}
	return names
}

// messageKey is a message's name among the users' in the table of delays; no user
// can be called so.
func messageKey(id spool.ID) string { return "message " + string(id) }

// deliverTo serves the recipients one after the other; the failure of one is his own.
func (m *Mailroom) deliverTo(ctx context.Context, msg queue.Message, names []string) []result {
	body, err := m.opt.Queue.Body(msg.ID)
	if errors.Is(err, queue.ErrNotFound) {
		return nil // Removed by hand just now.
	}
	if err != nil {
		return m.allFailed(msg, names, err)
	}
	defer body.Close()
	var results []result
	served := map[string]result{} // by mailbox: users who are gone share one
	for i, name := range names {
		if ctx.Err() != nil {
			break // The rest stays waiting.
		}
		home := m.home(name)
		r, again := served[home]
		if !again {
			r.file, r.err = m.deliverOne(msg, home, body)
			var unreadable *bodyError
			if errors.As(r.err, &unreadable) {
				return append(results, m.allFailed(msg, names[i:], unreadable.err)...)
			}
			served[home] = r
		}
		r.name = name
		m.judge(msg, r)
		results = append(results, r)
	}
	return results
}

// judge logs one delivery and sets when the mailbox is tried again.
func (m *Mailroom) judge(msg queue.Message, r result) {
	home := m.home(r.name)
	log := m.opt.Log.With("id", string(msg.ID), "user", r.name, "from", msg.From)
	if r.err != nil {
		log.Error("mail not delivered", "error", r.err, "again_in", m.failed(home))
		return
	}
	m.worked(home)
	if home != r.name {
		log.Warn("mail for a user who is gone kept", "mailbox", home)
	}
	log.Info("mail delivered", "file", r.file, "size", msg.Size)
}

// allFailed is for a message whose body can't be read.
func (m *Mailroom) allFailed(msg queue.Message, names []string, err error) []result {
	m.opt.Log.Error("mail not delivered", "id", string(msg.ID), "from", msg.From, "error", err,
		"again_in", m.failed(messageKey(msg.ID)))
	var results []result
	for _, name := range names {
		results = append(results, result{name: name, err: err})
	}
	return results
}

// deliverOne puts the message into one mailbox, unless it is there already.
func (m *Mailroom) deliverOne(msg queue.Message, home string, body io.ReadSeeker) (string, error) {
	box := maildir.Dir{Root: filepath.Join(m.opt.MailDir, home), Step: m.opt.Step}
	key := fileKey(msg, home)
	if m.isSuspect(msg.ID) {
		file, err := box.Find(key)
		if err != nil {
			return "", fmt.Errorf("mailroom: look into the mailbox of %s: %w", home, err)
		}
		if file != "" {
			return file, nil
		}
	}
	file, err := box.Deliver(key+fileHost(m.opt.Hostname), func(w io.Writer) error {
		return m.write(w, msg, home, body)
	})
	if err != nil {
		return "", fmt.Errorf("mailroom: deliver to %s: %w", home, err)
	}
	return file, nil
}

// record writes the results into the queue, in one transaction.
func (m *Mailroom) record(ctx context.Context, msg queue.Message, results []result) error {
	if len(results) == 0 {
		return nil
	}
	if err := m.opt.Step("commit"); err != nil {
		return err
	}
	byName := map[string]result{}
	for _, r := range results {
		byName[r.name] = r
	}
	now := time.Now()
	err := m.opt.Queue.Update(ctx, msg.ID, func(row *queue.Message) error {
		for i := range row.To {
			to := &row.To[i]
			r, ok := byName[to.Addr]
			if ok && waitsHere(*to) {
				to.Attempts++
				to.At = now
				to.State, to.Reply = r.outcome()
			}
		}
		return nil
	})
	if err == nil || errors.Is(err, queue.ErrNotFound) {
		return nil
	}
	m.failed(messageKey(msg.ID))
	return fmt.Errorf("mailroom: record the delivery of %s: %w", msg.ID, err)
}

// outcome is what the queue is told.
func (r result) outcome() (queue.State, string) {
	if r.err != nil {
		return queue.Waiting, r.err.Error()
	}
	return queue.Sent, "delivered as " + r.file
}
