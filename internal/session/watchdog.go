package session

import (
	"context"
	"fmt"
	"time"
)

// watchdogGrace is what a hang-up may take before the watchdog joins it: an ordinary
// one takes 3 s, one by guard times and ATH 6 s.
const watchdogGrace = 15 * time.Second

// watch is the watchdog. At the hard limit it ends the work; if the line is not
// down a hang-up's time later, whatever holds the call up, it brings the line
// down itself, again and again until it is. It needs nothing that the call may be
// holding: it takes no lock of the call's before the line is down, and waits for
// nobody who is told.
func (c *call) watch(done <-chan struct{}, cancel context.CancelCauseFunc) {
	limit := time.NewTimer(c.route.MaxCall)
	defer limit.Stop()
	for reached := false; ; reached = true {
		select {
		case <-done:
			return
		case <-limit.C:
		}
		cancel(ErrMaxCall)
		if reached && c.bark() {
			return
		}
		limit.Reset(windDown + watchdogGrace)
	}
}

// bark brings the line down past a call that does not end, and says whether it is.
func (c *call) bark() bool {
	err := c.safely("watchdog", func() error {
		ctx, stop := context.WithTimeout(context.Background(), hangupLimit)
		defer stop()
		return c.line().Down(ctx)
	})
	at := time.Now()
	// What holds the call up may be a reader of its events, and then this would wait
	// too: each alarm in a goroutine of its own, which is one every half a minute.
	go func() {
		if err == nil {
			c.stopMeterAt(at)
		}
		_ = c.safely("alarm", func() error {
			c.emit(Event{Kind: Alarm, Text: fmt.Sprintf("the hard limit has passed and the call does not end; the watchdog hung up: %v", orDone(err))})
			return nil
		})
	}()
	return err == nil
}

func orDone(err error) string {
	if err == nil {
		return "the line is down"
	}
	return err.Error()
}
