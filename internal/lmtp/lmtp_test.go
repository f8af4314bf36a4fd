package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"
)

// Everything at once over one connection, with a message between any two that must leave nothing open.
func TestDeliverMany(t *testing.T) {
	for _, lmtp := range []bool{true, false} {
		o := &office{lmtp: lmtp}
		c := open(t, o, plain)
		for round := range 3 {
			for _, m := range morning() {
				want := map[string]string{"m0@x": "ok permanent ok", "m1@x": "permanent", "m2@x": "ok", "m3@x": "ok temporary temporary ok",
					"refused@x": "permanent", "spam@x": "permanent permanent", "m6@x": "ok"}[m.From]
				if !lmtp && m.From == "m3@x" {
					want = "ok temporary ok ok"
				}
				results, err := c.Deliver(t.Context(), m)
				if err != nil || verdicts(results) != want || !c.Usable() {
					t.Fatalf("round %d, %s: %q, %v", round, m.From, verdicts(results), err)
				}
			}
		}
		accepted := 0
		for _, l := range o.all() {
			accepted += len(l.to)
		}
		if want := map[bool]int{true: 3 * 6, false: 3 * 7}[lmtp]; accepted != want {
			t.Errorf("LMTP %v: %d accepted, want %d", lmtp, accepted, want)
		}
		c.Quit(t.Context())
		if _, err := c.Deliver(t.Context(), morning()[0]); err == nil || c.Usable() {
			t.Errorf("delivered behind QUIT: %v", err)
		}
	}
}

// A server that closed an idle connection has seen nothing of the next message: no Result, and Usable says what to do.
func TestIdleConnectionClosed(t *testing.T) {
	o := &office{lmtp: true}
	near, far := net.Pipe()
	stop := o.serve(far)
	c, err := Open(t.Context(), near, Options{LMTP: true, TLS: TLSNone})
	if err != nil {
		t.Fatal(err)
	}
	if results, err := c.Deliver(t.Context(), morning()[6]); err != nil || verdicts(results) != "ok" || !c.Usable() {
		t.Fatal(results, err)
	}
	stop()
	results, err := c.Deliver(t.Context(), morning()[6])
	var e *Error
	if len(results) > 0 || !errors.As(err, &e) || !e.Temporary || e.Command != "MAIL" || c.Usable() {
		t.Errorf("%v, %+v", results, err)
	}
}

// The words of the server come out as they went in.
func TestWords(t *testing.T) {
	m := Message{From: "a@x", To: []string{"nobody@x", "later@x", "full@x", "b@x"}, Open: text("x\r\n")}
	results, err := Deliver(t.Context(), connect(t, &office{lmtp: true}), Options{LMTP: true, TLS: TLSNone, Hello: "gateway.example"}, m)
	if err != nil || len(results) != 4 {
		t.Fatal(results, err)
	}
	for i, want := range []string{"550 5.1.1 no such user", "450 4.2.1 not now", "452 4.2.2 <full@x> full", "250 2.0.0 <b@x> OK: queued"} {
		if results[i].To != m.To[i] || results[i].Reply != want {
			t.Errorf("%+v, want %q", results[i], want)
		}
	}
	var e *Error
	if !errors.As(results[0].Err, &e) || e.Command != "RCPT" || e.Code != 550 || e.Enhanced != "5.1.1" || e.Line != results[0].Reply ||
		e.Error() != "office server: RCPT: 550 5.1.1 no such user" {
		t.Errorf("%+v", e)
	}
}

func TestNobody(t *testing.T) {
	c := open(t, &office{lmtp: true}, plain)
	if results, err := c.Deliver(t.Context(), Message{}); len(results) != 0 || err != nil {
		t.Error(results, err)
	}
}

// One who is named twice is offered once and told twice, also by two forms of one domain.
func TestNamedTwice(t *testing.T) {
	o := &office{lmtp: true}
	c := open(t, o, plain)
	to := []string{"b@x", "nobody@x", "b@x", "nobody@x", "c@zürich.example", "c@xn--zrich-kva.example"}
	results, err := c.Deliver(t.Context(), Message{To: to, Open: text("x")})
	if err != nil || verdicts(results) != "ok permanent ok permanent ok ok" || len(o.all()) != 2 {
		t.Error(results, err, o.all())
	}
	for i, r := range results {
		if r.To != to[i] {
			t.Errorf("%d is for %s", i, r.To)
		}
	}
}

