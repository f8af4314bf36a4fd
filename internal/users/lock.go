package users

import (
	"errors"
	"os"
	"path/filepath"
)

// lock keeps other writers off until unlock is called. The lock has a file of its own,
// because the users file is another one after each change.
func (f *File) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return nil, err
	}
	l, err := os.OpenFile(f.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(sameOwner(l, f.path), lockFile(l)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return func() { _ = l.Close() }, nil // nothing was written
}
