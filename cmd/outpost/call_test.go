package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/dispatch"
	"outpost/internal/isp"
	"outpost/internal/session"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// mail is some for each box and some to send.
func mail() (provider isp.Options, out [][]byte) {
	in := isp.Letters(1, 4, isp.LetterOptions{Bytes: 12_000, Traced: true})
	provider = isp.Options{TLS: isp.TLSNone, Boxes: map[string]isp.Box{
		"ann": {Password: demoPassword, Messages: in[:2]},
		"ben": {Password: demoPassword, Messages: in[2:]},
	}}
	return provider, isp.Letters(2, 3, isp.LetterOptions{Bytes: 9_000})
}

// One call over modem, PPP, TCP and TLS moves everything, and the line is down.
func TestWholeCall(t *testing.T) {
	for _, tls := range []isp.TLSMode{isp.TLSNone, isp.TLSImplicit} {
		t.Run(string(tls), func(t *testing.T) {
			provider, out := mail()
			provider.TLS = tls
			r := newRig(t, provider, modemtest.Options{})
			r.open(r.configuration(tls))
			for _, text := range out {
				r.submit(text, "x@far.example")
			}
			row, err := r.call()
			if err != nil || row.Sent != 3 || row.Collected != 4 || !row.OnHook || len(row.Problems) != 0 {
				t.Fatalf("%+v, %v", row, err)
			}
			r.delivered()
			for i, text := range out {
				if n := copies(r.received(), text); n != 1 {
					t.Errorf("letter %d reached the smarthost %d times", i, n)
				}
			}
			if a, b := len(r.folder("ann")), len(r.folder("ben")); a != 2 || b != 2 {
				t.Errorf("%d and %d messages in the folders", a, b)
			}
			c := r.modem.Counters()
			if c.OffHook || c.Connects != 1 || row.Up != c.Up || row.Down > c.Down {
				t.Errorf("the modem counted %+v, the ledger %d up and %d down", c, row.Up, row.Down)
			}
		})
	}
}

// Each thing that goes wrong ends in a clear line for a person, the line is
// down, and the rest of the work is done.
func TestTrouble(t *testing.T) {
	for _, c := range []struct {
		name   string
		line   modemtest.Options
		faults isp.Faults
		edits  []string
		says   string // in the error or the problems
		sent   int    // of 3
		got    int    // of 4 in two boxes
		fails  bool   // the call itself
	}{
		{name: "busy", line: modemtest.Options{Answer: "BUSY"}, says: "busy", fails: true},
		{name: "no dial tone", line: modemtest.Options{Answer: "NO DIALTONE"}, says: "telephone cable", fails: true},
		{name: "no carrier", line: modemtest.Options{Answer: "NO CARRIER"}, says: "NO CARRIER", fails: true},
		{name: "PPP refused", faults: isp.Faults{RefuseAuth: true}, says: "password", fails: true},
		{name: "unknown smarthost", edits: []string{`"smtp.provider.example"`, `"smtp.nowhere.example"`}, says: "smtp.nowhere.example", got: 4},
		{name: "smarthost down", faults: isp.Faults{SMTPDown: true}, says: "smtp.provider.example", got: 4},
		{name: "box locked", faults: isp.Faults{LockedBoxes: []string{"ben"}}, says: "box ben", sent: 3, got: 2},
		{name: "wrong POP3 password", faults: isp.Faults{POPAuthFails: true}, says: "box ann", sent: 3},
		{name: "one box unknown", edits: []string{`user = "ben"`, `user = "benjamin"`}, says: "box ben", sent: 3, got: 2},
		{name: "message refused", faults: isp.Faults{RejectRecipients: map[string]string{"x@far.example": "550 5.1.1 nobody here"}}, says: "nobody here", got: 4},
		{name: "no DNS", faults: isp.Faults{NoDNS: true}, edits: []string{"silence_seconds = 90", "silence_seconds = 10"}, says: "name server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			provider, out := mail()
			provider.Faults = c.faults
			r := newRig(t, provider, c.line)
			r.open(r.configuration(isp.TLSNone, c.edits...))
			for _, text := range out {
				r.submit(text, "x@far.example")
			}
			row, err := r.call()
			if (err != nil) != c.fails {
				t.Errorf("the call gave %v", err)
			}
			lines := row.Problems
			if err != nil {
				lines = append(lines, session.Explain(err))
			}
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(strings.ToLower(l), strings.ToLower(c.says)) }) {
				t.Errorf("nothing says %q: %q", c.says, lines)
			}
			t.Logf("%q", lines)
			if row.Sent != c.sent || row.Collected != c.got || !row.OnHook || r.modem.Counters().OffHook {
				t.Errorf("%d sent, %d collected, on-hook %v", row.Sent, row.Collected, row.OnHook)
			}
			// Nothing is lost: the next call, without the fault, finishes.
			if c.edits != nil || c.name == "message refused" {
				return
			}
			r.provider.SetFaults(func(f *isp.Faults) { *f = isp.Faults{} })
			r.modem.Set(func(o *modemtest.Options) { o.Answer = "" })
			if _, err := r.call(); err != nil {
				t.Fatal(err)
			}
			r.delivered()
			for i, text := range out {
				if n := copies(r.received(), text); n != 1 {
					t.Errorf("letter %d reached the smarthost %d times", i, n)
				}
			}
			if a, b := len(r.folder("ann")), len(r.folder("ben")); a != 2 || b != 2 {
				t.Errorf("%d and %d messages in the folders", a, b)
			}
		})
	}
}

