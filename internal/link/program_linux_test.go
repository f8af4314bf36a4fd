package link

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRunProgram(t *testing.T) {
	noLeak(t)
	run := func(ctx context.Context, script string, said func(string)) error {
		return runProgram(ctx, []string{"/bin/sh", "-c", script}, []string{"OUTPOST_LINE=a line"}, said)
	}
	var lines []string
	note := func(line string) { lines = append(lines, line) }
	if err := run(t.Context(), `echo "$OUTPOST_LINE"; echo warning >&2; printf 'no end'`, note); err != nil {
		t.Error(err)
	}
	if got := strings.Join(lines, "|"); got != "a line|warning|no end" {
		t.Errorf("said %s", got)
	}
	var e *ProgramError
	if err := run(t.Context(), "echo no signal; exit 4", note); !errors.As(err, &e) || e.Said != "no signal" ||
		!strings.Contains(err.Error(), "exit status 4") || !e.Temporary {
		t.Errorf("a failure: %v", err)
	}
	if err := runProgram(t.Context(), []string{"no-such-program-here"}, nil, note); !errors.As(err, &e) || e.Temporary || e.Advice() == "" {
		t.Errorf("no such program: %v", err)
	}

	if err := run(t.Context(), "sleep 600 & echo daemon started", note); err != nil { // and keeps its output
		t.Errorf("a program that leaves something running: %v", err)
	}
}

// A program that has to end takes with it what it has started, whether it wants
// to or not.
func TestRunProgramEndsAll(t *testing.T) {
	noLeak(t)
	// Each of them holds the pipe open for writing.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	alive, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	script := `trap "" TERM; exec 3>"$0"; (sleep 600) & echo ready; sleep 600`
	err = runProgram(ctx, []string{"/bin/sh", "-c", script, pipe}, nil, func(line string) {
		if line == "ready" {
			cancel(enough)
		}
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	if err := alive.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := alive.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("something lives on: read %d, %v", n, err)
	}
}
