package imapd

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// List is LIST and LSUB (RFC 3501 §6.3.8, RFC 5258).
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	if len(patterns) == 0 {
		// "" asks for the separator.
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delim})
	}
	all, err := s.entries()
	if err != nil {
		return s.trouble("LIST", err)
	}
	subscribed, err := s.srv.mailbox(s.user).Subscriptions()
	if err != nil {
		return s.trouble("LIST", err)
	}
	l := lister{all: all, subscribed: subscribed, options: options}
	for _, e := range l.candidates() {
		byLevel := false
		if !slices.ContainsFunc(patterns, func(p string) bool {
			byLevel = strings.Contains(p, "%")
			return matches(e.name, ref+p)
		}) {
			continue
		}
		data := l.data(e, byLevel)
		if data == nil {
			continue
		}
		if options.ReturnStatus != nil && !e.absent {
			// One that can't be opened is listed all the same (RFC 5819 §2).
			data.Status, _ = s.status(e.name, options.ReturnStatus)
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

// lister makes the answers of one LIST.
type lister struct {
	all        []entry
	subscribed []string
	options    *imap.ListOptions
}

// candidates are the names to match: all, or those subscribed with the levels above.
func (l *lister) candidates() []entry {
	if !l.options.SelectSubscribed {
		return l.all
	}
	list := withLevels(l.subscribed)
	for i, e := range list {
		list[i].absent = !l.there(e.name)
	}
	return list
}

// there tells whether there is a mailbox of that name.
func (l *lister) there(name string) bool {
	return slices.Contains(l.all, entry{name: name})
}

// data is the answer for one name, nil if it isn't selected. byLevel tells that the
// pattern ends at a level.
func (l *lister) data(e entry, byLevel bool) *imap.ListData {
	d := &imap.ListData{Mailbox: e.name, Delim: delim}
	subscribed := slices.Contains(l.subscribed, e.name)
	below := func(n string) bool { return strings.HasPrefix(n, e.name+string(delim)) }
	if e.absent {
		d.Attrs = append(d.Attrs, imap.MailboxAttrNoSelect)
	}
	if l.options.SelectSubscribed && !subscribed {
		// A level above: for LSUB % (RFC 3501 §6.3.9) and RECURSIVEMATCH (RFC 5258 §3.5).
		if !byLevel && !l.options.SelectRecursiveMatch {
			return nil
		}
		if l.options.SelectRecursiveMatch {
			d.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
		}
	}
	if subscribed && (l.options.ReturnSubscribed || l.options.SelectSubscribed) {
		d.Attrs = append(d.Attrs, imap.MailboxAttrSubscribed)
	}
	children := imap.MailboxAttrHasNoChildren
	if slices.ContainsFunc(l.all, func(o entry) bool { return below(o.name) }) {
		children = imap.MailboxAttrHasChildren
	}
	d.Attrs = append(d.Attrs, children)
	use := imap.MailboxAttr("")
	for _, special := range specialFolders {
		if special.name == e.name && !e.absent {
			use = special.use
		}
	}
	if use != "" {
		d.Attrs = append(d.Attrs, use)
	} else if l.options.SelectSpecialUse {
		return nil
	}
	return d
}

// matches tells whether a name matches a pattern: * is anything, % anything within a
// level (RFC 3501 §6.3.8). Its time is bounded by the product of the lengths; the library's
// own can take for ever.
func matches(name, pattern string) bool {
	if strings.EqualFold(pattern, maildir.Inbox) {
		pattern = maildir.Inbox
	}
	// reach[i]: the pattern so far can end before name[i].
	reach := make([]bool, len(name)+1)
	reach[0] = true
	for _, c := range []byte(pattern) {
		if c == '*' || c == '%' {
			for i := 0; i < len(name); i++ {
				if reach[i] && (c == '*' || name[i] != delim) {
					reach[i+1] = true
				}
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			reach[i] = reach[i-1] && name[i-1] == c
		}
		reach[0] = false
	}
	return reach[len(name)]
}

// Create is CREATE.
func (s *session) Create(name string, options *imap.CreateOptions) error {
	return s.alter("CREATE", func() error {
		if len(options.SpecialUse) > 0 {
			return errNoSpecialUse
		}
		// One that ends in the separator says that others will be made inside.
		p, err := s.writable(strings.TrimSuffix(name, string(delim)))
		if err != nil {
			return err
		}
		if err := p.home.Create(p.folder); err != nil {
			return err
		}
		s.log.Info("mailbox made", "user", s.user, "mailbox", p.name)
		return nil
	})
}

// alter does a command that changes folders.
func (s *session) alter(command string, work func() error) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	return s.trouble(command, work())
}

// Delete is DELETE.
func (s *session) Delete(name string) error {
	return s.alter("DELETE", func() error {
		p, err := s.writable(name)
		if err != nil {
			return err
		}
		if err := p.home.Delete(p.folder); err != nil {
			return err
		}
		s.srv.house.forgetPath(p.home, p.folder)
		s.log.Info("mailbox removed", "user", s.user, "mailbox", p.name)
		return nil
	})
}

// Rename is RENAME. Within one Maildir it is at one go; the inbox is emptied into a new
// folder instead (RFC 3501 §6.3.5).
func (s *session) Rename(name, newName string, _ *imap.RenameOptions) error {
	return s.alter("RENAME", func() error {
		to, err := s.writable(strings.TrimSuffix(newName, string(delim)))
		if err != nil {
			return err
		}
		if name == maildir.Inbox {
			return s.emptyInbox(to)
		}
		from, err := s.writable(name)
		if err != nil {
			return err
		}
		if from.home.Root != to.home.Root {
			return no(imap.ResponseCodeCannot, "A mailbox can't be renamed to another person's or shared folder's; make one there and move the messages")
		}
		inside, err := from.home.Folders()
		if err != nil {
			return err
		}
		if err := from.home.Rename(from.folder, to.folder); err != nil {
			return err
		}
		for _, folder := range inside {
			if folder == from.folder || strings.HasPrefix(folder, from.folder+string(delim)) {
				s.srv.house.forgetPath(from.home, folder)
			}
		}
		s.log.Info("mailbox renamed", "user", s.user, "mailbox", from.name, "to", to.name)
		return nil
	})
}

// emptyInbox moves all messages of the inbox to a new folder.
func (s *session) emptyInbox(to place) error {
	if err := to.home.Create(to.folder); err != nil {
		return err
	}
	from, err := s.locate(maildir.Inbox)
	if err != nil {
		return err
	}
	return s.between(from, to, func(inbox, dest *maildir.Box) error {
		_, err := dest.Copy(inbox, slices.Clone(inbox.Mails()), true)
		return err
	})
}

// between does work on two places' mailboxes, alone.
func (s *session) between(from, to place, work func(from, to *maildir.Box) error) error {
	a, err := s.srv.house.enter(from.home, from.folder)
	if err != nil {
		return err
	}
	defer s.srv.house.leave(a)
	b, err := s.srv.house.enter(to.home, to.folder)
	if err != nil {
		return err
	}
	defer s.srv.house.leave(b)
	return both(a, b, work)
}

// Subscribe is SUBSCRIBE. The list is the user's own, also for shared folders.
func (s *session) Subscribe(name string) error {
	return s.alter("SUBSCRIBE", func() error {
		p, err := s.locate(name)
		if err != nil {
			return err
		}
		if _, err := folderPath(p.home, p.folder); err != nil {
			return err
		}
		if err := s.visit(p, func(*maildir.Box) error { return nil }); err != nil {
			return err
		}
		return s.srv.mailbox(s.user).Subscribe(p.name, true)
	})
}

// Unsubscribe is UNSUBSCRIBE, also for a mailbox that is gone.
func (s *session) Unsubscribe(name string) error {
	return s.alter("UNSUBSCRIBE", func() error {
		return s.srv.mailbox(s.user).Subscribe(name, false)
	})
}

// Namespace is NAMESPACE (RFC 2342).
func (s *session) Namespace() (*imap.NamespaceData, error) {
	data := &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delim}}}
	if len(s.srv.opt.Shared(s.user)) > 0 {
		data.Shared = []imap.NamespaceDescriptor{{Prefix: sharedPrefix, Delim: delim}}
	}
	return data, nil
}

