package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// leftTermWait is how long a pppd that was left may take to end in order. Its
	// line is gone already, so it has nobody to say goodbye to.
	leftTermWait = 3 * time.Second
	// leftLook is the time between two looks whether it has.
	leftLook = 50 * time.Millisecond
)

// writePID notes which process is ours: its number, and when it began, as numbers
// are given again.
func writePID(file string, pid int) error {
	began, err := processBegan(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(fmt.Sprintf("%d %s\n", pid, began)), 0o600)
}

// leftPID gives the process that a file names, if it is still that one; 0: none
// is left.
func leftPID(file string) (int, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number, began, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err := strconv.Atoi(number)
	if err != nil || pid < 2 {
		return 0, nil //nolint:nilerr // half written when the power failed: what it named is gone with it
	}
	if now, err := processBegan(pid); err != nil || now != began {
		return 0, nil //nolint:nilerr // it is gone
	}
	return pid, nil
}

// clear takes away what an earlier process has left of its calls.
func (s *pppdSetup) clear(ctx context.Context) error {
	pid, err := leftPID(s.pidFile())
	if err != nil {
		return err
	}
	if pid != 0 {
		s.Modem.Log.Warn("link: a pppd was left running", "line", s.Modem.Name, "pid", pid)
		if err := s.endLeft(ctx, pid); err != nil {
			return err
		}
	}
	if s.Guard {
		if err := newGuard(s.Modem.Name, s.ifName()).remove(ctx); err != nil {
			s.Modem.Log.Warn("link: the guard of an earlier call stays", "line", s.Modem.Name, "error", err)
		}
	}
	for _, name := range []string{s.secretsFile(), s.pidFile()} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// endLeft ends a process that isn't our child: its end can only be looked for.
func (s *pppdSetup) endLeft(ctx context.Context, pid int) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	for _, force := range []bool{false, true} {
		if err := endGroup(process, force); err != nil {
			s.Modem.Log.Warn("link: ending it", "line", s.Modem.Name, "pid", pid, "error", err)
		}
		limited, cancel := context.WithTimeout(ctx, leftTermWait)
		for ok := true; ok; ok = pause(limited, leftLook) {
			if left, err := leftPID(s.pidFile()); err == nil && left == 0 {
				cancel()
				return nil
			}
		}
		cancel()
	}
	return &DownError{Line: s.Modem.Name, Err: fmt.Errorf("the pppd of an earlier call (process %d) doesn't end", pid),
		Hint: "end it by hand: kill -9 " + strconv.Itoa(pid)}
}
