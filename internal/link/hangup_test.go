package link

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// hangupLimit is the longest from the last octet of use to a confirmed hang-up, on
// a modem with DCD.
const hangupLimit = 3 * time.Second

// slowDCD is a modem that takes its time between DTR and DCD: a DISC of V.42 to the
// far modem and its answer, S10.
type slowDCD struct {
	serial.Port
	takes time.Duration
	fell  time.Time // when DTR did, with the carrier up
}

func (p *slowDCD) SetDTR(on bool) error {
	if bits, err := p.Port.GetModemStatusBits(); err == nil && bits.DCD && !on {
		p.fell = time.Now()
	}
	return p.Port.SetDTR(on)
}

func (p *slowDCD) GetModemStatusBits() (*serial.ModemStatusBits, error) {
	bits, err := p.Port.GetModemStatusBits()
	if err == nil && !p.fell.IsZero() && time.Since(p.fell) < p.takes {
		bits.DCD = true
	}
	return bits, err
}

// slowLine is a line with its true numbers and a modem with ordinary times.
type slowLine struct {
	name string
	rate int
	rtt  time.Duration
}

func (s slowLine) options() modemtest.Options {
	return modemtest.Options{Up: s.rate, Down: s.rate, Delay: s.rtt / 2}
}

// to gives a line to a device; port, if not nil, is put between them.
func (s slowLine) to(dev *modemtest.Modem, port func(serial.Port) serial.Port) *ModemLine {
	l := lineTo(dev)
	l.cfg.Profile, l.cfg.Rate, l.cfg.RTT = modem.Generic(), s.rate, s.rtt
	l.cfg.PPP.Rate, l.cfg.PPP.RTT = s.rate, s.rtt
	if port != nil {
		l.cfg.Open = func() (serial.Port, error) { return port(dev.Port()), nil }
	}
	return l
}

var slowLines = []slowLine{
	{"33600", 33600, 150 * time.Millisecond},
	{"9600", 9600, 600 * time.Millisecond},
	{"2400", 2400, 1800 * time.Millisecond},
}

// linked brings a line up as far as PPP; gVisor's goroutines would hold a bubble's
// time. What is written to the link comes back from the far end.
func linked(t *testing.T, l *ModemLine, dev *modemtest.Modem) *ppp.Link {
	t.Helper()
	go func() {
		stream, err := dev.Accept(context.Background())
		if err == nil {
			reflect(stream)
		}
	}()
	c, err := l.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer close(c.risen)
	if err := c.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ppp.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.ppp
}

// reflect is a far end that sends every packet back.
func reflect(stream io.ReadWriteCloser) {
	far := ppp.New(stream, ppp.Config{Server: true, LocalAddr: farAddr, PeerAddr: nearAddr})
	defer far.Close(context.Background())
	if _, err := far.Up(context.Background()); err != nil {
		return
	}
	buf := make([]byte, longestPacket)
	for {
		n, err := far.ReadPacket(buf)
		if err != nil || far.WritePacket(buf[:n]) != nil {
			return
		}
	}
}

// TestHangupInTime: 3 s after the last octet of use the modem was seen on-hook, the
// far end knows, and it doesn't matter how the modem had to be told.
func TestHangupInTime(t *testing.T) {
	for _, s := range slowLines {
		for _, dcd := range []time.Duration{0, 900 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s, DCD after %v", s.name, dcd), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dev := modemtest.New(s.options())
					defer dev.Close()
					l := s.to(dev, func(p serial.Port) serial.Port { return &slowDCD{Port: p, takes: dcd} })
					link := linked(t, l, dev)
					packet := make([]byte, 500)
					for range 3 {
						if err := link.WritePacket(packet); err != nil {
							t.Fatal(err)
						}
					}
					for range 3 {
						if _, err := link.ReadPacket(packet); err != nil {
							t.Fatal(err)
						}
					}
					last := time.Now()
					if err := l.Down(t.Context()); err != nil {
						t.Fatalf("%v\n%s", err, l.Transcript())
					}
					took := time.Since(last)
					if took > hangupLimit || dev.Counters().OffHook {
						t.Errorf("confirmed after %v, off-hook %v\n%s", took, dev.Counters().OffHook, l.Transcript())
					}
					if proof := l.Proof(); proof != "DTR low, DCD down" {
						t.Errorf("proof %q", proof)
					}
					t.Logf("on-hook %v after the last octet", took)
				})
			})
		}
	}
}

