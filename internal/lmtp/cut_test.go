package lmtp

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"
)

// morning is what comes for the office in the tests below: recipients refused before and after the content, dots at line starts, nothing.
func morning() []Message {
	return []Message{
		{From: "m0@x", To: []string{"b@x", "nobody@x", "c@x"}, Open: text("Subject: x\r\n\r\n.hello\r\n.\r\n")},
		{From: "m1@x", To: []string{"nobody@x"}, Open: text("Subject: y\r\n")},
		{From: "m2@x", To: []string{"d@x"}, Open: text("")},
		{From: "m3@x", To: []string{"e@x", "later@x", "full@x", "g@x"}, Open: text("no line end")},
		{From: "refused@x", To: []string{"b@x"}, Open: text("\r\n")},
		{From: "spam@x", To: []string{"b@x", "h@x"}, Open: text("\r\n")},
		{From: "m6@x", To: []string{"f@x"}, Open: text("QUIT\r\n")},
	}
}

// play delivers the morning as far as that goes, and returns what was said of each message and recipient ("m0@x b@x").
func play(t *testing.T, conn net.Conn, opt Options) map[string]Result {
	said := map[string]Result{}
	c, err := Open(t.Context(), conn, opt)
	if err != nil {
		return said
	}
	for _, m := range morning() {
		results, err := c.Deliver(t.Context(), m)
		for _, r := range results {
			said[m.From+" "+r.To] = r
		}
		if (err == nil) != (len(results) == len(m.To) && !slices.ContainsFunc(results, func(r Result) bool { return r.Doubtful })) {
			t.Errorf("%s: %d results, error %v", m.From, len(results), err)
		}
		if !c.Usable() {
			break
		}
	}
	c.Quit(t.Context())
	return said
}

// compare holds what the client said against what the server did.
func compare(t *testing.T, said map[string]Result, o *office) {
	t.Helper()
	accepted := map[string]bool{}
	for _, l := range o.all() {
		m := morning()[slices.IndexFunc(morning(), func(m Message) bool { return m.From == l.from })]
		src, _ := m.Open()
		var want bytes.Buffer
		if _, err := want.ReadFrom(src); err != nil || l.body != want.String() && l.body != want.String()+"\r\n" {
			t.Errorf("from %s arrived %q", l.from, l.body)
		}
		for _, to := range l.to {
			if accepted[l.from+" "+to] {
				t.Errorf("%s to %s: accepted twice", l.from, to)
			}
			accepted[l.from+" "+to] = true
		}
	}
	for key, r := range said {
		switch got := accepted[key]; {
		case r.Err == nil && !got:
			t.Errorf("%s: said to be accepted, and is not", key)
		case r.Err == nil && r.Doubtful:
			t.Errorf("%s: accepted and doubtful", key)
		case r.Err != nil && got && !r.Doubtful:
			t.Errorf("%s: accepted, but reported without a doubt as %v", key, r.Err)
		case verdict(r) == "permanent" && !strings.Contains(key, "nobody") && !strings.Contains(key, "refused") && !strings.Contains(key, "spam"):
			t.Errorf("%s: a cut is permanent: %v", key, r.Err)
		case r.Doubtful && !r.Err.(*Error).Temporary, r.Reply == "":
			t.Errorf("%s: %+v", key, r)
		}
		delete(accepted, key)
	}
	for key := range accepted {
		t.Errorf("%s: accepted, and nothing said", key)
	}
}

// The morning is cut at every octet, each way, by a connection that breaks and by one that goes deaf without saying so.
func TestCutAnywhere(t *testing.T) {
	for _, lmtp := range []bool{true, false} {
		t.Run(fmt.Sprintf("LMTP %v", lmtp), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run := func(up, down int, deaf bool) *fuse {
					o := &office{lmtp: lmtp}
					near, far := net.Pipe()
					f := &fuse{Conn: near, up: up, down: down, deaf: deaf}
					stop := o.serve(far)
					said := play(t, f, Options{LMTP: lmtp, TLS: TLSNone})
					stop()
					synctest.Wait()
					if compare(t, said, o); up < 0 && down < 0 && len(said) != 13 {
						t.Errorf("uncut: %d results", len(said))
					}
					if t.Failed() {
						t.Fatalf("cut at %d up, %d down, deaf %v", up, down, deaf)
					}
					return f
				}
				whole := run(-1, -1, false)
				for _, deaf := range []bool{false, true} {
					for n := range whole.wrote {
						run(n, -1, deaf)
					}
					for n := range whole.read {
						run(-1, n, deaf)
					}
				}
			})
		})
	}
}

