package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// grain is how coarse the time of a folder may be: within it a second change
	// can't be told from the first. ext3 and HFS+ have a second, FAT two.
	grain = 2 * time.Second
	// minWait and maxWait bound how soon a folder is looked through once more when a
	// change may have hidden behind one of our own. Between them it is twenty times
	// what the last look took, so that a busy folder costs a twentieth of the time.
	minWait = time.Second
	maxWait = 30 * time.Second
)

// watch remembers when new/ or cur/ was looked through.
type watch struct {
	mtime time.Time // of the folder, before the look
	sure  bool      // nothing can have changed without the time changing
	at    time.Time // when it was sure last
}

// due tells whether to look again.
func (w *watch) due(mtime, now time.Time, wait time.Duration) bool {
	return !mtime.Equal(w.mtime) || !w.sure && now.Sub(w.at) >= wait
}

// looked notes a look that began at now.
func (w *watch) looked(mtime, now time.Time) {
	*w = watch{mtime: mtime, sure: now.Sub(mtime) > grain, at: now}
}

// ours notes a change of our own, before which the folder's time was before. One of
// somebody else that went ahead of it is not to be missed.
func (w *watch) ours(before, after, now time.Time) {
	if !before.Equal(w.mtime) {
		*w = watch{}
		return
	}
	if w.sure {
		w.at = now
	}
	w.mtime, w.sure = after, false
}

// Stale makes the next Sync look at everything, whatever the folder's time says.
func (b *Box) Stale() { b.news, b.curs = watch{}, watch{} }

// StaleNew makes the next Sync look for new mail: something was delivered.
func (b *Box) StaleNew() { b.news = watch{} }

// mtimes are the times of new/ and cur/.
func (b *Box) mtimes() (news, curs time.Time, err error) {
	n, err := os.Stat(filepath.Join(b.dir.Root, "new"))
	if err != nil {
		return news, curs, err
	}
	c, err := os.Stat(filepath.Join(b.dir.Root, "cur"))
	if err != nil {
		return news, curs, err
	}
	return n.ModTime(), c.ModTime(), nil
}

// own does work, which renames or removes in new/ and cur/, and keeps it from
// looking like somebody else's.
func (b *Box) own(work func() error) error {
	n, c, err := b.mtimes()
	if err != nil {
		return err
	}
	err = work()
	n2, c2, err2 := b.mtimes()
	if err2 != nil {
		return errors.Join(err, err2)
	}
	now := time.Now()
	b.news.ours(n, n2, now)
	b.curs.ours(c, c2, now)
	return err
}

// Sync makes the Box equal to what is on the disk, as far as anything changed there.
// New messages get their UIDs, which are durable on return. With take, new mail is
// moved from new/ to cur/, as a program does that shows it to its user; that needs
// the right to change the folder, but so does giving UIDs.
func (b *Box) Sync(take bool) error {
	err := b.compare()
	if err == nil && b.again {
		err = b.compare()
	}
	if err != nil || !take {
		return err
	}
	return b.take()
}

// compare looks at what has changed on the disk.
func (b *Box) compare() error {
	n, c, err := b.mtimes()
	if errors.Is(err, fs.ErrNotExist) && b.validity != 0 {
		return ErrRenumbered
	}
	if err != nil {
		return err
	}
	now := time.Now()
	lookNew, lookCur := b.again || b.news.due(n, now, b.wait), b.again || b.curs.due(c, now, b.wait)
	b.again = false
	if b.words.stale(b.dir.Root) {
		if b.words, err = readKeywords(b.dir.Root); err != nil {
			return err
		}
		b.changes++
	}
	if lookNew || lookCur {
		if err := b.look(lookNew, lookCur); err != nil {
			return err
		}
		if lookNew {
			b.news.looked(n, now)
		}
		if lookCur {
			b.curs.looked(c, now)
			b.wait = min(max(20*time.Since(now), minWait), maxWait)
		}
	}
	if changed(filepath.Join(b.dir.Root, uidListName), b.list) {
		return b.load()
	}
	return nil
}

// found is a file that no known message has.
type found struct {
	name  string
	isNew bool
}

// look reads new/, cur/ or both. Names that are missing are looked for once more in
// both: a rename by another program can hide a file from somebody who is reading the folder.
func (b *Box) look(lookNew, lookCur bool) error {
	b.turn++
	fresh := map[string]found{}
	if err := b.scan(fresh, lookNew, lookCur); err != nil {
		return err
	}
	lost := func(m *Mail) bool { return m.turn != b.turn && (m.isNew && lookNew || !m.isNew && lookCur) }
	if slices.ContainsFunc(b.mails, lost) {
		lookNew, lookCur = true, true
		if err := b.scan(fresh, true, true); err != nil {
			return err
		}
		b.drop(lost)
	}
	if len(fresh) == 0 && b.validity != 0 {
		return nil
	}
	return b.number(fresh)
}

// scan reads the names in new/, then cur/: the way messages go.
func (b *Box) scan(fresh map[string]found, lookNew, lookCur bool) error {
	if lookNew {
		if err := b.scanDir(fresh, "new"); err != nil {
			return err
		}
	}
	if lookCur {
		return b.scanDir(fresh, "cur")
	}
	return nil
}

func (b *Box) scanDir(fresh map[string]found, sub string) error {
	f, err := os.Open(filepath.Join(b.dir.Root, sub))
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(4096)
		for _, name := range names {
			b.meet(fresh, name, sub == "new")
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// meet takes one name of new/ or cur/.
func (b *Box) meet(fresh map[string]found, name string, isNew bool) {
	base, flags := splitInfo(name)
	if !validBase(base) {
		return
	}
	m := b.byBase[base]
	if m == nil {
		fresh[base] = found{name, isNew}
		return
	}
	m.turn = b.turn
	if m.name != name {
		m.name, m.base = name, len(base)
	}
	m.isNew = isNew
	if m.Flags != flags {
		m.Flags = flags
		b.change(m)
	}
}

// take moves what is in new/ to cur/.
func (b *Box) take() error {
	var waiting []*Mail
	for _, m := range b.mails {
		if m.isNew {
			waiting = append(waiting, m)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return b.own(func() error {
		for _, m := range waiting {
			err := b.rename(m, m.Flags)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err == nil {
				b.recent++
			}
		}
		return nil
	})
}

// rename gives a message's file the name of its flags, in cur/.
func (b *Box) rename(m *Mail, flags Flags) error {
	name := m.name[:m.base] + infoMark + "2," + flags.String()
	if name == m.name && !m.isNew {
		return nil
	}
	if err := os.Rename(b.Path(m), filepath.Join(b.dir.Root, "cur", name)); err != nil {
		return err
	}
	m.name, m.isNew = name, false
	return nil
}
