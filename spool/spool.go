// Package spool keeps message bodies: one write-once file for each message.
//
// It owns a folder:
//
//	<dir>/<id>          a body: complete, fsynced, never changed again
//	<dir>/tmp/<id>      a body being written; worth nothing after a restart
//	<dir>/corrupt/<id>  a body that was found damaged, kept for a person
//
// A body is written in one order. Create makes tmp/<id>; Write fills it;
// Commit fsyncs, closes, renames it to <id> and fsyncs the folder. Once Commit
// has returned nil the body survives a power cut. Many commits at once go in
// rounds and share one fsync of the folder, which is the dearest step on the SD
// cards and small disks this runs on.
//
// The invariant: whatever stands in <dir> under a valid ID is complete, and
// whatever stands in tmp is removable. There is no third kind, so a stop at any
// step leaves nothing to repair: Sweep, at start-up, empties tmp and removes the
// bodies that nobody names.
//
// The spool does not know what a message is, who it is for or whether it is
// still wanted: package queue does, and the durable order that ends in "250"
// stands above queue.Queue.Add. It does not lock the folder either: the queue's
// database lock keeps a second process out.
package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFull says that the disk is full or under the floor of Options. It is
	// temporary: a sender is to be asked to come back (452 4.3.1).
	ErrFull = errors.New("disk is full")
	// ErrNotFound says that the spool holds no body under that ID.
	ErrNotFound = errors.New("no such body")
	// ErrBadID says that a string is not an ID. Such a name never reaches the disk.
	ErrBadID = errors.New("not a spool ID")
)

// The steps that Options.Step is told of, in the order of a body's life.
const (
	StepCreate  = "create"  // before tmp/<id> is made
	StepWrite   = "write"   // before every Write
	StepFsync   = "fsync"   // before the file is fsynced
	StepRename  = "rename"  // before tmp/<id> becomes <id>
	StepDirSync = "dirsync" // before the folder is fsynced
	StepRemove  = "remove"  // before <id> is removed
)

const (
	tmpDir     = "tmp"
	corruptDir = "corrupt"
)

// Options tunes a Spool. The zero value checks no floor and calls no hook.
type Options struct {
	// MinFreeBytes is the disk floor: Create, and Write on its way, answer
	// ErrFull while fewer bytes are free. 0 = no check.
	MinFreeBytes int64
	// MinFreeInodes is the same for files. 0 = no check. File systems that do
	// not count inodes never fall under it.
	MinFreeInodes int64
	// Step is called before each durable step with one of the Step constants,
	// from the goroutine that does the step, so from several at once. An error
	// aborts the step and is returned, wrapped. It is there for tests of stops
	// and faults; nil = none.
	Step func(step string) error
}

// Spool is a folder of bodies. All methods may be called from any goroutine,
// except Sweep, which is for start-up.
type Spool struct {
	dir     string
	opt     Options
	rounds  *rounds
	buffers sync.Pool // of *[writeBuffer]byte
	// syncFile is (*os.File).Sync and syncFolder SyncDir of dir, fields so that a test can see them called.
	syncFile   func(*os.File) error
	syncFolder func() error

	mu   sync.Mutex
	last ID // the greatest ID ever seen or given out, so that IDs only grow
}

// Open opens the spool in dir and makes dir, dir/tmp and dir/corrupt (mode 0700)
// where they are missing. It fails where the file system can't fsync a folder:
// better at start-up than at the first message.
func Open(dir string, opt Options) (*Spool, error) {
	for _, d := range []string{dir, filepath.Join(dir, tmpDir), filepath.Join(dir, corruptDir)} {
		if err := MakeDir(d); err != nil {
			return nil, fmt.Errorf("spool: %w", err)
		}
	}
	s := &Spool{
		dir: dir, opt: opt,
		buffers:    sync.Pool{New: func() any { return new([writeBuffer]byte) }},
		syncFile:   (*os.File).Sync,
		syncFolder: func() error { return SyncDir(dir) },
	}
	s.rounds = newRounds(s.commit)
	ids, err := s.ids()
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	// New IDs start above the bodies that are here, so that a clock which
	// starts at 1970 (a board without a battery) can't put new mail before old.
	for _, id := range ids {
		s.last = max(s.last, id)
	}
	return s, nil
}

// Open opens a body for reading. The caller closes it. ErrNotFound when it is
// not there, ErrBadID when id isn't an ID.
func (s *Spool) Open(id ID) (io.ReadSeekCloser, error) {
	path, err := s.path(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, wrapNotFound(err)
	}
	return f, nil
}

// Size gives the octets of a body. ErrNotFound when it is not there.
func (s *Spool) Size(id ID) (int64, error) {
	path, err := s.path(id)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, wrapNotFound(err)
	}
	return info.Size(), nil
}

// Remove removes a body. ErrNotFound when it is not there. The removal is not
// fsynced: a body that comes back with a power cut is an orphan, and Sweep takes
// it. On Windows a body that is still open for reading can't be removed; it
// stays for the Sweep too.
func (s *Spool) Remove(id ID) error {
	path, err := s.path(id)
	if err != nil {
		return err
	}
	if err := s.step(StepRemove); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return wrapNotFound(err)
	}
	return nil
}

// Free gives the bytes and inodes that this process may still use on the
// spool's file system. math.MaxInt64 stands for "not counted": inodes on
// Windows, btrfs and the like.
func (s *Spool) Free() (bytes, inodes int64, err error) {
	bytes, inodes, err = free(s.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("spool: free space of %s: %w", s.dir, err)
	}
	return bytes, inodes, nil
}

// room returns ErrFull, with figures, when the disk is under the floor.
func (s *Spool) room() error {
	if s.opt.MinFreeBytes <= 0 && s.opt.MinFreeInodes <= 0 {
		return nil
	}
	bytes, inodes, err := s.Free()
	switch {
	case err != nil:
		return err
	case bytes < s.opt.MinFreeBytes:
		return fmt.Errorf("spool: %w: %d bytes are free, the floor is %d", ErrFull, bytes, s.opt.MinFreeBytes)
	case inodes < s.opt.MinFreeInodes:
		return fmt.Errorf("spool: %w: %d inodes are free, the floor is %d", ErrFull, inodes, s.opt.MinFreeInodes)
	}
	return nil
}

// clamp returns n*unit, at most math.MaxInt64.
func clamp(n, unit uint64) int64 {
	hi, lo := bits.Mul64(n, unit)
	if hi > 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

// IsFull reports whether err says that the disk, a quota or the floor is
// reached, in our words or in the operating system's.
func IsFull(err error) bool {
	return errors.Is(err, ErrFull) || diskFull(err)
}

func (s *Spool) step(step string) error {
	if s.opt.Step == nil {
		return nil
	}
	if err := s.opt.Step(step); err != nil {
		return fmt.Errorf("spool: %s: %w", step, err)
	}
	return nil
}

// path is the only way from an ID to a file name, and strict: an ID that came
// from outside can't name anything but a body.
func (s *Spool) path(id ID) (string, error) {
	if !id.Valid() {
		return "", fmt.Errorf("spool: %w: %.40q", ErrBadID, string(id))
	}
	return filepath.Join(s.dir, string(id)), nil
}

func wrapNotFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("spool: %w: %w", ErrNotFound, err)
	}
	return fmt.Errorf("spool: %w", err)
}
