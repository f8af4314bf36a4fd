package modem

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// logIn is the usual dialogue.
func logIn() Login {
	return Login{Abort: []string{"incorrect"}, Steps: []LoginStep{{Expect: "ogin:", Send: "office"}, {Expect: "word:", Send: "geheim"}}}
}

// frame is the beginning of a far end's PPP.
const frame = "~\xff}#\xc0!}!}!} }4}\"}&} } } } }%}&~"

// answer plays the far end: the log-in, and then PPP's first frame.
func (r rig) answer(l modemtest.Login) {
	go func() {
		call, err := r.device.Accept(context.Background())
		if err != nil {
			return
		}
		if l.Serve(call) != nil {
			_ = call.Close()
			return
		}
		_, _ = call.Write([]byte(frame))
	}()
}

func TestLogin(t *testing.T) {
	whole := modemtest.Login{Banner: "\r\nWelcome to ACCESS-7\r\n\r\n", User: "office", Password: "geheim"}
	satellite := modemtest.Iridium()
	satellite.Registration = nil
	for _, c := range []struct {
		name   string
		line   modemtest.Options
		change func(far *modemtest.Login, l *Login)
	}{
		{"as usual", modemtest.Options{}, func(*modemtest.Login, *Login) {}},
		{"over a satellite", satellite, func(*modemtest.Login, *Login) {}},
		{"a far end that echoes all", modemtest.Options{}, func(far *modemtest.Login, _ *Login) { far.Echo, far.EchoPassword = true, true }},
		{"in pieces", modemtest.Options{}, func(far *modemtest.Login, l *Login) {
			far.Echo, far.EchoPassword, far.EchoBreak = true, true, 3
			l.Steps = append(l.Steps, LoginStep{Expect: "PPP mode."})
		}},
		{"waits for a CR", modemtest.Options{}, func(far *modemtest.Login, l *Login) {
			far.Wait = true
			l.Steps = append([]LoginStep{{Send: "\r"}}, l.Steps...)
		}},
		{"a banner of 50 kB", modemtest.Options{}, func(far *modemtest.Login, _ *Login) { far.Banner = strings.Repeat("news of the network\r\n", 2500) }},
		{"a last word to wait for", modemtest.Options{}, func(_ *modemtest.Login, l *Login) { l.Steps = append(l.Steps, LoginStep{Expect: "PPP mode."}) }},
		{"one step too many", modemtest.Options{}, func(_ *modemtest.Login, l *Login) { l.Steps = append(l.Steps, LoginStep{Expect: "> ", Send: "ppp"}) }},
	} {
		in(t, c.name, func(t *testing.T) {
			far, l := whole, logIn()
			c.change(&far, &l)
			r := newRig(t, c.line, bare(), "geheim")
			r.answer(far)
			conn, err := r.Dial(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			sent, heard, err := conn.Login(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			// PPP gets its frame whole, behind text or not.
			var rest []byte
			buf := make([]byte, 7)
			for !bytes.HasSuffix(rest, []byte(frame)) {
				n, err := conn.Read(buf)
				if err != nil {
					t.Fatalf("%q, %v", rest, err)
				}
				rest = append(rest, buf[:n]...)
			}
			if c := r.device.Counters(); int64(sent) != c.Up || int64(heard+len(rest)) != c.Down {
				t.Errorf("%d sent, %d heard and %d left; the line had %d and %d", sent, heard, len(rest), c.Up, c.Down)
			}
			r.logged("> office\n")
			r.logged("> ***\n")
			for _, leak := range []string{"geh", "heim", "eim"} {
				if strings.Contains(r.Transcript(), leak) {
					t.Errorf("%q shows:\n%s", leak, r.Transcript())
				}
			}
			r.hangUp()
		})
	}
}

func TestLoginErrors(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(far *modemtest.Login, l *Login, o *modemtest.Options)
		says      []string
		temporary bool
		lasts     time.Duration
	}{
		{"wrong password", func(far *modemtest.Login, _ *Login, _ *modemtest.Options) { far.Password = "other" },
			[]string{`step 3: the far end says "incorrect"`, "check user and password"}, false, 0},
		{"wrong password, nothing to tell it by", func(far *modemtest.Login, l *Login, _ *modemtest.Options) { far.Password, l.Abort = "other", nil },
			[]string{`step 3: waited in vain for "PPP"`, `heard last: `, "Login incorrect", "login:"}, true, 45 * time.Second},
		{"another prompt", func(far *modemtest.Login, _ *Login, _ *modemtest.Options) { far.Prompt = "Benutzer? " },
			[]string{`step 1: waited in vain for "ogin:"; heard last: "Benutzer?"`, "compare"}, true, 45 * time.Second},
		{"silence", func(far *modemtest.Login, l *Login, _ *modemtest.Options) {
			far.Wait, l.Steps[0].Timeout = true, 9*time.Second
		},
			[]string{"nothing was heard", "first CR"}, true, 9 * time.Second},
		{"hangs up", func(far *modemtest.Login, l *Login, _ *modemtest.Options) {
			far.Password, far.Tries, l.Abort = "other", 1, nil
		},
			[]string{"carrier lost", "hung up in the middle"}, true, 0},
		{"carrier lost", func(_ *modemtest.Login, _ *Login, o *modemtest.Options) { o.CutAfter = 12 },
			[]string{"step 2", "carrier lost"}, true, 0},
		{"a text too long", func(_ *modemtest.Login, l *Login, _ *modemtest.Options) { l.Steps[0].Expect = strings.Repeat("x", 300) },
			[]string{"longer than 256"}, false, 0},
		{"noise", func(far *modemtest.Login, l *Login, _ *modemtest.Options) {
			far.Prompt = strings.Repeat("\xfe\x01\x02", 9000)
		},
			[]string{"octets that are no text"}, true, 45 * time.Second},
	} {
		in(t, c.name, func(t *testing.T) {
			far, l := modemtest.Login{User: "office", Password: "geheim", Echo: true, EchoPassword: true}, logIn()
			l.Steps = append(l.Steps, LoginStep{Expect: "PPP"})
			var opt modemtest.Options
			c.change(&far, &l, &opt)
			r := newRig(t, opt, bare(), "geheim")
			r.answer(far)
			conn, err := r.Dial(t.Context(), "1")
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			_, _, err = conn.Login(t.Context(), l)
			var le *LoginError
			if !errors.As(err, &le) {
				t.Fatal(err)
			}
			text := le.Error() + " " + le.Advice()
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("%s: lacks %q", text, s)
				}
			}
			if le.Temporary != c.temporary || len(le.Heard) > maxQuote || strings.Contains(text+r.Transcript(), "geheim") {
				t.Errorf("%+v", le)
			}
			if d := time.Since(begun) - c.lasts; c.lasts > 0 && (d < 0 || d > time.Second) || d > 2*time.Second {
				t.Errorf("took %v, want %v", time.Since(begun), c.lasts)
			}
			r.hangUp()
		})
	}
}

