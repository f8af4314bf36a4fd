package maildir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"outpost/spool"
)

// trash begins the name of a folder that is being removed: two dots, so that nobody
// takes it for one.
const trash = "..outpost-removed."

// ErrFolderExists means that there is a folder of that name already.
var ErrFolderExists = errors.New("there is a folder of that name")

// Folders lists the folders of the mailbox, without the inbox, by name. A mailbox that
// isn't there has none.
func (d Dir) Folders() ([]string, error) {
	entries, err := os.ReadDir(d.Root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := folderName(e.Name())
		if name == "" || !e.IsDir() {
			continue
		}
		if _, err := os.Stat(filepath.Join(d.Root, e.Name(), "cur")); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create makes a folder, durably, and gives it a UIDVALIDITY that none has had. The
// levels above need not be there.
func (d Dir) Create(name string) error {
	f, err := d.Folder(name)
	if err != nil {
		return err
	}
	if !f.folder {
		return ErrFolderExists
	}
	if _, err := os.Stat(filepath.Join(f.Root, "cur")); err == nil {
		return ErrFolderExists
	}
	if err := f.make(); err != nil {
		return err
	}
	_, err = OpenBox(d, name)
	return err
}

// Delete removes a folder with all that is in it, but not those below it. It is
// fs.ErrNotExist if there is none. The inbox can't be removed.
func (d Dir) Delete(name string) error {
	f, err := d.Folder(name)
	if err != nil {
		return err
	}
	if !f.folder {
		return fmt.Errorf("%w: the inbox stays", ErrFolderName)
	}
	// Renamed first: it is gone at one go, and what a crash leaves is known for what
	// it is and removed the next time.
	if err := os.Rename(f.Root, filepath.Join(d.Root, trash+strings.ToLower(rand.Text()[:16]))); err != nil {
		return err
	}
	err = spool.SyncDir(d.Root)
	left, globErr := filepath.Glob(filepath.Join(escapeGlob(d.Root), trash+"*"))
	err = errors.Join(err, globErr)
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// Rename gives a folder, and those below it, another name. UIDs and UIDVALIDITY
// stay. The inbox can't be renamed.
func (d Dir) Rename(from, to string) error {
	old, err := folderDir(from)
	if err != nil {
		return err
	}
	next, err := folderDir(to)
	if err != nil {
		return err
	}
	if old == "" || next == "" {
		return fmt.Errorf("%w: the inbox keeps its name", ErrFolderName)
	}
	if strings.HasPrefix(next+".", old+".") {
		return fmt.Errorf("%w: it would lie inside itself", ErrFolderName)
	}
	names, err := d.Folders()
	if err != nil {
		return err
	}
	moves, err := planRename(names, from, to)
	if err != nil {
		return err
	}
	for _, m := range moves {
		if err := os.Rename(filepath.Join(d.Root, m[0]), filepath.Join(d.Root, m[1])); err != nil {
			return err
		}
	}
	return spool.SyncDir(d.Root)
}

// planRename is what is to be renamed to what on the disk. All of it is checked before
// the first is done.
func planRename(names []string, from, to string) ([][2]string, error) {
	var moves [][2]string
	for _, name := range names {
		rest, ok := strings.CutPrefix(name+"/", from+"/")
		if !ok {
			continue
		}
		target := strings.TrimSuffix(to+"/"+rest, "/")
		if slices.Contains(names, target) {
			return nil, ErrFolderExists
		}
		oldDir, err := folderDir(name)
		if err != nil {
			return nil, err
		}
		newDir, err := folderDir(target)
		if err != nil {
			return nil, err
		}
		moves = append(moves, [2]string{oldDir, newDir})
	}
	if len(moves) == 0 {
		return nil, fs.ErrNotExist
	}
	return moves, nil
}

// Usage is how many octets the messages of the mailbox take, all folders together, and
// how many there are: by the sizes in their names, as Dovecot's and Courier's quota
// count. Only a file whose name has none is asked for its size.
func (d Dir) Usage() (octets int64, messages int, err error) {
	names, err := d.Folders()
	if err != nil {
		return 0, 0, err
	}
	for _, name := range append([]string{""}, names...) {
		f, err := d.Folder(name)
		if err != nil {
			return 0, 0, err
		}
		for _, sub := range []string{"new", "cur"} {
			o, n, err := usage(filepath.Join(f.Root, sub))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, 0, err
			}
			octets += o
			messages += n
		}
	}
	return octets, messages, nil
}

// usage adds up one new/ or cur/.
func usage(dir string) (octets int64, messages int, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	for _, name := range names {
		base, _ := splitInfo(name)
		size, _ := sizes(base)
		if size < 0 {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				continue // Moved meanwhile.
			}
			size = info.Size()
		}
		octets += size
		messages++
	}
	return octets, messages, err
}
