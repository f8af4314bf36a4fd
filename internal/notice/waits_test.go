package notice

import (
	"errors"
	"strings"
	"testing"
	"time"

	"outpost/queue"
)

// A message that waits: its sender is told once, by hours or by calls, and it comes back in the end.
func TestWaits(t *testing.T) {
	d := newDesk(t, func(o *Options) {
		o.DelayCalls, o.DelayAfter, o.GiveUp, o.GiveUpCalls = 3, 24*time.Hour, 5*24*time.Hour, 2
	})
	tried := remote("x@far.example", queue.Waiting, "451 later")
	tried.Attempts = 2
	byHours := d.add(tried)
	tried.Attempts = 3
	byCalls := d.add(tried)
	untried := d.add(remote("y@far.example", queue.Waiting, ""))
	if got := d.tell(); len(got) != 1 || !strings.Contains(d.text(got[0]), "451 later") {
		t.Errorf("after three calls: %d notices", len(got))
	}
	d.now = d.now.Add(25 * time.Hour)
	if got := d.tell(); len(got) != 3 {
		t.Errorf("after a day: %d notices, want one of each message", len(got))
	}
	d.now = d.now.Add(5 * 24 * time.Hour)
	if got := d.tell(); len(got) != 5 {
		t.Errorf("after six days: %d notices, want two more", len(got))
	}
	for _, m := range []queue.Message{byHours, byCalls} {
		if _, err := d.q.Get(m.ID); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("it is still tried: %v", err)
		}
	}
	if _, err := d.q.Get(untried.ID); err != nil {
		t.Errorf("given up without a try: %v", err)
	}
}

// A colleague's message that waits in the office, for a server that is down, is no secret to who sent it; tries here are no calls. Nobody is told of
// what was collected: each message would be a note to the postmaster.
func TestWaitsHere(t *testing.T) {
	d := newDesk(t, func(o *Options) {
		o.DelayCalls, o.DelayAfter, o.GiveUp, o.GiveUpCalls = 3, 24*time.Hour, 5*24*time.Hour, 2
	})
	down := queue.Recipient{Addr: "ben", Where: queue.Local, State: queue.Waiting, Attempts: 50, Reply: "connection refused"}
	m := d.add(down)
	on := remote("x@far.example", queue.Waiting, "451 later")
	on.By, on.Attempts = "on", 1
	d.addMessage(queue.Message{Origin: queue.Collected, To: []queue.Recipient{down, on}})
	if got := d.tell(); len(got) != 0 {
		t.Fatalf("after some minutes: %d notices", len(got))
	}
	for range 2 {
		d.now = d.now.Add(6 * 24 * time.Hour)
		got := d.tell()
		if len(got) != 1 || got[0].To[0].Addr != "ann" {
			t.Fatalf("after days: %+v", got)
		}
		if text := d.text(got[0]); !strings.Contains(text, "connection refused") || strings.Contains(text, "Will-Retry-Until") {
			t.Error(text)
		}
	}
	if got, err := d.q.Get(m.ID); err != nil || got.To[0].State != queue.Waiting {
		t.Errorf("%+v, %v", got.To, err)
	}
}
