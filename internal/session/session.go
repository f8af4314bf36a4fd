// Package session is one call, from dialling to hang-up: everything waiting
// goes to the smarthost and every box is collected, at the same time, and then
// the line comes down.
//
//	planning      is there anything to do?
//	dialling      the lines in their order, until one answers
//	linking       PPP, an address, a way to reach the provider
//	exchanging    an SMTP connection drains, or a few where that helps; several POP3 connections pull
//	hanging up    until on-hook is confirmed
//
// The invariant: every path out of a call, a panic included, goes through the
// hang-up. A watchdog of its own holds the hard limit; if the call's own
// goroutine should hang, it brings the line down by itself. A line that cannot
// be confirmed to be down is an alarm and an error of the call, never silence.
//
// What was done stays done: each message's state is committed as it changes, so
// a cut ends the call and not the work in it. One broken box, server or message
// never stops the others; each becomes a line for a person in the call's
// Problems.
//
// What a call finds out of lines, servers and boxes is read before the next and
// kept after it: memory.go. It saves octets and round trips and is never needed.
//
// Every step is an Event; the progress display, the log and the ledger are
// readers of the same stream. The package does not decide when to call: that is
// package dispatch.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/tariff"
	"outpost/queue"
	"outpost/spool"
)

// ErrNothingToDo says that no call was placed: nothing waits and there is no
// box to collect.
var ErrNothingToDo = errors.New("nothing to send and no box to collect")

// ErrMaxCall is why a call was ended at its hard limit.
var ErrMaxCall = errors.New("the call reached its hard limit (max_call_minutes)")

// ErrLost is why the work of a call stopped when the line went down by itself.
var ErrLost = errors.New("the line was lost")

// OpenLineError says that a call ended and its line could not be confirmed to
// be down. It may be costing money.
type OpenLineError struct {
	Line string
	Err  error
}

func (e *OpenLineError) Error() string {
	return fmt.Sprintf("line %s may still be open: %v", e.Line, e.Err)
}

// Unwrap gives what the hang-up met.
func (e *OpenLineError) Unwrap() error { return e.Err }

// CutError says that a call was up and ended before its work was done. What had
// been done is kept; the rest waits for the next call.
type CutError struct {
	Line string
	Err  error
}

func (e *CutError) Error() string {
	return fmt.Sprintf("the call on line %s ended early: %v", e.Line, e.Err)
}

// Unwrap gives the cause.
func (e *CutError) Unwrap() error { return e.Err }

// Options is what a Session needs. Queue and Lines must be set.
type Options struct {
	Queue *queue.Queue
	// Lines are tried in this order until one comes up.
	Lines []Route
	// Smarthost takes outgoing mail; nil: nothing is sent.
	Smarthost *Smarthost
	Boxes     []Box
	// Jobs are done on the line too, beside the mail.
	Jobs []Job
	// Sort says who gets a message that was collected from a box, by its content and size: the envelope, but for what
	// names it in its box. discard is the rule by which nobody does; "": none. It is called from several goroutines.
	Sort func(box string, body io.ReadSeeker, size int64) (m queue.Message, discard string, err error)
	// Hold enters a message that stays at the provider, durably, and has those told whom it is for. pop3.ErrWanted: it doesn't
	// stay. nil: no message is held.
	Hold func(context.Context, Held) error
	// TellManager writes to the manager of the office what he should know and need not act on at once. nil: he isn't told.
	TellManager func(ctx context.Context, subject, text string) error
	// Unread says which of some messages nobody has read here yet. It is called before the line is up. It must be set if a box
	// has KeepUnread.
	Unread func(ids map[spool.ID]bool) (map[spool.ID]bool, error)
	// Outward says how a message looks outside; body may be read, and is at its beginning. nil: as it is kept.
	Outward func(m queue.Message, body io.Reader) (Outward, error)
	// OnEvent is told each step as it happens, from several goroutines but one
	// at a time. It must not block. Nil: nobody is told.
	OnEvent func(Event)
	// Log takes one line an event; nil discards.
	Log *slog.Logger
}

// Route is a line with its price and its limits.
type Route struct {
	Line   Line
	Tariff tariff.Tariff
	// MaxCall is the hard limit from the beginning of dialling; it must be
	// positive.
	MaxCall time.Duration
	// BoxesAtOnce bounds how many boxes are collected side by side; zero: as many
	// as fill the line.
	BoxesAtOnce int
	// Rate in bit/s and RTT are what the line carries, as its owner knows it; zero: what
	// earlier calls have shown.
	Rate int
	RTT  time.Duration
}

// Smarthost is the provider's server for outgoing mail.
type Smarthost struct {
	Address string // host:port
	Relay   relay.Options
}

