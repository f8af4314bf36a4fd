package isp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

const hello = `
	< 220 smtp.pretend.example…
	> EHLO [10.0.0.2]
	< 250-Hello…
	< 250-PIPELINING
	< 250-8BITMIME
	< 250-ENHANCEDSTATUSCODES
	< 250-CHUNKING
	< 250-SMTPUTF8
	< 250-SIZE 1000
	< 250 LIMITS RCPTMAX=100
`

const envelope = hello + `
	> MAIL FROM:<a@office.example> SIZE=20
	< 250…
	> RCPT TO:<b@there.example>
	< 250…
`

func TestSMTPDialogues(t *testing.T) {
	tests := []struct {
		name, script string
		faults       Faults
		want         []string // what was accepted: "from to,to content"
	}{
		{"data, dots removed", envelope + "> DATA\n< 354…\n> S: x\n> \n> ..\n> ..y\n> .\n< 250…\n> QUIT\n< 221…", Faults{},
			[]string{"a@office.example b@there.example S: x\r\n\r\n.\r\n.y\r\n"}},
		{"bdat, dots kept", envelope + "> BDAT 4\n> ..\n< 250…\n> BDAT 3 LAST\n> x\n< 250…", Faults{},
			[]string{"a@office.example b@there.example ..\r\nx\r\n"}},
		{"two on one connection, null sender", envelope + "> DATA\n< 354…\n> 1\n> .\n< 250…\n> MAIL FROM:<>\n< 250…\n> RCPT TO:<c@there.example>\n< 250…\n> RCPT TO:<d@there.example>\n< 250…\n> DATA\n< 354…\n> 2\n> .\n< 250…", Faults{},
			[]string{"a@office.example b@there.example 1\r\n", " c@there.example,d@there.example 2\r\n"}},
		{"some recipients rejected", envelope + "> RCPT TO:<No@there.example>\n< 550 5.1.1 no such user\n> RCPT TO:<later@there.example>\n< 450 4.0.0 greylisted\n> RCPT TO:<typo@there.example>\n< 451 4.3.5 Not a reply: nonsense\n> DATA\n< 354…\n> x\n> .\n< 250…",
			Faults{RejectRecipients: map[string]string{"no@there.example": "550 5.1.1 no such user", "later@there.example": "450 greylisted", "typo@there.example": "nonsense"}},
			[]string{"a@office.example b@there.example x\r\n"}},
		{"content rejected", envelope + "> DATA\n< 354…\n> x\n> .\n< 451 4.3.0 try later", Faults{RejectData: "451 4.3.0 try later"}, nil},
		{"announced too large", hello + "> MAIL FROM:<a@office.example> SIZE=1001\n< 552 5.3.4…", Faults{}, nil},
		{"found too large", envelope + "> DATA\n< 354…\n> " + strings.Repeat("x", 1000) + "\n> .\n< 552 5.3.4…", Faults{}, nil},
		{"a message a connection", envelope + "> DATA\n< 354…\n> 1\n> .\n< 250…\n> MAIL FROM:<a@office.example>\n< 452 4.5.3 Too many messages…\n> QUIT\n< 221…",
			Faults{SMTPMessages: 1}, []string{"a@office.example b@there.example 1\r\n"}},
		{"reset forgets", envelope + "> RSET\n< 250…\n> DATA\n< 502…", Faults{}, nil},
		{"no auth without an account", hello + "> AUTH PLAIN x\n< 454…\n> AUTH PLAIN " + plainResponse("", "", "") + "\n< 504…", Faults{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, func(o *Options) { o.Faults = tt.faults; o.MaxMessageBytes = 1000 })
			c := connect(t, p.plainSMTP)
			c.play(tt.script)
			c.close()
			if got := summary(p); !slices.Equal(got, tt.want) {
				t.Errorf("accepted %q, want %q", got, tt.want)
			}
		})
	}
}

