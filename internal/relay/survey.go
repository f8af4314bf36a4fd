package relay

import (
	"bytes"
	"mime"
	"slices"
	"strings"
)

const (
	// surveyLine is how much of a line is looked at together: more than any line that means something in MIME.
	surveyLine = 4 << 10
	// surveyField bounds a header field that has to be understood. Long lists of addresses aren't among those.
	surveyField = 16 << 10
	// surveyDepth and surveyEdits bound what is kept of a message's structure. What is nested deeper, or has more parts to be changed, was
	// not made by a mail program and goes as it is.
	surveyDepth = 32
	surveyEdits = 4096
)

// edit is one change to a message: with is put before the octets from and to of its lines, which go on as code says.
type edit struct {
	from, to int64
	with     string
	code     coding
}

// coding is what becomes of octets in an edit.
type coding uint8

const (
	codeCut    coding = iota // nothing
	codeQuoted               // quoted-printable (RFC 2045 §6.7)
	codeBase64               // base64 (RFC 2045 §6.8)
	codeMask                 // those over 127 become question marks: the text is one that no reader shows
)

// survey reads a message's lines and finds the edits that make it fit for a server without 8BITMIME (RFC 6152 §3). Either they leave
// nothing in it over 127 but what is so in headers, or there are none.
type survey struct {
	parts  []part // what is being read, and all that it is in
	plan   []edit // in their order
	head   header
	inHead bool
	asIs   bool // it can't be changed, or nobody can say for sure what belongs to what in it

	line []byte // a line that hasn't come to its end
	cont bool   // the line's beginning was looked at already
	at   int64  // octets before line
}

// part is an entity (RFC 2045 §2.4).
type part struct {
	kind     partKind
	boundary string // of a multipart
	digest   bool   // its parts are messages where they don't say otherwise (RFC 2046 §5.1.5)
	closed   bool   // the multipart's last delimiter has come
	text     bool   // a leaf that people read
	edits    int    // how many there were before it
	touched  bool   // there are some in it
	start    int64  // of the text under way: a body, or what stands before and behind a multipart's parts
	high     int64  // octets over 127 in that
}

type partKind uint8

const (
	partLeaf partKind = iota
	partMultipart
	partMessage
	partSealed // nothing may be changed in it
)

// header is what has to be known of the header under way.
type header struct {
	message bool // of a message, and not of a part of one
	digest  bool // of a part of a digest

	name  string // of the field under way, "" before the first
	value []byte // if it matters
	from  int64

	mimed, signed bool
	kind, code    *string // Content-Type, Content-Transfer-Encoding
	cut           edit    // the field of code
}

func newSurvey() *survey {
	return &survey{inHead: true, head: header{message: true}}
}

// write takes more of the lines, which end by CRLF. It says whether there is any use in going on.
func (s *survey) write(lines []byte) bool {
	for len(lines) > 0 && !s.asIs {
		n := bytes.IndexByte(lines, '\n') + 1
		whole := n > 0
		if !whole {
			n = len(lines)
		}
		switch {
		case whole && len(s.line) == 0:
			s.piece(lines[:n])
			s.cont = false
		default:
			s.line = append(s.line, lines[:n]...)
			if whole || len(s.line) >= surveyLine {
				s.piece(s.line)
				s.line, s.cont = s.line[:0], !whole
			}
		}
		lines = lines[n:]
	}
	return !s.asIs
}

// finish says what is to be done to the message, of which all was written: nothing if it is nil.
func (s *survey) finish() []edit {
	if s.asIs || len(s.parts) == 0 {
		return nil
	}
	if !s.inHead {
		s.endText(s.at)
	}
	for len(s.parts) > 0 {
		s.pop()
	}
	if s.asIs || len(s.plan) == 0 {
		return nil
	}
	return s.plan
}

// piece is a line, or a part of one that is long.
func (s *survey) piece(p []byte) {
	switch {
	case !s.cont && s.delimiter(p):
	case s.inHead && !s.cont && string(p) == "\r\n":
		s.endField()
		s.endHead(s.at + int64(len(p)))
	case s.inHead:
		s.field(p)
	default:
		top := &s.parts[len(s.parts)-1]
		for _, c := range p {
			if c >= 0x80 {
				top.high++
			}
		}
	}
	s.at += int64(len(p))
}

