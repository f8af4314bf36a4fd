package modem

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// rig is a Modem on a device.
type rig struct {
	*Modem
	t      *testing.T
	device *modemtest.Modem
}

func newRig(t *testing.T, opt modemtest.Options, p Profile, secrets ...string) rig {
	t.Helper()
	device := modemtest.New(opt)
	m := New(device.Port(), p, Options{Secrets: secrets})
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		device.Close()
		if t.Failed() {
			t.Log(m.Transcript())
		}
	})
	return rig{m, t, device}
}

func (r rig) init() rig {
	r.t.Helper()
	if err := r.Init(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// call is both ends of a connection.
func (r rig) dial() (*Conn, io.ReadWriteCloser) {
	r.t.Helper()
	c, err := r.Dial(r.t.Context(), "5551234")
	if err != nil {
		r.t.Fatal(err)
	}
	far, err := r.device.Accept(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return c, far
}

func (r rig) hangUp() {
	r.t.Helper()
	if err := r.Hangup(r.t.Context()); err != nil {
		r.t.Error(err)
	}
	if r.device.Counters().OffHook {
		r.t.Error("the hang-up is confirmed and the line is open")
	}
}

func (r rig) logged(text string) {
	r.t.Helper()
	if !strings.Contains(r.Transcript(), text) {
		r.t.Errorf("the transcript lacks %q", text)
	}
}

// in runs a test in virtual time.
func in(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// bare is a profile without init steps, for devices set up by their options.
func bare() Profile { return Profile{} }

// A whole call over a slow line: 58 s to dial, both directions, hang-up.
func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{
			Echo: true, DialTime: 58 * time.Second, Up: 9600, Down: 9600, Delay: 300 * time.Millisecond,
			ConnectLine: "CONNECT 9600/ARQ",
		}, Generic()).init()
		begun := time.Now()
		c, far := r.dial()
		if d := time.Since(begun); d != 58*time.Second {
			t.Errorf("dialled for %v", d)
		}
		if c.Connect() != "CONNECT 9600/ARQ" || c.Rate() != 9600 {
			t.Errorf("Connect %q, Rate %d", c.Connect(), c.Rate())
		}
		exchange(t, c, far)
		begun = time.Now()
		r.hangUp()
		if d := time.Since(begun); d > time.Second {
			t.Errorf("hang-up by DTR took %v", d)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("read after hang-up: %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("write after hang-up: %v", err)
		}
		r.logged("> ATDT5551234\n")
		r.logged("< CONNECT 9600/ARQ\n")
		r.logged("-- hang-up: DTR low, DCD down")
		// And once more, on the same modem.
		c, far = r.dial()
		exchange(t, c, far)
		r.hangUp()
		if n := r.device.Counters(); n.Connects != 2 || n.Hangups != 2 {
			t.Errorf("%+v", n)
		}
	})
}

// exchange sends something both ways and compares; the first octets count most.
func exchange(t *testing.T, c io.ReadWriter, far io.ReadWriter) {
	t.Helper()
	frame := "~\xff\x7d\x23\xc0\x21NO CARRIER\r\nOK\r\n" + strings.Repeat("x", 3000) + "~"
	for _, way := range []struct {
		name string
		w    io.Writer
		r    io.Reader
	}{{"up", c, far}, {"down", far, c}} {
		go way.w.Write([]byte(frame))
		got := make([]byte, len(frame))
		if _, err := io.ReadFull(way.r, got); err != nil || string(got) != frame {
			t.Fatalf("%s: %v; %.40q instead of %.40q", way.name, err, got, frame)
		}
	}
}

// No octet of the far end is lost or added, however the result lines end, and
// although the far end speaks at once.
func TestFirstOctet(t *testing.T) {
	for _, end := range []string{"\r\n", "\r", "\n", "\r\r\n"} {
		for _, setup := range []string{"E1", "E0", "E1V0", "E0V0"} {
			in(t, setup+strings.NewReplacer("\r", "-CR", "\n", "-LF").Replace(end), func(t *testing.T) {
				r := newRig(t, modemtest.Options{LineEnd: end, PowerUp: setup, DialTime: time.Second}, bare())
				go func() {
					if far, err := r.device.Accept(t.Context()); err == nil {
						far.Write([]byte("~first"))
					}
				}()
				c, err := r.Dial(t.Context(), "1")
				if err != nil {
					t.Fatal(err)
				}
				got := make([]byte, 6)
				if _, err := io.ReadFull(c, got); err != nil || string(got) != "~first" {
					t.Errorf("read %q, %v", got, err)
				}
				r.hangUp()
			})
		}
	}
}

func TestInit(t *testing.T) {
	pin := Profile{Init: []Step{{Send: "AT+CPIN=4321", Optional: true}, {Send: "AT+CPIN?", Expect: "READY"}}}
	for _, c := range []struct {
		name   string
		opt    modemtest.Options
		p      Profile
		result Result // of the CommandError; None: Init succeeds
		sent   []string
	}{
		{"generic", modemtest.Options{Echo: true}, Generic(), None, []string{"Q0E0", "Z", "E0V1Q0", "X4", "&C1", "&D2", "S0=0"}},
		{"quiet and numeric", modemtest.Options{PowerUp: "Q1V0"}, Generic(), None, nil},
		{"talks in between", modemtest.Options{Unsolicited: []string{"RING", "+CREG: 1", "NO CARRIER", "3"}}, Generic(), None, nil},
		{"refuses an optional step", modemtest.Options{Refuse: []string{"X4", "S0"}}, Generic(), None, nil},
		{"refuses a step", modemtest.Options{Refuse: []string{"&D"}}, Generic(), Error, nil},
		{"answers as expected", modemtest.Options{}, pin, None, nil},
		{"answers otherwise", modemtest.Options{}, Profile{Init: []Step{{Send: "AT+CPIN?", Expect: "SIM PIN"}}}, OK, nil},
		{"is off", modemtest.Options{HoldCTS: true}, Generic(), Timeout, nil},
	} {
		in(t, c.name, func(t *testing.T) {
			r := newRig(t, c.opt, c.p, "4321")
			err := r.Init(t.Context())
			var ce *CommandError
			switch {
			case c.result == None && err != nil:
				t.Fatal(err)
			case c.result != None && (!errors.As(err, &ce) || ce.Result != c.result || ce.Hint == ""):
				t.Fatalf("%v (%+v), want %v", err, ce, c.result)
			}
			if got := r.device.Counters().Commands; c.sent != nil && !slices.Equal(got, c.sent) {
				t.Errorf("sent %q", got)
			}
			if strings.Contains(r.Transcript(), "4321") {
				t.Error("the PIN is in the transcript")
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	for _, c := range []struct {
		answer    string
		result    Result
		temporary bool
		wait      time.Duration
	}{
		{"NO CARRIER", NoCarrier, true, 0},
		{"RINGING\nRINGING\nBUSY", Busy, true, 0},
		{"NO DIALTONE", NoDialTone, true, 0},
		{"NO DIAL TONE", NoDialTone, true, 0},
		{"NO ANSWER", NoAnswer, true, 0},
		{"VOICE", Voice, false, 0},
		{"ERROR", Error, false, 0},
		{"DELAYED 00:05:00", Delayed, true, 5 * time.Minute},
		{"BLACKLISTED", Blacklisted, false, 0},
		{"BLACKLIST FULL", Blacklisted, false, 0},
		{"+CME ERROR: 10", EquipmentError, false, 0},
		{"+CME ERROR: 30", EquipmentError, true, 0},
		{"SILENCE", Timeout, true, 0},
		{"GARBAGE", Timeout, true, 0},
		{"RING\n+CREG: 0,5\nBUSY", Busy, true, 0},
	} {
		in(t, c.answer, func(t *testing.T) {
			r := newRig(t, modemtest.Options{DialTime: 5 * time.Second, Answer: c.answer}, bare()).init()
			conn, err := r.Dial(t.Context(), "5551234")
			var de *DialError
			if conn != nil || !errors.As(err, &de) {
				t.Fatalf("%v, %v", conn, err)
			}
			if de.Result != c.result || de.Temporary != c.temporary || de.Wait != c.wait || de.Hint == "" {
				t.Errorf("%+v", de)
			}
			if lines := strings.Split(c.answer, "\n"); c.result != Timeout && de.Line != lines[len(lines)-1] {
				t.Errorf("line %q", de.Line)
			}
			if r.device.Counters().OffHook {
				t.Error("the modem is off-hook")
			}
			r.hangUp()
			// The same modem dials again, as soon as the line is better.
			r.device.Set(func(o *modemtest.Options) { o.Answer = "" })
			c, far := r.dial()
			exchange(t, c, far)
			r.hangUp()
		})
	}
}

func TestDialRefused(t *testing.T) {
	in(t, "carrier up", func(t *testing.T) {
		r := newRig(t, modemtest.Options{PowerUp: "&C0"}, bare())
		if _, err := r.Dial(t.Context(), "1"); err == nil || !strings.Contains(err.Error(), "carrier is up") {
			t.Error(err)
		}
	})
	in(t, "voice call", func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		if _, err := r.Dial(t.Context(), "1;"); err == nil || r.device.Counters().Dials != 0 {
			t.Error(err)
		}
	})
	in(t, "control character", func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		if _, err := r.Dial(t.Context(), "1\rATZ"); err == nil || r.device.Counters().Dials != 0 {
			t.Error(err)
		}
	})
}

// A dial can be given up at any moment, and the modem is on-hook then.
func TestDialCancelled(t *testing.T) {
	for _, c := range []struct {
		name  string
		opt   modemtest.Options
		after time.Duration
	}{
		{"at once", modemtest.Options{}, 0},
		{"half-way", modemtest.Options{}, 10 * time.Second},
		{"a moment before the answer", modemtest.Options{}, 20*time.Second - 1},
		{"with the answer", modemtest.Options{}, 20 * time.Second},
		{"a modem that does not mind", modemtest.Options{IgnoreAbort: true}, 10 * time.Second},
		{"a modem that does not mind and connects", modemtest.Options{IgnoreAbort: true}, 18 * time.Second},
		{"the same without status bits", modemtest.Options{IgnoreAbort: true, NoStatusBits: true}, 18 * time.Second},
		{"without status bits", modemtest.Options{NoStatusBits: true}, 10 * time.Second},
		{"deaf to DTR", modemtest.Options{IgnoreDTR: true}, 10 * time.Second},
		{"silent", modemtest.Options{Answer: "SILENCE"}, time.Minute},
	} {
		in(t, c.name, func(t *testing.T) {
			c.opt.DialTime = 20 * time.Second
			r := newRig(t, c.opt, bare())
			ctx, cancel := context.WithTimeout(t.Context(), c.after)
			defer cancel()
			begun := time.Now()
			conn, err := r.Dial(ctx, "5551234")
			if err == nil { // the answer was quicker
				conn.Close()
				r.hangUp()
				return
			}
			var de *DialError
			if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &de) {
				t.Fatalf("%v", err)
			}
			if d := time.Since(begun) - c.after; d > abortBudget {
				t.Errorf("giving up took %v", d)
			}
			var he *HangupError
			if open := r.device.Counters().OffHook; open || errors.As(err, &he) {
				t.Errorf("off-hook %v: %v", open, err)
			}
		})
	}
}

func TestCarrierLoss(t *testing.T) {
	const text = "what came before"
	for _, c := range []struct {
		name  string
		opt   modemtest.Options
		p     Profile
		limit time.Duration // until the Conn must know
	}{
		{"DCD", modemtest.Options{}, bare(), time.Second},
		{"no status bits", modemtest.Options{NoStatusBits: true}, bare(), farewellWait + time.Second},
		{"DCD wired high", modemtest.Options{PowerUp: "&C0"}, Profile{IgnoreDCD: true}, farewellWait + time.Second},
	} {
		in(t, c.name, func(t *testing.T) {
			r := newRig(t, c.opt, c.p)
			conn, far := r.dial()
			time.Sleep(10 * time.Second)
			go far.Write([]byte(text))
			time.Sleep(time.Second)
			r.device.Cut()
			begun := time.Now()
			got, err := io.ReadAll(conn)
			if !errors.Is(err, ErrCarrierLost) || !strings.HasPrefix(string(got), text) {
				t.Errorf("read %q, %v", got, err)
			}
			if d := time.Since(begun); d > c.limit {
				t.Errorf("noticed after %v", d)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, ErrCarrierLost) {
				t.Errorf("write: %v", err)
			}
			r.hangUp()
		})
	}
}

// Wherever the carrier goes, what came through before is read, then the loss, and the
// hang-up is confirmed.
func TestCutAtAnyOctet(t *testing.T) {
	const text = "~abcdefghijklmnopqrstuvwxyz~"
	for n := int64(1); n <= 2*int64(len(text)); n++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, modemtest.Options{CutAfter: n, Up: 33600, Down: 9600, Delay: 50 * time.Millisecond}, bare())
			conn, far := r.dial()
			go far.Write([]byte(text))
			go conn.Write([]byte(text))
			got, err := io.ReadAll(conn)
			if !errors.Is(err, ErrCarrierLost) {
				t.Errorf("cut at %d: %v", n, err)
			}
			sent, _ := io.ReadAll(far)
			came := strings.TrimSuffix(string(got), farewell)
			if int64(len(came)+len(sent)) != n || !strings.HasPrefix(text, came) || !strings.HasPrefix(text, string(sent)) {
				t.Errorf("cut at %d: %q down, %q up", n, got, sent)
			}
			r.hangUp()
		})
	}
}