// Login ends with its caller's patience, and with a hang-up of another goroutine.
func TestLoginCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		conn, _ := r.dial()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := conn.Login(ctx, logIn()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(10*time.Second, func() { r.Hangup(context.Background()) })
		if _, _, err := conn.Login(t.Context(), logIn()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		r.hangUp()
	})
}

// PPP that begins before, in or after the dialogue is found wherever reads cut it, and
// not an octet of it is lost.
func TestLoginMeetsPPP(t *testing.T) {
	for _, start := range []string{"~\xff\x03\xc0!\x01\x01\x00\x04~", frame} {
		for _, before := range []string{"", "junk~\xff\x03\xc0", "login: x"} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, modemtest.Options{Chop: 1, Down: 300}, bare())
				conn, far := r.dial()
				go far.Write([]byte(before + start))
				if _, _, err := conn.Login(t.Context(), Login{Steps: []LoginStep{{Expect: "never"}}}); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(start))
				if _, err := io.ReadFull(conn, got); err != nil || string(got) != start {
					t.Errorf("PPP reads %q, %v; want %q", got, err, start)
				}
				r.hangUp()
			})
		}
	}
}

func FuzzLogin(f *testing.F) {
	f.Add([]byte("Welcome\r\nlogin: "), "ogin:", "incorrect")
	f.Add([]byte("Login incorrect"), "PPP", "incorrect")
	f.Add([]byte(frame), "x", "")
	f.Add([]byte("\x7e\xff\x03\xc0\x21"), "", "")
	f.Add(bytes.Repeat([]byte("ab"), 3000), "abb", "bb")
	f.Fuzz(func(t *testing.T, text []byte, expect, abort string) {
		if len(expect) > maxExpect || len(abort) > maxExpect || len(text) > 1<<14 {
			return
		}
		e, from := ear{abort: []string{abort}}, 0
		for i, b := range text {
			what, found := e.listen(b, expect)
			if len(e.heard) > maxHeard {
				t.Fatalf("%d octets kept", len(e.heard))
			}
			sofar := text[from : i+1]
			if what != nothing && !bytes.HasSuffix(sofar, []byte(found)) {
				t.Fatalf("%q is said to end with %q", sofar, found)
			}
			// What is looked for is found where it ends, not later.
			if what == nothing && (expect != "" && bytes.HasSuffix(sofar, []byte(expect)) || abort != "" && bytes.HasSuffix(sofar, []byte(abort))) {
				t.Fatalf("%q or %q overlooked at %d of %q", expect, abort, i, text)
			}
			if what == matched {
				e.heard, from = e.heard[:0], i+1
			}
		}
	})
}
