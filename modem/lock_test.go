//go:build linux || darwin || freebsd || openbsd

package modem

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// gone is the number of a process that has ended.
func gone(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// lockRoom is a folder for locks and a port with a link to it.
type lockRoom struct {
	t              *testing.T
	dir, real, dev string
	notes          []string
}

func newLockRoom(t *testing.T) *lockRoom {
	r := &lockRoom{t: t, dir: filepath.Join(t.TempDir(), "lock"), real: filepath.Join(t.TempDir(), "ttyUSB7")}
	r.dev = filepath.Join(filepath.Dir(r.real), "by-id-modem")
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.write(r.real, "")
	if err := os.Symlink(r.real, r.dev); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *lockRoom) write(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *lockRoom) take(dirs ...string) (*portLock, *PortUser) {
	return lockPort(r.dev, PortOptions{LockDirs: append([]string{r.dir}, dirs...), Note: func(s string) { r.notes = append(r.notes, s) }})
}

// path of the lock of a name that is not under /dev.
func (r *lockRoom) path(name string) string {
	return filepath.Join(r.dir, lockPrefix+lockName(name))
}

// files is what lies in the folder of locks.
func (r *lockRoom) files() []string {
	r.t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// The lock is the real device's, in the HDB format, readable by all, and gone at the end.
func TestLockFile(t *testing.T) {
	r := newLockRoom(t)
	if real, err := filepath.EvalSymlinks(r.real); err == nil {
		r.real = real
	}
	lock, user := r.take()
	if lock == nil || user != nil {
		t.Fatalf("%v, %v, %v", lock, user, r.notes)
	}
	text, err := os.ReadFile(r.path(r.real))
	if want := fmt.Sprintf("%10d\n", os.Getpid()); err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if info, err := os.Stat(r.path(r.real)); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := r.files(); len(got) != 1 {
		t.Errorf("in the folder: %v", got)
	}
	lock.release()
	if got := r.files(); len(got) != 0 {
		t.Errorf("left over: %v", got)
	}
	if len(r.notes) > 0 {
		t.Errorf("noted: %v", r.notes)
	}
}

// Names as the programs that share the convention have them.
func TestLockName(t *testing.T) {
	for device, want := range map[string]string{
		"/dev/ttyS0": "ttyS0", "/dev/pts/3": "pts_3", "/dev/../dev/ttyUSB1": "ttyUSB1", "/dev/serial/by-id/x": "serial_by-id_x",
	} {
		if got := lockName(device); got != want {
			t.Errorf("%s is locked as %q", device, got)
		}
	}
	if got := strings.Join(lockNames("/dev/ttyUSB99"), " "); got != "ttyUSB99 ttyusb99" {
		t.Errorf("looked for: %s", got)
	}
}

// Every way in which another program may hold the port: by which name, in which
// folder, in which format.
func TestLockOfAnother(t *testing.T) {
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	pid := other.Process.Pid
	second := t.TempDir()
	binary := func() string { return string([]byte{byte(pid), byte(pid >> 8), byte(pid >> 16), byte(pid >> 24)}) }
	for name, c := range map[string]struct {
		file func(r *lockRoom) string
		text string
	}{
		"HDB":            {func(r *lockRoom) string { return r.path(r.real) }, fmt.Sprintf("%10d\n", pid)},
		"minicom":        {func(r *lockRoom) string { return r.path(r.real) }, fmt.Sprintf("%10d minicom root\n", pid)},
		"binary":         {func(r *lockRoom) string { return r.path(r.real) }, binary()},
		"small letters":  {func(r *lockRoom) string { return r.path(strings.ToLower(r.real)) }, fmt.Sprintf("%10d\n", pid)},
		"link's name":    {func(r *lockRoom) string { return filepath.Join(r.dir, "LCK..by-id-modem") }, fmt.Sprintf("%d\n", pid)},
		"another folder": {func(r *lockRoom) string { return filepath.Join(second, filepath.Base(r.path(r.real))) }, fmt.Sprintf("%10d\n", pid)},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "binary" && !littleEndian() {
				t.Skip("the octets are those of a little-endian machine")
			}
			r := newLockRoom(t)
			if real, err := filepath.EvalSymlinks(r.real); err == nil {
				r.real = real
			}
			r.write(c.file(r), c.text)
			lock, user := r.take(second)
			if lock != nil || user == nil || user.PID != pid || user.LockFile != resolved(c.file(r)) {
				t.Fatalf("%v, %v", lock, user)
			}
			if text, err := os.ReadFile(c.file(r)); err != nil || string(text) != c.text {
				t.Errorf("another's lock was touched: %q, %v", text, err)
			}
			os.Remove(c.file(r))
		})
	}
}

