package modem

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// A hang-up goes the profile's way.
func TestHangupByProfile(t *testing.T) {
	for _, c := range []struct {
		name  string
		opt   modemtest.Options
		by    []HangupMethod
		limit time.Duration
		how   string // "" : it cannot be confirmed
	}{
		{"escape first", modemtest.Options{}, []HangupMethod{HangupEscape, HangupDTR}, 3 * time.Second, "OK to ATH, DCD down"},
		{"escape first, deaf to it", modemtest.Options{IgnoreEscape: true}, []HangupMethod{HangupEscape, HangupDTR}, 13 * time.Second, "DTR low, DCD down"},
		{"escape alone", modemtest.Options{}, []HangupMethod{HangupEscape}, 3 * time.Second, "OK to ATH, DCD down"},
		{"DTR alone", modemtest.Options{}, []HangupMethod{HangupDTR}, time.Second, "DTR low, DCD down"},
		{"DTR alone, deaf to it", modemtest.Options{IgnoreDTR: true}, []HangupMethod{HangupDTR}, 3 * time.Second, ""},
	} {
		in(t, c.name, func(t *testing.T) {
			r := newRig(t, c.opt, Profile{HangupBy: c.by})
			conn, _ := r.dial()
			conn.Write([]byte("data"))
			begun := time.Now()
			err := r.Hangup(t.Context())
			if d := time.Since(begun); d > c.limit {
				t.Errorf("took %v", d)
			}
			var he *HangupError
			switch {
			case c.how == "" && !errors.As(err, &he):
				t.Errorf("confirmed: %v", err)
			case c.how != "" && err != nil:
				t.Error(err)
			case c.how != "":
				r.logged("-- hang-up: " + c.how)
			}
			if escapes := strings.Contains(r.Transcript(), "> +++"); escapes != slices.Contains(c.by, HangupEscape) {
				t.Errorf("escaped: %v", escapes)
			}
		})
	}
}

func TestEscapeCharacter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, modemtest.Options{IgnoreDTR: true}, Profile{Init: []Step{{Send: "ATS2=94"}}, EscapeChar: '^'}).init()
		r.dial()
		r.hangUp()
		r.logged("> ^^^\n")
	})
}

// The profile has the last word on the dialect of result codes.
func TestResults(t *testing.T) {
	for _, c := range []struct{ results, answer, line string }{
		{"V1X4", "BUSY", "BUSY"}, {"V0X4", "BUSY", "7"}, {"V1X1", "BUSY", "NO CARRIER"}, {"V0X2", "NO DIALTONE", "6"}, {"V1X3", "DELAYED 00:05:00", "ERROR"},
	} {
		in(t, c.results+" "+c.answer, func(t *testing.T) {
			r := newRig(t, modemtest.Options{Answer: c.answer, Echo: true, PowerUp: "V0X0"}, Profile{Init: []Step{{Send: "ATZ"}}, Results: c.results}).init()
			_, err := r.Dial(t.Context(), "1")
			var de *DialError
			if !errors.As(err, &de) || de.Line != c.line {
				t.Errorf("%v, want %q", err, c.line)
			}
		})
	}
}

// Above 10 every make has its own numbers.
func TestNumericCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := modemtest.Options{
			PowerUp: "V0E1", NoStatusBits: true, ConnectLine: "CONNECT 33600",
			Answers: []string{"BLACKLISTED"}, Numeric: map[string]string{"CONNECT 33600": "84", "BLACKLISTED": "33"},
		}
		p := Profile{Codes: map[string]string{"84": "CONNECT 33600", "33": "BLACKLISTED"}}
		r := newRig(t, opt, p).init()
		_, err := r.Dial(t.Context(), "5551234")
		var de *DialError
		if !errors.As(err, &de) || de.Result != Blacklisted || de.Line != "33" {
			t.Errorf("%v", err)
		}
		c, far := r.dial()
		if c.Rate() != 33600 || c.Connect() != "84" {
			t.Errorf("rate %d, %q", c.Rate(), c.Connect())
		}
		exchange(t, c, far)
		r.hangUp()
	})
}

// Whatever order, pieces and echoes a modem's lines come in, the dial ends as it should.
func TestOddModems(t *testing.T) {
	for _, setup := range []string{"E0V1", "E1V1", "E0V0", "E1V0"} {
		for name, opt := range map[string]modemtest.Options{
			"chopped":           {Chop: 2, ChopGap: 5 * time.Millisecond},
			"all twice":         {EchoTwice: true},
			"broken echo":       {EchoBreak: 4, Unsolicited: []string{"+CREG: 1"}},
			"RINGING late":      {After: []string{"RINGING"}},
			"RINGING before":    {Answers: []string{"BUSY"}, Answer: "RINGING\nRING\nCONNECT 9600"},
			"talks all the day": {Unsolicited: []string{"RING", "+CREG: 0", "^RSSI:18", "NO CARRIER"}},
		} {
			in(t, setup+" "+name, func(t *testing.T) {
				opt.PowerUp, opt.Seed, opt.DialTime = setup, 11, 3*time.Second
				if len(opt.Answers) == 0 {
					opt.Answers = []string{"BUSY"}
				}
				talks := len(opt.Unsolicited) > 3 // its NO CARRIER cannot be told from an answer
				r := newRig(t, opt, bare()).init()
				_, err := r.Dial(t.Context(), "5551234")
				var de *DialError
				if !errors.As(err, &de) || de.Result != Busy && !(talks && de.Result == NoCarrier) {
					t.Fatalf("%v", err)
				}
				if talks {
					return
				}
				c, far := r.dial()
				go far.Write([]byte("~data~"))
				var got []byte
				for one := make([]byte, 1); !strings.HasSuffix(string(got), "~data~"); {
					if _, err := io.ReadFull(c, one); err != nil {
						t.Fatalf("%q, %v", got, err)
					}
					got = append(got, one...)
				}
				r.hangUp()
			})
		}
	}
}

func TestOtherNumber(t *testing.T) {
	for _, c := range []struct {
		answer string
		want   bool
	}{
		{"BUSY", true}, {"NO ANSWER", true}, {"NO CARRIER", true}, {"VOICE", true}, {"DELAYED 00:05:00", true}, {"BLACKLISTED", true},
		{"ERROR", true}, {"SILENCE", true}, {"NO DIALTONE", false}, {"+CME ERROR: 10", false},
	} {
		in(t, c.answer, func(t *testing.T) {
			r := newRig(t, modemtest.Options{Answer: c.answer}, bare())
			_, err := r.Dial(t.Context(), "1")
			var de *DialError
			if !errors.As(err, &de) || de.OtherNumber() != c.want {
				t.Errorf("%v: another number: %v", err, !c.want)
			}
		})
	}
	for name, e := range map[string]*DialError{
		"the line may be open": {Result: Busy, Err: &HangupError{}}, "cancelled": {},
		"a modem that is off": {Result: Timeout, Err: &CommandError{Result: Timeout}},
	} {
		if e.OtherNumber() {
			t.Errorf("%s: another number is dialled", name)
		}
	}
}
