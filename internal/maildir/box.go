package maildir

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrGone means that a message is not there any more. Another program, or another
// session, has removed or moved it.
var ErrGone = errors.New("the message is gone")

// ErrRenumbered means that a folder has another UIDVALIDITY than when it was opened, or
// is gone: the Box must be given up.
var ErrRenumbered = errors.New("the folder has been replaced by another one")

// Mail is one message of an open folder. Its fields are the Box's, and may be read
// while the Box may.
type Mail struct {
	// UID is the message's number in the folder, for ever (RFC 3501 §2.3.1.1).
	UID uint32
	// Flags are those of the file name.
	Flags Flags
	// Change is the value of Box.Changes when Flags last changed, or the message came.
	Change uint64

	name          string // of the file
	base          int    // how much of name is without flags
	isNew         bool   // lies in new/, not cur/
	gone          bool
	turn          uint32 // the last look that found it
	size, virtual int64  // -1: not in the name
	date          time.Time
}

// Box is a folder that is open: its messages, their UIDs and flags in memory, kept
// equal to what is on the disk by Sync. It is not for concurrent use. Two Boxes of one
// folder in two programs get along as two Dovecots do, by lock files and by renames
// that only one of them can win. Not promised beside a Dovecot at work: what it moves at
// the moment at which it is moved here may be there twice, as it moves by a link and a
// removal.
type Box struct {
	dir  Dir
	root string // of the mailbox, which has dovecot-uidvalidity

	validity, next uint32
	mails          []*Mail // by UID
	byBase         map[string]*Mail
	changes        uint64
	words          keywords

	again  bool                 // messages were given up that are there: look once more
	list   fs.FileInfo          // dovecot-uidlist as it was read
	lines  int                  // in it
	absent map[string]uidRecord // those of its records that no message here has, by name
	torn   bool                 // it ends in half a line

	news, curs watch
	wait       time.Duration // how soon to look again after changes of our own
	turn       uint32
	recent     int // messages moved from new/ since the folder was opened
}

// OpenBox opens the folder of a mailbox, by its name as in Dir.Folder, and reads it.
// A folder that isn't there is fs.ErrNotExist, unless it is the inbox, which is made.
func OpenBox(mailbox Dir, folder string) (*Box, error) {
	dir, err := mailbox.Folder(folder)
	if err != nil {
		return nil, err
	}
	b := &Box{dir: dir, root: mailbox.Root, byBase: map[string]*Mail{}, absent: map[string]uidRecord{}}
	if _, err := os.Stat(dir.Root); err != nil && (dir.folder || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if _, err := os.Stat(filepath.Join(dir.Root, sub)); errors.Is(err, fs.ErrNotExist) {
			if err := dir.make(); err != nil {
				return nil, err
			}
		}
	}
	if b.words, err = readKeywords(dir.Root); err != nil {
		return nil, err
	}
	if err := dir.sweep(time.Now()); err != nil {
		return nil, err
	}
	return b, b.Sync(false)
}

// leftOver is when a file in tmp/ can't be one that somebody is still writing
// (cr.yp.to/proto/maildir.html has 36 hours).
const leftOver = 36 * time.Hour

// sweep removes what interrupted deliveries have left in tmp/. Both the file's time and that
// in its name must be old: a message that is appended may have any date, and one that is
// delivered any name.
func (d Dir) sweep(now time.Time) error {
	entries, err := os.ReadDir(filepath.Join(d.Root, "tmp"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		digits, _, _ := strings.Cut(e.Name(), ".")
		named := time.Unix(parseNumber(digits), 0)
		if err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) > leftOver && now.Sub(named) > leftOver {
			_ = os.Remove(filepath.Join(d.Root, "tmp", e.Name())) // Or else the next time.
		}
	}
	return nil
}

// Validity is the folder's UIDVALIDITY.
func (b *Box) Validity() uint32 { return b.validity }

// Next is above all UIDs there have been.
func (b *Box) Next() uint32 { return b.next }

// Mails are the messages by UID. The slice is the Box's, good until its next method.
func (b *Box) Mails() []*Mail { return b.mails }

// Changes grows with everything that changes.
func (b *Box) Changes() uint64 { return b.changes }

