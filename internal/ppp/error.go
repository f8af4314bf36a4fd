package ppp

import (
	"errors"
	"strings"
)

// ErrClosed is what a Link's methods return after Close ended it.
var ErrClosed = errors.New("ppp: link closed")

// Kind is why a link did not come up or did not last.
type Kind int

// The kinds of Error.
const (
	AuthRefused    Kind = iota + 1 // name or password not accepted
	NoCommonAuth                   // no authentication protocol that both ends will use
	Loopback                       // we hear ourselves
	PeerTerminated                 // the peer said goodbye
	CarrierLost                    // the stream ended or failed
	Timeout                        // no answer in Phase
	PeerSilent                     // echoes unanswered on an open link
	NoAddress                      // IPCP ended without an address for us
	AddressChanged                 // a renegotiation gave us another address
	Refused                        // the peer rejects what PPP cannot do without
)

// String is a short phrase for a person.
func (k Kind) String() string {
	switch k {
	case AuthRefused:
		return "name or password refused"
	case NoCommonAuth:
		return "no common authentication"
	case Loopback:
		return "line is looped back"
	case PeerTerminated:
		return "ended by the far end"
	case CarrierLost:
		return "carrier lost"
	case Timeout:
		return "no answer in time"
	case PeerSilent:
		return "far end is silent"
	case NoAddress:
		return "no address given"
	case AddressChanged:
		return "address changed during the call"
	case Refused:
		return "refused by the far end"
	}
	return "unknown fault"
}

// Phase is how far a link had come.
type Phase string

// The phases of a link, in their order (RFC 1661 §3.2).
const (
	PhaseEstablish    Phase = "LCP"
	PhaseAuthenticate Phase = "authentication"
	PhaseNetwork      Phase = "IPCP"
	PhaseOpen         Phase = "open"
)

// Error is the end of a link that we didn't ask for.
type Error struct {
	Kind      Kind
	Phase     Phase  // where it happened
	Peer      string // the far end's own words, cleaned for printing; may be empty
	Hint      string // what a person can do; may be empty
	Temporary bool   // worth another call without changing anything
	Err       error  // cause, such as the stream's error; may be nil
}

// Error is one line without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("ppp: ")
	b.WriteString(e.Kind.String())
	if e.Phase != "" {
		b.WriteString(" (" + string(e.Phase) + ")")
	}
	if e.Peer != "" {
		b.WriteString(`: far end says "` + e.Peer + `"`)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }

// maxWords bounds what is kept of a peer's message.
const maxWords = 200

// words makes a peer's message safe to print: one line of printable text.
func words(b []byte) string {
	if len(b) > maxWords {
		b = b[:maxWords]
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(b), " "))
	return strings.Join(strings.Fields(clean), " ")
}
