//go:build !windows

package spool

import (
	"fmt"
	"os"
)

// SyncDir fsyncs a folder, so that the names made, renamed or removed in it
// survive a power cut: POSIX makes the name of a file no part of the file's own
// fsync. On macOS, Sync is F_FULLFSYNC, which reaches the medium.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("fsync of folder %s: %w", dir, err)
	}
	return nil
}
