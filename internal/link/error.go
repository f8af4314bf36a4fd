package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// ErrClosed is why a Stack has ended after Close, or a line after Down.
var ErrClosed = errors.New("link: closed")

// Kind is why something couldn't be done over the line.
type Kind int

// The kinds of Error.
const (
	UnknownHost     Kind = iota + 1 // the name server says there is no such name, or no address of it
	NoAnswer                        // no name server answered
	NameFailure                     // the name servers answered that they can't tell
	Refused                         // nothing listens at that address
	ConnectTimeout                  // the far host didn't answer
	Unreachable                     // the network says there is no way there
	Reset                           // the far host broke the connection
	LineLost                        // the line went down, or isn't up
	InvalidAddress                  // not an address that can be dialled
	ConnectionFault                 // anything else; see Err
	NoAddress                       // the interface got no address in time
)

// String is a short phrase for a person.
func (k Kind) String() string {
	switch k {
	case UnknownHost:
		return "unknown host"
	case NoAnswer:
		return "no answer from the name servers"
	case NameFailure:
		return "the name servers can't tell"
	case Refused:
		return "connection refused"
	case ConnectTimeout:
		return "no answer"
	case Unreachable:
		return "unreachable"
	case Reset:
		return "connection broken by the far host"
	case LineLost:
		return "the line is down"
	case InvalidAddress:
		return "not an address"
	case NoAddress:
		return "no address to use"
	default:
		return "connection failed"
	}
}

// Error is what went wrong with a name, a connection, or the line under it.
type Error struct {
	Kind      Kind
	Address   string     // what was to be reached, as the caller wrote it
	Server    netip.Addr // the name server that said so, or the last that was asked
	Hint      string     // what a person can do; may be empty
	Temporary bool       // worth another call without changing anything
	Err       error      // cause; may be nil
}

// Error is one line without the hint.
func (e *Error) Error() string {
	s := "link: "
	if e.Address != "" {
		s += e.Address + ": "
	}
	s += e.Kind.String()
	if e.Server.IsValid() {
		s += fmt.Sprintf(" (name server %s)", e.Server)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Advice is the hint for a person, "" when there is none.
func (e *Error) Advice() string { return e.Hint }

// hint is what a person can do about a kind of fault with a connection.
func (k Kind) hint() string {
	switch k {
	case Refused:
		return "the host is there, but this service isn't: check the port"
	case ConnectTimeout, Unreachable:
		return "check the host's address and port; the provider may bar the way to it"
	default:
		return ""
	}
}

// kindOf translates what gVisor says. Its adapter gives the words only.
func kindOf(words string) Kind {
	for kind, faults := range map[Kind][]tcpip.Error{
		Refused:        {&tcpip.ErrConnectionRefused{}},
		ConnectTimeout: {&tcpip.ErrTimeout{}},
		Unreachable:    {&tcpip.ErrHostUnreachable{}, &tcpip.ErrNetworkUnreachable{}, &tcpip.ErrHostDown{}},
		Reset:          {&tcpip.ErrConnectionReset{}, &tcpip.ErrConnectionAborted{}, &tcpip.ErrAborted{}, &tcpip.ErrClosedForSend{}},
	} {
		for _, f := range faults {
			if words == f.String() {
				return kind
			}
		}
	}
	return ConnectionFault
}

// explain turns an error of a connection to address into ours. A deadline of
// the caller's stays what it is everywhere else in Go.
func explain(address string, err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return &Error{Kind: ConnectionFault, Address: address, Temporary: true, Err: err}
	}
	if op.Timeout() {
		return &net.OpError{Op: op.Op, Net: op.Net, Source: op.Source, Addr: op.Addr, Err: os.ErrDeadlineExceeded}
	}
	e := &Error{Kind: kindOf(op.Err.Error()), Address: address, Temporary: true}
	e.Hint = e.Kind.hint()
	if e.Kind == ConnectionFault {
		e.Err = op.Err
	}
	return e
}
