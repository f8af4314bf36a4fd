package pop3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMechanisms(t *testing.T) {
	long := "good" + strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		mechanism Mechanism
		token     string
		capa      string
		says      []string // the log-in
	}{
		"any":               {MechanismAny, "", "", []string{"USER office", "PASS secret"}},
		"any, pipelined":    {MechanismAny, "", pipelined, []string{"USER office", "PASS secret"}},
		"any, SASL":         {MechanismAny, "", "+OK\r\nUSER\r\nSASL LOGIN PLAIN\r\n.", []string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}},
		"any, no USER":      {MechanismAny, "", "+OK\r\nPIPELINING\r\nSASL PLAIN\r\n.", []string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}},
		"plain":             {MechanismPlain, "", "", []string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}},
		"plain, pipelined":  {MechanismPlain, "", pipelined, []string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}},
		"token":             {MechanismXOAUTH2, "good", "", []string{"AUTH XOAUTH2 dXNlcj1vZmZpY2UBYXV0aD1CZWFyZXIgZ29vZAEB"}},
		"long":              {MechanismXOAUTH2, long, "", []string{"AUTH XOAUTH2", ""}},
		"long, pipelined":   {MechanismXOAUTH2, long, pipelined, []string{"AUTH XOAUTH2", ""}},
		"APOP":              {MechanismAPOP, "", "", []string{"APOP office 3f18b52881e44c0cc6067f46e0ced7bc"}},
		"APOP and the rest": {MechanismAPOP, "", pipelined, []string{"APOP office 3f18b52881e44c0cc6067f46e0ced7bc"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := &maildrop{mails: three(), capa: test.capa}, newArchive(), plain
			d.answers = map[string]string{"greeting": "+OK ready <1896.697170952@dbc.mtview.ca.us>"}
			opt.Mechanism = test.mechanism
			opt.Token = func(context.Context) (string, error) { return test.token, nil }
			for range 2 { // the second time all is known
				d.mails = three()
				report, err := d.collect(t, opt, a)
				if err != nil || !a.holds(three()) {
					t.Fatal(err, d.commands, a.texts)
				}
				login := d.commands
				if opt.Known == nil {
					login = login[1:] // CAPA
				}
				says := test.says
				if name == "any, pipelined" && opt.Known != nil {
					says = []string{"AUTH PLAIN AG9mZmljZQBzZWNyZXQ="}
				}
				for i, want := range says {
					if want != "" && login[i] != want {
						t.Errorf("%q, want %q", login, want)
					}
				}
				if list := slices.Index(login, "LIST"); list != len(says) {
					t.Errorf("%q", login)
				}
				opt.Known = report.Known
				a = newArchive()
			}
		})
	}
}

// RFC 1939 §7 has this example, with this digest.
func TestAPOPDigest(t *testing.T) {
	s := &session{opt: Options{User: "mrose"}, welcome: "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>", secret: "tanstaaf"}
	steps, err := s.apop()
	if err != nil || steps[0].line != "APOP mrose c4c9334bac560ecc979e58001b3e22fb" {
		t.Error(steps, err)
	}
	sum := md5.Sum([]byte("<1896.697170952@dbc.mtview.ca.us>secret"))
	if d := hex.EncodeToString(sum[:]); d != "3f18b52881e44c0cc6067f46e0ced7bc" {
		t.Errorf("the maildrop expects another one than %s", d)
	}
}

// What a server has against a token stands in its challenge; it is shown, and the token isn't.
func TestTokenRejected(t *testing.T) {
	for _, token := range []string{"stale", "stale" + strings.Repeat("y", 300)} {
		for _, capa := range []string{"", pipelined} {
			d, opt := &maildrop{capa: capa, mails: three()}, plain
			opt.Mechanism = MechanismXOAUTH2
			opt.Token = func(context.Context) (string, error) { return token, nil }
			report, err := d.collect(t, opt, newArchive())
			var e *Error
			if !errors.As(err, &e) || e.Code != "AUTH" || e.Temporary || e.Early || !strings.Contains(e.Line, `*** is not it ({"status":"400"})`) || report.Known == nil {
				t.Errorf("%q: %+v", capa, e)
			}
			if capa == "" && d.commands[len(d.commands)-1] != "" {
				t.Errorf("commands %q", d.commands)
			}
		}
	}
	d, opt, none := &maildrop{mails: three()}, plain, errors.New("no network")
	opt.Mechanism = MechanismXOAUTH2
	opt.Token = func(context.Context) (string, error) { return "", none }
	if _, err := d.collect(t, opt, newArchive()); !errors.Is(err, none) || len(d.commands) > 0 {
		t.Error(err, d.commands)
	}
}

func TestNoMechanism(t *testing.T) {
	for name, test := range map[string]struct {
		mechanism Mechanism
		says      string
	}{
		"APOP without a stamp": {MechanismAPOP, "time stamp"}, "no source": {MechanismXOAUTH2, "source of tokens"}, "unknown": {"kerberos", "kerberos"},
	} {
		d, opt := &maildrop{}, plain
		opt.Mechanism = test.mechanism
		_, err := d.collect(t, opt, newArchive())
		var e *Error
		if !errors.As(err, &e) || e.Temporary || !strings.Contains(err.Error(), test.says) || strings.Contains(strings.Join(d.commands, ""), "office") {
			t.Errorf("%s: %v, %q", name, err, d.commands)
		}
	}
}

// A server that offers SASL PLAIN and refuses it costs a second try once, and is logged in to by USER and PASS from then on.
func TestRefusedPlain(t *testing.T) {
	d, a, opt := &maildrop{mails: three(), capa: pipelined, answers: map[string]string{"AUTH": "-ERR not here"}}, newArchive(), acquainted(plain)
	opt.Known.Capabilities = append(opt.Known.Capabilities, "SASL PLAIN")
	report, err := d.collect(t, opt, a)
	var e *Error
	if !errors.As(err, &e) || !e.Early || report.Known == nil || !report.Known.NoPlain {
		t.Fatalf("%+v, %+v", e, report)
	}
	for range 2 {
		d.mails = three()
		opt.Known = report.Known
		if report, err = d.collect(t, opt, a); err != nil || !slices.Contains(d.commands, "PASS secret") || !report.Known.NoPlain {
			t.Fatalf("%q, %+v, %v", d.commands, report, err)
		}
		a = newArchive()
	}
	// A password that is wrong is no reason to try on.
	d.answers = map[string]string{"PASS": "-ERR [AUTH] no"}
	if _, err := d.collect(t, opt, a); !errors.As(err, &e) || e.Early {
		t.Errorf("%+v", err)
	}
}
