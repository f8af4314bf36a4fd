//go:build unix

package link

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup makes a program, not yet started, the leader of a process group, which
// what it starts belongs to.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// endGroup asks a program and all that it has started to end, or makes them.
func endGroup(p *os.Process, force bool) error {
	signal := syscall.SIGTERM
	if force {
		signal = syscall.SIGKILL
	}
	return syscall.Kill(-p.Pid, signal)
}
