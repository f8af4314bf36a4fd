package notice

import (
	"errors"
	"strings"
	"testing"
	"time"

	"outpost/queue"
)

// A message that is held here: the manager and the sender are told, and the manager's answer lets it go.
func TestHeldHere(t *testing.T) {
	d := newDesk(t, nil)
	held := remote("x@far.example", queue.Held, "it has 9000000 octets; over 1000000 the manager decides whether it goes out")
	m := d.add(held, remote("y@far.example", queue.Held, held.Reply))
	notices := d.tell()
	if len(notices) != 1 || len(notices[0].To) != 2 || notices[0].To[0].Addr != "cleo" || notices[0].To[1].Addr != "ann" {
		t.Fatalf("%+v", notices)
	}
	header, text := d.plain(notices[0])
	contains(t, text, "The harvest", "x@far.example, y@far.example", "over 1000000", "outpost held release "+string(m.ID), "The manager, cleo,")
	reply := header.Get("Reply-To")
	local, _, _ := strings.Cut(strings.Trim(reply, "<>"), "@")
	errand, ok := Desk(strings.ToUpper(local))
	if !ok || !strings.HasSuffix(reply, "@gw.clinic.example>") {
		t.Fatalf("Reply-To: %s", reply)
	}
	// Not everybody may.
	if err := d.Answer(t.Context(), errand, "ann"); err != nil {
		t.Fatal(err)
	}
	row, err := d.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Held {
		t.Fatalf("ann let it go: %+v, %v", row.To, err)
	}
	if err := d.Answer(t.Context(), errand, "cleo"); err != nil {
		t.Fatal(err)
	}
	row, err = d.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Waiting || row.To[1].State != queue.Waiting || row.To[0].Reply != "" {
		t.Errorf("cleo did not: %+v, %v", row.To, err)
	}
	// Each answer was answered; a second one finds nothing.
	if err := d.Answer(t.Context(), errand, "cleo"); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, n := range d.notices()[1:] {
		_, text := d.plain(n)
		answers = append(answers, n.To[0].Addr+": "+text)
	}
	contains(t, strings.Join(answers, ""), "ann: Message "+string(m.ID)+" was not let go", "cleo: The message goes on its way", "cleo: No message "+string(m.ID))
}

// Who may ask for a call by mail gets one; the others are told that they may not.
func TestAskForCall(t *testing.T) {
	var called []string
	d := newDesk(t, func(o *Options) {
		o.Call = func(place string) bool { called = append(called, place); return place == "ann" }
	})
	errand, ok := Desk("Call")
	if !ok {
		t.Fatal("there is no such errand")
	}
	for _, by := range []string{"ann", "ben"} {
		if err := d.Answer(t.Context(), errand, by); err != nil {
			t.Fatal(err)
		}
	}
	notices := d.notices()
	if len(called) != 2 || len(notices) != 2 {
		t.Fatalf("%q, %d answers", called, len(notices))
	}
	for i, want := range []string{"A call is placed", "has not given you the right"} {
		_, text := d.plain(notices[i])
		contains(t, text, want)
	}
	for _, other := range []string{"release", "release+", "caller", "outpost", ""} {
		if _, ok := Desk(other); ok {
			t.Errorf("%q is an errand", other)
		}
	}
}

// Refused by the manager, it comes back with the reason.
func TestRefusedHere(t *testing.T) {
	d := newDesk(t, nil)
	m := d.add(remote("x@far.example", queue.Held, "too big"))
	d.tell()
	if _, err := d.Refuse(t.Context(), string(m.ID), ""); err != nil {
		t.Fatal(err)
	}
	notices := d.tell()
	if len(notices) != 2 || notices[1].To[0].Addr != "ann" {
		t.Fatalf("%+v", notices)
	}
	contains(t, d.text(notices[1]), "the manager did not let it go", "Action: failed")
}

// What was collected and isn't let go is removed: a person said so.
func TestRefusedCollected(t *testing.T) {
	d := newDesk(t, nil)
	m := d.addMessage(queue.Message{Origin: queue.Collected, To: []queue.Recipient{{Addr: "ann", Where: queue.Local, State: queue.Held, Reply: "rule holds it"}}})
	if _, err := d.Refuse(t.Context(), string(m.ID), "ann"); !errors.Is(err, ErrNotYours) {
		t.Errorf("ann decided: %v", err)
	}
	if _, err := d.Refuse(t.Context(), string(m.ID), "cleo"); err != nil {
		t.Error(err)
	}
	if _, err := d.q.Get(m.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("left: %v", err)
	}
}

