package modem

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"outpost/modem/modemtest"
)

// scripted is a port with a device that has an answer to each command, and says
// nothing to others. Its other methods are those of an in-memory port.
type scripted struct {
	serial.Port
	answers map[string]string

	mu    sync.Mutex
	typed []byte
	said  *io.PipeWriter
	out   *io.PipeReader
	says  sync.WaitGroup
}

func newScripted(t *testing.T, answers map[string]string) *scripted {
	device := modemtest.New(modemtest.Options{})
	t.Cleanup(func() { device.Close() })
	s := &scripted{Port: device.Port(), answers: answers}
	s.out, s.said = io.Pipe()
	return s
}

func (s *scripted) Read(b []byte) (int, error) { return s.out.Read(b) }

func (s *scripted) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.typed = append(s.typed, b...)
	line, rest, ok := strings.Cut(string(s.typed), "\r")
	if ok {
		s.typed = []byte(rest)
		if answer := s.answers[line]; answer != "" {
			s.says.Go(func() { s.said.Write([]byte("\r\n" + strings.ReplaceAll(answer, "\n", "\r\n") + "\r\n")) })
		}
	}
	return len(b), nil
}

func (s *scripted) Close() error {
	s.out.CloseWithError(errors.New("closed"))
	s.says.Wait()
	return s.Port.Close()
}

