package route

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// MaxHeader is how much of a header is looked at, in octets. Postfix keeps 100 kB by default;
// what has more is not written by a mail program.
const MaxHeader = 256 << 10

// Field is one field of a header.
type Field struct {
	// Name is as it is written; case means nothing.
	Name string
	// Raw is all that follows the colon but for the last line end: unfolded by nobody, with
	// whatever octets there are.
	Raw string
}

var unfold = strings.NewReplacer("\r\n", "", "\n", "")

// Value is the field's text on one line (RFC 5322 §2.2.3), without space around it.
func (f Field) Value() string {
	if !strings.ContainsAny(f.Raw, "\r\n") {
		return strings.TrimSpace(f.Raw)
	}
	return strings.TrimSpace(unfold.Replace(f.Raw))
}

// Header is the header of a message, as far as it could be read. The zero value is that of a
// message without one.
type Header struct {
	// Fields are in the order of the message.
	Fields []Field
	// Cut: the header is longer than MaxHeader, and what follows was not looked at.
	Cut bool
}

// ReadHeader reads the header of a message, which ends at the first blank line. It takes
// anything: a line that is no field is passed over, and if the first one isn't (other than
// the "From " line of a mailbox file), the message has no header. It may read past the
// header, at most to MaxHeader octets. The error is r's; what was read until then is in the
// header.
func ReadHeader(r io.Reader) (Header, error) {
	text, cut, err := readHeader(r)
	if cut {
		// The last line may not be whole.
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	return Header{Fields: fields(string(text)), Cut: cut}, err
}

// readHeader reads what stands before the first blank line.
func readHeader(r io.Reader) (text []byte, cut bool, err error) {
	buf := make([]byte, 0, 4<<10)
	for idle := 0; len(buf) < MaxHeader; {
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, min(4*cap(buf), MaxHeader)), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		// The end may begin with the last octets of what was there.
		from := max(0, len(buf)-3)
		buf = buf[:len(buf)+n]
		if end := blankLine(buf, from); end >= 0 {
			return buf[:end], false, nil
		}
		switch {
		case errors.Is(err, io.EOF):
			return buf, false, nil
		case err != nil:
			return buf, false, err
		}
		if idle++; n > 0 {
			idle = 0
		}
		if idle == 100 { // as bufio has it
			return buf, false, io.ErrNoProgress
		}
	}
	return buf, true, nil
}

// blankLine finds the end of the header in b, looking from there on; -1: it isn't there yet.
func blankLine(b []byte, from int) int {
	if bytes.HasPrefix(b, []byte("\n")) || bytes.HasPrefix(b, []byte("\r\n")) {
		return 0
	}
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		if rest := b[i:]; bytes.HasPrefix(rest, []byte("\n")) || bytes.HasPrefix(rest, []byte("\r\n")) {
			return i
		}
	}
}

// fields takes a header apart. All values are parts of text, which is kept as a whole.
func fields(text string) []Field {
	list := make([]Field, 0, min(strings.Count(text, "\n")+1, 32))
	open := false // the last line belongs to the last field of the list
	for first := true; text != ""; first = false {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		rest := text[len(line):]
		name, colon := fieldName(line)
		switch {
		case line[0] == ' ' || line[0] == '\t':
			// A fold: taken with its field below, or passed over with the line that is none.
		case colon < 0:
			open = false
			if first && !strings.HasPrefix(line, "From ") && !strings.HasPrefix(line, ">From ") {
				return nil
			}
		default:
			open = true
			list = append(list, Field{Name: name})
		}
		if open {
			n := fieldEnd(text)
			list[len(list)-1].Raw = strings.TrimRight(text[colon+1:n], "\r\n")
			rest, open = text[n:], false
		}
		text = rest
	}
	return list
}

// fieldEnd is where the field ends that text begins with: before the next line that doesn't
// begin with a space.
func fieldEnd(text string) int {
	for i := 0; ; {
		n := strings.IndexByte(text[i:], '\n')
		if n < 0 {
			return len(text)
		}
		if i += n + 1; i == len(text) || text[i] != ' ' && text[i] != '\t' {
			return i
		}
	}
}

// fieldName is the name of the field that a line begins, and where its colon is; -1: it
// begins none. Space before the colon is as old mail has it (RFC 5322 §4.5).
func fieldName(line string) (string, int) {
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		return "", -1
	}
	name := strings.TrimRight(line[:colon], " \t")
	if !IsFieldName(name) {
		return "", -1
	}
	return name, colon
}

// IsFieldName tells whether a header field may have this name (RFC 5322 §3.6.8).
func IsFieldName(name string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return name != ""
}

// Values gives the values of all fields of that name, each on one line, from the top.
func (h Header) Values(name string) []string {
	var list []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			list = append(list, f.Value())
		}
	}
	return list
}

// Get gives the first value of that name; "": there is none.
func (h Header) Get(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value()
		}
	}
	return ""
}

// Text is Get with encoded words (RFC 2047) in plain letters.
func (h Header) Text(name string) string { return decodeWords(h.Get(name)) }

// Count tells how many fields have that name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

// Addresses gives the addresses in all fields of that name, without names and comments, as
// they are written. It takes what is malformed for what it resembles most.
func (h Header) Addresses(name string) []string {
	var list []string
	for _, v := range h.Values(name) {
		list = append(list, addresses(v)...)
	}
	return list
}

// decodeWords gives s as it is where a word can't be decoded.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		enc, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		return enc.NewDecoder().Reader(in), nil
	}}
	out, err := d.DecodeHeader(s)
	if err != nil {
		return s
	}
	return out
}
