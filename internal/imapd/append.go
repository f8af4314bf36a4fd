package imapd

import (
	"errors"
	"io"
	"io/fs"

	"github.com/emersion/go-imap/v2"

	"outpost/internal/maildir"
)

// Append is APPEND: the message streams into tmp/, and is shown, with its UID, when it
// is durable. The library reads what is left of it after a refusal.
func (s *session) Append(name string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	data, err := s.append(name, r, options)
	if errors.Is(err, fs.ErrNotExist) || err == error(errNoMailbox) { //nolint:errorlint // that very one
		err = errTryCreate
	}
	if err != nil {
		return nil, s.trouble("APPEND", err)
	}
	return data, nil
}

func (s *session) append(name string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	p, err := s.locate(name)
	if err != nil {
		return nil, err
	}
	if !p.write {
		return nil, errReadOnly
	}
	if r.Size() > s.srv.opt.MaxBytes {
		return nil, errTooBig
	}
	var n *maildir.NewMail
	err = s.visit(p, func(b *maildir.Box) error {
		if err := s.room(p, r.Size()); err != nil {
			return err
		}
		n, err = b.Begin(s.srv.opt.Hostname)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := fill(n, r, options); err != nil {
		n.Abort()
		return nil, err
	}
	var data *imap.AppendData
	err = s.visit(p, func(b *maildir.Box) error {
		flags, err := fileFlags(b, options.Flags, true)
		if err != nil {
			return err
		}
		m, err := b.Add(n, flags)
		if err != nil {
			return err
		}
		data = &imap.AppendData{UIDValidity: b.Validity(), UID: imap.UID(m.UID)}
		return nil
	})
	if err != nil {
		n.Abort()
		return nil, err
	}
	return data, nil
}

// fill writes the whole message. A connection that breaks looks like the end of it: only the
// size tells.
func fill(n *maildir.NewMail, r imap.LiteralReader, options *imap.AppendOptions) error {
	got, err := io.Copy(n, r)
	if err != nil {
		return err
	}
	if got != r.Size() {
		return io.ErrUnexpectedEOF
	}
	return n.Seal(options.Time)
}

// room tells whether a Maildir may have so many octets more.
func (s *session) room(p place, octets int64) error {
	quota := s.srv.opt.Quota(p.owner)
	if quota <= 0 {
		return nil
	}
	used, _, err := p.home.Usage()
	if err != nil {
		return err
	}
	if used+octets > quota {
		return errOverQuota
	}
	return nil
}

// fits is room for copies.
func (s *session) fits(p place, from *maildir.Box, list []*maildir.Mail) error {
	if s.srv.opt.Quota(p.owner) <= 0 {
		return nil
	}
	var octets int64
	for _, m := range list {
		n, err := from.Size(m)
		if err != nil && !errors.Is(err, maildir.ErrGone) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		octets += n
	}
	return s.room(p, octets)
}
