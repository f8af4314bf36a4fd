package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// NetConfig is a line that is a network of this computer: a VSAT terminal, an LTE
// router, the office's uplink.
type NetConfig struct {
	Name string // for people

	// UpCommand brings the line up, DownCommand takes it down: a program and its
	// arguments each, run without a shell, with OUTPOST_LINE (the line's name) and
	// OUTPOST_INTERFACE in the environment. Empty: the network is always there.
	UpCommand, DownCommand []string
	CommandLimit           time.Duration // for each; it is ended then

	// Interface is what connections are kept on, and what is metered; "": they
	// go where the computer's routes lead, and only their own octets are counted.
	Interface    string
	AddressLimit time.Duration // for an address to appear on Interface
	DNS          []netip.Addr  // name servers; none: the system's
	// Guard lets nobody but this process's user send on Interface while the line
	// is up. If it can't be put up, Up fails.
	Guard bool

	Rate int           // bit/s; 0: unknown. Connections send just under it, where the kernel can
	RTT  time.Duration // round trip; 0: unknown

	// Memory keeps the addresses of names from one call to the next. Nil: nothing is
	// kept.
	Memory Memory
	// Interrupted says whether a call of an earlier process has no confirmed end.
	// Nil: never.
	Interrupted func() (bool, error)
	Log         *slog.Logger // nil: discarded
}

// NetLine is a network of this computer as a line. It is charged from the moment
// UpCommand was begun, if it succeeded, until Down has confirmed: when exactly the
// provider's clock starts and stops in between can't be seen from here, and the
// bill must not be a surprise. Its methods may be called from any goroutine.
type NetLine struct {
	cfg    NetConfig
	ground ground
	calls[*netCall]
}

// ground is what a NetLine stands on. Tests put their own beneath it.
type ground struct {
	look   func(iface string) ifState
	octets func(iface string) (up, down int64, err error)
	run    func(ctx context.Context, argv, env []string, said func(line string)) error
}

// NewNetLine does nothing yet.
func NewNetLine(cfg NetConfig) *NetLine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &NetLine{cfg: cfg, ground: ground{lookAt, ifOctets, runProgram}}
}

// Name is the configured name.
func (l *NetLine) Name() string { return l.cfg.Name }

// Number is "": nothing is dialled.
func (l *NetLine) Number() string { return "" }

// Up runs UpCommand (phase "dialling") and waits for an address on the interface
// ("linking"). onPhase may be nil. Errors wrap *ProgramError, *Error of kind
// NoAddress, or the cause of ctx's end. Whether it fails or not, Down must be
// called. If the last Down couldn't confirm, Up tries that again first, and brings
// nothing up without.
func (l *NetLine) Up(ctx context.Context, onPhase func(phase string)) error {
	c, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer close(c.risen)
	if err := rise(ctx, c.life, onPhase, c.bringUp, c.establish); err != nil {
		return fmt.Errorf("line %s: %w", l.cfg.Name, err)
	}
	go c.watch()
	return nil
}

// begin takes the line for a new call.
func (l *NetLine) begin(ctx context.Context) (*netCall, error) {
	return l.take(ctx, l.cfg.Name, l.Down, func() *netCall { return newNetCall(l.cfg, l.ground) })
}

// DialContext opens a connection through the line. The network is tcp or udp (or
// with a 4 behind), the port a number. Names are asked of DNS over the line, or of
// the system. Errors are *Error, or a net.OpError with the context's cause when
// ctx ended it.
func (l *NetLine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	h := l.host()
	if h == nil {
		return nil, &Error{Kind: LineLost, Address: address, Temporary: true, Err: errNotUp}
	}
	return h.dial(ctx, network, address)
}

// host is the way through the line; nil: it isn't up.
func (l *NetLine) host() *hostNet {
	c := l.current()
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.host
}

// Counters are the octets that crossed the interface since Up began, of the
// present call or else the last, whoever they belonged to: that is what a provider
// counts. Without an interface, or where the system has no counters (all but
// Linux), they are the octets of the connections, and headers are not in them;
// the Transcript says which.
func (l *NetLine) Counters() (up, down int64) {
	c := l.current()
	if c == nil {
		return 0, 0
	}
	if c.meter != nil {
		return c.meter.total()
	}
	if h := l.host(); h != nil {
		return h.up.Load(), h.down.Load()
	}
	return 0, 0
}

// Connected is when the present call, or else the last, began to cost; zero: it
// didn't come up.
func (l *NetLine) Connected() time.Time {
	c := l.current()
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// Lost is closed when a line that was up goes down by itself: the interface is
// gone, switched off, without its carrier or without the address. Each call has
// its own channel; before the first Up it is nil.
func (l *NetLine) Lost() <-chan struct{} {
	if c := l.current(); c != nil {
		return c.lost
	}
	return nil
}

// Err is why the line was lost; nil if it wasn't.
func (l *NetLine) Err() error {
	c := l.current()
	if c == nil {
		return nil
	}
	select {
	case <-c.lost:
		return fmt.Errorf("line %s: lost: %w", l.cfg.Name, c.cause)
	default:
		return nil
	}
}

// Transcript is what the commands said in the present call or Reset, or else the
// last.
func (l *NetLine) Transcript() string {
	if c := l.current(); c != nil {
		return c.journal.String()
	}
	return ""
}

// Proof is what the line was last seen down by, for a person. It is "" while there
// is no proof.
func (l *NetLine) Proof() string {
	c := l.current()
	if c == nil || !c.descents.succeeded() {
		return ""
	}
	return c.proof
}

// Reset is for the start after a crash, and for a line that Down could not
// confirm. It runs DownCommand if a call of an earlier process has no confirmed
// end, and only then: a network that this program hasn't brought up may be
// somebody else's. Nil means that the line is down, or was never brought up. On a
// line that is up or coming up it does nothing and returns an error.
func (l *NetLine) Reset(ctx context.Context) error {
	if c := l.current(); c != nil {
		if !c.ended() {
			return fmt.Errorf("line %s is in use", l.cfg.Name)
		}
		return l.Down(ctx)
	}
	if l.cfg.Interrupted == nil || len(l.cfg.DownCommand) == 0 {
		return nil
	}
	open, err := l.cfg.Interrupted()
	if err != nil || !open {
		return err
	}
	c, err := l.begin(ctx)
	if err != nil {
		return err
	}
	l.cfg.Log.Warn("link: the last call has no confirmed end", "line", l.cfg.Name)
	c.asked = true
	close(c.risen)
	return l.Down(ctx)
}

// errGone is what a lost line's connections see.
var errGone = errors.New("its interface went down or lost its address")
