// Package pop3 collects a box: a POP3 account at the provider, over a connection that somebody else has opened.
//
// It owns the client's half of RFC 1939 from the greeting to QUIT and decides what is retrieved, deleted and left. It does not dial,
// keeps nothing between sessions (a Store does), and delivers nothing. The flow of Collect is
//
//	greeting, STLS if asked for, USER, PASS
//	LIST, UIDL               what there is; not UIDL when there is nothing
//	DELE                     what an earlier session saved and the server still has, if it is due
//	RETR, Save, DELE         each new message; DELE only when Save has returned nil
//	QUIT                     which makes the deletions come true (RFC 1939 §6)
//	Forget                   what the server no longer lists
//
// which is six round trips and two for each message.
//
// # Collected once
//
// The server forgets all deletions of a session that doesn't end with QUIT, so after a cut everything is listed again. What makes a
// message come in once nevertheless is its UIDL, stored by Save together with the message: next time it is only deleted. A UIDL is
// forgotten no earlier than the server, in a complete listing followed by an orderly QUIT, doesn't show it any more; a server
// that ignores DELE, or keeps listing what it deleted, doesn't get its mail collected again.
//
// # What identifies a message
//
// Its UIDL, where it is good: 1 to 70 characters from 0x21 to 0x7E (RFC 1939 §7); up to 255 are taken, as some servers need them. Where
// it isn't, by its content, which has to be retrieved first:
//
//   - no UIDL command, or none (or a bad one) for this message: "sha256:" and the hash;
//   - the same UIDL for several messages of the listing: the UIDL, a blank, "sha256:" and the hash, for each of them. RFC 1939 §7
//     allows this for identical copies only, and those are saved once; but a server that errs loses no mail. A UIDL that was once seen
//     to be ambiguous is not trusted in later sessions either. If a message was saved under its UIDL alone before another
//     appeared with the same, nothing tells which of the two it was: both are saved, so one may come twice.
//
// What can't be helped: a server that gives a deleted message's UIDL to another one, before a session has seen that the first
// is gone, has that other one deleted unseen. RFC 1939 §7 forbids it.
//
// # go-pop3, and what lies beneath it
//
// Commands and replies go through github.com/knadh/go-pop3. It takes an empty line for success, a dot between lone LFs for the end of a
// message, and memory without limit. So the net.Conn it is given, type wire, reads along: it knows which replies are due, ends
// the session when something else comes, keeps the verbatim status lines, bounds each reply, and presents lines such
// that go-pop3 can't misread them. It is also what TLS is put under: go-pop3's connection stays the same one across STLS.
//
// The text of a message is kept octet for octet; only a line that ends in a lone LF gets its CR.
package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"time"
)

// TLSMode says how a connection is protected.
type TLSMode string

// The TLS modes. None falls back to another.
const (
	TLSNone     TLSMode = "none"     // never encrypted
	TLSImplicit TLSMode = "implicit" // TLS from the first octet (RFC 8314 §3.2), port 995
	TLSStart    TLSMode = "starttls" // STLS before anything else (RFC 2595 §4), port 110; never falls back to plain text
)

const (
	// defaultTimeout outlives the 70 seconds for which satellite lines are known to fall silent and still carry on.
	defaultTimeout = 90 * time.Second
	// defaultMaxBytes keeps a box within the memory of a small computer: a message is held while it is saved, up to three times.
	defaultMaxBytes = 32 << 20
	// maxSaveFailures in a row are not about the messages but about the disk; the line is not paid for retrieving more.
	maxSaveFailures = 3
)

// Options are what a box needs. TLS must be set; forgetting it is an error, not plain text.
type Options struct {
	TLS TLSMode
	// TLSConfig must have ServerName set unless TLS is TLSNone.
	TLSConfig      *tls.Config
	User, Password string
	// AllowPlainAuth lets the password go over a connection without TLS. Without it Collect refuses to.
	AllowPlainAuth bool
	// LeaveDays is how many times 24 hours a message stays on the server after it was collected. Zero: it is deleted once
	// stored. Negative: it is never deleted.
	LeaveDays int
	// MaxBytes is the size, by the server's LIST, above which a message is left on the server. Zero means 32 MiB.
	MaxBytes int64
	// Timeout is the silence allowed on the line: nothing moves either way. Zero means 90 s.
	Timeout time.Duration
	// Now is the clock by which LeaveDays counts; nil means time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch o.TLS {
	case TLSNone:
	case TLSImplicit, TLSStart:
		if o.TLSConfig == nil {
			return o, errors.New("TLS is asked for without a TLS configuration")
		}
	default:
		return o, fmt.Errorf("unknown TLS mode %q", o.TLS)
	}
	return o, nil
}

// Store is what a box remembers between sessions. It is used by one goroutine, the caller's of Collect.
type Store interface {
	// Seen gives what was saved and not forgotten: its identification, and when it was saved.
	Seen() (map[string]time.Time, error)
	// Save stores a message and the fact that uidl was seen, both or neither. It returns nil only when both are durable: the
	// server is then told to delete the message. Called again for the same uidl it returns nil and stores nothing. size is
	// the number of octets that body has.
	Save(ctx context.Context, uidl string, size int64, body io.Reader) error
	// Forget drops what the server no longer has.
	Forget(ctx context.Context, uidls []string) error
}

// Report is what a session did. Every message listed is counted in exactly one of Collected, Skipped, TooBig and Failed, when the
// session came to its end.
type Report struct {
	Listed    int // messages in the box
	Collected int // retrieved and saved
	Skipped   int // saved by an earlier session, and not again
	TooBig    int // larger than MaxBytes, left on the server
	Failed    int // could not be retrieved or saved, see Problems; tried again next time
	// Deleted is how many the server confirmed to have deleted, by its reply to QUIT. Left is how many of those collected or
	// skipped stay there on purpose, by LeaveDays.
	Deleted, Left int
	Bytes         int64   // octets of the messages collected
	Problems      []error // what went wrong without ending the session
}

// Collect takes conn over, collects the box, and closes conn in any case. The Report is valid also with an error, which is *Error, or what
// Store.Seen returned, and means that the session didn't come to its end: saved messages are saved, but deletions did not
// take effect unless QUIT was reached. When ctx ends the connection is closed at once.
// One message that can't be retrieved, saved or deleted is a Problem, and doesn't stop the rest.
func Collect(ctx context.Context, conn net.Conn, opt Options, store Store) (Report, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		_ = conn.Close()
		return Report{}, &Error{Command: "configuration", Err: err}
	}
	w := newWire(conn, opt.Timeout)
	defer func() { _ = w.Close() }()
	defer context.AfterFunc(ctx, func() { _ = w.Close() })()
	seen, err := store.Seen()
	if err != nil {
		return Report{}, fmt.Errorf("pop3: what was seen of the box: %w", err)
	}
	known := make(map[string]time.Time, len(seen)) // the Store's own map is not written to
	maps.Copy(known, seen)
	c := &collection{ctx: ctx, session: session{wire: w, opt: opt}, store: store, seen: known}
	if err := c.run(); err != nil {
		if ctx.Err() != nil && err.Line == "" {
			err = &Error{Command: err.Command, Temporary: true, Err: ended(ctx)}
		}
		return c.report, err
	}
	return c.report, nil
}

// ended is why ctx has ended: its error, and the cause if it was given another.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
