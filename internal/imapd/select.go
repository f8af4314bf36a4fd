package imapd

import (
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// Select is SELECT and EXAMINE.
func (s *session) Select(name string, options *imap.SelectOptions) (*imap.SelectData, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	s.unselect()
	p, err := s.locate(name)
	if err != nil {
		return nil, err
	}
	data, err := s.selectOnce(p, options.ReadOnly)
	if errReplaced(err) {
		data, err = s.selectOnce(p, options.ReadOnly)
	}
	if err != nil {
		return nil, s.trouble("SELECT", err)
	}
	s.wire.selects(!p.write)
	return data, nil
}

func (s *session) selectOnce(p place, examine bool) (*imap.SelectData, error) {
	room, err := s.srv.house.enter(p.home, p.folder)
	if err != nil {
		return nil, err
	}
	v := &view{room: room, readOnly: examine || !p.write}
	// Without a right to write, new mail stays in new/ for those who have it.
	v.take = !v.readOnly
	var data *imap.SelectData
	err = room.with(v.take, func(b *maildir.Box) error {
		v.open(b)
		data = v.selectData(b)
		return nil
	})
	if err != nil {
		if errReplaced(err) {
			s.srv.house.forget(room)
		}
		s.srv.house.leave(room)
		return nil, err
	}
	s.view = v
	return data, nil
}

func (v *view) selectData(b *maildir.Box) *imap.SelectData {
	flags := definedFlags(b)
	data := &imap.SelectData{
		Flags: flags, PermanentFlags: append(slices.Clone(flags), imap.FlagWildcard),
		NumMessages: uint32(len(v.uids)), //nolint:gosec // at most as many as UIDs
		UIDNext:     imap.UID(b.Next()), UIDValidity: b.Validity(),
	}
	if v.readOnly {
		data.PermanentFlags = nil
	}
	for i, m := range b.Mails() {
		if m.Flags&maildir.Seen == 0 {
			data.FirstUnseenSeqNum = uint32(i + 1) //nolint:gosec // as above
			break
		}
	}
	return data
}

// Unselect is UNSELECT, and what CLOSE and SELECT do to the mailbox before.
func (s *session) Unselect() error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	s.unselect()
	return nil
}

func (s *session) unselect() {
	if s.view != nil {
		s.srv.house.leave(s.view.room)
	}
	s.view, s.body = nil, bodyCache{}
}

// Expunge is EXPUNGE, UID EXPUNGE (RFC 4315) and, with a writer that writes nowhere,
// CLOSE. The client hears of it by Poll.
func (s *session) Expunge(w *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	switch {
	case s.view == nil:
		return errNotSelected
	case s.view.readOnly && *w == (imapserver.ExpungeWriter{}):
		return nil // CLOSE of what was only read removes nothing (RFC 3501 §6.4.2).
	case s.view.readOnly:
		return errReadOnly
	}
	// Only what the client knows: not what another one has just put there.
	known := s.view.uids
	if uids != nil {
		known = s.view.resolve(*uids)
	}
	err := s.view.room.with(true, func(b *maildir.Box) error {
		list, _ := mails(b, known)
		list = slices.DeleteFunc(list, func(m *maildir.Mail) bool { return m.Flags&maildir.Deleted == 0 })
		if len(list) == 0 {
			return nil
		}
		if err := b.Remove(list); err != nil {
			return err
		}
		return b.Flush()
	})
	return s.trouble("EXPUNGE", err)
}

