package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"outpost/spool"
)

// SetFlags gives messages new flags, and passes over those that are gone. The change is
// durable after Flush.
func (b *Box) SetFlags(mails []*Mail, set func(Flags) Flags) error {
	mails = slices.Clone(mails) // which may be the Box's own, and change below
	return b.own(func() error {
		for _, m := range mails {
			if err := b.setFlags(m, set); err != nil && !errors.Is(err, ErrGone) {
				return err
			}
		}
		return nil
	})
}

func (b *Box) setFlags(m *Mail, set func(Flags) Flags) error {
	if m.gone {
		return ErrGone
	}
	if set(m.Flags) == m.Flags {
		return nil
	}
	err := b.rename(m, set(m.Flags))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := b.Relocate(m); err != nil {
			return err
		}
		// What another program has set meanwhile counts.
		err = b.rename(m, set(m.Flags))
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			b.Stale()
			return ErrGone
		}
		return err
	}
	m.Flags = set(m.Flags)
	b.change(m)
	return nil
}

// Remove removes messages for good. It is durable after Flush.
func (b *Box) Remove(mails []*Mail) error {
	mails = slices.Clone(mails)
	gone := map[*Mail]bool{}
	err := b.own(func() error {
		for _, m := range mails {
			if m.gone {
				continue
			}
			err := os.Remove(b.Path(m))
			if errors.Is(err, fs.ErrNotExist) {
				// Another program has changed its flags, or removed it.
				var path string
				if path, err = b.Relocate(m); err == nil {
					err = os.Remove(path)
				}
			}
			if err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			gone[m] = true
		}
		return nil
	})
	b.drop(func(m *Mail) bool { return gone[m] })
	return err
}

// Flush makes changes of names and removals durable.
func (b *Box) Flush() error {
	if err := b.dir.step("dirsync"); err != nil {
		return err
	}
	return spool.SyncDir(filepath.Join(b.dir.Root, "cur"))
}
