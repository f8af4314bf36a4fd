package dispatch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/schedule"
	"outpost/internal/session"
	"outpost/queue"
)

// desk is a dispatcher whose calls and resets are scripted.
type desk struct {
	*Dispatcher
	mu     sync.Mutex
	calls  []string      // reasons
	times  []time.Time   // when
	length time.Duration // of a call
	result error         // of each call
	resets []error       // what the next resets give; then nil
	reset  int           // how many there were
	cause  error         // why the last call's context ended
}

func newDesk(t *testing.T, exprs ...string) *desk {
	t.Helper()
	s, err := schedule.Parse(exprs, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{length: time.Minute}
	d.Dispatcher = New(Options{Schedule: s, Call: d.call, Reset: d.resetLines})
	return d
}

func (d *desk) call(ctx context.Context, reason string, _ bool) (queue.Call, error) {
	d.mu.Lock()
	d.calls, d.times = append(d.calls, reason), append(d.times, time.Now())
	n := len(d.calls)
	d.mu.Unlock()
	select {
	case <-time.After(d.length):
	case <-ctx.Done():
		d.mu.Lock()
		d.cause = context.Cause(ctx)
		d.mu.Unlock()
	}
	return queue.Call{ID: uint64(n)}, d.result
}

func (d *desk) resetLines(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset++
	if len(d.resets) == 0 {
		return nil
	}
	err := d.resets[0]
	d.resets = d.resets[1:]
	return err
}

// resetCount is how often the lines were reset.
func (d *desk) resetCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reset
}

// failResets makes the next resets give errs.
func (d *desk) failResets(errs ...error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resets = errs
}

// run runs the dispatcher for a time and ends it.
func (d *desk) run(t *testing.T, f func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	synctest.Wait()
	f()
	cancel()
	<-done
}

func TestCallsAtTheScheduledTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "0 6,18 * * *") // a bubble begins at midnight, 2000-01-01 UTC
		d.run(t, func() {
			if s := d.Status(); s.State != Idle || s.Next.Hour() != 6 || s.Why != "schedule 0 6,18 * * *" {
				t.Errorf("status %+v", s)
			}
			time.Sleep(48 * time.Hour)
		})
		if len(d.times) != 4 {
			t.Fatalf("%d calls in two days", len(d.times))
		}
		for i, at := range d.times {
			if want := 6 + 12*(i%2); at.UTC().Hour() != want || at.Minute() != 0 {
				t.Errorf("call %d was at %v", i, at)
			}
		}
	})
}

// A call that lasts over its own next moment is not placed again for it.
func TestLongCallSkipsMissedTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "*/10 * * * *")
		d.length = 25 * time.Minute
		d.run(t, func() { time.Sleep(time.Hour) })
		if len(d.calls) != 2 { // 00:10 to 00:35, 00:40 to 01:05
			t.Errorf("calls at %v", d.times)
		}
	})
}

func TestConnectNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run(t, func() {
			begun := time.Now()
			row, err := d.Connect(t.Context(), "urgent")
			if err != nil || row.ID != 1 || time.Since(begun) != time.Minute {
				t.Errorf("%+v, %v after %v", row, err, time.Since(begun))
			}
			if s := d.Status(); s.Last == nil || s.Last.ID != 1 || s.State != Idle {
				t.Errorf("status %+v", s)
			}
		})
		if len(d.calls) != 1 || d.calls[0] != "urgent" {
			t.Errorf("calls %q", d.calls)
		}
	})
}

// Whoever asks while a call is under way gets that call.
func TestConnectJoinsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run(t, func() {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if row, err := d.Connect(t.Context(), "me too"); err != nil || row.ID != 1 {
						t.Errorf("%+v, %v", row, err)
					}
				})
				time.Sleep(time.Second)
			}
			wg.Wait()
			time.Sleep(time.Hour)
		})
		if len(d.calls) != 1 {
			t.Errorf("%d calls", len(d.calls))
		}
	})
}

// Whoever asks before the lines were checked is answered after it: with a call,
// or with what is wrong with the line.
func TestConnectWaitsForTheFirstCheck(t *testing.T) {
	for _, fault := range []error{nil, errors.New("permission denied")} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t)
			d.failResets(fault)
			answer := make(chan error, 1)
			go func() {
				_, err := d.Connect(t.Context(), "") // no reason is a reason too
				answer <- err
			}()
			synctest.Wait()
			d.run(t, func() {
				if err := <-answer; !errors.Is(err, fault) || (fault != nil) != errors.Is(err, ErrLineOpen) {
					t.Errorf("error %v", err)
				}
				time.Sleep(time.Hour)
				if s := d.Status(); s.State != Idle || s.Line != "" {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// Who stops waiting does not end the call.
func TestConnectGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := d.Connect(ctx, "impatient"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if s := d.Status(); s.State != Calling {
				t.Errorf("state %s", s.State)
			}
		})
	})
}

// Nothing is dialled before every line is known to be on-hook.
func TestLinesAreCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, "* * * * *")
		d.failResets(errors.New("carrier up"), errors.New("carrier up"))
		d.run(t, func() {
			if _, err := d.Connect(t.Context(), "now"); !errors.Is(err, ErrLineOpen) {
				t.Errorf("error %v", err)
			}
			time.Sleep(2*resetPause + time.Second)
			if d.resetCount() != 3 || d.Status().State != Idle {
				t.Errorf("%d resets, state %s", d.resetCount(), d.Status().State)
			}
		})
	})
}

// After a call that left its line open, hanging up comes before everything.
func TestOpenLineIsBroughtDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.result = &session.OpenLineError{Line: "landline", Err: errors.New("carrier up")}
		d.run(t, func() {
			d.failResets(errors.New("carrier up"))
			if _, err := d.Connect(t.Context(), "now"); err == nil {
				t.Error("no error")
			}
			synctest.Wait()
			if s := d.Status(); s.State != LineOpen || s.Error == "" || s.Line != "carrier up" {
				t.Errorf("status %+v", s)
			}
			time.Sleep(resetPause + time.Second)
			if s := d.Status(); s.State != Idle {
				t.Errorf("state %s", s.State)
			}
		})
		if d.resetCount() != 3 { // at the start, and two after the call
			t.Errorf("%d resets", d.resetCount())
		}
	})
}

// Stopping answers everyone and ends the call first.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		answers := make(chan error, 1)
		d.run(t, func() {
			go func() {
				_, err := d.Connect(t.Context(), "now")
				answers <- err
			}()
			time.Sleep(time.Second)
		})
		if err := <-answers; err != nil {
			t.Errorf("the call that was ended in order gave %v", err)
		}
	})
}

func TestFeed(t *testing.T) {
	var f Feed
	f.Tell(session.Event{}) // nobody listens
	one, stopOne := f.Listen()
	two, stopTwo := f.Listen()
	defer stopTwo()
	for i := range feedBuffer + 10 {
		f.Tell(session.Event{Call: uint64(i)}) // nobody reads: nobody is waited for
	}
	stopOne()
	stopOne()
	n := 0
	for e := range one {
		if e.Call != uint64(n) {
			t.Fatalf("event %d is %d", n, e.Call)
		}
		n++
	}
	if n != feedBuffer || len(two) != feedBuffer {
		t.Errorf("%d and %d events", n, len(two))
	}
	f.Tell(session.Event{})
}
