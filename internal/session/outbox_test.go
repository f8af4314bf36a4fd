package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/internal/isp"
	"outpost/internal/relay"
	"outpost/queue"
	"outpost/spool"
)

// claimAll takes everything out of a new outbox of a call.
func (o *office) claimAll(ctx context.Context, c *call) (box *outbox, taken []*outgoing) {
	box = newOutbox(c)
	for out := box.next(ctx); out != nil; out = box.next(ctx) {
		taken = append(taken, out)
	}
	return box, taken
}

// begun is a call that has a row and no line.
func (o *office) begun() *call {
	o.t.Helper()
	s := New(o.opt)
	c, err := s.begin(o.t.Context(), o.opt.Lines[0], "test", nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func (o *office) get(id spool.ID) queue.Message {
	o.t.Helper()
	m, err := o.queue.Get(id)
	if err != nil {
		o.t.Fatal(err)
	}
	return m
}

// tried counts attempts of a message as earlier calls would have.
func (o *office) tried(id spool.ID, attempts int) {
	o.t.Helper()
	err := o.queue.Update(o.t.Context(), id, func(m *queue.Message) error {
		m.To[0].Attempts = attempts
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

// Fewest attempts first, then the smallest, of which each day makes half.
func TestOutboxOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t) // with a message of its own, the smallest
		tried := o.submit("tried once", "x@far.example")
		o.tried(tried, 1)
		twice := o.submit("2", "x@far.example")
		o.tried(twice, 2)
		old := o.submit(strings.Repeat("o", 3000), "x@far.example") // 750 octets by its age
		time.Sleep(2*halving + time.Hour)
		big := o.submit(strings.Repeat("b", 1000), "x@far.example")
		middle := o.submit(strings.Repeat("m", 500), "x@far.example")
		small := o.submit(strings.Repeat("s", 100), "x@far.example")
		_, taken := o.claimAll(t.Context(), o.begun())
		var got []spool.ID
		for _, out := range taken[1:] {
			got = append(got, out.row.ID)
		}
		if want := []spool.ID{small, middle, old, big, tried, twice}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// What was claimed and not sent is as it was before: no attempt, no doubt.
func TestOutboxRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		ids := []spool.ID{o.submit("one", "x@far.example", "y@far.example"), o.submit("two", "x@far.example")}
		box := newOutbox(o.begun())
		ctx, cancel := context.WithCancel(t.Context())
		first := box.next(ctx) // and the others are claimed with it
		for _, id := range ids {
			if m := o.get(id); m.To[0].State != queue.Sending || m.To[0].Attempts != 1 {
				t.Errorf("not claimed: %+v", m.To)
			}
		}
		cancel() // the call ends here
		if box.next(ctx) == nil {
			t.Error("what is claimed isn't given")
		}
		box.release(ctx)
		if m := o.get(first.row.ID); m.To[0].State != queue.Sending {
			t.Errorf("what was given was released: %+v", m.To)
		}
		last := o.get(ids[0])
		if last.To[0].State == queue.Sending {
			last = o.get(ids[1])
		}
		for _, r := range last.To {
			if r.State != queue.Waiting || r.Attempts != 0 || r.Doubtful || r.Call != 0 {
				t.Errorf("released: %+v", r)
			}
		}
	})
}

// A recipient that somebody else has changed while the message was sent hides no other's result.
func TestOutboxStoresPastAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		id := o.submit("to three", "a@far.example", "b@far.example", "c@far.example")
		box, taken := o.claimAll(t.Context(), o.begun())
		out := taken[slices.IndexFunc(taken, func(out *outgoing) bool { return out.row.ID == id })]
		err := o.queue.Update(t.Context(), id, func(m *queue.Message) error {
			m.To[0].State = queue.Held
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		box.store(t.Context(), out, []relay.Result{
			{To: "a@far.example", Reply: "250"}, {To: "b@far.example", Reply: "250"},
			{To: "c@far.example", Err: &relay.Error{Code: 451, Temporary: true}, Doubtful: true},
		})
		for i, want := range []queue.State{queue.Held, queue.Sent, queue.Waiting} {
			if r := o.get(id).To[i]; r.State != want || r.Doubtful != (i == 2) {
				t.Errorf("%+v, want %s", r, want)
			}
		}
	})
}

// A message whose claim can't be stored isn't sent: what became of it could not be stored either.
func TestOutboxWithoutAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		c := o.begun()
		box := newOutbox(c)
		if !box.any() {
			t.Fatal("nothing waits")
		}
		_ = o.queue.Close()
		if out := box.next(t.Context()); out != nil {
			t.Errorf("given all the same: %+v", out)
		}
		if len(c.row.Problems) == 0 {
			t.Error("nobody is told")
		}
	})
}

// The end of a call in the middle of claiming loses nothing: each message is claimed or waits.
func TestCallEndsWhileClaiming(t *testing.T) {
	for range 20 {
		o := newOffice(t, nil)
		var ids []spool.ID
		for range 2 * claimMost {
			ids = append(ids, o.submit("x", "x@far.example"))
		}
		c := o.begun()
		ctx, cancel := context.WithCancel(t.Context())
		box := newOutbox(c)
		go cancel()
		out := box.next(ctx)
		box.release(ctx)
		for _, id := range ids {
			r := o.get(id).To[0]
			if out != nil && out.row.ID == id {
				continue
			}
			if r.State != queue.Waiting || r.Attempts != 0 {
				t.Errorf("%+v", r)
			}
		}
		if len(c.row.Problems) > 0 {
			t.Errorf("a call that ends has no problem with its messages: %q", c.row.Problems[0])
		}
	}
}

// A panic on the way doesn't end the program while the line is up, and costs only what it met.
func TestPanicOfAReader(t *testing.T) {
	o := newOffice(t, nil)
	tell := o.opt.OnEvent
	o.opt.OnEvent = func(e Event) {
		if e.Kind == Sent {
			panic("the reader fell over")
		}
		tell(e)
	}
	id := o.submit("x", "x@far.example")
	if _, err := o.call(); err != nil {
		t.Error(err)
	}
	if _, err := o.queue.Get(id); !errors.Is(err, queue.ErrNotFound) || len(o.provider.Received()) != 1 {
		t.Errorf("%v, %d received", err, len(o.provider.Received()))
	}
}

// Who was put off in a call is not tried in it again, though others of the message are still to come: a server that takes so
// many recipients and then puts the content off was once asked without an end.
func TestOneTryInACall(t *testing.T) {
	o := newOffice(t, nil)
	var to []string
	for i := range 250 {
		to = append(to, "x"+strings.Repeat("y", i%20)+string(rune('a'+i%26))+string(rune('a'+i/26))+"@far.example")
	}
	id := o.submit("to many", to...)
	o.provider.SetFaults(func(f *isp.Faults) { f.RejectData = "451 4.7.1 greylisted" })
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if row, err := New(o.opt).Call(ctx, "test", false); err != nil || row.Sent != 0 {
		t.Errorf("%+v, %v", row.Sent, err)
	}
	for _, r := range o.get(id).To {
		if r.State != queue.Waiting || r.Attempts != 1 {
			t.Fatalf("%+v", r)
		}
	}
	o.provider.SetFaults(func(f *isp.Faults) { f.RejectData = "" })
	o.redial()
	if row := o.mustCall(); row.Failed != 0 || len(o.provider.Received()) != 3 {
		t.Errorf("%d received, %q", len(o.provider.Received()), row.Problems)
	}
}
