package dsn

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"mime/quotedprintable"
	"strings"
	"unicode/utf8"
)

// maxHeader bounds what is kept and attached of a header. The longest seen in practice, with a page of signatures, have a third of it.
const maxHeader = 64 << 10

// attach is what the third part is.
type attach uint8

const (
	attachNone attach = iota
	attachHeader
	attachWhole
)

// original is what a first reading shows of the message that the report is about.
type original struct {
	header            []byte // its fields, in lines, without the blank one; at most maxHeader
	subject, date, id string // as they stand; id only if it can be referred to
	attach            attach
	eightBit          bool   // what is attached has octets over 127
	encoding          string // of the third part: "7bit", "8bit" or "quoted-printable"
	global            bool   // the header is internationalised, and may be shown so
	sum               [sha256.Size]byte
}

// survey reads the message, as far as it is to be attached.
func (r *Report) survey() (*original, error) {
	o := &original{}
	if r.Original == nil {
		return o, nil
	}
	if _, err := r.Original.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	whole := r.Kind == Failed && (r.Return == "FULL" || r.Return == "" && r.OriginalSize > 0 && r.OriginalSize <= maxWhole)
	s := &surveyor{original: o, hash: sha256.New()}
	for in := newLines(r.Original); ; {
		piece, err := in.next()
		s.see(piece)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if !whole && s.headerDone {
			break
		}
	}
	o.header = s.fields()
	s.hash.Sum(o.sum[:0])
	o.read()
	// A message can't be encoded (RFC 2046 §5.2.1): it stands in the report as it is, or not at all.
	if !whole || s.longLine || s.eightBit && !r.EightBit && !r.UTF8 {
		o.attachHeader(r.UTF8)
		return o, nil
	}
	o.attach, o.eightBit, o.encoding = attachWhole, s.eightBit, "7bit"
	if o.eightBit {
		o.encoding = "8bit"
	}
	o.global = r.UTF8 && !ascii7(o.header) && utf8.Valid(o.header)
	return o, nil
}

// attachHeader makes the header alone the third part.
func (o *original) attachHeader(global bool) {
	if len(o.header) == 0 {
		return
	}
	o.attach, o.encoding = attachHeader, "7bit"
	o.eightBit = !ascii7(o.header)
	o.global = global && o.eightBit && utf8.Valid(o.header)
	switch {
	case longLine(o.header):
		o.encoding = "quoted-printable"
	case o.global:
		o.encoding = "8bit"
	case o.eightBit:
		o.encoding = "quoted-printable"
	}
}

// partHeader is that of the third part.
func (o *original) partHeader(b *bytes.Buffer) {
	kind, what := "text/rfc822-headers", "The header of your message" // RFC 6522 §4
	switch {
	case o.attach == attachWhole && o.global:
		kind, what = "message/global", "Your message"
	case o.attach == attachWhole:
		kind, what = "message/rfc822", "Your message"
	case o.global:
		kind = "message/global-headers" // RFC 6533 §6
	}
	field(b, "Content-Type", kind)
	field(b, "Content-Transfer-Encoding", o.encoding)
	field(b, "Content-Description", what)
	b.WriteString("\r\n")
}

// copyOriginal writes the content of the third part.
func (r *Report) copyOriginal(w io.Writer, o *original) error {
	switch {
	case o.attach == attachNone:
		return nil
	case o.attach == attachWhole:
		if _, err := r.Original.Seek(0, io.SeekStart); err != nil {
			return err
		}
		for in := newLines(r.Original); ; {
			piece, err := in.next()
			if _, err := w.Write(piece); err != nil {
				return err
			}
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	case o.encoding == "quoted-printable":
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write(o.header); err != nil {
			return err
		}
		return q.Close()
	}
	_, err := w.Write(o.header)
	return err
}

// read takes out of the header what the report says of the message.
func (o *original) read() {
	for field := range unfolded(o.header) {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "subject":
			o.subject = first(o.subject, value)
		case "date":
			o.date = first(o.date, value)
		case "message-id":
			// It is referred to only if it is one: nothing else may get into our header as it is.
			if len(value) > 2 && len(value) <= 250 && value[0] == '<' && value[len(value)-1] == '>' &&
				!strings.ContainsFunc(value[1:len(value)-1], func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("<>()", c) }) {
				o.id = first(o.id, value)
			}
		}
	}
}

