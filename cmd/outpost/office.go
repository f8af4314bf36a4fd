package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.bug.st/serial"

	"outpost/internal/config"
	"outpost/internal/control"
	"outpost/internal/dispatch"
	"outpost/internal/imapd"
	"outpost/internal/mailroom"
	"outpost/internal/notice"
	"outpost/internal/schedule"
	"outpost/internal/session"
	"outpost/internal/smtpd"
	"outpost/internal/tariff"
	"outpost/internal/users"
	"outpost/modem"
	"outpost/queue"
	"outpost/spool"
)

// shutdownLimit is how long mail that is being handed in may take to come to its
// 250 when the daemon is stopped.
const shutdownLimit = 10 * time.Second

// office is everything that a running gateway is made of, wired together.
type office struct {
	cfg      *config.Config
	log      *slog.Logger
	queue    *queue.Queue
	mailroom *mailroom.Mailroom
	tls      *tls.Config  // of the doors
	guard    *users.Guard // at the doors
	door     *smtpd.Server
	imap     *imapd.Server
	lines    []line
	calls    *session.Session
	dispatch *dispatch.Dispatcher
	feed     dispatch.Feed
	notices  *notice.Notifier
	book     *book
	wake     chan struct{} // there is mail for the mailroom
	tell     chan struct{} // there is something to tell the staff
	asked    chan string   // who asks for a call by mail

	mu   sync.Mutex
	seen []control.LineDown // each line, as the last reset saw it
}

// opening is what the outside gives an office besides its configuration.
type opening struct {
	log *slog.Logger
	// port opens a serial port; the demo has one that needs no hardware.
	port func(modem.PortOptions) (serial.Port, error)
	// step is called before each durable step; nil for none. Tests stop there.
	step func(string) error
}

// openOffice opens the database and puts the parts together. It listens nowhere
// and dials nothing yet. Close it.
func openOffice(cfg *config.Config, with opening) (*office, error) {
	o := &office{cfg: cfg, log: with.log, wake: make(chan struct{}, 1), tell: make(chan struct{}, 1), asked: make(chan string, 1)}
	q, err := queue.Open(cfg.Storage.Dir, queue.Options{
		Spool: spool.Options{MinFreeBytes: cfg.Storage.MinFreeBytes, MinFreeInodes: cfg.Storage.MinFreeInodes},
		OnAdd: o.ring, OnUpdate: o.ring, Step: with.step, Log: with.log,
	})
	if err != nil {
		return nil, err
	}
	o.queue = q
	if err := o.assemble(with); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return o, nil
}

// ring wakes who has to do with a message now, without waiting for him.
func (o *office) ring(m queue.Message) {
	if o.notices == nil {
		return // not yet
	}
	if m.Waits(queue.Local) {
		poke(o.wake)
	}
	if o.notices.Due(m) {
		poke(o.tell)
	}
}

