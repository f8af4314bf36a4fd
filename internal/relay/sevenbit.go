package relay

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
)

// sevenBits makes a message what a survey has planned for it.
type sevenBits struct {
	plan  []edit // what is left of it
	lines encoder
	size  int64 // octets of the lines that were surveyed
	at    int64 // octets of the lines that have come
	code  io.WriteCloser
	in    []byte // lines
	out   bytes.Buffer
}

// surveyed reads a message's content once, and says how it is to be changed for a server without 8BITMIME; nil if it needs no change, or
// must have none. An error is the content's own. in is what is read into.
func surveyed(m *Message, in []byte) (*sevenBits, error) {
	src, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	s, b := newSurvey(), &sevenBits{lines: encoder{bdat: true}}
	for empty := 0; empty < emptyReads; empty++ {
		n, err := src.Read(in)
		if err != nil && err != io.EOF {
			return nil, err
		}
		if n > 0 {
			empty = 0
		}
		b.in = b.lines.append(b.in[:0], in[:n])
		if err == io.EOF {
			b.in = b.lines.finish(b.in)
		}
		b.size += int64(len(b.in))
		if !s.write(b.in) {
			return nil, nil //nolint:nilnil // as the comment says
		}
		if err == io.EOF {
			b.plan, b.lines = s.finish(), encoder{bdat: true}
			if b.plan == nil {
				return nil, nil //nolint:nilnil // as the comment says
			}
			return b, nil
		}
	}
	return nil, io.ErrNoProgress
}

// convert gives what becomes of src, good until the next call. Where the content is cut into pieces makes no difference.
func (b *sevenBits) convert(src []byte) []byte {
	b.out.Reset()
	b.in = b.lines.append(b.in[:0], src)
	b.feed(b.in)
	return b.out.Bytes()
}

// finish gives the rest, and an error if the content wasn't what was surveyed.
func (b *sevenBits) finish() ([]byte, error) {
	b.out.Reset()
	b.in = b.lines.finish(b.in[:0])
	b.feed(b.in)
	if b.at != b.size || len(b.plan) > 0 {
		return nil, fmt.Errorf("the message has changed since it was read for the first time: %w", io.ErrUnexpectedEOF)
	}
	return b.out.Bytes(), nil
}

func (b *sevenBits) feed(lines []byte) {
	for len(b.plan) > 0 {
		e := b.plan[0]
		if b.at < e.from {
			lines = b.move(&b.out, lines, e.from)
			if b.at < e.from {
				return
			}
		}
		if b.code == nil {
			b.out.WriteString(e.with)
			b.code = e.code.to(&b.out)
		}
		if lines = b.move(b.code, lines, e.to); b.at < e.to {
			return
		}
		_ = b.code.Close() // it writes to memory
		b.code, b.plan = nil, b.plan[1:]
	}
	b.move(&b.out, lines, b.at+int64(len(lines)))
}

// move writes what of lines comes before the octet end, and gives the rest.
func (b *sevenBits) move(w io.Writer, lines []byte, end int64) []byte {
	n := int(min(int64(len(lines)), end-b.at))
	_, _ = w.Write(lines[:n])
	b.at += int64(n)
	return lines[n:]
}

// to gives what encodes to out. It doesn't end the last line.
func (c coding) to(out *bytes.Buffer) io.WriteCloser {
	switch c {
	case codeQuoted:
		return quotedprintable.NewWriter(out)
	case codeBase64:
		return base64.NewEncoder(base64.StdEncoding, &columns{out: out})
	case codeMask:
		return mask{out}
	case codeCut:
	}
	return mask{}
}

// columns breaks base64 into lines (RFC 2045 §6.8).
type columns struct {
	out  *bytes.Buffer
	used int
}

func (c *columns) Write(p []byte) (int, error) {
	const most = 76
	for rest := p; len(rest) > 0; {
		if c.used == most {
			c.out.WriteString("\r\n")
			c.used = 0
		}
		n := min(most-c.used, len(rest))
		c.out.Write(rest[:n])
		c.used += n
		rest = rest[n:]
	}
	return len(p), nil
}

// mask is codeMask to out, or codeCut if that is nil.
type mask struct{ out *bytes.Buffer }

func (m mask) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case m.out == nil:
		case c >= 0x80:
			m.out.WriteByte('?')
		default:
			m.out.WriteByte(c)
		}
	}
	return len(p), nil
}

func (m mask) Close() error { return nil }
