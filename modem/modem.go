// Package modem drives a modem over a serial port: it initialises it, dials, carries
// the data phase, watches the carrier, and hangs up for certain.
//
// The main flow:
//
//	port, err := modem.OpenPort(modem.PortOptions{Name: "/dev/ttyUSB0"})
//	m := modem.New(port, modem.Generic(), modem.Options{})
//	defer m.Close()
//	err = m.Init(ctx)                  // AT dialogue by profile, SIM card, network
//	conn, err := m.Dial(ctx, "5551234") // *DialError says why not
//	_, _, err = conn.Login(ctx, login)  // in text, where the far end wants it
//	...                                 // PPP over conn
//	err = m.Hangup(ctx)                 // *HangupError: the line may still be open
//
// The invariant is about money: Hangup returns nil only after evidence that the line
// is down. Evidence is the carrier signal (DCD), seen up in this call and then seen
// down, or the modem's OK to ATH while DCD is not up. Where the port has no modem
// status bits (a pseudo-terminal, some converters), only the OK counts. Whatever else
// fails, a Dial that ends without a connection leaves the modem on-hook or says, in
// its error, that it could not see to it.
//
// Two goroutines live as long as the Modem: one reads the port, one writes it (a
// serial port's write has no time-out, and flow control must not be able to hold up a
// hang-up). A third watches the carrier while there is a Conn. Init, Dial, Hangup and
// OnHook exclude one another; Hangup and Close may be called at any time from any
// goroutine and cut an Init or a Dial short.
//
// It does not know PPP, money, or when to dial. It tries nothing twice except the
// hang-up.
package modem

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.bug.st/serial"
)

// Port is what the modem needs of a serial port; go.bug.st/serial.Port satisfies it.
// Read must return with an error once the port is closed.
type Port interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	ResetOutputBuffer() error
	SetDTR(on bool) error
	GetModemStatusBits() (*serial.ModemStatusBits, error)
	SetReadTimeout(t time.Duration) error
	Close() error
}

// Options is what a Modem may be told besides its profile.
type Options struct {
	Log     *slog.Logger // nil: discard
	Secrets []string     // texts that must not show in transcript, log and errors (a PIN, a calling card)
}

// closeWait is how long Close waits for a write that flow control holds after the
// port's buffer was emptied. Emptying frees it at once; a driver that does not play
// along must not keep the caller.
const closeWait = 2 * time.Second

// Modem is a modem on a serial port.
type Modem struct {
	port    Port
	profile Profile
	log     *slog.Logger
	in      *input
	out     *output
	record  *transcript
	hasBits bool // the port knows modem status bits

	dialogue chan struct{} // held by who talks to the modem
	stop     chan struct{} // closed by Close
	pumped   chan struct{} // closed when the reading goroutine has ended

	mu        sync.Mutex
	closed    bool
	interrupt context.CancelCauseFunc // of the Init or Dial that holds the dialogue, or nil
	hangups   int                     // Hangups and Closes that wait for the dialogue or hold it
	conn      *Conn                   // the data phase, until a hang-up was confirmed
	onHook    bool                    // a hang-up was confirmed and nothing was dialled since
	proof     string                  // then: what was seen
	silent    bool                    // it did not answer OnHook: it may be in the data phase of a call

	closing  sync.Once
	closeErr error
	watches  sync.WaitGroup // the carrier watch
	dialect  dialect        // of who holds the dialogue
}

// New takes over the port: it is read from now on, and Close closes it.
func New(port Port, p Profile, opt Options) *Modem {
	m := &Modem{
		port: port, profile: p.withDefaults(), log: opt.Log,
		in: newInput(), out: newOutput(port),
		record:   newTranscript(append(slices.Clone(opt.Secrets), p.Network.PIN)),
		dialogue: make(chan struct{}, 1), stop: make(chan struct{}), pumped: make(chan struct{}),
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	// A pseudo-terminal answers ENOTTY, other drivers EINVAL: whatever the error, there are none.
	_, err := port.GetModemStatusBits()
	m.hasBits = err == nil
	if !m.hasBits {
		m.record.note("no modem status bits: %v", err)
	}
	// Before the one reader starts: the library does not lock it. It is the default, and
	// a port that refuses it will say so at the first command.
	_ = port.SetReadTimeout(serial.NoTimeout)
	go m.out.run(m.stop)
	go func() {
		defer close(m.pumped)
		m.in.pump(port, m.stop)
	}()
	return m
}

// Transcript returns the dialogue so far, at most its last 16 KiB, secrets masked. It
// may be called at any time, also after Close.
func (m *Modem) Transcript() string { return m.record.String() }

// enter takes the dialogue. The context it returns ends when ctx does, and when a
// Hangup or Close wants the modem.
func (m *Modem) enter(ctx context.Context) (context.Context, func(), error) {
	select {
	case m.dialogue <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-m.stop:
		return nil, nil, ErrClosed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		<-m.dialogue
		return nil, nil, ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	m.interrupt = cancel
	if m.hangups > 0 {
		cancel(ErrInterrupted)
	}
	return ctx, func() {
		m.mu.Lock()
		m.interrupt = nil
		m.mu.Unlock()
		cancel(nil)
		<-m.dialogue
	}, nil
}

// seize takes the dialogue from whoever holds it. Seizers wait for one another.
func (m *Modem) seize(ctx context.Context) (func(), error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, ErrClosed
	}
	m.hangups++
	if m.interrupt != nil {
		m.interrupt(ErrInterrupted)
	}
	m.mu.Unlock()
	done := func() {
		m.mu.Lock()
		m.hangups--
		m.mu.Unlock()
	}
	release := func() { <-m.dialogue; done() }
	select {
	case m.dialogue <- struct{}{}:
		return release, nil // also with ctx at its end: DTR can be dropped all the same
	default:
	}
	select {
	case m.dialogue <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	case <-m.stop:
		done()
		return nil, ErrClosed
	}
}

// Close ends the data phase, drops DTR as the last resort for a line that nobody hung
// up, and closes the port. It does not confirm a hang-up. Idempotent.
func (m *Modem) Close() error {
	m.closing.Do(func() { m.closeErr = m.shut() })
	return m.closeErr
}

func (m *Modem) shut() error {
	release, err := m.seize(context.Background())
	if err != nil {
		return err
	}
	defer release()
	m.mu.Lock()
	m.closed = true
	conn := m.conn
	m.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	m.watches.Wait()
	m.setDTR(false)
	// The writer must be gone before the port is: the library writes to a bare descriptor
	// number, which after the close may be somebody else's file.
	m.out.purge(closeWait)
	close(m.stop)
	wait := time.NewTimer(closeWait)
	defer wait.Stop()
	select {
	case <-m.out.idle:
	case <-wait.C:
		m.log.Warn("modem: a write is stuck in the serial driver; closing the port all the same")
	}
	err = m.port.Close()
	<-m.pumped
	return err
}

func (m *Modem) setOnHook(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onHook = on
}

func (m *Modem) isOnHook() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.onHook
}

// setDTR sets the DTR line where there is one; it says whether it did.
func (m *Modem) setDTR(on bool) bool {
	if !m.hasBits {
		return false
	}
	word := "low"
	if on {
		word = "high"
	}
	if err := m.port.SetDTR(on); err != nil {
		m.record.note("DTR %s: %v", word, err)
		return false
	}
	m.record.note("DTR %s", word)
	return true
}
