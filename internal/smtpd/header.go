package smtpd

import (
	"bufio"
	"bytes"
	"io"
)

// maxHops is how many Received lines a message may bring: more is a loop. RFC
// 5321 §6.3 wants at least 100 for a general relay. An office gateway is the first
// or second hop of what it takes, so half of that is generous already, and each
// turn of a loop may cost a call.
const maxHops = 50

// stamper puts a Received line on top of a message and adds the fields that a
// submission must have (RFC 6409 §8.2, §8.3) at the end of the header. It changes
// nothing else. A line in the header that is no field ends the header, as in
// Postfix; then a blank line is put before it, so that it isn't lost. But the line
// that begins a message in a mailbox file ("From ann@… Mon Nov 23 …") is often sent
// along; the header begins behind it.
type stamper struct {
	src *bufio.Reader // CRLF lines
	top string        // the Received line
	add []field       // what to add if missing

	out      []byte // made, not yet given out
	started  bool
	body     bool // the header is over
	midLine  bool // the line began in an earlier piece
	anyLine  bool // a line was seen
	anyField bool // a field was seen, so a continuation may follow
	hops     int
}

// field is a header field that a message must have.
type field struct {
	name, value string
	seen        bool
}

// Read gives out the message.
func (s *stamper) Read(p []byte) (int, error) {
	if !s.started {
		s.started = true
		s.out = append(s.out, s.top...)
	}
	if len(s.out) == 0 {
		if s.body {
			return s.src.Read(p)
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = append(s.out[:0], s.out[n:]...)
	return n, nil
}

// fill takes the next piece of the header: a line, or a part of a long one.
func (s *stamper) fill() error {
	piece, err := s.src.ReadSlice('\n')
	if err == io.EOF {
		// lines ends every line, so there is no piece; the header had no end.
		s.endHeader(true)
		return nil
	}
	if err != nil && err != bufio.ErrBufferFull {
		return err
	}
	if !s.midLine {
		if err := s.line(piece); err != nil {
			return err
		}
	}
	s.midLine = err == bufio.ErrBufferFull
	s.out = append(s.out, piece...)
	return nil
}

// line looks at the beginning of a header line.
func (s *stamper) line(piece []byte) error {
	first := !s.anyLine
	s.anyLine = true
	switch {
	case first && bytes.HasPrefix(bytes.TrimLeft(piece, ">"), []byte("From ")):
		return nil
	case bytes.Equal(piece, []byte("\r\n")):
		s.endHeader(false)
		return nil
	case s.anyField && (piece[0] == ' ' || piece[0] == '\t'):
		return nil
	}
	name, ok := fieldName(piece)
	if !ok {
		s.endHeader(true)
		return nil
	}
	s.anyField = true
	if bytes.EqualFold(name, []byte("Received")) {
		if s.hops++; s.hops > maxHops {
			return errTooManyHops
		}
	}
	for i := range s.add {
		if bytes.EqualFold(name, []byte(s.add[i].name)) {
			s.add[i].seen = true
		}
	}
	return nil
}

// endHeader adds what is missing, and the blank line where there is none.
func (s *stamper) endHeader(blank bool) {
	for _, f := range s.add {
		if !f.seen {
			s.out = append(s.out, f.name+": "+f.value+"\r\n"...)
		}
	}
	if blank {
		s.out = append(s.out, "\r\n"...)
	}
	s.body = true
}

// fieldName is the name of a header field (RFC 5322 §2.2; white space before the
// colon as §4.5 has it).
func fieldName(line []byte) ([]byte, bool) {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return nil, false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return nil, false
		}
	}
	return name, true
}
