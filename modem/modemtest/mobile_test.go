package modemtest

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMobileCommands(t *testing.T) {
	locked := SIM{PIN: "1234", Tries: 2}
	for _, c := range []struct {
		name, send, want string
		opt              Options
	}{
		{"open card", "AT+CPIN?\r", "\r\n+CPIN: READY\r\n\r\nOK\r\n", Options{}},
		{"no card", "AT+CPIN?\rAT+CMEE=1;+CPIN?\rAT+CMEE=2;+CPIN?\r",
			"\r\nERROR\r\n\r\n+CME ERROR: 10\r\n\r\n+CME ERROR: SIM not inserted\r\n", Options{SIM: SIM{Missing: true}}},
		{"locked card", "AT+CPIN?\rAT+CPIN=\"1234\"\rAT+CPIN?\r", "\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n\r\nOK\r\n\r\n+CPIN: READY\r\n\r\nOK\r\n", Options{SIM: locked}},
		{"two wrong PINs", "AT+CMEE=1\rAT+CPIN=\"1\"\rAT+CPINR\rAT+CPIN=2\rAT+CPIN?\rAT+CPIN=\"1234\"\r",
			"\r\nOK\r\n\r\n+CME ERROR: 16\r\n\r\n+CPINR: SIM PIN,1,3\r\n\r\nOK\r\n\r\n+CME ERROR: 16\r\n\r\n+CPIN: SIM PUK\r\n\r\nOK\r\n\r\n+CME ERROR: 12\r\n", Options{SIM: locked}},
		{"a locked card has no network and no contexts", "AT+CMEE=1\rAT+CREG?\rAT+CGDCONT=1,\"IP\",\"x\"\r",
			"\r\nOK\r\n\r\n+CREG: 0,0\r\n\r\nOK\r\n\r\n+CME ERROR: 11\r\n", Options{SIM: locked}},
		{"Iridium's manner", "AT+CREG?\rAT+CSQF\r", "\r\n+CREG:000,001\r\n\r\nOK\r\n\r\n+CSQF:4\r\n\r\nOK\r\n", Options{Compact: true, Signal: "4"}},
		{"operator", "AT+COPS?\r", "\r\n+COPS: 0,0,\"Safaricom\",7\r\n\r\nOK\r\n", Options{Operator: "Safaricom"}},
		{"no operator yet", "AT+COPS?\r", "\r\n+COPS: 0\r\n\r\nOK\r\n", Options{Operator: "Safaricom", Registration: []Registered{{0, 2}}}},
		{"the access point it wants", "AT+CGDCONT=2,\"IP\",\"internet\";D*99***2#\r", "\r\nCONNECT\r\n", Options{APN: "internet"}},
		{"another access point", "AT+CGDCONT=1,\"IP\",\"internet\";D*99#\r", "\r\nNO CARRIER\r\n", Options{APN: "office"}},
		{"no context", "ATD*99#\r", "\r\nNO CARRIER\r\n", Options{APN: "internet"}},
		{"by number", "ATDT1\rATDT2\r", "\r\nBUSY\r\n\r\nCONNECT\r\n", Options{ByNumber: map[string]string{"1": "BUSY"}}},
		{"all twice", "AT\r", "\r\nOK\r\n\r\nOK\r\n", Options{EchoTwice: true}},
		{"a broken echo", "AT+CREG?\r", "AT+\r\nRING\r\nCREG?\r\r\n+CREG: 0,1\r\n\r\nRING\r\n\r\nOK\r\n", Options{Echo: true, EchoBreak: 3, Unsolicited: []string{"RING"}}},
		{"the maker's numbers", "ATV0DT1\r", "84\r", Options{ConnectLine: "CONNECT 33600", Numeric: map[string]string{"CONNECT 33600": "84"}}},
		{"a line behind CONNECT", "ATDT1\r", "\r\nCONNECT\r\n\r\nRINGING\r\n", Options{After: []string{"RINGING"}}},
		{"the make's own commands", "AT&B1&A0\rAT&Q1\r", "\r\nOK\r\n\r\nERROR\r\n", Courier().quiet()},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newTerminal(t, New(c.opt)).want(c.send, c.want)
			})
		})
	}
}

// quiet is a device without echo.
func (o Options) quiet() Options { o.Echo = false; return o }

func TestRegistrationTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newTerminal(t, New(Options{SIM: SIM{PIN: "1234", Busy: 2 * time.Second}, Registration: []Registered{{0, 2}, {10 * time.Second, 5}}}))
		time.Sleep(time.Minute) // without its PIN it does not even search
		p.want("AT+CREG?\r", "\r\n+CREG: 0,0\r\n\r\nOK\r\n")
		p.want("AT+CPIN=\"1234\"\r", "\r\nOK\r\n")
		time.Sleep(3 * time.Second)
		p.want("AT+CREG?\r", "\r\n+CREG: 0,2\r\n\r\nOK\r\n")
		p.want("ATDT1\r", "\r\nNO CARRIER\r\n")
		time.Sleep(9 * time.Second)
		p.want("AT+CREG?\r", "\r\n+CREG: 0,5\r\n\r\nOK\r\n")
	})
}

