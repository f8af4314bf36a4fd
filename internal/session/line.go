package session

import (
	"context"
	"net"
	"time"
)

// packetLine is a Line that sees the packets on it.
type packetLine interface {
	// Packets are the octets of IP, of payload, and of payload that had crossed
	// before, each way; false: they weren't seen.
	Packets() (up, down [3]int64, ok bool)
}

// Line is a way up, as a session needs it. All methods may be called from any
// goroutine.
type Line interface {
	Name() string
	// Number is what was dialled last, or will be dialled first, for the report; "" where
	// nothing is.
	Number() string
	// Up brings the line up and tells the phases it goes through. When it
	// fails, Down must be called all the same.
	Up(ctx context.Context, onPhase func(phase string)) error
	// DialContext opens a connection through the line; names are resolved
	// through it too.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Counters are the octets that crossed the line since it was answered.
	Counters() (up, down int64)
	// Connected is when the line was answered: from then on it costs. Zero: it
	// never was.
	Connected() time.Time
	// Lost is closed when the line went down by itself.
	Lost() <-chan struct{}
	// Err is why it did; nil as long as it didn't.
	Err() error
	// Down brings the line down; nil means that it was seen to be down. It may
	// be called at any time, also during Up, and again.
	Down(ctx context.Context) error
	// Transcript is the dialogue with the modem, without secrets.
	Transcript() string
}
