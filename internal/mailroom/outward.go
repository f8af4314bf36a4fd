package mailroom

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"outpost/internal/identity"
	"outpost/internal/route"
	"outpost/queue"
)

// Outward is how a message looks once it leaves the office.
type Outward struct {
	// From is the envelope's sender; "": the null reverse-path.
	From string
	// Grows is by how many octets its content is longer than the one that is kept; below zero: shorter.
	Grows int64
	// Content makes it of the one that is kept.
	Content func(io.Reader) io.Reader
}

// Outward says how a message looks outside: under its sender's address at the provider, if he has one; and what a rule forwards as coming
// from the postmaster, who gets what comes back of it, with a mark by which it is known should it come in again. What itself came back, or a program
// wrote, is from nobody: should the report of its failure come to a box whose mail is forwarded, it would be forwarded too, fail, and so on, in each
// call (RFC 5321 §4.5.5). The body is read to the end of its header.
func (m *Mailroom) Outward(msg queue.Message, body io.Reader) (Outward, error) {
	if msg.Origin != queue.Submitted {
		return m.forwarded(body)
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

// forwarded is how collected mail looks that a rule sends out: its old Return-Path, which only final delivery has (RFC 5321 §4.4), makes way for
// our mark.
func (m *Mailroom) forwarded(body io.Reader) (Outward, error) {
	src := bufio.NewReaderSize(body, topMost)
	top, err := src.Peek(topMost)
	if err != nil && !errors.Is(err, io.EOF) {
		return Outward{}, fmt.Errorf("mailroom: read the header: %w", err)
	}
	old := returnPathLength(top)
	header, err := route.ReadHeader(src)
	if err != nil {
		return Outward{}, fmt.Errorf("mailroom: read the header: %w", err)
	}
	from := m.outside(m.postmaster())
	if automatic(header) {
		from = ""
	}
	mark := fmt.Sprintf("Delivered-To: %s\r\n", m.table().DeliveredTo(m.table().Unplaced()))
	return Outward{
		From: from, Grows: int64(len(mark) - old),
		Content: func(r io.Reader) io.Reader {
			return io.MultiReader(strings.NewReader(mark), &after{r: r, skip: int64(old)})
		},
	}, nil
}

// topMost is how far down a Return-Path is looked for, in octets: it is the first field.
const topMost = 4 << 10

// returnPathLength is how many octets the Return-Path field on top of a message has, with its line end; 0: it has none, or one that doesn't end.
func returnPathLength(top []byte) int {
	const name = "return-path:"
	if len(top) < len(name) || !strings.EqualFold(string(top[:len(name)]), name) {
		return 0
	}
	for end := 0; ; {
		n := bytes.IndexByte(top[end:], '\n')
		if n < 0 || end+n+1 == len(top) {
			return 0
		}
		if end += n + 1; top[end] != ' ' && top[end] != '\t' {
			return end
		}
	}
}

// after is a reader without its first octets.
type after struct {
	r    io.Reader
	skip int64
}

func (a *after) Read(p []byte) (int, error) {
	if a.skip > 0 {
		n, err := io.CopyN(io.Discard, a.r, a.skip)
		if a.skip -= n; err != nil {
			return 0, err
		}
	}
	return a.r.Read(p)
}

// automatic says that a message is a report, or else nobody's own words: it has the null reverse-path, as far as the provider has written
// it down, or the signs of RFC 6522 §3, RFC 3834 §5, or of old servers.
func automatic(h route.Header) bool {
	if slices.Contains(h.Values("Return-Path"), "<>") {
		return true
	}
	if kind := strings.ToLower(h.Get("Content-Type")); strings.HasPrefix(kind, "multipart/report") {
		return true
	}
	if word := h.Get("Auto-Submitted"); word != "" && !strings.EqualFold(word, "no") {
		return true
	}
	return slices.ContainsFunc(h.Addresses("From"), func(a string) bool {
		local, _, _ := strings.Cut(a, "@")
		return strings.EqualFold(local, "mailer-daemon")
	})
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
