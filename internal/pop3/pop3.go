// Package pop3 collects a box: a POP3 account at the provider, over a connection that somebody else has opened.
//
// It owns the client's half of RFC 1939 from the greeting to QUIT and decides what is retrieved, deleted and left. It does not dial,
// keeps nothing between sessions (a Store and whoever keeps Report.Known and Report.Waiting do), and delivers nothing. Where the server has
// PIPELINING (RFC 2449 §6.6) and that is known from an earlier session, the flow of Collect is
//
//	USER, PASS, LIST, UIDL   in one write, before the greeting is there; with RETR 1 if Options.Speculate says so
//	RETR ..., TOP ...        what the Window grants, as it grants it; each message goes from the wire to Store.Save, a top to Store.Hold
//	DELE ..., QUIT           in one write: what is durable, or was saved by an earlier session, if it is due (RFC 1939 §6)
//	Forget                   what the server no longer lists
//
// which is three round trips, however many messages there are, or two. STLS adds one and the handshake, a server of which nothing is
// known two: for its greeting and for CAPA, which it is asked once in 30 days. Without PIPELINING each command waits for the
// reply to the one before.
//
// One goroutine reads all replies, the caller's of Collect. Another asks for messages meanwhile; it has ended when Collect returns. No
// message is in memory: 16 KiB are, or the 32 KiB of a top, and what the Store takes.
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
// A UIDL of something collected may come back with another message, though RFC 1939 §7 forbids it. If its size differs by more than
// 5 % and 1 kB from what was listed before, the header is looked at by TOP; unless it is the same by its Fingerprint the old message is forgotten and the
// new one collected. What can't be helped: of about the same size, and before a session has seen that the first is gone, it
// is deleted unseen.
//
// # When all UIDLs change
//
// A provider that moves its boxes may name all mail in them anew, and what was left there would be collected once more. So if none of three or
// more messages is listed that were collected and should be there, or less than a tenth of twenty or more, the headers of those that are new, and
// of about their sizes, are looked at by TOP: of eight, and of all if that shows one that is familiar. A message whose Fingerprint and size
// are those of a missing one is that one, and Store.Renamed says so. Others are new: those whose Fingerprint several in the box
// have, as one of them may be a copy that came since, and all if the server has no TOP. Rather collected twice than never. Until all is
// known nothing of it is collected or forgotten; if the session ends before, Waiting has what was found out, and the next one goes on.
//
// # Large messages
//
// A message larger than Options.HoldAbove is not retrieved. Its header and first lines go to Store.Hold, and it stays where it is until Options
// says what somebody has decided. That takes a UIDL to know it by. A server that sends all of the message for a TOP is left after
// 64 kB, and not asked again for this one.
//
// # go-pop3, and what lies beneath it
//
// Commands and status lines go through github.com/knadh/go-pop3. It takes an empty line for success, a dot between lone LFs for the end of
// a message, and memory without limit. So the net.Conn it is given, type wire, reads along: it knows which replies are due, ends
// the session when something else comes, keeps the verbatim status lines, and bounds each reply. Texts don't pass through
// go-pop3, which would have them in memory. It is also what TLS is put under: go-pop3's connection stays the same one across STLS.
//
// The text of a message is kept octet for octet; only a line that ends in a lone LF gets its CR.
package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
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
	// defaultMaxBytes is above what providers let through, and below what a small computer can't store.
	defaultMaxBytes = 32 << 20
	// defaultPreview shows what a message is about; maxPreview is well below what a TOP may have, at lines of usual length.
	defaultPreview = 12
	maxPreview     = 200
	// maxSaveFailures in a row are not about the messages but about the disk; the line is not paid for retrieving more.
	maxSaveFailures = 3
)

