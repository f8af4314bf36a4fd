package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"

	"outpost/internal/isp"
	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/tariff"
	"outpost/queue"
	"outpost/spool"
)

const password = "secret"

// office is a queue, a provider on loopback and a line to it.
type office struct {
	t        *testing.T
	queue    *queue.Queue
	provider *isp.Provider
	line     *fakeLine
	opt      Options

	mu     sync.Mutex
	events []Event
}

func newOffice(t *testing.T, boxes map[string]isp.Box) *office {
	t.Helper()
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	o := &office{t: t, queue: q, line: newFakeLine("fake")}
	o.meet(isp.Options{Domain: "provider.example", TLS: isp.TLSNone, Boxes: boxes}, 25, 110)
	o.opt = Options{
		Queue:     q,
		Lines:     []Route{o.route(o.line)},
		Smarthost: &Smarthost{Address: "smtp.provider.example:25", Relay: relay.Options{TLS: relay.TLSNone}},
		Sort: func(box string, _ io.ReadSeeker, _ int64) (queue.Message, string, error) {
			return queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: box, Where: queue.Local}}}, "", nil
		},
		OnEvent: func(e Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.events = append(o.events, e)
		},
	}
	for name, box := range boxes {
		o.opt.Boxes = append(o.opt.Boxes, Box{
			Name: name, Account: name + "@pop.provider.example", Address: "pop.provider.example:110",
			POP3: pop3.Options{TLS: pop3.TLSNone, User: name, Password: box.Password, AllowPlainAuth: true},
		})
	}
	return o
}

// meet makes a provider on loopback that the line leads to: what is dialled under a name that begins with "pop." at its port
// for boxes, all else at that for outgoing mail.
func (o *office) meet(opt isp.Options, smtp, pop uint16) {
	o.t.Helper()
	p, err := isp.New(opt)
	if err != nil {
		o.t.Fatal(err)
	}
	services, err := p.ServeLoopback()
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = services.Close() })
	o.provider = p
	o.line.dial = func(ctx context.Context, address string) (net.Conn, error) {
		port := smtp
		if strings.HasPrefix(address, "pop.") {
			port = pop
		}
		return new(net.Dialer).DialContext(ctx, "tcp", services.Addr(port))
	}
}

func (o *office) route(l Line) Route {
	return Route{
		Line: l, MaxCall: time.Hour, BoxesAtOnce: 4,
		Tariff: tariff.Tariff{Currency: "USD", PerMinute: decimal.RequireFromString("6"), Unit: 20 * time.Second},
	}
}

func (o *office) submit(body string, to ...string) spool.ID {
	o.t.Helper()
	m := queue.Message{Origin: queue.Submitted, From: "ann@clinic.example"}
	for _, a := range to {
		m.To = append(m.To, queue.Recipient{Addr: a, Where: queue.Remote})
	}
	m, err := o.queue.Add(o.t.Context(), m, strings.NewReader("Subject: x\r\n\r\n"+body+"\r\n"))
	if err != nil {
		o.t.Fatal(err)
	}
	return m.ID
}

func (o *office) call() (queue.Call, error) {
	return New(o.opt).Call(o.t.Context(), "test", false)
}

// mustCall places a call that has to come up and go down.
func (o *office) mustCall() queue.Call {
	o.t.Helper()
	row, err := o.call()
	if err != nil {
		o.t.Fatalf("call: %v", err)
	}
	if !row.OnHook || row.Ended.IsZero() {
		o.t.Errorf("the row does not say on-hook: %+v", row)
	}
	return row
}

