package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

var plain = Options{TLS: TLSNone}

var everything = []string{"PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8"}

func open(t *testing.T, s *smarthost, opt Options) *Client {
	t.Helper()
	c, err := Open(t.Context(), s.start(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func letterTo(to ...string) Message {
	return Message{From: "a@office.example", To: to, Open: text("Subject: x\r\n\r\nhello\r\n")}
}

func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

func from(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}

// drainAll sends messages, and holds Drain to its word: done once for each that was given, in order, a Result for each recipient.
func drainAll(ctx context.Context, t *testing.T, c *Client, messages ...Message) ([][]Result, error) {
	t.Helper()
	given := 0
	var all [][]Result
	err := c.Drain(ctx, func(context.Context) *Message {
		if given == len(messages) {
			return nil
		}
		given++
		return &messages[given-1]
	}, func(m *Message, results []Result) {
		if m != &messages[len(all)] {
			t.Errorf("result %d is of another message, from %s", len(all), m.From)
		}
		for i, r := range results {
			if r.To != m.To[i] || r.Err == nil && (r.Doubtful || r.Untried) || r.Doubtful && r.Untried {
				t.Errorf("%s, %s: %+v", m.From, m.To[i], r)
			}
		}
		if len(results) != len(m.To) {
			t.Errorf("%s has %d results for %d recipients", m.From, len(results), len(m.To))
		}
		all = append(all, results)
	})
	if len(all) != given {
		t.Errorf("%d messages were given, %d have results", given, len(all))
	}
	if given < len(messages) && err == nil {
		t.Errorf("%d of %d messages were taken", given, len(messages))
	}
	return all, err
}

// send drains one message.
func send(t *testing.T, c *Client, m Message) ([]Result, error) {
	t.Helper()
	all, err := drainAll(t.Context(), t, c, m)
	if len(all) == 0 {
		return nil, err
	}
	return all[0], err
}

// verdicts is what a test wants to see of results: ok, 5xx, 4xx or the code where there is none; "?" behind what is doubtful.
func verdicts(results []Result) string {
	var words []string
	for _, r := range results {
		word := "ok"
		var e *Error
		if errors.As(r.Err, &e) {
			word = "permanent"
			if e.Temporary {
				word = "temporary"
			}
		}
		if r.Doubtful {
			word += "?"
		}
		if r.Untried {
			word = "untried"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestScreen(t *testing.T) {
	for name, test := range map[string]struct {
		offers []string
		from   string
		to     []string
		size   int64
		want   string
		says   string
		mail   string
	}{
		"null sender":   {everything, "", []string{"b@x"}, 0, "ok", "", "MAIL FROM:<>"},
		"size":          {everything, "a@x", []string{"b@x"}, 23, "ok", "", "MAIL FROM:<a@x> SIZE=23"},
		"too large":     {everything, "a@x", []string{"b@x", "c@x"}, 1000001, "permanent permanent", "1000001 octets, the server takes 1000000", ""},
		"no limit":      {[]string{"SIZE 0"}, "a@x", []string{"b@x"}, 23, "ok", "", "MAIL FROM:<a@x> SIZE=23"},
		"no SIZE":       {[]string{"HELP"}, "a@x", []string{"b@x"}, 23, "ok", "", "MAIL FROM:<a@x>"},
		"UTF-8":         {everything, "ä@x", []string{"b@ü.example"}, 0, "ok", "", "MAIL FROM:<ä@x> SMTPUTF8"},
		"no UTF-8":      {[]string{"HELP"}, "a@x", []string{"ö@x", "b@x"}, 0, "permanent ok", "SMTPUTF8", "MAIL FROM:<a@x>"},
		"domain":        {[]string{"HELP"}, "a@x", []string{"b@ü.example", "b@x"}, 0, "ok ok", "", "MAIL FROM:<a@x>"},
		"domain, from":  {[]string{"HELP"}, "a@Bücher.example", []string{"b@x"}, 0, "ok", "", "MAIL FROM:<a@xn--bcher-kva.example>"},
		"bad domain":    {[]string{"HELP"}, "a@x", []string{"b@[ü]", "\"ö\"@ü.example"}, 0, "permanent permanent", "SMTPUTF8", ""},
		"no UTF-8 from": {[]string{"HELP"}, "ä@x", []string{"b@x"}, 0, "permanent", "SMTPUTF8", ""},
		"CRLF":          {everything, "a@x", []string{"b@x>\r\nRCPT TO:<c@x", "d@x"}, 0, "permanent ok", "control character", "MAIL FROM:<a@x>"},
		"LF in sender":  {everything, "a@x\nDATA", []string{"b@x"}, 0, "permanent", "control character", ""},
		"NUL":           {everything, "a@x", []string{"b\x00@x"}, 0, "permanent", "control character", ""},
		"C1 control":    {everything, "a@x", []string{"b\u0085@x"}, 0, "permanent", "control character", ""},
		"parameters":    {everything, "a@x", []string{"b@x> NOTIFY=NEVER"}, 0, "permanent", "angle bracket", ""},
		"quotes":        {everything, "a@x", []string{`"b c"@x`, `b" c"@x`, `"b c@x`, `"b\"@x`, `"b"c@x`}, 0, "ok permanent permanent permanent permanent", "", ""},
		"not UTF-8":     {everything, "a@x", []string{"b\xff@x"}, 0, "permanent", "not valid UTF-8", ""},
		"empty":         {everything, "a@x", []string{""}, 0, "permanent", "is empty", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smarthost{offers: test.offers}
			c := open(t, s, plain)
			m := Message{From: test.from, To: test.to, Size: test.size, Open: from(strings.NewReader("Subject: x\r\n\r\nhello\r\nyou"))}
			results, err := send(t, c, m)
			if err != nil || verdicts(results) != test.want {
				t.Fatalf("%+v, %v", results, err)
			}
			if !strings.Contains(results[0].Reply, test.says) {
				t.Errorf("reply %q", results[0].Reply)
			}
			if test.mail != "" && s.commands[1] != test.mail {
				t.Errorf("commands %q", s.commands)
			}
			if name == "domain" && (s.commands[2] != "RCPT TO:<b@xn--tda.example>" || results[0].To != "b@ü.example") {
				t.Errorf("commands %q, results %+v", s.commands, results)
			}
			if test.want == "permanent" && len(s.commands) > 2 {
				t.Errorf("round trips for nothing: %q", s.commands)
			}
		})
	}
}

// A body that fails, or is shorter than it should be, must never look like a whole message to the server. The connection is lost over it
// only where the server has been promised more: behind DATA, and not when it is found out before.
func TestDamagedBody(t *testing.T) {
	broken := errors.New("sector not found")
	long := strings.Repeat("0123456789012345678901234567890123456789012345678\n", 2*chunkSize/50)
	for name, test := range map[string]struct {
		open func() (io.ReadCloser, error)
		want error
		long bool
	}{
		"can't be opened":  {func() (io.ReadCloser, error) { return nil, broken }, broken, false},
		"fails":            {failing("Subject: x\r\n", broken), broken, false},
		"truncated":        {text("Subject: x\r\n"), io.ErrUnexpectedEOF, false},
		"empty":            {text(""), io.ErrUnexpectedEOF, false},
		"reads nothing":    {from(nothing{}), io.ErrNoProgress, false},
		"fails later":      {failing(long, broken), broken, true},
		"truncated, large": {text(long), io.ErrUnexpectedEOF, true},
	} {
		for mode, offers := range modes {
			s := &smarthost{offers: offers}
			damaged := Message{From: "m9@x", To: []string{"b@x"}, Size: 1 << 20, Open: test.open}
			lost := test.long && !slices.Contains(offers, "CHUNKING")
			all, err := drainAll(t.Context(), t, open(t, s, plain), letters(2)[0], damaged, letters(2)[1])
			if (err != nil) != lost || len(all) < 2 || verdicts(all[1]) != "temporary" || !errors.Is(all[1][0].Err, test.want) {
				t.Fatalf("%s, %s: %+v, %v", name, mode, all, err)
			}
			after := "ok ok ok"
			if lost {
				after = "untried untried untried"
			}
			if verdicts(all[0]) != "ok ok ok" || len(all) == 3 && verdicts(all[2]) != after {
				t.Errorf("%s, %s: %+v", name, mode, all)
			}
			for _, l := range s.letters() {
				if l.from == "m9@x" {
					t.Errorf("%s, %s: the server accepted %q", name, mode, l.body)
				}
			}
		}
	}
}

func failing(begin string, err error) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(begin), iotest.ErrReader(err))), nil
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// A server that has had enough says so in the middle of the content; its word is final and the rest isn't sent.
func TestRefusedMidContent(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		defer func() { _ = server.Close() }()
		buf := make([]byte, 64<<10)
		for _, answer := range []string{"220 hi", "250-x\r\n250 PIPELINING", "250 ok\r\n250 ok\r\n354 go", "552 5.3.4 that is enough"} {
			if answer[:3] != "220" {
				_, _ = server.Read(buf)
			}
			_, _ = io.WriteString(server, answer+"\r\n")
		}
		_, _ = io.Copy(io.Discard, server)
	}()
	c, err := Open(t.Context(), client, plain)
	if err != nil {
		t.Fatal(err)
	}
	body := &counter{r: io.LimitReader(zeroes{}, 1<<30)}
	results, err := send(t, c, Message{From: "a@x", To: []string{"b@x"}, Open: from(body)})
	if err == nil || verdicts(results) != "permanent" || results[0].Reply != "552 5.3.4 that is enough" {
		t.Errorf("%+v, %v", results, err)
	}
	if body.n > 1<<29 {
		t.Errorf("%d octets were sent to a server that did not want them", body.n)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return copy(p, strings.Repeat("0", 70)+"\r\n"), nil }

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestHELO(t *testing.T) {
	s := &smarthost{answers: map[string]string{"EHLO": "502 what?"}}
	c := open(t, s, Options{TLS: TLSNone, Hello: "gate.office.example"})
	if results, err := send(t, c, letterTo("b@x")); err != nil || verdicts(results) != "ok" {
		t.Fatal(results, err)
	}
	if s.commands[1] != "HELO gate.office.example" {
		t.Errorf("%q", s.commands)
	}
}

func TestSilence(t *testing.T) {
	for name, test := range map[string]struct {
		answers map[string]string
		want    string
		after   time.Duration
	}{
		"RCPT":    {map[string]string{"RCPT": "MUTE"}, "temporary", 90 * time.Second},
		"content": {map[string]string{"content": "MUTE"}, "temporary?", 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &smarthost{offers: []string{"HELP"}, answers: test.answers}
				c := open(t, s, plain)
				begun := time.Now()
				results, err := send(t, c, letterTo("b@x"))
				if err == nil || verdicts(results) != test.want {
					t.Errorf("%+v, %v", results, err)
				}
				if took := time.Since(begun); took != test.after {
					t.Errorf("took %v", took)
				}
				if !strings.Contains(err.Error(), "nothing moved on the line for "+test.after.String()) {
					t.Error(err)
				}
			})
		})
	}
}

