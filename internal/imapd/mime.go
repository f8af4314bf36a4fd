package imapd

import (
	"bytes"
	"strings"
)

// Limits on what is taken apart. What lies beyond stays part of the part it is in.
const (
	maxDepth    = 50        // of parts within parts
	maxParts    = 5000      // of one message
	maxHeader   = 256 << 10 // octets of one part's header that are looked at
	maxHeaders  = 1 << 20   // of all headers of a message
	maxBoundary = 300       // octets of a boundary; RFC 2046 §5.1.1 has 70
)

// part is a part of a message, or the message. Offsets count octets as they are sent.
type part struct {
	head, body, end int64 // begin of the header, of the body, and the end
	lines           int64 // in the body
	header          []byte
	kind, sub       string // media type, lower case
	params          map[string]string
	children        []*part // of a multipart
	inner           *part   // of a message/rfc822
	boundary        string  // of a multipart that isn't over
	inHeader        bool
}

// multipart tells whether it has children by number.
func (p *part) multipart() bool { return p.kind == "multipart" }

// scanner takes a message apart as it streams by. It keeps headers, and of all else
// only where it is. Nothing it meets is an error: mail is what it is.
type scanner struct {
	at      int64   // of the octet that comes next
	lineAt  int64   // of the line's first octet
	line    []byte  // its beginning
	open    []*part // from the root to the innermost
	root    *part
	parts   int
	headers int // octets kept
}

// lineKept is how much of a line is kept: a boundary, or a piece of a header.
const lineKept = 4 << 10

func newScanner() *scanner {
	s := &scanner{root: &part{inHeader: true}, parts: 1}
	s.open = []*part{s.root}
	return s
}

// feed takes the next octets.
func (s *scanner) feed(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		piece, whole := p, false
		if i >= 0 {
			piece, whole = p[:i+1], true
		}
		p = p[len(piece):]
		s.at += int64(len(piece))
		if len(s.line) < lineKept || s.innermost().inHeader {
			s.line = append(s.line, piece...)
		}
		if s.innermost().inHeader && len(s.line) > maxHeader {
			s.line = s.line[:maxHeader]
		}
		if whole {
			s.endLine()
		}
	}
}

func (s *scanner) innermost() *part { return s.open[len(s.open)-1] }

// endLine works on one whole line, of which line is at least the beginning.
func (s *scanner) endLine() {
	s.count(+1)
	if p := s.innermost(); !s.delimiter(s.line) && p.inHeader {
		s.headerLine(p, s.line)
	}
	s.line, s.lineAt = s.line[:0], s.at
}

// count counts a line for all bodies it is in.
func (s *scanner) count(change int64) {
	for _, p := range s.open {
		if !p.inHeader {
			p.lines += change
		}
	}
}

// headerLine adds to a header, and ends it at an empty line.
func (s *scanner) headerLine(p *part, line []byte) {
	empty := len(bytes.TrimRight(line, "\r\n")) == 0
	if room := min(maxHeader-len(p.header), maxHeaders-s.headers); room > 0 {
		add := line[:min(len(line), room)]
		p.header = append(p.header, add...)
		s.headers += len(add)
	}
	if empty {
		s.endHeader(p, s.at)
	}
}

// endHeader begins the body at an offset.
func (s *scanner) endHeader(p *part, at int64) {
	p.inHeader, p.body = false, at
	p.kind, p.sub, p.params = mediaType(p.header, s.defaultType(p))
	deep := len(s.open) >= maxDepth || s.parts >= maxParts
	switch {
	case p.multipart():
		p.boundary = strings.TrimRight(p.params["boundary"], " \t")
		if deep || p.boundary == "" || len(p.boundary) > maxBoundary {
			p.boundary = ""
		}
	case p.kind == "message" && (p.sub == "rfc822" || p.sub == "global") && !deep:
		p.inner = &part{head: at, inHeader: true}
		s.parts++
		s.open = append(s.open, p.inner)
	}
}

// defaultType is what a part without a type is (RFC 2046 §5.1.5 for a digest).
func (s *scanner) defaultType(p *part) string {
	if n := len(s.open); n >= 2 && s.open[n-1] == p && s.open[n-2].multipart() && s.open[n-2].sub == "digest" {
		return "message/rfc822"
	}
	return "text/plain"
}

// delimiter tells whether the line is a boundary of one of the multiparts that are
// open, the innermost first, and goes on to the next part then.
func (s *scanner) delimiter(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("--")) {
		return false
	}
	text := strings.TrimRight(string(line[:min(len(line), maxBoundary+10)]), " \t\r\n")
	for i := len(s.open) - 1; i >= 0; i-- {
		p := s.open[i]
		if p.boundary == "" || p.inHeader {
			continue
		}
		switch text {
		case "--" + p.boundary:
			if s.parts >= maxParts {
				return false
			}
			s.closeTo(i+1, s.lineAt)
			s.parts++
			child := &part{head: s.at, inHeader: true}
			p.children = append(p.children, child)
			s.open = append(s.open, child)
			return true
		case "--" + p.boundary + "--":
			s.closeTo(i+1, s.lineAt)
			p.boundary = "" // What follows is the epilogue.
			return true
		}
	}
	return false
}

// closeTo ends all parts from the depth on, at the boundary's line: the CRLF before
// it belongs to the boundary (RFC 2046 §5.1.1).
func (s *scanner) closeTo(depth int, at int64) {
	end := at - 2
	for i := len(s.open) - 1; i >= depth; i-- {
		p := s.open[i]
		if p.inHeader {
			s.endHeaderAtEnd(p, at) // No empty line: all of it is header.
		}
		// Where that CRLF is the empty line after a header, it is both.
		end = max(end, p.body)
		p.end = end
		p.lines = max(p.lines-2, 0) // neither the boundary's line, nor the CRLF before it
	}
	s.open = s.open[:depth]
}

// unfinished is a last line of a header that has no end; there is one at the end of the
// message only.
func (s *scanner) unfinished(p *part) []byte {
	if p != s.innermost() || s.lineAt == s.at {
		return nil
	}
	return s.line[:min(len(s.line), max(0, maxHeader-len(p.header)))]
}

// endHeaderAtEnd is endHeader for a part without body.
func (s *scanner) endHeaderAtEnd(p *part, at int64) {
	p.inHeader, p.body = false, max(at, p.head)
	p.kind, p.sub, p.params = mediaType(p.header, "text/plain")
	p.boundary = ""
}

// finish ends all that is open at the message's end.
func (s *scanner) finish() *part {
	if s.lineAt < s.at {
		// A last line without an end.
		s.count(+1)
		if !s.delimiter(s.line) {
			s.count(-1)
		}
	}
	for i := len(s.open) - 1; i >= 0; i-- {
		p := s.open[i]
		if p.inHeader {
			p.header = append(p.header, s.unfinished(p)...)
			s.endHeaderAtEnd(p, s.at)
		}
		p.end = s.at
	}
	s.open = s.open[:1]
	return s.root
}

// find is the part that a section's numbers name (RFC 3501 §6.4.5), nil if there is none.
// The numbers within a message/rfc822 are those of the message in it. A part
// that has none is its own part 1, as it is with Dovecot.
func (p *part) find(numbers []int) *part {
	at := p
	for i, n := range numbers {
		if i > 0 && at.inner != nil {
			at = at.inner
		}
		switch {
		case at.multipart() && n >= 1 && n <= len(at.children):
			at = at.children[n-1]
		case at.multipart() || n != 1 || i > 0 && at == p:
			return nil
		}
	}
	return at
}
