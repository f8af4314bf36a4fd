// Package isp is a pretend Internet provider for the demo and the tests: an
// access server that answers calls, and behind it what a small provider
// runs: a smarthost, POP3 boxes and a name server. All of it is in this
// process and all of it speaks the wire, so a client can't tell it from a
// provider, except that it may be asked afterwards what it saw.
//
// The main flow: [Provider.Answer] waits for a call on a modem, is the PPP
// server on it, puts a TCP/IP host behind the link and serves on that host's
// ports until the carrier is gone; then everything the call started is ended
// before the next call is answered. [Provider.ServeLoopback] offers the same
// services without a line.
//
// What outlives a call is kept in the Provider: the boxes, what the smarthost
// accepted, the certificate authority and the key of the TLS tickets. Two
// invariants make it fit to count with: a message is in [Provider.Received]
// exactly when the smarthost has decided to accept it, before its 250 leaves;
// and a box changes only by an orderly QUIT (RFC 1939 §6), whatever is cut
// and whenever.
//
// It is no mail server: nothing is stored on disk, relayed or delivered, and
// accepted mail doesn't turn up in the boxes.
package isp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// TLSMode says which ports the provider opens and where it insists on TLS.
type TLSMode string

const (
	// TLSNone is ports 25, 587 and 110 in the clear, passwords accepted there.
	TLSNone TLSMode = "none"
	// TLSStart is the same ports with STARTTLS (RFC 3207) and STLS (RFC 2595),
	// and no password is taken before TLS is up.
	TLSStart TLSMode = "starttls"
	// TLSImplicit is what TLSStart offers, and ports 465 and 995 with TLS from
	// the first octet (RFC 8314), as ordinary providers do today.
	TLSImplicit TLSMode = "implicit"
)

// Limits that bound memory when Options leaves them at zero.
const (
	// defaultMessageBytes is what many providers announce: 25 MiB.
	defaultMessageBytes = 25 << 20
	// defaultStoreBytes is enough for a long demo and for any test, and small
	// enough for the boards the demo may run on.
	defaultStoreBytes = 256 << 20
)

// Options describes a provider. Domain is required; everything else has a
// zero value that works.
type Options struct {
	// Domain is the provider's own, such as "provider.example". The name
	// server knows smtp. and pop. under it and nothing else.
	Domain string
	// User and Password are the dial-up account, asked for by CHAP-MD5 and,
	// where that is refused, PAP. Empty User: no authentication is asked for,
	// as on satellite gateways that let everyone in.
	User, Password string
	// SMTPUser and SMTPPassword are the account at the smarthost. Empty
	// SMTPUser: it takes mail from anyone on the line and offers no AUTH.
	SMTPUser, SMTPPassword string
	// TLS: empty means TLSNone.
	TLS TLSMode
	// Authority issues the provider's certificate; nil makes a new one, which
	// takes New about 0.1 s, so tests that make many providers share one.
	// Unused without TLS.
	Authority *Authority
	// Boxes are the POP3 accounts by user name.
	Boxes map[string]Box
	// MaxMessageBytes is the largest message the smarthost takes and
	// announces (RFC 1870); 0 means 25 MiB.
	MaxMessageBytes int64
	// StoreBytes bounds the sum of what Received keeps; what comes after
	// that is answered 452. 0 means 256 MiB.
	StoreBytes int64
	// DSN: the smarthost offers it (RFC 3461). It notes what is asked and
	// reports nothing.
	DSN bool
	// Rate (bits/s) and RTT describe the line to the provider's own TCP and
	// PPP, which then pace themselves; 0 leaves both at their defaults.
	Rate int
	RTT  time.Duration
	// Faults are the misbehaviours to begin with; see SetFaults.
	Faults Faults
	// Log gets a line for each call, connection and message; nil: none.
	Log *slog.Logger
}

// Provider is a running pretend provider. Its methods may be called from any
// goroutine, before, during and after calls.
type Provider struct {
	opt   Options
	log   *slog.Logger
	boxes map[string]*box
	// tlsConfig is one object for the provider's life, because its ticket
	// keys live in it: a session of one call is resumed in the next. It and
	// the authority are nil without TLS.
	tlsConfig *tls.Config
	authority *Authority

	mu       sync.Mutex
	faults   Faults
	received []Received
	stored   int64 // octets of message data in received
	counters Counters
}

