package smtpd

import (
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// maxAuthFailures is how often a connection may err before it is ended: enough
// for a mistyped password, tedious for a guesser (RFC 4954 §4 allows it).
const maxAuthFailures = 3

// AuthMechanisms is what EHLO offers: PLAIN, and LOGIN for programs and devices that know
// nothing else (old Outlooks, scanners); only inside TLS, as they send the
// password itself (RFC 4954 §4).
func (s *session) AuthMechanisms() []string {
	if s.tls == nil || s.srv.opt.Authenticate == nil {
		return nil
	}
	return []string{sasl.Plain, sasl.Login}
}

// Auth begins an AUTH command. go-smtp has refused it outside TLS already.
func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tx.open { // RFC 4954 §4: not during a mail transaction.
		return nil, s.refuse("AUTH", errAuthInMail)
	}
	switch {
	case s.tls == nil || s.srv.opt.Authenticate == nil:
	case mechanism == sasl.Plain:
		return sasl.NewPlainServer(s.checkPassword), nil
	case mechanism == sasl.Login:
		return &loginServer{check: func(login, password string) error { return s.checkPassword("", login, password) }}, nil
	}
	return nil, s.refuse("AUTH", smtp.ErrAuthUnknownMechanism)
}

// loginServer is LOGIN, which go-sasl has for clients only (draft-murchison-sasl-login-00).
type loginServer struct {
	check func(login, password string) error
	login *string // nil: it is yet to come
	asked bool
}

// Next takes what the client said and gives the next question.
func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && !l.asked: // no initial response
		l.asked = true
		return []byte("Username:"), false, nil
	case l.login == nil:
		login := string(response)
		l.login = &login
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.login, string(response))
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
