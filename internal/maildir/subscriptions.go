package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// subscriptionsName is the file of the folders that a user wants to see. Dovecot
// writes version 2: "V<tab>2", an empty line, then a folder a line with tabs between
// the levels, in modified UTF-7. Version 1 has no header and the dots of the disk.
const subscriptionsName = "subscriptions"

// maxSubscriptions bounds how many there can be, and how much of a file is read.
const maxSubscriptions = 10_000

// ErrSubscriptions means that no more folders can be subscribed to.
var ErrSubscriptions = errors.New("too many subscriptions")

// Subscriptions lists the folders that the user of this mailbox has subscribed to,
// in the order he did. They need not exist.
func (d Dir) Subscriptions() ([]string, error) {
	f, err := os.Open(filepath.Join(d.Root, subscriptionsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseSubscriptions(f)
}

func parseSubscriptions(r io.Reader) ([]string, error) {
	var names []string
	separator := "."
	in := bufio.NewScanner(r)
	for first := true; in.Scan() && len(names) < maxSubscriptions; first = false {
		line := strings.TrimSuffix(in.Text(), "\r")
		if first && strings.HasPrefix(line, "V\t") {
			separator = "\t"
			continue
		}
		name, err := decodeUTF7(strings.ReplaceAll(line, separator, "/"))
		if line != "" && err == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, in.Err()
}

// Subscribe adds a folder to the list, or takes it out. It says nothing of
// whether there is such a folder; name must be one that Folder takes.
func (d Dir) Subscribe(name string, on bool) error {
	if _, err := folderDir(name); err != nil {
		return err
	}
	path := filepath.Join(d.Root, subscriptionsName)
	release, err := lock(path)
	if err != nil {
		return err
	}
	defer release()
	names, err := d.Subscriptions()
	if err != nil || slices.Contains(names, name) == on {
		return err
	}
	if on {
		if len(names) >= maxSubscriptions {
			return ErrSubscriptions
		}
		names = append(names, name)
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	return writeFile(path, func(w io.Writer) error {
		b := bufio.NewWriter(w) // It keeps its first error for Flush.
		_, _ = fmt.Fprint(b, "V\t2\n\n")
		for _, n := range names {
			_, _ = fmt.Fprintln(b, strings.ReplaceAll(encodeUTF7(n), "/", "\t"))
		}
		return b.Flush()
	})
}