// first is a unless it is "".
func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// unfolded gives the fields of a header (RFC 5322 §2.2.3).
func unfolded(header []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for rest := header; len(rest) > 0; {
			n := fieldLen(rest)
			if !yield(strings.ReplaceAll(string(rest[:n]), "\r\n", "")) {
				return
			}
			rest = rest[n:]
		}
	}
}

// fieldLen is how many octets the field has with which b, that ends in CRLF, begins.
func fieldLen(b []byte) int {
	for n := 0; ; {
		n += bytes.IndexByte(b[n:], '\n') + 1
		if n == len(b) || b[n] != ' ' && b[n] != '\t' {
			return n
		}
	}
}

// surveyor looks at the message piece by piece.
type surveyor struct {
	*original
	hash       hash.Hash
	headerDone bool
	line       int // octets of the line so far
	longLine   bool
	eightBit   bool
}

// see looks at the next piece, which begins where the last one ended.
func (s *surveyor) see(piece []byte) {
	s.hash.Write(piece)
	for _, c := range piece {
		switch {
		case c == '\n':
			s.line = -1
		case c >= 0x80:
			s.eightBit = true
		}
		if s.line++; s.line > maxLine+1 { // the CR counts here
			s.longLine = true
		}
	}
	if s.headerDone {
		return
	}
	from := max(len(s.header)-3, 0)
	s.header = append(s.header, piece...)
	switch end := bytes.Index(s.header[from:], []byte("\r\n\r\n")); {
	case bytes.HasPrefix(s.header, []byte("\r\n")):
		s.header, s.headerDone = nil, true
	case end >= 0 && from+end+2 <= maxHeader:
		s.header, s.headerDone = s.header[:from+end+2], true
	case len(s.header) > maxHeader:
		s.header, s.headerDone = s.header[:maxHeader], true
	}
}

// fields is the header up to the first line that is no field, in whole lines.
func (s *surveyor) fields() []byte {
	all := s.header[:bytes.LastIndexByte(s.header, '\n')+1]
	n := 0
	for n < len(all) {
		name, _, found := bytes.Cut(all[n:], []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if !found || len(name) == 0 || bytes.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
			break
		}
		n += fieldLen(all[n:])
	}
	return all[:n]
}

func ascii7(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c >= utf8.RuneSelf })
}

func longLine(b []byte) bool {
	for line := range bytes.Lines(b) {
		if len(line) > maxLine+2 {
			return true
		}
	}
	return false
}

// lines gives what it reads in lines that end with CRLF, without NUL: a lone CR or LF is the end of a line too.
type lines struct {
	r    io.Reader
	in   []byte
	out  []byte
	cr   bool // a CR came last
	open bool // the line has not ended
}

func newLines(r io.Reader) *lines { return &lines{r: r, in: make([]byte, 16<<10)} }

// next gives the next piece, good until it is called again. With the last one comes io.EOF.
func (l *lines) next() ([]byte, error) {
	l.out = l.out[:0]
	n, err := l.r.Read(l.in)
	for _, c := range l.in[:n] {
		switch c {
		case '\r':
			l.out = append(l.out, "\r\n"...)
		case '\n':
			if !l.cr {
				l.out = append(l.out, "\r\n"...)
			}
		case 0:
			continue
		default:
			l.out = append(l.out, c)
		}
		l.cr = c == '\r'
		l.open = c != '\r' && c != '\n'
	}
	if err == io.EOF && l.open {
		l.out, l.open = append(l.out, "\r\n"...), false
	}
	return l.out, err
}
