package imapd

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/encoding/htmlindex"
)

// needle is a text that is looked for, whatever its case.
type needle string

func newNeedle(s string) needle { return needle(strings.ToLower(s)) }

// in tells whether a text has it.
func (n needle) in(text string) bool { return strings.Contains(strings.ToLower(text), string(n)) }

// inStream tells whether a stream of UTF-8 has it, a piece at a time. What can't be decoded
// any further doesn't have it.
func (n needle) inStream(r io.Reader) bool {
	if n == "" {
		return true
	}
	buf := make([]byte, 0, 64<<10)
	for {
		got, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+got]
		whole := len(buf)
		if err == nil {
			// Not in the middle of a letter.
			for i := 1; i < utf8.UTFMax && i < len(buf); i++ {
				if utf8.RuneStart(buf[len(buf)-i]) {
					if !utf8.FullRune(buf[len(buf)-i:]) {
						whole = len(buf) - i
					}
					break
				}
			}
		}
		if n.in(string(buf[:whole])) {
			return true
		}
		if err != nil {
			return false
		}
		// A lower-case letter may take more octets than its capital, never thrice as many.
		keep := min(3*len(n)+utf8.UTFMax, cap(buf)/2)
		copy(buf, buf[len(buf)-keep:])
		buf = buf[:keep]
	}
}

// headerNeedle is a text in a field; "" asks whether there is such a field.
type headerNeedle struct {
	name  string
	value needle
}

func (h headerNeedle) in(header []byte) bool {
	for name, field := range fields(header) {
		if strings.EqualFold(name, h.name) && h.value.in(decodeWords(value(field))) {
			return true
		}
	}
	return false
}

// decodeWords decodes the encoded words of a field (RFC 2047), as far as it can.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) { return decoded(charset, r), nil }}
	if text, err := d.DecodeHeader(s); err == nil {
		return text
	}
	return s
}

// decoded turns a charset into UTF-8. One that isn't known stays.
func decoded(charset string, r io.Reader) io.Reader {
	e, err := htmlindex.Get(charset)
	if err != nil {
		return r
	}
	return e.NewDecoder().Reader(r)
}

// equalFlag compares without regard to case.
func equalFlag(a, b imap.Flag) bool { return strings.EqualFold(string(a), string(b)) }

// between tells whether a day is at or after since, and before before; zero is any. Only
// the dates count (RFC 3501 §6.4.4).
func between(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

// header reads the message's header, once.
func (c *candidate) header() ([]byte, error) {
	if c.read {
		return c.head, nil
	}
	msg, err := c.s.openMessage(c.l, headerOnly)
	if err != nil {
		return nil, err
	}
	defer msg.f.Close()
	c.head, err = readHeader(msg.f)
	c.read = err == nil
	return c.head, err
}

// matchesHeader looks at fields, and at the date they tell.
func (c *candidate) matchesHeader(q *query) (bool, error) {
	sent := !q.SentSince.IsZero() || !q.SentBefore.IsZero()
	if len(q.head) == 0 && !sent {
		return true, nil
	}
	header, err := c.header()
	if err != nil {
		return false, err
	}
	for _, h := range q.head {
		if !h.in(header) {
			return false, nil
		}
	}
	if !sent {
		return true, nil
	}
	t := date(first(header, "Date"))
	return !t.IsZero() && between(t, q.SentSince, q.SentBefore), nil
}

// matchesText looks into the body for BODY, into the header first for TEXT.
func (c *candidate) matchesText(q *query) (bool, error) {
	wanted := q.body
	if len(q.text) > 0 {
		header, err := c.header()
		if err != nil {
			return false, err
		}
		for _, n := range q.text {
			if !n.in(string(header)) && !n.in(decodeWords(string(bytes.ReplaceAll(header, []byte("\r\n"), []byte(" "))))) {
				wanted = append(wanted[:len(wanted):len(wanted)], n)
			}
		}
	}
	if len(wanted) == 0 {
		return true, nil
	}
	msg, err := c.s.openMessage(c.l, structure)
	if err != nil {
		return false, err
	}
	defer msg.f.Close()
	for _, n := range wanted {
		hit, err := searchParts(msg, c.s.body.root, n)
		if !hit || err != nil {
			return false, err
		}
	}
	return true, nil
}

// searchParts looks for a text in all parts that are text, decoded.
func searchParts(msg *message, p *part, n needle) (bool, error) {
	if p.inner != nil {
		if n.in(decodeWords(string(p.inner.header))) {
			return true, nil
		}
		return searchParts(msg, p.inner, n)
	}
	for _, child := range p.children {
		if hit, err := searchParts(msg, child, n); hit || err != nil {
			return hit, err
		}
	}
	if p.kind != "text" && len(p.children) == 0 && !p.multipart() || len(p.children) > 0 {
		return false, nil
	}
	r, err := msg.part(p.body, p.end)
	if err != nil {
		return false, err
	}
	switch p.encoding() {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(bufio.NewReader(r))
	}
	return n.inStream(decoded(p.params["charset"], r)), nil
}
