package mailroom

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"unicode"

	"outpost/internal/route"
	"outpost/queue"
)

// Sort says who gets a message that was collected from a box: the envelope to add to the queue, but for what names it in its box. discard is
// the rule that says that nobody does, "" = none. The error is body's. It may be called from any goroutine.
func (m *Mailroom) Sort(box string, body io.ReadSeeker, size int64) (msg queue.Message, discard string, err error) {
	header, copies, err := read(body)
	if err != nil {
		return queue.Message{}, "", fmt.Errorf("mailroom: read what was collected: %w", err)
	}
	msg = queue.Message{Origin: queue.Collected, From: returnPath(header), EightBit: true, Copies: copies}
	d := m.table().Collected(route.Incoming{Box: box, From: msg.From, Header: header, Size: size})
	msg.To = append(recipients(d.To), forwards(d)...)
	msg.Route = strings.Join(d.Reasons, "; ")
	holdAll(&msg, d.Hold)
	m.holdBig(&msg, size)
	return msg, d.Discard, nil
}

// holdBig holds what a rule forwards and is so big that staff could not send it unasked.
func (m *Mailroom) holdBig(msg *queue.Message, size int64) {
	if m.opt.HoldOut == nil {
		return
	}
	limit := m.opt.HoldOut("")
	for i := range msg.To {
		if r := &msg.To[i]; r.Where == queue.Remote && r.State == queue.Waiting && limit > 0 && size > limit {
			r.State, r.Reply = queue.Held, tooBigToSend(size, limit)
		}
	}
}

// For says which places a message is for that is known by its header only.
func (m *Mailroom) For(box string, header io.Reader, size int64) []string {
	h, err := route.ReadHeader(header)
	if err != nil {
		return []string{m.table().Unplaced()}
	}
	d := m.table().Collected(route.Incoming{Box: box, From: returnPath(h), Header: h, Size: size})
	if len(d.To) == 0 {
		return []string{m.table().Unplaced()}
	}
	return d.To
}

// written are the fields of a header that its author, and nobody on the way, has written, as far as a reader sees them.
var written = [...]string{
	"From", "Sender", "Reply-To", "To", "Cc", "Date", "Subject", "Content-Type", "Content-Transfer-Encoding",
}

// read reads the header, and what copies of the message have in common: its Message-ID, its content, and what is written. The rest of the
// header differs from box to box. Message-ID and content alone would not do: there are machines that give all their alarms the same, with another
// date; and who knows a message that is to come could send its text before it with another sender, so that it came to nobody.
func read(body io.ReadSeeker) (header route.Header, copies string, err error) {
	if header, err = route.ReadHeader(body); err != nil {
		return header, "", err
	}
	id := messageID(header.Get("Message-ID"))
	if id == "" {
		return header, "", nil // then nobody can say what is a copy of what
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return header, "", err
	}
	src := borrow(body)
	defer giveBack(src)
	if err := skipHeader(src); err != nil {
		return header, "", err
	}
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%q\n", id) // a hash takes everything
	for _, name := range written {
		for _, value := range header.Values(name) {
			_, _ = fmt.Fprintf(hash, "%s: %q\n", name, strings.Join(strings.Fields(value), " "))
		}
	}
	if _, err := io.Copy(hash, src); err != nil {
		return header, "", err
	}
	return header, hex.EncodeToString(hash.Sum(nil)), nil
}

// messageID is what stands between the brackets of a Message-ID; "" if there is nothing.
func messageID(value string) string {
	_, rest, _ := strings.Cut(value, "<")
	id, _, found := strings.Cut(rest, ">")
	if !found {
		return ""
	}
	return strings.TrimSpace(id)
}

// skipHeader reads to the end of the header: an empty line, or the end.
func skipHeader(r *bufio.Reader) error {
	begin := true
	for {
		piece, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return err
		case begin && (string(piece) == "\r\n" || string(piece) == "\n"):
			return nil
		}
		begin = err == nil
	}
}

// returnPath is the envelope's sender, where the provider has written it down (RFC 5321 §4.4).
func returnPath(h route.Header) string {
	a, err := mail.ParseAddress(h.Get("Return-Path"))
	if err != nil || strings.ContainsFunc(a.Address, unicode.IsControl) {
		return ""
	}
	// As SMTP has it: with its quotes, should it need them.
	return strings.TrimSuffix(strings.TrimPrefix((&mail.Address{Address: a.Address}).String(), "<"), ">")
}