// delimiter sees to a line that stands between parts (RFC 2046 §5.1.1), and says whether p is one.
func (s *survey) delimiter(p []byte) bool {
	if !bytes.HasPrefix(p, []byte("--")) {
		return false
	}
	line := bytes.TrimRight(p[2:], " \t\r\n")
	inner := true
	for i, at := range slices.Backward(s.parts) {
		if at.kind != partMultipart || at.closed {
			continue
		}
		rest, found := bytes.CutPrefix(line, []byte(at.boundary))
		last := string(rest) == "--"
		if found && (last || len(rest) == 0) {
			// A line with so many blanks is a riddle, and where one within was not closed nobody can say what was lost.
			if s.asIs = !inner || len(p) >= surveyLine; !s.asIs {
				s.between(i, last)
			}
			return true
		}
		inner = false
	}
	return false
}

// between is a delimiter of the multipart that is parts[i].
func (s *survey) between(i int, last bool) {
	if !s.inHead {
		top := s.parts[len(s.parts)-1]
		s.endText(max(s.at-int64(len("\r\n")), top.start)) // the end of the line before is the delimiter's
	}
	for len(s.parts) > i+1 {
		s.pop()
	}
	at := &s.parts[i]
	if s.inHead = !last; last {
		// What follows is nobody's, with the delimiter itself, in which there is nothing.
		at.closed, at.start, at.high = true, s.at, 0
		return
	}
	s.head = header{digest: at.digest}
}

// endText ends the text under way before the octet end.
func (s *survey) endText(end int64) {
	top := &s.parts[len(s.parts)-1]
	if top.high == 0 {
		return
	}
	if top.kind == partSealed || len(s.plan) >= surveyEdits {
		s.asIs = true
		return
	}
	code := codeMask
	if top.kind == partLeaf {
		// Quoted-printable takes two octets more for each that is over 127, base64 three eighths of all: in other scripts than the Latin
		// one that is half of it, and the line is paid for.
		label := "base64"
		if code = codeBase64; top.text && 2*top.high <= (end-top.start)*3/8 {
			code, label = codeQuoted, "quoted-printable"
		}
		s.plan[len(s.plan)-1].with += contentEncoding + ": " + label + "\r\n"
	}
	s.plan = append(s.plan, edit{from: top.start, to: end, code: code})
	top.touched = true
}

// pop ends the innermost part. What was to be changed in its header need not be if nothing is changed in it.
func (s *survey) pop() {
	last := len(s.parts) - 1
	p := s.parts[last]
	s.parts = s.parts[:last]
	switch {
	case p.kind == partMultipart && !p.closed:
		s.asIs = true
	case !p.touched:
		s.plan = s.plan[:p.edits]
	case last > 0:
		s.parts[last-1].touched = true
	}
}

// field takes a line of a header, or more of it.
func (s *survey) field(p []byte) {
	h := &s.head
	folded := p[0] == ' ' || p[0] == '\t'
	if !s.cont && !folded {
		s.endField()
		name, value, found := bytes.Cut(p, []byte(":"))
		h.name, h.from = fieldName(bytes.TrimRight(name, " \t")), s.at
		s.asIs = s.asIs || !found || len(name) == 0
		p = value
	}
	switch h.name {
	case "":
		s.asIs = true // it begins with half a field
	case contentType, contentEncoding:
		h.value = append(h.value, bytes.TrimRight(p, "\r\n")...)
		s.asIs = s.asIs || len(h.value) > surveyField
	}
}

// The fields that matter.
const (
	contentType     = "Content-Type"
	contentEncoding = "Content-Transfer-Encoding"
	mimeVersion     = "MIME-Version"
	dkimSignature   = "DKIM-Signature"
	otherField      = "other"
)

func fieldName(name []byte) string {
	for _, known := range []string{contentType, contentEncoding, mimeVersion, dkimSignature} {
		if len(name) == len(known) && strings.EqualFold(string(name), known) {
			return known
		}
	}
	return otherField
}

