package relay

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// patientConn gives up when nothing has moved in either direction for a while. It lies beneath TLS, because a TLS connection doesn't
// survive a deadline of its own, and there every octet counts as life.
//
// A large Write on a slow line may take longer than the patience and still get somewhere: it goes on as long as each stretch of
// patience brought it further. Nor is a Read that waits meanwhile to blame for hearing nothing, so a Write suspends its deadline.
type patientConn struct {
	net.Conn

	mu       sync.Mutex
	patience time.Duration
	writing  bool
	silent   bool // the patience came to its end
}

func newPatientConn(conn net.Conn, patience time.Duration) *patientConn {
	return &patientConn{Conn: conn, patience: patience}
}

// setPatience changes the patience, from now on and also for a Read that waits already.
func (p *patientConn) setPatience(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.patience = d
	if !p.writing {
		_ = p.SetReadDeadline(time.Now().Add(d))
	}
}

// current is the patience as it is.
func (p *patientConn) current() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.patience
}

// Read is net.Conn's. Errors of setting deadlines are not looked at: where that fails the connection is closed, and Read says so.
func (p *patientConn) Read(b []byte) (int, error) {
	p.mu.Lock()
	if !p.writing {
		_ = p.SetReadDeadline(time.Now().Add(p.patience))
	}
	p.mu.Unlock()
	n, err := p.Conn.Read(b)
	return n, p.judge(err)
}

// Write is net.Conn's; one goroutine writes at a time (TLS sees to it for what it adds itself).
func (p *patientConn) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.writing = true
	patience := p.patience
	_ = p.SetReadDeadline(time.Time{})
	p.mu.Unlock()

	n, err := p.push(b, patience)

	p.mu.Lock()
	p.writing = false
	_ = p.SetReadDeadline(time.Now().Add(p.patience))
	p.mu.Unlock()
	return n, p.judge(err)
}

func (p *patientConn) push(b []byte, patience time.Duration) (int, error) {
	done := 0
	for {
		_ = p.SetWriteDeadline(time.Now().Add(patience))
		n, err := p.Conn.Write(b[done:])
		done += n
		if n == 0 || done == len(b) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return done, err
		}
	}
}

// judge closes the connection when the patience is at its end, for both directions and for good: TLS would go on to spend as much again
// on an alert. From then on silence is the reason for whatever fails.
func (p *patientConn) judge(err error) error {
	if err == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.silent = true
		_ = p.Close()
	}
	if p.silent {
		return os.ErrDeadlineExceeded
	}
	return err
}
