package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// Servers that answer oddly or refuse: what each recipient is told, and what of the connection.
func TestOddServers(t *testing.T) {
	endless := strings.Repeat("250-x\r\n", 200) + "250 x"
	for name, test := range map[string]struct {
		s       script
		smtp    bool
		results string
		says    string // the error; "": none
		forGood bool
		usable  bool
	}{
		"all well":               {s: script{}, results: "ok ok", usable: true},
		"bare codes":             {s: script{"greeting": "220", "LHLO": "250", "MAIL": "250", "RCPT": "250", "DATA": "354", ".": "250\r\n250"}, results: "ok ok", usable: true},
		"251 for RCPT":           {s: script{"RCPT": "251 elsewhere"}, results: "ok ok", usable: true},
		"no sender":              {s: script{"MAIL": "550 5.7.1 no"}, results: "permanent permanent", usable: true},
		"no recipient":           {s: script{"RCPT": "550-5.1.1 no\r\n550 5.1.1 really"}, results: "permanent permanent", usable: true},
		"552 for RCPT":           {s: script{"RCPT": "552 enough"}, results: "temporary temporary", usable: true},
		"552 for RCPT, mailbox":  {s: script{"RCPT": "552 5.2.2 full"}, results: "permanent permanent", usable: true},
		"no content":             {s: script{"DATA": "451 4.3.0 disk"}, results: "temporary temporary", usable: true},
		"no RSET":                {s: script{"DATA": "451 4.3.0 disk", "RSET": "550 never"}, results: "temporary temporary"},
		"greets with 421":        {s: script{"greeting": "421 too busy"}, says: "greeting: 421 too busy"},
		"greets with 554":        {s: script{"greeting": "554 5.7.1 not you"}, says: "greeting: 554 5.7.1 not you", forGood: true},
		"closes at once":         {s: script{"greeting": "HANGUP"}, says: "greeting: the server closed the connection"},
		"another protocol":       {s: script{"greeting": "* OK IMAP4rev1"}, says: "neither LMTP nor SMTP"},
		"HTTP":                   {s: script{"greeting": "HTTP/1.1 400 Bad Request"}, says: "neither LMTP nor SMTP"},
		"endless greeting":       {s: script{"greeting": strings.Repeat("x", 5000)}, says: "more than 2000 octets"},
		"endless reply":          {s: script{"LHLO": endless}, says: "more than 128 lines"},
		"two codes":              {s: script{"MAIL": "250-a\r\n550 b"}, says: "codes 250 and 550"},
		"SMTP only":              {s: script{"LHLO": "500 5.5.1 what?"}, says: "does not speak LMTP", forGood: true},
		"LMTP only":              {s: script{"EHLO": "500 5.5.1 LHLO", "HELO": "500 5.5.1 LHLO"}, smtp: true, says: "EHLO: 500 5.5.1 LHLO", forGood: true},
		"HELO":                   {s: script{"EHLO": "502 no"}, smtp: true, results: "ok ok", usable: true},
		"wants a password":       {s: script{"MAIL": "530 5.7.0 who are you?"}, says: "530 5.7.0 who are you?", forGood: true},
		"wants TLS, for RCPT":    {s: script{"RCPT": "530 5.7.0 STARTTLS first"}, says: "530 5.7.0 STARTTLS first", forGood: true},
		"454 for RCPT":           {s: script{"RCPT": "454 4.7.1 relay access denied"}, results: "temporary temporary", usable: true},
		"421 for MAIL":           {s: script{"MAIL": "421 4.3.2 bye"}, says: "MAIL: 421 4.3.2 bye"},
		"421 for RCPT":           {s: script{"RCPT": "421 4.3.2 bye"}, says: "RCPT: 421 4.3.2 bye"},
		"421 for DATA":           {s: script{"DATA": "421 4.3.2 bye"}, says: "DATA: 421 4.3.2 bye"},
		"421 for content":        {s: script{".": "421 bye"}, smtp: true, results: "temporary temporary"},
		"354 for MAIL":           {s: script{"MAIL": "354 go"}, says: "doesn't fit the command: 354 go"},
		"250 for DATA":           {s: script{"DATA": "250 ok"}, says: "doesn't fit the command: 250 ok"},
		"354 for content":        {s: script{".": "354 go on"}, smtp: true, results: "doubtful doubtful", says: "doesn't fit the command: 354 go on"},
		"251 for content":        {s: script{".": "251 ok"}, smtp: true, results: "ok ok", usable: true},
		"hangs up at RCPT":       {s: script{"RCPT": "HANGUP"}, says: "RCPT: the server closed the connection"},
		"hangs up at DATA":       {s: script{"DATA": "HANGUP"}, says: "DATA: the server closed the connection"},
		"hangs up at content":    {s: script{".": "HANGUP"}, smtp: true, results: "doubtful doubtful", says: "content: the server closed the connection"},
		"replies to one of two":  {s: script{".": "250 ok"}, results: "ok doubtful", says: "nothing moved"},
		"control characters":     {s: script{"MAIL": "550 \x1b[31m\xff"}, results: "permanent permanent", usable: true},
		"asks for a long time":   {s: script{"RCPT": "450 4.2.0 greylisted"}, results: "temporary temporary", usable: true},
		"550 for content":        {s: script{".": "554 5.6.0 spam"}, smtp: true, results: "permanent permanent", usable: true},
		"a blank in front":       {s: script{"MAIL": " 250 ok"}, says: "neither LMTP nor SMTP"},
		"an empty line":          {s: script{"MAIL": ""}, says: "neither LMTP nor SMTP"},
		"a code of another time": {s: script{"MAIL": "150 wait"}, says: "neither LMTP nor SMTP"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				var done sync.WaitGroup
				if !test.smtp && test.s["."] == "" {
					test.s["."] = "250 ok\r\n250 ok"
				}
				done.Go(func() { test.s.serve(far) })
				c, results, err := deliver(t.Context(), near, !test.smtp, Message{From: "a@x", To: []string{"b@x", "c@x"}, Open: text("x\r\n")})
				if verdicts(results) != test.results || (err == nil) != (test.says == "") {
					t.Errorf("%+v, %v", results, err)
				}
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Temporary == test.forGood || !strings.Contains(err.Error(), test.says)) {
					t.Errorf("%+v", err)
				}
				if c != nil && c.Usable() != test.usable {
					t.Errorf("usable %v", c.Usable())
				}
				for _, r := range results {
					if strings.Contains(r.Reply, "\x1b") || !utf8.ValidString(r.Reply) || r.Reply == "" {
						t.Errorf("%q", r.Reply)
					}
				}
				_ = near.Close()
				done.Wait()
			})
		})
	}
}

