// Package smtpd is the office network's SMTP door: it decides who may hand
// mail to Outpost and in which shape that mail is taken. It is the backend of
// emersion/go-smtp, which speaks the protocol.
//
// The main flow of one message:
//
//  1. door admits the connection, or answers 421: connections are bounded
//     altogether and for each client, and silence is bounded in time.
//  2. EHLO makes a session. A client on a trusted network may send at once;
//     anybody else proves who he is with AUTH inside TLS, or is told 530
//     at MAIL. So nothing is relayed for strangers, nor delivered for them.
//  3. RCPT asks Options.Resolve where the address leads, and keeps the answer,
//     with what the sender wants to be told of it (RFC 3461). A recipient who
//     has failed already is taken too, for the report that follows, unless the
//     sender would not get one: then he is told here, by 550.
//  4. DATA or BDAT: the content streams through [body], which puts a Received
//     line on top, makes every line end CRLF, adds a missing Date and
//     Message-ID, cuts loops, and through that into Options.Submit.
//  5. Only when Submit returned nil is 250 answered. Submit keeps the promise
//     behind the 250; this package adds no step after it that could fail.
//
// The invariant: the reader given to Submit ends in io.EOF only when the client
// sent the whole message. Whatever else happens (too big, connection lost, chunk
// cut short, RSET in the middle, a loop) ends it in another error, so that
// what is half there is never kept.
//
// It does not decide where mail goes (mailroom), does not store (queue), does
// not check passwords itself and never sees a password outside the one call of
// Options.Authenticate.
//
// # What is offered, and what is not
//
// PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES, CHUNKING, SIZE, SMTPUTF8, DSN, STARTTLS
// and AUTH PLAIN and LOGIN (inside TLS only). With DSN the parameters are kept with the
// message; the reports are others' work (RFC 3461 §5.2). Not BINARYMIME: such a
// message is not made of lines, may go to the smarthost only if that one takes
// BINARYMIME too (RFC 3030 §3) and would have to be re-encoded for all others, which
// breaks signatures; mail programs then send base64 by themselves.
//
// # Known limits, all of the library
//
//   - A message of exactly MaxBytes is refused in DATA (not in BDAT): go-smtp stops
//     when the limit is reached, before it looks for the end of the content.
//   - After 552 in DATA the rest of the content is read and thrown away.
//   - After a BDAT message given up half-way the client must connect again (see spoil).
//   - HELO can't be told from EHLO, so the Received line says ESMTP for both.
//   - ORCPT of another type than rfc822 and utf-8 gets 501, and a parameter given
//     twice isn't noticed.
//   - RCPT TO:<postmaster> without a domain (RFC 5321 §4.5.1) gets 501.
package smtpd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/queue"
)

// Defaults of [Options], each with its reason.
const (
	// DefaultMaxBytes is what large providers accept, rounded down.
	DefaultMaxBytes = 25 << 20
	// DefaultMaxRecipients is above the 100 that RFC 5321 §4.5.3.1.8 asks for,
	// as mail programs don't split a long list when they meet 452.
	DefaultMaxRecipients = 500
	// DefaultMaxConnections is a whole office of forty with two programs each.
	DefaultMaxConnections = 100
	// DefaultMaxPerClient leaves room for an office server that sends in
	// parallel, and keeps one mad program from shutting the others out.
	DefaultMaxPerClient = 20
	// DefaultReadTimeout is the least a server should wait for the next
	// command (RFC 5321 §4.5.3.2.7). It bounds each silence, also inside DATA,
	// not the time of a whole message: a slow client that keeps sending is welcome.
	DefaultReadTimeout = 5 * time.Minute
	// DefaultWriteTimeout: a reply is at most a few hundred octets, so a client
	// that has not taken it after a minute is gone.
	DefaultWriteTimeout = time.Minute
	// maxLine bounds a command, and as go-smtp has one limit for both, a line of
	// content. RFC 5321 §4.5.3.1.6 asks for 1,000 octets; office software sends
	// whole HTML pages as one line, and those should pass. Memory: one line a
	// connection.
	maxLine = 128 << 10
)

// Sender is who hands in a message, as far as it is known at RCPT.
type Sender struct {
	// User is the authenticated user; "" for a client on a trusted network.
	User string
	// Client is the client's address; invalid if the connection has no IP address.
	Client netip.Addr
	// From is the reverse-path of MAIL; "" is the null reverse-path.
	From string
}

