package isp

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const login = `
	< +OK pop.pretend.example POP3 ready
	> USER ann
	< +OK…
	> PASS pass word
	< +OK 2 messages (71 octets)
`

func plainResponse(identity, user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(identity + "\x00" + user + "\x00" + password))
}

func TestPOP3Dialogues(t *testing.T) {
	greeting := "< +OK…\n"
	tests := []struct {
		name, script string
		faults       Faults
		left         int // messages in ann's box afterwards
	}{
		// The TRANSACTION state, RFC 1939 §5 and §7.
		{"stat and list", login + "> STAT\n< +OK 2 71\n> LIST\n< +OK…\n< 1 39\n< 2 32\n< .\n> LIST 2\n< +OK 2 32\n> LIST 3\n< -ERR…\n> list 0\n< -ERR…\n> LIST x\n< -ERR…", Faults{}, 2},
		{"uidl", login + "> UIDL\n< +OK…\n< 1 000000011529cc18\n< 2 000000021529cc18\n< .\n> UIDL 1\n< +OK 1 000000011529cc18", Faults{}, 2},
		{"dots are doubled", login + "> RETR 1\n< +OK 39 octets\n< Subject: one\n< \n< first\n< ..dot\n< ...\n< last\n< .", Faults{}, 2},
		{"line ends are CRLF", login + "> RETR 2\n< +OK 32 octets\n< Subject: two\n< \n< bare line ends\n< .", Faults{}, 2},
		{"top", login + "> TOP 1 2\n< +OK…\n< Subject: one\n< \n< first\n< ..dot\n< .\n> TOP 1 0\n< +OK…\n< Subject: one\n< \n< .\n> TOP 1\n< -ERR…\n> TOP 9 1\n< -ERR…", Faults{}, 2},
		{"deleted is gone from every listing", login + "> DELE 1\n< +OK…\n> STAT\n< +OK 1 32\n> LIST\n< +OK…\n< 2 32\n< .\n> UIDL 1\n< -ERR…\n> RETR 1\n< -ERR…\n> DELE 1\n< -ERR…", Faults{}, 2},
		{"rset", login + "> DELE 1\n< +OK…\n> RSET\n< +OK 2 messages…\n> RETR 1\n< +OK…\n< Subject: one\n< \n< first\n< ..dot\n< ...\n< last\n< .\n> QUIT\n< +OK…", Faults{}, 2},
		{"quit deletes", login + "> DELE 1\n< +OK…\n> NOOP\n< +OK\n> QUIT\n< +OK…", Faults{}, 1},
		{"no second login", login + "> USER bob\n< -ERR…\n> STLS\n< -ERR…", Faults{}, 2},
		// The AUTHORIZATION state, RFC 1939 §4.
		{"not before login", greeting + "> STAT\n< -ERR…\n> RETR 1\n< -ERR…\n> PASS x\n< -ERR USER first\n> USER\n< -ERR…\n> STLS\n< -ERR…", Faults{}, 2},
		{"wrong password", greeting + "> USER ann\n< +OK…\n> PASS no\n< -ERR [AUTH]…\n> PASS pass word\n< -ERR…", Faults{}, 2},
		{"unknown user is told the same", greeting + "> USER eve\n< +OK…\n> PASS no\n< -ERR [AUTH] Wrong user or password", Faults{}, 2},
		{"quit before login", greeting + "> QUIT\n< +OK…", Faults{}, 2},
		// SASL PLAIN, RFC 5034.
		{"initial response", greeting + "> AUTH PLAIN " + plainResponse("", "ann", "pass word") + "\n< +OK 2 messages…", Faults{}, 2},
		{"challenge", greeting + "> auth plain\n< + \n> " + plainResponse("ann", "ann", "pass word") + "\n< +OK 2 messages…", Faults{}, 2},
		{"cancelled, malformed, another's", greeting + "> AUTH PLAIN\n< + \n> *\n< -ERR…\n> AUTH PLAIN !\n< -ERR…\n> AUTH PLAIN YWE=\n< -ERR…\n> AUTH CRAM-MD5\n< -ERR…\n> AUTH PLAIN " + plainResponse("bob", "ann", "pass word") + "\n< -ERR [AUTH]…", Faults{}, 2},
		{"capabilities", greeting + "> CAPA\n< +OK…\n< TOP\n< RESP-CODES\n< AUTH-RESP-CODE\n< PIPELINING\n< UIDL\n< USER\n< SASL PLAIN\n< IMPLEMENTATION…\n< .", Faults{}, 2},
		// Faults.
		{"no uidl", login + "> UIDL\n< -ERR…\n> CAPA\n< +OK…\n< TOP\n< RESP-CODES\n< AUTH-RESP-CODE\n< PIPELINING\n< USER…", Faults{NoUIDL: true}, 2},
		{"no top", login + "> TOP 1 0\n< -ERR…\n> CAPA\n< +OK…\n< RESP-CODES\n< AUTH-RESP-CODE\n< PIPELINING\n< UIDL\n< USER…", Faults{NoTOP: true}, 2},
		{"unreadable", login + "> RETR 1\n< -ERR [SYS/TEMP]…\n> TOP 1 0\n< -ERR [SYS/TEMP]…\n> RETR 2\n< +OK 32…", Faults{Unreadable: []string{"000000011529cc18"}}, 2},
		{"locked", greeting + "> USER ann\n< +OK…\n> PASS pass word\n< -ERR [IN-USE]…\n> USER bob\n< +OK…\n> PASS b\n< +OK 0 messages…", Faults{LockedBoxes: []string{"ann"}}, 2},
		{"every password refused", greeting + "> USER ann\n< +OK…\n> PASS pass word\n< -ERR [AUTH]…", Faults{POPAuthFails: true}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, func(o *Options) { o.Faults = tt.faults })
			c := connect(t, p.plainPOP)
			c.play(tt.script)
			c.close()
			if n := len(p.Box("ann")); n != tt.left {
				t.Errorf("%d messages left, want %d", n, tt.left)
			}
		})
	}
}

