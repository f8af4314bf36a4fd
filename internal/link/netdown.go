package link

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DownError is a line that couldn't be confirmed to be down: it may cost money.
// Call Down again.
type DownError struct {
	Line string
	Hint string
	Err  error
}

// Error is one line without the hint.
func (e *DownError) Error() string {
	return fmt.Sprintf("link: line %s is not confirmed to be down: %v", e.Line, e.Err)
}

// Unwrap gives the cause.
func (e *DownError) Unwrap() error { return e.Err }

// Advice is the hint for a person.
func (e *DownError) Advice() string { return e.Hint }

const (
	hintNetStuck = "it may still be up and cost money; down_command is still being tried"
	hintNetUp    = "it may still be up and cost money: take it down by hand, then find out why down_command doesn't"
)

// Down takes the line down: connections end at once, DownCommand runs, and the
// interface, if it came with the line, is seen to be gone or without address. Nil
// means all of that; on a line without DownCommand, that nothing of ours uses it
// any more. Anything else is a *DownError; call Down again then.
//
// It may be called at any time, also while Up runs, which then returns ErrClosed;
// and from several goroutines, which all get the same answer. When ctx ends first,
// it goes on without the caller: ask again.
func (l *NetLine) Down(ctx context.Context) error {
	c := l.current()
	if c == nil {
		return nil
	}
	c.stop()
	d := c.descents.join(c.takeDown) //nolint:contextcheck // it goes on when ctx ends
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return &DownError{Line: l.cfg.Name, Hint: hintNetStuck, Err: context.Cause(ctx)}
	}
}

// takeDown does the work, with its own limits.
func (c *netCall) takeDown() error {
	<-c.risen // Up has been told to end, and its command ends when it is
	c.mu.Lock()
	h := c.host
	c.mu.Unlock()
	if h != nil {
		h.close(ErrClosed)
	}
	defer c.octets()
	c.proof = "nothing of ours uses it"
	if c.asked && len(c.cfg.DownCommand) > 0 {
		c.octets() // its interface may go with it
		if err := c.run(context.Background(), c.cfg.DownCommand); err != nil {
			return &DownError{Line: c.cfg.Name, Hint: hintNetUp, Err: err}
		}
		c.proof = "down_command succeeded"
		if err := c.gone(); err != nil {
			return err
		}
	}
	c.unguard()
	if h != nil {
		remember(c.cfg.Memory, c.cfg.memoryKey(), kept{At: time.Now(), Names: h.names.keep()}, c.cfg.Log)
	}
	return nil
}

// unguard takes the guard away. That it couldn't is no open line: the next call
// puts it up anew.
func (c *netCall) unguard() {
	if !c.cfg.Guard {
		return
	}
	if err := newGuard(c.cfg.Name, c.cfg.Interface).remove(context.Background()); err != nil {
		c.note("the guard stays: %v", err)
		c.cfg.Log.Warn("link: the guard stays", "line", c.cfg.Name, "error", err)
	}
}

// gone waits until the interface that came with the line has left with it. One
// that had its address before says nothing about the line, and then the command's
// word is all there is.
func (c *netCall) gone() error {
	if c.cfg.Interface == "" || c.was.ready() || len(c.cfg.UpCommand) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	for c.ground.look(c.cfg.Interface).ready() {
		if !pause(ctx, lookInterval) {
			c.note("%s still has its address %v after down_command", c.cfg.Interface, leaveLimit.Round(time.Second))
			return &DownError{Line: c.cfg.Name, Hint: hintNetUp,
				Err: errors.New(c.cfg.Interface + " is still up and has its address, though down_command says that it succeeded")}
		}
	}
	c.proof += ", " + c.cfg.Interface + " is down or has no address"
	return nil
}
