package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// Who comes to a folder while it is being fsynced may have come too late for that, so all of them share the next one. Other
// folders wait for nobody.
func TestFolderSyncsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := errors.New("fault")
		gate := make(chan error)
		calls := map[string]int{}
		s := NewSyncs()
		s.syncFolder = func(dir string) error {
			s.mu.Lock()
			calls[dir]++
			s.mu.Unlock()
			if dir == "other" {
				return nil
			}
			return <-gate
		}
		first, rest := make(chan error, 1), make(chan error, 50)
		go func() { first <- s.Folder("busy") }()
		synctest.Wait()
		for range 50 {
			go func() { rest <- s.Folder("busy") }()
		}
		synctest.Wait()
		if err := s.Folder("other"); err != nil {
			t.Error(err)
		}
		gate <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if len(rest) > 0 {
			t.Errorf("%d were served by an fsync that began before them", len(rest))
		}
		gate <- fault
		for range 50 {
			if err := <-rest; !errors.Is(err, fault) {
				t.Errorf("one who shared a failed fsync got %v", err)
			}
		}
		synctest.Wait()
		if calls["busy"] != 2 || calls["other"] != 1 || len(s.folders) != 0 {
			t.Errorf("fsyncs: %v; folders kept: %d", calls, len(s.folders))
		}
	})
}

// However many folders there are, so many fsyncs run at once and no more, and each comes to its turn.
func TestSyncsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		running, most := 0, 0
		s := NewSyncs()
		s.syncFolder = func(string) error {
			s.mu.Lock()
			running++
			most = max(most, running)
			s.mu.Unlock()
			<-gate
			s.mu.Lock()
			running--
			s.mu.Unlock()
			return nil
		}
		for i := range 3 * foldersAtOnce {
			go func() { _ = s.Folder(string(rune('a' + i))) }()
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if most != foldersAtOnce || len(s.folders) != 0 {
			t.Errorf("%d at once; folders kept: %d", most, len(s.folders))
		}
	})
}

// The real ones; and a nil Syncs does without others.
func TestSyncs(t *testing.T) {
	dir := t.TempDir()
	for _, s := range []*Syncs{nil, NewSyncs()} {
		f, err := os.Create(filepath.Join(dir, "x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.File(f), f.Close(), s.Folder(dir)); err != nil {
			t.Error(err)
		}
		if err := s.Folder(filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a folder that isn't there: %v", err)
		}
	}
}
