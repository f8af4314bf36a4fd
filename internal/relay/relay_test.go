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
	return Message{From: "a@office.example", To: to, Body: strings.NewReader("Subject: x\r\n\r\nhello\r\n")}
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
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestMessageInTwoRoundTrips(t *testing.T) {
	s := &smarthost{offers: everything}
	c := open(t, s, plain)
	for range 2 {
		results, err := c.Send(t.Context(), letterTo("b@x.example", "c@x.example"))
		if err != nil || verdicts(results) != "ok ok" {
			t.Fatalf("%v, %v", results, err)
		}
		if results[0].Reply != "250 2.0.0 queued as 7" || results[1].To != "c@x.example" {
			t.Errorf("results are %+v", results)
		}
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	envelope := []string{"MAIL FROM:<a@office.example>", "RCPT TO:<b@x.example>", "RCPT TO:<c@x.example>", "DATA"}
	want := [][]string{{"EHLO localhost"}, envelope, envelope, {"QUIT"}}
	if !slices.EqualFunc(s.writes, want, slices.Equal) {
		t.Errorf("came in groups %q", s.writes)
	}
	if l := s.letters(); len(l) != 2 || l[1].from != "a@office.example" || l[1].body != "Subject: x\r\n\r\nhello\r\n" {
		t.Errorf("accepted %+v", l)
	}
}

// Every place at which a server can refuse, with and without PIPELINING, and what each recipient is told.
func TestRefusals(t *testing.T) {
	const b, c = "RCPT TO:<b@x.example>", "RCPT TO:<c@x.example>"
	for name, test := range map[string]struct {
		answers  map[string]string
		want     string
		reply    string // of the first
		lost     bool
		accepted int // recipients
	}{
		"none":              {want: "ok ok ok", reply: "250 2.0.0 queued as 7", accepted: 3},
		"sender":            {map[string]string{"MAIL": "550 5.7.1 not you"}, "permanent permanent permanent", "550 5.7.1 not you", false, 0},
		"sender for now":    {map[string]string{"MAIL": "450 slow"}, "temporary temporary temporary", "450 slow", false, 0},
		"one":               {map[string]string{b: "550 5.1.1 who"}, "permanent ok ok", "550 5.1.1 who", false, 2},
		"one for now":       {map[string]string{c: "450-4.2.0 wait\r\n450 4.2.0 greylisted"}, "ok temporary ok", "250 2.0.0 queued as 7", false, 2},
		"one each":          {map[string]string{b: "450 no", c: "550 no"}, "temporary permanent ok", "450 no", false, 1},
		"too many, old":     {map[string]string{c: "552 too many recipients"}, "ok temporary ok", "250 2.0.0 queued as 7", false, 2},
		"mailbox full":      {map[string]string{c: "552 5.2.2 full"}, "ok permanent ok", "250 2.0.0 queued as 7", false, 2},
		"all":               {map[string]string{"RCPT": "550 nobody"}, "permanent permanent permanent", "550 nobody", false, 0},
		"all, yet 354":      {map[string]string{"RCPT": "550 nobody", "DATA": "354 go"}, "permanent permanent permanent", "550 nobody", false, 0},
		"DATA":              {map[string]string{"DATA": "451 disk"}, "temporary temporary temporary", "451 disk", false, 0},
		"DATA but one":      {map[string]string{b: "550 who", "DATA": "451 disk"}, "permanent temporary temporary", "550 who", false, 0},
		"content":           {map[string]string{"content": "554 5.6.0 spam"}, "permanent permanent permanent", "554 5.6.0 spam", false, 0},
		"content for now":   {map[string]string{"content": "451 virus scanner"}, "temporary temporary temporary", "451 virus scanner", false, 0},
		"421 for MAIL":      {map[string]string{"MAIL": "421 bye"}, "temporary temporary temporary", "421 bye", true, 0},
		"421 for RCPT":      {map[string]string{b: "550 who", c: "421 bye"}, "permanent temporary temporary", "550 who", true, 0},
		"421 for DATA":      {map[string]string{"DATA": "421 bye"}, "temporary temporary temporary", "421 bye", true, 0},
		"421 for content":   {map[string]string{"content": "421 4.3.2 bye"}, "temporary temporary temporary", "421 4.3.2 bye", true, 0},
		"hangs up at RCPT":  {map[string]string{b: "550 who", c: "HANGUP"}, "permanent temporary temporary", "550 who", true, 0},
		"hangs up, content": {map[string]string{b: "550 who", "content": "HANGUP"}, "permanent temporary? temporary?", "550 who", true, 2},
		"354 for RCPT":      {map[string]string{c: "354 go"}, "temporary temporary temporary", "smtp: RCPT: the reply doesn't fit the command: 354 go", true, 0},
		"babbles, content":  {map[string]string{"content": "399 well"}, "temporary? temporary? temporary?", "399 well", true, 0},
		"codes that differ": {map[string]string{c: "250-a\r\n251 b"}, "temporary temporary temporary", "smtp: RCPT: the server does not speak SMTP: one reply has codes 250 and 251", true, 0},
	} {
		for _, offers := range [][]string{{"PIPELINING"}, {"HELP"}} {
			t.Run(name+"/"+offers[0], func(t *testing.T) {
				s := &smarthost{offers: offers, answers: test.answers}
				cl := open(t, s, plain)
				results, err := cl.Send(t.Context(), letterTo("b@x.example", "c@x.example", "d@x.example"))
				if got := verdicts(results); got != test.want || (err != nil) != test.lost {
					t.Fatalf("results %q, error %v", got, err)
				}
				if got := results[0].Reply; got != test.reply && !strings.HasSuffix(test.reply, ": "+got) {
					t.Errorf("first reply %q", got)
				}
				n := 0
				for _, l := range s.letters() {
					n += len(l.to)
				}
				if n != test.accepted {
					t.Errorf("server accepted for %d", n)
				}
				if test.lost {
					if _, err := cl.Send(t.Context(), letterTo("e@x.example")); err == nil {
						t.Error("a lost connection was used again")
					}
					return
				}
				// The next message finds the connection in order, whatever state this one left.
				s.answers = nil
				if results, err := cl.Send(t.Context(), letterTo("e@x.example")); err != nil || verdicts(results) != "ok" {
					t.Errorf("next message: %v, %v", results, err)
				}
			})
		}
	}
}

// RFC 2920 §3.1: everybody was refused, the server asks for content all the same, and gets a lone dot that counts for nothing.
func TestLoneDot(t *testing.T) {
	s := &smarthost{offers: everything, answers: map[string]string{"RCPT": "550 no", "DATA": "354 go"}}
	c := open(t, s, plain)
	results, err := c.Send(t.Context(), letterTo("b@x.example"))
	if err != nil || verdicts(results) != "permanent" || len(s.letters()) != 0 {
		t.Fatalf("%v, %v, accepted %v", results, err, s.letters())
	}
	s.answers = nil
	_, _ = c.Send(t.Context(), letterTo("c@x.example"))
	if slices.Contains(s.commands, "RSET") {
		t.Errorf("RSET after a transaction that is over: %q", s.commands)
	}
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
			m := Message{From: test.from, To: test.to, Size: test.size, Body: strings.NewReader("Subject: x\r\n\r\nhello\r\nyou")}
			results, err := c.Send(t.Context(), m)
			if err != nil || verdicts(results) != test.want {
				t.Fatalf("%+v, %v", results, err)
			}
			if !strings.Contains(results[0].Reply, test.says) {
				t.Errorf("reply %q", results[0].Reply)
			}
			if test.mail != "" && s.commands[1] != test.mail {
				t.Errorf("commands %q", s.commands)
			}
			if test.want == "permanent" && len(s.commands) > 1 {
				t.Errorf("round trips for nothing: %q", s.commands)
			}
		})
	}
}

