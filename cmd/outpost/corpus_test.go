package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Six thousand messages of real people, lists and spammers, and those that Python's email package is tested with, go through
// an office both ways. They are fetched by scripts/corpus.sh; `make corpus` does both.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("OUTPOST_CORPUS")
	if dir == "" {
		t.Skip("OUTPOST_CORPUS names no folder with a corpus: make corpus")
	}
	list := readCorpus(t, dir)
	t.Run("collected", func(t *testing.T) { collected(t, list) })
	t.Run("handed in", func(t *testing.T) { submitted(t, list) })
}

// readCorpus reads all messages below a folder, in the order of their names.
func readCorpus(t *testing.T, dir string) (list []specimen) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".txt") {
			return err
		}
		text, err := os.ReadFile(path)
		list = append(list, specimen{name: strings.TrimPrefix(path, dir), text: text, data: len(list)%2 == 0})
		return err
	})
	if err != nil || len(list) < 6000 {
		t.Fatalf("%s has %d messages, %v", dir, len(list), err)
	}
	return list
}
