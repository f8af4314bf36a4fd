package imapd

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// In plain text there is STARTTLS, and no way to log in.
func TestOnlyInsideTLS(t *testing.T) {
	r := newRig(t, nil)
	c, greeting := r.dialPlain()
	if greeting != "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] gate.office.example ready" {
		t.Error(greeting)
	}
	c.want("CAPABILITY", "OK", "CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED")
	c.want("LOGIN ann nna", "NO [PRIVACYREQUIRED]")
	c.want("AUTHENTICATE PLAIN AGFubgBubmE=", "NO [PRIVACYREQUIRED]")
	c.want("SELECT INBOX", "BAD")
	c.want("STARTTLS", "OK Begin TLS negotiation now")
	c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	// No second greeting: the first line answers the first command.
	got, end := c.do("CAPABILITY")
	if len(got) != 1 || !strings.Contains(got[0], "AUTH=PLAIN") || strings.Contains(got[0], "STARTTLS") || strings.Contains(got[0], "LOGINDISABLED") {
		t.Error(got, end)
	}
	c.want("AUTHENTICATE PLAIN AGFubgBubmE=", "OK")
	c.ok("SELECT INBOX")
}

// What is sent ahead of TLS isn't taken for what was said within (CVE-2011-0411).
func TestNothingAheadOfTLS(t *testing.T) {
	r := newRig(t, nil)
	c, _ := r.dialPlain()
	c.send("a STARTTLS\r\nb LOGIN ann nna\r\n")
	if rest, err := io.ReadAll(c.conn); len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q, %v", rest, err)
	}
}

// Another protocol, a line without end, or too many commands end the connection.
func TestHallIsNarrow(t *testing.T) {
	r := newRig(t, nil)
	for _, text := range []string{
		"GET / HTTP/1.0\r\n" + strings.Repeat("A: b\r\n", 30), strings.Repeat("x", 5000), "\x16\x03\x01\x00\xff\r\n",
		strings.Repeat("a NOOP\r\n", 30), "a LOGOUT\r\n",
	} {
		c, _ := r.dialPlain()
		c.send(text)
		_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c.conn); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestLoginLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, true, nil)
		c := r.dial()
		begun := time.Now()
		c.want("LOGIN ann wrong", "NO [AUTHENTICATIONFAILED]")
		c.want("LOGIN ../ann nna", "NO [AUTHENTICATIONFAILED]")
		if waited := time.Since(begun); waited < 2*loginDelay {
			t.Errorf("two failures took %v", waited)
		}
		// The third is the last, and what comes behind it isn't tried.
		c.send("a LOGIN ann wrong\r\nb LOGIN ann nna\r\n")
		if got := c.line() + "|" + c.line() + "|" + c.line(); !strings.HasPrefix(got, "a NO") || !strings.Contains(got, "|b NO [UNAVAILABLE]") || !strings.HasSuffix(got, "|* BYE Too many failed logins") {
			t.Error(got)
		}
		// Who doesn't log in is sent away, however busy he is.
		c = r.dial()
		begun = time.Now()
		for time.Since(begun) < 10*time.Minute {
			c.n++
			if _, err := fmt.Fprintf(c.conn, "t%d NOOP\r\n", c.n); err != nil {
				break
			}
			if line := c.line(); strings.HasPrefix(line, "* BYE") {
				break
			}
			time.Sleep(20 * time.Second)
		}
		// A pipe holds nothing: our BYE and his NOOP wait for each other for a while.
		if took := time.Since(begun); took > loginTime+2*writeTimeout+time.Minute {
			t.Errorf("it took %v", took)
		}
		r.stop()
		r.start() // for the clean-up
	})
}

// A silent client is told BYE.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, true, nil)
		c := r.login("ann")
		c.ok("SELECT INBOX")
		begun := time.Now()
		if got := c.line(); got != "* BYE [UNAVAILABLE] Nothing was heard for too long" {
			t.Error(got)
		}
		if took := time.Since(begun); took < 30*time.Minute { // RFC 3501 §5.4
			t.Errorf("after %v already", took)
		}
		c, _ = r.dialPlain()
		begun = time.Now()
		if rest, err := io.ReadAll(c.conn); err != nil || time.Since(begun) > time.Minute {
			t.Errorf("%q, %v after %v", rest, err, time.Since(begun))
		}
	})
}

func TestTooManyConnections(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxPerClient = 2 })
	first, _ := r.dialPlain()
	r.login("ann")
	if _, greeting := r.dialPlain(); !strings.HasPrefix(greeting, "* BYE [UNAVAILABLE] Too many") {
		t.Error(greeting)
	}
	first.do("LOGOUT")
	for {
		if _, greeting := r.dialPlain(); strings.HasPrefix(greeting, "* OK") {
			break
		}
	}
}

// Shutdown lets a command come to its answer, says BYE to who idles, and to who does nothing.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRig(t, true, nil)
		idle, lazy, busy := r.login("ann"), r.login("ann"), r.login("ann")
		idle.ok("SELECT INBOX")
		idle.send("i IDLE\r\n")
		idle.line()
		text := strings.Repeat("x", 1000) + "\r\n"
		busy.send(fmt.Sprintf("b APPEND INBOX {%d}\r\n", len(text)))
		busy.line()
		busy.send(text[:500])
		synctest.Wait()
		stopped := make(chan bool)
		go func() {
			r.stop()
			close(stopped)
		}()
		for _, c := range []*client{idle, lazy} {
			if got := c.line(); got != "* BYE [UNAVAILABLE] The server is shutting down" {
				t.Error(got)
			}
			go func() { _, _ = io.Copy(io.Discard, c.conn) }()
		}
		synctest.Wait()
		busy.send(text[500:] + "\r\n")
		for {
			line := busy.line()
			if strings.HasPrefix(line, "b OK [APPENDUID") {
				break
			}
			if !strings.HasPrefix(line, "* 1 EXISTS") {
				t.Error(line)
				break
			}
		}
		if got := busy.line(); got != "* BYE [UNAVAILABLE] The server is shutting down" {
			t.Error(got)
		}
		go func() { _, _ = io.Copy(io.Discard, busy.conn) }()
		<-stopped
		r.start()
		c := r.login("ann")
		if got := c.ok("SELECT INBOX"); got[0] != "1 EXISTS" {
			t.Error(got)
		}
	})
}

var _ net.Listener = (*pipes)(nil)
