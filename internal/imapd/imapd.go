// Package imapd is the office network's IMAP door (RFC 3501): staff read, file and
// search the mail in the Maildirs with any mail program. It is the backend of
// emersion/go-imap's server, which speaks the protocol; package maildir knows the disk.
//
// The main flow of a connection:
//
//  1. door admits it, or says BYE: connections are bounded altogether and for each
//     client, and silence is bounded in time.
//  2. In plain text only hall answers, which knows STARTTLS and little else. The library
//     gets to see a client inside TLS only, as a wire, so no password can
//     pass outside.
//  3. LOGIN or AUTHENTICATE PLAIN: Options.Authenticate decides. A user who comes for
//     the first time gets the folders that mail programs look for.
//  4. SELECT opens a mailbox of the house: one for each folder, shared by all sessions,
//     kept equal to the disk by maildir.Box.
//  5. Each session has a view of it: the messages its client knows, by number. Changes
//     by others, of whatever program, come in by the difference between view
//     and mailbox, when the protocol allows it. So numbers are stable for a client,
//     and nothing piles up for one who doesn't listen.
//
// The invariants: what was answered OK is durable (APPEND, COPY, MOVE, STORE, EXPUNGE);
// a UID is durable before a client hears of it; a message is neither lost nor doubled
// by what several clients do at once.
//
// Memory is bounded whatever a client asks for: bodies are streamed from the disk and to
// it, MIME is taken apart by a scan that keeps headers only, with limits on depth and
// number.
//
// # Shared folders
//
// Shared/NAME is the inbox of another Maildir, and Shared/NAME/Folder a folder in it.
// All flags there, \Seen too, are common to all who read them, as with Dovecot without
// private indexes. Who may only read gets READ-ONLY, and NO for each change.
//
// # What is offered, and what is not
//
// IMAP4rev1, LITERAL+, IDLE, UIDPLUS, MOVE, NAMESPACE, SPECIAL-USE, ESEARCH, SEARCHRES,
// LIST-EXTENDED, LIST-STATUS, STATUS=SIZE, APPENDLIMIT, ENABLE, UNSELECT, CHILDREN. Not,
// as the library's server has no way for them: CONDSTORE and QRESYNC, QUOTA's commands
// (the quota itself holds), SORT, THREAD, COMPRESS, MULTIAPPEND, ID, NOTIFY, METADATA,
// ACL. BINARY is parsed by the library and refused here. \Recent is not kept.
//
// # Known limits, all of the library
//
//   - SEARCH: SMALLER followed by a key for a date, or by LARGER, is lost.
//   - ENVELOPE: octets above 127 in a header come as encoded words, a Date that can't be read
//     as NIL, and there is a space between two addresses.
//   - BODYSTRUCTURE: parameters are in the order of their names.
//   - A literal of over 4,096 octets is refused anywhere but in APPEND, and an APPEND of over
//     APPENDLIMIT ends the connection.
//   - A command line that makes no sense at all ends the connection.
//   - SEARCH RETURN (SAVE) answers with ALL too.
//   - After ENABLE UTF8=ACCEPT names are UTF-8, but an ampersand in them is still "&-".
package imapd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"outpost/internal/maildir"
)

// Defaults of [Options], each with its reason.
const (
	// DefaultMaxBytes leaves room for what smtpd and the boxes take, and a mail program
	// that keeps a copy of what it could not send.
	DefaultMaxBytes = 100 << 20
	// DefaultMaxConnections is a whole office of forty: mail programs hold five
	// connections each, telephones one or two.
	DefaultMaxConnections = 400
	// DefaultMaxPerClient leaves room for several programs on one computer.
	DefaultMaxPerClient = 40
)

// Shared is a shared folder as one user sees it.
type Shared struct {
	// Name is the folder's name, and its Maildir's in Options.MailDir.
	Name string
	// Write allows changes: flags, new messages, removal, folders inside.
	Write bool
}

// Options are the door's rules. MailDir, TLS and Authenticate must be set. All
// functions are called from many sessions at once.
type Options struct {
	// MailDir has a Maildir for each user and each shared folder, by its name.
	MailDir string
	// Hostname names this host in the greeting and in file names.
	Hostname string
	// TLS is the configuration for STARTTLS and ServeTLS. Nobody can log in without.
	TLS *tls.Config
	// MaxBytes is the largest message taken by APPEND. 0: DefaultMaxBytes.
	MaxBytes int64
	// MaxConnections bounds all connections. 0: DefaultMaxConnections.
	MaxConnections int
	// MaxPerClient bounds the connections of one address (IPv6: of one /64). 0:
	// DefaultMaxPerClient.
	MaxPerClient int
	// Authenticate says who it is that signs in with this name and password, if his mailbox
	// is here; false if it is nobody. It may be slow (bcrypt); at most two calls run at
	// the same time.
	Authenticate func(login, password string) (user string, ok bool)
	// Shared lists the shared folders a user may read. It is asked often. nil: none.
	Shared func(user string) []Shared
	// Quota is how many octets a user's or a shared folder's Maildir may have; 0 is any
	// number. nil: no quota.
	Quota func(name string) int64
	// Log gets the events. nil: discarded.
	Log *slog.Logger
}

