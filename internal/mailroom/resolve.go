package mailroom

import (
	"context"
	"fmt"
	"strings"

	"github.com/emersion/go-smtp"

	"outpost/queue"
)

// Resolve says where mail for rcpt goes: to one or more mailboxes here (Local, by
// name), or out (Remote, the address as it came). An address in one of the office's
// domains that nobody has is a *smtp.SMTPError, 550 5.1.1. It never blocks.
func (m *Mailroom) Resolve(_ context.Context, rcpt string) ([]queue.Recipient, error) {
	local, domain := canonical(rcpt)
	if names := m.lookup(local, domain); len(names) > 0 {
		return recipients(names), nil
	}
	if m.domains[domain] || domain == "" {
		return nil, &smtp.SMTPError{
			Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1},
			Message: fmt.Sprintf("There is nobody with the address <%s> in this office", rcpt),
		}
	}
	return []queue.Recipient{{Addr: rcpt, Where: queue.Remote, State: queue.Waiting}}, nil
}

// lookup finds the mailboxes of an address: the address itself, then without its
// +detail (RFC 5233), then the postmaster's.
func (m *Mailroom) lookup(local, domain string) []string {
	if names := m.addresses[local+"@"+domain]; len(names) > 0 {
		return names
	}
	if base, _, ok := strings.Cut(local, "+"); ok && base != "" {
		return m.lookup(base, domain)
	}
	// RFC 5321 §4.5.1: mail for the postmaster must always find somebody; without a
	// domain (§2.3.5) it is meant for this host.
	ours := m.domains[domain] || domain == "" || domain == canonicalDomain(m.opt.Hostname)
	if local == "postmaster" && ours {
		return []string{m.opt.Unrouted}
	}
	return nil
}

// ForBox says who gets the mail of a box: its users, or Unrouted if it has none.
func (m *Mailroom) ForBox(box string) []queue.Recipient {
	names := m.opt.Boxes[box]
	if len(names) == 0 {
		names = []string{m.opt.Unrouted}
	}
	return recipients(names)
}

// recipients makes the envelope of some mailboxes, each once.
func recipients(names []string) []queue.Recipient {
	var list []queue.Recipient
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			list = append(list, queue.Recipient{Addr: name, Where: queue.Local, State: queue.Waiting})
		}
	}
	return list
}

// home is the mailbox of a recipient whose name was right when the message was taken.
// A user who has left the configuration since has none any more; his mail is kept.
func (m *Mailroom) home(name string) string {
	if m.names[name] {
		return name
	}
	return m.opt.Unrouted
}
