package session

import (
	"slices"
	"strings"
	"testing"

	"outpost/internal/isp"
	"outpost/queue"
)

// What the sender wants to be told goes on to a smarthost that can tell him, also when one of the recipients is not to be sent to.
func TestOutboxDSN(t *testing.T) {
	o := newOffice(t, nil)
	o.meet(isp.Options{Domain: "provider.example", TLS: isp.TLSNone, DSN: true}, 25, 110)
	m := queue.Message{Origin: queue.Submitted, From: "ann@clinic.example", EnvID: "QQ+1", Return: "HDRS", To: []queue.Recipient{
		{Addr: "a@far.example", Where: queue.Remote, State: queue.Held, Notify: "NEVER"},
		{Addr: "b@far.example", Where: queue.Remote, Notify: "SUCCESS,FAILURE", Original: "rfc822;bob+1@far.example"},
		{Addr: "c@far.example", Where: queue.Remote},
	}}
	if _, err := o.queue.Add(t.Context(), m, strings.NewReader("Subject: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	o.mustCall()
	all := o.provider.Received()
	if len(all) != 1 {
		t.Fatalf("%d messages came", len(all))
	}
	got := all[0]
	if got.EnvID != "QQ+1" || got.Return != "HDRS" || !slices.Equal(got.To, []string{"b@far.example", "c@far.example"}) ||
		!slices.Equal(got.Notify, []string{"SUCCESS,FAILURE", ""}) || !slices.Equal(got.Original, []string{"rfc822;bob+1@far.example", ""}) {
		t.Errorf("%+v", got)
	}
}

// Where the smarthost can't tell him of success, somebody here still has to.
func TestOutboxTell(t *testing.T) {
	for _, offered := range []bool{true, false} {
		o := newOffice(t, nil)
		o.meet(isp.Options{Domain: "provider.example", TLS: isp.TLSNone, DSN: offered}, 25, 110)
		m := queue.Message{Origin: queue.Submitted, From: "ann@clinic.example", To: []queue.Recipient{
			{Addr: "a@far.example", Where: queue.Remote, State: queue.Held},
			{Addr: "b@far.example", Where: queue.Remote, Notify: "SUCCESS"},
			{Addr: "c@far.example", Where: queue.Remote},
		}}
		m, err := o.queue.Add(t.Context(), m, strings.NewReader("Subject: x\r\n\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		o.mustCall()
		if m, err = o.queue.Get(m.ID); err != nil {
			t.Fatal(err)
		}
		if m.To[1].State != queue.Sent || m.To[1].Tell == offered || m.To[0].Tell || m.To[2].Tell {
			t.Errorf("DSN offered %t: %+v", offered, m.To)
		}
	}
}