// A line whose carrier stays up is loud, and nothing is dialled until it is seen
// to be down.
func TestLineThatStaysUp(t *testing.T) {
	t.Parallel()
	provider, out := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone))
	r.submit(out[0], "x@far.example")
	r.lineChecked()
	stuck := make(chan struct{})
	go func() {
		defer close(stuck)
		r.until("the line is up", func() bool { return r.modem.Counters().Connects == 1 })
		r.stuckDCD.Store(true)
	}()
	row, err := r.call()
	<-stuck
	var open *session.OpenLineError
	if !errors.As(err, &open) || row.OnHook || !strings.Contains(row.Error, "may still be open") {
		t.Fatalf("%v, on-hook %v, %s", err, row.OnHook, row.Error)
	}
	if _, err := r.office.dispatch.Connect(t.Context(), "impatient"); !errors.Is(err, dispatch.ErrLineOpen) {
		t.Errorf("a call on an open line gave %v", err)
	}
	// A port that vanishes is no proof that its line is down.
	r.portGone.Store(true)
	r.stuckDCD.Store(false)
	if err := r.office.reset(t.Context()); err == nil {
		t.Error("a vanished port counts as a line that is down")
	}
	r.portGone.Store(false)
	r.submit(out[1], "x@far.example")
	if row, err := r.call(); err != nil || !row.OnHook { // waits until the line has been brought down
		t.Errorf("%+v, %v", row, err)
	}
}

// A modem that isn't there holds nobody up, unless its last call has no confirmed
// end: then only the modem, or the technician, can say that the line is down.
func TestModemNotThere(t *testing.T) {
	t.Parallel()
	provider, _ := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.portGone.Store(true)
	r.open(r.configuration(isp.TLSNone))
	r.lineChecked()
	row, err := r.office.queue.BeginCall(t.Context(), queue.Call{Line: "landline", Begun: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	err = r.office.reset(t.Context())
	if err == nil || !strings.Contains(session.Advice(err), "take the line out of the configuration") {
		t.Errorf("error %v", err)
	}
	r.portGone.Store(false)
	if err := r.office.reset(t.Context()); err != nil {
		t.Error(err)
	}
	if calls, err := r.office.queue.Calls(1); err != nil || calls[0].ID != row.ID || calls[0].Ended.IsZero() || !calls[0].OnHook {
		t.Errorf("%+v, %v", calls, err)
	}
}

// A full disk refuses mail at the door before it is begun and leaves what is in
// the boxes there; what waits still goes out. Once there is room, all comes in.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	provider, out := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone))
	r.submit(out[0], "x@far.example")
	r.close()
	r.open(r.configuration(isp.TLSNone, `dir = "data"`, "dir = \"data\"\nmin_free_bytes = 1000000000000000"))
	err := handIn(t.Context(), r.address, letter{from: "ann@clinic.example", to: []string{"x@far.example"}, text: out[1]})
	var refused *smtp.SMTPError
	if !errors.As(err, &refused) || refused.Code != 452 {
		t.Errorf("the door said %v", err)
	}
	row, err := r.call()
	if err != nil || row.Sent != 1 || row.Collected != 0 || len(row.Problems) == 0 || !strings.Contains(strings.Join(row.Problems, " "), "disk") {
		t.Errorf("%d sent, %d collected, %q, %v", row.Sent, row.Collected, row.Problems, err)
	}
	r.close()
	r.open(r.configuration(isp.TLSNone))
	// A restart doesn't make anybody forget what the last call couldn't do.
	if s, err := r.office.status(); err != nil || s.Last == nil || s.Last.ID != row.ID || len(s.Last.Problems) == 0 {
		t.Errorf("after the restart: %+v, %v", s.Last, err)
	}
	if row, err := r.call(); err != nil || row.Collected != 4 || len(row.Problems) != 0 {
		t.Errorf("%d collected, %q, %v", row.Collected, row.Problems, err)
	}
}

// A message that is too big for the box's limit stays at the provider, is named,
// and blocks nothing.
func TestBigMessageBlocksNothing(t *testing.T) {
	t.Parallel()
	provider, _ := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.provider.AddMail("ann", append([]byte("Subject: big\r\n\r\n"), bytes.Repeat([]byte("x\r\n"), 30_000)...))
	r.open(r.configuration(isp.TLSNone, `deliver_to = ["ann"]`, "deliver_to = [\"ann\"]\nmax_message_bytes = 50000"))
	row, err := r.call()
	if err != nil || row.Collected != 4 || len(r.provider.Box("ann")) != 1 {
		t.Errorf("%d collected, %d left, %v", row.Collected, len(r.provider.Box("ann")), err)
	}
	if !slices.ContainsFunc(row.Problems, func(p string) bool {
		return strings.Contains(p, "box ann") && strings.Contains(p, "1 messages are larger than 50000")
	}) {
		t.Errorf("the big message is not named: %q", row.Problems)
	}
}

// Mail that is left at the provider is not collected again.
func TestLeaveOnServer(t *testing.T) {
	t.Parallel()
	provider, _ := mail()
	r := newRig(t, provider, modemtest.Options{})
	r.open(r.configuration(isp.TLSNone, `deliver_to = ["ann"]`, "deliver_to = [\"ann\"]\nleave_days = 7"))
	for n, want := range []int{4, 0} {
		row, err := r.call()
		if err != nil || row.Collected != want || len(r.provider.Box("ann")) != 2 || len(r.provider.Box("ben")) != 0 {
			t.Errorf("call %d: %d collected, %v", n+1, row.Collected, err)
		}
	}
}
