package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/dispatch"
	"outpost/internal/session"
	"outpost/queue"
)

// pipes is a listener for a bubble, where there are no sockets.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }

// client talks to whoever accepts.
func (p pipes) client() *Client {
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		p.conns <- far
		return near, nil
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func newPipes() pipes { return pipes{make(chan net.Conn), make(chan struct{})} }

func TestHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var feed dispatch.Feed
		open := errors.New("carrier up")
		p := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- Serve(ctx, p, Daemon{Events: feed.Listen, Hangup: func(_ context.Context, by string) (HungUp, error) {
				feed.Tell(session.Event{Kind: session.PhaseBegan, Phase: session.HangingUp})
				time.Sleep(time.Minute) // signs of life come in between, and are nobody's business
				got := HungUp{Call: &queue.Call{ID: 3, Reason: by}, Lines: []LineDown{{Line: "landline", Down: true, Proof: "DCD down"}}}
				if by == "open" {
					return got, open
				}
				return got, nil
			}})
		}()
		c, events := p.client(), 0
		end, err := c.Hangup(t.Context(), "root\r\n on\x00 tty1 "+strings.Repeat("é", 99), func(Line) { events++ })
		if err != nil || end.HungUp == nil || end.HungUp.Call.ID != 3 || !end.HungUp.Lines[0].Down || end.Error != "" {
			t.Fatalf("%+v, %v", end, err)
		}
		if by := end.HungUp.Call.Reason; by != "root on tty1 "+strings.Repeat("é", maxBy-len("root on tty1 ")) || events != 1 {
			t.Errorf("asked by %q, %d events", by, events)
		}
		if end, err := c.Hangup(t.Context(), "open", func(Line) {}); err != nil || end.Error != open.Error() {
			t.Errorf("%+v, %v", end, err)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// A daemon that was stopped has a socket that takes connections and says nothing.
func TestSilentDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		go func() {
			for {
				far, err := p.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, far)
			}
		}()
		defer p.Close()
		c := p.client()
		begun := time.Now()
		if _, err := c.Hangup(t.Context(), "root", func(Line) {}); !errors.Is(err, ErrSilent) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Status(t.Context()); !errors.Is(err, ErrSilent) {
			t.Errorf("status: %v", err)
		}
		if took := time.Since(begun); took != 2*silence {
			t.Errorf("after %v", took)
		}
	})
}