// endField draws the conclusion from the field that has ended.
func (s *survey) endField() {
	h := &s.head
	set := func(field **string) {
		value := strings.TrimSpace(string(h.value))
		s.asIs = s.asIs || *field != nil // nobody can say which one holds
		*field = &value
	}
	switch h.name {
	case mimeVersion:
		h.mimed = true
	case dkimSignature:
		h.signed = true
	case contentType:
		set(&h.kind)
	case contentEncoding:
		set(&h.code)
		h.cut = edit{from: h.from, to: s.at}
	}
	h.value = h.value[:0]
}

// endHead makes a part of the header that has ended with an empty line; what follows that begins at start.
func (s *survey) endHead(start int64) {
	p := s.head.part()
	p.edits, p.start = len(s.plan), start
	twice := func(o part) bool { return o.boundary == p.boundary && o.kind == partMultipart }
	switch {
	case s.head.signed && len(s.parts) == 0, len(s.parts) >= surveyDepth,
		p.kind == partMultipart && (!plausible(p.boundary) || slices.ContainsFunc(s.parts, twice)):
		s.asIs = true
		return
	}
	if p.kind != partSealed {
		s.relabel(p.kind)
	}
	s.parts = append(s.parts, p)
	if s.inHead = p.kind == partMessage; s.inHead {
		s.head = header{message: true}
	}
}

// part says what the header is of.
func (h *header) part() part {
	kind, params := "text/plain", map[string]string(nil)
	switch {
	case h.kind != nil:
		// Parameters that can't be read do no harm where there is no need of them; what can't be read at all leaves kind empty.
		kind, params, _ = mime.ParseMediaType(*h.kind)
	case h.digest:
		kind = "message/rfc822"
	}
	family, _, _ := strings.Cut(kind, "/")
	switch {
	case h.code != nil && !slices.Contains([]string{"7bit", "8bit", "binary"}, strings.ToLower(*h.code)), kind == "", sealed(kind):
		return part{kind: partSealed}
	case family == "multipart":
		return part{kind: partMultipart, boundary: params["boundary"], digest: kind == "multipart/digest"}
	case kind == "message/rfc822":
		return part{kind: partMessage}
	}
	return part{kind: partLeaf, text: family == "text"}
}

// sealed says that nothing may be changed in a part of that kind: it is signed, or encrypted, or can't be encoded by its definition
// (RFC 2046 §5.2.2 and §5.2.3, RFC 3464 §2.1.1); RFC 6532 §3.7 and RFC 6533 §3 allow it with the younger ones of the family.
func sealed(kind string) bool {
	switch kind {
	case "multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime":
		return true
	}
	return strings.HasPrefix(kind, "message/") && kind != "message/rfc822" && !strings.HasPrefix(kind, "message/global")
}

// plausible says that a boundary is one by RFC 2046 §5.1.1, as far as that matters here.
func plausible(boundary string) bool {
	return boundary != "" && len(boundary) <= 70 && strings.TrimRight(boundary, " \t") == boundary &&
		!strings.ContainsFunc(boundary, func(r rune) bool { return r < ' ' || r > '~' })
}

// relabel puts into the plan what the header under way has to be if something is changed in its part; how a leaf is encoded is added
// later. What is no MIME becomes it by RFC 1428 §3: nobody knows the character set.
func (s *survey) relabel(kind partKind) {
	h, add := &s.head, ""
	if h.message && !h.mimed {
		add = "MIME-Version: 1.0\r\n"
	}
	if h.message && h.kind == nil {
		add += "Content-Type: text/plain; charset=unknown-8bit\r\n"
	}
	if h.code != nil {
		s.plan = append(s.plan, h.cut)
		if kind != partLeaf {
			add += contentEncoding + ": " + "7bit\r\n" // what is composed has no other (RFC 2045 §6.4)
		}
	}
	if add != "" || kind == partLeaf {
		s.plan = append(s.plan, edit{from: s.at, to: s.at, with: add})
	}
}

func sevenBit(p []byte) bool {
	return !slices.ContainsFunc(p, func(c byte) bool { return c >= 0x80 })
}
