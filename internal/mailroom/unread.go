package mailroom

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
		err := filepath.WalkDir(m.root(name), func(path string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil // moved by a reader in this moment, or no mailbox yet
			case err != nil || d.IsDir():
				return err
			}
			base, info, _ := strings.Cut(d.Name(), ":2,")
			if id := IDOf(base); ids[id] && !strings.Contains(info, "S") {
				unread[id] = true
			}
			return nil
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