// A reply that never ends is given up in bounded memory, while it comes.
func TestEndlessReplies(t *testing.T) {
	for _, piece := range []string{"250-x\r\n", "x", "250 ok\r\n", "\r\n", "550-no\r\n"} {
		near, far := net.Pipe()
		var done sync.WaitGroup
		done.Go(func() {
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, err := io.WriteString(far, "220 hi\r\n")
			for err == nil {
				_, err = io.WriteString(far, strings.Repeat(piece, 100))
			}
		})
		c, _, err := deliver(t.Context(), near, true, Message{From: "a@x", To: []string{"b@x"}, Open: text("x\r\n")})
		if err == nil {
			t.Errorf("%q: no error", piece)
		}
		if c != nil {
			_ = c.Close()
		}
		_ = near.Close()
		done.Wait()
	}
}

// What leaves for the content of a message.
func TestContent(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "\r\n",
		"x":                          "x\r\n",
		"x\r\n":                      "x\r\n",
		"a\nb\rc\r\nd":               "a\r\nb\r\nc\r\nd\r\n",
		"\r\r\n\n":                   "\r\n\r\n\r\n",
		"\r":                         "\r\n",
		".\r\n..\r\nx.\r\n":          "..\r\n...\r\nx.\r\n",
		"\n.\r\n":                    "\r\n..\r\n",
		"a\r.\rb":                    "a\r\n..\r\nb\r\n",
		"\x00.\r\n":                  "..\r\n",
		"a\r\n\x00\x00.\x00\r\n":     "a\r\n..\x00\r\n",
		"\x00a\x00.\r\n\x00":         "\x00a\x00.\r\n\x00\r\n",
		"a\r\x00\n.":                 "a\r\n\x00\r\n..\r\n",
		"\xff\x80\x01\x1a\x7f":       "\xff\x80\x01\x1a\x7f\r\n",
		strings.Repeat("x", 100_000): strings.Repeat("x", 100_000) + "\r\n",
		strings.Repeat("\x00", 9e4):  strings.Repeat("\x00", 9e4) + "\r\n",
	} {
		for _, reader := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, func(r io.Reader) io.Reader { return slow{r} }} {
			var wire bytes.Buffer
			stuffed := dots(&wire)
			if bodyErr, err := send(stuffed, reader(strings.NewReader(in)), int64(len(in))); bodyErr != nil || err != nil {
				t.Fatal(bodyErr, err)
			}
			_ = stuffed.Close()
			if wire.String() != want+".\r\n" {
				t.Errorf("%.100q became %.100q", in, wire.String())
			}
		}
	}
}