// Options are what a box needs. TLS must be set; forgetting it is an error, not plain text.
type Options struct {
	TLS TLSMode
	// TLSConfig must have ServerName set unless TLS is TLSNone.
	TLSConfig      *tls.Config
	User, Password string
	Mechanism      Mechanism
	// Token gives the access token for MechanismXOAUTH2, and isn't called for others. It is called while the connection waits.
	Token func(context.Context) (string, error)
	// AllowPlainAuth lets the password, in whatever form, go over a connection without TLS. Without it Collect refuses to.
	AllowPlainAuth bool
	// Known is the Report.Known of an earlier session with this server; nil: nothing is known.
	Known *Known
	// Waiting is the Report.Waiting of the last session with this box; nil: nothing is known.
	Waiting map[string]Waiting
	// Window says when a message may be asked for. It is shared by all boxes of a call; nil: no limit.
	Window *Window
	// Emptied is the Report.Emptied of the last session with this box.
	Emptied bool
	// Speculate asks for the first message before it is known whether there is one, which spares a round trip. It is done only where
	// the box was left empty (Emptied, or Store.Seen is; and nothing is in Held), LeaveDays is zero and Keep nil, so that whatever there
	// is is new, and PIPELINING is known. Should the message be larger than MaxBytes or HoldAbove, the session ends with an Error that is Early.
	Speculate bool
	// LeaveDays is how many times 24 hours a message stays on the server after it was collected. Zero: it is deleted once
	// stored. Negative: it is never deleted.
	LeaveDays int
	// Keep, unless nil, says instead of LeaveDays whether a message that was collected stays on the server for now. It is asked in
	// each session for each such message, by the caller's goroutine of Collect; at once for what was collected in this session, of which Seen
	// has no Print. It must be quick, as the line waits.
	Keep func(identity string, s Seen) bool
	// MaxBytes is the size, by the server's LIST, above which a message is left on the server. Zero means 32 MiB.
	MaxBytes int64
	// HoldAbove is the size, by LIST, above which a message is not retrieved but shown to Store.Hold and left on the server, until Held
	// or Drop have it. 32 are shown in a session at most. Zero: none are. What has no UIDL can't be held, and counts as too big.
	HoldAbove int64
	// Held is what became of messages that were shown to Store.Hold, by their identity. False: nothing yet; it is left where it is, and
	// not asked for. True: it was released, and is retrieved whatever its size.
	Held map[string]bool
	// HeldSize is with what size those in Held were shown; 0: not known. Under a UIDL that is there with another size is another message: the
	// server has given it anew, and what was decided means the one that is gone.
	HeldSize map[string]int64
	// Drop are the identities of messages to be deleted though they were not retrieved: true, and not released in Held. It has no say over
	// what was collected.
	Drop map[string]bool
	// StillDrop is asked of each message in Drop right before it is deleted, as people may have thought better of it since the session began;
	// nil: they never do.
	StillDrop func(identity string) bool
	// Preview is how many lines of the body Store.Hold is shown, 200 at most. Zero means 12.
	Preview int
	// Timeout is the silence allowed on the line: nothing moves either way. Zero means 90 s.
	Timeout time.Duration
	// Now is the clock by which LeaveDays counts; nil means time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Preview <= 0 {
		o.Preview = defaultPreview
	}
	o.Preview = min(o.Preview, maxPreview)
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Window == nil {
		o.Window = NewWindow(0)
	}
	switch o.Mechanism {
	case MechanismAny, MechanismPlain, MechanismAPOP:
	case MechanismXOAUTH2:
		if o.Token == nil {
			return o, errors.New("XOAUTH2 is asked for without a source of tokens")
		}
	default:
		return o, fmt.Errorf("unknown mechanism %q", o.Mechanism)
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

// Report is what a session did. Every message listed is counted in exactly one of Collected, Skipped, Held, Dropped, TooBig and Failed, when
// the session came to its end; but for those that weren't asked for as the Window was stopped or enough were shown to Store.Hold,
// which are in Waiting only, and those in Options.Drop that the server didn't delete.
type Report struct {
	Listed    int // messages in the box
	Collected int // retrieved and saved
	Skipped   int // saved by an earlier session, and not again
	Held      int // larger than HoldAbove, and left on the server; Store.Hold has them, since now or earlier
	Dropped   int // deleted without having been retrieved, by Options.Drop; as confirmed by the reply to QUIT
	TooBig    int // larger than MaxBytes, or than HoldAbove and without a UIDL; left on the server
	Failed    int // could not be retrieved or saved, see Problems; in Waiting, and tried again next time
	Renamed   int // of those skipped: recognised though the server has changed their UIDLs
	// Deleted is how many the server confirmed to have deleted, by its reply to QUIT. Left is how many of those collected or
	// skipped stay there on purpose, by LeaveDays or Keep.
	Deleted, Left int
	Bytes         int64   // octets of the messages collected
	Emptied       bool    // all that was listed is deleted, as the server confirmed
	Problems      []error // what went wrong without ending the session
	// Gone are the identities in Options.Held that the server no longer has, sorted: those just dropped, and those it doesn't list. None of the
	// latter are there after a listing that was not understood, or in which the server has changed its UIDLs; and none at all if the session
	// didn't come to its end.
	Gone []string
	// Known is what to keep of the server for the next session; nil: forget what was kept.
	Known *Known
	// Waiting is what to keep for the next session of messages that are in the box, mostly of those that were not collected, by what
	// identifies them; it takes the place of what was kept. There are 10,000 at most, and none that are held or too big.
	Waiting map[string]Waiting
}

// Collect takes conn over, collects the box, and closes conn in any case. The Report is valid also with an error, which is *Error, or what
// Store.Seen returned, and means that the session didn't come to its end: saved messages are saved, but deletions did not
// take effect unless QUIT was reached. When ctx ends the connection is closed at once.
// One message that can't be retrieved, saved or deleted is a Problem, and doesn't stop the rest.
func Collect(ctx context.Context, conn net.Conn, opt Options, store Store) (Report, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		_ = conn.Close()
		return Report{Known: opt.Known, Waiting: opt.Waiting}, &Error{Command: "configuration", Err: err}
	}
	session, err := newSession(conn, opt)
	if err != nil {
		_ = conn.Close()
		return Report{}, &Error{Command: "configuration", Err: err} // it has read nothing but our own greeting
	}
	defer session.writing.Wait()
	defer func() { _ = session.wire.Close() }()
	defer context.AfterFunc(ctx, func() { _ = session.wire.Close() })()
	seen, err := store.Seen()
	if err != nil {
		return Report{Known: opt.Known, Waiting: opt.Waiting}, fmt.Errorf("pop3: what was seen of the box: %w", err)
	}
	known := make(map[string]Seen, len(seen)) // the Store's own map is not written to
	maps.Copy(known, seen)
	c := newCollection(ctx, session, store, known)
	failure := c.run()
	c.report.Waiting = c.waiting()
	if failure == nil {
		return c.report, nil
	}
	if ctx.Err() != nil && failure.Line == "" {
		if failure.Early {
			c.report.Known = c.known // the server was not at fault
		}
		failure = &Error{Command: failure.Command, Temporary: true, Err: ended(ctx)}
	}
	return c.report, failure
}

// ended is why ctx has ended: its error, and the cause if it was given another.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