// A slow line is not a silent one: an hour's writing at 5 octets a second, each write far longer than the patience.
func TestSlowIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := &smarthost{offers: everything}
		go func() {
			conn := s.start(t)
			go func() { _, _ = io.Copy(far, conn) }()
			octet := make([]byte, 1)
			for {
				if _, err := far.Read(octet); err != nil {
					_ = conn.Close()
					return
				}
				time.Sleep(200 * time.Millisecond)
				_, _ = conn.Write(octet)
			}
		}()
		c, err := Open(t.Context(), near, plain)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		m := letterTo("b@x")
		m.Open = from(io.LimitReader(zeroes{}, 18000))
		if results, err := send(t, c, m); err != nil || verdicts(results) != "ok" {
			t.Errorf("%+v, %v", results, err)
		}
		if took := time.Since(begun); took < time.Hour {
			t.Errorf("took %v, the line was not slow", took)
		}
		_ = c.Close()
	})
}

func TestCancel(t *testing.T) {
	for name, answers := range map[string]map[string]string{
		"DATA": {"DATA": "MUTE"}, "content": {"content": "MUTE"}, "before": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &smarthost{offers: everything, answers: answers}
				c := open(t, s, plain)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if name == "before" {
					cancel()
				}
				begun := time.Now()
				all, err := drainAll(ctx, t, c, letterTo("b@x"))
				if !errors.Is(err, ctx.Err()) || time.Since(begun) > 5*time.Second {
					t.Errorf("%+v, %v after %v", all, err, time.Since(begun))
				}
				if name == "before" {
					if all != nil {
						t.Errorf("a message was taken for nothing: %+v", all)
					}
					return
				}
				if r := all[0][0]; !errors.Is(r.Err, ctx.Err()) || r.Doubtful != (name == "content") || verdicts(all[0])[:9] != "temporary" {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

func TestCancelOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("the units are used up"))
		defer cancel()
		_, err := Open(ctx, (&smarthost{greet: "MUTE"}).start(t), plain)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "units") {
			t.Error(err)
		}
	})
}

func TestConfiguration(t *testing.T) {
	for _, opt := range []Options{{}, {TLS: "tls"}, {TLS: TLSStart}, {TLS: TLSNone, Hello: "a\r\nb"}} {
		near, far := net.Pipe()
		var e *Error
		if _, err := Open(t.Context(), near, opt); !errors.As(err, &e) || e.Temporary {
			t.Errorf("%+v: %v", opt, err)
		}
		if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the connection was left open: %v", err)
		}
	}
}
