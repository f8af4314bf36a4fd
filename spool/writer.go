package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	// writeBuffer is how much of a reader is joined into one write: protocols give line by line.
	writeBuffer = 32 << 10
	// emptyReads in a row are given up, as in bufio: the reader is broken.
	emptyReads = 100
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
	size int64
	room int64 // size at which the floor is looked at again
	err  error // the first failure; nothing can be committed after it
	done bool
	// sealed: the content is on the disk and the file closed, or err says why not.
	// renamed: it stands under its final name.
	sealed, renamed bool
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
	f, err := os.OpenFile(s.tmp(id), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, wrapFull(err)
	}
	return &Writer{s: s, id: id, f: f, room: roomEvery}, nil
}

// ID is the body's name, fixed from Create on.
func (w *Writer) ID() ID { return w.id }

// Size is the number of octets written so far.
func (w *Writer) Size() int64 { return w.size }

// Reader reads what was written so far, from its beginning. It must not be used after
// Commit or Abort.
func (w *Writer) Reader() io.ReadSeeker { return io.NewSectionReader(w.f, 0, w.size) }

// Write adds to the body, without a buffer. After an error the body can only be
// aborted. ErrFull when the disk fills or falls under the floor on the way.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.writable(); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
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

// ReadFrom adds what r gives until its end, in few writes. It is what io.Copy
// calls. Its error is r's own or Write's.
func (w *Writer) ReadFrom(r io.Reader) (n int64, err error) {
	buf := w.s.buffers.Get().(*[writeBuffer]byte)
	defer w.s.buffers.Put(buf)
	for err == nil {
		var filled int
		filled, err = fill(buf[:], r)
		if filled == 0 {
			break
		}
		written, fault := w.Write(buf[:filled])
		n += int64(written)
		if fault != nil {
			return n, fault
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// fill reads until p is full or r ends, and gives r's error as it is: io.ReadFull
// makes a whole body and one that broke off look alike.
func fill(p []byte, r io.Reader) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; {
		var more int
		if more, err = r.Read(p[n:]); more > 0 {
			n, empty = n+more, 0
		} else if empty++; empty == emptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// Commit makes the body durable: fsync, close, rename, fsync of the folder. When
// it returns nil the body survives a power cut. When it returns an error nothing
// of the body is left, or what is left goes with the next Sweep. An fsync that
// failed is never tried again on the same file: the kernel may have dropped the
// pages and would report success.
func (w *Writer) Commit() error {
	if w.done {
		return errFinished
	}
	w.done = true
	if w.size >= bigBody {
		w.seal()
	}
	w.s.rounds.join(w)
	return w.err
}

// seal brings the content to the disk and closes the file, in any case.
func (w *Writer) seal() {
	if w.sealed {
		return
	}
	w.sealed = true
	if w.err == nil {
		w.err = w.s.step(StepFsync)
	}
	if w.err == nil {
		w.err = wrapFull(w.s.syncFile(w.f))
	}
	// Close is checked: NFS and quota errors may come out only here.
	if closed := wrapFull(w.f.Close()); w.err == nil {
		w.err = closed
	}
}

// rename gives a sealed body its final name.
func (w *Writer) rename() {
	if w.err == nil {
		w.err = w.s.step(StepRename)
	}
	if w.err == nil {
		w.err = wrapFull(os.Rename(w.s.tmp(w.id), w.s.final(w.id)))
		w.renamed = w.err == nil
	}
}

// clear removes what is left of a body that failed.
func (w *Writer) clear() {
	name := w.s.tmp(w.id)
	if w.renamed {
		name = w.s.final(w.id)
	}
	_ = os.Remove(name) // what can't be removed now goes with the next Sweep
}

// Abort drops the body. It may be called any number of times, and does nothing
// after Commit.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.f.Close()
	w.clear()
}

func (s *Spool) tmp(id ID) string { return filepath.Join(s.dir, tmpDir, string(id)) }

func (s *Spool) final(id ID) string { return filepath.Join(s.dir, string(id)) }

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