func (o *office) kinds() (kinds []Kind) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind != Progress {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func phases(row queue.Call) (names []string) {
	for _, p := range row.Phases {
		names = append(names, p.Name)
	}
	return names
}

func letter(text string) []byte { return []byte("Subject: in\r\n\r\n" + text + "\r\n") }

func TestCallMovesEverythingBothWays(t *testing.T) {
	o := newOffice(t, map[string]isp.Box{
		"ann": {Password: password, Messages: [][]byte{letter("one"), letter("two")}},
		"ben": {Password: password, Messages: [][]byte{letter("three")}},
	})
	o.submit("out", "x@far.example", "y@far.example")
	o.submit(strings.Repeat("long ", 2000), "z@far.example")

	row := o.mustCall()
	if row.Sent != 2 || row.Collected != 3 || row.Deleted != 3 || len(row.Problems) != 0 {
		t.Errorf("row: %+v", row)
	}
	if got, want := phases(row), []string{Dialling, Linking, Exchanging, HangingUp}; !slices.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
	if up, down := o.line.Counters(); row.Up != up || row.Down != down || up == 0 || down == 0 {
		t.Errorf("octets %d/%d, line %d/%d", row.Up, row.Down, up, down)
	}
	if row.Units != 1 || row.Cost != "2.00" || row.Currency != "USD" {
		t.Errorf("%d units, %s %s", row.Units, row.Cost, row.Currency)
	}
	if n := len(o.provider.Received()); n != 2 {
		t.Errorf("the smarthost has %d messages", n)
	}
	local, err := o.queue.Waiting(queue.Local)
	if err != nil || len(local) != 3 {
		t.Errorf("%d collected messages wait for delivery, %v", len(local), err)
	}
	if out, _ := o.queue.Waiting(queue.Remote); len(out) != 0 {
		t.Errorf("%d messages still wait for the smarthost", len(out))
	}
	stored, err := o.queue.Calls(1)
	if err != nil || len(stored) != 1 || stored[0].ID != row.ID || stored[0].Cost != row.Cost {
		t.Errorf("the ledger has %+v, %v", stored, err)
	}
}

// Small messages go first, whatever came first.
func TestSmallFirst(t *testing.T) {
	o := newOffice(t, nil)
	big := o.submit(strings.Repeat("big ", 5000), "big@far.example")
	small := o.submit("small", "small@far.example")
	o.mustCall()
	got := o.provider.Received()
	if len(got) != 2 || !bytes.Contains(got[0].Data, []byte("small")) {
		t.Errorf("the order of %s and %s was not small first", big, small)
	}
}

func TestNoCallWithoutWork(t *testing.T) {
	o := newOffice(t, nil)
	if _, err := o.call(); !errors.Is(err, ErrNothingToDo) {
		t.Errorf("error is %v", err)
	}
	if o.line.downs != 0 || len(o.events) != 0 {
		t.Error("the line was touched")
	}
	// Unless somebody asks for it.
	row, err := New(o.opt).Call(t.Context(), "asked", true)
	if err != nil || row.Connected.IsZero() {
		t.Errorf("an asked call: %+v, %v", row, err)
	}
}

// What one recipient is refused touches no other, and says why.
func TestRefusedRecipients(t *testing.T) {
	o := newOffice(t, nil)
	o.provider.SetFaults(func(f *isp.Faults) {
		f.RejectRecipients = map[string]string{"gone@far.example": "550 5.1.1 no such user", "later@far.example": "451 4.2.1 try later"}
	})
	id := o.submit("hello", "good@far.example", "gone@far.example", "later@far.example")
	row := o.mustCall()
	m, err := o.queue.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []queue.State{queue.Sent, queue.Failed, queue.Waiting} {
		if m.To[i].State != want {
			t.Errorf("%s is %s, want %s (%s)", m.To[i].Addr, m.To[i].State, want, m.To[i].Reply)
		}
	}
	if said := strings.Join(row.Problems, "; "); !strings.Contains(said, "no such user") || !strings.Contains(said, "try later") {
		t.Errorf("the report says %q", said)
	}
	if !strings.Contains(m.To[1].Reply, "no such user") || row.Failed != 1 {
		t.Errorf("reply %q, row %+v", m.To[1].Reply, row)
	}
}

// A box that cannot be collected and a smarthost that is away stop nobody else.
func TestOneBrokenPartStopsNoOther(t *testing.T) {
	o := newOffice(t, map[string]isp.Box{
		"ann": {Password: password, Messages: [][]byte{letter("one")}},
		"ben": {Password: password, Messages: [][]byte{letter("two")}},
	})
	o.provider.SetFaults(func(f *isp.Faults) { f.LockedBoxes = []string{"ben"}; f.SMTPAuthFails = true })
	o.opt.Smarthost.Address = "smtp.provider.example:25"
	o.opt.Smarthost.Relay.User, o.opt.Smarthost.Relay.Password, o.opt.Smarthost.Relay.AllowPlainAuth = "u", "p", true
	id := o.submit("hello", "x@far.example")
	row := o.mustCall()
	if row.Collected != 1 {
		t.Errorf("collected %d", row.Collected)
	}
	for _, want := range []string{"box ben", "smarthost"} {
		if !slices.ContainsFunc(row.Problems, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("no problem names %s: %q", want, row.Problems)
		}
	}
	if m, err := o.queue.Get(id); err != nil || m.To[0].State != queue.Waiting {
		t.Errorf("the message is %+v, %v", m, err)
	}
}

// A message whose body is gone is set aside with its reason; the rest goes.
func TestUnreadableBody(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, nil)
	q, err := queue.Open(dir, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	o.queue, o.opt.Queue = q, q
	bad := o.submit("bad", "bad@far.example")
	o.submit("good and longer", "good@far.example")
	removeBody(t, dir, bad)
	row := o.mustCall()
	if row.Sent != 1 || len(row.Problems) == 0 {
		t.Errorf("row %+v", row)
	}
	if m, err := q.Get(bad); err != nil || m.To[0].State != queue.Held {
		t.Errorf("the unreadable message is %+v, %v", m, err)
	}
}

func TestNextLineWhenOneFails(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	first := newFakeLine("first")
	first.upErr = errors.New("BUSY")
	o.opt.Lines = []Route{o.route(first), o.route(o.line)}
	row := o.mustCall()
	if row.Line != "fake" || row.Sent != 1 || first.downs != 1 {
		t.Errorf("line %s, %d sent, first brought down %d times", row.Line, row.Sent, first.downs)
	}
	calls, err := o.queue.Calls(5)
	if err != nil || len(calls) != 2 || !strings.Contains(calls[1].Error, "BUSY") || calls[1].Cost != "0.00" {
		t.Errorf("ledger %+v, %v", calls, err)
	}
	// Who reads the row of the call that worked learns why it isn't the first line's.
	if got := strings.Join(calls[0].Problems, "|"); got != "line first was tried first: BUSY" {
		t.Errorf("problems of the call that worked: %s", got)
	}
}

func TestNoLineComesUp(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	first, second := newFakeLine("first"), newFakeLine("second")
	first.upErr, second.upErr = errors.New("BUSY"), hinted{errors.New("NO ANSWER")}
	o.line.upErr = errors.New("NO DIALTONE")
	o.opt.Lines = []Route{o.route(first), o.route(second), o.route(o.line)}
	row, err := o.call()
	if err == nil || !strings.Contains(err.Error(), "NO DIALTONE") || !strings.Contains(err.Error(), "BUSY") || !row.OnHook {
		t.Errorf("%+v, %v", row, err)
	}
	want := "line first was tried first: BUSY|line second was tried first: NO ANSWER (try later)|no connection: NO DIALTONE"
	if got := strings.Join(row.Problems, "|"); got != want {
		t.Errorf("problems of the last call: %s", got)
	}
	calls, err := o.queue.Calls(5)
	if err != nil || len(calls) != 3 || len(calls[2].Problems) != 1 || len(calls[1].Problems) != 2 {
		t.Errorf("ledger %+v, %v", calls, err)
	}
}

// hinted is an error with advice.
type hinted struct{ error }

func (hinted) Advice() string { return "try later" }

// A panic on the way up still brings the line down.
func TestPanicHangsUp(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	o.line.upPanic = true
	row, err := o.call()
	if err == nil || o.line.downs == 0 || !row.OnHook {
		t.Errorf("%+v, %v, downs %d", row, err, o.line.downs)
	}
}

// A line that may be open is an alarm and an error, and no other line is dialled.
func TestOpenLineIsLoud(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	o.line.downErr, o.line.fails = errors.New("carrier still up"), 99
	other := newFakeLine("other")
	o.opt.Lines = append(o.opt.Lines, o.route(other))
	row, err := o.call()
	var open *OpenLineError
	if !errors.As(err, &open) || row.OnHook {
		t.Errorf("%v, on-hook %v", err, row.OnHook)
	}
	if !row.Ended.IsZero() {
		t.Error("the row of a call on an open line says that it has ended")
	}
	if n := slices.Index(o.kinds(), Alarm); n < 0 {
		t.Error("no alarm")
	}
	if o.line.downs != hangupTries || !other.Connected().IsZero() {
		t.Errorf("%d tries; the other line connected at %v", o.line.downs, other.Connected())
	}
}

// A hang-up that works at the second try is not an open line.
func TestHangupTriesAgain(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	o.line.downErr, o.line.fails = errors.New("no answer"), 1
	o.mustCall()
	if o.line.downs != 2 {
		t.Errorf("%d tries", o.line.downs)
	}
}

// A line that is lost in the middle ends the call at once, once in the report,
// and what was done stays done: over the calls that follow each message goes out
// and comes in exactly once (the smarthost may see the one in doubt twice).
func TestLostLine(t *testing.T) {
	for cut := int64(50); cut < 1100; cut += 75 {
		o := newOffice(t, map[string]isp.Box{"ann": {Password: password, Messages: [][]byte{letter("one"), letter("two")}}})
		o.submit("first", "x@far.example")
		o.submit("second one", "y@far.example")
		o.opt.Smarthost.Relay.Window = 1 // one in doubt at a time
		o.line.cutAt = cut
		row, err := o.call()
		var ended *CutError
		if !errors.As(err, &ended) || !errors.Is(err, ErrLost) || !row.OnHook || row.Error == "" {
			t.Errorf("cut at %d: %v, row %q, on-hook %v", cut, err, row.Error, row.OnHook)
		}
		if early := slices.DeleteFunc(row.Problems, func(p string) bool { return !strings.Contains(p, "ended early") }); len(early) != 1 {
			t.Errorf("cut at %d: %q", cut, row.Problems)
		}
		o.line = newFakeLine("fake")
		o.line.dial = o.opt.Lines[0].Line.(*fakeLine).dial
		o.opt.Lines[0].Line = o.line
		o.mustCall()
		o.checkAllArrived(cut)
	}
}

func (o *office) checkAllArrived(cut int64) {
	o.t.Helper()
	got := make(map[string]int)
	for _, r := range o.provider.Received() {
		got[string(r.Data)]++
	}
	if len(got) != 2 || len(o.provider.Received()) > 3 {
		o.t.Errorf("cut at %d: the smarthost has %v", cut, got)
	}
	local, err := o.queue.Waiting(queue.Local)
	if err != nil || len(local) != 2 {
		o.t.Errorf("cut at %d: %d collected, %v", cut, len(local), err)
	}
	for _, m := range local {
		body, err := o.queue.Body(m.ID)
		if err != nil {
			o.t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil || !bytes.HasSuffix(text, []byte("\r\n")) {
			o.t.Errorf("cut at %d: body %q, %v", cut, text, err)
		}
	}
}

// The hard limit ends a call that hangs, by the clock.
func TestMaxCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		o.line.dial = nil // connections never come up
		begun := time.Now()
		row, err := New(o.opt).Call(t.Context(), "test", false)
		if !errors.Is(err, ErrMaxCall) || !row.OnHook {
			t.Errorf("%+v, %v", row, err)
		}
		if got := time.Since(begun); got != time.Hour {
			t.Errorf("the call ended after %v", got)
		}
		if !slices.ContainsFunc(row.Problems, func(p string) bool { return strings.Contains(p, "hard limit") }) {
			t.Errorf("problems %q", row.Problems)
		}
	})
}

