package modemtest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"
)

// terminal is a port with the habits of a person at a terminal program.
type terminal struct {
	t *testing.T
	serial.Port
}

func newTerminal(t *testing.T, m *Modem) terminal {
	t.Helper()
	p := m.Port()
	p.SetReadTimeout(50 * time.Millisecond)
	t.Cleanup(func() { p.Close(); m.Close() })
	return terminal{t, p}
}

func (p terminal) send(s string) {
	p.t.Helper()
	if _, err := p.Write([]byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

// heard is what came until 50 ms of silence.
func (p terminal) heard() string {
	p.t.Helper()
	var all strings.Builder
	buf := make([]byte, 256)
	for {
		n, err := p.Read(buf)
		if err != nil {
			p.t.Fatal(err)
		}
		if n == 0 {
			return all.String()
		}
		all.Write(buf[:n])
	}
}

func (p terminal) want(send, want string) {
	p.t.Helper()
	p.send(send)
	if got := p.heard(); got != want {
		p.t.Errorf("after %q the modem says %q, want %q", send, got, want)
	}
}

func (p terminal) dcd() bool {
	p.t.Helper()
	bits, err := p.GetModemStatusBits()
	if err != nil {
		p.t.Fatal(err)
	}
	return bits.DCD
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		name, send, want string
		opt              Options
	}{
		{"plain", "AT\r", "\r\nOK\r\n", Options{}},
		{"small letters", "at\r", "\r\nOK\r\n", Options{}},
		{"CR LF ends one line", "AT\r\nAT\r\n", "\r\nOK\r\n\r\nOK\r\n", Options{}},
		{"several on a line", "AT E0 V1X4 &C1&D2 S0=0\r", "\r\nOK\r\n", Options{}},
		{"no AT, no answer", "hello\r", "", Options{}},
		{"noise before AT", "+++~~AT\r", "\r\nOK\r\n", Options{}},
		{"backspace", "ATX9\b4\r", "\r\nOK\r\n", Options{}},
		{"echo", "ATE1\rAT\r", "\r\nOK\r\nAT\r\r\nOK\r\n", Options{}},
		{"echo after reset", "ATE0\rATZ\rAT\r", "ATE0\r\r\nOK\r\n\r\nOK\r\nAT\r\r\nOK\r\n", Options{Echo: true}},
		{"repeat", "ATI\rA/", "\r\nOutpost test modem 33600\r\n\r\nOK\r\n\r\nOutpost test modem 33600\r\n\r\nOK\r\n", Options{}},
		{"numeric", "ATV0\rATQ\rATF5J\r", "0\r0\r4\r", Options{}},
		{"quiet", "ATQ1\rAT\rATQ0\r", "\r\nOK\r\n", Options{}},
		{"register", "ATS7=45S7?\r", "\r\n045\r\n\r\nOK\r\n", Options{}},
		{"register too far", "ATS300=1\r", "\r\nERROR\r\n", Options{}},
		{"register too big", "ATS7=256\r", "\r\nERROR\r\n", Options{}},
		{"unknown", "AT%C3\r", "\r\nERROR\r\n", Options{}},
		{"unknown extended", "AT+XYZ=1\r", "\r\nERROR\r\n", Options{}},
		{"context", "AT+CGDCONT=1,\"IP\",\"a;b\";+CGDCONT?\r", "\r\n+CGDCONT: 1,\"IP\",\"a;b\"\r\n\r\nOK\r\n", Options{}},
		{"satellite", "AT+CBST=71,0,1;+CR=1\r", "\r\nOK\r\n", Options{}},
		{"on-hook there is nothing to go back to", "ATO\r", "\r\nNO CARRIER\r\n", Options{}},
		{"refused", "AT&C1\rAT&D2\r", "\r\nERROR\r\n\r\nOK\r\n", Options{Refuse: []string{"&c"}}},
		{"a line too long", "AT" + strings.Repeat("E0", maxLine) + "\r", "\r\nERROR\r\n", Options{}},
		{"power-up settings", "AT\r", "0\r", Options{PowerUp: "V0X1"}},
		{"line ends", "AT\r", "\nOK\n", Options{LineEnd: "\n"}},
		{"unsolicited lines", "AT\r", "\r\n+CREG: 1\r\n\r\nOK\r\n", Options{Unsolicited: []string{"+CREG: 1"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newTerminal(t, New(c.opt)).want(c.send, c.want)
			})
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, dial, want string
		opt              Options
	}{
		{"connect", "ATDT1\r", "\r\nCONNECT\r\n", Options{}},
		{"connect with the rate", "ATDT1\r", "\r\nCONNECT 9600\r\n", Options{Down: 9600}},
		{"connect as told", "ATDT1\r", "\r\nCONNECT 33600/ARQ/V34\r\n", Options{ConnectLine: "CONNECT 33600/ARQ/V34"}},
		{"X0 knows no rate", "ATX0DT1\r", "\r\nCONNECT\r\n", Options{Down: 9600}},
		{"numeric", "ATV0DT1\r", "1\r", Options{Down: 9600}},
		{"busy", "ATDT1\r", "\r\nBUSY\r\n", Options{Answer: "BUSY"}},
		{"ringing first", "ATDT1\r", "\r\nRINGING\r\n\r\nNO ANSWER\r\n", Options{Answer: "RINGING\nNO ANSWER"}},
		{"X2 hears no busy tone", "ATX2DT1\r", "\r\nNO CARRIER\r\n", Options{Answer: "BUSY"}},
		{"X3 hears no dial tone", "ATX3DT1\r", "\r\nNO CARRIER\r\n", Options{Answer: "NO DIALTONE"}},
		{"X3 hides DELAYED", "ATX3DT1\r", "\r\nERROR\r\n", Options{Answer: "DELAYED 00:05:00"}},
		{"no number", "ATD\r", "\r\nERROR\r\n", Options{}},
		{"one for each dial", "ATDT1\rATDT2\rATDT3\r", "\r\nBUSY\r\n\r\nNO ANSWER\r\n\r\nBUSY\r\n",
			Options{Answer: "BUSY", Answers: []string{"BUSY", "NO ANSWER"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newTerminal(t, New(c.opt)).want(c.dial, c.want)
			})
		})
	}
}

func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{
		"", "E0V1", "&C1 &D2", "S7=60S7?", "+CGDCONT=1,\"IP\",\"x\";+CR=1", "DT0,555-1234;", "s", "S=", "%", "&", "+", "+\"",
		"X99999999999999999999", "\x00\xff", "A/", "+CPIN=\"1\";+CPIN?", "+CREG?;+CSQ;+COPS?", "+CGDCONT?", "+CMEE=9", "+CPINR", "D*99***1#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for rest := body; rest != ""; {
			_, after, ok := cutCommand(rest)
			if !ok {
				break
			}
			if len(after) >= len(rest) {
				t.Fatalf("%q: no progress at %q", body, rest)
			}
			rest = after
		}
		// The whole device takes it too, stays bounded, and answers again afterwards.
		m := New(Options{})
		defer m.Close()
		p := m.Port()
		p.SetReadTimeout(0)
		if _, err := p.Write([]byte("AT" + body + "\r")); err != nil {
			t.Fatal(err)
		}
		if len(m.out) > maxOut || len(m.line) > maxLine {
			t.Fatalf("out %d, line %d", len(m.out), len(m.line))
		}
		p.SetDTR(false)
		p.SetDTR(true)
		p.ResetInputBuffer()
		m.set, m.mode = settings{verbose: true, regs: [256]byte{regCR: '\r'}}, commanding
		if _, err := p.Write([]byte("\rAT\r")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 16)
		if n, _ := p.Read(buf); !strings.Contains(string(buf[:n]), "OK") {
			t.Fatalf("%q: then AT is answered %q", body, buf[:n])
		}
	})
}
