package relay

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

func trusting(t *testing.T, s *smarthost) *tls.Config {
	t.Helper()
	cert, pool := certificate()
	s.cert = &cert
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "smarthost.example", RootCAs: pool}
}

func TestStartTLS(t *testing.T) {
	s := &smarthost{offers: []string{"STARTTLS", "SIZE 1"}, secure: []string{"PIPELINING", "AUTH PLAIN"}, user: "office"}
	c := open(t, s, Options{TLS: TLSStart, TLSConfig: trusting(t, s), User: "office", Password: "secret"})
	if results, err := send(t, c, letterTo("b@x")); err != nil || verdicts(results) != "ok" {
		t.Fatal(results, err) // and not "too large", by what was said before TLS
	}
	want := []string{"EHLO localhost", "STARTTLS", "EHLO localhost", "AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}
	if !slices.Equal(s.commands[:4], want) {
		t.Errorf("%q", s.commands)
	}
}

func TestImplicitTLS(t *testing.T) {
	s := &smarthost{offers: []string{"AUTH PLAIN"}, user: "office"}
	opt := Options{TLS: TLSImplicit, TLSConfig: trusting(t, s), User: "office", Password: "secret"}
	cable := newCable(lane{limit: -1}, lane{limit: -1})
	defer cable.close()
	go s.serve(tls.Server(cable.far, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*s.cert}}))
	c, err := Open(t.Context(), cable.near, opt)
	if err != nil {
		t.Fatal(err)
	}
	if results, err := send(t, c, letterTo("b@x")); err != nil || verdicts(results) != "ok" {
		t.Error(results, err)
	}
	_ = c.Close()
}

func TestNoTLS(t *testing.T) {
	for name, test := range map[string]struct {
		s    *smarthost
		opt  func(*Options)
		says string
	}{
		"not offered":   {&smarthost{}, nil, "does not offer STARTTLS"},
		"refused":       {&smarthost{offers: []string{"STARTTLS"}, answers: map[string]string{"STARTTLS": "554 no"}}, nil, "554 no"},
		"injection":     {&smarthost{offers: []string{"STARTTLS"}, answers: map[string]string{"STARTTLS": "220 go\r\n250-evil\r\n250 AUTH PLAIN"}}, nil, "sent more before TLS"},
		"other name":    {&smarthost{offers: []string{"STARTTLS"}}, func(o *Options) { o.TLSConfig.ServerName = "other.example" }, "other.example"},
		"other issuer":  {&smarthost{offers: []string{"STARTTLS"}}, func(o *Options) { o.TLSConfig.RootCAs = nil }, "unknown authority"},
		"plain on 465":  {&smarthost{greet: "220 hello"}, func(o *Options) { o.TLS = TLSImplicit }, "TLS handshake"},
		"only password": {&smarthost{offers: []string{"AUTH PLAIN"}}, func(o *Options) { o.TLS = TLSNone }, "not sent over a connection without TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.s
			opt := Options{TLS: TLSStart, TLSConfig: trusting(t, s), User: "office", Password: "secret"}
			if test.opt != nil {
				test.opt(&opt)
			}
			_, err := Open(t.Context(), s.start(t), opt)
			var e *Error
			if !errors.As(err, &e) || e.Temporary || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("%+v", e)
			}
			if name != "refused" && e.Hint == "" {
				t.Error("no hint")
			}
			for _, line := range s.commands {
				if strings.HasPrefix(line, "AUTH") {
					t.Errorf("the password was sent: %q", s.commands)
				}
			}
		})
	}
}

func TestAuth(t *testing.T) {
	long := strings.Repeat("x", 400)
	for name, test := range map[string]struct {
		offers, user, password string
		says                   string
		commands               int
	}{
		"PLAIN":        {"AUTH LOGIN PLAIN", "office", "secret", "", 2},
		"PLAIN, long":  {"AUTH PLAIN", long, "secret", "", 3},
		"LOGIN":        {"AUTH LOGIN", "office", "secret", "", 4},
		"old spelling": {"AUTH=LOGIN", "office", "secret", "", 4},
		"refused":      {"AUTH PLAIN", "office", "swordfish", "535 5.7.8 no such user, or wrong password (***)", 2},
		"not offered":  {"HELP", "office", "secret", "offers no log-in", 1},
		"others":       {"AUTH XOAUTH2 NTLM", "office", "secret", "XOAUTH2, NTLM", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smarthost{offers: []string{test.offers}, user: test.user}
			_, err := Open(t.Context(), s.start(t), Options{TLS: TLSNone, AllowPlainAuth: true, User: test.user, Password: test.password})
			if len(s.commands) != test.commands {
				t.Errorf("%q", s.commands)
			}
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Temporary || e.Hint == "" || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestPasswordsCheckerAway(t *testing.T) {
	s := &smarthost{offers: []string{"AUTH PLAIN"}, answers: map[string]string{"AUTH": "454 4.7.0 try later"}}
	_, err := Open(t.Context(), s.start(t), Options{TLS: TLSNone, AllowPlainAuth: true, User: "u", Password: "p"})
	var e *Error
	if !errors.As(err, &e) || !e.Temporary || e.Code != 454 {
		t.Errorf("%+v", e)
	}
}

// The server that smuggling needs: one that takes LF for a line's end as well, so that "\n.\n" ends a message there. What leaves here
// must have one end only, read either way.
func TestNothingToSmuggle(t *testing.T) {
	const evil = "\nMAIL FROM:<boss@x>\nRCPT TO:<b@x>\nDATA\nsmuggled\n"
	for _, end := range []string{"\n.\n", "\r.\r", "\r\n.\n", "\n.\r\n", "\r\n.\r\n", "\r\n.\r", "\r.\n", "\r\n\x00.\r\n", "\n\x00.\x00\n", "\r\x00\n.\r\x00\n"} {
		var e encoder
		wire := e.append(nil, []byte("Subject: x\r\n\r\nhello"+end+evil+end))
		wire = append(e.finish(wire), ".\r\n"...)
		lenient := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(wire), "\r", "\n")))
		ends := 0
		for lenient.Scan() {
			if lenient.Text() == "." {
				ends++
			}
		}
		if ends != 1 || strings.Contains(string(wire), "\x00") {
			t.Errorf("%q: %d ends in %q", end, ends, wire)
		}
	}
}

// A server that never stops talking must not be listened to for ever.
func TestBoundedReplies(t *testing.T) {
	for name, endless := range map[string]string{"line": "220 x", "lines": "220-x\r\n"} {
		near, far := net.Pipe()
		said := make(chan int)
		go func() {
			n := 0
			for {
				k, err := io.WriteString(far, endless)
				if n += k; err != nil {
					break
				}
			}
			said <- n
		}()
		var e *Error
		if _, err := Open(t.Context(), near, plain); !errors.As(err, &e) || !errors.Is(err, errNotSMTP) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if n := <-said; n > 3*maxReplyLine {
			t.Errorf("%s: %d octets were read", name, n)
		}
	}
}