// Work that does not end when it is told to doesn't keep the line.
func TestStuckWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		o.line.upHangs = true // until the line is brought down
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		time.AfterFunc(time.Minute, cancel)
		row, err := New(o.opt).Call(ctx, "test", false)
		if err == nil || !row.OnHook {
			t.Errorf("%v, on-hook %v", err, row.OnHook)
		}
		if got := time.Since(begun); got != time.Minute+windDown {
			t.Errorf("the line went down after %v", got)
		}
	})
}

// If the hang-up itself hangs, the watchdog brings the line down.
func TestWatchdogHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		o.line.dial = nil
		o.line.downHangs = true // the first time, until the second
		begun := time.Now()
		row, err := New(o.opt).Call(t.Context(), "test", false)
		if !errors.Is(err, ErrMaxCall) || !row.OnHook || o.line.downs != 2 {
			t.Errorf("%v, on-hook %v, %d downs", err, row.OnHook, o.line.downs)
		}
		if got := time.Since(begun); got != time.Hour+windDown+watchdogGrace {
			t.Errorf("the line went down after %v", got)
		}
		synctest.Wait() // the alarm has a goroutine of its own
		if !slices.Contains(o.kinds(), Alarm) {
			t.Error("no alarm")
		}
	})
}

// When the daemon is told to stop, the call ends in order.
func TestStopEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		o.line.dial = nil
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		row, err := New(o.opt).Call(ctx, "test", false)
		if !errors.Is(err, context.Canceled) || !row.OnHook || row.Metered != time.Minute || row.Units != 3 {
			t.Errorf("%+v, %v", row, err)
		}
	})
}

