package spool

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// writeBuffer joins the small writes of line-wise protocols.
	writeBuffer = 32 << 10
	// roomEvery is how many bytes of one body may pass between two looks at the
	// disk floor: seldom enough to cost nothing, often enough that the floor is
	// not missed by more than this for each body being written.
	roomEvery = 1 << 20
)

var errFinished = errors.New("spool: body is already committed or aborted")

// Writer writes one body. It belongs to one goroutine and must end in Commit or
// Abort; "defer w.Abort()" after Create is right, since Abort does nothing after
// a Commit.
type Writer struct {
	s    *Spool
	id   ID
	f    *os.File
	buf  *bufio.Writer
	size int64
	room int64 // size at which the floor is looked at again
	err  error // the first failure; nothing can be committed after it
	done bool
}

// Create begins a body. ErrFull when the disk is under the floor or full.
func (s *Spool) Create() (*Writer, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	if err := s.step(StepCreate); err != nil {
		return nil, err
	}
	id := s.newID()
	f, err := os.OpenFile(s.tmp(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, wrapFull(err)
	}
	return &Writer{s: s, id: id, f: f, buf: bufio.NewWriterSize(f, writeBuffer), room: roomEvery}, nil
}

// ID is the body's name, fixed from Create on.
func (w *Writer) ID() ID { return w.id }

// Size is the number of octets written so far.
func (w *Writer) Size() int64 { return w.size }

// Write adds to the body. After an error the body can only be aborted. ErrFull
// when the disk fills or falls under the floor on the way.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.writable(); err != nil {
		return 0, err
	}
	n, err := w.buf.Write(p)
	w.size += int64(n)
	if err != nil {
		w.err = wrapFull(err)
	}
	return n, w.err
}

func (w *Writer) writable() error {
	if w.done {
		return errFinished
	}
	if w.err == nil {
		w.err = w.s.step(StepWrite)
	}
	if w.err == nil && w.size >= w.room {
		w.room = w.size + roomEvery
		w.err = w.s.room()
	}
	return w.err
}

// Commit makes the body durable: flush, fsync, close, rename, fsync of the
// folder. When it returns nil the body survives a power cut. When it returns an
// error nothing of the body is left, or what is left goes with the next Sweep.
// An fsync that failed is never tried again on the same file: the kernel may
// have dropped the pages and would report success.
func (w *Writer) Commit() error {
	if w.done {
		return errFinished
	}
	w.done = true
	tmp, final := w.s.tmp(w.id), filepath.Join(w.s.dir, string(w.id))
	if err := w.seal(); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := w.s.rename(tmp, final); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := w.s.syncDir(); err != nil {
		_ = os.Remove(final)
		return err
	}
	return nil
}

// seal brings the content to the disk and closes the file, in any case.
func (w *Writer) seal() error {
	err := w.err
	if err == nil {
		err = w.s.step(StepFsync)
	}
	if err == nil {
		err = wrapFull(w.buf.Flush())
	}
	if err == nil {
		err = wrapFull(w.s.syncFile(w.f))
	}
	// Close is checked: NFS and quota errors may come out only here.
	if closed := wrapFull(w.f.Close()); err == nil {
		err = closed
	}
	return err
}

// Abort drops the body. It may be called any number of times, and does nothing
// after Commit.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.f.Close()
	_ = os.Remove(w.s.tmp(w.id)) // what can't be removed now goes with the next Sweep
}

func (s *Spool) tmp(id ID) string { return filepath.Join(s.dir, tmpDir, string(id)) }

func (s *Spool) rename(from, to string) error {
	if err := s.step(StepRename); err != nil {
		return err
	}
	return wrapFull(os.Rename(from, to))
}

func (s *Spool) syncDir() error {
	if err := s.step(StepDirSync); err != nil {
		return err
	}
	return wrapFull(s.sync.do())
}

// wrapFull adds ErrFull to the operating system's words for a full disk.
func wrapFull(err error) error {
	switch {
	case err == nil:
		return nil
	case diskFull(err):
		return fmt.Errorf("spool: %w: %w", ErrFull, err)
	}
	return fmt.Errorf("spool: %w", err)
}