// Recent is how many messages Sync has moved out of new/ so far.
func (b *Box) Recent() int { return b.recent }

// Find is the message of a UID, nil if there is none.
func (b *Box) Find(uid uint32) *Mail {
	i, ok := slices.BinarySearchFunc(b.mails, uid, func(m *Mail, uid uint32) int { return cmp.Compare(m.UID, uid) })
	if !ok {
		return nil
	}
	return b.mails[i]
}

// Path is where a message's file was when it was last looked for. If it isn't there
// any more, Relocate tells.
func (b *Box) Path(m *Mail) string {
	if m.isNew {
		return filepath.Join(b.dir.Root, "new", m.name)
	}
	return filepath.Join(b.dir.Root, "cur", m.name)
}

// Relocate looks for a message whose file was not at its Path. The error is ErrGone if
// it is nowhere.
func (b *Box) Relocate(m *Mail) (string, error) {
	b.Stale()
	if err := b.Sync(false); err != nil {
		return "", err
	}
	if m.gone {
		return "", ErrGone
	}
	return b.Path(m), nil
}

// Date is when the message came: its file's time.
func (b *Box) Date(m *Mail) (time.Time, error) {
	if !m.date.IsZero() {
		return m.date, nil
	}
	info, err := b.stat(m)
	if err != nil {
		return time.Time{}, err
	}
	m.date = info.ModTime().Truncate(time.Second)
	return m.date, nil
}

// stat asks for the message's file, after looking for it if it must.
func (b *Box) stat(m *Mail) (fs.FileInfo, error) {
	info, err := os.Stat(b.Path(m))
	if errors.Is(err, fs.ErrNotExist) {
		var path string
		if path, err = b.Relocate(m); err == nil {
			info, err = os.Stat(path)
		}
	}
	return info, err
}

// Size is the message's length in octets with CRLF at the end of each line. It is
// in the name or the list, as a rule; else the file is read.
func (b *Box) Size(m *Mail) (int64, error) {
	if m.virtual >= 0 {
		return m.virtual, nil
	}
	if _, err := b.stat(m); err != nil {
		return 0, err
	}
	n, err := virtualSize(b.Path(m))
	if err == nil {
		m.virtual = n
	}
	return n, err
}

// virtualSize counts what a file has with CRLF at the end of each line.
func virtualSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := &unixLines{w: bufio.NewWriter(io.Discard)}
	if _, err := io.Copy(lines, f); err != nil {
		return 0, err
	}
	if err := lines.end(); err != nil {
		return 0, err
	}
	return lines.virtual, nil
}

// Keyword is the flag of a keyword, 0 if the folder hasn't it. With add it is added,
// and the error is ErrKeywords if there is no room.
func (b *Box) Keyword(name string, add bool) (Flags, error) {
	i := b.words.find(name)
	if i >= 0 {
		return keywordFlag(i), nil
	}
	if !add {
		return 0, nil
	}
	if !validKeyword(name) {
		return 0, fmt.Errorf("%q is not a keyword", name)
	}
	words, err := addKeyword(b.dir.Root, name)
	if err != nil {
		return 0, err
	}
	b.words = words
	b.changes++
	return keywordFlag(b.words.find(name)), nil
}

// Keywords are the names of the keywords among flags. A letter without a name has none.
func (b *Box) Keywords(flags Flags) []string {
	var names []string
	for i, name := range b.words.names {
		if name != "" && flags&keywordFlag(i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// AllKeywords are the names of all keywords of the folder.
func (b *Box) AllKeywords() []string { return b.Keywords(allKeywords) }

// change notes that a message is different from now on.
func (b *Box) change(m *Mail) {
	b.changes++
	m.Change = b.changes
}

// drop forgets messages that are gone.
func (b *Box) drop(lost func(*Mail) bool) {
	b.mails = slices.DeleteFunc(b.mails, func(m *Mail) bool {
		if !lost(m) {
			return false
		}
		m.gone = true
		b.changes++
		delete(b.byBase, m.name[:m.base])
		b.absent[m.name[:m.base]] = uidRecord{uid: m.UID, base: m.name[:m.base]}
		return true
	})
}
