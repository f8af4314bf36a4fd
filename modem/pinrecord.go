package modem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// PINRecord remembers the last PIN that a SIM card has refused, also over a restart: a
// daemon that is started again and again must not block the card, which takes three
// wrong PINs. It keeps a hash, in a file of mode 0600. It may be used by several Modems
// and goroutines.
type PINRecord struct {
	path string // "": only in memory

	mu   sync.Mutex
	hash []byte
	read bool // the file was looked at
}

// NewPINRecord uses the file at path, which need not exist. "": nothing is stored.
func NewPINRecord(path string) *PINRecord { return &PINRecord{path: path, read: path == ""} }

// Refused says whether this PIN was refused before. A record that cannot be read says
// yes: rather no call than a blocked card.
func (r *PINRecord) Refused(pin string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.read {
		hash, err := os.ReadFile(r.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		r.hash, r.read = hash, true
	}
	if len(r.hash) == 0 {
		return false
	}
	err := bcrypt.CompareHashAndPassword(r.hash, []byte(pin))
	return !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword)
}

// Note remembers a PIN that was refused. On an error it is remembered all the same, as
// long as the program runs.
func (r *PINRecord) Note(pin string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Four digits cannot be kept from somebody who tries them all, at any cost; the hash
	// keeps them from eyes and backups.
	hash, err := bcrypt.GenerateFromPassword([]byte(pin), bcrypt.MinCost)
	if err != nil {
		return fmt.Errorf("modem: the refused PIN could not be noted: %w", err)
	}
	r.hash, r.read = hash, true
	if r.path == "" {
		return nil
	}
	if err := writeSynced(r.path, hash); err != nil {
		return fmt.Errorf("modem: the refused PIN could not be noted: %w", err)
	}
	return nil
}

// hint is what a person can do about a PIN that is on record.
func (r *PINRecord) hint() string {
	s := "correct pin or pin_file; this one is not sent again, because three wrong tries block the card"
	if r.path != "" {
		s += " (if it is right after all, as with another card, remove " + r.path + ")"
	}
	return s
}

// writeSynced writes a small file that is whole or not there, also after a power cut.
func writeSynced(path string, text []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
