package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// lockStale is when a lock whose owner can't be asked is taken to be left over:
	// Dovecot's time for the UID list.
	lockStale = 2 * time.Minute
	// lockPatience is how long somebody else's lock is waited for. Locks are held
	// for some milliseconds; a mail program gives up after 30 s or more.
	lockPatience = 20 * time.Second
	// lockLook is the time between two tries.
	lockLook = 10 * time.Millisecond
)

// ErrLocked means that another program has held the lock of a file for long. It is
// temporary.
var ErrLocked = errors.New("another program holds the lock")

// lock takes path's dotlock the way Dovecot does: path.lock with the owner's process
// number and host. The returned function gives it back.
func lock(path string) (release func(), err error) {
	path += ".lock"
	until := time.Now().Add(lockPatience)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			_, err := f.WriteString(lockOwner())
			if err := errors.Join(err, f.Close()); err != nil {
				_ = os.Remove(path)
				return nil, err
			}
			return func() { _ = os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if removeStale(path) {
			continue
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("%w %s", ErrLocked, path)
		}
		time.Sleep(lockLook)
	}
}

func lockOwner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return strconv.Itoa(os.Getpid()) + ":" + host
}

// removeStale removes a lock whose owner is gone, and tells whether to try again.
func removeStale(path string) bool {
	before, err := os.Stat(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	owner, host, _ := strings.Cut(string(text), ":")
	pid, err := strconv.Atoi(owner)
	_, ours, _ := strings.Cut(lockOwner(), ":")
	dead := err == nil && host == ours && processGone(pid)
	if !dead && time.Since(before.ModTime()) < lockStale {
		return false
	}
	// Not one that somebody has taken meanwhile.
	if now, err := os.Stat(path); err != nil || !os.SameFile(before, now) {
		return true
	}
	return os.Remove(path) == nil
}