// withDefaults fills in the zero fields.
func (o Options) withDefaults() Options {
	o.MaxBytes = min(cmp.Or(o.MaxBytes, DefaultMaxBytes), 1<<31)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.MaxPerClient = cmp.Or(o.MaxPerClient, DefaultMaxPerClient)
	o.Hostname = cmp.Or(o.Hostname, "localhost")
	if o.Authenticate == nil {
		o.Authenticate = func(string, string) (string, bool) { return "", false }
	}
	if o.Shared == nil {
		o.Shared = func(string) []Shared { return nil }
	}
	if o.Quota == nil {
		o.Quota = func(string) int64 { return 0 }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server is the door. Make one with New; it may serve several listeners.
type Server struct {
	opt    Options
	imap   *imapserver.Server
	door   *door
	house  *house
	inside *handover
	auth   chan struct{} // a place for each password check under way
	ctx    context.Context
	cancel context.CancelFunc
}

// New makes a server that listens nowhere yet.
func New(opt Options) *Server {
	s := &Server{opt: opt.withDefaults(), house: newHouse(), inside: newHandover()}
	s.door = newDoor(s.opt)
	// Two checks at a time, as in smtpd: more would keep a small board from doing
	// anything else while somebody guesses passwords.
	s.auth = make(chan struct{}, 2)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.imap = imapserver.New(&imapserver.Options{
		NewSession: s.newSession,
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapESearch: {}, imap.CapSearchRes: {},
			imap.CapListExtended: {}, imap.CapListStatus: {}, imap.CapMove: {}, imap.CapStatusSize: {}, imap.CapChildren: {},
			imap.CapSpecialUse: {}, imap.CapLiteralPlus: {},
		},
		Logger: libraryLog{s.opt.Log},
		// Every connection that it sees is inside TLS: see hall and handover.
		InsecureAuth: true,
	})
	s.door.work.Go(func() { _ = s.imap.Serve(s.inside) })
	return s
}

// errNoTLS is Serve's refusal.
var errNoTLS = errors.New("imapd: without a certificate nobody could log in")

// Serve accepts connections on l until Shutdown, then returns nil. Clients begin in
// plain text and must use STARTTLS. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, s.hall) }

// ServeTLS is Serve for implicit TLS (RFC 8314 §3.2, port 993).
func (s *Server) ServeTLS(l net.Listener) error { return s.serve(l, s.shake) }

// serve admits clients and has each begin in a goroutine of its own.
func (s *Server) serve(l net.Listener, begin func(*conn)) error {
	if s.opt.TLS == nil {
		return errors.Join(errNoTLS, l.Close())
	}
	s.door.Listen(l)
	for delay := time.Duration(0); ; {
		nc, err := l.Accept()
		if err != nil {
			if s.door.Closing() {
				return nil
			}
			// Out of file descriptors, or the client is gone already: later.
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				delay = min(max(2*delay, 5*time.Millisecond), time.Second)
				if !s.pause(delay) {
					return l.Close()
				}
				continue
			}
			return errors.Join(err, l.Close())
		}
		delay = 0
		if c := s.door.admit(nc); c != nil {
			s.door.work.Go(func() { begin(c) })
		}
	}
}

// pause waits, and is false when the server ends meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Shutdown closes the listeners, says BYE to idle clients and lets commands that are
// under way come to their answer. When ctx ends first, the rest is cut off and ctx's error
// returned. On return every goroutine of the server has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.door.drain()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-s.door.Emptied()
		_ = s.inside.Close()
		s.door.work.Wait()
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.cancel()
		s.door.closeAll()
		<-ended
	}
	s.cancel()
	return err
}

// Changed tells that something was delivered into a folder of a user's mailbox or
// a shared one: who looks at it sees it at once. folder is as in maildir.Dir.Folder.
// It never blocks.
func (s *Server) Changed(mailbox, folder string) {
	s.house.changed(s.mailbox(mailbox), folder)
}

// mailbox is a user's or shared folder's Maildir.
func (s *Server) mailbox(name string) maildir.Dir {
	return maildir.Dir{Root: filepath.Join(s.opt.MailDir, name)}
}

// libraryLog brings the library's own complaints (panics with their stack, broken
// connections) into our log.
type libraryLog struct{ log *slog.Logger }

// Printf logs what is worth it: that a client is gone is not.
func (l libraryLog) Printf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.HasPrefix(text, "failed to read command") || strings.HasPrefix(text, "failed to write greeting") {
		l.log.Debug("imap connection ended", "reason", text)
		return
	}
	l.log.Error("imap trouble", "error", text)
}
