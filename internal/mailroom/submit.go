package mailroom

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"outpost/internal/dsn"
	"outpost/internal/maildir"
	"outpost/internal/route"
	"outpost/queue"
)

// deskPrefix begins the place of the gateway's own desk: an errand follows.
const deskPrefix = "outpost:"

// Resolve says where mail for rcpt goes that user, or else the envelope's sender from, hands in: to places here, or out.
// Where it may not go, or nobody has the address, the recipient is Failed, and package notice tells the sender;
// one who has no mailbox here would not be told, so he gets a *smtp.SMTPError at once. It never blocks.
func (m *Mailroom) Resolve(user, from, rcpt string) ([]queue.Recipient, error) {
	if errand, ok := m.errand(rcpt); ok {
		if m.opt.SignIn && user == "" {
			return nil, errSignIn
		}
		return recipients([]string{deskPrefix + errand}), nil
	}
	targets := m.table().Expand(rcpt)
	if m.atGateway(rcpt) && len(targets) == 1 && targets[0].Addr == rcpt {
		targets = nil // it would go out and come back
	}
	if len(targets) == 0 {
		return m.refuse(user, from, rcpt, queue.Local, &smtp.SMTPError{
			Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1},
			Message: fmt.Sprintf("There is nobody with the address <%s> in this office", rcpt),
		})
	}
	sender, known := m.table().Sender(user, from)
	var list []queue.Recipient
	for _, t := range targets {
		switch {
		case t.Place != "":
			list = append(list, recipients([]string{t.Place})...)
		case m.opt.SignIn && user == "":
			return nil, errSignIn
		case known && sender.Internal:
			refused, err := m.refuse(user, from, t.Addr, queue.Remote, &smtp.SMTPError{
				Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1},
				Message: fmt.Sprintf("%s may send mail within the office only", sender.Name),
			})
			if err != nil {
				return nil, err
			}
			list = append(list, refused...)
		default:
			list = append(list, queue.Recipient{Addr: t.Addr, Where: queue.Remote, State: queue.Waiting})
		}
	}
	return list, nil
}

// errSignIn is for somebody who has not said who he is.
var errSignIn = &smtp.SMTPError{
	Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1},
	Message: "Sign in with your name and password to send mail outside the office, or to the gateway itself",
}

// refuse fails a recipient, for the sender to be told of it by mail; or right now, if that can't be.
func (m *Mailroom) refuse(user, from, rcpt string, where queue.Where, why *smtp.SMTPError) ([]queue.Recipient, error) {
	if from == "" || m.Home(user, from) == "" {
		return nil, why
	}
	return []queue.Recipient{{Addr: rcpt, Where: where, State: queue.Failed, Reply: replyLine(why)}}, nil
}

func replyLine(e *smtp.SMTPError) string {
	return fmt.Sprintf("%d %d.%d.%d %s", e.Code, e.EnhancedCode[0], e.EnhancedCode[1], e.EnhancedCode[2], e.Message)
}

// errand tells whether an address is the desk's.
func (m *Mailroom) errand(rcpt string) (string, bool) {
	local, _, _ := strings.Cut(rcpt, "@")
	if m.opt.Desk == nil || !m.atGateway(rcpt) {
		return "", false
	}
	return m.opt.Desk(local)
}

// atGateway tells whether an address is at this host itself.
func (m *Mailroom) atGateway(rcpt string) bool {
	_, domain, _ := strings.Cut(rcpt, "@")
	return strings.EqualFold(strings.TrimRight(domain, "."), m.opt.Hostname)
}

// Submit keeps a message that staff hand in, with what the rules, the sender's rights, and sizes and quotas make of its
// recipients. It reads body to its end; when it returns nil the message is kept, as with queue.Add, or a rule has discarded it. A *smtp.SMTPError is
// meant for the sender.
func (m *Mailroom) Submit(ctx context.Context, msg queue.Message, body io.Reader) (queue.Message, error) {
	look := &nulFinder{r: body}
	staged, err := m.opt.Queue.Stage(ctx, look)
	if err != nil {
		return queue.Message{}, err
	}
	defer staged.Drop()
	header, err := route.ReadHeader(staged.Body())
	if err != nil {
		return queue.Message{}, fmt.Errorf("mailroom: read what was handed in: %w", err)
	}
	msg.Size = staged.Size()
	msg.To = slices.Clone(msg.To)
	discarded := m.rule(&msg, header)
	if look.found {
		keepInside(&msg)
	}
	m.weigh(&msg)
	if m.Home(msg.User, msg.From) == "" {
		if err := refusal(msg); err != nil {
			return queue.Message{}, err
		}
	}
	if len(msg.To) == 0 {
		m.opt.Log.Info("mail discarded", "rule", discarded, "from", msg.From, "size", msg.Size)
		return msg, nil
	}
	return staged.Add(ctx, msg)
}

// nulFinder tells whether what was read has a NUL.
type nulFinder struct {
	r     io.Reader
	found bool
}

func (f *nulFinder) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.found = f.found || bytes.IndexByte(p[:n], 0) >= 0
	return n, err
}