// What the modem says comes in pieces with gaps, in order and whole.
func TestChop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{Chop: 3, ChopGap: 20 * time.Millisecond, Seed: 7})
		p := newTerminal(t, m)
		begun := time.Now()
		p.want("ATI\r", "\r\nOutpost test modem 33600\r\n\r\nOK\r\n")
		if d := time.Since(begun); d < 200*time.Millisecond {
			t.Errorf("34 octets in pieces of three took %v", d)
		}
	})
}

// arrivals is when each octet of a stream came, in one direction.
func arrivals(t *testing.T, opt Options, write int) (at []time.Duration, got []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		_, p, far := dialled(t, opt)
		begun := time.Now()
		const n = 960
		go func() {
			for rest := octets(n); len(rest) > 0; {
				k, _ := p.Write(rest[:min(write, len(rest))])
				rest = rest[k:]
			}
		}()
		time.AfterFunc(3*time.Minute, func() { p.SetDTR(false) })
		buf := make([]byte, 1)
		for {
			if _, err := far.Read(buf); err != nil {
				return
			}
			at, got = append(at, time.Since(begun)), append(got, buf[0])
		}
	})
	return at, got
}

// Jitter is late by no more than it may be, keeps the order, follows the seed, and does
// not depend on how the octets were written.
func TestJitter(t *testing.T) {
	opt := Options{Up: 9600, Delay: 300 * time.Millisecond, Jitter: 400 * time.Millisecond, Seed: 1}
	late, got := arrivals(t, opt, 64)
	if !bytes.Equal(got, octets(960)) {
		t.Fatal("octets lost, damaged or out of order")
	}
	varied := false
	for i, at := range late {
		due := opt.Delay + time.Duration(i+1)*10*time.Second/9600
		if d := at - due; d < -time.Microsecond || d > opt.Jitter+tick {
			t.Fatalf("octet %d is late by %v", i, d)
		}
		varied = varied || i > 0 && at-late[i-1] > 50*time.Millisecond
	}
	if !varied {
		t.Error("no octet waited for another")
	}
	again, _ := arrivals(t, opt, 200)
	opt.Seed = 2
	other, _ := arrivals(t, opt, 64)
	same := func(a, b []time.Duration) bool {
		return len(a) == len(b) && (a[len(a)-1]-b[len(b)-1]).Abs() <= time.Microsecond
	}
	if !same(late, again) || same(late, other) {
		t.Error("jitter does not follow the seed")
	}
}

func TestBurst(t *testing.T) {
	at, got := arrivals(t, Options{Up: 2400, Delay: 100 * time.Millisecond, Burst: 90 * time.Millisecond}, 960)
	if !bytes.Equal(got, octets(960)) {
		t.Fatal("octets damaged")
	}
	for i, d := range at {
		due := 100*time.Millisecond + time.Duration(i+1)*10*time.Second/2400
		if (d-at[0])%(90*time.Millisecond) != 0 || d < due || d > due+90*time.Millisecond {
			t.Fatalf("octet %d, due at %v, came at %v", i, due, d)
		}
	}
}

func TestDoubledAndLost(t *testing.T) {
	_, doubled := arrivals(t, Options{DoubleRate: 0.05, Seed: 3}, 100)
	_, lost := arrivals(t, Options{LossRate: 0.05, Seed: 3}, 100)
	_, again := arrivals(t, Options{LossRate: 0.05, Seed: 3}, 960)
	if n := len(doubled) - 960; n < 20 || n > 90 {
		t.Errorf("%d octets of 960 doubled, want about 48", n)
	}
	if n := 960 - len(lost); n < 20 || n > 90 {
		t.Errorf("%d octets of 960 lost, want about 48", n)
	}
	if !bytes.Equal(lost, again) {
		t.Error("losses do not follow the seed")
	}
}

// A carrier cut, a freeze and jitter together: what came before the cut is whole.
func TestCutInJitter(t *testing.T) {
	opt := Options{Up: 9600, Delay: 100 * time.Millisecond, Jitter: 300 * time.Millisecond, Burst: 20 * time.Millisecond,
		CutAfterUp: 500, FreezeAfter: 200, FreezeFor: 70 * time.Second, Seed: 5}
	at, got := arrivals(t, opt, 100)
	if !bytes.Equal(got, octets(960)[:len(got)]) || len(got) < 490 || len(got) > 500+32 {
		t.Errorf("%d octets came", len(got))
	}
	if len(at) > 0 && at[len(at)-1] < 70*time.Second {
		t.Error("the line did not freeze")
	}
}

func TestDoorman(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Options{})
		p := newTerminal(t, m)
		door := Login{Banner: "hello\r\n", User: "u", Password: "p", Tries: 1, Echo: true}.At(m)
		calls := make(chan io.ReadWriteCloser)
		go func() {
			call, err := door.Accept(t.Context())
			if err != nil {
				t.Error(err)
			}
			calls <- call
		}()
		p.want("ATDT1\r", "\r\nCONNECT\r\nhello\r\nlogin: ")
		p.want("u\r", "u\r\nPassword: ")
		p.want("wrong\r", "\r\n\r\nLogin incorrect\r\n\r\nNO CARRIER\r\n")
		p.want("ATDT1\r", "\r\nCONNECT\r\nhello\r\nlogin: ")
		p.send("u\rp\r")
		call := <-calls
		if got := p.heard(); !strings.HasSuffix(got, "Entering PPP mode.\r\n") {
			t.Errorf("let in with %q", got)
		}
		call.Write([]byte("~"))
		p.want("", "~")
	})
}