// A server that takes few recipients at a time gets all of them.
func TestFewRecipientsAtATime(t *testing.T) {
	for _, lmtp := range []bool{true, false} {
		o := &office{lmtp: lmtp, set: func(s *smtp.Server) { s.MaxRecipients = 3 }}
		c := open(t, o, plain)
		var to []string
		for i := range 10 {
			to = append(to, fmt.Sprintf("b%d@x", i))
		}
		to[4] = "nobody@x"
		results, err := c.Deliver(t.Context(), Message{To: to, Open: text("x")})
		if err != nil || verdicts(results) != "ok ok ok ok permanent ok ok ok ok ok" {
			t.Errorf("LMTP %v: %v, %v", lmtp, results, err)
		}
	}
	// One that takes none is believed.
	_, results, err := deliver(t.Context(), talk(t, script{"RCPT": "452 4.5.3 too many"}), true, Message{To: []string{"a@x", "b@x"}, Open: text("x")})
	if err != nil || verdicts(results) != "temporary temporary" {
		t.Error(results, err)
	}
}

// What goes with MAIL, and what is kept from the server.
func TestEnvelope(t *testing.T) {
	for name, test := range map[string]struct {
		set   func(*smtp.Server)
		m     Message
		want  string
		opts  smtp.MailOptions
		sent  string // the first recipient as the server got it
		about string
	}{
		"plain":            {m: Message{From: "a@x", To: []string{"b@x"}}, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME}},
		"size":             {m: Message{To: []string{"b@x"}, Size: 3}, set: limit(100), want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME, Size: 3}},
		"too large":        {m: Message{To: []string{"b@x", "c@x"}, Size: 200}, set: limit(100), want: "permanent permanent", about: "takes 100 at most"},
		"UTF-8":            {m: Message{To: []string{"b@x"}, UTF8: true}, set: utf, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true}},
		"UTF-8, old":       {m: Message{To: []string{"b@x"}, UTF8: true}, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME}},
		"UTF-8 address":    {m: Message{To: []string{"ü@x"}}, set: utf, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true}, sent: "ü@x"},
		"one of two":       {m: Message{To: []string{"ü@x", "b@x"}}, want: "permanent ok", about: "letters outside ASCII"},
		"UTF-8 sender":     {m: Message{From: "ü@x", To: []string{"b@x"}}, want: "permanent", about: "letters outside ASCII"},
		"domain":           {m: Message{From: "a@zürich.example", To: []string{"b@zürich.example"}}, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME}, sent: "b@xn--zrich-kva.example"},
		"quoted":           {m: Message{To: []string{`"b c"@x`}}, want: "ok", opts: smtp.MailOptions{Body: smtp.Body8BitMIME}, sent: "b c@x"}, // as go-smtp's server hands it on
		"none":             {m: Message{To: []string{""}}, want: "permanent", about: "is empty"},
		"injected":         {m: Message{To: []string{"b@x>\r\nRCPT TO:<c@x"}}, want: "permanent", about: "control character"},
		"injected, tamely": {m: Message{To: []string{"b@x> SIZE=1 <"}}, want: "permanent", about: "angle bracket"},
		"not text":         {m: Message{From: "\xff@x", To: []string{"b@x"}}, want: "permanent", about: "valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &office{lmtp: true, set: test.set}
			c := open(t, o, plain)
			test.m.Open = text("x\r\n")
			results, err := c.Deliver(t.Context(), test.m)
			if err != nil || verdicts(results) != test.want {
				t.Fatal(results, err)
			}
			if test.about != "" && !strings.Contains(results[0].Reply, test.about) {
				t.Errorf("%+v", results[0])
			}
			if test.want == "ok" && *o.params[0] != test.opts {
				t.Errorf("options are %+v", o.params[0])
			}
			if test.sent != "" && o.all()[0].to[0] != test.sent {
				t.Errorf("sent to %v", o.all()[0].to)
			}
		})
	}
}

func limit(n int64) func(*smtp.Server) { return func(s *smtp.Server) { s.MaxMessageBytes = n } }
func utf(s *smtp.Server)               { s.EnableSMTPUTF8 = true }

type failing struct {
	io.Reader
	closed *int
}

func (f failing) Close() error { *f.closed++; return nil }

