package modemtest

import (
	"syscall"
	"time"

	"go.bug.st/serial"
)

// Port opens the modem's serial port in memory. It behaves as go.bug.st/serial does
// on Linux: Read returns 0, nil at its time-out; Write has none and blocks while the
// modem's buffer is full, until ResetOutputBuffer or Close; opening raises DTR and
// closing the last open port drops it (the terminal's HUPCL). Several may be open, as
// a port that a killed process left is.
func (m *Modem) Port() serial.Port {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	m.handles++
	m.setDTR(true, now)
	return &port{m: m, timeout: serial.NoTimeout}
}

type port struct {
	m       *Modem
	timeout time.Duration
	closed  bool
}

var _ serial.Port = (*port)(nil)

func (p *port) Read(b []byte) (int, error) {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	var deadline time.Time
	if p.timeout != serial.NoTimeout {
		deadline = time.Now().Add(p.timeout)
	}
	for {
		now := m.now()
		if p.closed || m.closed {
			return 0, errClosed
		}
		n, next := m.give(b, now)
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if !deadline.IsZero() && !now.Before(deadline) {
			return 0, nil
		}
		m.toHost.wait(earlier(next, deadline))
	}
}

// give takes octets for the DTE; when there are none, next is when to look again.
func (m *Modem) give(b []byte, now time.Time) (n int, next time.Time) {
	if len(m.out) > 0 {
		if m.opt.Chop > 0 {
			if now.Before(m.chopped) {
				return 0, m.chopped
			}
			b = b[:min(len(b), 1+m.rng.IntN(m.opt.Chop))]
			m.chopped = now.Add(m.opt.ChopGap)
		}
		n = copy(b, m.out)
		m.out = m.out[n:]
		if len(m.out) == 0 {
			m.out = nil
		}
		return n, time.Time{}
	}
	if m.mode != online {
		return 0, time.Time{}
	}
	if n = m.call.down.read(b, now); n > 0 {
		m.call.fromFar.wake()
		return n, time.Time{}
	}
	return 0, m.call.down.wakeAt()
}

func (p *port) Write(b []byte) (int, error) {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	purge, done := m.purge, 0
	for {
		now := m.now()
		if p.closed || m.closed {
			return done, errClosed
		}
		if m.purge != purge || done == len(b) {
			return len(b), nil // what was purged counts as written, as in the kernel
		}
		n, next := m.take(b[done:], now)
		if done += n; n == 0 {
			m.fromHost.wait(next)
		}
	}
}

func (p *port) Close() error {
	m := p.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if m.handles--; m.handles == 0 && !m.closed {
		if !m.opt.NoStatusBits {
			m.setDTR(false, m.now())
		}
		m.out = nil
	}
	m.toHost.wake()
	m.fromHost.wake()
	return nil
}

// do runs f on an open port.
func (p *port) do(f func(now time.Time) error) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	now := p.m.now()
	if p.closed || p.m.closed {
		return errClosed
	}
	return f(now)
}

// onBits runs f if the port has modem status bits.
func (p *port) onBits(f func(now time.Time)) error {
	return p.do(func(now time.Time) error {
		if p.m.opt.NoStatusBits {
			return syscall.ENOTTY
		}
		f(now)
		return nil
	})
}

func (p *port) SetDTR(on bool) error {
	return p.onBits(func(now time.Time) { p.m.setDTR(on, now) })
}

// SetRTS is accepted and does nothing: the host is always ready.
func (p *port) SetRTS(bool) error { return p.onBits(func(time.Time) {}) }

func (p *port) GetModemStatusBits() (*serial.ModemStatusBits, error) {
	bits := &serial.ModemStatusBits{DSR: true}
	err := p.onBits(func(now time.Time) {
		m := p.m
		bits.CTS = !m.opt.HoldCTS && (m.mode != online || m.call.up.room(now) > 0)
		bits.DCD = m.call != nil || m.set.carrier == 0
	})
	if err != nil {
		return nil, err
	}
	return bits, nil
}

func (p *port) ResetInputBuffer() error {
	return p.do(func(now time.Time) error {
		p.m.out = nil
		if p.m.mode == online {
			p.m.hand(now)
			p.m.out = nil
		}
		return nil
	})
}

func (p *port) ResetOutputBuffer() error {
	return p.do(func(time.Time) error {
		p.m.purge++
		p.m.fromHost.wake()
		return nil
	})
}

func (p *port) SetReadTimeout(d time.Duration) error {
	return p.do(func(time.Time) error {
		p.timeout = d
		return nil
	})
}

func (p *port) SetMode(*serial.Mode) error { return p.do(func(time.Time) error { return nil }) }
func (p *port) Drain() error               { return p.do(func(time.Time) error { return nil }) }
func (p *port) Break(time.Duration) error  { return p.do(func(time.Time) error { return nil }) }