// A mail that says NO CARRIER must not end the call that fetches it.
func TestNoCarrierInAMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{NoStatusBits: true, Down: 9600}, bare())
		conn, far := r.dial()
		go far.Write([]byte("mail" + farewell + "more~"))
		io.ReadFull(conn, make([]byte, 4+len(farewell)+5))
		time.Sleep(time.Minute)
		go far.Write([]byte("!"))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		r.hangUp()
	})
}

// The port disappears under a call, as a USB modem that is pulled out.
func TestPortVanishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		conn, _ := r.dial()
		go func() {
			time.Sleep(time.Second)
			r.device.Close()
		}()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, ErrCarrierLost) {
			t.Errorf("read: %v", err)
		}
		var he *HangupError
		if err := r.Hangup(t.Context()); !errors.As(err, &he) || he.Err == nil {
			t.Errorf("nobody saw the line go down, and Hangup says %v", err)
		}
	})
}

func TestTranscriptIsBounded(t *testing.T) {
	record := newTranscript([]string{"secret", ""})
	for range 5000 {
		record.got("a line with a secret in it")
	}
	record.got("\x00\x01\x02\xff")
	record.got("bell \a here, quite a long line")
	text := record.String()
	if len(text) > maxTranscript || strings.Contains(text, "secret") {
		t.Errorf("%d octets", len(text))
	}
	if !strings.HasPrefix(text, "< a line with a *** in it\n") || !strings.HasSuffix(text, "< (4 octets that are no text)\n< bell \\a here, quite a long line\n") {
		t.Errorf("%.60q ... %q", text, text[len(text)-90:])
	}
}

// What a modem says without end is bounded while it waits for a reader.
func TestInputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{}, bare())
		_, far := r.dial()
		go far.Write(make([]byte, 1<<20))
		time.Sleep(time.Minute)
		r.in.mu.Lock()
		if n := len(r.in.buf); n != maxInput {
			t.Errorf("%d octets wait, want %d", n, maxInput)
		}
		r.in.mu.Unlock()
		r.hangUp()
	})
}
