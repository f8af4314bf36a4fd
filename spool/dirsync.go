package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// dirSync lets many callers share one fsync of a folder. An fsync serves those
// who asked before it began, so a caller either opens a round or joins the one
// that has not begun yet; the round begins when the fsync before it is over. The
// more callers, the larger the rounds; a lone caller waits for nobody.
type dirSync struct {
	fsync func() error

	turn chan struct{} // of capacity 1, full during an fsync: one round at a time
	mu   sync.Mutex    // guards next
	next *round        // the round that still takes callers; nil = none
}

type round struct {
	done chan struct{} // closed when err is set
	err  error
}

func newDirSync(fsync func() error) *dirSync {
	return &dirSync{fsync: fsync, turn: make(chan struct{}, 1)}
}

// do returns when an fsync that began after the call of do is over.
func (d *dirSync) do() error {
	d.mu.Lock()
	if r := d.next; r != nil {
		d.mu.Unlock()
		<-r.done
		return r.err
	}
	r := &round{done: make(chan struct{})}
	d.next = r
	d.mu.Unlock()

	d.turn <- struct{}{}
	d.mu.Lock()
	d.next = nil // who comes from here on may be too late for this fsync
	d.mu.Unlock()
	r.err = d.fsync()
	<-d.turn
	close(r.done)
	return r.err
}

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
