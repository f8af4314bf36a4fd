package peers

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownSession makes the command, not yet started, the leader of a new session and
// process group, which all that it starts will belong to. Should the test be
// killed, no clean-up runs, so the kernel is asked to end the leader then;
// Dovecot's and Postfix's children end when their leader does.
func ownSession(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Setctty = isLine(cmd.Stdin) // its hang-up is to be felt
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	// The leader's orphans become children of the test, which can wait for them
	// then (prctl(2)). Without it endGroup is right but for the waiting.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// isLine tells whether a process reads from a serial line, or what pretends to be one.
func isLine(stdin any) bool {
	f, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// runAs makes a command, not yet started, run as another user, if this is root.
func runAs(cmd *exec.Cmd, uid, gid int) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}

// endGroup kills the command and all that it has started, and returns when they are
// gone: done tells that the command itself is.
func endGroup(cmd *exec.Cmd, done <-chan struct{}) {
	group := cmd.Process.Pid
	_ = syscall.Kill(-group, syscall.SIGKILL) // fails if they have ended already
	<-done
	// As long as one lives, one is a child of ours, so no child means that all are gone.
	for {
		if _, err := syscall.Wait4(-group, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// pollable returns f, whose reads can only be waited out, as a file whose reads
// end when it is closed. f itself is closed.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil //nolint:gosec // a descriptor isn't negative
}

// unread is how many octets wait in a terminal for whoever reads it.
func unread(tty *os.File) int {
	n, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCINQ) //nolint:gosec // a descriptor fits
	if err != nil {
		return 0 // it is closed
	}
	return n
}