// Status is STATUS.
func (s *session) Status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	data, err := s.status(name, options)
	if err != nil {
		return nil, s.trouble("STATUS", err)
	}
	return data, nil
}

func (s *session) status(name string, options *imap.StatusOptions) (*imap.StatusData, error) {
	p, err := s.locate(name)
	if err != nil {
		return nil, err
	}
	data := &imap.StatusData{Mailbox: name}
	err = s.visit(p, func(b *maildir.Box) error {
		var all, unseen, deleted, recent uint32
		var size, waste int64
		for _, m := range b.Mails() {
			all++
			if m.Flags&maildir.Seen == 0 {
				unseen++
			}
			gone := m.Flags&maildir.Deleted != 0
			if gone {
				deleted++
			}
			if !options.Size && !options.DeletedStorage {
				continue
			}
			n, err := b.Size(m)
			if err != nil && !errors.Is(err, maildir.ErrGone) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			size += n
			if gone {
				waste += n
			}
		}
		limit := s.AppendLimit()
		data.NumMessages, data.NumUnseen, data.NumDeleted, data.NumRecent = &all, &unseen, &deleted, &recent
		data.Size, data.DeletedStorage, data.AppendLimit = &size, &waste, &limit
		data.UIDNext, data.UIDValidity = imap.UID(b.Next()), b.Validity()
		return nil
	})
	return data, err
}
