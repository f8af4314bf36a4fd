package isp

import (
	"context"
	"crypto/subtle"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

const (
	// maxRecipients is the least a server must take (RFC 5321 §4.5.3.1.8).
	maxRecipients = 100
	// maxSMTPLine is far above the 1000 octets of RFC 5321 §4.5.3.1.6, for
	// mail with longer lines exists and real servers take it.
	maxSMTPLine = 64 << 10
)

// Received is a message that the smarthost accepted.
type Received struct {
	From string   // reverse-path; "" for the null one
	To   []string // accepted recipients in the client's order
	Data []byte   // as transferred, without the protocol's dots; not to be changed
	At   time.Time
	User string // who was logged in; "" if nobody
	// EightBit and UTF8 say that BODY=8BITMIME and SMTPUTF8 were given.
	EightBit, UTF8 bool
	// EnvID and Return are those of MAIL, Notify and Original those of the
	// recipients, as many as To (RFC 3461); decoded, "" where not given.
	EnvID, Return    string
	Notify, Original []string
}

// Received returns everything that the smarthost accepted so far, in the
// order in which it did.
func (p *Provider) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.received)
}

// errFull is RFC 5321 §4.2.2's "insufficient system storage".
func errFull() error {
	return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 3, 1}, Message: "Insufficient storage"}
}

// keep records a message unless that would exceed Options.StoreBytes.
func (p *Provider) keep(m Received) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int64(len(m.Data))
	if p.stored+size > p.opt.StoreBytes {
		return errFull()
	}
	p.stored += size
	p.received = append(p.received, m)
	return nil
}

// takeLostReply says whether the reply to the message just kept is to be
// lost, and counts that down.
func (p *Provider) takeLostReply() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.LoseReplies <= 0 {
		return false
	}
	p.faults.LoseReplies--
	return true
}

// serveSMTP speaks SMTP on conn until QUIT or until the connection ends, and
// closes it. With secure TLS is up already. Each connection has a server
// object of its own, so that the end of this function is the end of
// everything that belongs to the connection.
func (p *Provider) serveSMTP(conn net.Conn, secure bool) {
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{p: p, conn: c}, nil
	}))
	srv.Domain = p.SMTPHost()
	srv.MaxMessageBytes = p.opt.MaxMessageBytes
	srv.MaxRecipients = maxRecipients
	srv.MaxLineLength = maxSMTPLine
	srv.EnableSMTPUTF8 = true
	srv.EnableDSN = p.opt.DSN
	srv.ErrorLog = slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
	srv.AllowInsecureAuth = secure || p.tlsConfig == nil
	if !secure {
		srv.TLSConfig = p.tlsConfig
	}
	l := newSingle(whole{conn})
	_ = srv.Serve(l) // net.ErrClosed once the connection is
	// All connections are closed, so this waits for goroutines to return.
	_ = srv.Shutdown(context.Background())
}

// smtpSession is one client's session on one connection.
type smtpSession struct {
	p    *Provider
	conn *smtp.Conn
	user string
	mail Received // in the making
	kept int      // messages accepted on this connection
}

var _ smtp.AuthSession = (*smtpSession)(nil)

func (s *smtpSession) Reset()        { s.mail = Received{} }
func (s *smtpSession) Logout() error { return nil }

func (s *smtpSession) AuthMechanisms() []string {
	if s.p.opt.SMTPUser == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *smtpSession) Auth(mechanism string) (sasl.Server, error) {
	if s.p.opt.SMTPUser == "" || mechanism != sasl.Plain {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(identity, user, password string) error {
		o := &s.p.opt
		right := subtle.ConstantTimeCompare([]byte(user), []byte(o.SMTPUser)) &
			subtle.ConstantTimeCompare([]byte(password), []byte(o.SMTPPassword))
		if right == 0 || (identity != "" && identity != user) || s.p.fault().SMTPAuthFails {
			s.p.log.Info("login refused", "service", "smtp")
			return smtp.ErrAuthFailed
		}
		s.user = user
		s.p.count(func(c *Counters) { c.SMTPLogins++ })
		return nil
	}), nil
}

func (s *smtpSession) Mail(from string, opts *smtp.MailOptions) error {
	if s.p.opt.SMTPUser != "" && s.user == "" {
		// RFC 4954 §6.
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	if most := s.p.fault().SMTPMessages; most > 0 && s.kept >= most {
		return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 5, 3}, Message: "Too many messages on this connection"}
	}
	s.mail = Received{
		From: from, User: s.user, UTF8: opts.UTF8, EightBit: opts.Body == smtp.Body8BitMIME,
		EnvID: opts.EnvelopeID, Return: string(opts.Return),
	}
	return nil
}

func (s *smtpSession) Rcpt(to string, opts *smtp.RcptOptions) error {
	if reply := s.p.fault().rejects(to); reply != "" {
		return replyError(reply)
	}
	s.mail.To = append(s.mail.To, to)
	var words []string
	for _, word := range opts.Notify {
		words = append(words, string(word))
	}
	s.mail.Notify = append(s.mail.Notify, strings.Join(words, ","))
	original := ""
	if opts.OriginalRecipient != "" {
		original = strings.ToLower(string(opts.OriginalRecipientType)) + ";" + opts.OriginalRecipient
	}
	s.mail.Original = append(s.mail.Original, original)
	return nil
}

// Data takes the content. The message counts as accepted from the moment
// keep returns nil; the reply is written after that.
func (s *smtpSession) Data(r io.Reader) error {
	// go-smtp bounds r by MaxMessageBytes. Content that ends before its end
	// was seen is an error here, so a cut message is never kept.
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if reply := s.p.fault().RejectData; reply != "" {
		return replyError(reply)
	}
	m := s.mail
	m.Data, m.At = content, time.Now()
	if err := s.p.keep(m); err != nil {
		return err
	}
	s.kept++
	s.p.log.Info("message accepted", "from", m.From, "recipients", len(m.To), "octets", len(content))
	if s.p.takeLostReply() {
		_ = s.conn.Conn().Close()
	}
	return nil
}

// replyError makes an error of a reply line such as "550 5.1.1 no such
// user"; the enhanced code may be missing. What is no reply becomes the text
// of a 451, so that a slip in a test shows itself.
func replyError(reply string) error {
	m := regexp.MustCompile(`^([45]\d\d) (?:([45])\.(\d{1,3})\.(\d{1,3}) )?(.*)$`).FindStringSubmatch(reply)
	if m == nil {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 5}, Message: "Not a reply: " + reply}
	}
	e := &smtp.SMTPError{Message: m[5]}
	e.Code, _ = strconv.Atoi(m[1]) // three digits, as the pattern says
	for i := range e.EnhancedCode {
		e.EnhancedCode[i], _ = strconv.Atoi(m[2+i]) // 0 when missing: go-smtp then gives x.0.0
	}
	return e
}
