package modem

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// UUCP lock files (FHS 3.0 §5.9): LCK..NAME holds the number of the process that uses
// the port NAME, as ten ASCII characters and a line end (the HDB format). Programs that
// know nothing of one another (uucp, pppd, minicom, mgetty, fax and SMS daemons) keep
// off each other's ports by them, root included, whom an exclusive port lets in.

const (
	lockPrefix = "LCK.."
	// maxLock is how much of a lock file is read; some write a program's and a user's
	// name behind the number.
	maxLock = 64
	// lockTries bounds the dance with programs that make and remove the same lock.
	lockTries = 5
	// writeWait is how old a lock without a number must be before it counts as left over.
	// Most programs create the file first and write the number within milliseconds.
	writeWait = 10 * time.Second
)

// PortUser is who has a port.
type PortUser struct {
	Name     string // the program, "" when not known
	PID      int    // 0: not known
	LockFile string // where it says so; "" when it was found by other means
}

func (u *PortUser) String() string {
	name := u.Name
	if name == "" {
		name = "another program"
	}
	if u.PID != 0 {
		name += fmt.Sprintf(" (process %d)", u.PID)
	}
	if u.LockFile != "" {
		name += ", lock file " + u.LockFile
	}
	return name
}

// portLock is a lock file of ours. Nil: there is none.
type portLock struct{ path string }

// lockPort makes a lock for a port, or says who has one. Neither happens where none can
// be made; that is noted, and the port's own exclusiveness must do.
func lockPort(device string, opt PortOptions) (*portLock, *PortUser) {
	names := lockNames(device)
	dirs := distinct(opt.LockDirs)
	for _, dir := range dirs {
		for _, name := range names {
			if state, user := lookAt(filepath.Join(dir, lockPrefix+name)); state == lockHeld {
				return nil, user
			}
		}
	}
	var faults []error
	for _, dir := range dirs {
		path := filepath.Join(dir, lockPrefix+names[0])
		user, err := makeLock(path)
		if user != nil {
			return nil, user
		}
		if err == nil {
			return &portLock{path}, nil
		}
		faults = append(faults, err)
	}
	if len(opt.LockDirs) > 0 {
		if len(faults) == 0 {
			faults = append(faults, fmt.Errorf("there is no %s", strings.Join(opt.LockDirs, " and no ")))
		}
		opt.Note(fmt.Sprintf("no lock file, other programs may take the port: %v", errors.Join(faults...)))
	}
	return nil, nil
}

// lockNames are the names under which a port may be locked, the one to use first: the
// real device's, also in small letters (some systems fold it), and those of the link it
// was asked for by.
func lockNames(device string) []string {
	real, err := filepath.EvalSymlinks(device)
	if err != nil {
		real = device
	}
	name := lockName(real)
	var names []string
	for _, n := range []string{name, strings.ToLower(name), lockName(device), filepath.Base(device)} {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// lockName is a device as it stands in a lock's name: pts/3 is pts_3, as pppd has it.
func lockName(device string) string {
	return strings.ReplaceAll(strings.TrimPrefix(filepath.Clean(device), "/dev/"), "/", "_")
}

// distinct leaves out folders that are not there, and those that are one and the same,
// as /var/lock is /run/lock.
func distinct(dirs []string) []string {
	var real []string
	for _, d := range dirs {
		if d, err := filepath.EvalSymlinks(d); err == nil && !slices.Contains(real, d) {
			real = append(real, d)
		}
	}
	return real
}

// makeLock makes a lock file. It appears with its number in it, so that nobody ever
// reads half a lock, and never in place of another.
//
// A lock with our own number is taken for ours: in a container, a process that crashed
// and the one that follows often have the same. Within a process the port's own
// exclusiveness must do.
func makeLock(path string) (*PortUser, error) {
	draft, err := os.CreateTemp(filepath.Dir(path), "LTMP.*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // a draft that stays locks nothing
	_, err = fmt.Fprintf(draft, "%10d\n", os.Getpid())
	if err = errors.Join(err, draft.Chmod(0o644), draft.Close()); err != nil {
		return nil, err
	}
	for range lockTries {
		if err = os.Link(draft.Name(), path); !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		state, user := lookAt(path)
		switch state {
		case lockHeld:
			return user, nil
		case lockOurs:
			return nil, nil //nolint:nilerr // what was in the way is ours
		case lockFree: // gone meanwhile
		case lockLeft:
			if err := removeLeftover(path); err != nil {
				return nil, fmt.Errorf("a lock file that was left over stays in the way: %w", err)
			}
		}
	}
	return nil, err
}

// lockState is what a look at a lock file brings.
type lockState int

const (
	lockFree lockState = iota // there is none
	lockLeft                  // its process is gone
	lockOurs                  // it is this process's already
	lockHeld                  // somebody alive has it, or somebody unknown
)

// lookAt reads a lock; the user is there when it is held.
func lookAt(path string) (lockState, *PortUser) {
	info, err := os.Lstat(path)
	if err != nil {
		return lockFree, nil
	}
	if !info.Mode().IsRegular() { // a pipe would keep its reader
		return lockHeld, &PortUser{LockFile: path}
	}
	text, err := readLock(path)
	if errors.Is(err, fs.ErrNotExist) {
		return lockFree, nil
	}
	if err != nil { // somebody's, and not for us to read
		return lockHeld, &PortUser{LockFile: path}
	}
	pid, ok := parseLock(text)
	switch {
	case ok && pid == os.Getpid():
		return lockOurs, nil
	case ok && alive(pid):
		return lockHeld, &PortUser{Name: processName(pid), PID: pid, LockFile: path}
	case !ok && time.Since(info.ModTime()).Abs() < writeWait:
		return lockHeld, &PortUser{LockFile: path}
	}
	return lockLeft, nil
}

func readLock(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxLock))
}

// release takes the lock away, if it is still ours.
func (l *portLock) release() {
	if l == nil {
		return
	}
	text, err := readLock(l.path)
	if pid, ok := parseLock(text); err == nil && ok && pid == os.Getpid() {
		_ = os.Remove(l.path) // if it stays, its process will be gone
	}
}

// parseLock finds the process number in a lock file: ASCII digits after blanks, with
// whatever some programs write behind a blank, or the four octets of old UUCPs in the
// machine's order.
func parseLock(text []byte) (pid int, ok bool) {
	word, _, _ := bytes.Cut(bytes.TrimLeft(text, " \t"), []byte{'\n'})
	word, _, _ = bytes.Cut(word, []byte{' '})
	if n, err := strconv.ParseUint(string(bytes.TrimRight(word, "\r\x00")), 10, 31); err == nil {
		return int(n), n > 0
	}
	if len(text) == 4 {
		n := binary.NativeEndian.Uint32(text)
		return int(n), n > 0 && n <= math.MaxInt32
	}
	return 0, false
}
