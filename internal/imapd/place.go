package imapd

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"outpost/internal/maildir"
)

// delim separates levels in the names that clients see, and sharedPrefix begins
// those of shared folders.
const (
	delim        = '/'
	sharedTop    = "Shared"
	sharedPrefix = sharedTop + "/"
)

// specialFolders are made for a new user, with their use (RFC 6154 §2). The use goes by
// the name, so it stays when Dovecot has had the files.
var specialFolders = [...]struct {
	name string
	use  imap.MailboxAttr
}{
	{"Drafts", imap.MailboxAttrDrafts},
	{"Sent", imap.MailboxAttrSent},
	{"Junk", imap.MailboxAttrJunk},
	{"Trash", imap.MailboxAttrTrash},
	{"Archive", imap.MailboxAttrArchive},
}

// place is where a mailbox name leads.
type place struct {
	name   string      // as clients write it
	owner  string      // the user or shared folder whose Maildir it is
	home   maildir.Dir // his Maildir
	folder string      // in it
	write  bool
	shared bool
}

// locate finds the place of a name; whether there is such a folder is another question.
// A shared folder that the user has no right to read is as one that isn't there.
func (s *session) locate(name string) (place, error) {
	rest, shared := strings.CutPrefix(name, sharedPrefix)
	if !shared {
		if name == "" || name == sharedTop {
			return place{}, errNoMailbox
		}
		return place{name: name, owner: s.user, home: s.srv.mailbox(s.user), folder: name, write: true}, nil
	}
	owner, folder, inside := strings.Cut(rest, string(delim))
	if inside && folder == "" {
		return place{}, errNoMailbox
	}
	for _, sh := range s.srv.opt.Shared(s.user) {
		if sh.Name == owner && safeName(owner) {
			return place{name: name, owner: owner, home: s.srv.mailbox(owner), folder: folder, write: sh.Write, shared: true}, nil
		}
	}
	return place{}, errNoMailbox
}

// writable is locate for a command that changes the folder itself, which no inbox allows.
func (s *session) writable(name string) (place, error) {
	p, err := s.locate(name)
	switch {
	case err != nil:
		return p, err
	case !p.write:
		return p, errReadOnly
	case p.folder == "" || strings.EqualFold(p.folder, maildir.Inbox):
		return p, no(imap.ResponseCodeCannot, "This mailbox stays")
	}
	return p, nil
}

// visit does work on a place's mailbox, alone. One that another program has replaced
// since it was used last is opened anew.
func (s *session) visit(p place, work func(b *maildir.Box) error) error {
	err := s.visitOnce(p, work)
	if errReplaced(err) {
		err = s.visitOnce(p, work)
	}
	return err
}

func (s *session) visitOnce(p place, work func(b *maildir.Box) error) error {
	room, err := s.srv.house.enter(p.home, p.folder)
	if err != nil {
		return err
	}
	defer s.srv.house.leave(room)
	err = room.with(false, work)
	if errReplaced(err) {
		s.srv.house.forget(room)
	}
	return err
}

// entry is a name of LIST.
type entry struct {
	name   string
	absent bool // only a level above others
}

// entries are all names that the user can see, ordered, with the levels above.
func (s *session) entries() ([]entry, error) {
	names, err := s.srv.mailbox(s.user).Folders()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == sharedTop || strings.HasPrefix(n, sharedPrefix) })
	names = append(names, maildir.Inbox)
	for _, sh := range s.srv.opt.Shared(s.user) {
		if !safeName(sh.Name) {
			continue
		}
		names = append(names, sharedPrefix+sh.Name)
		inside, err := s.srv.mailbox(sh.Name).Folders()
		if err != nil {
			return nil, err
		}
		for _, n := range inside {
			names = append(names, sharedPrefix+sh.Name+string(delim)+n)
		}
	}
	return withLevels(names), nil
}

// withLevels adds the levels above names that aren't names themselves.
func withLevels(names []string) []entry {
	have := map[string]bool{} // absent or not
	for _, name := range names {
		have[name] = false
		for i, c := range name {
			if _, ok := have[name[:i]]; c == delim && !ok {
				have[name[:i]] = true
			}
		}
	}
	list := make([]entry, 0, len(have))
	for name, absent := range have {
		list = append(list, entry{name, absent})
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return list
}
