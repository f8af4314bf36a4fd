package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// PPPDConfig is a line that is dialled and on which the system's pppd, and the
// kernel's TCP/IP, carry the packets.
type PPPDConfig struct {
	// Modem is what is dialled, as for a ModemLine. Of its PPP, User and Password
	// count.
	Modem ModemConfig
	// Program is pppd; "": found where the system's programs are.
	Program string
	// Dir is a folder of ours for a call's files: the password, while pppd starts,
	// and which process it is.
	Dir string
	// Unit is the number of pppd's interface: 87 makes ppp87. It must be free.
	Unit int
	// DefaultRoute sends all that this computer sends over the line while it is
	// up. Without it, only what is kept on the interface goes there.
	DefaultRoute bool
	// Guard lets nobody but this process's user send on the interface. If it
	// can't be put up, Up fails.
	Guard bool
	// Options are more options of pppd(8), after ours.
	Options []string
}

// pppdSetup is what all calls of a line have in common.
type pppdSetup struct {
	PPPDConfig
	root       bool        // what only root may say is said
	plainRoute atomic.Bool // this pppd has no replacedefaultroute
}

// PPPDLine is a ModemLine whose packets the system carries. The port stays ours:
// pppd gets a pipe in place of it, so that the octets of the serial line are
// counted, the carrier is watched and the hang-up is confirmed exactly as on a
// ModemLine, whatever becomes of pppd. For the same reason pppd isn't let dial by
// itself. Its methods may be called from any goroutine. It works on Linux only.
type PPPDLine struct {
	setup *pppdSetup
	line  *ModemLine
}

// NewPPPDLine does nothing yet.
func NewPPPDLine(cfg PPPDConfig) *PPPDLine {
	setup := &pppdSetup{PPPDConfig: cfg, root: os.Geteuid() == 0}
	modem := cfg.Modem
	modem.pppd = setup
	line := NewModemLine(modem)
	setup.Modem = line.cfg
	return &PPPDLine{setup: setup, line: line}
}

// Proof is what showed that the modem is on-hook, as ModemLine's.
func (l *PPPDLine) Proof() string { return l.line.Proof() }

// Name is the configured name.
func (l *PPPDLine) Name() string { return l.line.Name() }

// Number is what is dialled.
func (l *PPPDLine) Number() string { return l.line.Number() }

// Up asks pppd whether it would take its options and the kernel, which costs
// nothing, then dials and has it bring PPP up. Errors wrap *PPPDError,
// *ProgramError, those of ModemLine's dialling, or the cause of ctx's end. Down
// must be called whether it fails or not.
func (l *PPPDLine) Up(ctx context.Context, onPhase func(phase string)) error {
	if err := l.rehearse(ctx); err != nil {
		return fmt.Errorf("line %s: %w", l.Name(), err)
	}
	return l.line.Up(ctx, onPhase)
}

// rehearsalLimit bounds pppd's reading of its options, which takes milliseconds.
const rehearsalLimit = 10 * time.Second

// rehearse finds out before the call what would end it at once.
func (l *PPPDLine) rehearse(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return &PPPDError{Code: -1, Err: errors.New("lines of kind pppd are for Linux"), Hint: "use the kind modem, which works everywhere"}
	}
	program, err := l.setup.program()
	if err != nil {
		return err
	}
	remove, err := l.setup.hideSecrets()
	if err != nil {
		return err
	}
	defer remove()
	said, err := dryRun(ctx, program, l.setup.arguments())
	if err != nil && strings.Contains(said.why, "'replacedefaultroute'") {
		l.setup.plainRoute.Store(true) // an old one, or of another distribution
		said, err = dryRun(ctx, program, l.setup.arguments())
	}
	if err != nil {
		return pppdFailure(err, said, context.Cause(ctx))
	}
	return nil
}

// dryRun has pppd read its options and end (pppd(8), dryrun).
func dryRun(ctx context.Context, program string, args []string) (pppdLog, error) {
	ctx, cancel := context.WithTimeout(ctx, rehearsalLimit)
	defer cancel()
	var said pppdLog
	out := &lineWriter{each: said.note}
	cmd := exec.CommandContext(ctx, program, append([]string{"dryrun"}, args...)...) //nolint:gosec // the system's pppd
	cmd.Env = pppdEnvironment()
	cmd.Stderr = out
	cmd.WaitDelay = holdWait
	err := cmd.Run()
	out.end()
	return said, err
}

// program is where pppd is.
func (s *pppdSetup) program() (string, error) {
	name := s.Program
	if name == "" {
		name = "pppd"
	}
	path, err := findProgram(name)
	if err != nil {
		return "", &ProgramError{Program: name, Err: err, Hint: "install pppd (the package ppp), or use the kind modem, which needs none"}
	}
	return path, nil
}

// pppdEnvironment is all that pppd and its scripts get to know of ours.
func pppdEnvironment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
}

// DialContext opens a connection through the line, kept on its interface, and
// names are asked of the provider's name servers. Errors are as in
// Stack.DialContext.
func (l *PPPDLine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var h *hostNet
	if r := l.run(); r != nil {
		h = r.network()
	}
	if h == nil {
		return nil, &Error{Kind: LineLost, Address: address, Temporary: true, Err: errNotUp}
	}
	return h.dial(ctx, network, address)
}

// run is pppd in the present call or else the last; nil: there was none.
func (l *PPPDLine) run() *pppdRun {
	c := l.line.current()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pppd
}

// Counters are the octets on the serial line since CONNECT, as for a ModemLine.
func (l *PPPDLine) Counters() (up, down int64) { return l.line.Counters() }

// Connected is when CONNECT came; zero: it never did.
func (l *PPPDLine) Connected() time.Time { return l.line.Connected() }

// Lost is closed when a line that was up goes down by itself: the carrier is
// gone, or pppd has ended. Each call has its own channel; before the first Up it is
// nil.
func (l *PPPDLine) Lost() <-chan struct{} { return l.line.Lost() }

// Err is why the line was lost, wrapping *PPPDError; nil if it wasn't.
func (l *PPPDLine) Err() error { return l.line.Err() }

// Down takes the line down: connections end at once, pppd ends, politely if the
// far end is there, and the modem hangs up. Nil, errors and the rest are as for
// ModemLine.Down.
func (l *PPPDLine) Down(ctx context.Context) error { return l.line.Down(ctx) }

// Transcript is the dialogue with the modem, and then pppd's log, of the present
// call or else the last, without secrets.
func (l *PPPDLine) Transcript() string {
	text := l.line.Transcript()
	if r := l.run(); r != nil {
		text += r.journal.String()
	}
	return text
}

// Reset is for the start after a crash, and for a line that Down could not
// confirm: a pppd that an earlier process left running is ended, its guard and its
// files are taken away, and the modem is put on-hook, as by ModemLine.Reset.
func (l *PPPDLine) Reset(ctx context.Context) error {
	if c := l.line.current(); c == nil {
		if err := l.setup.clear(ctx); err != nil {
			return fmt.Errorf("line %s: %w", l.Name(), err)
		}
	}
	return l.line.Reset(ctx)
}