// summary writes accepted messages as the dialogue tests do.
func summary(p *Provider) []string {
	var all []string
	for _, m := range p.Received() {
		all = append(all, fmt.Sprintf("%s %s %s", m.From, strings.Join(m.To, ","), m.Data))
	}
	return all
}

func TestSMTPLogin(t *testing.T) {
	account := func(o *Options) { o.SMTPUser, o.SMTPPassword = "office", "secret" }
	c := connect(t, newProvider(t, account).plainSMTP)
	c.play(`
		< 220…
		> EHLO x
		< 250-Hello x
		< 250-PIPELINING
		< 250-8BITMIME
		< 250-ENHANCEDSTATUSCODES
		< 250-CHUNKING
		< 250-AUTH PLAIN
		< 250-SMTPUTF8
		< 250-SIZE 26214400
		< 250 LIMITS…
		> MAIL FROM:<a@office.example>
		< 530 5.7.0 Authentication required
		> AUTH CRAM-MD5
		< 504…`)
	c.play("> AUTH PLAIN " + plainResponse("", "office", "wrong") + "\n< 535 5.7.8…")
	c.play("> AUTH PLAIN " + plainResponse("boss", "office", "secret") + "\n< 535 5.7.8…")
	c.play("> AUTH PLAIN " + plainResponse("", "office", "secret") + "\n< 235…\n> MAIL FROM:<a@office.example>\n< 250…")

	p := newProvider(t, func(o *Options) { account(o); o.Faults.SMTPAuthFails = true })
	refused := connect(t, p.plainSMTP)
	refused.play("< 220…\n> HELO x\n< 250…\n> AUTH PLAIN " + plainResponse("", "office", "secret") + "\n< 535 5.7.8…")
	if n := p.Counters().SMTPLogins; n != 0 {
		t.Errorf("%d logins counted, want 0", n)
	}
}

// What is asked by DSN is noted, where it is offered.
func TestSMTPDSN(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.DSN = true })
	c := connect(t, p.plainSMTP)
	c.play("< 220…\n> EHLO x\n< 250-Hello x\n< 250-PIPELINING\n< 250-8BITMIME\n< 250-ENHANCEDSTATUSCODES\n< 250-CHUNKING\n< 250-SMTPUTF8\n< 250-DSN\n< 250-SIZE…\n< 250 LIMITS…" + `
		> MAIL FROM:<a@office.example> RET=HDRS ENVID=Q+2B
		< 250…
		> RCPT TO:<b@there.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@there.example
		< 250…
		> RCPT TO:<c@there.example>
		< 250…
		> DATA
		< 354…
		> x
		> .
		< 250…`)
	got := p.Received()[0]
	if got.EnvID != "Q+" || got.Return != "HDRS" || !slices.Equal(got.Notify, []string{"SUCCESS,DELAY", ""}) || !slices.Equal(got.Original, []string{"rfc822;x@there.example", ""}) {
		t.Errorf("%+v", got)
	}
	connect(t, newProvider(t, func(o *Options) { o.MaxMessageBytes = 1000 }).plainSMTP).play(hello + "> MAIL FROM:<a@office.example> RET=HDRS\n< 504…")
}

// A message is accepted exactly when its last octet has come: cut anywhere
// before, it doesn't exist. Both ways to transfer it are tried at every
// octet, BDAT above all because go-smtp takes the end of a connection for the
// end of a chunk.
func TestSMTPCutAnywhere(t *testing.T) {
	const front = "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
	for name, script := range map[string]string{
		"DATA": front + "DATA\r\nhello\r\n..\r\n\r\nworld\r\n.\r\n",
		"BDAT": front + "BDAT 7\r\nhello\r\nBDAT 12 LAST\r\n.\r\n\r\nworld\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for n := len(front) - 1; n <= len(script); n++ {
				p := newProvider(t, nil)
				c := connect(t, p.plainSMTP)
				if n == len(script) {
					go func() { // the last reply means that all is decided
						defer c.conn.Close()
						for line, err := "", error(nil); err == nil && !strings.HasPrefix(line, "250 2.0.0 OK: queued"); {
							line, err = c.r.ReadString('\n')
						}
					}()
					c.send(script)
				} else {
					go func() { _, _ = io.Copy(io.Discard, c.r) }()
					c.send(script[:n])
					_ = c.conn.Close()
				}
				<-c.done
				var want []string
				if n == len(script) {
					want = []string{"a@b.example c@d.example hello\r\n.\r\n\r\nworld\r\n"}
				}
				if got := summary(p); !slices.Equal(got, want) {
					t.Errorf("cut after %d of %d octets: accepted %q, want %q", n, len(script), got, want)
				}
			}
		})
	}
}

