package queue

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	begun := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	var calls []Call
	for i := range 3 {
		c, err := q.BeginCall(t.Context(), Call{Line: "landline", Number: "555", Begun: begun.Add(time.Duration(i) * time.Hour)})
		if err != nil || c.ID != uint64(i+1) {
			t.Fatalf("call %d: %+v, %v", i, c, err)
		}
		calls = append(calls, c)
	}
	done := calls[1]
	done.Connected, done.Ended, done.OnHook = begun.Add(time.Second), begun.Add(time.Minute), true
	done.Phases = []Phase{{Name: "dialling", Begun: begun, Duration: 12 * time.Second, Up: 3, Down: 4}}
	done.Metered, done.Units, done.Cost, done.Currency = 48*time.Second, 3, "1.20", "EUR"
	done.Problems, done.Transcript = []string{"box sales: locked"}, "ATZ\r\nOK\r\n"
	if err := q.SaveCall(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	shut(t, q) // the process dies in calls 1 and 3
	q = open(t, dir, Options{})
	if got, err := q.Calls(2); err != nil || !reflect.DeepEqual(got, []Call{calls[2], done}) {
		t.Errorf("Calls(2): %+v, %v", got, err)
	}
	if got, err := q.Call(done.ID); err != nil || !reflect.DeepEqual(got, done) {
		t.Errorf("Call(%d): %+v, %v", done.ID, got, err)
	}
	if got, err := q.Call(0); err != nil || !reflect.DeepEqual(got, calls[2]) {
		t.Errorf("Call(0): %+v, %v", got, err)
	}
	if _, err := q.Call(99); !errors.Is(err, ErrNotFound) {
		t.Errorf("a call that isn't there: %v", err)
	}
	if got, err := q.Calls(0); err != nil || len(got) != 3 {
		t.Errorf("Calls(0): %d, %v", len(got), err)
	}
	if got, err := q.Unfinished(); err != nil || !reflect.DeepEqual(got, []Call{calls[0], calls[2]}) {
		t.Errorf("Unfinished: %+v, %v", got, err)
	}
	for _, c := range []Call{calls[0], calls[2]} {
		c.Ended, c.Error = begun, "the program stopped"
		if err := q.SaveCall(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := q.Unfinished(); err != nil || len(got) != 0 {
		t.Errorf("Unfinished at the end: %+v, %v", got, err)
	}
	if c, err := q.BeginCall(t.Context(), Call{}); err != nil || c.ID != 4 {
		t.Errorf("the next call: %+v, %v", c, err)
	}
}

func TestLedgerRefuses(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	if err := q.SaveCall(t.Context(), Call{ID: 9}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown call: %v", err)
	}
	wild := Call{Begun: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)} // no such year in JSON
	if _, err := q.BeginCall(t.Context(), wild); !errors.Is(err, ErrInvalid) {
		t.Errorf("wild time: %v", err)
	}
	if calls, err := q.Calls(0); err != nil || len(calls) > 0 {
		t.Errorf("kept: %+v, %v", calls, err)
	}
}

func TestSeen(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	clock := now
	q := open(t, dir, Options{Now: func() time.Time { return clock }})
	raw := "8-bit\xff" // UIDLs are kept octet for octet
	m := collected(raw)
	m.Print, m.Listed = "print", 4
	m = add(t, q, m, "body")
	clock = now.Add(time.Hour)
	for _, uidls := range [][]string{{"a", "b"}, {"a", raw}, nil} {
		if err := q.MarkSeen(t.Context(), "box", uidls); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Hour)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	want := map[string]Seen{raw: {At: now, ID: m.ID, Size: 4, Print: "print"}, "a": {At: now.Add(time.Hour)}, "b": {At: now.Add(time.Hour)}}
	if got, err := q.Seen("box"); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := q.Seen("another"); err != nil || len(got) > 0 {
		t.Errorf("another box: %v, %v", got, err)
	}
	for _, box := range []string{"box", "another"} {
		if err := q.Forget(t.Context(), box, []string{"a", "never heard of", ""}); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := q.Seen("box"); !slices.Equal(slices.Sorted(maps.Keys(got)), []string{raw, "b"}) {
		t.Errorf("after Forget: %v", got)
	}
	for box, uidl := range map[string]string{"": "u", "box": "", strings.Repeat("b", maxSeenKey+1): "u"} {
		if err := q.MarkSeen(t.Context(), box, []string{"fine", uidl}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.10q, %q: %v", box, uidl, err)
		}
	}
	if got, _ := q.Seen("box"); len(got) != 2 {
		t.Errorf("a refused MarkSeen has marked: %v", got)
	}
}

func TestMemory(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	remember := func(key string, value []byte) {
		t.Helper()
		if err := q.Remember(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	remember("smtp.example", []byte("PIPELINING"))
	remember("empty", []byte{})
	remember("gone", []byte("x"))
	remember("gone", nil)
	before := transactions(t, q)
	remember("smtp.example", []byte("PIPELINING"))
	if n := transactions(t, q) - before; n != 0 {
		t.Errorf("what is known already took %d transactions", n)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	for key, want := range map[string][]byte{"smtp.example": []byte("PIPELINING"), "empty": {}, "gone": nil, "never": nil, "": nil} {
		if got, err := q.Recall(key); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v", key, got, err)
		}
	}
	for _, key := range []string{"", strings.Repeat("k", maxMemoryKey+1)} {
		if err := q.Remember(t.Context(), key, []byte("x")); !errors.Is(err, ErrInvalid) {
			t.Errorf("%.10q: %v", key, err)
		}
	}
}
