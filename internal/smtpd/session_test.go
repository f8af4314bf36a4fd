package smtpd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"

	"outpost/queue"
	"outpost/spool"
)

func plain(user, password string) string {
	return b64("\x00" + user + "\x00" + password)
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// hello opens a dialogue on a trusted network.
const hello = "< 220 gate.office.example\n> EHLO pc1.office.example\n< 250\n"

// Who may do what: dialogues without content.
func TestDialogue(t *testing.T) {
	tests := []struct {
		name   string
		login  bool // TLS and passwords, no trusted network
		script string
	}{
		{"trusted network", false, `> MAIL FROM:<ann@office.example>
			< 250
			> RCPT TO:<bob@office.example>
			< 250
			> RCPT TO:<c@far.example>
			< 250`},
		{"unknown user", false, "> MAIL FROM:<>\n< 250\n> RCPT TO:<nobody@office.example>\n< 550 5.1.1 no such user"},
		{"address book fails", false, "> MAIL FROM:<>\n< 250\n> RCPT TO:<broken@office.example>\n< 451 4.3.0 Local error in processing"},
		{"announced too big", false, "> MAIL FROM:<> SIZE=65537\n< 552 5.3.4\n> MAIL FROM:<> SIZE=65536\n< 250"},
		{"nested mail", false, "> MAIL FROM:<a@b.example>\n< 250\n> MAIL FROM:<a@b.example>\n< 503 5.5.1\n> RSET\n< 250\n> MAIL FROM:<a@b.example>\n< 250"},
		{"no binary", false, "> MAIL FROM:<> BODY=BINARYMIME\n< 504"},
		{"no auth without TLS", false, "> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 523"},
		{"8 bit and UTF-8", false, "> MAIL FROM:<jürgen@bücher.example> SMTPUTF8 BODY=8BITMIME\n< 250\n> RCPT TO:<änn@office.example>\n< 250"},
		{"UTF-8 not asked for", false, "> MAIL FROM:<jürgen@far.example>\n< 553 5.6.7\n> MAIL FROM:<>\n< 250\n> RCPT TO:<jürgen@far.example>\n< 553 5.6.7"},
		{"bad addresses", false, "> MAIL FROM:<a@b..c>\n< 501 5.1.7\n> MAIL FROM:<>\n< 250\n> RCPT TO:<a@b@>\n< 501\n> RCPT TO:<a@[1.2.3.4>\n< 501 5.1.3"},
		{"no recipient", false, "> MAIL FROM:<>\n< 250\n> DATA\n< 502\n> RCPT TO:<nobody@x.example>\n< 550\n> BDAT 3 LAST\n> a\n< 502\n> NOOP\n< 250"},

		{"stranger relays", true, "> MAIL FROM:<x@far.example>\n< 530 5.7.0 Authentication required: switch on STARTTLS\n> RCPT TO:<y@far.example>\n< 502"},
		{"stranger delivers", true, "> MAIL FROM:<>\n< 530 5.7.0\n> RCPT TO:<ann@office.example>\n< 502"},
		{"stranger in TLS", true, "! TLS\n> EHLO x\n< 250\n> MAIL FROM:<>\n< 530 5.7.0 Authentication required: log in"},
		{"auth in clear", true, "> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 523\n> MAIL FROM:<>\n< 530"},
		{"login", true, "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235\n> MAIL FROM:<>\n< 250\n> RCPT TO:<y@far.example>\n< 250"},
		{"login, two steps", true, "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN\n< 334\n> " + plain("ann", "s3cret-word") + "\n< 235\n> MAIL FROM:<>\n< 250"},
		{"wrong password", true, "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + plain("ann", "guess") + "\n< 535 5.7.8\n> MAIL FROM:<>\n< 530\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235"},
		{"as somebody else", true, "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + b64("bob\x00ann\x00s3cret-word") + "\n< 535"},
		{"other mechanism", true, "! TLS\n> EHLO x\n< 250\n> AUTH CRAM-MD5\n< 504"},
		{"LOGIN", true, "! TLS\n> EHLO x\n< 250\n> AUTH LOGIN\n< 334 VXNlcm5hbWU6\n> " + b64("ann") + "\n< 334 UGFzc3dvcmQ6\n> " + b64("s3cret-word") + "\n< 235\n> MAIL FROM:<>\n< 250"},
		{"LOGIN at once", true, "! TLS\n> EHLO x\n< 250\n> AUTH LOGIN " + b64("ann") + "\n< 334\n> " + b64("guess") + "\n< 535 5.7.8"},
		{"auth before EHLO is forgotten by TLS", true, "> MAIL FROM:<>\n< 530\n! TLS\n> MAIL FROM:<>\n< 502"},
		{"auth within mail", true, "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235\n> MAIL FROM:<>\n< 250\n> AUTH PLAIN x\n< 503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var change func(*Options)
			if tt.login {
				change = withLogin(t)
			}
			o := open(t, change)
			o.dial().play(hello + tt.script)
			if n := len(o.messages()); n != 0 {
				t.Errorf("%d messages were kept", n)
			}
		})
	}
}

// What EHLO offers is a promise.
func TestOffered(t *testing.T) {
	o := open(t, withLogin(t))
	c := o.dial()
	c.want("220")
	c.raw("EHLO x\r\n")
	clear := c.want("250")
	c.startTLS()
	c.raw("EHLO x\r\n")
	secret := c.want("250")
	for _, word := range []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "SIZE 65536", "DSN"} {
		if !strings.Contains(clear, word) || !strings.Contains(secret, word) {
			t.Errorf("%s is not offered", word)
		}
	}
	if !strings.Contains(clear, "STARTTLS") || strings.Contains(clear, "AUTH") {
		t.Errorf("in clear: %q", clear)
	}
	if strings.Contains(secret, "STARTTLS") || !strings.Contains(secret, "AUTH PLAIN LOGIN\r\n") {
		t.Errorf("in TLS: %q", secret)
	}
	if all := clear + secret; strings.Contains(all, "BINARYMIME") {
		t.Errorf("offered what is not kept: %q", all)
	}
}

// A guesser gets three tries a connection, and no log line has what he tried.
func TestGuessing(t *testing.T) {
	o := open(t, withLogin(t))
	c := o.dial()
	c.play(hello + "! TLS\n> EHLO x\n< 250")
	for range 3 {
		c.raw("AUTH PLAIN " + plain("ann", "gu3ss-word") + "\r\n")
		c.want("535 5.7.8")
	}
	if rest := c.wantClosed(); !strings.HasPrefix(rest, "421") {
		t.Errorf("after three failures: %q", rest)
	}
	c = connect(t, c.conn.RemoteAddr().String())
	c.play(hello + "! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235")
	log := o.log.String()
	for _, secret := range []string{"gu3ss-word", "s3cret-word", plain("ann", "gu3ss-word"), plain("ann", "s3cret-word")} {
		if strings.Contains(log, secret) {
			t.Errorf("a password is in the log:\n%s", log)
		}
	}
	if !strings.Contains(log, "login refused") {
		t.Errorf("nothing about it in the log:\n%s", log)
	}
}

const letter = "From: a@b.example\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\nMessage-ID: <1@b.example>\r\n\r\nHello\r\n"

// RFC 2920: a client that waits for nothing gets one reply for each command, in order,
// and recipients that are one count once.
func TestPipelined(t *testing.T) {
	o := open(t, nil)
	c := o.dial()
	c.raw("EHLO pc\r\n")
	c.want("220")
	c.want("250")
	c.raw("MAIL FROM:<ann@office.example>\r\nRCPT TO:<all@office.example>\r\nRCPT TO:<nobody@office.example>\r\n" +
		"RCPT TO:<bob@office.example>\r\nRCPT TO:<X@Far.example>\r\nRCPT TO:<X@fAR.example>\r\nRCPT TO:<x@far.example>\r\nDATA\r\n")
	for _, code := range []string{"250", "250", "550", "250", "250", "250", "250", "354"} {
		c.want(code)
	}
	c.raw(letter + ".\r\nMAIL FROM:<>\r\nQUIT\r\n")
	c.want("250 2.0.0 OK")
	c.want("250")
	c.want("221")
	m := o.only()
	want := []queue.Recipient{
		{Addr: "ann", Where: queue.Local, State: queue.Waiting, Original: "rfc822;all@office.example"},
		{Addr: "bob", Where: queue.Local, State: queue.Waiting, Original: "rfc822;all@office.example"},
		{Addr: "X@Far.example", Where: queue.Remote, State: queue.Waiting},
		{Addr: "x@far.example", Where: queue.Remote, State: queue.Waiting}, // The local part is his host's to judge.
	}
	if fmt.Sprint(m.To) != fmt.Sprint(want) {
		t.Errorf("recipients %+v", m.To)
	}
	if m.From != "ann@office.example" || m.Origin != queue.Submitted || m.Client != "127.0.0.1" || m.User != "" {
		t.Errorf("envelope %+v", m.Message)
	}
	if strings.Contains(m.body, " for <") {
		t.Errorf("several recipients, and one is named:\n%s", m.body)
	}
	log := o.log.String()
	if !strings.Contains(log, "mail accepted") || !strings.Contains(log, "id="+string(m.ID)) {
		t.Errorf("log:\n%s", log)
	}
}

// The envelope of an authenticated UTF-8 message, and its trace.
func TestEnvelope(t *testing.T) {
	o := open(t, withLogin(t))
	c := o.dial()
	c.play(hello + "! TLS\n> EHLO [127.0.0.1]\n< 250\n> AUTH PLAIN " + plain("ann", "s3cret-word") + `
		< 235
		> MAIL FROM:<änn@office.example> SMTPUTF8 BODY=8BITMIME
		< 250
		> RCPT TO:<"a> b"@far.example>
		< 250
		> DATA
		< 354`)
	c.raw(letter + ".\r\n")
	c.want("250")
	m := o.only()
	if !m.UTF8 || !m.EightBit || m.User != "ann" || m.From != "änn@office.example" || m.To[0].Addr != `"a> b"@far.example` {
		t.Errorf("envelope %+v", m.Message)
	}
	for _, part := range []string{"Received: from [127.0.0.1] ([127.0.0.1])\r\n\tby gate.office.example (Outpost) with UTF8SMTPSA id ",
		"\r\n\tfor <\"a> b\"@far.example>\r\n\ttls TLS_", ";\r\n\t"} {
		if !strings.Contains(m.body, part) {
			t.Errorf("%q is not in\n%s", part, m.body)
		}
	}
	if strings.Contains(m.body, "ann@") || !strings.HasSuffix(m.body, letter) {
		t.Errorf("body\n%s", m.body)
	}
}

// What is answered when the message can't be kept. The client is told no detail.
func TestNotKept(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"disk full", fmt.Errorf("queue: add: %w", spool.ErrFull), "452 4.3.1"},
		{"anything", errors.New("open /var/lib/secret: permission denied"), "451 4.3.0 Local error in processing, try again later"},
		{"policy", fmt.Errorf("no: %w", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not you"}), "550 5.7.1 not you"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := open(t, nil)
			o.submit = func(string) error { return tt.err }
			c := o.dial()
			c.play(hello + "> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
			c.raw(letter + ".\r\n")
			if got := c.want(tt.want); strings.Contains(got, "secret") {
				t.Errorf("the client is told too much: %q", got)
			}
			c.play("> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250") // The session lives.
			c.raw(fmt.Sprintf("BDAT %d\r\n%sBDAT 0 LAST\r\n", len(letter), letter))
			c.want("250")
			c.want(tt.want)
			if tt.name == "anything" && !strings.Contains(o.log.String(), "permission denied") {
				t.Errorf("the detail is not in the log:\n%s", o.log)
			}
		})
	}
}

