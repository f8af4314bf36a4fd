package smtpd

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
)

// ready brings a client to where content may come.
func ready(o *office, tls bool) *client {
	o.t.Helper()
	c := o.dial()
	c.play(hello)
	if tls {
		c.play("! TLS\n> EHLO x\n< 250\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235")
	}
	c.play("> MAIL FROM:<a@b.example>\n< 250\n> RCPT TO:<ann@office.example>\n< 250")
	return c
}

// Content above the limit is refused however it comes, nothing of it is kept, and the
// session goes on.
func TestTooBig(t *testing.T) {
	big := letter + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 700)
	tests := map[string]func(c *client){
		"data": func(c *client) {
			c.play("> DATA\n< 354")
			c.raw(big + ".\r\n")
		},
		"bdat at once": func(c *client) { c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(big), big)) },
		"bdat in parts": func(c *client) {
			c.raw(fmt.Sprintf("BDAT %d\r\n%s", 60000, big[:60000]))
			c.want("250")
			c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(big)-60000, big[60000:]))
		},
	}
	for name, send := range tests {
		t.Run(name, func(t *testing.T) {
			o := open(t, nil)
			c := ready(o, false)
			send(c)
			c.want("552 5.3.4")
			if n := len(o.messages()); n != 0 {
				t.Fatalf("%d messages were kept", n)
			}
			if name == "bdat in parts" { // See spoil.
				c.play("> MAIL FROM:<>\n< 421")
				c.wantClosed()
				c = connect(t, c.conn.RemoteAddr().String())
				c.play(hello)
			}
			c.play("> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250")
			c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter), letter))
			c.want("250")
			o.only()
		})
	}
}

// The result of a BDAT message that was given up must not become the answer to the
// next one, which go-smtp by itself lets happen.
func TestGivenUpThenNext(t *testing.T) {
	for range 20 {
		o := open(t, nil)
		c := ready(o, false)
		c.raw(fmt.Sprintf("BDAT 4\r\nA: bRSET\r\nMAIL FROM:<>\r\nRCPT TO:<ann@office.example>\r\nBDAT %d LAST\r\n%s", len(letter), letter))
		c.want("250 2.0.0 Continue")
		c.want("250")
		c.want("421")
		c.wantClosed()
		if n := len(o.messages()); n != 0 {
			t.Fatalf("%d messages were kept without 250", n)
		}
	}
}

// The limit itself: BDAT takes exactly that much, DATA one octet less (see package doc).
func TestLimitExact(t *testing.T) {
	exact := letter + strings.Repeat("x\r\n", (64<<10-len(letter))/3-1)
	exact += strings.Repeat("y", 64<<10-len(exact)-2) + "\r\n"
	o := open(t, nil)
	c := ready(o, false)
	c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(exact), exact))
	c.want("250")
	c.play("> MAIL FROM:<>\n< 250\n> RCPT TO:<ann@office.example>\n< 250\n> DATA\n< 354")
	c.raw(exact[1:] + ".\r\n")
	c.want("250")
	if n := len(o.messages()); n != 2 {
		t.Errorf("%d messages were kept", n)
	}
}

// Whatever ends a message early, nothing of it is kept.
func TestGivenUp(t *testing.T) {
	tests := map[string]func(c *client){
		"DATA, line dead": func(c *client) {
			c.play("> DATA\n< 354")
			c.raw(letter)
		},
		"BDAT, line dead between chunks": func(c *client) {
			c.raw(fmt.Sprintf("BDAT %d\r\n%s", len(letter), letter))
			c.want("250")
		},
		"BDAT, line dead inside the last chunk": func(c *client) {
			c.raw(fmt.Sprintf("BDAT %d LAST\r\n%s", len(letter)+10, letter))
		},
		"BDAT, line dead before any of the last chunk": func(c *client) {
			c.raw(fmt.Sprintf("BDAT %d\r\n%sBDAT 10 LAST\r\n", len(letter), letter))
			c.want("250")
		},
		"BDAT, RSET": func(c *client) {
			c.raw(fmt.Sprintf("BDAT %d\r\n%s", len(letter), letter))
			c.want("250")
			c.play("> RSET\n< 250")
		},
		"BDAT 0, RSET": func(c *client) { c.play("> BDAT 0\n< 250\n> RSET\n< 250") },
	}
	for name, send := range tests {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, encrypted), func(t *testing.T) {
				var change func(*Options)
				if encrypted {
					change = withLogin(t)
				}
				o := open(t, change)
				c := ready(o, encrypted)
				send(c)
				// In TLS this is the polite end, close_notify, which looks like a clean
				// end of the stream.
				if half, ok := c.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
					t.Fatal("no half close")
				}
				if rest := c.wantClosed(); strings.Contains(rest, "250 2.0.0 OK") {
					t.Errorf("accepted: %q", rest)
				}
				if n := len(o.messages()); n != 0 {
					t.Fatalf("%d messages were kept: %q", n, o.messages()[0].body)
				}
			})
		}
	}
}

// A client that sends on behind its last chunk is answered. Inside TLS it then meets
// the end of the connection (see cutShort); what it sent behind is not misread.
func TestChunkThenMore(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", encrypted), func(t *testing.T) {
			var change func(*Options)
			if encrypted {
				change = withLogin(t)
			}
			o := open(t, change)
			c := ready(o, encrypted)
			c.raw(fmt.Sprintf("BDAT %d\r\n%sBDAT 0 LAST\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@office.example>\r\nQUIT\r\n", len(letter), letter))
			c.want("250 2.0.0 Continue")
			c.want("250 2.0.0 OK")
			rest := c.wantClosed()
			if strings.Contains(rest, "501") || strings.Contains(rest, "500") {
				t.Errorf("commands were misread: %q", rest)
			}
			if !encrypted && !strings.Contains(rest, "550 5.1.1") {
				t.Errorf("the next commands were not answered: %q", rest)
			}
			o.only()
		})
	}
}

