package mailroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"outpost/internal/maildir"
	"outpost/internal/route"
	"outpost/queue"
	"outpost/spool"
)

// Deliver puts a message into the mailboxes of those of its local recipients who wait
// for it, and records in the queue who has it. Recipients whose mailbox failed a
// moment ago are left for later (see Run). It returns what failed now, joined; each
// failure is logged and recorded already. A message that the queue doesn't have counts
// as delivered. Calls for one message wait for each other.
func (m *Mailroom) Deliver(ctx context.Context, id spool.ID) error {
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
	name string // the place, as in the envelope
	note string // what is noted of a delivery: its file, or the server's reply
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
		if waitsHere(r) && m.dueLocked(r.Addr) {
			names = append(names, r.Addr)
		}
	}
	return names
}

// dueLocked says that neither a place nor its server failed a moment ago. mu is held.
func (m *Mailroom) dueLocked(place string) bool {
	home := m.home(place)
	return m.backoff.due(m.key(place)) && (home.Server == "" || m.backoff.due(serverKey(home.Server)))
}

// key is a place's name in the table of delays.
func (m *Mailroom) key(place string) string {
	if strings.HasPrefix(place, deskPrefix) {
		return place
	}
	return m.home(place).String()
}

// home is where the mail of a place goes, which was right when the message was taken. A user who has left
// the configuration since has no mailbox any more; his mail is kept.
func (m *Mailroom) home(place string) route.Place {
	home, _ := m.table().Home(place)
	return home
}

// messageKey is a message's name among the places' in the table of delays; no place
// can be called so. Nor as a serverKey.
func messageKey(id spool.ID) string  { return "message " + string(id) }
func serverKey(server string) string { return "server " + server }

// deliverTo serves the recipients: mailboxes one after the other, those on a server together. The failure of one is his own.
func (m *Mailroom) deliverTo(ctx context.Context, msg queue.Message, names []string) []result {
	body, err := m.opt.Queue.BodyOf(msg)
	if err != nil {
		return m.allFailed(msg, names, err)
	}
	defer body.Close()
	var results []result
	served := map[string]result{}         // by home: users who are gone share one
	elsewhere := map[string][]queueName{} // by server
	for i, name := range names {
		if ctx.Err() != nil {
			break // The rest stays waiting.
		}
		if errand, ok := strings.CutPrefix(name, deskPrefix); ok {
			results = append(results, m.judge(msg, result{name: name, note: "done", err: m.doErrand(ctx, msg, errand)}))
			continue
		}
		home := m.home(name)
		if home.Server != "" {
			elsewhere[home.Server] = append(elsewhere[home.Server], queueName{name, home.Address})
			continue
		}
		r, again := served[home.String()]
		if !again {
			r.note, r.err = m.deliverOne(msg, home, body)
			var unreadable *bodyError
			if errors.As(r.err, &unreadable) {
				return append(results, m.allFailed(msg, names[i:], unreadable.err)...)
			}
			served[home.String()] = r
		}
		r.name = name
		results = append(results, m.judge(msg, r))
	}
	for name, list := range elsewhere {
		for _, r := range m.handOver(ctx, msg, name, list) {
			results = append(results, m.judge(msg, r))
		}
	}
	return results
}

// doErrand does what an answer to a notice asks for.
func (m *Mailroom) doErrand(ctx context.Context, msg queue.Message, errand string) error {
	by := m.Home(msg.User, msg.From)
	if by == "" || m.opt.Errand == nil {
		m.opt.Log.Warn("an answer from nobody of the office is passed over", "id", string(msg.ID), "from", msg.From, "errand", errand)
		return nil
	}
	return m.opt.Errand(ctx, errand, by)
}

// judge logs one delivery and sets when the place is tried again.
func (m *Mailroom) judge(msg queue.Message, r result) result {
	key := m.key(r.name)
	log := m.opt.Log.With("id", string(msg.ID), "place", r.name, "from", msg.From)
	switch {
	case r.err != nil && permanent(r.err):
		log.Warn("mail refused", "error", r.err)
		m.worked(key)
	case r.err != nil:
		log.Error("mail not delivered", "error", r.err, "again_in", m.failed(key))
	default:
		m.worked(key)
		if key != r.name {
			log.Warn("mail for a place that is gone is elsewhere", "place", key)
		}
		log.Info("mail delivered", "as", r.note, "size", msg.Size, "route", msg.Route)
	}
	return r
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

// root is the folder of a mailbox.
func (m *Mailroom) root(mailbox string) string { return filepath.Join(m.opt.MailDir, mailbox) }

// deliverOne puts the message into one mailbox, unless it is there already.
func (m *Mailroom) deliverOne(msg queue.Message, home route.Place, body io.ReadSeeker) (string, error) {
	inbox := maildir.Dir{Root: m.root(home.Mailbox), Step: m.opt.Step, Syncs: m.syncs}
	key := fileKey(msg, home.String())
	if m.isSuspect(msg.ID) {
		file, err := inbox.Find(key)
		if err != nil {
			return "", fmt.Errorf("mailroom: look into the mailbox of %s: %w", home, err)
		}
		if file != "" {
			return file, nil
		}
	}
	folder, err := inbox.Folder(home.Folder)
	if err != nil {
		return "", fmt.Errorf("mailroom: deliver to %s: %w", home, err)
	}
	_, missing := os.Stat(folder.Root)
	file, err := folder.Deliver(key+fileHost(m.opt.Hostname), func(w io.Writer) error {
		return m.write(w, msg, home, body)
	})
	if err != nil {
		return "", fmt.Errorf("mailroom: deliver to %s: %w", home, err)
	}
	if missing != nil && home.Folder != "" {
		m.subscribe(inbox, home)
	}
	m.opt.Changed(home.Mailbox, home.Folder)
	return file, nil
}

// subscribe has mail programs show a folder that a rule has made: many show only those on the list. Somebody who has none yet
// gets it with his first look into his mailbox.
func (m *Mailroom) subscribe(inbox maildir.Dir, home route.Place) {
	list, err := inbox.Subscriptions()
	if err == nil && len(list) > 0 {
		err = inbox.Subscribe(home.Folder, true)
	}
	if err != nil {
		m.opt.Log.Warn("a new folder is not on the list of those that mail programs show", "place", home.String(), "error", err)
	}
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
				m.note(row, to, r)
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

// note is what the queue is told of a recipient.
func (m *Mailroom) note(row *queue.Message, to *queue.Recipient, r result) {
	switch {
	case r.err == nil:
		to.State, to.Reply = queue.Sent, "delivered as "+r.note
		to.Tell = row.Origin == queue.Submitted && to.Wants("SUCCESS")
	case !permanent(r.err):
		to.Reply = r.err.Error()
	case row.Origin != queue.Submitted && to.Addr != m.table().Unplaced():
		// Its sender is not written to. It is kept where somebody looks.
		row.Route = strings.TrimPrefix(fmt.Sprintf("%s; %s refused it: %v", row.Route, to.Addr, r.err), "; ")
		to.Addr, to.Reply, to.Attempts = m.table().Unplaced(), "", 0
	default:
		to.State, to.Reply = queue.Failed, verbatim(r.err)
	}
}
