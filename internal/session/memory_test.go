package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/isp"
	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/tickets"
	"outpost/queue"
)

// secureOffice is an office whose provider has TLS on all its ports.
func secureOffice(t *testing.T, boxes map[string]isp.Box) *office {
	t.Helper()
	o := newOffice(t, boxes)
	o.meet(isp.Options{Domain: "provider.example", TLS: isp.TLSImplicit, Boxes: boxes}, 465, 995)
	p := o.provider
	config := func(host string) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: p.RootCAs()}
	}
	o.opt.Smarthost = &Smarthost{
		Address: "smtp.provider.example:465",
		Relay:   relay.Options{TLS: relay.TLSImplicit, TLSConfig: config(p.SMTPHost())},
	}
	for i := range o.opt.Boxes {
		b := &o.opt.Boxes[i]
		b.Address = "pop.provider.example:995"
		b.POP3.TLS, b.POP3.TLSConfig = pop3.TLSImplicit, config(p.POPHost())
	}
	return o
}

// redial gives the next call a line like the last one's.
func (o *office) redial() {
	line := newFakeLine(o.line.name)
	line.dial = o.line.dial
	o.line, o.opt.Lines[0].Line = line, line
}

// What a call finds out the next one knows, in another process too: its handshakes are resumed, nothing is asked again.
func TestMemoryOutlivesTheSession(t *testing.T) {
	o := secureOffice(t, map[string]isp.Box{"ann": {Password: password, Messages: [][]byte{letter("one")}}})
	o.opt.Lines[0].RTT = 100 * time.Millisecond
	o.submit("first", "x@far.example")
	row := o.mustCall()
	if row.Handshakes != 2 || row.Resumed != 0 || row.Sent != 1 || row.Collected != 1 {
		t.Errorf("first call: %+v", row)
	}
	first := row.Up + row.Down

	m := New(o.opt).recollect()
	if known := m.smarthost(o.opt.Smarthost.Address).Known; known.At.IsZero() || known.MaxSize() == 0 {
		t.Errorf("of the smarthost: %+v", known)
	}
	if known := m.mailServer("pop.provider.example:995").Known; known == nil || !slices.Contains(known.Capabilities, "PIPELINING") {
		t.Errorf("of the server with the boxes: %+v", known)
	}
	if left := m.left("ann@pop.provider.example"); !left.Emptied {
		t.Errorf("of the box: %+v", left)
	}
	if facts := recall[lineFacts](m, keyLine+"fake"); facts.RTT == 0 {
		t.Errorf("of the line: %+v", facts)
	}

	o.redial()
	o.provider.AddMail("ann", letter("two"))
	o.submit("other", "x@far.example")
	row = o.mustCall()
	if row.Handshakes != 0 || row.Resumed != 2 || row.Sent != 1 || row.Collected != 1 || len(row.Problems) != 0 {
		t.Errorf("second call: %+v", row)
	}
	if second := row.Up + row.Down; second > first*3/4 {
		t.Errorf("%d octets, then %d", first, second)
	}
}

// A message that stays is known to the next call by when it was seen first.
func TestMemoryOfABox(t *testing.T) {
	o := newOffice(t, map[string]isp.Box{"ann": {Password: password, Messages: [][]byte{letter("one"), letter("two")}}})
	o.provider.SetFaults(func(f *isp.Faults) { f.Unreadable = []string{o.provider.Box("ann")[0].UIDL} })
	o.mustCall()
	left := New(o.opt).recollect().left("ann@pop.provider.example")
	if len(left.Waiting) != 1 || left.Emptied {
		t.Fatalf("%+v", left)
	}
	since := slices.Collect(maps.Values(left.Waiting))[0].Since
	o.redial()
	o.mustCall()
	left = New(o.opt).recollect().left("ann@pop.provider.example")
	if got := slices.Collect(maps.Values(left.Waiting)); len(got) != 1 || !got[0].Since.Equal(since) {
		t.Errorf("%+v, first seen %v", got, since)
	}
}

