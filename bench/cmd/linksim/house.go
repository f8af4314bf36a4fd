//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside is the first argument of the linksim that lives in the house.
const inside = "inside"

// build runs linksim once more, in mount and process namespaces of its own, and
// waits for it. Being process 1 there, its end is the end of all that was started,
// daemons too; and it is killed should this process die without a word.
func build(ctx context.Context, args []string) (int, error) {
	runtime.LockOSThread() // the kernel takes the end of this thread for that of the parent
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{inside}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	err := urgently(cmd.Start)
	if err != nil {
		return 1, fmt.Errorf("namespaces need root: %w", err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-signals:
			_ = cmd.Process.Kill() // nothing in the house has to be put in order first
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() < 0 {
				return 130, errors.New("interrupted")
			}
			if exit != nil {
				err = nil
			}
			return cmd.ProcessState.ExitCode(), err
		}
	}
}

// furnish gives the house its own list of processes and of network namespaces.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := os.MkdirAll(namespaces, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", namespaces, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount %s: %w", namespaces, err)
	}
	return nil
}

// reap waits for a process, and for all others that end meanwhile: daemons are
// orphans, and process 1 inherits them.
func reap(pid int) (int, error) {
	for {
		var status unix.WaitStatus
		ended, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 1, fmt.Errorf("wait: %w", err)
		case ended == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case ended == pid:
			return status.ExitStatus(), nil
		}
	}
}

// urgently starts a program whose threads are scheduled before all ordinary work, so
// that the line keeps its time on a busy machine. Where that isn't allowed it starts
// all the same, and the report tells by how much it was late.
func urgently(start func() error) error { return scheduled(unix.SCHED_FIFO, start) }

// ordinarily starts a program with the others.
func ordinarily(start func() error) error { return scheduled(unix.SCHED_NORMAL, start) }

// scheduled has this thread, and what it starts, scheduled so for the time of start.
func scheduled(policy uint32, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return start()
	}
	now := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}
	if policy == unix.SCHED_FIFO {
		now.Priority = 10
	}
	if unix.SchedSetAttr(0, now, 0) == nil {
		defer func() { _ = unix.SchedSetAttr(0, before, 0) }()
	}
	return start()
}
