package modem

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

// mobile is a profile that asks all there is to ask.
func mobile() Profile {
	return Profile{
		Init: []Step{{Send: "ATE0V1Q0X4"}, {Send: "AT+CMEE=1"}},
		Network: Network{
			SIM: true, Registration: []string{"AT+CEREG?", "AT+CGREG?", "AT+CREG?"},
			Attach: []Step{{Send: `AT+CGDCONT=1,"IP","internet"`}},
			Signal: "AT+CSQ", Operator: "AT+COPS?",
		},
	}
}

// A stick that was just plugged in: locked, then busy, then searching, and all the time
// talking of something else.
func TestMobileCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := modemtest.GSM()
		opt.SIM.PIN, opt.APN, opt.Chop = "4321", "internet", 3
		opt.Registration = []modemtest.Registered{{After: 0, State: 0}, {After: time.Second, State: 2}, {After: 5 * time.Second, State: 3}, {After: 20 * time.Second, State: 5}}
		p := mobile()
		p.Network.PIN, p.DialPrefix = "4321", "ATD"
		r := newRig(t, opt, p).init()
		c, err := r.Dial(t.Context(), "*99***1#")
		if err != nil {
			t.Fatal(err)
		}
		far, err := r.device.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, c, far)
		r.hangUp()
		if n := r.device.Counters().PINs; n != 1 {
			t.Errorf("the PIN was given %d times", n)
		}
		r.logged(`-- network: registered, roaming, signal 18, operator "Safaricom"`)
		r.logged("> AT+CPIN=\"***\"\n")
		if strings.Contains(r.Transcript(), "4321") {
			t.Error("the PIN is in the transcript")
		}
		// On the next call the card is open, and the PIN stays where it is.
		r.init()
		if n := r.device.Counters().PINs; n != 1 {
			t.Errorf("the PIN was given %d times", n)
		}
	})
}