func TestEightBit(t *testing.T) {
	for offers, want := range map[string]string{"8BITMIME": "MAIL FROM:<a@x> BODY=8BITMIME", "HELP": "MAIL FROM:<a@x>"} {
		s := &smarthost{offers: []string{offers}}
		c := open(t, s, plain)
		m := Message{From: "a@x", To: []string{"b@x"}, EightBit: true, UTF8: true, Body: strings.NewReader("Subject: ä\r\n\r\n\xfc\r\n")}
		results, err := c.Send(t.Context(), m)
		if err != nil || verdicts(results) != "ok" || s.commands[1] != want || s.letters()[0].body != "Subject: ä\r\n\r\n\xfc\r\n" {
			t.Errorf("%s: %v, %v, %q", offers, results, err, s.commands)
		}
	}
}

// A body that fails, or is shorter than it should be, must never look like a whole message to the server.
func TestDamagedBody(t *testing.T) {
	broken := errors.New("sector not found")
	for name, test := range map[string]struct {
		body io.Reader
		want error
	}{
		"fails":     {io.MultiReader(strings.NewReader("Subject: x\r\n"), iotest.ErrReader(broken)), broken},
		"truncated": {strings.NewReader("Subject: x\r\n"), io.ErrUnexpectedEOF},
		"empty":     {strings.NewReader(""), io.ErrUnexpectedEOF},
	} {
		s := &smarthost{offers: everything}
		c := open(t, s, plain)
		results, err := c.Send(t.Context(), Message{From: "a@x", To: []string{"b@x"}, Size: 100, Body: test.body})
		if !errors.Is(err, test.want) || verdicts(results) != "temporary" || !errors.Is(results[0].Err, test.want) {
			t.Errorf("%s: %+v, %v", name, results, err)
		}
		if len(s.letters()) != 0 {
			t.Errorf("%s: the server accepted %q", name, s.letters())
		}
	}
}

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
	results, err := c.Send(t.Context(), Message{From: "a@x", To: []string{"b@x"}, Body: body})
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
	if results, err := c.Send(t.Context(), letterTo("b@x")); err != nil || verdicts(results) != "ok" {
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
				results, err := c.Send(t.Context(), letterTo("b@x"))
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
		m.Body = io.LimitReader(zeroes{}, 18000)
		if results, err := c.Send(t.Context(), m); err != nil || verdicts(results) != "ok" {
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
				results, err := c.Send(ctx, letterTo("b@x"))
				if !errors.Is(err, ctx.Err()) || !errors.Is(results[0].Err, ctx.Err()) || time.Since(begun) > 5*time.Second {
					t.Errorf("%+v, %v after %v", results, err, time.Since(begun))
				}
				if results[0].Doubtful != (name == "content") || verdicts(results)[:9] != "temporary" {
					t.Errorf("%+v", results)
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
