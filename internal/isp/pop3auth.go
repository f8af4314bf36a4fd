package isp

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
)

// cmdUser takes any name, so that nobody learns which boxes exist.
func (s *popSession) cmdUser(args string) {
	switch {
	case !s.passwordsAllowed():
		s.err("[AUTH] Passwords are not accepted before STLS")
	case args == "":
		s.err("Which user?")
	default:
		s.user = args
		s.ok("Password please")
	}
}

// cmdPass logs in. The password is all of the line, spaces too (RFC 1939 §7).
func (s *popSession) cmdPass(args string) {
	if s.user == "" {
		s.err("USER first")
		return
	}
	user := s.user
	s.user = ""
	s.login(user, args)
}

// cmdAuth is SASL PLAIN, with or without the initial response (RFC 5034 §4,
// RFC 4616 §2).
func (s *popSession) cmdAuth(args string) {
	mechanism, response, initial := strings.Cut(args, " ")
	switch {
	case !s.passwordsAllowed():
		s.err("[AUTH] Passwords are not accepted before STLS")
		return
	case !strings.EqualFold(mechanism, "PLAIN"):
		s.err("Unknown mechanism; PLAIN is offered")
		return
	}
	if !initial {
		s.line("+ ")
		var err error
		if response, err = s.readLine(); err != nil {
			s.done = true
			return
		}
	}
	if response == "*" {
		s.err("Cancelled")
		return
	}
	plain, err := base64.StdEncoding.DecodeString(response)
	fields := bytes.Split(plain, []byte{0})
	if err != nil || len(fields) != 3 {
		s.err("Malformed response")
		return
	}
	if identity := string(fields[0]); identity != "" && identity != string(fields[1]) {
		s.refuse("No right to another's box")
		return
	}
	s.login(string(fields[1]), string(fields[2]))
}

// login enters the TRANSACTION state if the password is right and the box is
// free. The codes in brackets are those of RFC 2449 §8.1.1 and RFC 3206 §4.
func (s *popSession) login(user, password string) {
	f := s.p.fault()
	b := s.p.boxes[user]
	if f.POPAuthFails || b == nil || subtle.ConstantTimeCompare([]byte(password), []byte(b.password)) == 0 {
		s.refuse("Wrong user or password")
		return
	}
	if !slices.Contains(f.LockedBoxes, user) {
		s.drop = b.lock()
	}
	if s.drop == nil {
		s.p.log.Info("box in use", "user", user)
		s.err("[IN-USE] Another session has this box")
		return
	}
	s.p.count(func(c *Counters) { c.POPLogins++ })
	n, octets := s.drop.count()
	s.p.log.Info("box opened", "user", user, "messages", n, "octets", octets)
	s.ok("%d messages (%d octets)", n, octets)
}

func (s *popSession) refuse(why string) {
	s.p.log.Info("login refused", "service", "pop3")
	s.err("[AUTH] %s", why)
	if s.refused++; s.refused >= maxPOPLogins {
		s.done = true
	}
}
