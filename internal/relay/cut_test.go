package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// evening is what an office sends in one session of the tests below: recipients refused, dots at line starts, an empty message.
func evening() []Message {
	return []Message{
		{From: "m0@x", To: []string{"b@x", "nobody@x", "c@x"}, Open: text("Subject: x\r\n\r\n.hello\r\n.\r\n")},
		{From: "m1@x", To: []string{"nobody@x"}, Open: text("Subject: y\r\n")},
		{From: "m2@x", To: []string{"d@x"}, Open: text("")},
		{From: "m3@x", To: []string{"e@x", "later@x"}, Open: text("no line end")},
		{From: "refused@x", To: []string{"b@x"}, Open: text("\r\n")},
		{From: "m5@x", To: []string{"f@x"}, Open: text("QUIT\r\n")},
	}
}

func eveningHost(offer ...string) *smarthost {
	return &smarthost{offers: offer, answers: map[string]string{
		"RCPT TO:<nobody@x>": "550 5.1.1 nobody", "RCPT TO:<later@x>": "450 later", "content refused@x": "554 5.6.0 no",
	}}
}

// play runs the session over conn as far as it goes, and returns what was said of each message and recipient ("m0@x b@x").
func play(t *testing.T, conn net.Conn, opt Options) map[string]Result {
	said := map[string]Result{}
	c, err := Open(t.Context(), conn, opt)
	if err != nil {
		return said
	}
	messages := evening()
	all, err := drainAll(t.Context(), t, c, messages...)
	for i, results := range all {
		for _, r := range results {
			said[messages[i].From+" "+r.To] = r
			if err == nil && r.Untried {
				t.Errorf("%s is untried, and nothing happened", messages[i].From)
			}
		}
	}
	return said
}

// compare holds what the client said against what the server did.
func compare(t *testing.T, said map[string]Result, s *smarthost) {
	t.Helper()
	accepted := map[string]bool{}
	for _, l := range s.letters() {
		for _, to := range l.to {
			if accepted[l.from+" "+to] {
				t.Errorf("%s to %s: accepted twice", l.from, to)
			}
			accepted[l.from+" "+to] = true
		}
	}
	for key, r := range said {
		var e *Error
		switch got := accepted[key]; {
		case r.Err == nil && !got:
			t.Errorf("%s: said to be accepted, and is not", key)
		case r.Err == nil && r.Doubtful:
			t.Errorf("%s: accepted and doubtful", key)
		case r.Err != nil && got && !r.Doubtful:
			t.Errorf("%s: accepted, but reported without a doubt as %v", key, r.Err)
		case r.Err != nil && !errors.As(r.Err, &e):
			t.Errorf("%s: %T", key, r.Err)
		case r.Doubtful && !e.Temporary:
			t.Errorf("%s: doubtful for good", key)
		}
		delete(accepted, key)
	}
	for key := range accepted {
		t.Errorf("%s: accepted, and nothing said", key)
	}
}

// whole holds the letters that arrived against evening: each is one of its messages, with nothing of another in it.
func whole(t *testing.T, s *smarthost) {
	t.Helper()
	for _, l := range s.letters() {
		if len(l.to) == 0 {
			continue // nobody gets it
		}
		i := slices.IndexFunc(evening(), func(m Message) bool { return m.From == l.from })
		if i < 0 {
			t.Errorf("a letter from %q", l.from)
			continue
		}
		m := evening()[i]
		var e encoder
		body, _ := m.Open()
		octets, _ := io.ReadAll(body)
		want := strings.ReplaceAll("\r\n"+string(e.finish(e.append(nil, octets))), "\r\n.", "\r\n")[2:]
		if l.body != want {
			t.Errorf("the letter from %s is %q, want %q", l.from, l.body, want)
		}
		for _, to := range l.to {
			if !slices.Contains(m.To, to) {
				t.Errorf("the letter from %s went to %s", l.from, to)
			}
		}
	}
}

// modes are what a server may offer that changes what is sent when.
var modes = map[string][]string{
	"CHUNKING": {"PIPELINING", "CHUNKING"}, "PIPELINING": {"PIPELINING"}, "neither": {"HELP"}, "CHUNKING alone": {"CHUNKING"},
}

