package dispatch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/session"
)

// A call under way ends at once, with who asked as its cause; the lines are checked
// after it, and the row comes back.
func TestHangupEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run(t, func() {
			connected := make(chan error, 1)
			go func() {
				_, err := d.Connect(t.Context(), "now")
				connected <- err
			}()
			time.Sleep(time.Second)
			begun := time.Now()
			row, err := d.Hangup(t.Context(), "root")
			if err != nil || row == nil || row.ID != 1 || time.Since(begun) != 0 {
				t.Errorf("%+v, %v, after %v", row, err, time.Since(begun))
			}
			var hungUp *HungUpError
			if !errors.As(d.cause, &hungUp) || hungUp.By != "root" {
				t.Errorf("the call ended by %v", d.cause)
			}
			<-connected
			if n := d.resetCount(); n != 2 {
				t.Errorf("%d resets", n)
			}
			if s := d.Status(); s.State != Idle {
				t.Errorf("state %s", s.State)
			}
		})
		if len(d.calls) != 1 {
			t.Errorf("calls %q", d.calls)
		}
	})
}

// Without a call the lines are checked all the same: nobody is told that they are
// down because they were.
func TestHangupWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.run(t, func() {
			if row, err := d.Hangup(t.Context(), "root"); err != nil || row != nil || d.resetCount() != 2 {
				t.Errorf("%+v, %v, %d resets", row, err, d.resetCount())
			}
			open := errors.New("carrier up")
			d.failResets(open, open)
			if _, err := d.Hangup(t.Context(), "root"); !errors.Is(err, open) {
				t.Errorf("error %v", err)
			}
			// Whoever asks again doesn't wait for the next try: it is made now.
			begun := time.Now()
			if _, err := d.Hangup(t.Context(), "root"); !errors.Is(err, open) || time.Since(begun) != 0 {
				t.Errorf("error %v after %v", err, time.Since(begun))
			}
			if s := d.Status(); s.Line == "" {
				t.Errorf("status %+v", s)
			}
			time.Sleep(resetPause)
			synctest.Wait()
			if s := d.Status(); s.State != Idle {
				t.Errorf("state %s", s.State)
			}
		})
	})
}

// A call whose line stays open is what those who asked hear of.
func TestHangupOfAnOpenLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.result = &session.OpenLineError{Line: "landline", Err: errors.New("carrier up")}
		d.run(t, func() {
			go d.Connect(t.Context(), "now")
			time.Sleep(time.Second)
			open := errors.New("carrier still up")
			d.failResets(open)
			if row, err := d.Hangup(t.Context(), "root"); !errors.Is(err, open) || row == nil {
				t.Errorf("%+v, %v", row, err)
			}
		})
	})
}

func TestHangupGivenUpOrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Hangup(ctx, "root"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody runs: %v", err)
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		answer := make(chan error, 1)
		go func() {
			_, err := d.Hangup(t.Context(), "root")
			answer <- err
		}()
		synctest.Wait()
		d.Run(stopped)
		if err := <-answer; !errors.Is(err, ErrStopped) {
			t.Errorf("error %v", err)
		}
	})
}