// The same in one TLS record, so that the next command is decrypted already when the
// end of the chunk is judged.
func TestChunkThenMoreLarge(t *testing.T) {
	o := open(t, withLogin(t))
	c := ready(o, true)
	body := letter + strings.Repeat("0123456789\r\n", 1000)
	c.raw(fmt.Sprintf("BDAT %d LAST\r\n%sQUIT\r\n", len(body), body))
	c.want("250 2.0.0 OK")
	if rest := c.wantClosed(); rest != "" {
		t.Errorf("then %q", rest)
	}
	if !strings.HasSuffix(o.only().body, body) {
		t.Error("body differs")
	}
}

// SMTP smuggling: what an outside sender hides in a message must stay one message
// here, and what is kept must have no line end that anybody could take for another.
func TestSmuggling(t *testing.T) {
	hidden := "MAIL FROM:<boss@office.example>\r\nRCPT TO:<ann@office.example>\r\nDATA\r\nFrom: boss\r\n\r\npay\r\n.\r\n"
	tests := []struct {
		end  string // what should not end the message
		kept string // what becomes of it; "": the message is refused
	}{
		{"\n.\n", "\r\n.\r\n"},
		{"\n.\r\n", "\r\n.\r\n"},
		{"\r\n.\n", "\r\n\r\n"}, // The dot is taken for a stuffed one.
		{"\r.\r", "\r\n.\r\n"},
		{"\r\n.\r", "\r\n"}, // likewise
		{"\r.\r\n", "\r\n.\r\n"},
		{"\n.\r", "\r\n.\r\n"},
		{"\r\n\x00.\r\n", "\r\n\x00.\r\n"},
		{"\r\r\n.\n", ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q", tt.end), func(t *testing.T) {
			o := open(t, nil)
			c := ready(o, false)
			c.play("> DATA\n< 354")
			c.raw("Subject: x\r\n\r\nabc" + tt.end + hidden)
			if tt.kept == "" {
				c.want("554 5.6.0")
				c.wantClosed()
				if n := len(o.messages()); n != 0 {
					t.Fatalf("%d messages were kept", n)
				}
				return
			}
			c.want("250")
			m := o.only()
			if !strings.Contains(m.body, "abc"+tt.kept+"MAIL FROM:") {
				t.Errorf("kept %q", m.body)
			}
			wantCRLF(t, []byte(m.body))
		})
	}
}

// RFC 5321 §4.1.1.4 ends a message at CRLF . CRLF also when another CR is before that;
// go-smtp doesn't see it. The client must get its answer all the same, not a silence.
func TestUnseenEnd(t *testing.T) {
	o := open(t, nil)
	c := ready(o, false)
	c.play("> DATA\n< 354")
	c.raw("Subject: x\r\n\r\nabc\r\r\n.\r\n")
	c.want("554 5.6.0")
	if rest := c.wantClosed(); !strings.HasPrefix(rest, "421") {
		t.Errorf("then %q", rest)
	}
}

// wantCRLF checks that there is no bare CR or LF.
func wantCRLF(t *testing.T, b []byte) {
	t.Helper()
	rest := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if bytes.ContainsAny(rest, "\r\n") || len(b) > 0 && !bytes.HasSuffix(b, []byte("\r\n")) {
		t.Errorf("line ends other than CRLF in %q", b)
	}
}

// Faults of the content with their answers.
func TestBadContent(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"loop", strings.Repeat("Received: from x\r\n\tby y\r\n", 51) + "\r\n", "554 5.4.6"},
		{"long line", "Subject: " + strings.Repeat("x", maxLine+100) + "\r\n\r\n", "554 5.6.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := open(t, func(o *Options) { o.MaxBytes = 1 << 20 })
			c := ready(o, false)
			c.play("> DATA\n< 354")
			go io.WriteString(c.conn, tt.content+".\r\n") // May be cut off.
			c.want(tt.want)
			if n := len(o.messages()); n != 0 {
				t.Fatalf("%d messages were kept", n)
			}
		})
	}
}

// Implicit TLS is the same door.
func TestImplicitTLS(t *testing.T) {
	o := open(t, withLogin(t))
	c := o.dialTLS()
	c.play("< 220\n> EHLO x\n< 250\n> STARTTLS\n< 502\n> AUTH PLAIN " + plain("ann", "s3cret-word") + "\n< 235\n> MAIL FROM:<>\n< 250\n> RCPT TO:<b@far.example>\n< 250\n> DATA\n< 354")
	c.raw(letter + ".\r\n")
	c.want("250")
	if m := o.only(); !strings.Contains(m.body, "with ESMTPSA id") {
		t.Errorf("body %s", m.body)
	}
	if err := New(Options{}).ServeTLS(o.listen()); err == nil {
		t.Error("TLS is served without a certificate")
	}
}

func (o *office) dialTLS() *client {
	l := o.listen()
	done := make(chan error, 1)
	go func() { done <- o.srv.ServeTLS(l) }()
	o.t.Cleanup(func() {
		if err := o.srv.Shutdown(o.t.Context()); err != nil && o.t.Context().Err() == nil {
			o.t.Error(err)
		}
		<-done
	})
	nc, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { nc.Close() })
	return newClient(o.t, nc)
}
