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
		dirs, err := d.every(sub)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			if strings.HasPrefix(filepath.Base(filepath.Dir(dir)), trash) {
				continue
			}
			err := eachName(dir, func(name string) (more bool) {
				see(splitInfo(name))
				return true
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// every is new/ or cur/ of the mailbox and of its folders.
func (d Dir) every(sub string) ([]string, error) {
	folders, err := filepath.Glob(filepath.Join(escapeGlob(d.Root), ".?*", sub))
	if err != nil {
		return nil, err
	}
	return append([]string{filepath.Join(d.Root, sub)}, folders...), nil
}

// escapeGlob makes a path stand for itself in a pattern. A backslash can't be escaped
// on Windows, where it separates, and must be elsewhere, so a set is used for all.
func escapeGlob(path string) string {
	r := strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]")
	if os.PathSeparator != '\\' {
		r = strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]", `\`, `\\`)
	}
	return r.Replace(path)
}

// eachName tells see what is in a directory, which may have very many entries, or not exist, as long as see wants more.
func eachName(dir string, see func(name string) (more bool)) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		list, err := f.Readdirnames(1024)
		for _, name := range list {
			if !see(name) {
				return nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