// Under TLS an octet on the line is not one of the message, and a record counts whole or not at all; the claims are the same.
func TestCutUnderTLS(t *testing.T) {
	cert, pool := certificate()
	synctest.Test(t, func(t *testing.T) {
		run := func(up, down int, deaf bool) *fuse {
			o := &office{lmtp: true, set: func(s *smtp.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}} }}
			near, far := net.Pipe()
			f := &fuse{Conn: near, up: up, down: down, deaf: deaf}
			stop := o.serve(far)
			said := play(t, f, Options{LMTP: true, TLS: TLSStart, TLSConfig: &tls.Config{ServerName: "office.example", RootCAs: pool}})
			stop()
			synctest.Wait()
			compare(t, said, o)
			if t.Failed() {
				t.Fatalf("cut at %d up, %d down, deaf %v", up, down, deaf)
			}
			return f
		}
		whole := run(-1, -1, false)
		const stride = 17 // a handshake each time is too much for every octet
		for n := 0; n < whole.wrote; n += stride {
			run(n, -1, n%2 == 0)
		}
		for n := 0; n < whole.read; n += stride {
			run(-1, n, n%2 == 0)
		}
	})
}

// There is doubt from the final dot on, and not one octet before: neither a message sent twice for nothing nor one claimed lost.
func TestDoubtBegins(t *testing.T) {
	m := Message{From: "a@x", To: []string{"b@x", "c@x"}, Open: text("Subject: x\r\n\r\nhello\r\n")}
	for _, lmtp := range []bool{true, false} {
		octets := func(limit int) (*fuse, []Result, error) {
			f := &fuse{Conn: talk(t, script{".": "HANGUP"}), up: limit, down: -1}
			_, results, err := deliver(t.Context(), f, lmtp, m)
			return f, results, err
		}
		all, _, _ := octets(-1)
		begins := bytes.Index(all.sent.Bytes(), []byte("hello\r\n.")) + len("hello\r\n.")
		for n := range all.wrote + 1 {
			want := ""
			if n >= begins {
				want = "doubtful doubtful"
			}
			if _, results, err := octets(n); verdicts(results) != want || err == nil {
				t.Errorf("%d octets were taken, doubt begins with the %dth: %q, %v", n, begins, verdicts(results), err)
			}
		}
	}
}

// The replies of an LMTP server count one by one: cut in between, those who were heard are done, the others in doubt.
func TestPartOfTheReplies(t *testing.T) {
	m := Message{From: "a@x", To: []string{"a@x", "b@x", "c@x", "d@x"}, Open: text("x\r\n")}
	for answer, want := range map[string]string{
		"250 a\r\n550 5.2.0 b\r\n250 c":         "ok permanent ok doubtful",
		"250 a":                                 "ok doubtful doubtful doubtful",
		"550-a\r\n550 b\r\n250 c\r\n451 d":      "permanent ok temporary doubtful",
		"250 a\r\n421 bye":                      "ok temporary doubtful doubtful",
		"250 a\r\n421 bye\r\n421 a\r\n421":      "ok temporary temporary temporary",
		"251 a\r\n252 b\r\n250\r\n250-x\r\n250": "ok ok ok ok",
		"250 a\r\n354 b\r\n250 c\r\n250 d":      "ok doubtful ok ok",
		"250 a\r\nhello\r\n250 c\r\n250 d":      "ok doubtful doubtful doubtful",
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			go script{".": answer, "NOOP": "HANGUP"}.serve(far)
			c, results, err := deliver(t.Context(), near, true, m)
			if c == nil || verdicts(results) != want || (err == nil) != !strings.Contains(want, "doubtful") {
				t.Errorf("%q: %s, %v", answer, verdicts(results), err)
			}
			if c.Usable() != (want == "ok ok ok ok") {
				t.Errorf("%q: usable %v", answer, c.Usable())
			}
			var e *Error
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%T", err)
			}
			_ = far.Close()
		})
	}
}
