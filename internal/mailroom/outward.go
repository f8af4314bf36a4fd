package mailroom

import (
	"fmt"
	"io"
	"strings"

	"outpost/internal/identity"
	"outpost/queue"
)

// Outward is how a message looks once it leaves the office.
type Outward struct {
	// From is the envelope's sender.
	From string
	// Grows is by how many octets its content is longer than the one that is kept; below zero: shorter.
	Grows int64
	// Content makes it of the one that is kept.
	Content func(io.Reader) io.Reader
}

// Outward says how a message looks outside: under its sender's address at the provider, if he has one; and what a rule forwards as coming
// from the postmaster, who gets what comes back of it, with a mark by which it is known should it come in again. The body is read to the end of its header.
func (m *Mailroom) Outward(msg queue.Message, body io.Reader) (Outward, error) {
	if msg.Origin != queue.Submitted {
		mark := fmt.Sprintf("Delivered-To: %s\r\n", m.table().DeliveredTo(m.table().Unplaced()))
		return Outward{
			From: m.outside(m.postmaster()), Grows: int64(len(mark)),
			Content: func(r io.Reader) io.Reader { return io.MultiReader(strings.NewReader(mark), r) },
		}, nil
	}
	table := m.table() // one for both readings
	if !table.Identities() {
		return Outward{From: msg.From, Content: func(r io.Reader) io.Reader { return r }}, nil
	}
	grows, err := identity.Delta(body, table.Outside)
	if err != nil {
		return Outward{}, fmt.Errorf("mailroom: read the header: %w", err)
	}
	return Outward{
		From: m.outside(msg.From), Grows: grows,
		Content: func(r io.Reader) io.Reader { return identity.NewReader(r, table.Outside) },
	}, nil
}

// outside is an address as the world sees it.
func (m *Mailroom) outside(addr string) string {
	if other, ok := m.table().Outside(addr); ok {
		return other
	}
	return addr
}

// postmaster is the address that answers for the office.
func (m *Mailroom) postmaster() string { return m.Address(m.table().Unplaced()) }