func TestMobileErrors(t *testing.T) {
	searching := []modemtest.Registered{{After: 0, State: 2}}
	for _, c := range []struct {
		name      string
		change    func(o *modemtest.Options, n *Network)
		is        error  // nil: none of ours
		says      string // in the error with its advice
		temporary bool
		pins      int
	}{
		{"no card", func(o *modemtest.Options, _ *Network) { o.SIM.Missing = true }, nil, "no SIM card", false, 0},
		{"no card and no numbers of errors", func(o *modemtest.Options, n *Network) {
			o.SIM.Missing, o.Refuse = true, []string{"+CMEE"}
		}, nil, "is there one", false, 0},
		{"a PIN is wanted", func(o *modemtest.Options, _ *Network) { o.SIM.PIN = "1111" }, ErrPINWanted, "pin or pin_file", false, 0},
		{"a wrong PIN", func(o *modemtest.Options, n *Network) { o.SIM.PIN, n.PIN = "1111", "2222" }, ErrPINRefused, "not sent again", false, 1},
		{"a wrong PIN, one try left", func(o *modemtest.Options, n *Network) {
			o.SIM.PIN, o.SIM.Tries, n.PIN = "1111", 1, "2222"
		}, ErrPINRefused, "left to a person", false, 0},
		{"an OK that was another's", func(o *modemtest.Options, n *Network) {
			o.SIM.PIN, o.SIM.Wanted, n.PIN = "1111", "SIM PIN", "1111"
		}, ErrPINRefused, "not sent again", false, 1},
		{"busy for ever with a PIN to give", func(o *modemtest.Options, n *Network) {
			o.SIM.PIN, o.SIM.Busy, n.PIN = "1111", time.Hour, "1111"
		}, nil, "not ready after 15s", true, 0},
		{"PUK", func(o *modemtest.Options, n *Network) { o.SIM.Wanted, n.PIN = "SIM PUK", "1111" }, ErrPUKWanted, "PUK", false, 0},
		{"a lock of the operator", func(o *modemtest.Options, n *Network) { o.SIM.Wanted = "PH-NET PIN" }, ErrSIMLocked, "operator", false, 0},
		{"never ready", func(o *modemtest.Options, n *Network) { o.SIM.Busy = time.Hour }, nil, "still being read", true, 0},
		{"no network", func(o *modemtest.Options, _ *Network) { o.Registration = searching }, nil, "no network after 1m0s: searching", true, 0},
		{"denied", func(o *modemtest.Options, _ *Network) {
			o.Registration = []modemtest.Registered{{After: 0, State: 3}}
		}, nil, "does not take this SIM card", true, 0},
		{"roaming forbidden", func(o *modemtest.Options, n *Network) {
			o.Registration, n.HomeOnly = []modemtest.Registered{{After: 0, State: 5}}, true
		}, nil, "roaming = false", false, 0},
		{"no signal to speak of", func(o *modemtest.Options, n *Network) { o.Signal, n.MinSignal = "7,99", 10 }, nil, "the signal is 7, and minimum_signal is 10", true, 0},
		{"signal not known", func(o *modemtest.Options, n *Network) { o.Signal, n.MinSignal = "99,99", 10 }, nil, "not known", true, 0},
		{"knows no registration", func(o *modemtest.Options, _ *Network) { o.Refuse = []string{"+CREG", "+CGREG", "+CEREG"} }, nil, "choose its profile", false, 0},
		{"refuses the context", func(o *modemtest.Options, _ *Network) { o.Refuse = []string{"+CGDCONT"} }, nil, "+CGDCONT", false, 0},
	} {
		in(t, c.name, func(t *testing.T) {
			opt, p := modemtest.GSM(), mobile()
			p.Init[1].Optional = true
			c.change(&opt, &p.Network)
			r := newRig(t, opt, p)
			err := r.Init(t.Context())
			var ce *CommandError
			if !errors.As(err, &ce) {
				t.Fatalf("%v", err)
			}
			if text := ce.Error() + " " + ce.Advice(); !strings.Contains(text, c.says) || ce.Advice() == "" {
				t.Errorf("%s: lacks %q", text, c.says)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
			if ce.Temporary != c.temporary {
				t.Errorf("temporary: %v (%v)", ce.Temporary, err)
			}
			if err := r.Init(t.Context()); err == nil { // and the next call fares no better
				t.Error("the second Init succeeds")
			}
			if n := r.device.Counters(); n.PINs != c.pins || n.Dials != 0 {
				t.Errorf("%d PINs given, want %d", n.PINs, c.pins)
			}
			for _, pin := range []string{"1111", "2222"} {
				if strings.Contains(r.Transcript()+err.Error(), pin) {
					t.Errorf("PIN %s shows", pin)
				}
			}
		})
	}
}

// A better signal, or home, may come while it is waited for.
func TestNetworkGetsBetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt, p := modemtest.GSM(), mobile()
		opt.Signal, opt.Registration = "3,99", []modemtest.Registered{{After: 0, State: 5}, {After: 10 * time.Second, State: 1}}
		p.Network.HomeOnly, p.Network.MinSignal = true, 9
		r := newRig(t, opt, p)
		time.AfterFunc(20*time.Second, func() { r.device.Set(func(o *modemtest.Options) { o.Signal = "15,99" }) })
		begun := time.Now()
		r.init()
		if d := time.Since(begun); d < 18*time.Second || d > 30*time.Second {
			t.Errorf("took %v", d)
		}
		r.logged("registered at home, signal 15")
	})
}

// The wait for the network ends with the caller's patience, and with a hang-up.
func TestNetworkWaitCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opt := modemtest.GSM()
		opt.Registration = []modemtest.Registered{{After: 0, State: 2}}
		r := newRig(t, opt, mobile())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := r.Init(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(10*time.Second, func() { r.Hangup(context.Background()) })
		if err := r.Init(t.Context()); !errors.Is(err, ErrInterrupted) {
			t.Error(err)
		}
	})
}

