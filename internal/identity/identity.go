// Package identity rewrites the header of outgoing mail: where staff are known by office addresses, which nobody outside can answer,
// it puts the addresses at the provider, so that replies come back to the right box. Postfix's smtp_generic_maps are the model.
//
// It owns the grammar of the address fields (RFC 5322 §3.4, with the obsolete forms of §4.4) and no table: who is who comes as a func.
// The header streams by, one field at a time; what is behind it is never looked at.
//
// # What changes
//
// In the fields From, Sender, Reply-To, To and Cc, the same with Resent- in front, Disposition-Notification-To and Return-Receipt-To an
// addr-spec that the func knows is replaced by what it says, and nothing else: display names, comments, encoded words, groups, order,
// folding, blanks and line ends stay octet for octet. What looks like an address in a quoted string or a comment is text. Bcc, Received,
// Message-ID and all other fields stay, and so does every MIME part, an enclosed message for instance.
//
// # What passes unchanged
//
// What isn't understood is left to those who read it: a field that isn't a list of addresses (a quote, comment, angle bracket or group
// that doesn't end, two addresses without a comma, a control character), one of more than 64 KiB, an address with a comment in its
// midst, and all from the first line on that is neither a field nor the continuation of one, so a mail without a header altogether.
// Then an office address may show outside; it is never the other way round, that something is lost.
//
// It does not touch envelopes, and signatures made over these fields before (DKIM) break, as with any such rewriting.
package identity

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

const (
	// maxField is above what a field may have to be rewritten, in octets: room for some 1,500 recipients, and all that is held in memory.
	maxField = 64 << 10
	// window is the buffer for what is read. A field's name and colon must fit.
	window = 8 << 10
)

// reader rewrites the header and gives the body as it is.
type reader struct {
	src *bufio.Reader
	m   func(string) (string, bool)

	out     []byte // made
	given   int    // so much of out was given out
	field   []byte // a field that may be rewritten, as far as it was read
	holding bool   // the field goes into field, not into out
	inField bool   // a continuation may follow
	midLine bool   // the line began in an earlier piece
	body    bool   // the header is over
	grown   int64  // octets that rewriting has added so far
	err     error  // of src; given out behind out
}

// NewReader returns a reader of the mail r, header and body, with the addresses in its header replaced. m gives the address to show
// outside for an office address; with ok false, or an answer that isn't an addr-spec, it stays. m gets the address as RFC 5321 §4.1.2
// writes it, without comments and needless quotes, else as it stands: to fold case, and to know a domain by its other form (RFC 5890
// §2.3.2.1), is up to m. It is called by whoever reads, at each occurrence. Lines end in CRLF or LF.
//
// Errors are those of r, behind all that came before them. The reader has a WriteTo, so that io.Copy hands the body through.
func NewReader(r io.Reader, m func(addr string) (string, bool)) io.Reader {
	return newReader(r, m)
}

func newReader(r io.Reader, m func(string) (string, bool)) *reader {
	return &reader{src: bufio.NewReaderSize(r, window), m: m}
}

// Delta says by how many octets the mail in r becomes longer in a NewReader with the same m; below zero, shorter. It reads the header and
// up to 8 KiB of what follows. An error is r's.
func Delta(r io.Reader, m func(addr string) (string, bool)) (int64, error) {
	h := newReader(r, m)
	for !h.body && h.err == nil {
		h.fill()
		h.out = h.out[:0]
	}
	if h.err != nil && !errors.Is(h.err, io.EOF) {
		return 0, h.err
	}
	return h.grown, nil
}

// Read gives out the mail.
func (r *reader) Read(p []byte) (int, error) {
	for r.given == len(r.out) {
		r.out, r.given = r.out[:0], 0
		switch {
		case r.body:
			return r.src.Read(p)
		case r.err != nil:
			return 0, r.err
		case len(p) == 0:
			return 0, nil
		}
		r.fill()
	}
	n := copy(p, r.out[r.given:])
	r.given += n
	return n, nil
}

// WriteTo gives out the rest of the mail at once.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		n, err := w.Write(r.out[r.given:])
		total += int64(n)
		if r.given += n; err != nil {
			return total, err
		}
		r.out, r.given = r.out[:0], 0
		switch {
		case r.body:
			n, err := r.src.WriteTo(w)
			return total + n, err
		case errors.Is(r.err, io.EOF):
			return total, nil
		case r.err != nil:
			return total, r.err
		}
		r.fill()
	}
}

// fill takes the next piece of the header: a line, or a part of a long one.
func (r *reader) fill() {
	piece, err := r.src.ReadSlice('\n')
	if !r.midLine {
		r.line(piece)
	}
	r.midLine = err == bufio.ErrBufferFull
	if r.holding {
		r.field = append(r.field, piece...)
	} else {
		r.out = append(r.out, piece...)
	}
	if len(r.field) > maxField {
		r.pass()
	}
	switch {
	case err == io.EOF:
		r.flush()
		r.err = err
	case err != nil && err != bufio.ErrBufferFull:
		r.pass() // there may have been more of it
		r.err = err
	}
}

// line looks at the beginning of a line of the header.
func (r *reader) line(piece []byte) {
	if r.inField && len(piece) > 0 && (piece[0] == ' ' || piece[0] == '\t') {
		return
	}
	r.flush()
	name, ok := fieldName(piece)
	r.inField, r.holding, r.body = ok, ok && carriesAddresses(name), !ok
}

// flush gives out the field that is held, rewritten.
func (r *reader) flush() {
	if r.holding {
		before := len(r.out)
		r.out = rewrite(r.out, r.field, r.m)
		r.grown += int64(len(r.out) - before - len(r.field))
	}
	r.field, r.holding = r.field[:0], false
}

// pass gives out the field that is held, and what is still to come of it, as it is.
func (r *reader) pass() {
	r.out = append(r.out, r.field...)
	r.field, r.holding = r.field[:0], false
}

// fieldName is the name of a header field (RFC 5322 §2.2; white space before the colon as §4.5 has it).
func fieldName(line []byte) (string, bool) {
	name, _, ok := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 || bytes.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", false
	}
	return string(name), true
}

// carriesAddresses says whether a field is one of those that are rewritten.
func carriesAddresses(name string) bool {
	name = strings.ToLower(name)
	switch strings.TrimPrefix(name, "resent-") {
	case "from", "sender", "reply-to", "to", "cc":
		return true
	}
	return name == "disposition-notification-to" || name == "return-receipt-to"
}
