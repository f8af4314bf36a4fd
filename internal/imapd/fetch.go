package imapd

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// letter is what a FETCH of one message needs of the mailbox.
type letter struct {
	mail  *maildir.Mail
	uid   uint32
	path  string
	flags []imap.Flag
	size  int64
	date  time.Time
}

// Fetch is FETCH.
func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	if s.view == nil {
		return errNotSelected
	}
	if len(options.BinarySection) > 0 || len(options.BinarySectionSize) > 0 {
		return errNoBinary
	}
	missing := false
	for _, uid := range s.view.resolve(set) {
		if s.srv.ctx.Err() != nil {
			return errLeaving
		}
		err := s.fetchOne(w, uid, options)
		if errors.Is(err, maildir.ErrGone) {
			missing = true
			continue
		}
		if err != nil {
			return s.trouble("FETCH", err)
		}
	}
	if _, byUID := set.(imap.UIDSet); missing && !byUID {
		return errExpunged
	}
	return nil
}

// fetchOne answers for one message. Until the answer has begun an error is the
// command's; then it ends the connection, for a literal can't be taken back.
func (s *session) fetchOne(w *imapserver.FetchWriter, uid uint32, options *imap.FetchOptions) error {
	l, err := s.look(uid, options)
	if err != nil {
		return err
	}
	needs := needs(options)
	var msg *message
	if needs != nothing {
		if msg, err = s.openMessage(l, needs); err != nil {
			return err
		}
		defer msg.f.Close()
	}
	var header []byte
	if needs == headerOnly {
		if header, err = readHeader(msg.f); err != nil {
			return err
		}
	}
	if s.body.root != nil && needs == structure {
		header = s.body.root.header
	}
	r := w.CreateMessage(s.view.seq(uid))
	writeFacts(r, l, options)
	if options.Envelope {
		r.WriteEnvelope(envelope(header))
	}
	if options.BodyStructure != nil {
		r.WriteBodyStructure(s.body.root.structure())
	}
	for _, section := range options.BodySection {
		var err error
		if needs == headerOnly {
			err = writeOctets(r, section, headerSection(header, section))
		} else {
			err = s.writeSection(r, section, msg)
		}
		if err != nil {
			_ = r.Close()
			_ = s.wire.Close()
			return err
		}
	}
	return r.Close()
}

// look gathers what the mailbox knows, and sets \Seen where the client reads a body
// without PEEK.
func (s *session) look(uid uint32, options *imap.FetchOptions) (letter, error) {
	l := letter{uid: uid}
	work := func(b *maildir.Box) (err error) {
		m := b.Find(uid)
		if m == nil {
			return maildir.ErrGone
		}
		if options.RFC822Size {
			if l.size, err = b.Size(m); err != nil {
				return gone(err)
			}
		}
		if options.InternalDate {
			if l.date, err = b.Date(m); err != nil {
				return gone(err)
			}
		}
		if marksSeen(options) && !s.view.readOnly && m.Flags&maildir.Seen == 0 {
			if err := b.SetFlags([]*maildir.Mail{m}, func(f maildir.Flags) maildir.Flags { return f | maildir.Seen }); err != nil {
				return err
			}
			if options.Flags {
				s.view.knows(m)
			}
		}
		l.mail, l.path, l.flags = m, b.Path(m), flagList(b, m.Flags)
		return nil
	}
	return l, s.view.room.peek(work)
}

// gone is ErrGone for a file that isn't there.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return maildir.ErrGone
	}
	return err
}

func marksSeen(options *imap.FetchOptions) bool {
	for _, section := range options.BodySection {
		if !section.Peek {
			return true
		}
	}
	return false
}

// writeFacts writes all that needs no content.
func writeFacts(r *imapserver.FetchResponseWriter, l letter, options *imap.FetchOptions) {
	if options.UID {
		r.WriteUID(imap.UID(l.uid))
	}
	// \Seen that this FETCH has set is told here too (RFC 3501 §6.4.5).
	if options.Flags {
		r.WriteFlags(l.flags)
	}
	if options.InternalDate {
		r.WriteInternalDate(l.date)
	}
	if options.RFC822Size {
		r.WriteRFC822Size(l.size)
	}
}

// need is how much of a message has to be read before the answer can begin.
type need int

const (
	nothing    need = iota
	headerOnly      // the message's own header
	wholeSize       // all of it, for its size
	structure       // all of it, taken apart
)