// event tells who listens to a call, and once it has ended those who wait for what it could not send.
func (o *office) event(e session.Event) {
	o.feed.Tell(e)
	if e.Kind == session.Ended {
		poke(o.tell)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (o *office) assemble(with opening) error {
	var err error
	if o.book, err = newBook(o.cfg, o.log); err != nil {
		return err
	}
	if o.mailroom, err = o.newMailroom(with.step); err != nil {
		return err
	}
	o.notices = o.newNotices()
	if o.tls, err = o.serverTLS(); err != nil {
		return err
	}
	o.guard = newGuard(o.cfg, o.log)
	if o.door, err = o.newDoor(); err != nil {
		return err
	}
	o.imap = o.newIMAP()
	host, err := smarthost(o.cfg)
	if err != nil {
		return err
	}
	boxes, err := o.boxes()
	if err != nil {
		return err
	}
	o.calls = session.New(session.Options{
		Queue: o.queue, Lines: o.routes(with.port), Smarthost: host, Boxes: boxes,
		Sort: o.mailroom.Sort, Hold: o.hold, TellManager: o.notices.TellManager, Unread: o.mailroom.Unread, Outward: o.outward, OnEvent: o.event, Log: o.log,
	})
	times, err := schedule.Parse(o.cfg.Schedule.Calls, o.cfg.Schedule.Location())
	if err != nil {
		return err
	}
	o.dispatch = dispatch.New(dispatch.Options{Schedule: times, Call: o.calls.Call, Reset: o.reset, Log: o.log})
	return nil
}

func (o *office) close() error { return o.queue.Close() }

// run serves until ctx ends or a part fails, then stops all of it in order: the
// call first, because it costs money, then the door, then the mailroom. A part
// that panics is a part that failed.
func (o *office) run(ctx context.Context, d doors) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(what string, serve func() error) {
		parts.Go(func() {
			if err := session.Safely(o.log, what, serve); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	for _, l := range d.plain {
		part("smtp "+l.Addr().String(), func() error { return o.door.Serve(l) })
	}
	for _, l := range d.implicit {
		part("smtp "+l.Addr().String(), func() error { return o.door.ServeTLS(l) })
	}
	for _, l := range d.imap {
		part("imap "+l.Addr().String(), func() error { return o.imap.Serve(l) })
	}
	for _, l := range d.imaps {
		part("imap "+l.Addr().String(), func() error { return o.imap.ServeTLS(l) })
	}
	part("control socket", func() error { return control.Serve(ctx, d.control, o.daemon()) })
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()
	part("mailroom", func() error { o.mailroom.Run(delivering, o.wake); return nil })
	part("calls asked for", func() error { return o.callWhenAsked(ctx) })
	part("notices", func() error { o.notices.Run(delivering, o.tell); return nil })

	failed := session.Safely(o.log, "dispatch", func() error { o.dispatch.Run(ctx); return nil })
	cancel(failed) // it ends only with ctx, or by a panic
	limited, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
	defer stop()
	if err := o.door.Shutdown(limited); err != nil {
		o.log.Warn("mail that was being handed in was cut off", "err", err)
	}
	if err := o.imap.Shutdown(limited); err != nil {
		o.log.Warn("mail programs were cut off", "err", err)
	}
	stopDelivering()
	parts.Wait()
	if cause := context.Cause(ctx); failed != nil || !stopped(cause) {
		return cause
	}
	return nil
}

// stopped tells that the daemon was told to stop from that one of its parts
// failed.
func stopped(cause error) bool {
	return errors.Is(cause, context.Canceled)
}

// reset makes sure that every line is on-hook and closes the rows of calls that
// a crash cut off or whose hang-up was not confirmed.
func (o *office) reset(ctx context.Context) error {
	o.mu.Lock()
	o.seen = nil // until it is seen anew
	o.mu.Unlock()
	open, err := o.queue.Unfinished()
	if err != nil {
		return err
	}
	var faults []error
	var seen []control.LineDown
	for _, l := range o.lines {
		err := l.Reset(ctx)
		seen = append(seen, lineDown(l, err))
		calling := slices.ContainsFunc(open, func(c queue.Call) bool { return c.Line == l.Name() })
		switch {
		case err == nil:
		case absent(err) && !calling:
			// A modem that isn't plugged in, and was in no call, has nothing to
			// hang up, and must not keep the other lines from being used.
			o.log.Warn("modem not there", "line", l.Name(), "err", session.Explain(err))
		case absent(err):
			faults = append(faults, &exitError{err: err, hint: "its last call has no confirmed end: plug the modem in again, or, if it is gone for good, take the line out of the configuration"})
		default:
			faults = append(faults, err)
		}
	}
	o.mu.Lock()
	o.seen = seen
	o.mu.Unlock()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	return session.CloseInterrupted(ctx, o.queue, tariffsOf(o.cfg))
}

// absent says that an error is only about a port that isn't there.
func absent(err error) bool {
	var port *modem.OpenError
	var open *modem.HangupError
	return errors.As(err, &port) && port.Absent() && !errors.As(err, &open)
}

func tariffsOf(cfg *config.Config) map[string]tariff.Tariff {
	byLine := make(map[string]tariff.Tariff)
	for _, l := range cfg.Lines {
		byLine[l.Name] = tariffOf(l.Tariff, cfg.Schedule.Location())
	}
	return byLine
}

// daemon is what the control socket serves.
func (o *office) daemon() control.Daemon {
	return control.Daemon{
		Status: o.status, Queue: o.listed, Calls: o.queue.Calls, Call: o.queue.Call,
		Held: o.held, Decide: o.decide, Connect: o.dispatch.Connect, Hangup: o.hangup, Events: o.feed.Listen,
	}
}

// listed is the queue, with boxes called as the configuration calls them.
func (o *office) listed() ([]queue.Message, error) {
	messages, err := o.queue.List()
	for i, m := range messages {
		for _, b := range o.cfg.Boxes {
			if m.Box == accountOf(b) {
				messages[i].Box = b.Name
			}
		}
	}
	return messages, o.readable(err)
}

// readable passes over rows of the database that can't be read, as what can be is shown all the same; the log has them.
func (o *office) readable(err error) error {
	if errors.Is(err, queue.ErrCorrupt) {
		o.log.Error("part of the database is damaged", "error", err)
		return nil
	}
	return err
}

func (o *office) status() (control.Status, error) {
	s := control.Status{Status: o.dispatch.Status()}
	if s.Last == nil { // since the start; the ledger knows the one before it
		calls, err := o.queue.Calls(1)
		if err != nil {
			return s, err
		}
		if len(calls) > 0 && !calls[0].Ended.IsZero() {
			s.Last = &calls[0]
		}
	}
	err := o.queue.Each(func(m queue.Message) {
		var waits, undelivered, failed, held int
		for _, r := range m.To {
			switch {
			case r.State == queue.Failed:
				failed = 1
			case r.State == queue.Sent || r.State == queue.Returned:
			case r.State == queue.Held:
				held = 1
			case r.Where == queue.Local:
				undelivered = 1
			default:
				waits = 1
			}
		}
		s.Waiting += waits
		s.WaitingBytes += int64(waits) * m.Size
		s.Undelivered += undelivered
		s.Failed += failed
		s.Held += held
	})
	holds, fault := o.queue.Holds()
	var released int64
	for _, h := range holds {
		switch {
		case !h.Released.IsZero():
			s.Decided++
			released += h.Size
		case !h.Dropped.IsZero():
			s.Decided++
		default:
			s.Held++
		}
	}
	if err = errors.Join(err, fault); errors.Is(err, queue.ErrCorrupt) {
		s.Damaged, _, _ = strings.Cut(err.Error(), "\n")
	}
	s.Forecast = o.calls.Forecast(s.WaitingBytes, released)
	return s, o.readable(err)
}
