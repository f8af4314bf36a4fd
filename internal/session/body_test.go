package session

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/spool"
)

// removeBody takes a message's file away, as a broken disk does.
func removeBody(t *testing.T, dir string, id spool.ID) {
	t.Helper()
	removed := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), string(id)) {
			removed++
			return os.Remove(path)
		}
		return err
	})
	if err != nil || removed != 1 {
		t.Fatalf("removed %d files: %v", removed, err)
	}
}
