package pop3

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store is what a box remembers between sessions. Its methods are called by one goroutine, the caller's of Collect.
type Store interface {
	// Seen gives what was saved and not forgotten, by what identifies it.
	Seen() (map[string]Seen, error)
	// Save stores a message and the fact that its identity was seen, both or neither. It reads body to its end and returns, as
	// nothing else of the box comes in meanwhile; it may have the rest done later, beside the next Save, up to 64 at once.
	// A body that ends in anything but io.EOF has not come whole: nothing is stored. size is what the server listed, seldom exact; it
	// is to be kept for Seen.Size.
	//
	// identity gives what the message is known by: from the start where it is a UIDL, else "" until body was read to its end.
	//
	// done must be called exactly once, from any goroutine, before Save returns or after. With nil it says that both are durable: the
	// server is then told to delete the message. A message whose identity was seen before, or is being saved, is stored once, and
	// done(nil) called for each of them, when the one that is stored is durable. Collect doesn't return before every done was called, even when ctx has ended.
	Save(ctx context.Context, size int64, body io.Reader, identity func() string, done func(error))
	// Forget drops what the server no longer has. When it returns nil that is durable: a message that comes next under one of these
	// names is another one, and stored by Save.
	Forget(ctx context.Context, uidls []string) error
	// Hold takes note of a message that is not retrieved, as it is larger than Options.HoldAbove; it stays on the server until
	// Options.Held or Options.Drop say otherwise. With nil it says that this is durable. As nothing comes in meanwhile it should not
	// take long. It is called again for a message that Options.Held of a later session doesn't have, and then must not be surprised.
	//
	// ErrWanted says that the message is to be collected all the same, by what its top shows.
	//
	// A server that changes its UIDLs has what was held shown again under other names. A Store can tell by the Fingerprint of Top.
	Hold(ctx context.Context, held Held) error
	// Renamed says that the server shows messages under other UIDLs than when they were saved: the values of the map are then seen
	// as the keys were, with all that was kept for these, and the keys are forgotten, all of it or nothing. With nil it is durable.
	Renamed(ctx context.Context, identities map[string]string) error
}

// ErrWanted is what Store.Hold returns for a message that is not to wait.
var ErrWanted = errors.New("it is to be collected all the same")

// Seen is what is known of a message that was saved.
type Seen struct {
	// At is when it was saved.
	At time.Time
	// Size is what the server listed it with then, in octets; 0: that was not kept.
	Size int64
	// Print is its Fingerprint; "" if it has none, or that was not kept.
	Print string
}

// Held is a message that stays on the server until somebody has decided about it.
type Held struct {
	// Identity is its UIDL.
	Identity string
	// Size is what the server lists it with, in octets, seldom exact.
	Size int64
	// Top is its header and the first lines of its body, or what of them are whole lines within 32 KiB, with CRLF. Nil: the server
	// has no TOP (RFC 1939 §7), or it failed.
	Top []byte
	// Listed says of an identity in Options.Held that the server still has that message under it. One that it hasn't may be this one; one
	// that it has is another, though it may look the same: a message for two people in a box for all lies there twice.
	Listed func(identity string) bool
}
