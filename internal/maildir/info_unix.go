//go:build !windows

package maildir

import (
	"errors"
	"syscall"
)

// infoMark stands before the flags in a file name.
const infoMark = ":"

// processGone tells whether no process of this machine has that number.
func processGone(pid int) bool {
	return pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
