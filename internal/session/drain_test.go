package session

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/isp"
	"outpost/internal/relay"
	"outpost/queue"
)

// A server that takes two messages on a connection gets all of them in one call; the next call knows the limit.
func TestLimitOfMessages(t *testing.T) {
	o := newOffice(t, nil)
	o.provider.SetFaults(func(f *isp.Faults) { f.SMTPMessages = 2 })
	for i := range 7 {
		o.submit(fmt.Sprint("message ", i), fmt.Sprintf("x%d@far.example", i))
	}
	row := o.mustCall()
	if row.Sent != 7 || len(row.Problems) != 0 || row.Failed != 0 {
		t.Errorf("%+v", row)
	}
	if n := o.provider.Counters().SMTPConnections; n != 4 {
		t.Errorf("%d connections", n)
	}
	o.checkOnce(7)
	if known := New(o.opt).recollect().smarthost(o.opt.Smarthost.Address).Known; known.MaxMessages != 2 {
		t.Errorf("the limit is remembered as %d", known.MaxMessages)
	}
}

// checkOnce says that the smarthost has n messages, none twice, and nothing waits.
func (o *office) checkOnce(n int) {
	o.t.Helper()
	got := make(map[string]int)
	for _, r := range o.provider.Received() {
		got[string(r.Data)]++
	}
	if len(got) != n || len(o.provider.Received()) != n {
		o.t.Errorf("the smarthost has %d messages, %d of them different", len(o.provider.Received()), len(got))
	}
	if left, err := o.queue.List(); err != nil || len(left) != 0 {
		o.t.Errorf("%d messages are left, %v", len(left), err)
	}
}

// A connection that reaches its limit with nothing but refusals isn't broken: what stands behind them goes in the same call.
func TestLimitOfRefusedMessages(t *testing.T) {
	o := newOffice(t, nil)
	o.provider.SetFaults(func(f *isp.Faults) {
		f.SMTPMessages, f.RejectRecipients = 2, map[string]string{"gone@far.example": "550 5.1.1 no such user"}
	})
	o.submit("1", "x@far.example")
	o.submit("2", "x@far.example")
	o.submit("3", "x@far.example")
	o.mustCall() // which finds the limit
	for i := range 2 * (brokenTries + 1) {
		o.submit(fmt.Sprint(i), "gone@far.example")
	}
	o.submit("good, and larger than the others", "x@far.example")
	o.redial()
	if row := o.mustCall(); row.Sent != 1 || row.Failed != 2*(brokenTries+1) {
		t.Errorf("%d sent, %d failed, %q", row.Sent, row.Failed, row.Problems)
	}
}