// The window in which a sender can't know: accepted, and the reply is lost.
func TestSMTPLostReply(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.MaxMessageBytes = 1000; o.Faults.LoseReplies = 1 })
	c := connect(t, p.plainSMTP)
	c.play(envelope + "> DATA\n< 354…\n> x\n> .")
	c.closed()
	again := connect(t, p.plainSMTP)
	again.play(envelope + "> DATA\n< 354…\n> x\n> .\n< 250…")
	if n := len(p.Received()); n != 2 {
		t.Errorf("%d messages accepted, want 2: the reply of the first was lost", n)
	}
}

func TestSMTPStoreIsBounded(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.MaxMessageBytes = 1000; o.StoreBytes = 5 })
	c := connect(t, p.plainSMTP)
	c.play(envelope + "> DATA\n< 354…\n> 1\n> .\n< 250…\n> MAIL FROM:<>\n< 250…\n> RCPT TO:<c@there.example>\n< 250…\n> DATA\n< 354…\n> 22\n> .\n< 452 4.3.1…")
	if got := summary(p); len(got) != 1 {
		t.Errorf("accepted %q, want the first only", got)
	}
}

// A real client through both kinds of TLS, with the certificate verified, and
// the envelope's extensions noted.
func TestSMTPOverTLS(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.TLS = TLSImplicit; o.SMTPUser, o.SMTPPassword = "office", "secret" })
	l := serveLoopback(t, p)
	config := &tls.Config{RootCAs: p.RootCAs(), ServerName: p.SMTPHost()}
	body := bytes.Repeat([]byte("grüße von uns\r\n.\r\n"), 500)
	for name, dial := range map[string]func() (*smtp.Client, error){
		"STARTTLS": func() (*smtp.Client, error) { return smtp.DialStartTLS(l.Addr(587), config) },
		"implicit": func() (*smtp.Client, error) { return smtp.DialTLS(l.Addr(465), config) },
	} {
		c, err := dial()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.Auth(plainAuth("office", "secret")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.Mail("jürgen@office.example", &smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := errors.Join(c.Rcpt("x@there.example", nil), sendBody(c, body), c.Quit()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all := p.Received()
		got := all[len(all)-1]
		if !bytes.Equal(got.Data, body) || got.From != "jürgen@office.example" || got.User != "office" || !got.UTF8 || !got.EightBit {
			t.Errorf("%s: accepted %+v", name, got)
		}
	}
	if _, err := smtp.DialTLS(l.Addr(465), &tls.Config{RootCAs: p.RootCAs(), ServerName: "mail.else.example"}); err == nil {
		t.Error("the certificate is good for any name")
	}
}

// Where TLS is offered, passwords aren't taken without.
func TestSMTPNoPasswordInTheClear(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.TLS = TLSStart; o.SMTPUser = "office" })
	c := connect(t, p.plainSMTP)
	c.play("< 220…\n> EHLO x\n< 250-Hello x\n< 250-PIPELINING\n< 250-8BITMIME\n< 250-ENHANCEDSTATUSCODES\n< 250-CHUNKING\n< 250-STARTTLS\n< 250-SMTPUTF8\n< 250-SIZE…\n< 250 LIMITS…")
	c.play("> AUTH PLAIN x\n< 523 5.7.10…")
}

func sendBody(c *smtp.Client, body []byte) error {
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	return errors.Join(err, w.Close())
}