// What modems answer, as their manuals and owners have it, and the profile for each.
func TestIdentify(t *testing.T) {
	ok := map[string]string{"ATQ0E0V1": "OK"}
	with := func(more map[string]string) map[string]string {
		for k, v := range ok {
			more[k] = v
		}
		return more
	}
	for name, c := range map[string]struct {
		answers map[string]string
		want    Identity
		shown   string
	}{
		"courier": {
			with(map[string]string{"ATI": "5607\nOK", "ATI3": "USRobotics Courier V.Everything\nOK", "AT+GMI": "ERROR", "AT+GMM": "ERROR", "AT+CGMI": "ERROR", "AT+CGMM": "ERROR"}),
			Identity{Says: []string{"5607", "USRobotics Courier V.Everything"}, Profile: "courier"}, "USRobotics Courier V.Everything",
		},
		"stick": {
			with(map[string]string{"ATI": "Manufacturer: huawei\nModel: E3372\nOK", "ATI3": "ERROR", "AT+GMI": "huawei\nOK", "AT+GMM": "E3372\nOK", "AT+CGMI": "huawei\nOK", "AT+CGMM": "\"E3372\"\nOK"}),
			Identity{Maker: "huawei", Model: "E3372", Says: []string{"Manufacturer: huawei", "Model: E3372"}, Mobile: true, Profile: "gsm"}, "huawei E3372",
		},
		"handset": {
			with(map[string]string{"ATI": "2400\nOK", "ATI3": "2400\nOK", "AT+CGMI": "+CGMI: Iridium\nOK", "AT+CGMM": "IRIDIUM 9600 Family SIM Transceiver\nOK", "AT+GMI": "Iridium\nOK", "AT+GMM": "ERROR"}),
			Identity{Maker: "Iridium", Model: "IRIDIUM 9600 Family SIM Transceiver", Says: []string{"2400"}, Mobile: true, Profile: "iridium"}, "Iridium IRIDIUM 9600 Family SIM Transceiver",
		},
		"says nothing": {
			with(map[string]string{"ATI": "OK", "ATI3": "ERROR", "AT+GMI": "ERROR", "AT+GMM": "ERROR", "AT+CGMI": "+CME ERROR: 100"}),
			Identity{Profile: "generic"}, "a modem that doesn't say its name",
		},
	} {
		in(t, name, func(t *testing.T) {
			m := New(newScripted(t, c.answers), Profile{}, Options{})
			defer m.Close()
			got, err := m.Identify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Maker != c.want.Maker || got.Model != c.want.Model || !slices.Equal(got.Says, c.want.Says) || got.Mobile != c.want.Mobile || got.Profile != c.want.Profile {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if got.String() != c.shown {
				t.Errorf("shown as %q", got)
			}
		})
	}
}

// A device that talks without end is kept to what is worth showing.
func TestIdentifyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := strings.Repeat(strings.Repeat("x", 500)+"\n", 200)
		m := New(newScripted(t, map[string]string{"ATQ0E0V1": "OK", "ATI": "A\x1b[2J\n" + long + "OK"}), Profile{}, Options{})
		defer m.Close()
		begun := time.Now()
		got, err := m.Identify(t.Context())
		if err != nil || len(got.Says) > maxSays || slices.ContainsFunc(got.Says, func(s string) bool { return len(s) > maxWord }) {
			t.Errorf("%d lines kept, %v", len(got.Says), err)
		}
		if strings.Contains(strings.Join(got.Says, ""), "\x1b") {
			t.Errorf("what would change a terminal is shown: %q", got.Says)
		}
		if d := time.Since(begun); d > 5*questionWait+time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// deaf is a modem at another rate: what is written to it is noise.
type deaf struct{ serial.Port }

func (deaf) Write(b []byte) (int, error) { return len(b), nil }

func TestProbe(t *testing.T) {
	in(t, "at the third rate", func(t *testing.T) {
		device := modemtest.New(modemtest.Options{Echo: true, PowerUp: "Q1V0"})
		defer device.Close()
		var tried []int
		found, err := Probe(t.Context(), PortInfo{}.ProbeBauds(), func(baud int) (serial.Port, error) {
			if tried = append(tried, baud); baud == 9600 {
				return device.Port(), nil
			}
			return deaf{device.Port()}, nil
		})
		if err != nil || found.Baud != 9600 || !slices.Equal(tried, []int{115200, 19200, 9600}) {
			t.Fatalf("%+v, %v; tried %v", found, err, tried)
		}
		if found.Maker != "Outpost" || found.Profile != "generic" || !slices.Contains(found.Says, "Outpost test modem 33600") {
			t.Errorf("%+v", found)
		}
		if bits, _ := device.Port().GetModemStatusBits(); bits.DCD || device.Counters().OffHook || device.Counters().Dials > 0 {
			t.Error("it was not left as it was found")
		}
	})
	for name, c := range map[string]struct {
		open func(t *testing.T) serial.Port
		want string
	}{
		"silence": {func(t *testing.T) serial.Port { return newScripted(t, nil) }, "nothing answers"},
		"a login": {func(t *testing.T) serial.Port { return newScripted(t, map[string]string{"ATQ0E0V1": "router login:"}) }, `no modem says "router login:"`},
		"noise":   {func(t *testing.T) serial.Port { return newScripted(t, map[string]string{"ATQ0E0V1": "\x80\x00\xff"}) }, "nothing answers"},
		"an open call": {func(t *testing.T) serial.Port {
			device := modemtest.New(modemtest.Options{})
			t.Cleanup(func() { device.Close() })
			p := device.Port()
			p.Write([]byte("ATDT1\r"))
			return p
		}, "the carrier was up"},
		"a port that fails": {func(t *testing.T) serial.Port {
			s := newScripted(t, nil)
			s.said.CloseWithError(errors.New("input/output error"))
			return s
		}, "input/output error"},
	} {
		in(t, name, func(t *testing.T) {
			begun := time.Now()
			_, err := Probe(t.Context(), PortInfo{}.ProbeBauds(), func(int) (serial.Port, error) { return c.open(t), nil })
			if !errors.Is(err, ErrNoModem) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			if d := time.Since(begun); d > 15*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	in(t, "in use", func(t *testing.T) {
		used := inUse("/dev/ttyS0", &PortUser{Name: "minicom", PID: 12}, nil)
		_, err := Probe(t.Context(), []int{9600}, func(int) (serial.Port, error) { return nil, used })
		if !errors.Is(err, used) || errors.Is(err, ErrNoModem) {
			t.Error(err)
		}
	})
	in(t, "interrupted", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := Probe(ctx, PortInfo{}.ProbeBauds(), func(int) (serial.Port, error) { return newScripted(t, nil), nil })
		if err == nil || time.Since(begun) > 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
