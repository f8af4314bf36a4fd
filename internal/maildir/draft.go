package maildir

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"outpost/spool"
)

// NewMail is a message that is being written into a folder: a file in tmp/ until Box.Add.
type NewMail struct {
	f     *os.File
	w     *bufio.Writer
	lines *unixLines
	path  string
	key   string
	step  func(string) error
}

// Begin starts a message for the folder. host becomes part of the file's name. Either
// Seal and Box.Add, or Abort, must follow.
func (b *Box) Begin(host string) (*NewMail, error) { return b.dir.begin(host) }

func (d Dir) begin(host string) (*NewMail, error) {
	key := fmt.Sprintf("%d.O%s.%s", time.Now().Unix(), strings.ToLower(rand.Text()[:16]), fileHost(host))
	n := &NewMail{path: filepath.Join(d.Root, "tmp", key), key: key, step: d.step}
	var err error
	if n.f, err = d.create(n.path); err != nil {
		return nil, err
	}
	n.w = bufio.NewWriterSize(n.f, 64<<10)
	n.lines = &unixLines{w: n.w}
	return n, nil
}

// fileHost makes a host's name part of a file's.
func fileHost(host string) string {
	host = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return -1
	}, host)
	if host == "" {
		return "localhost"
	}
	return host[:min(len(host), 100)]
}

// Write takes part of the message. CRLF becomes LF, all else stays.
func (n *NewMail) Write(p []byte) (int, error) { return n.lines.Write(p) }

// Size is how many octets were written, so far, as they lie on the disk.
func (n *NewMail) Size() int64 { return n.lines.size }

// Seal ends the message and makes its content durable. when becomes the date at which
// it came; zero is now.
func (n *NewMail) Seal(when time.Time) error {
	if err := n.step("fsync"); err != nil {
		return err
	}
	err := errors.Join(n.lines.end(), n.w.Flush())
	if err == nil && !when.IsZero() {
		err = os.Chtimes(n.path, when, when)
	}
	return errors.Join(err, n.f.Sync(), n.f.Close())
}

// Abort removes what was written.
func (n *NewMail) Abort() {
	_ = n.f.Close()
	_ = os.Remove(n.path)
}

// name is the file's name for good, without flags.
func (n *NewMail) name() string {
	return fmt.Sprintf("%s,S=%d,W=%d", n.key, n.lines.size, n.lines.virtual)
}

// Add shows a sealed message in the folder, with its flags. On return its name and
// its UID are durable.
func (b *Box) Add(n *NewMail, flags Flags) (*Mail, error) {
	added, err := b.enter([]string{n.name()}, func(i int, name string) error {
		return os.Rename(n.path, filepath.Join(b.dir.Root, "cur", name))
	}, []Flags{flags})
	if err != nil {
		// Not told, so not there: who appended will do it again.
		_ = os.Remove(filepath.Join(b.dir.Root, "cur", n.name()+infoMark+"2,"+flags.String()))
		b.Stale()
		return nil, err
	}
	return added[0], nil
}

// enter puts files into cur/ by place, under base names that are new, and gives them UIDs in
// that order. A file that place says is gone (ErrGone) is passed over, and nil in the
// answer. After another error those placed stay: they are messages.
func (b *Box) enter(bases []string, place func(i int, name string) error, flags []Flags) ([]*Mail, error) {
	// So that the UIDs below are above all there are, also another program's.
	if err := b.Sync(false); err != nil {
		return nil, err
	}
	if err := b.dir.step("rename"); err != nil {
		return nil, err
	}
	entered := make([]*Mail, len(bases))
	fresh := map[string]found{}
	err := b.own(func() error {
		for i, base := range bases {
			name := base + infoMark + "2," + flags[i].String()
			err := place(i, name)
			if errors.Is(err, ErrGone) {
				continue
			}
			if err != nil {
				return err
			}
			fresh[base] = found{name: name}
		}
		return nil
	})
	if len(fresh) == 0 {
		return entered, err
	}
	if err2 := b.dir.step("dirsync"); err2 != nil {
		return nil, errors.Join(err, err2)
	}
	if err := errors.Join(err, spool.SyncDir(filepath.Join(b.dir.Root, "cur"))); err != nil {
		return nil, err
	}
	if err := b.numberInOrder(fresh, bases); err != nil {
		return nil, err
	}
	for i, base := range bases {
		entered[i] = b.byBase[base]
	}
	return entered, nil
}

// Copy puts copies of messages of another folder, or of this one, into this folder, and
// returns them; nil for one that is gone. Files are linked, not written, where the
// file system can. With move they are moved. On return it is durable.
func (b *Box) Copy(from *Box, mails []*Mail, move bool) ([]*Mail, error) {
	mails = slices.Clone(mails) // which may be a Box's own, and change below
	bases := make([]string, len(mails))
	flags := make([]Flags, len(mails))
	for i, m := range mails {
		bases[i] = b.freshBase(m)
		var err error
		if flags[i], err = b.translate(from, m.Flags); err != nil {
			return nil, err
		}
	}
	place := func(i int, name string) error {
		to := filepath.Join(b.dir.Root, "cur", name)
		return from.hand(mails[i], to, move)
	}
	if !move {
		entered, err := b.enter(bases, place, flags)
		if err != nil {
			// All or nothing (RFC 3501 §6.4.7).
			for i, base := range bases {
				_ = os.Remove(filepath.Join(b.dir.Root, "cur", base+infoMark+"2,"+flags[i].String()))
			}
			b.Stale()
		}
		return entered, err
	}
	var entered []*Mail
	err := from.own(func() (err error) {
		entered, err = b.enter(bases, place, flags)
		return err
	})
	left := map[*Mail]bool{}
	for i, m := range mails {
		if entered != nil && entered[i] != nil {
			left[m] = true
		}
	}
	from.drop(func(m *Mail) bool { return left[m] })
	if err != nil {
		from.Stale() // Some may have been moved.
		return entered, err
	}
	return entered, from.Flush()
}

// hand links or moves one message's file to a path.
func (b *Box) hand(m *Mail, to string, move bool) error {
	if m.gone {
		return ErrGone
	}
	transfer := linkOrCopy
	if move {
		transfer = os.Rename
	}
	err := transfer(b.Path(m), to)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	path, err := b.Relocate(m)
	if err != nil {
		return err
	}
	if err := transfer(path, to); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return ErrGone
		}
		return err
	}
	return nil
}

// linkOrCopy makes a second name of a file, or a second file.
func linkOrCopy(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Sync(), dst.Close(), os.Chtimes(to, info.ModTime(), info.ModTime())); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

// freshBase is a name that no message of any folder has had, and yet begins as the one
// it comes from did: who delivered it looks for it by that (Dir.Find).
func (b *Box) freshBase(m *Mail) string {
	base := m.name[:m.base]
	stem, rest, _ := strings.Cut(base, ",")
	if i := strings.LastIndex(stem, "_"); i >= 0 && len(stem)-i == 1+16 {
		stem = stem[:i]
	}
	stem += "_" + strings.ToLower(rand.Text()[:16])
	if rest == "" {
		return stem
	}
	return stem + "," + rest
}

// translate gives the flags in this folder's letters. A keyword that doesn't fit any
// more is left out.
func (b *Box) translate(from *Box, flags Flags) (Flags, error) {
	if b == from {
		return flags, nil
	}
	to := flags &^ allKeywords
	for _, name := range from.Keywords(flags) {
		f, err := b.Keyword(name, true)
		if err != nil && !errors.Is(err, ErrKeywords) {
			return 0, err
		}
		to |= f
	}
	return to, nil
}