func littleEndian() bool {
	pid, ok := parseLock([]byte{1, 0, 0, 0})
	return ok && pid == 1
}

func resolved(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	return filepath.Join(dir, filepath.Base(path))
}

// What was left over does not keep anybody from the port: the lock of a process that is gone, and
// one without a number that is not just being written.
func TestLockLeftOver(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	for name, text := range map[string]string{
		"gone": fmt.Sprintf("%10d\n", gone(t)), "empty": "", "garbage": "hello\n", "our own number": fmt.Sprintf("%10d\n", os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			r := newLockRoom(t)
			path := r.path(resolved(r.real))
			r.write(path, text)
			os.Chtimes(path, old, old)
			lock, user := r.take()
			if lock == nil || user != nil {
				t.Fatalf("%v, %v, %v", lock, user, r.notes)
			}
			if got := r.files(); len(got) != 1 {
				t.Errorf("in the folder: %v", got)
			}
			lock.release()
		})
	}
	t.Run("being written", func(t *testing.T) {
		r := newLockRoom(t)
		r.write(r.path(resolved(r.real)), "")
		if lock, user := r.take(); lock != nil || user == nil || user.PID != 0 {
			t.Errorf("%v, %v", lock, user)
		}
	})
	t.Run("a pipe", func(t *testing.T) {
		r := newLockRoom(t)
		if err := os.Mkdir(r.path(resolved(r.real)), 0o755); err != nil {
			t.Fatal(err)
		}
		if lock, user := r.take(); lock != nil || user == nil {
			t.Errorf("%v, %v", lock, user)
		}
	})
}

// A lock that can't be made is noted and no more.
func TestLockNotMade(t *testing.T) {
	r := newLockRoom(t)
	lock, user := lockPort(r.dev, PortOptions{LockDirs: []string{filepath.Join(r.dir, "absent")}, Note: func(s string) { r.notes = append(r.notes, s) }})
	if lock != nil || user != nil || len(r.notes) != 1 || !strings.Contains(r.notes[0], "absent") {
		t.Errorf("%v, %v, %v", lock, user, r.notes)
	}
	lock.release()
	if os.Getuid() == 0 {
		return // root may write anywhere
	}
	os.Chmod(r.dir, 0o555)
	defer os.Chmod(r.dir, 0o755)
	if lock, user := r.take(); lock != nil || user != nil || len(r.notes) != 2 {
		t.Errorf("%v, %v, %v", lock, user, r.notes)
	}
}

// lockWorker is the environment variable by which a test runs this binary as one of
// several programs that want a port: it names the folder of locks.
const lockWorker = "MODEM_TEST_LOCKS"

// The part of TestLockRace that runs in processes of its own.
func TestLockWorker(t *testing.T) {
	dir := os.Getenv(lockWorker)
	if dir == "" {
		t.Skip("only as a process of TestLockRace")
	}
	path, witness := filepath.Join(dir, "LCK..race"), filepath.Join(dir, "witness")
	dead := fmt.Appendf(nil, "%10d\n", gone(t))
	for n := 0; n < 40; {
		user, err := makeLock(path)
		if user != nil || err != nil {
			continue // somebody has it, or was quicker lockTries times
		}
		n++
		if err := os.Mkdir(witness, 0o700); err != nil {
			t.Fatalf("two processes hold the lock: %v", err)
		}
		os.Remove(witness)
		if n%2 == 0 { // as if it had crashed: the number of a process that is gone
			os.WriteFile(path, dead, 0o644)
		} else {
			(&portLock{path}).release()
		}
	}
}

// Of several processes that want the port at once, over leftovers, one has it at a time.
func TestLockRace(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			c := exec.CommandContext(t.Context(), self, "-test.run=^TestLockWorker$", "-test.v")
			c.Env = append(os.Environ(), lockWorker+"="+dir)
			if text, err := c.CombinedOutput(); err != nil || !strings.Contains(string(text), "--- PASS: TestLockWorker") {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
	all.Wait()
}

func FuzzParseLock(f *testing.F) {
	for _, s := range []string{"", "      1234\n", "1234", "  1234 minicom root\n", "\x39\x05\x00\x00", "99999999999\n", "-1\n", "0\n", "1234\x00", "hello\n", "12 34", "\xff\xff\xff\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		pid, ok := parseLock(text)
		if ok && pid <= 0 {
			t.Fatalf("%q is process %d", text, pid)
		}
		if again, fine := parseLock(fmt.Appendf(nil, "%10d\n", pid)); ok && (!fine || again != pid) {
			t.Fatalf("%q is process %d, and written again %d", text, pid, again)
		}
	})
}
