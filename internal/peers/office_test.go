package peers_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.bug.st/serial"

	"outpost/internal/link"
	"outpost/internal/peers"
	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/session"
	"outpost/modem"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// callLimit bounds a call of these tests; the longest takes a few seconds.
const callLimit = time.Minute

// staff are those who have a box at the provider; joe's is the office's account for sending.
func staff() []string { return []string{"ann", "ben", "cleo", "dan", "joe"} }

// office is a queue and a line with a simulated modem, and at its far end a provider
// of real servers: slirp answers, Dovecot has the boxes, Postfix takes the mail.
type office struct {
	t         *testing.T
	boxes     *peers.DovecotServer
	smarthost *peers.PostfixServer
	modem     *modemtest.Modem
	queue     *queue.Queue
	session   *session.Session

	mu     sync.Mutex
	events []session.Event
}

func newOffice(t *testing.T, line modemtest.Options) *office {
	t.Helper()
	o := &office{t: t, modem: modemtest.New(line)}
	t.Cleanup(func() { _ = o.modem.Close() })
	passwords := map[string]string{}
	for _, name := range staff() {
		passwords[name] = "secret of " + name
	}
	o.boxes = peers.Dovecot(t, peers.DovecotOptions{Users: passwords})
	o.smarthost = peers.Postfix(t, peers.PostfixOptions{Auth: o.boxes, Reject: []string{"nobody@far.example"}})
	var err error
	if o.queue, err = queue.Open(t.TempDir(), queue.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.queue.Close(); err != nil {
			t.Errorf("close the queue: %v", err)
		}
	})
	var boxes []session.Box
	for _, name := range staff() {
		boxes = append(boxes, session.Box{
			Name: name, Account: name + "@provider", Address: throughSlirp(t, o.boxes.POP3S),
			POP3: pop3.Options{TLS: pop3.TLSImplicit, TLSConfig: o.boxes.ClientTLS(), User: name, Password: passwords[name]},
		})
	}
	way := link.NewModemLine(link.ModemConfig{
		Name: "landline", Number: "5551234", Profile: modem.Generic(), Rate: line.Up,
		Open: func() (serial.Port, error) { return o.modem.Port(), nil },
	})
	t.Cleanup(func() { _ = way.Down(context.WithoutCancel(t.Context())) })
	o.session = session.New(session.Options{
		Queue: o.queue,
		Lines: []session.Route{{Line: way, MaxCall: callLimit, BoxesAtOnce: 3}},
		Smarthost: &session.Smarthost{Address: throughSlirp(t, o.smarthost.Submission), Relay: relay.Options{
			TLS: relay.TLSStart, TLSConfig: o.smarthost.ClientTLS(), User: "joe", Password: passwords["joe"],
		}},
		Boxes: boxes,
		Sort: func(box string, _ io.ReadSeeker, _ int64) (queue.Message, string, error) {
			return queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: box, Where: queue.Local}}}, "", nil
		},
		OnEvent: func(e session.Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.events = append(o.events, e)
		},
	})
	return o
}

// write is somebody in the office sending a letter.
func (o *office) write(body []byte, to ...string) {
	o.t.Helper()
	m := queue.Message{Origin: queue.Submitted, From: "ann@office.example", EightBit: true}
	for _, address := range to {
		m.To = append(m.To, queue.Recipient{Addr: address, Where: queue.Remote, State: queue.Waiting})
	}
	if _, err := o.queue.Add(o.t.Context(), m, bytes.NewReader(body)); err != nil {
		o.t.Fatal(err)
	}
}

// call places a call that comes to its end.
func (o *office) call() queue.Call {
	o.t.Helper()
	row, err := o.place()
	if err != nil || row.Error != "" {
		o.t.Errorf("call %d: %v, %s", row.ID, err, row.Error)
	}
	return row
}

// place places one call that a new slirp answers, and wants the line down
// afterwards however it went.
func (o *office) place() (queue.Call, error) {
	o.t.Helper()
	wire := peers.Slirp(o.t)
	ctx, hangUp := context.WithCancel(o.t.Context())
	var provider sync.WaitGroup
	provider.Go(func() {
		far, err := o.modem.Accept(ctx)
		if err != nil {
			return
		}
		// Whoever ends first takes the other side along, as a line does.
		pass := func(to io.WriteCloser, from io.ReadCloser) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
			_ = from.Close()
		}
		provider.Go(func() { pass(wire, far) })
		pass(far, wire)
	})
	row, err := o.session.Call(ctx, "test", true)
	hangUp()
	_ = wire.Close()
	provider.Wait()
	if !row.OnHook || o.modem.Counters().OffHook {
		o.t.Errorf("call %d: the line is not down", row.ID)
	}
	return row, err
}

// collected returns the messages in the queue that came from a box.
func (o *office) collected(box string) [][]byte {
	o.t.Helper()
	list, err := o.queue.Waiting(queue.Local)
	if err != nil {
		o.t.Fatal(err)
	}
	var all [][]byte
	for _, m := range list {
		if m.Box == box+"@provider" && len(m.To) == 1 && m.To[0].Addr == box {
			all = append(all, o.body(m))
		}
	}
	return all
}

func (o *office) body(m queue.Message) []byte {
	o.t.Helper()
	r, err := o.queue.Body(m.ID)
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// both tells whether mail came in between two that went out: the two directions
// were at work at the same time.
func (o *office) both() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := func(e session.Event) bool { return e.Kind == session.Sent }
	first := slices.IndexFunc(o.events, sent)
	if first < 0 {
		return false
	}
	in := slices.IndexFunc(o.events[first:], func(e session.Event) bool { return e.Kind == session.Collected })
	return in >= 0 && slices.ContainsFunc(o.events[first+in:], sent)
}

// show prints what happened in the calls of a test that failed.
func (o *office) show() {
	if !o.t.Failed() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind != session.Progress {
			o.t.Logf("%s call %d %s %s %s %s %s", e.At.Format("15:04:05.000"), e.Call, e.Kind, e.Phase, e.Box, e.To, e.Text)
		}
	}
}

// stock gives every box letters of its own and the office letters to send, and
// returns both.
func (o *office) stock(each int) (in map[string][][]byte, out [][]byte) {
	in = map[string][][]byte{}
	for i, name := range staff() {
		for n := range each {
			m := letter(1000*(i+1)+n, text(500+400*n))
			o.boxes.Deliver(name, m)
			in[name] = append(in[name], m)
		}
	}
	for _, m := range letters() {
		o.boxes.Deliver("ann", m)
		in["ann"] = append(in["ann"], m)
		o.write(m, "bob@far.example")
		out = append(out, m)
	}
	for n := range 2 * each {
		m := letter(9000+n, text(700+300*n))
		o.write(m, "bob@far.example", "eve@farther.example")
		out = append(out, m)
	}
	return in, out
}
