// Package users owns the users file: who may sign in, and the hash of each password.
//
// The file has one line a user, NAME:HASH or NAME:HASH:disabled. The hash is argon2id
// in PHC form or bcrypt, or nothing: such a user has a mailbox and cannot sign in.
// Empty lines and those that begin with # are kept as they are.
//
// The commands write it and the daemon reads it, at the same time: a change is made
// under a lock on NAME.lock beside it, to a copy that is fsynced and renamed, so that a
// reader sees the file before or after and never between. A Guard reads it again when
// it has changed, so that nobody has to restart anything.
//
// The package knows nothing of mail: what mailbox a user has, and what he may do, is
// the configuration's.
package users

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"outpost/spool"
)

// The errors of changes to the file. Their text says who.
var (
	ErrExists  = errors.New("is in the users file already")
	ErrUnknown = errors.New("is not in the users file")
)

// maxFile bounds what is read, in octets: some ten thousand users.
const maxFile = 2 << 20

// Entry is one user of the file.
type Entry struct {
	Name string
	// Hash is of his password, as Hash makes it. "": he cannot sign in.
	Hash string
	// Disabled: he cannot sign in whatever the hash, and whatever is said of him
	// elsewhere. His mailbox is kept and gets mail.
	Disabled bool
}

// File is a users file. The zero value is of no use; see Open. Its methods may be
// called from any goroutine and from several processes.
type File struct{ path string }

// Open names a users file. Nothing is read yet, and a file that isn't there is one
// without users.
func Open(path string) *File { return &File{path: path} }

// Path is the file's name.
func (f *File) Path() string { return f.path }

// List reads the file. What is wrong with some lines is an error that names each, and
// comes with the users of the others; a name whose line is wrong is among them, without
// a hash and disabled, because nobody knows what he was to be allowed.
func (f *File) List() ([]Entry, error) {
	lines, err := f.read()
	if err != nil {
		return nil, err
	}
	list, err := entries(lines)
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return list, err
}

// Add adds a user who isn't there yet; else the error is ErrExists.
func (f *File) Add(name, hash string) error {
	return f.change(name, func(e Entry, known bool) (Entry, error) {
		if known {
			return e, ErrExists
		}
		return Entry{Name: name, Hash: hash}, nil
	})
}

// SetHash gives a user another password. One who isn't in the file is added: the
// configuration may have him.
func (f *File) SetHash(name, hash string) error {
	return f.change(name, func(e Entry, _ bool) (Entry, error) {
		e.Hash = hash
		return e, nil
	})
}

// Disable keeps a user from signing in. One who isn't in the file is added.
func (f *File) Disable(name string) error {
	return f.change(name, func(e Entry, _ bool) (Entry, error) {
		e.Disabled = true
		return e, nil
	})
}

// Enable undoes Disable. For one who isn't in the file the error is ErrUnknown.
func (f *File) Enable(name string) error {
	return f.change(name, func(e Entry, known bool) (Entry, error) {
		if !known {
			return e, ErrUnknown
		}
		e.Disabled = false
		return e, nil
	})
}

// change replaces a user's line, or adds one at the end.
func (f *File) change(name string, edit func(Entry, bool) (Entry, error)) error {
	if err := CheckName(name); err != nil {
		return fmt.Errorf("user %w", err)
	}
	unlock, err := f.lock()
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	defer unlock()
	lines, err := f.read()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(lines, func(line string) bool { return nameOf(line) == name })
	e := Entry{Name: name}
	if at >= 0 {
		if e, err = parse(lines[at]); err != nil {
			return fmt.Errorf("%s: line %d: %w", f.path, at+1, err)
		}
	}
	if e, err = edit(e, at >= 0); err != nil {
		return fmt.Errorf("user %q %w", name, err)
	}
	if err := checkEntry(e); err != nil {
		return err
	}
	if at < 0 {
		lines = append(lines, "")
		at = len(lines) - 1
	}
	lines[at] = e.line()
	return f.write(strings.Join(lines, "\n") + "\n")
}

func (e Entry) line() string {
	if e.Disabled {
		return e.Name + ":" + e.Hash + ":disabled"
	}
	return e.Name + ":" + e.Hash
}

// read gives the file's lines without their ends.
func (f *File) read() ([]string, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d octets; a users file has at most %d", f.path, info.Size(), maxFile)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	return split(text), nil
}

func split(text []byte) []string {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")) // edited on Windows
	text = bytes.TrimSuffix(text, []byte("\n"))
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// write puts the file in place whole or not at all: a temporary file beside it, fsync,
// rename, fsync of the folder.
func (f *File) write(text string) (err error) {
	dir := filepath.Dir(f.path)
	tmp, err := os.CreateTemp(dir, filepath.Base(f.path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(text)
	err = errors.Join(err, sameOwner(tmp, f.path), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return spool.SyncDir(dir)
}

// entries reads the lines of a file.
func entries(lines []string) ([]Entry, error) {
	var list []Entry
	var faults []error
	seen := make(map[string]bool)
	for i, line := range lines {
		if blank(line) {
			continue
		}
		e, err := parse(line)
		if err == nil && seen[e.Name] {
			err = fmt.Errorf("user %q has a line already", e.Name)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", i+1, err))
			e = Entry{Name: nameOf(line), Disabled: true}
			if CheckName(e.Name) != nil || seen[e.Name] {
				continue
			}
		}
		seen[e.Name] = true
		list = append(list, e)
	}
	return list, errors.Join(faults...)
}

func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

// nameOf is the name a line is about; "" for a comment.
func nameOf(line string) string {
	if blank(line) {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
	return name
}

func parse(line string) (Entry, error) {
	name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return Entry{}, errors.New("must be NAME:HASH")
	}
	hash, state, stated := strings.Cut(rest, ":")
	if stated && state != "disabled" {
		return Entry{}, fmt.Errorf("user %q: behind the hash stands something else than disabled", name)
	}
	e := Entry{Name: name, Hash: hash, Disabled: stated}
	return e, checkEntry(e)
}

func checkEntry(e Entry) error {
	if err := CheckName(e.Name); err != nil {
		return fmt.Errorf("user %w", err)
	}
	if e.Hash == "" {
		return nil
	}
	if err := CheckHash(e.Hash); err != nil {
		return fmt.Errorf("user %q: %w", e.Name, err)
	}
	return nil
}
