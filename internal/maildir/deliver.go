package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"outpost/spool"
)

// Dir is one Maildir++: Root/{tmp,new,cur}, its other folders as Root/.Name.
type Dir struct {
	Root string
	// Step is called before each durable step ("create", "write", "fsync", "rename",
	// "dirsync"); an error aborts there. For fault tests. nil: none.
	Step func(string) error
	// Syncs lets deliveries that go on at the same time share fsyncs of folders. nil: each has its own.
	Syncs *spool.Syncs

	folder bool // one of another mailbox's folders, see Folder
}

func (d Dir) step(name string) error {
	if d.Step == nil {
		return nil
	}
	return d.Step(name)
}

// Deliver writes one message and returns its name in new/. key begins the name, and is unique for ever in this mailbox. A Dir
// that isn't there is made. The order is what
// makes it survive a power cut, and be found whole or not at all:
//
//  1. tmp/<key> is created, after what an interrupted try may have left there;
//  2. written; 3. fsynced and closed;
//  4. renamed to new/<key>,S=<size>,W=<size with CRLF>;
//  5. new/ is fsynced.
//
// rename, not link: a link left behind in tmp/ would be one file with the
// delivered one.
func (d Dir) Deliver(key string, write func(io.Writer) error) (string, error) {
	tmp := filepath.Join(d.Root, "tmp", key)
	name, err := d.fill(tmp, key, write)
	if err == nil {
		err = d.step("rename")
	}
	if err == nil {
		err = d.rename(tmp, filepath.Join(d.Root, "new", name))
	}
	if err != nil {
		_ = os.Remove(tmp) // The error matters, not this one; the next try removes it too.
		return "", err
	}
	if err := d.step("dirsync"); err != nil {
		return "", err
	}
	return name, d.Syncs.Folder(filepath.Join(d.Root, "new"))
}

// rename shows the message. new/ may be missing where tmp/ is there.
func (d Dir) rename(tmp, final string) error {
	err := os.Rename(tmp, final)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.make(); err != nil {
			return err
		}
		err = os.Rename(tmp, final)
	}
	return err
}

// fill writes tmp and tells the final name.
func (d Dir) fill(tmp, key string, write func(io.Writer) error) (string, error) {
	f, err := d.create(tmp)
	if err != nil {
		return "", err
	}
	defer f.Close() // For the error paths; a second Close does nothing.
	if err := d.step("write"); err != nil {
		return "", err
	}
	lines, err := writeLines(f, write)
	if err != nil {
		return "", err
	}
	if err := d.step("fsync"); err != nil {
		return "", err
	}
	if err := errors.Join(d.Syncs.File(f), f.Close()); err != nil {
		return "", err
	}
	// With S and W in the name, Dovecot and Maildir++ quota need not open the
	// file to know its sizes.
	return fmt.Sprintf("%s,S=%d,W=%d", key, lines.size, lines.virtual), nil
}

// writeBuffers are 16 KiB, which is above most messages, so that they are one write.
var writeBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 16<<10) }}

// writeLines writes what write writes, as it is to lie in the file.
func writeLines(f *os.File, write func(io.Writer) error) (*unixLines, error) {
	buffered := writeBuffers.Get().(*bufio.Writer)
	buffered.Reset(f)
	defer func() {
		buffered.Reset(nil)
		writeBuffers.Put(buffered)
	}()
	lines := &unixLines{w: buffered}
	return lines, errors.Join(write(lines), lines.end(), buffered.Flush())
}

// create opens a new file, making the mailbox when it isn't there.
func (d Dir) create(tmp string) (*os.File, error) {
	if err := d.step("create"); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist): // left by an interrupted try
		if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	case errors.Is(err, fs.ErrNotExist):
		if err := d.make(); err != nil {
			return nil, err
		}
	default:
		return f, err
	}
	return os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// make creates what is missing of the mailbox, durably: a message that is synced in a
// folder that isn't would be gone with it.
func (d Dir) make() error {
	for _, dir := range []string{"tmp", "new", "cur"} {
		if err := spool.MakeDir(filepath.Join(d.Root, dir)); err != nil {
			return err
		}
	}
	if d.folder {
		return d.makeFolder()
	}
	return nil
}

// Find looks for a message delivered earlier, by the beginning of its name: new/ before
// cur/ and the inbox before other folders, the way readers move messages, so
// that one on the move is not missed. What is found is synced, as the earlier try
// may have died before that.
func (d Dir) Find(key string) (string, error) {
	for _, sub := range []string{"new", "cur"} {
		dirs, err := d.every(sub)
		if err != nil {
			return "", err
		}
		for _, dir := range dirs {
			found := ""
			err := eachName(dir, func(name string) (more bool) {
				if strings.HasPrefix(name, key) {
					found = name
				}
				return found == ""
			})
			if err != nil {
				return "", err
			}
			if found != "" {
				return found, spool.SyncDir(dir)
			}
		}
	}
	return "", nil
}
