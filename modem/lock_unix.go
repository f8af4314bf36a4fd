//go:build linux || darwin || freebsd || openbsd

package modem

import (
	"errors"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// systemLockDirs are the folders of lock files. On Red Hat's systems lockdev has one of
// its own.
func systemLockDirs() []string {
	if runtime.GOOS == "linux" {
		return []string{"/run/lock", "/var/lock", "/run/lock/lockdev"}
	}
	return []string{"/var/spool/lock"}
}

// alive says whether there is a process of that number, whoever's.
func alive(pid int) bool {
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}

// removeLeftover takes away a lock whose process is gone. Others may be at it too, and
// one that was quicker may have made its own lock since: who removes holds the file's
// own lock (flock(2)), and removes only what still stands at that path.
func removeLeftover(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil { //nolint:gosec // a descriptor fits
		return err
	}
	looked, err := f.Stat()
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(looked, now) {
		return nil //nolint:nilerr // somebody else has removed it
	}
	if state, _ := lookAt(path); state != lockLeft {
		return nil
	}
	return os.Remove(path)
}