// needs tells what a FETCH needs.
func needs(options *imap.FetchOptions) need {
	n := nothing
	if options.Envelope {
		n = headerOnly
	}
	for _, section := range options.BodySection {
		switch {
		case len(section.Part) > 0, section.Specifier == imap.PartSpecifierMIME:
			n = max(n, structure)
		case section.Specifier == imap.PartSpecifierHeader:
			n = max(n, headerOnly)
		case section.Specifier == imap.PartSpecifierText:
			n = max(n, structure)
		default:
			n = max(n, wholeSize)
		}
	}
	if options.BodyStructure != nil {
		n = structure
	}
	// Two ways of reading in one answer: the larger has it all.
	if n == wholeSize && (options.Envelope || len(options.BodySection) > 1) {
		n = structure
	}
	return n
}

// openMessage opens the file, wherever another program has moved it, and measures it.
// What was found out about the message read last is used again.
func (s *session) openMessage(l letter, n need) (*message, error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		path := ""
		err = s.view.room.peek(func(b *maildir.Box) (err error) {
			path, err = b.Relocate(l.mail)
			return err
		})
		if err == nil {
			f, err = os.Open(path)
		}
	}
	if err != nil {
		return nil, gone(err)
	}
	msg := &message{f: f, size: -1}
	if n <= headerOnly {
		return msg, nil
	}
	if s.body.uid == l.uid && (n == wholeSize || s.body.root != nil) {
		msg.size, msg.marks = s.body.size, s.body.marks
		return msg, nil
	}
	var scan *scanner
	var feed func([]byte)
	if n == structure {
		scan = newScanner()
		feed = scan.feed
	}
	if err := msg.measure(feed); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.body = bodyCache{uid: l.uid, size: msg.size, marks: msg.marks}
	if scan != nil {
		s.body.root = scan.finish()
	}
	return msg, nil
}

// readHeader reads a message's header, up to maxHeaders, as it is sent.
func readHeader(f io.Reader) ([]byte, error) {
	in := newCRLF(f)
	var header []byte
	buf := make([]byte, 4<<10)
	for len(header) < maxHeaders {
		n, err := in.Read(buf)
		from := max(len(header)-3, 0)
		header = append(header, buf[:n]...)
		if bytes.HasPrefix(header, []byte("\r\n")) {
			return header[:2], nil
		}
		if i := bytes.Index(header[from:], []byte("\r\n\r\n")); i >= 0 {
			return header[:from+i+4], nil
		}
		if err == io.EOF {
			return header, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return header, nil
}

// headerSection is BODY[HEADER…] of the message's own header.
func headerSection(header []byte, section *imap.FetchItemBodySection) []byte {
	switch {
	case len(section.HeaderFields) > 0:
		header = filter(header, section.HeaderFields, false)
	case len(section.HeaderFieldsNot) > 0:
		header = filter(header, section.HeaderFieldsNot, true)
	}
	from, to := within(section.Partial, int64(len(header)))
	return header[from:to]
}

// within cuts a range to what there is.
func within(partial *imap.SectionPartial, size int64) (from, to int64) {
	if partial == nil {
		return 0, size
	}
	from = min(max(partial.Offset, 0), size)
	return from, from + min(max(partial.Size, 0), size-from)
}

func writeOctets(r *imapserver.FetchResponseWriter, section *imap.FetchItemBodySection, octets []byte) error {
	out := r.WriteBodySection(section, int64(len(octets)))
	_, err := out.Write(octets)
	return errors.Join(err, out.Close())
}

// writeSection streams a section from the file.
func (s *session) writeSection(r *imapserver.FetchResponseWriter, section *imap.FetchItemBodySection, msg *message) error {
	from, to, header := s.body.section(section)
	if header != nil && (len(section.HeaderFields) > 0 || len(section.HeaderFieldsNot) > 0) {
		return writeOctets(r, section, headerSection(header, section))
	}
	cutFrom, cutTo := within(section.Partial, to-from)
	content, err := msg.part(from+cutFrom, from+cutTo)
	if err != nil {
		return err
	}
	out := r.WriteBodySection(section, cutTo-cutFrom)
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}

// section is where a section lies, and its header if it is one; nothing if there is no such
// section (RFC 3501 §6.4.5).
func (c *bodyCache) section(section *imap.FetchItemBodySection) (from, to int64, header []byte) {
	p := c.root
	if p == nil {
		return 0, c.size, nil // All of it.
	}
	if len(section.Part) > 0 {
		if p = p.find(section.Part); p == nil {
			return 0, 0, nil
		}
		if section.Specifier == imap.PartSpecifierHeader || section.Specifier == imap.PartSpecifierText {
			if p = p.inner; p == nil {
				return 0, 0, nil
			}
		}
	}
	switch section.Specifier {
	case imap.PartSpecifierHeader, imap.PartSpecifierMIME:
		return p.head, p.body, p.header
	case imap.PartSpecifierText:
		return p.body, p.end, nil
	case imap.PartSpecifierNone:
		if len(section.Part) > 0 {
			return p.body, p.end, nil
		}
	}
	return 0, c.size, nil
}