const topText = "From: =?utf-8?q?J=C3=B6rg?= <joerg@far.example>\r\nSubject: =?utf-8?b?" + "UGhvdG9z" + "?=\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n\r\nfirst line\r\nsecond \x1b[31m line\xff\r\n"

// A message at the provider: those it is for get a note with what it costs, and let it come.
func TestHeldAtProvider(t *testing.T) {
	d := newDesk(t, nil)
	price := Price{Line: "landline", Takes: 52 * time.Minute, Now: "3.12 EUR", Later: "1.56 EUR", Hours: "20:00-06:00"}
	h := Held{Account: "ann@pop", UIDL: "u1", Box: "ann", Size: 12_300_000, Top: []byte(topText), To: []string{"ann", "ben"}, Price: price}
	if err := d.Hold(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	notices := d.notices()
	if len(notices) != 1 || len(notices[0].To) != 2 {
		t.Fatalf("%+v", notices)
	}
	header, text := d.plain(notices[0])
	id := queue.HoldID("ann@pop", "u1")
	contains(t, text, "Jörg", "Photos", "12.3 MB", "52 minutes", "3.12 EUR now", "1.56 EUR off peak\n(20:00-06:00)", "outpost held release "+id,
		"| first line", "| second [31m line", "Nobody deletes it")
	if got := header.Get("Reply-To"); got != "<release+"+id+"@gw.clinic.example>" {
		t.Errorf("Reply-To: %s", got)
	}
	if strings.ContainsAny(text, "\x1b\x00") {
		t.Error("control characters of a stranger are in the note")
	}
	for by, want := range map[string]error{"post": ErrNotYours, "ben": nil, "cleo": nil, "": nil} {
		if _, err := d.Release(t.Context(), id, by); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", by, err, want)
		}
	}
	held, err := d.q.Holds()
	if err != nil || len(held) != 1 || held[0].Released.IsZero() || held[0].Subject != "Photos" || held[0].From != "Jörg <joerg@far.example>" {
		t.Errorf("%+v, %v", held, err)
	}
	if _, err := d.Refuse(t.Context(), id, "ann"); err != nil {
		t.Error(err)
	}
	if held, _ := d.q.Holds(); held[0].Dropped.IsZero() {
		t.Errorf("%+v", held)
	}
}

// A header that isn't to the letter still says who wrote, and what, in whatever letters.
func TestHoldReadsOddHeaders(t *testing.T) {
	for name, top := range map[string]string{
		"a line that is no field": "From: ivan@far.example\r\nno field\r\nSubject: =?koi8-r?B?8NLJ18XU?=\r\n\r\n",
		"folded":                  "From: ivan@far.example\r\nSubject:\r\n =?koi8-r?B?8NLJ?=\r\n =?koi8-r?B?18XU?=\r\n\r\n",
		"bare line feeds":         "From: ivan@far.example\nSubject: =?windows-1251?B?z/Do4uXy?=\n\nSubject: no\n",
	} {
		d := newDesk(t, nil)
		if err := d.Hold(t.Context(), Held{Account: "a", UIDL: name, Top: []byte(top), To: []string{"ann"}}); err != nil {
			t.Fatal(err)
		}
		held, err := d.q.Holds()
		if err != nil || len(held) != 1 || held[0].Subject != "Привет" || held[0].From != "ivan@far.example" {
			t.Errorf("%s: %+v, %v", name, held, err)
		}
	}
}

// What isn't known is said so, and whatever a header has, there is a note.
func TestHoldOddMail(t *testing.T) {
	for name, top := range map[string]string{
		"no preview": "", "no header": "\r\n\r\nx", "garbage": "\x00\xff\r\n: :\r\n\r\n", "no end": "Subject: x", "long": "Subject: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	} {
		d := newDesk(t, nil)
		h := Held{Account: "a", UIDL: "u", Box: "box", Size: 2000, Top: []byte(top), Expires: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC)}
		if err := d.Hold(t.Context(), h); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		notices := d.notices()
		if len(notices) != 1 || notices[0].To[0].Addr != "post" {
			t.Errorf("%s: %+v", name, notices)
			continue
		}
		_, text := d.plain(notices[0])
		contains(t, text, "2 kB", "not known yet", "deleted at the provider after 24 December 2026")
		for line := range strings.Lines(d.text(notices[0])) {
			if len(line) > 1000 {
				t.Errorf("%s: a line of %d octets", name, len(line))
			}
		}
	}
}