// A message that can't be read, or isn't what it should be, reaches nobody, and is closed.
func TestBrokenMessage(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, test := range map[string]struct {
		open   func(*int) (io.ReadCloser, error)
		size   int64
		usable bool
		cause  error
	}{
		"unopened": {func(*int) (io.ReadCloser, error) { return nil, broken }, 0, true, broken},
		"broken": {func(n *int) (io.ReadCloser, error) {
			return failing{io.MultiReader(strings.NewReader(strings.Repeat("x\r\n", 50_000)), failed{broken}), n}, nil
		}, 0, false, broken},
		"short": {func(n *int) (io.ReadCloser, error) { return failing{strings.NewReader("xx"), n}, nil }, 3, false, errSize},
		"long":  {func(n *int) (io.ReadCloser, error) { return failing{strings.NewReader("xxxx"), n}, nil }, 3, false, errSize},
	} {
		t.Run(name, func(t *testing.T) {
			o := &office{lmtp: true}
			c := open(t, o, plain)
			opened, closed := 0, 0
			m := Message{To: []string{"b@x"}, Size: test.size, Open: func() (io.ReadCloser, error) {
				r, err := test.open(&closed)
				if err == nil {
					opened++
				}
				return r, err
			}}
			results, err := c.Deliver(t.Context(), m)
			var e *Error
			if len(results) != 0 || !errors.Is(err, test.cause) || !errors.As(err, &e) || !e.Temporary || e.Command != "content" {
				t.Errorf("%v, %+v", results, err)
			}
			if c.Usable() != test.usable || opened != closed || len(o.all()) != 0 {
				t.Errorf("usable %v, opened %d, closed %d, arrived %v", c.Usable(), opened, closed, o.all())
			}
			if test.usable {
				if results, err := c.Deliver(t.Context(), morning()[6]); err != nil || verdicts(results) != "ok" {
					t.Error(results, err)
				}
			}
		})
	}
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// TLS and log-in, and what must not work.
func TestSecurity(t *testing.T) {
	cert, pool := certificate()
	withTLS := func(s *smtp.Server) { s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}} }
	good := &tls.Config{ServerName: "office.example", RootCAs: pool}
	for name, test := range map[string]struct {
		set  func(*smtp.Server)
		opt  Options
		says string // "": it works
	}{
		"STARTTLS":              {withTLS, Options{TLS: TLSStart, TLSConfig: good}, ""},
		"STARTTLS and password": {withTLS, Options{TLS: TLSStart, TLSConfig: good, User: "u", Password: "secret"}, ""},
		"implicit":              {withTLS, Options{TLS: TLSImplicit, TLSConfig: good, User: "u", Password: "secret"}, ""},
		"in the clear":          {nil, Options{TLS: TLSNone, User: "u", Password: "secret", AllowPlainAuth: true}, ""},
		"not allowed":           {nil, Options{TLS: TLSNone, User: "u", Password: "secret"}, "not sent over a connection without TLS"},
		"wrong password":        {nil, Options{TLS: TLSNone, User: "u", Password: "swordfish", AllowPlainAuth: true}, "535 5.7.8 not with ***"},
		"no AUTH":               {func(s *smtp.Server) { s.AllowInsecureAuth = false }, Options{TLS: TLSNone, User: "u", Password: "secret", AllowPlainAuth: true}, "doesn't offer to log in"},
		"no STARTTLS":           {nil, Options{TLS: TLSStart, TLSConfig: good}, "does not offer STARTTLS"},
		"other name":            {withTLS, Options{TLS: TLSStart, TLSConfig: &tls.Config{ServerName: "other.example", RootCAs: pool}}, "other.example"},
		"other issuer":          {withTLS, Options{TLS: TLSStart, TLSConfig: &tls.Config{ServerName: "office.example", RootCAs: nil}}, "unknown authority"},
		"no configuration":      {withTLS, Options{TLS: TLSStart}, "without a TLS configuration"},
		"no mode":               {nil, Options{}, "unknown TLS mode"},
		"no name":               {nil, Options{TLS: TLSNone, Hello: "a b"}, "not a domain name"},
	} {
		for _, lmtp := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", lmtp), func(t *testing.T) {
				o := &office{lmtp: lmtp, set: test.set}
				near, far := net.Pipe()
				conn := far
				if test.opt.TLS == TLSImplicit && test.set != nil {
					conn = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}})
				}
				stop := o.serve(conn)
				defer stop()
				opt := test.opt
				opt.LMTP = lmtp
				results, err := Deliver(t.Context(), near, opt, morning()[6])
				var e *Error
				switch {
				case test.says == "":
					if err != nil || verdicts(results) != "ok" || opt.User != "" && !slices.Equal(o.logins, []string{"u"}) {
						t.Error(results, err, o.logins)
					}
				case !errors.As(err, &e) || e.Temporary || !strings.Contains(err.Error(), test.says) || len(results) > 0:
					t.Errorf("%v, %+v", results, err)
				}
			})
		}
	}
}

