// Package dispatch decides when a call is placed: at the times of the schedule
// and when somebody asks, one call at a time.
//
// It owns the waiting and nothing of the call itself. Its loop is
//
//	reset     before anything else every line is checked and put on-hook,
//	          again and again until each is confirmed: an open line costs money
//	idle      until the schedule's next moment or a request
//	calling   until the call's line is down; who asks meanwhile joins the call
//	reset     only when a call could not confirm that its line is down, or when
//	          somebody asked to hang up and wants to know
//
// The invariant: no call is placed while a line is not known to be on-hook.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"outpost/internal/schedule"
	"outpost/internal/session"
	"outpost/queue"
)

const (
	// resetPause is the time between two tries to bring an open line down: long
	// enough for a modem to finish what it does, short beside a billed minute.
	resetPause = 15 * time.Second
	// look bounds one wait for the schedule, so that a clock that is set while
	// we wait (small computers start in 1970) is noticed within a minute.
	look = time.Minute
)

// ErrLineOpen says that no call can be placed because a line isn't known to be
// on-hook.
var ErrLineOpen = errors.New("a line is not confirmed to be down; hanging up has to succeed before the next call")

// ErrStopped says that the daemon ended before the call.
var ErrStopped = errors.New("the daemon is stopping")

// State is what the dispatcher is doing.
type State string

// The states.
const (
	Starting State = "starting" // checking that every line is down
	Idle     State = "idle"
	Calling  State = "calling"
	Checking State = "checking"  // asked to hang up: looking that every line is down
	LineOpen State = "line open" // trying to bring a line down
)

// Options is what a Dispatcher needs.
type Options struct {
	// Schedule says when; nil or empty: only when asked.
	Schedule *schedule.Schedule
	// Call places one call, as session.Session.Call does.
	Call func(ctx context.Context, reason string, asked bool) (queue.Call, error)
	// Reset makes sure that every line is on-hook.
	Reset func(ctx context.Context) error
	// Log takes what has no event; nil discards.
	Log *slog.Logger
}

// Dispatcher is the loop. Make one with New; Run it once. All other methods may
// be called from any goroutine.
type Dispatcher struct {
	opt  Options
	log  *slog.Logger
	kick chan struct{} // somebody asked for a call
	// hurry is the same for a hang-up, which also ends the pause between two tries.
	hurry chan struct{}

	mu      sync.Mutex
	state   State
	open    error // why a line isn't known to be down; nil: all are, or it is being looked at
	due     schedule.Due
	last    *Outcome
	asked   []request
	hangups []*hangup
	cancel  context.CancelCauseFunc // ends the call under way; nil: there is none
}

// request is somebody who waits for a call.
type request struct {
	reason string
	done   chan Outcome
}

// Outcome is how a call ended.
type Outcome struct {
	Call queue.Call
	Err  error
}

// Status is what the dispatcher is doing, at one moment.
type Status struct {
	State State       `json:"state"`
	Next  time.Time   `json:"next,omitzero"` // zero: no call is scheduled
	Why   string      `json:"why,omitempty"`
	Error string      `json:"error,omitempty"` // of the last call
	Line  string      `json:"line,omitempty"`  // why a line is not known to be down
	Hint  string      `json:"hint,omitempty"`  // what to do about that
	Last  *queue.Call `json:"last,omitempty"`  // since the daemon started
}

// New makes a Dispatcher that does nothing until Run.
func New(opt Options) *Dispatcher {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Dispatcher{opt: opt, log: log, kick: make(chan struct{}, 1), hurry: make(chan struct{}, 1), state: Starting}
}

// Run places calls until ctx ends; a call under way is then ended in order, with
// its line down, before Run returns.
func (d *Dispatcher) Run(ctx context.Context) {
	d.reset(ctx, Starting)
	for ctx.Err() == nil {
		next, ok := d.wait(ctx)
		if !ok {
			break
		}
		if next.check {
			d.reset(ctx, Checking)
			continue
		}
		out := d.place(ctx, next)
		var open *session.OpenLineError
		switch {
		case errors.As(out.Err, &open):
			d.reset(ctx, LineOpen)
		case d.toHangUp():
			d.reset(ctx, Checking)
		}
	}
	d.answer(Outcome{Err: ErrStopped})
	d.answerHangups(ErrStopped)
}

