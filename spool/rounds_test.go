package spool

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Whoever comes while a round runs may have come too late for it, so they all
// wait for the next one, and share it.
func TestRoundsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault := errors.New("fault")
		gate := make(chan error)
		var sizes []int
		rs := newRounds(func(ws []*Writer) {
			sizes = append(sizes, len(ws))
			err := <-gate
			for _, w := range ws {
				w.err = err
			}
		})
		join := func(told chan<- error) {
			w := &Writer{}
			rs.join(w)
			told <- w.err
		}
		first := make(chan error, 1)
		go join(first)
		synctest.Wait() // the first round runs
		rest := make(chan error, 50)
		for range 50 {
			go join(rest)
		}
		synctest.Wait() // all have come
		gate <- nil
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait() // 50 wait; none was served by the first
		if len(rest) > 0 {
			t.Errorf("%d were served by a round that began before them", len(rest))
		}
		gate <- fault
		for range 50 {
			if err := <-rest; !errors.Is(err, fault) {
				t.Errorf("one who shared a failed round got %v", err)
			}
		}
		if len(sizes) != 2 || sizes[1] != 50 {
			t.Errorf("51 bodies went in rounds of %v, want 1 and 50", sizes)
		}
	})
}

func TestRoundsAlone(t *testing.T) {
	n := 0
	rs := newRounds(func([]*Writer) { n++ })
	for range 3 {
		rs.join(&Writer{})
	}
	if n != 3 {
		t.Errorf("%d rounds for 3 bodies one after the other", n)
	}
}

// In a round with others, one that fails at any step fails alone and leaves
// nothing; when the folder fails, all do.
func TestFaultsInARound(t *testing.T) {
	for _, at := range []string{StepFsync, StepRename, StepDirSync, "folder"} {
		t.Run(at, func(t *testing.T) {
			dir := t.TempDir()
			fault := errors.New("fault")
			var faults atomic.Int32
			s := open(t, dir, Options{Step: func(step string) error {
				if step == at && faults.Add(1) == 5 {
					return fault
				}
				return nil
			}})
			fsyncs := 0
			s.syncFolder = func() error {
				if fsyncs++; at == "folder" {
					return fault
				}
				return nil
			}
			var ws []*Writer
			for range 100 {
				w, err := s.Create()
				if err != nil {
					t.Fatal(err)
				}
				_, _ = w.Write([]byte("body"))
				ws = append(ws, w)
			}
			s.commit(ws)
			failed := 0
			for _, w := range ws {
				_, err := os.Stat(filepath.Join(dir, string(w.ID())))
				if (err == nil) != (w.err == nil) {
					t.Errorf("error %v, file %v", w.err, err)
				}
				if w.err != nil {
					failed++
				}
			}
			want := 1
			if at == "folder" {
				want = len(ws)
			}
			if left := files(t, dir); failed != want || fsyncs != 1 || len(left) != len(ws)-want {
				t.Errorf("%d failed, want %d; %d fsyncs of the folder; %d files", failed, want, fsyncs, len(left))
			}
		})
	}
}

// What is big comes to the round with its content on the disk already.
func TestBigBodyDelaysNobody(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var order []string
	s.syncFile = func(*os.File) error { order = append(order, "file"); return nil }
	s.rounds = newRounds(func(ws []*Writer) { order = append(order, "round"); s.commit(ws) })
	put(t, s, string(make([]byte, bigBody)))
	put(t, s, "small")
	if len(order) != 4 || order[0] != "file" || order[2] != "round" {
		t.Errorf("the order was %v", order)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	var fsyncs atomic.Int64
	real := s.syncFolder
	s.syncFolder = func() error { fsyncs.Add(1); return real() }
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
