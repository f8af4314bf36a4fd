package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Walk tells see of every message of the mailbox, those in its folders too: what its file is called, without the flags, and the
// flags. The order is that in which readers move messages, new/ before cur/ and the inbox before other folders, so that one on the move is
// not missed; it may be told of twice. A mailbox that isn't there has none. d must be a mailbox, not a folder of one.
func (d Dir) Walk(see func(base string, flags Flags)) error {
	for _, sub := range []string{"new", "cur"} {
		folders, err := filepath.Glob(filepath.Join(escapeGlob(d.Root), ".?*", sub))
		if err != nil {
			return err
		}
		for _, dir := range append([]string{filepath.Join(d.Root, sub)}, folders...) {
			if strings.HasPrefix(filepath.Base(filepath.Dir(dir)), trash) {
				continue
			}
			if err := walk(dir, see); err != nil {
				return err
			}
		}
	}
	return nil
}

// walk is Walk for one directory, which may have very many entries, or not exist.
func walk(dir string, see func(base string, flags Flags)) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			see(splitInfo(name))
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