// bubble is an office for a synctest bubble: no sockets.
func bubble(t *testing.T) *office {
	t.Helper()
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	o := &office{t: t, queue: q, line: newFakeLine("fake")}
	o.opt = Options{
		Queue: q, Lines: []Route{o.route(o.line)},
		Smarthost: &Smarthost{Address: "smtp.provider.example:25", Relay: relay.Options{TLS: relay.TLSNone}},
		OnEvent: func(e Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.events = append(o.events, e)
		},
	}
	o.submit("x", "x@far.example")
	return o
}

// Messages on which the smarthost breaks the connection are tried behind those
// that were not tried yet, so that they cannot block them for ever.
func TestPoisonBlocksNothing(t *testing.T) {
	o := newOffice(t, nil)
	o.opt.Smarthost.Relay.Window = 1 // one lost at a time
	for range brokenTries {
		o.submit("POISON", "x@far.example")
	}
	good := o.submit("good, and larger than the others", "good@far.example")
	o.provider.SetFaults(func(f *isp.Faults) { f.LoseReplies = brokenTries })
	row := o.mustCall()
	if row.Sent != 0 || len(row.Problems) == 0 {
		t.Fatalf("%+v", row)
	}
	o.provider.SetFaults(func(f *isp.Faults) { f.LoseReplies = 0 })
	o.mustCall()
	received := o.provider.Received()
	if first := received[brokenTries].To[0]; first != "good@far.example" {
		t.Errorf("message %s was not the first of the second call, but %s", good, first)
	}
	if !slices.ContainsFunc(mustRow(t, o).Problems, func(p string) bool { return strings.Contains(p, "may have arrived twice") }) {
		t.Errorf("nothing tells of the doubtful ones: %q", mustRow(t, o).Problems)
	}
}