// dots is what go-smtp's client writes content through.
func dots(w io.Writer) io.WriteCloser { return textproto.NewWriter(bufio.NewWriter(w)).DotWriter() }

type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) { return s.Reader.Read(p[:1]) }

// However lenient a server is about line ends and NULs, it finds one end of the message, where it is. All else is there, in its order.
func FuzzContent(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\nhello\n.\r\nMAIL FROM:<>"))
	f.Add([]byte("\r.\r\r\n\x00.\x00\r\n\n.\x00\n\x00\r\x00.\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var wire bytes.Buffer
		stuffed := dots(&wire)
		if bodyErr, err := send(stuffed, bytes.NewReader(in), 0); bodyErr != nil || err != nil {
			t.Fatal(bodyErr, err)
		}
		_ = stuffed.Close()
		lines := strings.SplitAfter(wire.String(), "\r\n")
		if lines[len(lines)-1] != "" || lines[len(lines)-2] != ".\r\n" || strings.ContainsAny(strings.ReplaceAll(wire.String(), "\r\n", ""), "\r\n") {
			t.Fatalf("%q is on the wire as %q", in, wire.String())
		}
		for _, line := range lines[:len(lines)-2] {
			if strings.ReplaceAll(line, "\x00", "") == ".\r\n" {
				t.Fatalf("%q is on the wire as %q", in, wire.String())
			}
		}
		bare := func(s string) string { return strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s) }
		var got strings.Builder
		for _, line := range lines[:len(lines)-2] {
			got.WriteString(bare(strings.TrimPrefix(line, ".")))
		}
		if got.String() != bare(string(in)) {
			t.Fatalf("%q is on the wire as %q", in, wire.String())
		}
	})
}

// A server that says anything at all: nothing panics or hangs, and nobody is said to have a message without a 2xx.
func FuzzServer(f *testing.F) {
	f.Add([]byte("220 hi\r\n250-x\r\n250 SIZE 10\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n250 ok\r\n221 bye\r\n"), true)
	f.Add([]byte("220 hi\r\n250-x\r\n250 SMTPUTF8\r\n250 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n554-5.6.0 a\r\n554 5.6.0 b\r\n"), false)
	f.Add([]byte("220 hi\r\n500 no\r\n250 ok\r\n250 ok\r\n"), true)
	f.Fuzz(func(t *testing.T, says []byte, lmtp bool) {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var done sync.WaitGroup
			done.Go(func() { _, _ = io.Copy(io.Discard, far) })
			done.Go(func() {
				_, _ = far.Write(says)
				time.Sleep(time.Second)
				_ = far.Close()
			})
			c, results, err := deliver(t.Context(), near, lmtp, Message{From: "a@x", To: []string{"b@x", "c@x"}, Open: text("x\r\n")})
			for _, r := range results {
				if r.Err == nil && (!bytes.Contains(says, []byte(r.Reply[:3])) || r.Reply[0] != '2') {
					t.Errorf("%+v", r)
				}
			}
			if err == nil && len(results) != 2 {
				t.Errorf("%d results and no error", len(results))
			}
			if c != nil {
				c.Quit(t.Context())
			}
			_ = near.Close()
			done.Wait()
		})
	})
}

func BenchmarkDeliver(b *testing.B) {
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		conn, err := l.Accept()
		if err == nil {
			script{".": "250 ok\r\n250 ok"}.serve(conn)
		}
	}()
	defer func() { _ = l.Close() }()
	conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	c, err := Open(b.Context(), conn, Options{LMTP: true, TLS: TLSNone})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Quit(b.Context())
	body := text(strings.Repeat(strings.Repeat("x", 76)+"\r\n", 100))
	for n := 0; b.Loop(); n++ {
		results, err := c.Deliver(b.Context(), Message{From: "a@x", To: []string{"b@x", fmt.Sprint("c", n, "@x")}, Open: body})
		if err != nil || verdicts(results) != "ok ok" {
			b.Fatal(results, err)
		}
	}
}