// keepInside fails the recipients outside of a message with a NUL: no mail may have one (RFC 5322 §2.2, RFC 2045 §2.8), the
// smarthost would get it without, and who reads it would not know that something is missing.
func keepInside(msg *queue.Message) {
	for i := range msg.To {
		if r := &msg.To[i]; r.Where == queue.Remote && (r.State == queue.Waiting || r.State == queue.Held) {
			fail(r, "554 5.6.1 The message has a NUL octet, which mail to addresses outside can't have; send the file as an attachment")
		}
	}
}

// rule lets the office's rules change where a message goes. It returns the name of the one that discards it.
func (m *Mailroom) rule(msg *queue.Message, header route.Header) (discarded string) {
	in := route.Incoming{From: msg.From, Header: header, Size: msg.Size}
	old := make(map[string]queue.Recipient) // what the sender wants to know of each place
	var rest []queue.Recipient
	for _, r := range msg.To {
		in.Rcpts = append(in.Rcpts, m.Address(r.Addr))
		if waitsHere(r) && !strings.HasPrefix(r.Addr, deskPrefix) {
			in.To = append(in.To, r.Addr)
			old[r.Addr] = r
		} else {
			rest = append(rest, r)
		}
	}
	d := m.table().Office(in)
	to := recipients(d.To)
	for i := range to {
		if was, ok := old[to[i].Addr]; ok {
			to[i] = was
		}
	}
	msg.To = slices.Concat(to, rest, forwards(d))
	if len(d.Reasons) > 0 {
		msg.Route = strings.Join(d.Reasons, "; ")
	}
	holdAll(msg, d.Hold)
	return d.Discard
}

// forwards are the recipients outside that rules add.
func forwards(d route.Decision) []queue.Recipient {
	var list []queue.Recipient
	for _, f := range d.Forward {
		list = append(list, queue.Recipient{Addr: f.Addr, Where: queue.Remote, State: queue.Waiting, By: f.Rule})
	}
	return list
}

// holdAll holds a message for all its recipients but the desk: what lets a message go is not held itself, or an answer to the note
// about a message would wait for an answer, as its subject is much the same.
func holdAll(msg *queue.Message, rule string) {
	if rule == "" {
		return
	}
	for i := range msg.To {
		if r := &msg.To[i]; r.State == queue.Waiting && !strings.HasPrefix(r.Addr, deskPrefix) {
			r.State, r.Reply = queue.Held, fmt.Sprintf("rule %q holds it", rule)
		}
	}
}

// weigh fails, or holds, the recipients for whom a message is too large.
func (m *Mailroom) weigh(msg *queue.Message) {
	sender, _ := m.table().Sender(msg.User, msg.From)
	var largest, hold int64
	if m.opt.Largest != nil {
		largest = m.opt.Largest()
	}
	if m.opt.HoldOut != nil {
		hold = m.opt.HoldOut(sender.Name)
	}
	for i := range msg.To {
		r := &msg.To[i]
		switch {
		case r.State != queue.Waiting:
		case r.Where == queue.Local:
			m.weighHere(msg, r)
		case largest > 0 && msg.Size > largest:
			fail(r, "552 5.3.4 The message has %d octets, and the smarthost takes %d at most", msg.Size, largest)
		case sender.MaxOut > 0 && msg.Size > sender.MaxOut:
			fail(r, "552 5.3.4 The message has %d octets, and %s may send %d at most to addresses outside", msg.Size, sender.Name, sender.MaxOut)
		case hold > 0 && msg.Size > hold:
			r.State, r.Reply = queue.Held, tooBigToSend(msg.Size, hold)
		}
	}
}

// tooBigToSend is why a message is held.
func tooBigToSend(size, limit int64) string {
	return fmt.Sprintf("it has %d octets; above %d the manager decides whether it goes out", size, limit)
}

// weighHere fails a recipient whose mailbox is full. Only mail from colleagues can be: what was collected is here already.
func (m *Mailroom) weighHere(msg *queue.Message, r *queue.Recipient) {
	home, _ := m.table().Home(r.Addr)
	u, ok := m.table().User(home.Mailbox)
	if !ok || u.Quota <= 0 {
		return
	}
	used, _, err := maildir.Dir{Root: m.root(home.Mailbox)}.Usage()
	if err != nil {
		m.opt.Log.Warn("the size of a mailbox can't be told", "user", u.Name, "error", err)
		return
	}
	if used+msg.Size > u.Quota {
		fail(r, "552 5.2.2 The mailbox of %s has no room for %d octets more: %d of %d are in use", u.Name, msg.Size, used, u.Quota)
	}
}

func fail(r *queue.Recipient, format string, args ...any) {
	r.State, r.Reply = queue.Failed, fmt.Sprintf(format, args...)
}

// refusal is the answer to somebody who can't be told by mail: the first failure, as the message would not reach
// everybody.
func refusal(msg queue.Message) error {
	for _, r := range msg.To {
		if r.State == queue.Failed {
			code, enhanced, text := dsn.Split(r.Reply)
			e := &smtp.SMTPError{Message: text}
			// The reply is one of ours, so it has both codes.
			_, _ = fmt.Sscanf(code+" "+enhanced, "%d %d.%d.%d", &e.Code, &e.EnhancedCode[0], &e.EnhancedCode[1], &e.EnhancedCode[2])
			return e
		}
	}
	return nil
}
