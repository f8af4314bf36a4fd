package smtpd

import (
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// maxAuthFailures is how often a connection may err before it is ended: enough
// for a mistyped password, tedious for a guesser (RFC 4954 §4 allows it).
const maxAuthFailures = 3

// AuthMechanisms is what EHLO offers: PLAIN, and only inside TLS, as it sends the
// password itself (RFC 4954 §4).
func (s *session) AuthMechanisms() []string {
	if s.tls == nil || s.srv.opt.Authenticate == nil {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth begins an AUTH command. go-smtp has refused it outside TLS already.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx.open { // RFC 4954 §4: not during a mail transaction.
		return nil, s.refuse("AUTH", errAuthInMail)
	}
	if s.tls == nil || mechanism != sasl.Plain || s.srv.opt.Authenticate == nil {
		return nil, s.refuse("AUTH", smtp.ErrAuthUnknownMechanism)
	}
	return sasl.NewPlainServer(s.checkPassword), nil
}

// checkPassword has Options.Authenticate decide. To act for somebody else
// (identity) is not offered. The password goes nowhere else.
func (s *session) checkPassword(identity, login, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn.failedTooOften() {
		return s.refuse("AUTH", errTooManyLogins)
	}
	user, ok := "", false
	if login != "" && (identity == "" || identity == login) {
		user, ok = s.verify(login, password)
	}
	log := s.srv.opt.Log.With("session", s.id, "login", login, "client", s.clientText())
	if !ok {
		if s.conn.failure() >= maxAuthFailures {
			s.conn.hangUp()
		}
		log.Warn("login refused")
		return errBadLogin
	}
	log.Debug("login accepted")
	s.user = user
	return nil
}

// verify waits for one of the places for password checks. The place is given back
// even if the check panics.
func (s *session) verify(login, password string) (user string, ok bool) {
	select {
	case s.srv.auth <- struct{}{}:
	case <-s.srv.ctx.Done():
		return "", false
	}
	defer func() { <-s.srv.auth }()
	return s.srv.opt.Authenticate(login, password)
}
