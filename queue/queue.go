// Package queue keeps what the office must not lose: the envelope of every
// message and the state of each of its recipients, the UIDLs that were seen in
// the boxes, the ledger of calls, and what was learnt about servers. It is one
// bbolt database, <dir>/outpost.db, beside the bodies in <dir>/spool, so that one
// transaction can span all of it.
//
// It makes two promises. 250 means kept: when Add has returned nil, the message
// survives kill -9 and a power cut. Collected once: a message pulled from a box
// and the fact that its UIDL was seen are in the same transaction, so both are
// there or neither. The durable order that keeps them is written once, above Add.
//
// All changes go through one goroutine, the committer, which takes whatever is
// waiting into one bolt transaction. A lone caller is served at once; fifty
// callers share an fsync. Reads run beside it on bolt's snapshots.
//
// The main flow of a message: Add; Waiting gives it to a session or the
// mailroom; Update sets recipients to Sending before the content goes out and to
// Sent, Failed, Waiting or Held after; with the last recipient Sent, the row goes
// and then the body. Whoever is Sending when the program stops is Waiting and
// Doubtful when it starts again.
//
// The invariant: every row has its body, and a row whose body is missing or has
// another length is shown as such (ErrCorrupt, Held at the next start), never
// passed over. A body without a row is worth nothing and is swept at the next
// start, only after all rows were read.
//
// The queue does not decide: who may send, where a message goes, when to try
// again and when to give up belong to its callers. It does not send bounces, and
// it does not look into bodies.
package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"outpost/spool"
)

// Errors that callers tell apart with errors.Is. A full disk is spool.ErrFull,
// from the spool or from the database.
var (
	// ErrInUse: another process holds the database. From Open.
	ErrInUse = errors.New("the queue is in use by another process")
	// ErrNewer: the database was written by a newer program. From Open, which
	// has changed nothing then.
	ErrNewer = errors.New("the queue was written by a newer version of Outpost")
	// ErrCorrupt: a row or a body is damaged or missing, or, from Open, the
	// database is.
	ErrCorrupt = errors.New("damaged")
	// ErrNotFound: there is no such message or call.
	ErrNotFound = errors.New("not found in the queue")
	// ErrSeen: the (Box, UIDL) of a collected message was seen before. The
	// message is, or was, kept under that name: it is safe to delete it from the
	// box.
	ErrSeen = errors.New("already collected")
	// ErrCopy: every recipient of a collected message has a copy of it from another box. Its
	// UIDL is marked as seen: it is safe to delete it from the box.
	ErrCopy = errors.New("everybody has a copy already")
	// ErrRelay: a collected message may not have a Remote recipient that no rule names
	// (Recipient.By), a notice may have none.
	ErrRelay = errors.New("such mail is not relayed out")
	// ErrInvalid: what was asked for makes no sense, and never will.
	ErrInvalid = errors.New("invalid")
	// ErrClosed: the queue is closed.
	ErrClosed = errors.New("the queue is closed")
)

// StepCommit is the step that Options.Step is told of, besides the spool's:
// before a bolt transaction commits.
const StepCommit = "commit"

// lockWait is how long Open waits for another process to let go of the database:
// long enough for a service that is just being restarted, short enough for a
// person at the command line.
const lockWait = time.Second

// Options tunes a Queue. The zero value is ready for use.
type Options struct {
	// Spool tunes the spool; its Step is set from Step below when it is nil.
	Spool spool.Options
	// Now gives the time of Received and of first-seen UIDLs; nil = time.Now.
	Now func() time.Time
	// OnAdd is told of every message after its commit, before Add returns, from
	// Add's goroutine. It must not block. nil = nobody.
	OnAdd func(Message)
	// OnUpdate is told of every message that was changed and is still there, as OnAdd is. nil = nobody.
	OnUpdate func(Message)
	// Step is called before each durable step, with the spool's steps and
	// StepCommit, from several goroutines. An error aborts the step. For tests of
	// stops and faults; nil = none.
	Step func(step string) error
	// Log hears of what was recovered and what is damaged; nil = nobody.
	Log *slog.Logger
}

// Queue is an open queue. All methods may be called from any goroutine.
type Queue struct {
	db        *bbolt.DB
	spool     *spool.Spool
	opt       Options
	committer *committer
	arrivals  struct{ local, remote atomic.Uint64 }
	copies    int // rows of that bucket, about; the committer's
}

// Open opens the queue in dir and makes it where it is missing. It waits a
// second for the database's lock, then returns ErrInUse; a database of a newer
// format is refused with ErrNewer and left as it is. Then it recovers from the
// last stop: see recover.
func Open(dir string, opt Options) (*Queue, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Spool.Step == nil {
		opt.Spool.Step = opt.Step
	}
	if err := spool.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	db, err := openDB(filepath.Join(dir, "outpost.db"))
	if err != nil {
		return nil, err
	}
	q := &Queue{db: db, opt: opt}
	if err := q.start(dir); err != nil {
		_ = db.Close()
		return nil, err
	}
	return q, nil
}

// start does what may only be done under the database's lock.
func (q *Queue) start(dir string) error {
	fresh, err := checkFormat(q.db)
	if err != nil {
		return fmt.Errorf("queue: %s: %w", q.db.Path(), err)
	}
	if q.spool, err = spool.Open(filepath.Join(dir, "spool"), q.opt.Spool); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if fresh {
		err = q.begin()
	}
	if err == nil {
		err = upgrade(q.db)
	}
	if err == nil {
		err = q.recover()
	}
	if err == nil {
		err = q.countCopies()
	}
	if err != nil {
		return fmt.Errorf("queue: start: %w", err)
	}
	q.committer = startCommitter(q.db, q.opt.Step)
	return nil
}

// Close commits what is under way, refuses everything after with ErrClosed, and
// releases the database. It may be called more than once.
func (q *Queue) Close() error {
	q.committer.close()
	if err := q.db.Close(); err != nil {
		return fmt.Errorf("queue: close: %w", err)
	}
	return nil
}

// Free gives the bytes and inodes left for bodies; see spool.Spool.Free.
func (q *Queue) Free() (bytes, inodes int64, err error) { return q.spool.Free() }

// view reads one snapshot.
func (q *Queue) view(read func(*bbolt.Tx) error) error {
	err := q.db.View(read)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return fmt.Errorf("queue: %w", ErrClosed)
	}
	return err
}

// change hands one change to the committer and waits for its transaction.
func (q *Queue) change(ctx context.Context, what string, decide decision) error {
	if err := q.committer.do(ctx, decide); err != nil {
		return fmt.Errorf("queue: %s: %w", what, err)
	}
	return nil
}
