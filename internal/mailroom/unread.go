package mailroom

import (
	"strings"

	"outpost/internal/maildir"
	"outpost/spool"
)

// Unread says which of some messages nobody has read yet who got them: the file is in a mailbox here, without the flag S that a mail program sets on what was
// seen, or the message is still on its way. One that was deleted, or went elsewhere, counts as read. It looks through all mailboxes.
func (m *Mailroom) Unread(ids map[spool.ID]bool) (map[spool.ID]bool, error) {
	unread := make(map[spool.ID]bool)
	for id := range ids {
		if _, err := m.opt.Queue.Get(id); err == nil {
			unread[id] = true // still on its way to somebody
		}
	}
	for _, name := range m.table().Mailboxes() {
		err := maildir.Dir{Root: m.root(name)}.Walk(func(base string, flags maildir.Flags) {
			if id := IDOf(base); ids[id] && flags&maildir.Seen == 0 {
				unread[id] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return unread, nil
}

// IDOf is the message whose file in a Maildir has that name; "" for one that was not delivered by a Mailroom.
func IDOf(base string) spool.ID {
	_, rest, _ := strings.Cut(base, ".")
	text, _, _ := strings.Cut(rest, "-")
	id, err := spool.ParseID(text)
	if err != nil {
		return ""
	}
	return id
}
