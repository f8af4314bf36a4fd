// Package modemtest is a modem and a phone line that speak the wire: a device to
// test and to demonstrate against, not a mock.
//
// A [Modem] has a DTE side and a line side. The DTE side is a serial port, in
// memory ([Modem.Port], with DTR, DCD and CTS) or behind a pseudo-terminal
// ([Modem.PTY]). It takes AT command lines as a real one does: several commands on
// a line, echo, verbose and numeric results, S-registers, A/, extended commands,
// ERROR for what it does not know. The line side is a call: [Modem.Accept] returns
// the provider's end of it. Between the two ends lies a line with a rate for each
// direction, a delay, bounded buffers that push back on writers, and faults that
// happen at a given octet.
//
// It may be a mobile modem: with a SIM card that wants its PIN, states of registration that
// come in their time, contexts and an operator; [GSM], [Iridium] and others are set up
// as such devices are. A [Login] is a far end that asks for a user and a password in
// text.
//
// The main flow: the host writes ATD, the dial time passes, the modem says CONNECT
// and raises DCD, octets go both ways, and the call ends because the host dropped
// DTR, escaped and sent ATH, because the far end hung up, or because the carrier was
// lost. What is in flight when the carrier goes is lost, and then the modem says NO
// CARRIER.
//
// The invariant is time: every octet's arrival is computed when it is written, from
// absolute times (10 bits an octet), so the line's rate is exact over any length
// and no error adds up. Nobody runs a timer per octet: a waiting reader is woken at
// the arrival of the last octet of what was written together, and at most once a
// [tick] before. Chance (errors, losses, jitter) follows [Options.Seed] and the place of
// an octet in its direction, not the moment at which it was written. All waiting is on condition variables and timers, so a Modem made
// inside a testing/synctest bubble lives in the bubble's time; use its in-memory port
// there. Nothing runs after [Modem.Close].
//
// It does not model modulation, error correction, compression or calls that come in.
package modemtest

import (
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// Modem is a modem on a phone line. Its methods may be called from any goroutine.
type Modem struct {
	mu     sync.Mutex
	opt    Options
	rng    *rand.Rand // of the dialogue; each direction of each call has its own
	closed bool

	set     settings  // what AT commands set
	mob     mobile    // the SIM card and what belongs to it
	mode    mode      // what octets from the DTE mean now
	line    []byte    // the command line being typed
	long    bool      // the command line is longer than maxLine
	lastCR  bool      // the last octet from the DTE ended a command line
	last    string    // the last command line's body, for A/
	out     []byte    // for the DTE: results, echo, and data that came before a call's end
	chopped time.Time // with Options.ChopGap: when more of out may be read
	echoed  int       // octets of the present command line that were echoed
	esc     escape    // +++ with its silences
	dtr     bool      // the DTE's DTR as the modem sees it
	handles int       // open in-memory ports; DTR falls when the last is closed
	purge   int       // counts ResetOutputBuffer: a blocked Write gives up its rest
	attempt int       // counts dial attempts; a late dial timer sees it is not its own
	dialing *time.Timer
	call    *call     // the call in progress, nil on-hook
	waiting []*farEnd // answered calls nobody accepted yet

	toHost   gate // octets for the DTE
	fromHost gate // room for octets of the DTE
	accept   gate // a call to accept

	count   Counters
	masters []*os.File // pseudo-terminal master sides (and our own hold on the slaves)
	served  sync.WaitGroup
}

// New returns a modem that is switched on, on-hook, with DTR low until a port is
// opened.
func New(opt Options) *Modem {
	m := &Modem{opt: opt.clone(), rng: rand.New(rand.NewPCG(opt.Seed, 0))}
	for _, g := range []*gate{&m.toHost, &m.fromHost, &m.accept} {
		g.on(&m.mu)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resetMobile()
	m.reset()
	return m
}

// Set changes the options. What concerns the line (rates, delay, cuts, freezes,
// errors) holds from the next call on, the rest at once.
func (m *Modem) Set(change func(*Options)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.opt)
	m.opt = m.opt.clone()
	m.wakeAll()
}

// Cut drops the carrier now. Octets in flight are lost. On-hook it does nothing.
func (m *Modem) Cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.call != nil {
		m.loseCarrier(now)
	}
}

// Freeze stops the line for d: what has not arrived by now arrives d later.
// Nothing is lost. On-hook it does nothing.
func (m *Modem) Freeze(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.call != nil {
		m.call.freeze(now, d)
	}
}

// Unsolicited makes the modem say a line by itself, as it does with RING or +CREG.
// In the data phase a modem cannot, so there the line is dropped.
func (m *Modem) Unsolicited(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now()
	m.say(line)
}

// Close switches the modem off: the call ends, both ends of it and every port fail,
// timers stop. It waits for the goroutines that serve pseudo-terminals. Idempotent.
func (m *Modem) Close() error {
	m.mu.Lock()
	now := m.now()
	if m.call != nil {
		m.endCall(now)
	}
	m.closed = true
	m.waiting = nil
	m.stopDialling()
	m.esc.stop()
	for _, g := range []*gate{&m.toHost, &m.fromHost, &m.accept} {
		g.stop()
	}
	masters := m.masters
	m.masters = nil
	m.mu.Unlock()
	var first error
	for _, f := range masters {
		if err := f.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.served.Wait()
	return first
}

// now is the time, after everything due by then has happened. Every entry point
// starts with it, so that a fault comes at its octet even when its timer is late.
func (m *Modem) now() time.Time {
	now := time.Now()
	if m.call != nil {
		m.call.settle(now)
	}
	return now
}

func (m *Modem) wakeAll() {
	m.toHost.wake()
	m.fromHost.wake()
	m.accept.wake()
	if m.call != nil {
		m.call.toFar.wake()
		m.call.fromFar.wake()
	}
}

// Counters is what the modem and its line saw since New.
type Counters struct {
	Dials       int           // ATD commands
	Connects    int           // of them answered with a carrier
	Hangups     int           // calls that ended, from whichever side
	Up, Down    int64         // octets that came through the line, from and to the DTE
	OffHook     bool          // the line is held now, dialling included
	OffHookTime time.Duration // the meter: from CONNECT to hang-up, all calls, the present one until now
	Commands    []string      // the last 256 command lines, without AT
	Numbers     []string      // the last 256 dial strings
	PINs        int           // PINs that the SIM card was given
}

// Counters returns what was seen so far.
func (m *Modem) Counters() Counters {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	c := m.count
	c.Commands, c.Numbers = slices.Clone(c.Commands), slices.Clone(c.Numbers)
	c.PINs = m.mob.entered
	c.OffHook = m.call != nil || m.mode == dialling
	if m.call != nil {
		c.Up += m.call.up.arrived(now)
		c.Down += m.call.down.arrived(now)
		c.OffHookTime += now.Sub(m.call.began)
	}
	return c
}

// errClosed is what every side gets from a modem that is switched off or a port that was closed.
var errClosed = net.ErrClosed
