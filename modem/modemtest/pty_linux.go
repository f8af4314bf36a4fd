package modemtest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// PTY serves the modem on a pseudo-terminal and returns the name of the slave side,
// which go.bug.st/serial and every other program can open. A pseudo-terminal has no
// modem status bits, so DTR stays up, and closing the slave does not hang up, unless
// [Options].HUPCL says so: then DTR is up while any process has the slave open. It
// stands until Close. It needs real time: do not call it in a synctest bubble.
func (m *Modem) PTY() (name string, err error) {
	master, slave, err := pty.Open()
	if err != nil {
		return "", fmt.Errorf("modemtest: %w", err)
	}
	name = slave.Name()
	// Raw from the start: the terminal must not echo or translate before the host opens it.
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		master.Close()
		slave.Close()
		return "", fmt.Errorf("modemtest: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		master.Close()
		slave.Close()
		return "", errClosed
	}
	m.masters = append(m.masters, master)
	if m.opt.HUPCL {
		slave.Close() // the master fails while no host has it open, and that is how we know
	} else {
		// Our own hold on the slave keeps the master from failing.
		m.masters = append(m.masters, slave)
		m.handles++
		m.dtr = true
	}
	m.served.Go(func() { m.serveIn(master, name) })
	m.served.Go(func() { m.serveOut(master) })
	return name, nil
}

// serveIn carries what the host writes into the modem.
func (m *Modem) serveIn(master *os.File, name string) {
	buf := make([]byte, 1024)
	for {
		n, err := master.Read(buf)
		unheld := errors.Is(err, syscall.EIO) // nobody has the slave open
		if err != nil && !unheld {
			return
		}
		if m.attend(!unheld) && unheld {
			release(name)
		}
		if unheld {
			time.Sleep(reopenPoll)
			continue
		}
		m.mu.Lock()
		for done := 0; done < n && !m.closed; {
			k, next := m.take(buf[done:n], m.now())
			if done += k; k == 0 {
				m.fromHost.wait(next)
			}
		}
		m.mu.Unlock()
	}
}

// reopenPoll is how often a pseudo-terminal that nobody has open is looked at.
const reopenPoll = 2 * time.Millisecond

// attend keeps DTR up while a process has the pseudo-terminal open, as far as the
// octets show that it opened it, and says whether that changed.
func (m *Modem) attend(open bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.opt.HUPCL || m.closed || m.dtr == open:
		return false
	case open:
		m.handles++
		m.setDTR(true, m.now())
	default:
		m.handles--
		m.setDTR(false, m.now())
		m.out = nil
	}
	return true
}

// release lets others open a terminal that a process which is gone had taken to
// itself (TIOCEXCL). A serial port forgets that with its last close, a
// pseudo-terminal doesn't. Only root can undo it.
func release(name string) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	_ = unix.Close(fd)
}

// serveOut carries what the modem says to the host.
func (m *Modem) serveOut(master *os.File) {
	buf := make([]byte, 1024)
	for {
		m.mu.Lock()
		n := 0
		for !m.closed {
			var next time.Time
			if n, next = m.give(buf, m.now()); n > 0 {
				break
			}
			m.toHost.wait(next)
		}
		m.mu.Unlock()
		if n == 0 {
			return
		}
		if _, err := master.Write(buf[:n]); err != nil {
			return
		}
	}
}
