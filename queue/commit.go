package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// maxBatch bounds one transaction. It is far above the clients an office has at
// once, and keeps the pages of a transaction within a few hundred KiB.
const maxBatch = 256

// decision is a change in two halves. Run in a transaction, it reads and either
// refuses, with an error that concerns this change alone, or returns how to
// write; nil write means that there is nothing to write. Refusing before the
// first write is what lets one transaction hold many changes: bolt can't take
// back a part. A write that fails fails the transaction, for everyone in it.
type decision func(tx *bbolt.Tx) (write func() error, err error)

// job is one decision on its way through the committer.
type job struct {
	decide  decision
	refused error
	done    chan error // of capacity 1: the committer never waits for a caller
}

// committer runs all changes, in the order they came, from one goroutine. It
// takes all that is pending into one transaction; while that one is being
// fsynced, the next gathers. So the grouping costs an idle caller no delay.
type committer struct {
	db      *bbolt.DB
	step    func(string) error
	stopped chan struct{} // closed when the goroutine has ended

	// unsettled is set when a commit failed: bolt may show its changes while the
	// disk doesn't hold them. It belongs to the committer's goroutine.
	unsettled bool

	mu      sync.Mutex // guards what follows
	arrived *sync.Cond
	pending []*job
	closed  bool
}

func startCommitter(db *bbolt.DB, step func(string) error) *committer {
	if step == nil {
		step = func(string) error { return nil }
	}
	c := &committer{db: db, step: step, stopped: make(chan struct{})}
	c.arrived = sync.NewCond(&c.mu)
	go c.run()
	return c
}

// do returns when the change is durable or has failed. A change whose ctx ends
// while it is still pending is withdrawn; one that is being committed is waited
// for, so that the answer is always true.
func (c *committer) do(ctx context.Context, decide decision) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{decide: decide, done: make(chan error, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.pending = append(c.pending, j)
	c.mu.Unlock()
	c.arrived.Signal()
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
	}
	if c.withdraw(j) {
		return ctx.Err()
	}
	return <-j.done
}

// withdraw takes a job back and reports whether it was still pending.
func (c *committer) withdraw(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.pending, j)
	if i < 0 {
		return false
	}
	c.pending = slices.Delete(c.pending, i, i+1)
	return true
}

// close lets the pending changes finish and ends the goroutine.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.arrived.Signal()
	<-c.stopped
}

func (c *committer) run() {
	defer close(c.stopped)
	for batch := c.take(); len(batch) > 0; batch = c.take() {
		// The outcome is told only now, and a refusal only when the transaction
		// stood: a change may have been refused because of another one in the same
		// transaction. "Already collected" is such an answer, and lets the caller
		// delete the provider's copy.
		err := c.commit(batch)
		for _, j := range batch {
			if err == nil {
				j.done <- j.refused
			} else {
				j.done <- err
			}
		}
	}
}

// take waits for changes and takes them. It returns none when the committer is
// closed and everything is done.
func (c *committer) take() []*job {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 && !c.closed {
		c.arrived.Wait()
	}
	n := min(len(c.pending), maxBatch)
	batch := slices.Clone(c.pending[:n])
	c.pending = slices.Delete(c.pending, 0, n)
	return batch
}

// commit runs one transaction. Nothing is committed, and no fsync spent, when no
// change in it writes. After a failed commit that is different: what the changes
// were decided on may not be on the disk yet, so the next transaction commits in
// any case before anyone is answered.
func (c *committer) commit(batch []*job) error {
	tx, err := c.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // no effect after a commit
	writes := c.unsettled
	for _, j := range batch {
		write, err := safely(tx, j.decide)
		switch {
		case err != nil:
			j.refused = err
			continue
		case write == nil:
			continue
		}
		if err := write(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		writes = true
	}
	if !writes {
		return nil
	}
	if err := c.step(StepCommit); err != nil {
		return fmt.Errorf("%s: %w", StepCommit, err)
	}
	if err := tx.Commit(); err != nil {
		c.unsettled = true
		if spool.IsFull(err) {
			return fmt.Errorf("commit: %w: %w", spool.ErrFull, err)
		}
		return fmt.Errorf("commit: %w", err)
	}
	c.unsettled = false
	return nil
}

// safely turns a panic in a caller's part of a decision into its refusal. Left
// alone it would end the program from this goroutine, where no caller can
// recover, with a line perhaps up and paid for.
func safely(tx *bbolt.Tx, decide decision) (write func() error, err error) {
	defer func() {
		if p := recover(); p != nil {
			write, err = nil, fmt.Errorf("panic in a change: %v", p)
		}
	}()
	return decide(tx)
}
