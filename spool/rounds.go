package spool

import (
	"sync"
	"sync/atomic"
)

const (
	// bigBody is the size from which a body is fsynced before it joins a round: what takes the disk long is nothing for
	// others to wait for.
	bigBody = 256 << 10
	// fsyncsAtOnce of one round run side by side, so that the disk can order them and a journal take them together. Each
	// holds a thread.
	fsyncsAtOnce = 32
)

// rounds lets bodies that are committed at the same time go to the disk together. A round takes those who have come while
// the one before was under way; the more come, the larger the rounds, and a lone one waits for nobody.
//
// What is shared is the fsync of the folder, and behind it the queue's transaction, as all of a round are told at the
// same moment. Side by side, each with its own folder fsync, they would cost several times the work where the disk is
// fast, and the disk several times the wait where it is not.
type rounds struct {
	run func([]*Writer) // leaves each one's error in it

	turn chan struct{} // of capacity 1, full during a round: one at a time
	mu   sync.Mutex    // guards next
	next *round        // the round that still takes bodies; nil = none
}

type round struct {
	writers []*Writer
	done    chan struct{} // closed when the round is over
}

func newRounds(run func([]*Writer)) *rounds {
	return &rounds{run: run, turn: make(chan struct{}, 1)}
}

// join returns when a round that began after the call, with w in it, is over.
func (rs *rounds) join(w *Writer) {
	rs.mu.Lock()
	if r := rs.next; r != nil {
		r.writers = append(r.writers, w)
		rs.mu.Unlock()
		<-r.done
		return
	}
	r := &round{writers: []*Writer{w}, done: make(chan struct{})}
	rs.next = r
	rs.mu.Unlock()

	rs.turn <- struct{}{}
	rs.mu.Lock()
	rs.next = nil // who comes from here on has a round of its own
	rs.mu.Unlock()
	rs.run(r.writers)
	<-rs.turn
	close(r.done)
}

// commit is one round. The folder is fsynced when all that are still good have their names, and each body has its name
// only once its content is on the disk. One that fails is cleared away and holds up nobody, but for the folder, whose
// fsync all of them need.
func (s *Spool) commit(ws []*Writer) {
	sealAll(ws)
	good := 0
	for _, w := range ws {
		w.rename()
		if w.err == nil {
			w.err = s.step(StepDirSync)
		}
		if w.err == nil {
			good++
		}
	}
	var fault error
	if good > 0 {
		fault = wrapFull(s.syncFolder())
	}
	for _, w := range ws {
		if w.err == nil {
			w.err = fault
		}
		if w.err != nil {
			w.clear()
		}
	}
}

func sealAll(ws []*Writer) {
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(ws)); i = next.Add(1) - 1 {
			ws[i].seal()
		}
	}
	var all sync.WaitGroup
	for range min(len(ws), fsyncsAtOnce) - 1 {
		all.Go(work)
	}
	work()
	all.Wait()
}
