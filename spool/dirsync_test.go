package spool

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Whoever asks while an fsync runs may have renamed too late for it, so they all
// wait for the next one, and share it.
func TestDirSyncIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := errors.New("fault")
		gate := make(chan error)
		var fsyncs atomic.Int32
		d := newDirSync(func() error { fsyncs.Add(1); return <-gate })

		first := make(chan error, 1)
		go func() { first <- d.do() }()
		synctest.Wait() // the first fsync runs
		rest := make(chan error, 50)
		for range 50 {
			go func() { rest <- d.do() }()
		}
		synctest.Wait() // all have asked
		gate <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait() // 50 wait; none was served by the first
		if len(rest) > 0 {
			t.Errorf("%d were served by an fsync that began before them", len(rest))
		}
		gate <- fault
		for range 50 {
			if err := <-rest; !errors.Is(err, fault) {
				t.Errorf("one who shared a failed fsync got %v", err)
			}
		}
		if n := fsyncs.Load(); n != 2 {
			t.Errorf("51 callers took %d fsyncs, want 2", n)
		}
	})
}

func TestDirSyncAlone(t *testing.T) {
	var fsyncs int
	d := newDirSync(func() error { fsyncs++; return nil })
	for range 3 {
		if err := d.do(); err != nil {
			t.Fatal(err)
		}
	}
	if fsyncs != 3 {
		t.Errorf("%d fsyncs for 3 callers one after the other", fsyncs)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	var fsyncs atomic.Int64
	real := s.sync.fsync
	s.sync.fsync = func() error { fsyncs.Add(1); return real() }
	b.SetParallelism(25)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w, err := s.Create()
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = w.Write(make([]byte, 2048))
			if err := w.Commit(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(fsyncs.Load())/float64(b.N), "dirsyncs/op")
}
