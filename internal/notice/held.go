package notice

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"outpost/internal/route"
	"outpost/queue"
)

// Price is what it costs to bring a held message in.
type Price struct {
	// Line is the line that is tried first; "": nothing is known of what it carries yet.
	Line string
	// Takes is how long the message is on the line.
	Takes time.Duration
	// Now and Later are the price in a call of now and in the cheapest hours, with currency; Hours
	// says when those are. Later and Hours are "" where every hour costs the same.
	Now, Later, Hours string
}

// String is the price in a sentence, as a person says it.
func (p Price) String() string {
	if p.Line == "" {
		return "What it would cost is not known yet: no call has shown what the line carries."
	}
	s := fmt.Sprintf("It would be %s on the line %s: %s now", minutes(p.Takes), p.Line, p.Now)
	if p.Later != "" {
		s += fmt.Sprintf(", %s off peak (%s)", p.Later, p.Hours)
	}
	return s + "."
}

// Held is a big message that stays at the provider.
type Held struct {
	// Account and UIDL say which, as in queue.Hold; Box is the box's name for people.
	Account, UIDL, Box string
	// Size is in octets; Print is as in queue.Hold.
	Size  int64
	Print string
	// Top is the header and the first lines; nil: the server doesn't show them.
	Top []byte
	// To are the places that the message is for.
	To    []string
	Price Price
	// Expires is when the office's rule has it deleted at the provider; zero: never.
	Expires time.Time
}

// Hold enters a message that stays at the provider, with a note to those it is for, in one transaction.
func (n *Notifier) Hold(ctx context.Context, h Held) error {
	head, _ := readHead(bytes.NewReader(h.Top))
	row := queue.Hold{
		Box: h.Account, UIDL: h.UIDL, Size: h.Size, Since: n.opt.Now().Round(0).UTC(), To: h.To,
		From: head.from, Subject: head.subject, Date: head.date, Print: h.Print,
	}
	row.ID = queue.HoldID(row.Box, row.UIDL)
	text := heldText(h, row)
	m := queue.Message{Origin: queue.Notice}
	for _, place := range h.To {
		m.To = append(m.To, local(place))
	}
	if len(m.To) == 0 {
		m.To = []queue.Recipient{local(n.opt.Postmaster)}
	}
	note := letter{
		host: n.opt.Hostname, to: n.opt.Address(m.To[0].Addr), id: "held." + row.ID, at: n.opt.Now(), replyTo: n.releaseAddress(row.ID),
		subject: fmt.Sprintf("Held, %s: %s", size(h.Size), cmp.Or(head.subject, "(no subject)")), text: text,
	}
	_, err := n.opt.Queue.AddWith(ctx, m, note.reader(), queue.WithHold(row))
	if err != nil {
		return fmt.Errorf("notice: hold %s: %w", row.ID, err)
	}
	n.opt.Log.Info("message held at the provider", "hold", row.ID, "box", h.Box, "size", h.Size, "for", h.To)
	return nil
}

func heldText(h Held, row queue.Hold) string {
	var b strings.Builder
	fmt.Fprintf(&b, "A big message waits for you at the provider. It was not brought in, because\nthat costs line time:\n\n")
	field(&b, "From", row.From)
	field(&b, "Subject", row.Subject)
	field(&b, "Date", row.Date)
	field(&b, "Size", size(h.Size))
	field(&b, "Box", h.Box)
	fmt.Fprintf(&b, "\n%s\n\n", wrap(h.Price.String()))
	fmt.Fprintf(&b, "To get it with the next call, answer this note with any text, or have somebody\nrun on the gateway:\n\n  outpost held release %s\n\n", row.ID)
	if h.Expires.IsZero() {
		b.WriteString("It stays at the provider until somebody decides. Nobody deletes it.\n")
	} else {
		fmt.Fprintf(&b, "Unless somebody lets it come, it is deleted at the provider after %s,\nby this office's rule.\n", h.Expires.Format("2 January 2006"))
	}
	if lines := firstLines(h.Top); lines != "" {
		fmt.Fprintf(&b, "\nIts first lines:\n\n%s", lines)
	}
	return b.String()
}

// writeHeld writes the note about a message that is held here.
func (n *Notifier) writeHeld(w io.Writer, t telling, body io.Reader) error {
	m := t.m
	var head head
	if body != nil {
		var err error
		if head, err = readHead(body); err != nil {
			return err
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "A message is held and goes nowhere until a person decides:\n\n")
	field(&b, "From", cmp.Or(head.from, m.From))
	var names []string
	for _, r := range t.to {
		names = append(names, n.shown(r))
	}
	field(&b, "To", strings.Join(names, ", "))
	field(&b, "Subject", head.subject)
	field(&b, "Size", size(m.Size))
	field(&b, "Why", t.to[0].Reply)
	refused := "back to the sender"
	if m.Origin == queue.Collected {
		refused = "nobody gets it, and its sender is told nothing"
	}
	// The sender gets this note too: it names the manager, so that he doesn't take himself for him.
	fmt.Fprintf(&b, "\n%s\n\n  outpost held release %s\n  outpost held refuse %s     (%s)\n",
		wrap("The manager, "+n.opt.Manager+", lets it go by answering this note with any text, or on the gateway:"), m.ID, m.ID, refused)
	note := letter{
		host: n.opt.Hostname, to: n.opt.Address(n.opt.Manager), id: "held." + string(m.ID), at: t.at.now, replyTo: n.releaseAddress(string(m.ID)),
		subject: fmt.Sprintf("Held, %s: %s", size(m.Size), cmp.Or(head.subject, "(no subject)")), text: b.String(),
	}
	_, err := io.Copy(w, note.reader())
	return err
}

// head is what a person wants to know of a message's header.
type head struct{ from, subject, date string }

// readHead reads as much of a header as there is.
func readHead(r io.Reader) (head, error) {
	h, err := route.ReadHeader(r)
	return head{clean(h.Text("From")), clean(h.Text("Subject")), clean(h.Text("Date"))}, err
}