// TestHangupThroughBusyLine: a call that is ended in the middle of a transfer has
// its goodbye behind what was sent already. The bound holds all the same.
func TestHangupThroughBusyLine(t *testing.T) {
	s := slowLines[2]
	synctest.Test(t, func(t *testing.T) {
		dev := modemtest.New(s.options())
		defer dev.Close()
		l := s.to(dev, func(p serial.Port) serial.Port { return &slowDCD{Port: p, takes: 900 * time.Millisecond} })
		link := linked(t, l, dev)
		go func() {
			for link.WritePacket(make([]byte, 1400)) == nil {
			}
		}()
		time.Sleep(30 * time.Second)
		begun := time.Now()
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > hangupLimit || dev.Counters().OffHook {
			t.Errorf("took %v\n%s", took, l.Transcript())
		}
	})
}

// TestHangupPastWhatIsStuck: PPP's goroutine never returns, Up with it, and flow
// control holds the port's Write. The modem is hung up in spite of them.
func TestHangupPastWhatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := modemtest.New(modemtest.Options{})
		defer dev.Close()
		l := slowLines[2].to(dev, nil)
		stuck := make(chan struct{})
		l.cfg.PPP.Trace = func(ppp.Direction, []byte) {
			dev.Set(func(o *modemtest.Options) { o.HoldCTS = true })
			<-stuck
		}
		failed := make(chan error, 1)
		go func() { failed <- l.Up(t.Context(), nil) }()
		time.Sleep(time.Minute)
		begun := time.Now()
		if err := l.Down(t.Context()); err != nil || dev.Counters().OffHook {
			t.Errorf("Down: %v\n%s", err, l.Transcript())
		}
		if took := time.Since(begun); took > hangupLimit {
			t.Errorf("took %v", took)
		}
		close(stuck)
		if err := <-failed; err == nil {
			t.Error("Up has succeeded on a line that is down")
		}
	})
}

// TestHangupPastPanic: what falls over on the way down keeps nothing up.
func TestHangupPastPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dev := modemtest.New(modemtest.Options{})
		defer dev.Close()
		l := slowLines[0].to(dev, nil)
		linked(t, l, dev)
		l.current().within(time.Second, "a part", func() { panic("fell over") })
		if err := l.Down(t.Context()); err != nil || dev.Counters().OffHook {
			t.Errorf("Down: %v", err)
		}
	})
}

// BenchmarkHangup prints the seconds from the last octet of use, on a TCP
// connection, to a confirmed hang-up. They are the line's, and pass in real time.
//
//	go test -run '^$' -bench Hangup -benchtime 1x ./internal/link
func BenchmarkHangup(b *testing.B) {
	for _, s := range slowLines {
		b.Run(s.name, func(b *testing.B) {
			dev := modemtest.New(s.options())
			p := &provider{password: "secret"}
			p.work.Go(func() { p.serve(dev) })
			defer p.work.Wait()
			defer dev.Close()
			l := s.to(dev, nil)
			var took time.Duration
			for b.Loop() {
				took += useAndHangUp(b, l)
			}
			b.ReportMetric(took.Seconds()/float64(b.N), "hangup-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func useAndHangUp(b *testing.B, l *ModemLine) time.Duration {
	b.Helper()
	if err := l.Up(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	c, err := l.DialContext(b.Context(), "tcp", farAddr.String()+":7")
	if err != nil {
		b.Fatal(err)
	}
	sent := make([]byte, 500)
	if _, err := c.Write(sent); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, sent); err != nil {
		b.Fatal(err)
	}
	last := time.Now()
	if err := l.Down(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(last)
}
