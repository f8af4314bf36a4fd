package peers_test

import (
	"context"
	"io"
	"testing"
	"time"

	"outpost/internal/link"
	"outpost/internal/peers"
	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/session"
	"outpost/queue"
)

// A call over the network that is there: no modem, no PPP, the same servers.
func TestCallOverNetLine(t *testing.T) {
	t.Parallel()
	o := &office{t: t}
	o.boxes = peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{"ann": "secret"}})
	o.smarthost = peers.Postfix(t, peers.PostfixOptions{Auth: o.boxes})
	var err error
	if o.queue, err = queue.Open(t.TempDir(), queue.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.queue.Close(); err != nil {
			t.Errorf("close the queue: %v", err)
		}
	})
	way := link.NewNetLine(link.NetConfig{
		Name: "vsat", Interface: "lo", AddressLimit: time.Minute, CommandLimit: time.Minute,
		UpCommand: []string{"echo", "the dish turns"}, DownCommand: []string{"true"},
	})
	t.Cleanup(func() { _ = way.Down(context.WithoutCancel(t.Context())) })
	o.session = session.New(session.Options{
		Queue: o.queue, Lines: []session.Route{{Line: way, MaxCall: callLimit, BoxesAtOnce: 1}},
		Smarthost: &session.Smarthost{Address: o.smarthost.Submission, Relay: relay.Options{
			TLS: relay.TLSStart, TLSConfig: o.smarthost.ClientTLS(), User: "ann", Password: "secret",
		}},
		Boxes: []session.Box{{Name: "ann", Account: "ann@provider", Address: o.boxes.POP3S,
			POP3: pop3.Options{TLS: pop3.TLSImplicit, TLSConfig: o.boxes.ClientTLS(), User: "ann", Password: "secret"}}},
		Sort: func(box string, _ io.ReadSeeker, _ int64) (queue.Message, string, error) {
			return queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: box, Where: queue.Local}}}, "", nil
		},
	})
	o.write([]byte("Subject: out\r\n\r\n"+text(20_000)), "x@far.example")
	o.boxes.Deliver("ann", []byte("Subject: in\r\n\r\n"+text(30_000)))
	row, err := o.session.Call(t.Context(), "test", true)
	if err != nil || row.Sent != 1 || row.Collected != 1 || !row.OnHook || row.Number != "" || len(row.Problems) > 0 {
		t.Errorf("%+v, %v", row, err)
	}
	if n := len(o.smarthost.Mail()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
	// The loopback carries each octet out and in.
	if row.Up < 50_000 || row.Down < 50_000 || row.Metered <= 0 || row.Connected.IsZero() {
		t.Errorf("%d octets up, %d down, %v on the line", row.Up, row.Down, row.Metered)
	}
}
