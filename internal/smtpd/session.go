package smtpd

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-smtp"

	"outpost/internal/clients"
	"outpost/internal/mailaddr"
	"outpost/queue"
	"outpost/spool"
)

// session is one client between EHLO and the end, or STARTTLS, after which a new
// one begins (RFC 3207 §4.2: nothing learnt before TLS is kept).
type session struct {
	srv     *Server
	conn    *conn
	tls     *tls.Conn // nil in plain text
	client  netip.Addr
	helo    string
	trusted bool
	id      string // in every log line of the session, and in Received

	// go-smtp takes BDAT content in a second goroutine, which may still be
	// starting when the first one resets.
	mu     sync.Mutex
	user   string // authenticated; "" if not
	tx     transaction
	n      int  // transactions so far
	taking int  // calls of Data that have not returned
	spoilt bool // see spoil
}

// transaction is one mail transaction (RFC 5321 §3.3).
type transaction struct {
	open     bool // MAIL was accepted
	id       string
	from     string
	rcpts    []string // as given, without repetition
	to       []queue.Recipient
	eightBit bool
	utf8     bool
	envID    string // as in queue.Message
	ret      string
}

// newSession greets a client who said EHLO.
func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	raw, encrypted := c.Conn(), (*tls.Conn)(nil)
	if t, ok := raw.(*tls.Conn); ok {
		raw, encrypted = t.NetConn(), t
	}
	own, ok := raw.(*conn)
	if !ok {
		return nil, fmt.Errorf("smtpd: connection of type %T did not come through the door", raw)
	}
	addr := clients.Addr(own)
	return &session{
		srv: s, conn: own, tls: encrypted, client: addr, helo: c.Hostname(),
		trusted: slices.ContainsFunc(s.opt.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) }),
		id:      strings.ToLower(rand.Text()[:10]),
	}, nil
}

// Mail opens a transaction for those who may send.
func (s *session) Mail(from string, opt *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.spoilt:
		return s.refuse("MAIL", errSpoilt)
	case s.tx.open:
		return s.refuse("MAIL", errNestedMail)
	}
	if !s.trusted && s.user == "" {
		return s.refuse("MAIL", s.stranger())
	}
	if from != "" {
		addr, err := parseMailbox(from)
		if err != nil {
			return s.refuse("MAIL", reply(501, 5, 1, 7, "The sender's address can't be used: "+err.Error()))
		}
		if !mailaddr.IsASCII(addr) && !opt.UTF8 {
			return s.refuse("MAIL", errNeedsUTF8)
		}
		from = addr
	}
	if len(opt.EnvelopeID) > maxEnvID {
		return s.refuse("MAIL", errLongEnvID)
	}
	s.n++
	s.tx = transaction{
		open: true, id: fmt.Sprintf("%s-%d", s.id, s.n), from: from,
		eightBit: opt.Body == smtp.Body8BitMIME, utf8: opt.UTF8,
		envID: opt.EnvelopeID, ret: string(opt.Return),
	}
	return nil
}

// stranger says to somebody from outside what he would have to do.
func (s *session) stranger() *smtp.SMTPError {
	switch {
	case len(s.AuthMechanisms()) > 0:
		return reply(530, 5, 7, 0, "Authentication required: log in with your office user name and password to send mail")
	case s.tls == nil && s.srv.opt.TLS != nil && s.srv.opt.Authenticate != nil:
		return reply(530, 5, 7, 0, "Authentication required: switch on STARTTLS and log in with your office user name and password to send mail")
	}
	return reply(530, 5, 7, 0, "Authentication required, and not possible here: this gateway takes mail only from the office network")
}