// A session that panics ends alone.
func TestPanic(t *testing.T) {
	for _, how := range []string{"resolve", "data", "bdat"} {
		t.Run(how, func(t *testing.T) {
			o := open(t, nil)
			var fallen atomic.Bool
			o.submit = func(string) error {
				if !fallen.Swap(true) {
					panic("the store fell over")
				}
				return nil
			}
			c := o.dial()
			c.play(hello + "> MAIL FROM:<>\n< 250")
			switch how {
			case "resolve":
				c.raw("RCPT TO:<panic@office.example>\r\n")
			case "data":
				c.play("> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
				c.raw(letter + ".\r\n")
			case "bdat":
				c.raw("RCPT TO:<ann@office.example>\r\n")
				c.want("250")
				c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter), letter))
			}
			c.want("421")
			c.wantClosed()
			fallen.Store(true)
			c = connect(t, c.conn.RemoteAddr().String())
			c.play(hello + "> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
			c.raw(letter + ".\r\n")
			c.want("250")
			c.play("> QUIT\n< 221")
			if err := o.srv.Shutdown(t.Context()); err != nil { // go-smtp logs after it has closed.
				t.Error(err)
			}
			if !strings.Contains(o.log.String(), "fell over") {
				t.Errorf("the panic is not in the log:\n%s", o.log)
			}
		})
	}
}
