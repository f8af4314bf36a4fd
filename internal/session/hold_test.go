package session

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"outpost/internal/pop3"
	"outpost/internal/tariff"
	"outpost/queue"
	"outpost/spool"
)

// Where it can't be told what was read, nothing is deleted.
func TestUnreadUnknown(t *testing.T) {
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	m := queue.Message{Origin: queue.Collected, Box: "a", UIDL: "1", To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}
	if m, err = q.Add(t.Context(), m, io.LimitReader(zeros{}, 10)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		unread map[spool.ID]bool
		err    error
		keep   bool
	}{
		"unread":  {map[spool.ID]bool{m.ID: true}, nil, true},
		"read":    {map[spool.ID]bool{}, nil, false},
		"unknown": {nil, errors.New("I/O error"), true},
	} {
		box := Box{Name: "a", Account: "a", KeepUnread: true}
		s := New(Options{
			Queue: q, Boxes: []Box{box}, Lines: []Route{{Line: newFakeLine("line"), MaxCall: time.Hour}},
			Unread: func(map[spool.ID]bool) (map[spool.ID]bool, error) { return c.unread, c.err },
		})
		call := s.newCall(s.opt.Lines[0])
		call.lookForUnread()
		var opt pop3.Options
		if err := (&boxStore{call: call, box: box}).prepare(&opt); err != nil {
			t.Fatal(err)
		}
		if got := opt.Keep("1", pop3.Seen{}); got != c.keep {
			t.Errorf("%s: it stays: %v", name, got)
		}
		if !opt.Keep("2", pop3.Seen{}) {
			t.Errorf("%s: what comes in this session is deleted unread", name)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What a person has decided, or the rule of the office, is what a box is told.
func TestHeldAndDropped(t *testing.T) {
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	hold := func(uidl string, since time.Time) string {
		h := queue.Hold{Box: "a", UIDL: uidl, Since: since}
		m := queue.Message{Origin: queue.Notice, To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}
		if _, err := q.AddWith(t.Context(), m, io.LimitReader(zeros{}, 1), queue.WithHold(h)); err != nil {
			t.Fatal(err)
		}
		return queue.HoldID("a", uidl)
	}
	now := time.Now()
	for hours := range 4 { // the time from call to call is what counts
		if _, err := q.BeginCall(t.Context(), queue.Call{Line: "line", Begun: now.Add(-time.Duration(48-12*hours) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	hold("waits", now)
	hold("old", now.Add(-48*time.Hour))
	released, dropped := hold("released", now.Add(-48*time.Hour)), hold("dropped", now)
	if _, err := q.Release(t.Context(), released, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.GiveUp(t.Context(), dropped, "ann"); err != nil {
		t.Fatal(err)
	}
	for _, expire := range []time.Duration{0, 24 * time.Hour} {
		box := Box{Name: "a", Account: "a", HoldExpire: expire}
		s := New(Options{Queue: q, Boxes: []Box{box}, Lines: []Route{{Line: newFakeLine("line"), MaxCall: time.Hour}}})
		var opt pop3.Options
		if err := (&boxStore{call: s.newCall(s.opt.Lines[0]), box: box}).prepare(&opt); err != nil {
			t.Fatal(err)
		}
		for uidl, want := range map[string]struct{ released, drop bool }{
			"waits": {false, false}, "old": {false, expire > 0}, "released": {true, false}, "dropped": {false, true},
		} {
			if got, known := opt.Held[uidl]; !known || got != want.released || opt.Drop[uidl] != want.drop {
				t.Errorf("expiry %v, %s: released %v, dropped %v", expire, uidl, got, opt.Drop[uidl])
			}
		}
	}
}

// The price is that of the time on the line, now and when it is cheapest.
func TestPrice(t *testing.T) {
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	hours, err := tariff.ParseHours("mon-sun", "00:00", "24:00")
	if err != nil {
		t.Fatal(err)
	}
	price := func(rate int, minute string, bands ...tariff.Band) Price {
		return New(Options{Queue: q, Lines: []Route{{
			Line: newFakeLine("landline"), Rate: rate, MaxCall: time.Hour,
			Tariff: tariff.Tariff{Currency: "EUR", SetUp: decimal.New(5, 0), PerMinute: decimal.RequireFromString(minute), Minimum: time.Hour, Bands: bands},
		}}}).Price(1_000_000)
	}
	// 1 MB with what is around it at 4,000 octets a second are 275 s.
	if got := price(32000, "0.60"); got.Takes != 275*time.Second || got.Now != "2.75 EUR" || got.Later != "" {
		t.Errorf("%+v", got)
	}
	dear := tariff.Band{Hours: hours, PerMinute: decimal.RequireFromString("1.20")}
	if got := price(32000, "0.60", dear); got.Now != "5.50 EUR" || got.Later != "" {
		t.Errorf("every hour is dear: %+v", got)
	}
	if got := price(0, "0.60"); got != (Price{}) {
		t.Errorf("nothing is known of the line: %+v", got)
	}
}

// What was refused is let come while the session goes on: it isn't deleted at its end. The answer to the person says that it comes.
func TestReleasedWhileTheSessionGoesOn(t *testing.T) {
	q, err := queue.Open(t.TempDir(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, uidl := range []string{"1", "2"} {
		note := queue.Message{Origin: queue.Notice, To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}
		if _, err := q.AddWith(t.Context(), note, io.LimitReader(zeros{}, 10), queue.WithHold(queue.Hold{Box: "a", UIDL: uidl, Size: 7})); err != nil {
			t.Fatal(err)
		}
		if _, err := q.GiveUp(t.Context(), queue.HoldID("a", uidl), "ann"); err != nil {
			t.Fatal(err)
		}
	}
	s := New(Options{Queue: q, Boxes: []Box{{Name: "a", Account: "a"}}, Lines: []Route{{Line: newFakeLine("line"), MaxCall: time.Hour}}})
	var opt pop3.Options
	if err := (&boxStore{call: s.newCall(s.opt.Lines[0]), box: s.opt.Boxes[0]}).prepare(&opt); err != nil {
		t.Fatal(err)
	}
	if !opt.Drop["1"] || !opt.Drop["2"] || opt.HeldSize["1"] != 7 {
		t.Fatalf("%+v", opt)
	}
	if _, err := q.Release(t.Context(), queue.HoldID("a", "1"), "ann"); err != nil {
		t.Fatal(err)
	}
	if opt.StillDrop("1") || !opt.StillDrop("2") {
		t.Error("what was released since is deleted, or what wasn't is not")
	}
}

// How long a held message has waited: a clock that was wrong when it was met, or is wrong now, makes nobody's time to decide shorter than
// half, and time without calls is time in which nobody could have had an answer.
func TestWaited(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 6, 0, 0, 0, time.UTC) }
	boot := time.Unix(0, 0)
	for name, c := range map[string]struct {
		since, now time.Time
		calls      []time.Time // oldest first
		expired    bool
	}{
		"daily calls":               {day(1), day(9), []time.Time{day(2), day(4), day(6), day(8), day(9)}, true},
		"daily calls, not yet":      {day(1), day(8), []time.Time{day(2), day(4), day(6), day(8)}, false},
		"met before the clock was":  {boot, day(9), []time.Time{boot, day(9)}, false},
		"and the next day":          {boot, day(10), []time.Time{boot, day(9), day(10)}, false},
		"and four days later":       {boot, day(13), []time.Time{boot, day(9), day(11), day(13)}, true},
		"a clock that jumps":        {day(1), day(1).AddDate(10, 0, 0), []time.Time{day(1), day(1).AddDate(10, 0, 0)}, false},
		"there and back each day":   {boot, day(11), []time.Time{boot, day(9), boot, day(10), boot, day(11)}, false},
		"set back":                  {day(20), day(9), []time.Time{day(20), day(9)}, false},
		"weekly calls, the first":   {day(1), day(15), []time.Time{day(15)}, false},
		"weekly calls, the second":  {day(1), day(16), []time.Time{day(8), day(16)}, true},
		"a call of the future once": {day(1), day(5), []time.Time{day(2), day(30), day(5)}, false},
	} {
		var calls []queue.Call
		for _, at := range c.calls {
			calls = append([]queue.Call{{Begun: at}}, calls...)
		}
		expire := 8 * 24 * time.Hour
		if got := waited(c.since, c.now, calls, expire/2); (got >= expire) != c.expired {
			t.Errorf("%s: %v", name, got)
		}
	}
}
