package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.bug.st/serial"

	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// quick is a profile for a modem that needs no patience.
func quick() modem.Profile {
	p := modem.Generic()
	p.CommandTimeout = 300 * time.Millisecond
	p.DTRTimeout = 200 * time.Millisecond
	p.DTRPulse = 20 * time.Millisecond
	p.GuardTime = 20 * time.Millisecond
	return p
}

func lineTo(dev *modemtest.Modem) *ModemLine {
	return NewModemLine(ModemConfig{
		Name: "test", Number: "5551234", Profile: quick(),
		Open: func() (serial.Port, error) { return dev.Port(), nil },
		PPP:  ppp.Config{User: "office", Password: "secret"},
	})
}

// provider answers calls: PPP, and then a Stack with an echo service, unless
// bare, which works inside a bubble. Its goroutines end with the modem.
type provider struct {
	password string
	bare     bool
	work     sync.WaitGroup

	mu     sync.Mutex
	errs   []error // of PPP's end, one each call
	stacks []*Stack
}

func (p *provider) serve(dev *modemtest.Modem) {
	for {
		stream, err := dev.Accept(context.Background())
		if err != nil {
			return
		}
		p.work.Go(func() { p.answer(stream) })
	}
}

func (p *provider) answer(stream io.ReadWriteCloser) {
	l := ppp.New(stream, ppp.Config{
		Server: true, LocalAddr: farAddr, PeerAddr: nearAddr, DNS: [2]netip.Addr{farAddr},
		Authenticate: func(string) (string, bool) { return p.password, true },
	})
	defer l.Close(context.Background())
	_, err := l.Up(context.Background())
	if err == nil && !p.bare {
		err = p.host(l)
	} else if err == nil {
		<-l.Done()
		err = l.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

// gated keeps the caller's packets back until the services are there: callers begin
// as soon as PPP is up.
type gated struct {
	*ppp.Link
	open chan struct{}
}

func (g gated) ReadPacket(b []byte) (int, error) {
	select {
	case <-g.open:
	case <-g.Done():
	}
	return g.Link.ReadPacket(b)
}

func (p *provider) host(l *ppp.Link) error {
	gate := gated{l, make(chan struct{})}
	s, err := NewStack(gate, farAddr, StackOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	echo, err := s.ListenTCP(7)
	if err != nil {
		return err
	}
	names, err := s.ListenUDP(53)
	if err != nil {
		return err
	}
	p.work.Go(func() { serveEcho(echo) })
	p.work.Go(func() { (&nameServer{answer: address("echo.example.", farAddr)}).serve(names) })
	p.mu.Lock()
	p.stacks = append(p.stacks, s)
	p.mu.Unlock()
	close(gate.open)
	<-l.Done()
	return l.Err()
}

func (p *provider) ends() []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errs
}

// dialled is a line to a provider on a simulated modem.
func dialled(t *testing.T, opt modemtest.Options, p *provider) (*ModemLine, *modemtest.Modem) {
	dev := modemtest.New(opt)
	if p.password == "" {
		p.password = "secret"
	}
	p.work.Go(func() { p.serve(dev) })
	t.Cleanup(func() {
		dev.Close()
		p.work.Wait()
	})
	return lineTo(dev), dev
}

func TestModemLine(t *testing.T) {
	noLeak(t)
	p := &provider{}
	l, dev := dialled(t, modemtest.Options{}, p)
	if l.Lost() != nil || !l.Connected().IsZero() || l.Transcript() != "" {
		t.Error("a line that was never up has a past")
	}
	if _, err := l.DialContext(t.Context(), "tcp", "echo.example:7"); kindIn(err) != LineLost {
		t.Errorf("dialling before Up: %v", err)
	}
	for call := 1; call <= 2; call++ { // a line can be used again
		var phases []string
		if err := l.Up(t.Context(), func(phase string) { phases = append(phases, phase) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(phases, " "); got != "dialling linking" {
			t.Errorf("phases %q", got)
		}
		if err := l.Up(t.Context(), nil); err == nil {
			t.Error("Up on a line that is up")
		}
		c, err := l.DialContext(t.Context(), "tcp", "echo.example:7") // DNS over the line, too
		if err != nil {
			t.Fatal(err)
		}
		sent := bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 1000)
		echoes(t, c, sent)
		up, down := l.Counters()
		if least := int64(len(sent)); up < least || down < least {
			t.Errorf("%d octets up, %d down: less than was echoed", up, down)
		}
		if l.Connected().IsZero() || !strings.Contains(l.Transcript(), "ATDT5551234") {
			t.Errorf("connected %v, transcript:\n%s", l.Connected(), l.Transcript())
		}
		select {
		case <-l.Lost():
			t.Error("lost")
		default:
		}
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); kindIn(err) != LineLost {
			t.Errorf("a connection outlived its line: %v", err)
		}
		if err := l.Down(t.Context()); err != nil {
			t.Errorf("Down again: %v", err)
		}
		up2, down2 := l.Counters()
		seen := dev.Counters()
		if seen.OffHook || seen.Connects != call || up2 < up || down2 < down {
			t.Errorf("after Down: %+v; %d up, %d down", seen, up2, down2)
		}
	}
	select {
	case <-l.Lost():
		t.Error("Down counts as a loss")
	default:
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
	dev.Close()
	p.work.Wait()
	for _, err := range p.ends() { // the far end was told, so that its accounting is right
		if kindOfPPP(err) != ppp.PeerTerminated {
			t.Errorf("the provider saw %v", err)
		}
	}
}

func kindIn(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

func kindOfPPP(err error) ppp.Kind {
	var e *ppp.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}
