package notice

import (
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
func (n *Notifier) eventOf(m *queue.Message, r *queue.Recipient, now time.Time) event {
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
		return n.waitingEvent(m, r, now)
	case queue.Sending, queue.Returned:
	}
	return nothing
}

// waitingEvent is what there is to tell of somebody for whom a message waits. In the office it waits for a disk that is full or a server that is
// down: it is tried every few minutes and never given up, so only the hours say that its sender should know.
func (n *Notifier) waitingEvent(m *queue.Message, r *queue.Recipient, now time.Time) event {
	age, outside := now.Sub(m.Received), r.Where == queue.Remote
	switch {
	case outside && n.opt.GiveUp > 0 && age >= n.opt.GiveUp && r.Attempts >= n.opt.GiveUpCalls:
		return expired
	case m.Origin != queue.Submitted || !r.Told.IsZero() || !r.Wants("DELAY"):
		return nothing // who sent it is far away, or knows
	case n.opt.DelayAfter > 0 && age >= n.opt.DelayAfter, outside && n.opt.DelayCalls > 0 && r.Attempts >= n.opt.DelayCalls:
		return waits
	}
	return nothing
}

// settle is how a recipient stands once that has been told.
func (e event) settle(r *queue.Recipient, now time.Time) {
	switch e {
	case failed, silent:
		r.State = queue.Returned
	case expired:
		r.State = queue.Failed // told as any failure
		last := "it was not tried"
		if r.Reply != "" {
			last = "the last answer: " + r.Reply
		}
		r.Reply = "550 4.4.7 It waited too long; " + last // RFC 3463 §3.5: delivery time expired
	case waits, held:
		r.Told = now
	case delivered, relayed:
		r.Tell = false
	case nothing:
	}
}
