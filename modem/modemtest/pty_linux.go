package modemtest

import (
	"fmt"
	"os"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// PTY serves the modem on a pseudo-terminal and returns the name of the slave side,
// which go.bug.st/serial and every other program can open. A pseudo-terminal has no
// modem status bits, so DTR stays up, and closing the slave does not hang up. It
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
	m.handles++
	m.dtr = true
	// Our own hold on the slave keeps the master from failing while no host has it open.
	m.masters = append(m.masters, master, slave)
	m.served.Go(func() { m.serveIn(master) })
	m.served.Go(func() { m.serveOut(master) })
	return name, nil
}

// serveIn carries what the host writes into the modem.
func (m *Modem) serveIn(master *os.File) {
	buf := make([]byte, 1024)
	for {
		n, err := master.Read(buf)
		if err != nil {
			return
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