// Box is a POP3 account to collect.
type Box struct {
	Name string
	// Account names the account at its server for good, such as
	// ann@pop.provider.example. What was collected is remembered under it, so
	// that giving the box another name doesn't collect everything again.
	Account string
	Address string // host:port
	POP3    pop3.Options
	// HoldAbove is the size in octets above which a message is held, at that time; 0: none is. nil: none is.
	HoldAbove func(now time.Time) int64
	// HoldExpire is how long a held message waits for a decision before it is deleted at the provider; 0: for ever. Of the time between two
	// calls no more than half of it counts, as the clock may have been set meanwhile.
	HoldExpire time.Duration
	// KeepUnread leaves on the server what nobody has read here yet, by Options.Unread. False: POP3.LeaveDays says what stays.
	KeepUnread bool
}

// Outward is how a message looks outside the office.
type Outward struct {
	// From is the envelope's sender.
	From string
	// Grows is by how many octets its content is longer than what is kept; below zero: shorter.
	Grows int64
	// Content makes it of what is kept.
	Content func(io.Reader) io.Reader
}

// Job is something else than mail to do on a line that is up.
type Job struct {
	Name string // for its problems
	// Do has to end when ctx does. It is one of several things on the line, which
	// goes down when all are done.
	Do func(ctx context.Context) error
}

// Session places calls, one at a time.
type Session struct {
	opt  Options
	log  *slog.Logger
	busy sync.Mutex // held during a call
	// tell is held while an event is told, one at a time. It is a channel so that
	// tests in virtual time can have a reader that hangs.
	tell chan struct{}
}

// New makes a Session. It does nothing until Call.
func New(opt Options) *Session {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Session{opt: opt, log: log, tell: make(chan struct{}, 1)}
}

// Call places one call and gives its row of the ledger, which is stored
// whatever happened. reason is why, in words for the report; asked says that a
// person wants the call even if there is nothing to do. Calls wait for each
// other. When ctx ends the call is ended in order: what was begun stops, the
// line comes down.
//
// Each line that was tried has a row of its own; the row of the last, which is
// the one that is given, names the others and why they did not come up.
//
// The error is ErrNothingToDo, *OpenLineError, *CutError, or why no line came up;
// single boxes and messages that failed are in the row's Problems and not an
// error.
func (s *Session) Call(ctx context.Context, reason string, asked bool) (queue.Call, error) {
	s.busy.Lock()
	defer s.busy.Unlock()
	if err := s.release(ctx); err != nil {
		s.log.Error("messages of an earlier call", "err", err)
	}
	if !asked && !s.work() {
		return queue.Call{}, ErrNothingToDo
	}
	if len(s.opt.Lines) == 0 {
		return queue.Call{}, errors.New("no line is configured")
	}
	var (
		row      queue.Call
		failures []error
		before   []string // what became of the lines that were tried first
	)
	for _, route := range s.opt.Lines {
		c, err := s.begin(ctx, route, reason, before)
		if err != nil {
			return c.row, err
		}
		row = c.run(ctx)
		if !row.OnHook {
			return row, &OpenLineError{Line: row.Line, Err: c.downErr}
		}
		if c.upErr == nil && c.cutErr != nil {
			return row, &CutError{Line: row.Line, Err: c.cutErr}
		}
		if c.upErr == nil {
			return row, nil
		}
		failures = append(failures, c.upErr)
		before = append(before, fmt.Sprintf("line %s was tried first: %s", row.Line, Explain(c.upErr)))
		if ctx.Err() != nil {
			break
		}
	}
	return row, errors.Join(failures...)
}

// work says whether a call would have anything to do. A queue that cannot be
// read is worth a call too: what can be read of it goes, and the rest is told.
func (s *Session) work() bool {
	if len(s.opt.Boxes) > 0 {
		return true
	}
	if s.opt.Smarthost == nil {
		return false
	}
	waits := false
	if err := s.opt.Queue.Each(func(m queue.Message) { waits = waits || m.Waits(queue.Remote) }); err != nil {
		s.log.Error("queue", "err", err)
	}
	return waits
}

// release puts recipients back that an earlier call left as being sent to,
// because the result could not be stored. No call is under way now, so nobody
// else will; whether they have the message is not known.
func (s *Session) release(ctx context.Context) error {
	var left []spool.ID
	faults := []error{s.opt.Queue.Each(func(m queue.Message) {
		if slices.ContainsFunc(m.To, func(r queue.Recipient) bool { return r.State == queue.Sending }) {
			left = append(left, m.ID)
		}
	})}
	for _, id := range left {
		faults = append(faults, s.opt.Queue.Update(ctx, id, func(m *queue.Message) error {
			for i := range m.To {
				if r := &m.To[i]; r.State == queue.Sending {
					r.State, r.Doubtful = queue.Waiting, true
				}
			}
			return nil
		}))
	}
	return errors.Join(faults...)
}