// Store is STORE.
func (s *session) Store(w *imapserver.FetchWriter, set imap.NumSet, store *imap.StoreFlags, _ *imap.StoreOptions) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	switch {
	case s.view == nil:
		return errNotSelected
	case s.view.readOnly:
		return errReadOnly
	}
	uids := s.view.resolve(set)
	var answers []update
	missing := 0
	err := s.view.room.with(true, func(b *maildir.Box) error {
		flags, err := fileFlags(b, store.Flags, store.Op != imap.StoreFlagsDel)
		if err != nil {
			return err
		}
		list, gone := mails(b, uids)
		missing = gone
		if err := b.SetFlags(list, combine(store.Op, flags)); err != nil {
			return err
		}
		for _, m := range list {
			s.view.knows(m)
			if !store.Silent {
				answers = append(answers, update{fetched, s.view.seq(m.UID), m.UID, flagList(b, m.Flags)})
			}
		}
		return b.Flush()
	})
	if err != nil {
		return s.trouble("STORE", err)
	}
	_, byUID := set.(imap.UIDSet)
	for _, a := range answers {
		r := w.CreateMessage(a.num)
		if byUID {
			r.WriteUID(imap.UID(a.uid))
		}
		r.WriteFlags(a.flags)
		if err := r.Close(); err != nil {
			return err
		}
	}
	if missing > 0 && !byUID {
		return errExpunged
	}
	return nil
}

// combine is what an operation makes of a message's flags. Letters that IMAP doesn't
// know (P, for one) stay.
func combine(op imap.StoreFlagsOp, flags maildir.Flags) func(maildir.Flags) maildir.Flags {
	return func(f maildir.Flags) maildir.Flags {
		switch op {
		case imap.StoreFlagsAdd:
			return f | flags
		case imap.StoreFlagsDel:
			return f &^ flags
		case imap.StoreFlagsSet:
			return f&^maildir.Settable | flags
		}
		return f
	}
}

// Copy is COPY.
func (s *session) Copy(set imap.NumSet, dest string) (*imap.CopyData, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	data, err := s.copy(set, dest, false)
	if err != nil {
		return nil, s.trouble("COPY", err)
	}
	return data, nil
}

// Move is MOVE (RFC 6851). That the messages are gone here the client hears by Poll.
func (s *session) Move(w *imapserver.MoveWriter, set imap.NumSet, dest string) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	data, err := s.copy(set, dest, true)
	if err != nil {
		return s.trouble("MOVE", err)
	}
	if data == nil {
		return nil
	}
	return w.WriteCopyData(data)
}

// copy is COPY and MOVE; the answer is nil if there was nothing to do.
func (s *session) copy(set imap.NumSet, dest string, move bool) (*imap.CopyData, error) {
	if s.view == nil {
		return nil, errNotSelected
	}
	if move && s.view.readOnly {
		return nil, errReadOnly
	}
	p, err := s.locate(dest)
	if err != nil {
		return nil, errTryCreate
	}
	if !p.write {
		return nil, errReadOnly
	}
	// Opened first: whether it is there decides the answer.
	if err := s.visit(p, func(*maildir.Box) error { return nil }); err != nil {
		if answer := s.trouble("COPY", err); answer != error(errNoMailbox) { //nolint:errorlint // that very one
			return nil, answer
		}
		return nil, errTryCreate
	}
	room, err := s.srv.house.enter(p.home, p.folder)
	if err != nil {
		return nil, err
	}
	defer s.srv.house.leave(room)
	uids := s.view.resolve(set)
	var data *imap.CopyData
	err = both(s.view.room, room, func(from, to *maildir.Box) error {
		list, gone := mails(from, uids)
		if _, byUID := set.(imap.UIDSet); gone > 0 && !byUID {
			return errExpunged
		}
		if !move || p.home.Root != s.view.room.home.Root {
			if err := s.fits(p, from, list); err != nil {
				return err
			}
		}
		copies, err := to.Copy(from, list, move)
		if err != nil {
			return err
		}
		data = copyData(to, list, copies)
		return nil
	})
	return data, err
}

// copyData pairs the UIDs (RFC 4315 §3): both sets ascend.
func copyData(to *maildir.Box, list, copies []*maildir.Mail) *imap.CopyData {
	data := &imap.CopyData{UIDValidity: to.Validity()}
	for i, m := range list {
		if copies[i] != nil {
			data.SourceUIDs.AddNum(imap.UID(m.UID))
			data.DestUIDs.AddNum(imap.UID(copies[i].UID))
		}
	}
	if len(data.SourceUIDs) == 0 {
		return nil
	}
	return data
}
