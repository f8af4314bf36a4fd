package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"go.bug.st/serial"

	"outpost/internal/ppp"
	"outpost/modem"
)

// Phases that Up goes through, in the words of its onPhase.
const (
	PhaseDialling = "dialling" // opening the port, initialising, dialling
	PhaseLinking  = "linking"  // PPP, until packets flow
)

// ModemConfig is a line that is dialled.
type ModemConfig struct {
	Name    string                      // for people
	Open    func() (serial.Port, error) // once for each call, and for each Reset
	Profile modem.Profile
	Number  string
	Others  []string    // dialled in their order, when Number cannot be reached
	Login   modem.Login // the dialogue in text before PPP, if the far end holds one
	Secrets []string    // texts that must not show in transcripts and errors
	PPP     ppp.Config  // a client; Rate, RTT and Log are filled in from below where they are zero
	Rate    int         // bit/s of the line, ten to an octet; 0: unknown
	RTT     time.Duration
	Memory  Memory       // what earlier calls have found out; nil: nothing is kept
	Log     *slog.Logger // nil: discarded
	// OnStep is told each step of a call once it is done, in words for a person, from
	// Up's goroutine and Down's. It must not block: a hang-up would wait. Nil: nobody.
	OnStep func(step string)

	pppd *pppdSetup // of a PPPDLine: the system carries the packets
}

// ModemLine is a line that is dialled: a modem, PPP, and a Stack on it. It can
// be brought up again after each Down. Its methods may be called from any
// goroutine.
type ModemLine struct {
	cfg ModemConfig
	calls[*call]
}

// NewModemLine does nothing yet; the port is opened by Up and Reset.
func NewModemLine(cfg ModemConfig) *ModemLine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.PPP.Rate == 0 {
		cfg.PPP.Rate = cfg.Rate
	}
	if cfg.PPP.RTT == 0 {
		cfg.PPP.RTT = cfg.RTT
	}
	if cfg.PPP.Log == nil {
		cfg.PPP.Log = cfg.Log
	}
	if cfg.PPP.EchoInterval == 0 { // nobody else would notice a far end that is gone
		cfg.PPP.EchoInterval = ppp.DefaultEchoInterval
	}
	return &ModemLine{cfg: cfg}
}

// Name is the configured name.
func (l *ModemLine) Name() string { return l.cfg.Name }

// Number is what was dialled last, and before the first call what will be dialled
// first.
func (l *ModemLine) Number() string {
	c := l.current()
	if c == nil {
		return l.cfg.Number
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number
}

// Up opens the port, dials one number after the other until one answers, logs in
// where the far end asks for it, and brings PPP and TCP/IP up. onPhase, which may be
// nil, is told each phase as it begins. Errors wrap *modem.DialError,
// *modem.CommandError, *modem.LoginError, *ppp.Error, the port's, or the cause of ctx's end.
// Whether it fails or not, Down must be called. If the last Down couldn't confirm
// that the line is down, Up tries that again first, and doesn't dial without.
func (l *ModemLine) Up(ctx context.Context, onPhase func(phase string)) error {
	c, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer close(c.risen)
	if err := rise(ctx, c.life, onPhase, c.dial, c.establish); err != nil {
		return fmt.Errorf("line %s: %w", l.cfg.Name, err)
	}
	go c.watch()
	return nil
}

// begin takes the line for a new call.
func (l *ModemLine) begin(ctx context.Context) (*call, error) {
	return l.take(ctx, l.cfg.Name, l.Down, func() *call { return newCall(l.cfg) })
}

// DialContext opens a connection through the line, as Stack.DialContext does.
func (l *ModemLine) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s, err := l.stack()
	if err != nil {
		return nil, &Error{Kind: LineLost, Address: address, Temporary: true, Err: err}
	}
	return s.DialContext(ctx, network, address)
}

// Lookup asks the line's name servers, as Stack.Lookup does.
func (l *ModemLine) Lookup(ctx context.Context, host string) (Answer, error) {
	s, err := l.stack()
	if err != nil {
		return Answer{}, &Error{Kind: LineLost, Address: host, Temporary: true, Err: err}
	}
	return s.Lookup(ctx, host)
}

var errNotUp = errors.New("it isn't up")

func (l *ModemLine) stack() (*Stack, error) {
	c := l.current()
	if c == nil {
		return nil, errNotUp
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stack == nil {
		return nil, errNotUp
	}
	return c.stack, nil
}

// Counters are the octets on the serial line since CONNECT, of the present call
// or else the last.
func (l *ModemLine) Counters() (up, down int64) {
	if c := l.current(); c != nil {
		return c.up.Load(), c.down.Load()
	}
	return 0, 0
}

// Packets is what of that was of use: octets of IP, of payload, and of payload that
// had crossed before, each way. False: the packets weren't seen.
func (l *ModemLine) Packets() (up, down [3]int64, ok bool) {
	s, err := l.stack()
	if err != nil {
		return up, down, false
	}
	u, d := s.Traffic()
	return [3]int64{u.IP, u.Payload, u.Resent}, [3]int64{d.IP, d.Payload, d.Resent}, true
}

// Connected is when CONNECT came, in the present call or else the last; zero: it
// never did.
func (l *ModemLine) Connected() time.Time {
	c := l.current()
	if c == nil {
		return time.Time{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected
}

// Lost is closed when a line that was up goes down by itself: the carrier is
// gone, or the far end has ended PPP or fallen silent. Each call has its own
// channel; before the first Up it is nil.
func (l *ModemLine) Lost() <-chan struct{} {
	if c := l.current(); c != nil {
		return c.lost
	}
	return nil
}

// Err is why the line was lost, wrapping *ppp.Error; nil if it wasn't.
func (l *ModemLine) Err() error {
	c := l.current()
	if c == nil {
		return nil
	}
	select {
	case <-c.lost:
		return fmt.Errorf("line %s: lost: %w", l.cfg.Name, c.carrier().Err())
	default:
		return nil
	}
}

// Transcript is the dialogue with the modem in the present call or Reset, or
// else the last, without secrets.
func (l *ModemLine) Transcript() string {
	c := l.current()
	if c == nil {
		return ""
	}
	return c.transcript()
}

// Proof is what the line was last seen down by, for a person: "DTR low, DCD down".
// It is "" while there is no proof.
func (l *ModemLine) Proof() string {
	c := l.current()
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modem == nil {
		return ""
	}
	return c.modem.Proof()
}
