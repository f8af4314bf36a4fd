//go:build linux || darwin || freebsd || openbsd

package modem

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// side is a descriptor on the port beside the library's; -1: none.
type side struct{ fd int }

func openSide(device string) side {
	// Nonblocking, so that a port without a carrier does not keep us.
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return side{fd: -1}
	}
	return side{fd: fd}
}

// setFlow switches flow control on, and fails unless the driver says that it is.
func (s side) setFlow(f Flow) error {
	if s.fd < 0 {
		if f == NoFlow {
			return nil // as the library left it
		}
		return errors.New("the port cannot be opened twice")
	}
	return setFlow(f,
		func() (*unix.Termios, error) { return unix.IoctlGetTermios(s.fd, getTermios) },
		func(t *unix.Termios) error { return unix.IoctlSetTermios(s.fd, setTermios, t) })
}

// setFlow is side.setFlow with the driver's part left out: a driver takes any settings
// without an error, and what it cannot do is missing when they are read back.
func setFlow(f Flow, get func() (*unix.Termios, error), set func(*unix.Termios) error) error {
	t, err := get()
	if err != nil {
		return fmt.Errorf("reading the port's settings: %w", err)
	}
	t.Cflag |= unix.HUPCL // DTR falls with the last descriptor, also that of a killed process
	t.Cflag &^= unix.CRTSCTS
	t.Iflag &^= unix.IXON | unix.IXOFF | unix.IXANY
	switch f {
	case RTSCTS:
		t.Cflag |= unix.CRTSCTS
	case XONXOFF:
		t.Iflag |= unix.IXON | unix.IXOFF
		t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = xon, xoff
	case NoFlow:
	}
	if err := set(t); err != nil {
		return fmt.Errorf("the port does not take its settings: %w", err)
	}
	if t, err = get(); err != nil {
		return fmt.Errorf("reading the port's settings back: %w", err)
	}
	if now := flowOf(t); now != f {
		return fmt.Errorf("the driver has no %s: it says %s", f, now)
	}
	return nil
}

// The characters of XON/XOFF: DC1 and DC3.
const xon, xoff = 0x11, 0x13

// flowOf is what a port's settings say.
func flowOf(t *unix.Termios) Flow {
	switch {
	case t.Cflag&unix.CRTSCTS == unix.CRTSCTS:
		return RTSCTS
	case t.Iflag&(unix.IXON|unix.IXOFF) == unix.IXON|unix.IXOFF && t.Cc[unix.VSTART] == xon && t.Cc[unix.VSTOP] == xoff:
		return XONXOFF
	}
	return NoFlow
}

func (s side) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
}
