package modem

import "golang.org/x/sys/unix"

const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)

// restart lets output go on that an XOFF has stopped. The kernel takes TCOON only as
// the end of a TCOOFF, and starts whatever is stopped then.
func (s side) restart() {
	if s.fd >= 0 {
		_ = unix.IoctlSetInt(s.fd, unix.TCXONC, unix.TCOOFF)
		_ = unix.IoctlSetInt(s.fd, unix.TCXONC, unix.TCOON)
	}
}