// Rcpt asks where the address leads and adds the answer to the envelope.
func (s *session) Rcpt(to string, opt *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	addr, err := parseMailbox(to)
	if err != nil {
		return s.refuse("RCPT", reply(501, 5, 1, 3, "The recipient's address can't be used: "+err.Error()))
	}
	if !mailaddr.IsASCII(addr) && !s.tx.utf8 {
		return s.refuse("RCPT", errNeedsUTF8)
	}
	want, refusal := wishes(opt)
	if refusal != nil {
		return s.refuse("RCPT", refusal)
	}
	sender := Sender{User: s.user, Client: s.client, From: s.tx.from}
	found, err := s.srv.opt.Resolve(s.srv.ctx, sender, addr)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("smtpd: %s resolves to nobody", addr)
	}
	if err != nil {
		return s.refuse("RCPT", s.asReply(err))
	}
	found = slices.Clone(found)
	for i := range found {
		found[i] = want.of(found[i], addr)
		if refusal := untold(s.tx.from, &found[i]); refusal != nil {
			return s.refuse("RCPT", refusal)
		}
	}
	s.add(found)
	if !slices.Contains(s.tx.rcpts, addr) {
		s.tx.rcpts = append(s.tx.rcpts, addr)
	}
	return nil
}

// add puts recipients into the envelope, each once. Who is meant twice is reported on if one of the two is to be.
func (s *session) add(found []queue.Recipient) {
	for _, r := range found {
		i := slices.IndexFunc(s.tx.to, func(have queue.Recipient) bool { return sameRecipient(have, r) })
		switch {
		case i < 0:
			s.tx.to = append(s.tx.to, r)
		case s.tx.to[i].Notify == string(smtp.DSNNotifyNever):
			s.tx.to[i].Notify = r.Notify
		}
	}
}

// sameRecipient compares as SMTP does: the domain without regard to case, the
// local part of a foreign address with it (RFC 5321 §2.4).
func sameRecipient(a, b queue.Recipient) bool {
	if a.Where != b.Where || a.Where == queue.Local {
		return a.Where == b.Where && a.Addr == b.Addr
	}
	la, da := cutAddr(a.Addr)
	lb, db := cutAddr(b.Addr)
	return la == lb && strings.EqualFold(da, db)
}

// take begins the content: a copy of the open transaction and its sender.
func (s *session) take() (transaction, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking++
	tx := s.tx
	tx.rcpts, tx.to = slices.Clone(tx.rcpts), slices.Clone(tx.to)
	// Reset was faster than the goroutine of the first chunk.
	if len(tx.to) == 0 {
		s.spoil()
	}
	return tx, s.user
}

// taken ends the content; given up is what became of it if the client didn't finish.
func (s *session) taken(givenUp bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking--
	if givenUp {
		s.spoil()
	}
}

// Reset forgets the transaction (RFC 5321 §4.1.1.5).
func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tx = transaction{}
	if s.taking > 0 {
		s.spoil()
	}
}

// spoil lets no further message in on this connection; the caller holds mu. A client
// who gives up a BDAT message between two chunks, or makes it too big, leaves a goroutine
// of go-smtp behind whose late result would be taken for the result of the next BDAT
// message. So there is no next one: the client is told 421 and connects again.
func (s *session) spoil() {
	s.spoilt = true
	s.conn.hangUp()
}

// Logout ends the session. There is nothing to free.
func (s *session) Logout() error { return nil }

// refuse logs a refusal and hands it on.
func (s *session) refuse(command string, err *smtp.SMTPError) *smtp.SMTPError {
	s.srv.opt.Log.Info("mail refused", "session", s.id, "command", command, "code", err.Code,
		"reason", err.Message, "from", s.tx.from, "user", s.user, "client", s.clientText())
	return err
}

// asReply turns an error of Resolve or Submit into what the client is told. The
// detail of what isn't meant for him is logged.
func (s *session) asReply(err error) *smtp.SMTPError {
	var own *smtp.SMTPError
	switch {
	case errors.As(err, &own):
		return own
	case spool.IsFull(err):
		return errDiskFull
	case errors.Is(err, context.Canceled):
		return errLeaving
	}
	s.srv.opt.Log.Error("mail trouble", "session", s.id, "client", s.clientText(), "error", err)
	return errLocal
}

// clientText is the client's address for people.
func (s *session) clientText() string {
	if s.client.IsValid() {
		return s.client.String()
	}
	return s.remote().String()
}

func (s *session) remote() net.Addr { return s.conn.RemoteAddr() }