// New checks the options and makes a provider; it opens nothing. With TLS it
// makes keys, which is its only other cause to fail.
func New(opt Options) (*Provider, error) {
	if opt.Domain == "" {
		return nil, errors.New("isp: Options.Domain is empty")
	}
	switch opt.TLS {
	case "":
		opt.TLS = TLSNone
	case TLSNone, TLSStart, TLSImplicit:
	default:
		return nil, fmt.Errorf("isp: Options.TLS is %q; it must be none, starttls or implicit", opt.TLS)
	}
	if opt.MaxMessageBytes <= 0 {
		opt.MaxMessageBytes = defaultMessageBytes
	}
	if opt.StoreBytes <= 0 {
		opt.StoreBytes = defaultStoreBytes
	}
	p := &Provider{opt: opt, log: opt.Log, faults: opt.Faults.clone()}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.boxes = make(map[string]*box, len(opt.Boxes))
	for user, b := range opt.Boxes {
		p.boxes[user] = newBox(user, b)
	}
	if opt.TLS != TLSNone {
		if err := p.makeTLS(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// SMTPHost is the name of the smarthost, "smtp." under the domain.
func (p *Provider) SMTPHost() string { return "smtp." + p.opt.Domain }

// POPHost is the name of the POP3 server, "pop." under the domain.
func (p *Provider) POPHost() string { return "pop." + p.opt.Domain }

// Counters is what a provider has seen since it was made.
type Counters struct {
	Calls int // calls answered
	Links int // calls on which PPP came up
	// Connections accepted by each service, also those of ServeLoopback.
	SMTPConnections, POPConnections int
	DNSQueries                      int
	// Logins that succeeded.
	SMTPLogins, POPLogins int
}

// Counters returns a copy of the counts so far.
func (p *Provider) Counters() Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counters
}

// count changes the counters under the lock.
func (p *Provider) count(change func(*Counters)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.counters)
}

// Faults are ways to misbehave. The zero value is a provider in good health.
// A change is seen by the next command of a connection that is open already,
// unless said otherwise.
type Faults struct {
	// RefuseAuth refuses the dial-up account, whatever the password.
	RefuseAuth bool
	// SMTPDown and POPDown leave the service's ports closed from the next
	// call on; in a call that is up, new connections are dropped ungreeted.
	SMTPDown, POPDown bool
	// NoDNS leaves every question unanswered.
	NoDNS bool

	// SMTPAuthFails and POPAuthFails refuse every password.
	SMTPAuthFails, POPAuthFails bool
	// RejectRecipients maps an address to the reply its RCPT gets, such as
	// "550 5.1.1 no such user"; 4yz codes work as well.
	RejectRecipients map[string]string
	// RejectData is the reply to a message's content instead of 250, such as
	// "451 4.3.0 try later"; such a message is not recorded. Empty: none.
	RejectData string
	// LoseReplies is the number of accepted messages whose 250 is lost: the
	// message is recorded and the connection closed. It counts down.
	LoseReplies int
	// SMTPMessages is how many messages the smarthost takes on a connection; MAIL for
	// one more is answered 452. 0: as many as come.
	SMTPMessages int
	// POPAtOnce is how many connections the POP3 service bears at once; one more is
	// closed ungreeted. 0: as many as a host does.
	POPAtOnce int

	// LockedBoxes are the users whose box answers [IN-USE] (RFC 2449 §8.1.1).
	LockedBoxes []string
	// Unreadable are UIDLs that RETR and TOP answer with [SYS/TEMP] (RFC 3206).
	Unreadable []string
	// NoUIDL makes a POP3 server as they were before RFC 1939: no UIDL.
	NoUIDL bool
	// NoTOP makes one without the other optional command, TOP (RFC 1939 §7).
	NoTOP bool
}

func (f Faults) clone() Faults {
	f.RejectRecipients = maps.Clone(f.RejectRecipients)
	f.LockedBoxes = slices.Clone(f.LockedBoxes)
	f.Unreadable = slices.Clone(f.Unreadable)
	return f
}

// rejects returns the reply for a recipient whom the faults refuse, or "".
// Addresses are compared without regard to case, as providers do.
func (f Faults) rejects(addr string) string {
	for a, reply := range f.RejectRecipients {
		if strings.EqualFold(a, addr) {
			return reply
		}
	}
	return ""
}

// SetFaults changes the faults; it may be called between and during calls.
// The function must not call the provider.
func (p *Provider) SetFaults(change func(*Faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.faults.clone()
	change(&f)
	p.faults = f.clone()
}

// fault returns the faults as they are now. The maps and slices in it are
// never written again: SetFaults replaces them.
func (p *Provider) fault() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}