// Connect asks for a call and waits for its end. If a call is under way it is
// that one; while the lines are checked for the first time it waits for that.
// When ctx ends Connect returns; the call goes on.
func (d *Dispatcher) Connect(ctx context.Context, reason string) (queue.Call, error) {
	r := request{reason: reason, done: make(chan Outcome, 1)}
	d.mu.Lock()
	if d.open != nil {
		err := fmt.Errorf("%w: %w", ErrLineOpen, d.open)
		d.mu.Unlock()
		return queue.Call{}, err
	}
	d.asked = append(d.asked, r)
	d.mu.Unlock()
	select {
	case d.kick <- struct{}{}:
	default: // it is told already
	}
	select {
	case out := <-r.done:
		return out.Call, out.Err
	case <-ctx.Done():
		return queue.Call{}, ctx.Err()
	}
}

// Status tells what is going on.
func (d *Dispatcher) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{State: d.state, Next: d.due.At, Why: d.due.Why}
	if d.open != nil {
		s.Line, s.Hint = d.open.Error(), session.Advice(d.open)
	}
	if d.last != nil {
		row := d.last.Call
		s.Last = &row
		if d.last.Err != nil {
			s.Error = d.last.Err.Error()
		}
	}
	return s
}

// next is a call to be placed: why, and whether somebody asked for it. Or, instead
// of a call, the lines are to be checked.
type next struct {
	reason string
	asked  bool
	check  bool
}

// wait gives what is next when it is time for it; false when ctx has ended.
func (d *Dispatcher) wait(ctx context.Context) (next, bool) {
	d.set(Idle)
	// Wall clock only: the schedule is about the time on the wall, and a
	// monotonic reading would hide that it was set.
	due := d.plan(time.Now().Round(0))
	for ctx.Err() == nil {
		if d.toHangUp() {
			return next{check: true}, true
		}
		if reason, ok := d.wanted(); ok {
			return next{reason: reason, asked: true}, true
		}
		now := time.Now().Round(0)
		if !due.At.IsZero() && !now.Before(due.At) {
			return next{reason: due.Why}, true
		}
		due = d.plan(now)
		pause := look
		if !due.At.IsZero() {
			pause = min(look, due.At.Sub(now))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-d.kick:
		case <-d.hurry:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return next{}, false
}

func (d *Dispatcher) plan(now time.Time) schedule.Due {
	due := d.opt.Schedule.Next(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = due
	return due
}

// wanted gives the reason of the first who asked.
func (d *Dispatcher) wanted() (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		return "", false // they joined the call before
	}
	return d.asked[0].reason, true
}

func (d *Dispatcher) place(ctx context.Context, n next) Outcome {
	d.set(Calling)
	row, err := d.opt.Call(d.begin(ctx), n.reason, n.asked)
	d.end(row)
	out := Outcome{Call: row, Err: err}
	switch {
	case errors.Is(err, session.ErrNothingToDo):
		d.log.Info("no call", "reason", n.reason, "why", err.Error())
	case err != nil:
		d.log.Error("call", "call", row.ID, "reason", n.reason, "err", session.Explain(err))
	}
	d.mu.Lock()
	if !errors.Is(err, session.ErrNothingToDo) {
		d.last = &out
	}
	d.mu.Unlock()
	d.answer(out)
	return out
}

// answer tells everyone who asked.
func (d *Dispatcher) answer(out Outcome) {
	d.mu.Lock()
	asked := d.asked
	d.asked = nil
	d.mu.Unlock()
	for _, r := range asked {
		r.done <- out
	}
}

// reset brings every line down, until that is confirmed or ctx ends. Whoever
// waits for a call meanwhile is told why there is none.
func (d *Dispatcher) reset(ctx context.Context, state State) {
	d.set(state)
	for ctx.Err() == nil {
		err := d.opt.Reset(ctx)
		d.mu.Lock()
		d.open = err
		d.mu.Unlock()
		d.answerHangups(err)
		if err == nil {
			return
		}
		d.answer(Outcome{Err: fmt.Errorf("%w: %w", ErrLineOpen, err)})
		d.log.Error("line not confirmed down", "err", session.Explain(err), "again_in", resetPause)
		timer := time.NewTimer(resetPause)
		select {
		case <-timer.C:
		case <-d.hurry:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (d *Dispatcher) set(s State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = s
}