func TestPOP3ClosesOnAbuse(t *testing.T) {
	for name, script := range map[string]string{
		"three wrong passwords": strings.Repeat("> AUTH PLAIN "+plainResponse("", "ann", "x")+"\n< -ERR [AUTH]…\n", maxPOPLogins),
		"ten unknown commands":  strings.Repeat("> FOO\n< -ERR…\n", maxPOPErrors) + "< -ERR Too many…",
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, newProvider(t, nil).plainPOP)
			c.expect("+OK…")
			c.play(script)
			c.closed()
		})
	}
	t.Run("an endless line", func(t *testing.T) {
		c := connect(t, newProvider(t, nil).plainPOP)
		c.expect("+OK…")
		c.send(strings.Repeat("x", maxPOPLine)) // exactly what is read before it is too much
		c.expect("-ERR Line too long…")
		c.closed()
	})
}

// A pipelined group is answered in order, whatever is in it (RFC 2449 §6.6).
func TestPOP3Pipelining(t *testing.T) {
	p := newProvider(t, nil)
	c := connect(t, p.plainPOP)
	c.expect("+OK…")
	c.send("USER ann\r\nPASS pass word\r\nLIST\r\nRETR 9\r\nRETR 2\r\nDELE 2\r\nQUIT\r\n")
	c.play("< +OK…\n< +OK 2 messages…\n< +OK…\n< 1 39\n< 2 32\n< .\n< -ERR…\n< +OK 32 octets\n< Subject: two\n< \n< bare line ends\n< .\n< +OK…\n< +OK…")
	c.closed()
	if left := p.Box("ann"); len(left) != 1 || left[0].UIDL != "000000011529cc18" {
		t.Errorf("left in the box: %v", left)
	}
}

// A connection that dies anywhere before the end of QUIT deletes nothing, and
// gives the box back (RFC 1939 §6).
func TestPOP3CutAnywhere(t *testing.T) {
	script := "USER ann\r\nPASS pass word\r\nRETR 1\r\nDELE 1\r\nRETR 2\r\nDELE 2\r\nQUIT\r\n"
	for n := range len(script) + 1 {
		p := newProvider(t, nil)
		c := connect(t, p.plainPOP)
		go func() { _, _ = io.Copy(io.Discard, c.r) }()
		c.send(script[:n])
		if n < len(script) {
			_ = c.conn.Close()
		}
		<-c.done
		want := 2
		if n == len(script) {
			want = 0
		}
		if got := len(p.Box("ann")); got != want {
			t.Errorf("cut after %d of %d octets: %d messages left, want %d", n, len(script), got, want)
		}
		if d := p.boxes["ann"].lock(); d == nil {
			t.Errorf("cut after %d octets: box is still locked", n)
		}
	}
}

func TestPOP3LockEndsWithTheConnection(t *testing.T) {
	p := newProvider(t, nil)
	first := connect(t, p.plainPOP)
	first.play(login + "> DELE 1\n< +OK…")
	second := connect(t, p.plainPOP)
	second.play("< +OK…\n> USER ann\n< +OK…\n> PASS pass word\n< -ERR [IN-USE]…")
	uidl := p.AddMail("ann", []byte("three")) // not seen by the session that is open
	first.play("> STAT\n< +OK 1 32")
	first.close()
	second.play("> USER ann\n< +OK…\n> PASS pass word\n< +OK 3 messages…\n> UIDL 3\n< +OK 3 " + uidl)
}