// A PIN that was refused stays refused over a restart; another is tried.
func TestRefusedPINIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "refused-pin")
	synctest.Test(t, func(t *testing.T) {
		opt := modemtest.GSM()
		opt.SIM.PIN, opt.SIM.NoCPINR = "1111", true
		device := modemtest.New(opt)
		defer device.Close()
		try := func(pin string) error {
			p := mobile()
			p.Network.PIN, p.Network.PINs = pin, NewPINRecord(path) // as after a restart
			m := New(device.Port(), p, Options{})
			defer m.Close()
			return m.Init(t.Context())
		}
		for range 3 {
			if err := try("2222"); !errors.Is(err, ErrPINRefused) {
				t.Fatal(err)
			}
		}
		if n := device.Counters().PINs; n != 1 {
			t.Errorf("the wrong PIN was given %d times", n)
		}
		if err := try("1111"); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(path)
	if info, statErr := os.Stat(path); err != nil || statErr != nil || info.Mode().Perm() != 0o600 || strings.Contains(string(text), "2222") {
		t.Errorf("%v, %v: %s", err, statErr, text)
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 && !NewPINRecord(path).Refused("1111") {
		t.Error("a record that cannot be read lets a PIN pass")
	}
}

func TestParseRegistration(t *testing.T) {
	for line, want := range map[string]registration{
		"+CREG: 0,1": home, "+CREG: 0,5": roaming, "+CEREG: 2,1,\"00C3\",\"01A2F4\",7": home, "+cgreg: 0, 2": searching,
		"+CREG:000,001": home, "+CREG:000,005": roaming, "+CREG: 1": home, "+CREG: 5,\"00C3\",\"1A2F\"": roaming,
		"+CREG: 0,0": idle, "+CREG: 0,3": denied, "+CREG: 0,4": unclear, "+CREG: 0,6": limited, "+CREG: 0,9": home, "+CREG: 0,10": roaming,
		"+CREG: 0,77": unclear, "+CREG:": unasked, "+CREG": unasked, "+CREG: a": unasked, "+CSQ: 1": unasked, "": unasked, "+CREG: ,": unasked,
		"+CREG: 99999999999999999999": unasked,
	} {
		if got := parseRegistration(line); got != want {
			t.Errorf("%q is %v, want %v", line, got, want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for line, want := range map[string]int{
		"+CSQ: 21,99": 21, "+CSQ:5": 5, "+CSQF:3": 3, "+CSQ: 0,0": 0, "+csq: 31": 31, "+CSQ: 99,99": signalUnknown, "+CSQ: 199,99": signalUnknown,
	} {
		if got, ok := parseSignal(line); got != want || !ok {
			t.Errorf("%q is %d %v, want %d", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "+CSQ", "+CSQ:", "+CSQ: x", "+CREG: 1", "21,99", "+CSQ: -3"} {
		if _, ok := parseSignal(line); ok {
			t.Errorf("%q is a signal", line)
		}
	}
}

func TestParseSIM(t *testing.T) {
	for line, want := range map[string]simState{
		"+CPIN: READY": simReady, "+CPIN:READY": simReady, "+cpin: ready": simReady, "+CPIN: SIM PIN": simPIN, "+CPIN: SIM PUK": simPUK,
		"+CPIN: SIM PIN2": simReady, "+CPIN: PH-NET PIN": simOther, "+CPIN: BLOCKED": simOther, "+CPIN: \"SIM PIN\"": simPIN,
		"+CPIN:": simUnknown, "READY": simUnknown, "": simUnknown,
	} {
		if got := parseSIM(line); got != want {
			t.Errorf("%q is %v, want %v", line, got, want)
		}
	}
}

func TestParseOperator(t *testing.T) {
	for line, want := range map[string]string{
		`+COPS: 0,0,"Safaricom",7`: "Safaricom", `+COPS: 0`: "", `+COPS: 0,0,"half`: "", `+CREG: "x"`: "",
		`+COPS: 0,0,"` + strings.Repeat("x", 99) + `"`: strings.Repeat("x", 32),
	} {
		if got := parseOperator(line); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

func FuzzMobileLines(f *testing.F) {
	for _, s := range []string{
		"+CREG: 0,1", "+CREG:000,005", "+CEREG: 2,1,\"00C3\",\"01\",7", "+CSQ: 21,99", "+CSQF:5", "+CPIN: SIM PIN", "+CPINR: SIM PIN,3,3",
		`+COPS: 0,0,"x",7`, "+CREG", ":", "+CPIN:\x00", "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if s := parseRegistration(line); s.String() == "" || s.registered() != (s == home || s == roaming) {
			t.Fatalf("%q: %v", line, s)
		}
		if level, ok := parseSignal(line); level != signalUnknown && (!ok || level < 0 || level >= 99) {
			t.Fatalf("%q: signal %d, %v", line, level, ok)
		}
		if s := parseSIM(line); s != simUnknown && !strings.Contains(line, ":") {
			t.Fatalf("%q: %v", line, s)
		}
		if left, ok := parseTries(line); left < 0 || left > 9999 || !ok && left != 0 {
			t.Fatalf("%q: %d tries", line, left)
		}
		if name := parseOperator(line); len(name) > 32 || !strings.Contains(line, name) {
			t.Fatalf("%q: operator %q", line, name)
		}
	})
}
