//go:build unix && !aix && !solaris && !illumos

package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for this process's life.
func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// isLocked says whether a living process has locked the file. Asking takes a lock,
// shared, for a moment; closing the file gives it back.
func isLocked(f *os.File) bool {
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// stopProcess asks a process to end in order, also one that was stopped.
func stopProcess(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGCONT)
}

// keepRunning keeps Ctrl-Z from stopping a process that has a line open: it would
// hold the line, and nothing in it could hang up.
func keepRunning() { signal.Ignore(syscall.SIGTSTP) }

// killProcess ends a process that doesn't end by itself.
func killProcess(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