// UIDLs are never used again, or a client would take new mail for seen.
func TestUIDLsAreNotReused(t *testing.T) {
	p := newProvider(t, nil)
	c := connect(t, p.plainPOP)
	c.play(login + "> DELE 2\n< +OK…\n> QUIT\n< +OK…")
	c.closed()
	if got := p.AddMail("ann", []byte("x")); got != "000000031529cc18" {
		t.Errorf("UIDL after a removal is %s", got)
	}
	if got := p.AddMail("nobody", []byte("x")); got != "" {
		t.Errorf("mail for an unknown user got UIDL %q", got)
	}
}

// A provider that moves its boxes names all mail anew, or by names that others had. A session that is open goes on as it began.
func TestChangeUIDLs(t *testing.T) {
	p := newProvider(t, nil)
	open := connect(t, p.plainPOP)
	open.play(login + "> DELE 1\n< +OK…")
	p.ChangeUIDLs("nobody", nil)
	p.ChangeUIDLs("ann", nil)
	open.play("> UIDL 2\n< +OK 2 000000021529cc18\n> QUIT\n< +OK…")
	open.closed()
	c := connect(t, p.plainPOP)
	c.play(`
		< +OK…
		> USER ann
		< +OK…
		> PASS pass word
		< +OK 1 messages (32 octets)
		> UIDL 1
		< +OK 1 000000041529cc18`)
	c.close()
	p.ChangeUIDLs("ann", func(m Stored) string { return m.UIDL + "x" })
	if got := p.Box("ann"); len(got) != 1 || got[0].UIDL != "000000041529cc18x" {
		t.Errorf("%v", got)
	}
	if got := p.AddMail("ann", []byte("x")); got != "000000051529cc18" {
		t.Errorf("UIDL afterwards is %s", got)
	}
}

func TestSTLS(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.TLS = TLSStart })
	c := connect(t, p.plainPOP)
	c.play(`
		< +OK…
		> USER ann
		< -ERR [AUTH]…
		> AUTH PLAIN x
		< -ERR [AUTH]…
		> CAPA
		< +OK…
		< TOP
		< RESP-CODES
		< AUTH-RESP-CODE
		< PIPELINING
		< UIDL
		< STLS
		< IMPLEMENTATION…
		< .
		> STLS
		< +OK…`)
	conn := tls.Client(c.conn, &tls.Config{RootCAs: p.RootCAs(), ServerName: p.POPHost()})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.conn = conn
	c.r.Reset(conn)
	c.play("> STLS\n< -ERR…\n> USER ann\n< +OK…\n> PASS pass word\n< +OK 2 messages…\n> QUIT\n< +OK…")
	c.closed()
}

// Commands that came in the clear together with STLS must not run after it.
func TestSTLSDropsInjectedCommands(t *testing.T) {
	p := newProvider(t, func(o *Options) { o.TLS = TLSStart })
	c := connect(t, p.plainPOP)
	c.expect("+OK…")
	c.send("STLS\r\nUSER ann\r\n")
	c.expect("+OK…")
	c.closed()
}

// RFC 1939 §3: a session may be logged out after 10 minutes, and its box with it.
func TestPOP3SilenceEndsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProvider(t, nil)
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.servePOP(patient{theirs}, false)
		}()
		c := &peer{t: t, conn: ours, done: done}
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		c.send("USER ann\r\nPASS pass word\r\n")
		time.Sleep(maxSilence - time.Second)
		synctest.Wait()
		if p.boxes["ann"].lock() != nil {
			t.Error("box was free before the silence was long enough")
		}
		start := time.Now()
		<-done
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("session ended %v later, want 1s", waited)
		}
		if p.boxes["ann"].lock() == nil {
			t.Error("box is locked after the session ended")
		}
	})
}

func FuzzPOP3(f *testing.F) {
	f.Add("USER ann\r\nPASS pass word\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")
	f.Add("AUTH PLAIN\r\nAGFubgBwYXNzIHdvcmQ=\r\nTOP 1 18446744073709551615\r\nLIST -1\r\n")
	f.Add("CAPA\nSTLS\r\n\x00\xff \r\nUIDL  1\r\nRSET\r\n")
	f.Fuzz(func(t *testing.T, input string) {
		p := newProvider(t, nil)
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		go func() {
			_, _ = ours.Write([]byte(input))
			_ = ours.Close()
		}()
		p.servePOP(theirs, false)
		if !strings.Contains(strings.ToUpper(input), "QUIT") && len(p.Box("ann")) != 2 {
			t.Error("messages were deleted without QUIT")
		}
		if p.boxes["ann"].lock() == nil {
			t.Error("box is locked after the connection ended")
		}
	})
}
