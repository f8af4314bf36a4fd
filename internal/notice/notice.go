// Package notice tells people in the office by mail what becomes of mail: that it could not
// be delivered, that it waits, that it is held and what would let it go. And it does
// what they answer.
//
// The queue's rows say what there is to tell: a recipient that failed, that has waited long, that is held, or whose
// delivery the sender wanted to know of. Run looks through them, writes one report for a message, and
// commits it to the queue in one transaction with the fact that it was told (queue.AddWith). So a
// report is neither lost nor written twice, wherever the program stops.
//
// The invariants: a report goes to a mailbox of the office, never out; there is none about a notice; a
// message whose sender has no mailbox here, or no address at all (RFC 5321 §4.5.5), is reported to the postmaster
// instead. NOTIFY of RFC 3461 is obeyed.
//
// How a report looks is package dsn's; who has which mailbox is told by Options.
package notice

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"outpost/queue"
	"outpost/spool"
)

const (
	// round is how often the queue is looked through when nothing calls: what has waited for hours is told of
	// within this.
	round = 10 * time.Minute
	// again is the pause after something failed, a full disk for example.
	again = time.Minute
)

// Options are who is told, and when. The first five must be set.
type Options struct {
	Queue *queue.Queue
	// Hostname is in the addresses of notices: outpost@Hostname.
	Hostname string
	// Home gives the place of somebody who handed a message in, by login or by the envelope's sender; "": he has
	// none in the office.
	Home func(user, from string) string
	// Address is a place's mail address, for people to read.
	Address func(place string) string
	// Has says whether mail for a place is the affair of somebody whose own place is by. nil: only if that is the same place.
	Has func(by, place string) bool
	// Postmaster is the place of who is told when there is nobody else; Manager of who may let go what is held, "" for the
	// postmaster.
	Postmaster, Manager string
	// Smarthost is the name of the server whose replies those of remote recipients are.
	Smarthost string
	// DelayCalls and DelayAfter are how many calls, or how long, a message waits before its sender is told; the first that
	// comes counts. Zero: never.
	DelayCalls int
	DelayAfter time.Duration
	// GiveUp is how long a message may wait, and GiveUpCalls how many calls must have tried it, before it has failed. Zero
	// GiveUp: it waits for ever.
	GiveUp      time.Duration
	GiveUpCalls int
	// Call places a call for somebody in the office, without waiting for it; false if he may not ask for one. nil: nobody may.
	Call func(place string) bool
	// Now is the time; nil: time.Now.
	Now func() time.Time
	// Log gets a line for each notice. nil: discarded.
	Log *slog.Logger
}

// Notifier tells. Its methods may be called from any goroutine.
type Notifier struct{ opt Options }

// New makes a Notifier. It does nothing until Run.
func New(opt Options) *Notifier {
	if opt.Manager == "" {
		opt.Manager = opt.Postmaster
	}
	if opt.Has == nil {
		opt.Has = func(by, place string) bool { return by == place }
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Notifier{opt: opt}
}

// Run tells what there is to tell, then again at each wake and every ten minutes, until ctx ends.
func (n *Notifier) Run(ctx context.Context, wake <-chan struct{}) {
	for ctx.Err() == nil {
		pause := round
		if err := n.Tell(ctx); err != nil && ctx.Err() == nil {
			n.opt.Log.Error("notices not written", "error", err, "again_in", again)
			pause = again
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case _, ok := <-wake:
			if !ok {
				wake = nil
			}
		}
		timer.Stop()
	}
}

// Tell goes through the queue once. The error is what failed, joined; the rest has been told.
func (n *Notifier) Tell(ctx context.Context) error {
	at := moment{now: n.opt.Now()}
	var err error
	if at.calls, err = n.opt.Queue.Calls(ledgerRead); err != nil {
		return err
	}
	var ids []spool.ID
	err = n.opt.Queue.Each(func(m queue.Message) {
		if n.due(&m, at) {
			ids = append(ids, m.ID)
		}
	})
	if errors.Is(err, queue.ErrCorrupt) {
		err = nil // rows that can't be read are the queue's to report
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		err = errors.Join(err, n.tell(ctx, id, at))
	}
	return err
}

// Due says that there is something to tell of a message, so that Run should be woken. It doesn't block.
func (n *Notifier) Due(m queue.Message) bool { return n.due(&m, moment{now: n.opt.Now()}) }

func (n *Notifier) due(m *queue.Message, at moment) bool {
	for i := range m.To {
		if n.eventOf(m, &m.To[i], at) != nothing {
			return true
		}
	}
	return false
}
