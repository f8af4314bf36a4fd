package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func open(t *testing.T, dir string, opt Options) *Spool {
	t.Helper()
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *Spool, body string) ID {
	t.Helper()
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	return w.ID()
}

// files lists all files of a spool, as paths below it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRoundTrip(t *testing.T) {
	var mu sync.Mutex
	var steps []string
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	s := open(t, dir, Options{Step: func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
		return nil
	}})
	body := strings.Repeat("a line\r\n", 20000)
	id := put(t, s, body)
	if want := []string{StepCreate, StepWrite, StepFsync, StepRename, StepDirSync}; !slices.Equal(steps, want) {
		t.Errorf("the order was %v, want %v", steps, want)
	}
	if n, err := s.Size(id); err != nil || n != int64(len(body)) {
		t.Errorf("size %d, %v", n, err)
	}
	r, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || string(got) != body {
		t.Errorf("the body differs, %v", err)
	}
	if err := s.Remove(id); err != nil {
		t.Error(err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// No kill shows a missing fsync, since the kernel survives it. So this looks at
// what is on its way to the disk when each of the two is called, and that one
// that fails fails the commit.
func TestFsyncs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	var seen []string
	var fault error
	s.syncFile = func(f *os.File) error {
		info, err := f.Stat()
		seen = append(seen, fmt.Sprintf("file of %d in %s", info.Size(), filepath.Base(filepath.Dir(f.Name()))))
		return errors.Join(err, fault)
	}
	s.syncFolder = func() error {
		seen = append(seen, fmt.Sprintf("folder of %d", len(files(t, dir))))
		return nil
	}
	put(t, s, "body")
	if want := []string{"file of 4 in tmp", "folder of 1"}; !slices.Equal(seen, want) {
		t.Errorf("fsynced %q, want %q", seen, want)
	}
	fault = errors.New("the medium is gone")
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, fault) {
		t.Errorf("Commit: %v", err)
	}
	if left := files(t, dir); len(left) != 1 || len(seen) != 3 {
		t.Errorf("left %v, fsynced %q", left, seen)
	}
}

// A fault at any step is told to the caller and leaves no file behind.
func TestFaultAtEveryStep(t *testing.T) {
	fault := errors.New("fault")
	for _, at := range []string{StepCreate, StepWrite, StepFsync, StepRename, StepDirSync} {
		dir := t.TempDir()
		s := open(t, dir, Options{Step: func(step string) error {
			if step == at {
				return fault
			}
			return nil
		}})
		err := func() error {
			w, err := s.Create()
			if err != nil {
				return err
			}
			_, _ = io.WriteString(w, "body") // its error is kept for Commit
			return w.Commit()
		}()
		if !errors.Is(err, fault) {
			t.Errorf("%s: error is %v", at, err)
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("%s: left: %v", at, left)
		}
	}
}

func TestAbort(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	w.Abort()
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("an aborted body was written to")
	}
	if err := w.Commit(); err == nil {
		t.Error("an aborted body was committed")
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if w, err = s.Create(); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if _, err := s.Size(w.ID()); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if err := w.Commit(); err == nil {
		t.Error("a body was committed twice")
	}
}

func TestFloor(t *testing.T) {
	for _, opt := range []Options{{MinFreeBytes: math.MaxInt64}, {MinFreeInodes: math.MaxInt64}} {
		dir := t.TempDir()
		s := open(t, dir, opt)
		if _, inodes, err := s.Free(); err != nil || opt.MinFreeInodes > 0 && inodes == math.MaxInt64 {
			t.Logf("inodes are not counted here (%v)", err)
			continue
		}
		if _, err := s.Create(); !errors.Is(err, ErrFull) || !IsFull(err) {
			t.Errorf("%+v: got %v", opt, err)
		}
		if left := files(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// A body that was begun in time must not eat up what the floor keeps free.
func TestFloorWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	w, err := s.Create()
	if err != nil {
		t.Fatal(err)
	}
	s.opt.MinFreeBytes = math.MaxInt64
	n, err := io.Copy(w, io.LimitReader(zeros{}, 10*roomEvery))
	if !errors.Is(err, ErrFull) || n > 2*roomEvery {
		t.Errorf("stopped after %d octets by %v", n, err)
	}
	if err := w.Commit(); !errors.Is(err, ErrFull) {
		t.Errorf("Commit after that: %v", err)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFree(t *testing.T) {
	bytes, inodes, err := open(t, t.TempDir(), Options{}).Free()
	if err != nil || bytes <= 0 || inodes <= 0 {
		t.Errorf("%d bytes, %d inodes, %v", bytes, inodes, err)
	}
	for _, test := range []struct{ n, unit, want uint64 }{
		{3, 4096, 12288}, {0, 4096, 0}, {math.MaxUint64, 1, math.MaxInt64}, {math.MaxUint64, 4096, math.MaxInt64},
	} {
		if got := clamp(test.n, test.unit); uint64(got) != test.want {
			t.Errorf("clamp(%d, %d) = %d", test.n, test.unit, got)
		}
	}
}

func TestNotThere(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for id, want := range map[ID]error{"01arz3ndektsv4rrffq69g5fav": ErrNotFound, "../spool": ErrBadID, "tmp": ErrBadID, "": ErrBadID} {
		_, openErr := s.Open(id)
		_, sizeErr := s.Size(id)
		for what, err := range map[string]error{"Open": openErr, "Size": sizeErr, "Remove": s.Remove(id), "Quarantine": s.Quarantine(id)} {
			if !errors.Is(err, want) {
				t.Errorf("%s(%q): %v, want %v", what, id, err, want)
			}
		}
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	kept, orphan, bad := put(t, s, "kept"), put(t, s, "orphan"), put(t, s, "bad")
	if err := s.Quarantine(bad); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(); err != nil { // a stop leaves it as it is
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	swept, err := open(t, dir, Options{}).Sweep(func(id ID) bool {
		if id != kept && id != orphan {
			t.Errorf("asked about %q", id)
		}
		return id == kept
	})
	if err != nil || swept != (Swept{Temporary: 1, Orphans: 1}) {
		t.Errorf("swept %+v, %v", swept, err)
	}
	if left, want := files(t, dir), []string{string(kept), "README", "corrupt/" + string(bad)}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{MinFreeBytes: 1})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			body := fmt.Sprint("body ", i)
			id := put(t, s, body)
			if n, err := s.Size(id); err != nil || n != int64(len(body)) {
				t.Errorf("size %d, %v", n, err)
			}
			if i%2 == 0 {
				if err := s.Remove(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left := files(t, dir); len(left) != 8 {
		t.Errorf("left: %v", left)
	}
}

func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second time it is there
		if err := MakeDir(filepath.Join(dir, "a", "b")); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(file); err == nil {
		t.Error("a file passed as a folder")
	}
	if _, err := Open(filepath.Join(file, "x"), Options{}); err == nil {
		t.Error("a spool was opened below a file")
	}
}
