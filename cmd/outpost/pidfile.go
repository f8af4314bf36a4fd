package main

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
	// termWait is how long a daemon that was told to end may take before it is
	// killed: an orderly hang-up takes 3 s, by guard times and ATH 6 s, and the line
	// may be costing money meanwhile.
	termWait = 8 * time.Second
	// killWait is for the system to take a killed process apart. One that stays
	// longer is held by a driver.
	killWait = 5 * time.Second
)

// pidPath names the file that says which process the daemon is. It lies beside the
// socket, and is locked for as long as that process lives, so that a number which
// was left behind is never taken for it.
func pidPath(socket string) string { return socket + ".pid" }

// claimPID writes our number down, for whoever has to end us, until release is
// called. The caller holds the lock on the database: there is no second daemon.
func claimPID(socket string) (release func(), err error) {
	f, err := os.OpenFile(pidPath(socket), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// Who asks whether we live holds the lock for a moment.
	for range 20 {
		if err = lockFile(f); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", pidPath(socket), err)
	}
	return func() {
		_ = os.Remove(pidPath(socket)) // a number that stays does no harm without its lock
		_ = f.Close()
	}, nil
}

// daemonPID gives the process of a daemon that lives; 0: there is none, as far as
// this system can tell.
func daemonPID(socket string) (int, error) {
	f, err := os.Open(pidPath(socket))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if !isLocked(f) {
		return 0, nil
	}
	text := make([]byte, 32)
	n, _ := f.Read(text) // what is missing is no number
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid < 1 {
		return 0, fmt.Errorf("%s holds no process number", f.Name())
	}
	return pid, nil
}

// endDaemon ends the daemon, with force if it must be, and says what it does. The
// kernel then closes the modem's port, which drops DTR. Nil: the process is gone.
func endDaemon(ctx context.Context, socket string, pid int, say func(format string, args ...any)) error {
	say("ending the daemon (process %d)", pid)
	if err := stopProcess(pid); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if daemonGone(ctx, socket, pid, termWait) {
		say("it has ended")
		return nil
	}
	say("it has not ended after %v: killing it", termWait)
	if err := killProcess(pid); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	if !daemonGone(ctx, socket, pid, killWait) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("process %d cannot be killed: a driver holds it", pid)
	}
	say("it is gone")
	return nil
}

// daemonGone waits until the process isn't the daemon any more.
func daemonGone(ctx context.Context, socket string, pid int, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if now, err := daemonPID(socket); err == nil && now != pid {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