// The session is cut at every octet, each way, by a line that breaks and by one that goes deaf without saying so.
func TestCutAnywhere(t *testing.T) {
	for name, offer := range modes {
		synctest.Test(t, func(t *testing.T) {
			run := func(up, down lane) *cable {
				s := eveningHost(offer...)
				c := newCable(up, down)
				var wg sync.WaitGroup
				wg.Go(func() { s.serve(c.far) })
				said := play(t, c.near, plain)
				c.close()
				wg.Wait()
				compare(t, said, s)
				whole(t, s)
				for key, r := range said {
					if strings.Contains(verdicts([]Result{r}), "permanent") && !strings.Contains(key, "nobody") && !strings.Contains(key, "refused") {
						t.Errorf("%s: a cut is permanent: %v", key, r.Err)
					}
				}
				if t.Failed() {
					t.Fatalf("%s, cut at %d (deaf %v) up, %d (deaf %v) down", name, up.limit, up.deaf, down.limit, down.deaf)
				}
				return c
			}
			whole := run(lane{limit: -1}, lane{limit: -1})
			for _, deaf := range []bool{false, true} {
				for n := range whole.up.moved + 1 {
					run(lane{limit: n, deaf: deaf}, lane{limit: -1})
				}
				for n := range whole.down.moved + 1 {
					run(lane{limit: -1}, lane{limit: n, deaf: deaf})
				}
			}
		})
	}
}

// Under TLS an octet on the line is not one of the message, and a record counts whole or not at all; the claims are the same.
func TestCutUnderTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(up, down lane) *cable {
			s := eveningHost("PIPELINING", "CHUNKING")
			opt := Options{TLS: TLSImplicit, TLSConfig: trusting(t, s)}
			c := newCable(up, down)
			var wg sync.WaitGroup
			wg.Go(func() {
				s.serve(tls.Server(c.far, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*s.cert}}))
			})
			said := play(t, c.near, opt)
			c.close()
			wg.Wait()
			compare(t, said, s)
			return c
		}
		whole := run(lane{limit: -1}, lane{limit: -1})
		const stride = 17 // a handshake each time is too much for every octet
		for n := 0; n <= whole.up.moved; n += stride {
			run(lane{limit: n, deaf: n%2 == 0}, lane{limit: -1})
		}
		for n := 0; n <= whole.down.moved; n += stride {
			run(lane{limit: -1}, lane{limit: n, deaf: n%2 == 0})
		}
	})
}

// brittle takes so many octets of what is written and then breaks, saying exactly how many it took.
type brittle struct {
	net.Conn
	left  int
	taken bytes.Buffer
}

func (b *brittle) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	b.taken.Write(p[:n])
	if k, err := b.Conn.Write(p[:n]); err != nil {
		return k, err
	}
	if n < len(p) {
		_ = b.Close()
		return n, errors.New("broken")
	}
	return n, nil
}

// There is doubt from the octet on with which the server can accept, and not one octet before: neither a message sent twice for nothing
// nor one claimed lost. With DATA it is the final dot, with BDAT the last one of the last chunk.
func TestDoubtBegins(t *testing.T) {
	for name, test := range map[string]struct {
		offers []string
		before string // the first octet after which there is doubt
	}{
		"DATA":     {[]string{"PIPELINING"}, "\r\nhello\r\n."},
		"CHUNKING": {[]string{"PIPELINING", "CHUNKING"}, "\r\nhello\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			octets := func(limit int) (*brittle, Result) {
				s := &smarthost{offers: test.offers, answers: map[string]string{"content": "HANGUP"}}
				conn := &brittle{Conn: s.start(t), left: limit}
				c, err := Open(t.Context(), conn, plain)
				if err != nil {
					return conn, Result{}
				}
				results, _ := send(t, c, letterTo("b@x"))
				return conn, results[0]
			}
			all, _ := octets(1 << 20)
			begins := bytes.Index(all.taken.Bytes(), []byte(test.before)) + len(test.before)
			for n := range all.taken.Len() + 1 {
				if _, r := octets(n); r.Doubtful != (n >= begins) {
					t.Errorf("%d octets were taken, doubt begins with the %dth: %+v", n, begins, r)
				}
			}
		})
	}
}
