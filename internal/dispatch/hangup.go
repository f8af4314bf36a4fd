package dispatch

import (
	"context"

	"outpost/queue"
)

// HungUpError is why a call ended that somebody asked to end, for its row of the
// ledger.
type HungUpError struct {
	By string // who asked, in words
}

func (e *HungUpError) Error() string { return "asked to hang up by " + e.By }

// hangup is somebody who waits for the lines to be down.
type hangup struct {
	by    string
	ended *queue.Call // the call that was ended for it, nil: there was none
	done  chan checked
}

// checked is how a check of all lines ended.
type checked struct {
	call *queue.Call
	err  error
}

// Hangup ends the call under way, in order, and then checks every line, also when
// no call was under way: nil means that each was seen on-hook just now. An error
// says what could not be confirmed; the Dispatcher then goes on trying, and places
// no call. The row is that of the call that was ended, nil when there was none.
// When ctx ends Hangup returns; what it asked for goes on.
func (d *Dispatcher) Hangup(ctx context.Context, by string) (*queue.Call, error) {
	h := &hangup{by: by, done: make(chan checked, 1)}
	d.mu.Lock()
	d.hangups = append(d.hangups, h)
	if d.cancel != nil {
		d.cancel(&HungUpError{By: by})
	}
	d.mu.Unlock()
	select {
	case d.hurry <- struct{}{}:
	default: // it is told already
	}
	select {
	case c := <-h.done:
		return c.call, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin gives the context of a call that Hangup can end.
func (d *Dispatcher) begin(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancel = cancel
	if len(d.hangups) > 0 { // asked for just now
		cancel(&HungUpError{By: d.hangups[0].by})
	}
	return ctx
}

// end notes which call was ended for those who asked.
func (d *Dispatcher) end(row queue.Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cancel(nil)
	d.cancel = nil
	for _, h := range d.hangups {
		if row.ID != 0 {
			h.ended = &row
		}
	}
}

// toHangUp says whether somebody waits for the lines to be down.
func (d *Dispatcher) toHangUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.hangups) > 0
}

// answerHangups tells them how the check ended.
func (d *Dispatcher) answerHangups(err error) {
	d.mu.Lock()
	waiting := d.hangups
	d.hangups = nil
	d.mu.Unlock()
	for _, h := range waiting {
		h.done <- checked{h.ended, err}
	}
}