// remembersSize makes the office know a limit of size.
func (o *office) remembersSize(octets int64, at time.Time) {
	o.t.Helper()
	known := smtpServer{Known: relay.Known{At: at, Lines: []string{"smtp.provider.example", "PIPELINING", fmt.Sprintf("SIZE %d", octets)}}}
	saved, err := json.Marshal(known)
	if err == nil {
		err = o.queue.Remember(o.t.Context(), keySMTP+o.opt.Smarthost.Address, saved)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// What the smarthost is known not to take costs no connection, unless there is one for something else: then it says itself
// what it takes today.
func TestTooBig(t *testing.T) {
	for _, c := range []struct {
		name         string
		age          time.Duration
		small        bool
		sent, failed int
		connections  int
	}{
		{"alone", time.Hour, false, 0, 2, 0},
		{"beside another", time.Hour, true, 3, 0, 1},
		{"the limit is old", limitHolds + time.Hour, false, 2, 0, 1},
		{"the clock was set back", -time.Hour, false, 2, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice(t, nil)
			o.remembersSize(1000, time.Now().Add(-c.age))
			big := o.submit(strings.Repeat("big ", 500), "x@far.example")
			o.submit(strings.Repeat("big ", 600), "y@far.example")
			if c.small {
				o.submit("small", "z@far.example")
			}
			row := o.mustCall()
			if row.Sent != c.sent || row.Failed != c.failed {
				t.Errorf("%d sent, %d failed: %q", row.Sent, row.Failed, row.Problems)
			}
			if n := o.provider.Counters().SMTPConnections; n != c.connections {
				t.Errorf("%d connections", n)
			}
			if c.failed > 0 {
				if r := o.get(big).To[0]; r.State != queue.Failed || !strings.Contains(r.Reply, "1000 at most") {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// Small mail that comes in while what is too large is refused goes by a connection.
func TestSmallBesideTooBig(t *testing.T) {
	o := newOffice(t, nil)
	o.remembersSize(1000, time.Now().Add(-time.Hour))
	o.submit(strings.Repeat("big ", 500), "x@far.example")
	c := o.begun()
	box := newOutbox(c)
	small := outgoing{row: queue.Message{Size: 10}}
	box.back(&small)
	if c.tooBig(t.Context(), box) {
		t.Error("what is not too large was refused with the rest")
	}
	if box.next(t.Context()) != &small {
		t.Error("it isn't the next any more")
	}
}

// No mail, no connection.
func TestNoConnectionWithoutMail(t *testing.T) {
	o := newOffice(t, map[string]isp.Box{"ann": {Password: password, Messages: [][]byte{letter("one")}}})
	if row := o.mustCall(); row.Collected != 1 {
		t.Errorf("%+v", row)
	}
	if n := o.provider.Counters().SMTPConnections; n != 0 {
		t.Errorf("%d connections to the smarthost", n)
	}
}

// script is a smarthost on a line without a round trip. It counts its connections, and what each was told and gets as a
// greeting is up to handle.
type script struct {
	mu    sync.Mutex
	conns int
}

// serve lets the office's line lead to handle, the nth connection being 0.
func (s *script) serve(o *office, handle func(n int, r *bufio.Reader, c net.Conn)) {
	o.line.dial = func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		s.mu.Lock()
		n := s.conns
		s.conns++
		s.mu.Unlock()
		go func() {
			defer far.Close()
			handle(n, bufio.NewReader(far), far)
		}()
		return near, nil
	}
}

// dialogue takes messages one command at a time until QUIT, without extensions.
func dialogue(r *bufio.Reader, c net.Conn) {
	_, _ = io.WriteString(c, "220 here\r\n")
	for data := false; ; {
		line, err := r.ReadString('\n')
		reply := "250 ok\r\n"
		switch {
		case err != nil:
			return
		case data && line != ".\r\n":
			continue
		case data:
			data = false
		case line == "DATA\r\n":
			data, reply = true, "354 go\r\n"
		case line == "QUIT\r\n":
			_, _ = io.WriteString(c, "221 bye\r\n")
			return
		}
		_, _ = io.WriteString(c, reply)
	}
}

// just away isn't taken for such a one.

// Where each message costs a round trip, several connections share the wait; each message goes once.
func TestSeveralConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		o.opt.Lines[0].Rate, o.opt.Lines[0].RTT = 80_000, time.Second
		for i := range 11 {
			o.submit(fmt.Sprint(i), "x@far.example")
		}
		var s script
		s.serve(o, func(n int, r *bufio.Reader, c net.Conn) {
			if n == 2 {
				return // one of them isn't let in: no matter
			}
			dialogue(r, c)
		})
		row, err := New(o.opt).Call(t.Context(), "test", false)
		if err != nil || row.Sent != 12 || len(row.Problems) != 0 || s.conns != mostDrains {
			t.Errorf("%d sent over %d connections, %v %q", row.Sent, s.conns, err, row.Problems)
		}
		if left, err := o.queue.List(); err != nil || len(left) != 0 {
			t.Errorf("%d left, %v", len(left), err)
		}
	})
}

// A server that hangs up on every connection is left alone after a few.
func TestBrokenServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		for range 5 {
			o.submit("x", "x@far.example")
		}
		var s script
		s.serve(o, func(_ int, r *bufio.Reader, c net.Conn) {
			_, _ = io.WriteString(c, "220 here\r\n")
			for range 2 { // EHLO, MAIL
				if _, err := r.ReadString('\n'); err != nil {
					return
				}
				_, _ = io.WriteString(c, "250 ok\r\n")
			}
		})
		row, err := New(o.opt).Call(t.Context(), "test", false)
		if err != nil || row.Sent != 0 || s.conns != brokenTries {
			t.Errorf("%d connections, %v", s.conns, err)
		}
		left, err := o.queue.Waiting(queue.Remote)
		if err != nil || len(left) != 6 {
			t.Errorf("%d wait, %v", len(left), err)
		}
		tries := 0
		for _, m := range left {
			tries += m.To[0].Attempts
		}
		if tries != brokenTries {
			t.Errorf("%d attempts were counted: one for each connection at most", tries)
		}
	})
}