// What a line has carried is known to the next call, and fades in one that doesn't reach it.
func TestMemoryOfALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		keep := New(o.opt).recollect()
		keep.learnLine("fake", lineFacts{Up: 1000, Down: 2000, RTT: time.Second})
		keep.keep(t.Context())
		(&script{}).serve(o, func(_ int, r *bufio.Reader, c net.Conn) { dialogue(r, c) })
		for call := 1; call <= 2; call++ {
			if _, err := New(o.opt).Call(t.Context(), "test", true); err != nil {
				t.Fatal(err)
			}
			f := recall[lineFacts](New(o.opt).recollect(), keyLine+"fake")
			if want := 1000 * math.Pow(fade, float64(call)); math.Abs(f.Up-want) > 1e-6 || math.Abs(f.Down-2*want) > 1e-6 || f.RTT != time.Second {
				t.Errorf("after call %d: %+v, want %v", call, f, want)
			}
			o.redial()
		}
		// A line that didn't come up has shown nothing.
		o.line.upErr = errors.New("BUSY")
		before, _ := o.queue.Recall(keyLine + "fake")
		_, _ = New(o.opt).Call(t.Context(), "test", true)
		if after, _ := o.queue.Recall(keyLine + "fake"); !bytes.Equal(before, after) {
			t.Errorf("%s, then %s", before, after)
		}
	})
}

// Whatever has become of the memory, everything is sent and collected: it costs time and nothing else.
func TestDamagedMemory(t *testing.T) {
	damage := []string{
		``, `{`, `null`, `[]`, `7`, "\x00\xff",
		`{"at_once":-3}`, `{"at_once":-3,"limited_at":"2999-01-01T00:00:00Z"}`, `{"at_once":1,"known":5}`,
		`{"known":{"at":"2999-01-01T00:00:00Z","capabilities":["PIPELINING","SASL NONSENSE"]}}`,
		`{"known":{"At":"2999-01-01T00:00:00Z","Lines":["x","SIZE 1","CHUNKING","PIPECONNECT","LIMITS MAILMAX=1"],"MaxMessages":-1}}`,
		`{"Up":-1,"Down":-4000,"rtt":1000000000}`, `{"Up":1e300,"Down":1e300,"rtt":9000000000000000000}`,
		`{"waiting":{"x":{}},"emptied":true}`, `{"smtp.provider.example:465":[{"at":"2026-11-25T00:00:00Z","ticket":"AAAA","state":"AAAA"}]}`,
	}
	for _, value := range damage {
		t.Run(value, func(t *testing.T) {
			o := newOffice(t, map[string]isp.Box{
				"ann": {Password: password, Messages: [][]byte{letter("one")}},
				"ben": {Password: password, Messages: [][]byte{letter("two")}},
			})
			o.opt.Lines[0].BoxesAtOnce = 0
			keys := []string{
				keyTickets, keyLine + "fake", keySMTP + o.opt.Smarthost.Address, keyPOP3 + "pop.provider.example:110",
				keyBox + "ann@pop.provider.example", keyBox + "ben@pop.provider.example",
			}
			for _, key := range keys {
				if err := o.queue.Remember(t.Context(), key, []byte(value)); err != nil {
					t.Fatal(err)
				}
			}
			o.submit("out", "x@far.example")
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			row, err := New(o.opt).Call(ctx, "test", false)
			if err != nil || row.Sent != 1 || row.Collected != 2 || len(row.Problems) != 0 {
				t.Errorf("%+v, %v", row, err)
			}
			for _, key := range keys[1:] {
				saved, err := o.queue.Recall(key)
				if err != nil || !json.Valid(saved) {
					t.Errorf("%s is %q afterwards, %v", key, saved, err)
				}
			}
		})
	}
}

// Any octets can stand in the database.
func FuzzRecollect(f *testing.F) {
	q, err := queue.Open(f.TempDir(), queue.Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer q.Close()
	f.Add([]byte(`{"Up":1,"Down":2,"rtt":3}`))
	f.Add([]byte(`{"at_once":3,"limited_at":"2026-11-25T00:00:00Z","known":{"at":"2026-11-25T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if err := q.Remember(t.Context(), keyLine, value); err != nil {
			t.Fatal(err)
		}
		m := &memory{queue: q, note: func(string, error) {}}
		g := newGauge(0, 0, recall[lineFacts](m, keyLine))
		if g.boxesAtOnce() < 1 || g.pullWindow() < 1 || g.drainWindow() < 0 {
			t.Errorf("%+v", g.facts())
		}
		if recall[mailServer](m, keyLine).limit() < 0 {
			t.Error("a limit that nothing is below")
		}
		server := recall[smtpServer](m, keyLine)
		server.Known.MaxSize()
		_ = new(tickets.Jar).Load(value)
	})
}