// Options are the door's rules. Resolve and Submit must be set. All functions are
// called from many sessions at once.
type Options struct {
	// Hostname names this host in the greeting, Received and Message-ID.
	Hostname string
	// MaxBytes is the largest content taken, announced as SIZE (RFC 1870).
	// 0: DefaultMaxBytes.
	MaxBytes int64
	// MaxRecipients bounds the RCPT commands of a message. 0: DefaultMaxRecipients.
	MaxRecipients int
	// TLS is the configuration for STARTTLS and ServeTLS. nil: no TLS, hence no AUTH.
	TLS *tls.Config
	// Trusted are the networks whose clients may send without AUTH. Empty: none.
	Trusted []netip.Prefix
	// Authenticate says who it is that signs in with this name and password; false if nobody does. nil: no AUTH.
	// It may be slow (bcrypt); at most two calls run at the same time.
	Authenticate func(login, password string) (user string, ok bool)
	// Resolve says where mail for rcpt goes. A *smtp.SMTPError is answered as it
	// is; any other error is logged and answered 451. A recipient in state
	// queue.Failed, with the reason as Reply, is taken all the same, so that the
	// reason comes to the sender as a report; where he would get none it is
	// answered 550. Notify and Original are filled in here where they are "".
	Resolve func(ctx context.Context, sender Sender, rcpt string) ([]queue.Recipient, error)
	// Submit keeps the message and returns it with its ID; normally queue.Add. It
	// reads body to its end, and returns nil only when the message is durable.
	// spool.ErrFull is answered 452, a *smtp.SMTPError as it is, anything else
	// is logged and answered 451. ctx ends only with the server.
	Submit func(ctx context.Context, m queue.Message, body io.Reader) (queue.Message, error)
	// ReadTimeout bounds each silence of a client. 0: DefaultReadTimeout.
	ReadTimeout time.Duration
	// WriteTimeout bounds the wait for a client to take a reply. 0: DefaultWriteTimeout.
	WriteTimeout time.Duration
	// MaxConnections bounds all connections. 0: DefaultMaxConnections.
	MaxConnections int
	// MaxPerClient bounds the connections of one address (IPv6: of one /64, as a
	// host has all of it). 0: DefaultMaxPerClient.
	MaxPerClient int
	// Log gets the mail events. nil: discarded.
	Log *slog.Logger
}

// withDefaults fills in the zero fields.
func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.MaxRecipients = cmp.Or(o.MaxRecipients, DefaultMaxRecipients)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, DefaultReadTimeout)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, DefaultWriteTimeout)
	o.MaxConnections = cmp.Or(o.MaxConnections, DefaultMaxConnections)
	o.MaxPerClient = cmp.Or(o.MaxPerClient, DefaultMaxPerClient)
	if o.Hostname == "" {
		o.Hostname = "localhost"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Server is the door. Make one with New; it may serve several listeners.
type Server struct {
	opt    Options
	smtp   *smtp.Server
	door   *door
	auth   chan struct{} // a place for each password check under way
	ctx    context.Context
	cancel context.CancelFunc
}

// New makes a server that listens nowhere yet.
func New(opt Options) *Server {
	s := &Server{opt: opt.withDefaults()}
	s.door = newDoor(s.opt)
	// Two bcrypt checks at a time: more would keep a small board from doing
	// anything else while somebody guesses passwords.
	s.auth = make(chan struct{}, 2)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.Domain = s.opt.Hostname
	s.smtp.TLSConfig = s.opt.TLS
	s.smtp.MaxMessageBytes = s.opt.MaxBytes
	s.smtp.MaxRecipients = s.opt.MaxRecipients
	s.smtp.MaxLineLength = maxLine
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.EnableDSN = true
	s.smtp.ErrorLog = libraryLog{s.opt.Log}
	// go-smtp's own time-outs stay off: its deadline is set once a command, which
	// would give a whole message the time of one silence. conn keeps them instead.
	return s
}

// Serve accepts connections on l until Shutdown, then returns nil. STARTTLS is
// offered when Options.TLS is set. It closes l.
func (s *Server) Serve(l net.Listener) error {
	return s.serve(s.door.listen(l, true))
}

// ServeTLS is Serve for implicit TLS (RFC 8314 §3.3, port 465).
func (s *Server) ServeTLS(l net.Listener) error {
	if s.opt.TLS == nil {
		return errors.Join(errors.New("smtpd: implicit TLS needs a certificate"), l.Close())
	}
	return s.serve(tls.NewListener(s.door.listen(l, false), s.opt.TLS))
}

func (s *Server) serve(l net.Listener) error {
	err := s.smtp.Serve(l)
	if s.door.Closing() {
		return nil
	}
	return errors.Join(err, l.Close())
}

// Shutdown closes the listeners, tells idle clients 421 and lets messages that
// are being taken come to their reply. When ctx ends first, the rest is cut off and
// ctx's error returned. On return every goroutine of the server has ended.
func (s *Server) Shutdown(ctx context.Context) error {
	s.door.drain()
	ended := make(chan error, 1)
	go func() { ended <- s.smtp.Shutdown(context.Background()) }() //nolint:contextcheck // when ctx ends it is hurried, not left
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		s.cancel()
		s.door.closeAll()
		<-ended
		err = ctx.Err()
	}
	s.door.finish()
	s.cancel()
	if errors.Is(err, smtp.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// libraryLog brings go-smtp's own complaints (panics of a session with their
// stack, broken connections) into our log.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(format string, v ...any) {
	l.log.Error("smtp trouble", "error", fmt.Sprintf(format, v...))
}

func (l libraryLog) Println(v ...any) { l.log.Error("smtp trouble", "error", fmt.Sprint(v...)) }