// A server that speaks in the clear where TLS is wanted from the first octet.
func TestNotImplicitTLS(t *testing.T) {
	near, far := net.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		go func() { _, _ = io.Copy(io.Discard, far) }()
		_, _ = io.WriteString(far, "220 office.example ESMTP\r\n")
	})
	_, err := Open(t.Context(), near, Options{TLS: TLSImplicit, TLSConfig: &tls.Config{ServerName: "office.example"}})
	var e *Error
	if !errors.As(err, &e) || e.Temporary || e.Hint == "" || !strings.Contains(err.Error(), "does not look like a TLS handshake") {
		t.Errorf("%+v", err)
	}
	done.Wait()
}

// Words put into the server's mouth before TLS are not heard.
func TestInjectionBeforeTLS(t *testing.T) {
	_, pool := certificate()
	for answer, says := range map[string]string{
		"220 go\r\n250 LHLO": "sent more before TLS", "454 4.7.0 not now": "454 4.7.0 not now", "hello": "neither LMTP nor SMTP",
	} {
		near, far := net.Pipe()
		go func() {
			defer func() { _ = far.Close() }()
			s := script{"LHLO": "250-x\r\n250 STARTTLS", "STARTTLS": answer}
			s.serve(far)
		}()
		_, err := Open(t.Context(), near, Options{LMTP: true, TLS: TLSStart, TLSConfig: &tls.Config{ServerName: "office.example", RootCAs: pool}})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// The context's end ends everything at once, whatever is waited for.
func TestContext(t *testing.T) {
	for _, verb := range []string{"greeting", "LHLO", "MAIL", "RCPT", "DATA", ".", "RSET"} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var done sync.WaitGroup
			s := script{verb: "MUTE"}
			if verb == "RSET" {
				s["RCPT"] = "550 no"
			}
			done.Go(func() { s.serve(far) })
			cause := errors.New("the office burns")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			begun := time.Now()
			c, results, err := deliver(ctx, near, true, Message{To: []string{"b@x"}, Open: text("x\r\n")})
			if time.Since(begun) != time.Second || verb != "RSET" && !errors.Is(err, cause) {
				t.Errorf("%s: %v after %v", verb, err, time.Since(begun))
			}
			if want := map[string]string{".": "doubtful", "RSET": "permanent"}[verb]; verdicts(results) != want || c != nil && c.Usable() {
				t.Errorf("%s: %v", verb, results)
			}
			_ = far.Close()
			done.Wait()
		})
	}
	// One that has ended before: not an octet is sent.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	near, _ := net.Pipe()
	if _, err := Open(ctx, near, plain); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// How long silence is borne.
func TestSilence(t *testing.T) {
	for verb, want := range map[string]time.Duration{"greeting": 5 * time.Minute, "LHLO": 5 * time.Minute, "MAIL": 5 * time.Minute, ".": 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var done sync.WaitGroup
			done.Go(func() { script{verb: "MUTE"}.serve(far) })
			begun := time.Now()
			_, results, err := deliver(t.Context(), near, true, Message{To: []string{"b@x"}, Open: text("x\r\n")})
			if time.Since(begun) != want || !errors.Is(err, os.ErrDeadlineExceeded) || len(results) > 0 != (verb == ".") {
				t.Errorf("%s: %v, %v after %v", verb, results, err, time.Since(begun))
			}
			done.Wait()
		})
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		var done sync.WaitGroup
		done.Go(func() { script{"QUIT": "MUTE"}.serve(far) })
		begun := time.Now()
		_, err := Deliver(t.Context(), near, Options{TLS: TLSNone}, Message{To: []string{"b@x"}, Open: text("x\r\n")})
		if err != nil || time.Since(begun) != quitPatience {
			t.Errorf("QUIT: %v after %v", err, time.Since(begun))
		}
		done.Wait()
	})
}
