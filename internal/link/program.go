package link

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// holdWait is how long a program that has ended may leave its output open: what
// it has started for good may keep it for ever.
const holdWait = time.Second

// ProgramError is a program of the user's, or the system's, that didn't do what
// it was run for.
type ProgramError struct {
	Program   string // as configured, with its arguments
	Said      string // its last line
	Hint      string // what a person can do
	Temporary bool   // worth another call without changing anything
	Err       error  // its exit status, why it couldn't be started, or why it was ended
}

// Error is one line without the hint.
func (e *ProgramError) Error() string {
	s := fmt.Sprintf("link: %s: %v", e.Program, e.Err)
	if e.Said != "" {
		s += fmt.Sprintf(" (%q)", e.Said)
	}
	return s
}

// Unwrap gives the cause.
func (e *ProgramError) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *ProgramError) Advice() string { return e.Hint }

// runProgram runs a program without a shell until it has ended, and tells each
// line that it says on either output. When ctx ends first, the program is asked
// to end, with all it has started, and then made to. What a program that ended by
// itself has left running is let be: a VPN's daemon may be the point of it.
func runProgram(ctx context.Context, argv, env []string, said func(line string)) error {
	var last string
	out := &lineWriter{each: func(line string) { last = line; said(line) }}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the operator's own command
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = holdWait
	ownGroup(cmd)
	cmd.Cancel = func() error { return endGroup(cmd.Process, false) }
	err := cmd.Run()
	out.end()
	if ctx.Err() != nil && cmd.Process != nil {
		_ = endGroup(cmd.Process, true)
		err = context.Cause(ctx)
	}
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	e := &ProgramError{Program: strings.Join(argv, " "), Said: printable(last), Temporary: true, Err: err}
	if errors.Is(err, exec.ErrNotFound) {
		e.Temporary, e.Hint = false, "there is no such program: give its whole path"
	}
	return e
}