func mustRow(t *testing.T, o *office) queue.Call {
	t.Helper()
	calls, err := o.queue.Calls(1)
	if err != nil || len(calls) != 1 {
		t.Fatal(err)
	}
	return calls[0]
}

// A result that could not be stored does not hide a message from later calls.
func TestStrandedMessageIsSentAgain(t *testing.T) {
	o := newOffice(t, nil)
	id := o.submit("stranded", "x@far.example")
	err := o.queue.Update(t.Context(), id, func(m *queue.Message) error {
		m.To[0].State = queue.Sending
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if row := o.mustCall(); row.Sent != 1 {
		t.Errorf("%+v", row)
	}
}

// Mail that comes in while the boxes are being collected goes along.
func TestLateMailGoesAlong(t *testing.T) {
	o := newOffice(t, map[string]isp.Box{"ann": {Password: password, Messages: [][]byte{letter("one")}}})
	tell, late := o.opt.OnEvent, false
	o.opt.OnEvent = func(e Event) {
		tell(e)
		if e.Kind == Collected && !late {
			late = true
			o.submit("late", "x@far.example")
		}
	}
	if row := o.mustCall(); row.Sent != 1 || row.Collected != 1 {
		t.Errorf("%+v", row)
	}
}

// A row says that the line was answered before PPP is up: a crash then must not
// make the call free.
func TestAnsweredIsStoredWhileLinking(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	var during queue.Call
	o.opt.OnEvent = func(e Event) {
		if e.Kind == PhaseBegan && e.Phase == Exchanging {
			during = mustRow(t, o)
		}
	}
	o.mustCall()
	if during.Connected.IsZero() {
		t.Error("the row on disk does not say when the line was answered")
	}
}

// A call has the price of the hour in which it was answered, in all its sums.
func TestPriceOfTheHour(t *testing.T) {
	o := newOffice(t, nil)
	always, err := tariff.ParseHours("", "00:00", "24:00")
	if err != nil {
		t.Fatal(err)
	}
	o.opt.Lines[0].Tariff.Bands = []tariff.Band{{Hours: always, PerMinute: decimal.RequireFromString("3")}}
	o.submit("x", "x@far.example")
	row := o.mustCall()
	var sum decimal.Decimal
	for _, p := range row.Phases {
		sum = sum.Add(decimal.RequireFromString(p.Cost))
	}
	if row.Units != 1 || row.Cost != "1.00" || sum.String() != "1" {
		t.Errorf("%d units, %s; phases %s", row.Units, row.Cost, sum)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if last := o.events[len(o.events)-1]; last.Cost != "1.00 USD" {
		t.Errorf("the last event says %s", last.Cost)
	}
}

// A call that is cut off by night and found by day has the price of the night.
func TestCloseInterruptedAtTheHour(t *testing.T) {
	night, err := tariff.ParseHours("", "00:00", "00:01")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		row, err := o.queue.BeginCall(t.Context(), queue.Call{Line: "fake", Begun: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		row.Connected = time.Now()
		if err := o.queue.SaveCall(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second) // into the day
		price := o.route(o.line).Tariff
		price.Bands = []tariff.Band{{Hours: night, PerMinute: decimal.RequireFromString("3")}}
		price.Zone = time.UTC // in which a bubble begins at midnight
		if err := CloseInterrupted(t.Context(), o.queue, map[string]tariff.Tariff{"fake": price}); err != nil {
			t.Fatal(err)
		}
		if calls, err := o.queue.Calls(1); err != nil || calls[0].Units != 3 || calls[0].Cost != "3.00" {
			t.Errorf("cut off: %+v, %v", calls, err)
		}
	})
}

// A call that a crash cut off is closed with the most it can have cost.
func TestCloseInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := bubble(t)
		row, err := o.queue.BeginCall(t.Context(), queue.Call{Line: "fake", Begun: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		row.Connected = time.Now()
		if err := o.queue.SaveCall(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		tariffs := map[string]tariff.Tariff{"fake": o.route(o.line).Tariff}
		if err := CloseInterrupted(t.Context(), o.queue, tariffs); err != nil {
			t.Fatal(err)
		}
		calls, err := o.queue.Calls(1)
		if err != nil || calls[0].Ended.IsZero() || calls[0].Units != 3 || calls[0].Cost != "6.00" || calls[0].Error == "" {
			t.Errorf("%+v, %v", calls, err)
		}
	})
}
