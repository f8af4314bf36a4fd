package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Swept counts what a Sweep removed.
type Swept struct {
	Temporary int // bodies that were being written when the program stopped
	Orphans   int // bodies that nobody names: written, never acknowledged, or done with
}

// Sweep empties tmp and removes the bodies for which keep says false. It is for
// start-up only, before the first Create and after everybody who names bodies
// has been read without an error: a keep that doesn't know all names destroys
// mail. What doesn't bear a valid ID was not put there by the spool and stays.
// Files that can't be removed are joined into the error; the rest is done.
func (s *Spool) Sweep(keep func(ID) bool) (Swept, error) {
	var swept Swept
	ids, err := s.ids()
	if err != nil {
		return swept, fmt.Errorf("spool: sweep: %w", err)
	}
	left, err := os.ReadDir(filepath.Join(s.dir, tmpDir))
	if err != nil {
		return swept, fmt.Errorf("spool: sweep: %w", err)
	}
	var faults []error
	for _, entry := range left {
		if err := os.Remove(filepath.Join(s.dir, tmpDir, entry.Name())); err != nil {
			faults = append(faults, err)
			continue
		}
		swept.Temporary++
	}
	for _, id := range ids {
		if keep(id) {
			continue
		}
		if err := s.Remove(id); err != nil && !errors.Is(err, ErrNotFound) {
			faults = append(faults, err)
			continue
		}
		swept.Orphans++
	}
	if err := errors.Join(faults...); err != nil {
		return swept, fmt.Errorf("spool: sweep: %w", err)
	}
	return swept, nil
}

// ids lists the bodies, oldest first.
func (s *Spool) ids() ([]ID, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	ids := make([]ID, 0, len(entries))
	for _, entry := range entries {
		if id := ID(entry.Name()); id.Valid() && entry.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Quarantine moves a body to corrupt/, where it stays until a person takes it
// away. ErrNotFound when it is not there. The move is durable on return: the
// new name is fsynced before the old one's absence.
func (s *Spool) Quarantine(id ID) error {
	path, err := s.path(id)
	if err != nil {
		return err
	}
	corrupt := filepath.Join(s.dir, corruptDir)
	if err := os.Rename(path, filepath.Join(corrupt, string(id))); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return wrapNotFound(err)
		}
		return wrapFull(err)
	}
	if err := SyncDir(corrupt); err != nil {
		return wrapFull(err)
	}
	return wrapFull(s.syncFolder())
}
