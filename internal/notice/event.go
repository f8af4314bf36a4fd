package notice

import (
	"strings"
	"time"

	"outpost/queue"
)

// event is what there is to tell of a recipient.
type event int

const (
	nothing event = iota
	expired       // it waited too long, and has failed by that
	failed
	waits     // longer than is usual
	held      // for a person's decision
	delivered // in the office
	relayed   // accepted by the smarthost, which doesn't report by itself
	silent    // it failed, and the sender wished not to know
)

// eventOf is what is to be told of a recipient now.
func (n *Notifier) eventOf(m *queue.Message, r *queue.Recipient, at moment) event {
	switch r.State {
	case queue.Failed:
		if m.Origin == queue.Collected && r.Where == queue.Local {
			return nothing // the only copy: it stays where a person sees it
		}
		if r.Wants("FAILURE") {
			return failed
		}
		return silent
	case queue.Sent:
		switch {
		case !r.Tell:
			return nothing
		case r.Where == queue.Local:
			return delivered
		}
		return relayed
	case queue.Held:
		if r.Told.IsZero() {
			return held
		}
	case queue.Waiting:
		return n.waitingEvent(m, r, at)
	case queue.Sending, queue.Returned:
	}
	return nothing
}

// waitingEvent is what there is to tell of somebody for whom a message waits. In the office it waits for a disk that is full or a server that is
// down: it is tried every few minutes and never given up, so only the hours say that its sender should know.
func (n *Notifier) waitingEvent(m *queue.Message, r *queue.Recipient, at moment) event {
	age, outside := at.now.Sub(m.Received), r.Where == queue.Remote
	tries := max(r.Attempts, at.callsSince(m.Received))
	switch {
	case outside && n.opt.GiveUp > 0 && age >= n.opt.GiveUp && tries >= n.opt.GiveUpCalls:
		return expired
	case m.Origin != queue.Submitted || !r.Told.IsZero() || !r.Wants("DELAY"):
		return nothing // who sent it is far away, or knows
	case n.opt.DelayAfter > 0 && age >= n.opt.DelayAfter, outside && n.opt.DelayCalls > 0 && tries >= n.opt.DelayCalls:
		return waits
	}
	return nothing
}

// settle is how a recipient stands once that has been told.
func (e event) settle(r *queue.Recipient, at moment) {
	switch e {
	case failed, silent:
		r.State = queue.Returned
	case expired:
		r.State = queue.Failed // told as any failure
		last := "it was not tried"
		switch {
		case r.Reply != "":
			last = "the last answer: " + r.Reply
		case at.trouble() != "":
			last = at.trouble()
		}
		r.Reply = "550 4.4.7 It waited too long; " + last // RFC 3463 §3.5: delivery time expired
	case waits, held:
		r.Told = at.now
	case delivered, relayed:
		r.Tell = false
	case nothing:
	}
}

// moment is the time at which the queue is looked through, and what the ledger says then.
type moment struct {
	now   time.Time
	calls []queue.Call // newest first; none: nothing is known of them
}

// ledgerRead is how many calls are looked at: more than a message waits for.
const ledgerRead = 100

// callsSince counts the calls that were up since then. A smarthost that can't be reached, or doesn't let us in, leaves no attempt on a message, and
// its sender waits all the same.
func (t moment) callsSince(then time.Time) int {
	n := 0
	for _, c := range t.calls {
		if !c.Connected.IsZero() && c.Begun.After(then) {
			n++
		}
	}
	return n
}

// trouble is what the last call had with the smarthost; "": nothing.
func (t moment) trouble() string {
	if len(t.calls) == 0 {
		return ""
	}
	for _, p := range t.calls[0].Problems {
		if strings.HasPrefix(p, "smarthost ") {
			return p
		}
	}
	return ""
}
