//go:build darwin || freebsd || openbsd

package modem

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)

// restart lets output go on that an XOFF has stopped.
func (s side) restart() {
	if s.fd >= 0 {
		_ = unix.IoctlSetInt(s.fd, unix.TIOCSTART, 0)
	}
}
