package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeDir makes a folder (mode 0700) and those above it where they are missing,
// and fsyncs the entry of each: a fsynced file in a folder whose own name is lost
// in a power cut is lost too. A folder that is there already may stand in one
// that we can't read (/var/lib/private of systemd's DynamicUser): it was not
// made by us, and is left to whoever did.
func MakeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		if err := MakeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Stat(path); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is in the way: it is not a folder", path)
	}
	if err := SyncDir(filepath.Dir(path)); made || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
