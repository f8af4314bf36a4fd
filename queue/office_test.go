package queue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// A report and the fact that the sender was told are one.
func TestAddWithUpdate(t *testing.T) {
	dir := t.TempDir()
	fail := false
	q := open(t, dir, Options{Step: func(step string) error {
		if fail && step == StepCommit {
			return errors.New("power cut")
		}
		return nil
	}})
	failed := submitted("x@far.example")
	failed.To[0].State = Failed
	failed = add(t, q, failed, "lost letter")
	report := Message{Origin: Notice, To: []Recipient{{Addr: "ann", Where: Local}}}
	told := WithUpdate(failed.ID, func(m *Message) error {
		m.To[0].State = Returned
		return nil
	})
	fail = true
	if _, err := q.AddWith(t.Context(), report, strings.NewReader("report"), told); err == nil {
		t.Fatal("a transaction that failed is reported as kept")
	}
	fail = false
	if list := list(t, q); len(list) != 1 || list[0].To[0].State != Failed || len(bodies(t, dir)) != 1 {
		t.Fatalf("after a failed commit: %+v, %v", list, bodies(t, dir))
	}
	if _, err := q.AddWith(t.Context(), report, strings.NewReader("report"), told); err != nil {
		t.Fatal(err)
	}
	if list := list(t, q); len(list) != 1 || list[0].Origin != Notice || len(bodies(t, dir)) != 1 {
		t.Errorf("told, and yet: %+v, %v", list, bodies(t, dir))
	}
	// A second report about the same is refused as a whole: the message has gone.
	if _, err := q.AddWith(t.Context(), report, strings.NewReader("again"), told); !errors.Is(err, ErrNotFound) || len(list(t, q)) != 1 {
		t.Errorf("a report about what is gone: %v", err)
	}
}

// Who asked hears of each change of a message that stays, after it is durable.
func TestOnUpdate(t *testing.T) {
	var heard []Message
	q := open(t, t.TempDir(), Options{OnUpdate: func(m Message) { heard = append(heard, m) }})
	m := add(t, q, submitted("a@far.example", "b@far.example"), "body")
	for i := range 2 {
		if err := q.Update(t.Context(), m.ID, func(m *Message) error { m.To[i].State = Sent; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(heard) != 1 || heard[0].To[0].State != Sent || heard[0].To[1].State != Waiting {
		t.Errorf("heard of %+v", heard)
	}
}

// Mail of ours and collected mail never go out by mistake.
func TestWhatMayGoOut(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	for name, c := range map[string]struct {
		m    Message
		want error
	}{
		"collected":         {Message{Origin: Collected, To: []Recipient{{Addr: "x@far.example", Where: Remote}}}, ErrRelay},
		"collected by rule": {Message{Origin: Collected, To: []Recipient{{Addr: "x@far.example", Where: Remote, By: "on"}}}, nil},
		"notice":            {Message{Origin: Notice, To: []Recipient{{Addr: "x@far.example", Where: Remote, By: "on"}}}, ErrRelay},
	} {
		if _, err := q.Add(t.Context(), c.m, strings.NewReader("body")); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// copyOf is a message that came through a box, one of several copies.
func copyOf(uidl, text string, to ...string) Message {
	m := Message{Origin: Collected, Box: "box", UIDL: uidl, Copies: text}
	for _, name := range to {
		m.To = append(m.To, Recipient{Addr: name, Where: Local})
	}
	return m
}

func TestCopies(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	first := add(t, q, copyOf("1", "m", "ann", "ben"), "body")
	// The second is new to one of its two.
	second := add(t, q, copyOf("2", "m", "ben", "cem"), "body")
	if second.To[0].State != Sent || second.To[1].State != Waiting {
		t.Errorf("the second copy: %+v", second.To)
	}
	// The third is new to nobody: it is seen, and nothing else. So it is after a restart.
	for i := range 2 {
		uidl := fmt.Sprint("3", i)
		if _, err := q.Add(t.Context(), copyOf(uidl, "m", "ann", "cem"), strings.NewReader("body")); !errors.Is(err, ErrCopy) {
			t.Errorf("a copy that nobody needs: %v", err)
		}
		// What is done with the message they have is done with this one: it is at the provider until that is read, if so wished.
		if seen, err := q.Seen("box"); err != nil || seen[uidl].At.IsZero() || seen[uidl].ID != first.ID {
			t.Errorf("the copy's UIDL was not noted: %v, %v", seen, err)
		}
		shut(t, q)
		q = open(t, dir, Options{})
	}
	if got := list(t, q); len(got) != 2 || got[0].ID != first.ID || len(bodies(t, dir)) != 2 {
		t.Errorf("kept: %+v", got)
	}
	add(t, q, copyOf("4", "another", "ann"), "body")
}

// Copies that a rule holds are one decision; but what isn't held comes, whatever becomes of the one that is.
func TestCopiesHeld(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	held := func(uidl string) Message {
		m := copyOf(uidl, "m", "ann")
		m.To[0].State = Held
		return m
	}
	add(t, q, held("1"), "body")
	if _, err := q.Add(t.Context(), held("2"), strings.NewReader("body")); !errors.Is(err, ErrCopy) {
		t.Errorf("the second one: %v", err)
	}
	if m := add(t, q, copyOf("3", "m", "ann"), "body"); m.To[0].State != Waiting {
		t.Errorf("one that isn't held: %+v", m.To)
	}
	if _, err := q.Add(t.Context(), held("4"), strings.NewReader("body")); !errors.Is(err, ErrCopy) {
		t.Errorf("one to hold of what has come: %v", err)
	}
}

// What is remembered of copies is bounded, by age and by number.
func TestCopiesAreForgotten(t *testing.T) {
	clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := open(t, t.TempDir(), Options{Now: func() time.Time { return clock }})
	count := func() (n, ages int) {
		_ = q.view(func(tx *bbolt.Tx) error {
			n, ages = bucketCopies.in(tx).Stats().KeyN, bucketCopyAges.in(tx).Stats().KeyN
			return nil
		})
		return n, ages
	}
	add(t, q, copyOf("1", "old", "ann"), "body")
	clock = clock.Add(copiesLast / 2)
	add(t, q, copyOf("2", "young", "ann"), "body")
	add(t, q, copyOf("3", "young", "ben"), "body")
	clock = clock.Add(copiesLast / 2)
	add(t, q, copyOf("4", "new", "ann"), "body")
	if n, ages := count(); n != 2 || ages != 2 || q.copies != 2 {
		t.Errorf("%d rows, %d ages, %d counted; want the young and the new", n, ages, q.copies)
	}
	q.copies = copiesMost // as if there were as many
	add(t, q, copyOf("5", "newer", "ann"), "body")
	if n, ages := count(); n != 2 || ages != 2 {
		t.Errorf("%d rows, %d ages: no room was made", n, ages)
	}
}

func TestHolds(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	h := Hold{Box: "box", UIDL: "big", Size: 9e6, Since: time.Unix(1000, 0).UTC(), To: []string{"ann"}, Subject: "photos"}
	note := func() Message { return Message{Origin: Notice, To: []Recipient{{Addr: "ann", Where: Local}}} }
	if _, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(h)); err != nil {
		t.Fatal(err)
	}
	held, err := q.Holds()
	if err != nil || len(held) != 1 || held[0].ID != HoldID("box", "big") || held[0].Subject != "photos" {
		t.Fatalf("%+v, %v", held, err)
	}
	if _, err := q.Release(t.Context(), "nothing", "ann"); !errors.Is(err, ErrNotFound) {
		t.Errorf("release of what isn't held: %v", err)
	}
	released, err := q.Release(t.Context(), held[0].ID, "ann")
	if err != nil || released.Released.IsZero() || released.By != "ann" {
		t.Errorf("%+v, %v", released, err)
	}
	if up, err := q.GiveUp(t.Context(), held[0].ID, "ben"); err != nil || !up.Released.IsZero() || up.Dropped.IsZero() {
		t.Errorf("given up: %+v, %v", up, err)
	}
	if again, err := q.Release(t.Context(), held[0].ID, "ann"); err != nil || again.Released.IsZero() || !again.Dropped.IsZero() {
		t.Errorf("released after all: %+v, %v", again, err)
	}
	// Met again, it is still released; collected, it is held no more.
	if _, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(h)); err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	if held, err := q.Holds(); err != nil || len(held) != 1 || held[0].By != "ann" {
		t.Errorf("met again: %+v, %v", held, err)
	}
	add(t, q, collected("big"), "photos")
	if held, err := q.Holds(); err != nil || len(held) != 0 {
		t.Errorf("held after it was collected: %+v, %v", held, err)
	}
	if _, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(h)); err != nil {
		t.Fatal(err)
	}
	// Numbered anew, it keeps its ID and what was decided.
	if err := q.MoveHold(t.Context(), "box", "big", "huge"); err != nil {
		t.Fatal(err)
	}
	if held, err := q.Holds(); err != nil || len(held) != 1 || held[0].ID != HoldID("box", "big") || held[0].UIDL != "huge" {
		t.Errorf("moved: %+v, %v", held, err)
	}
	if err := q.MoveHold(t.Context(), "box", "big", "huge"); !errors.Is(err, ErrNotFound) {
		t.Errorf("moved again: %v", err)
	}
	if err := q.DropHolds(t.Context(), "box", []string{"huge", "never heard of"}); err != nil {
		t.Fatal(err)
	}
	// What came in and was discarded by a rule is held no more either.
	if _, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(Hold{Box: "box", UIDL: "junk", Size: 9e6})); err != nil {
		t.Fatal(err)
	}
	if err := q.MarkSeen(t.Context(), "box", []string{"junk"}); err != nil {
		t.Fatal(err)
	}
	if held, _ := q.Holds(); len(held) != 0 {
		t.Errorf("dropped, and yet: %+v", held)
	}
}

// A provider numbers its box anew, with old names among the new ones.
func TestRename(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	a, b := add(t, q, collected("a"), "1"), add(t, q, collected("b"), "2")
	if err := q.Rename(t.Context(), "box", map[string]string{"a": "b", "b": "c", "x": "y"}); err != nil {
		t.Fatal(err)
	}
	seen, err := q.Seen("box")
	if err != nil || len(seen) != 2 || seen["b"].ID != a.ID || seen["c"].ID != b.ID {
		t.Errorf("%+v, %v", seen, err)
	}
}

// A database of format 1 gets what it lacks, and keeps what it has.
func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	add(t, q, collected("new"), "body")
	at := time.Date(2025, 5, 4, 3, 2, 1, 0, time.UTC)
	err := q.db.Update(func(tx *bbolt.Tx) error {
		old, _ := at.MarshalText()
		return errors.Join(
			tx.DeleteBucket([]byte(bucketHolds)), tx.DeleteBucket([]byte(bucketCopies)), tx.DeleteBucket([]byte(bucketCopyAges)),
			bucketSeen.in(tx).Bucket([]byte("box")).Put([]byte("old"), old),
			bucketMeta.in(tx).Put([]byte("version"), []byte("1")))
	})
	if err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	seen, err := q.Seen("box")
	if err != nil || !slices.Equal(slices.Sorted(maps.Keys(seen)), []string{"new", "old"}) || !seen["old"].At.Equal(at) {
		t.Errorf("%+v, %v", seen, err)
	}
	add(t, q, copyOf("1", "m", "ann"), "body")
	if len(list(t, q)) != 2 {
		t.Error("mail was lost by the upgrade")
	}
}

// A provider gives the UIDL of a held message to another one: what was decided was about the other.
func TestHoldOfAnotherMessage(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	enter := func(h Hold) Hold {
		t.Helper()
		note := Message{Origin: Notice, To: []Recipient{{Addr: "ann", Where: Local}}}
		if _, err := q.AddWith(t.Context(), note, strings.NewReader("note"), WithHold(h)); err != nil {
			t.Fatal(err)
		}
		held, err := q.Holds()
		if err != nil || len(held) != 1 {
			t.Fatalf("%+v, %v", held, err)
		}
		return held[0]
	}
	first := Hold{Box: "box", UIDL: "7", Size: 9e6, Print: "a", Since: time.Unix(1000, 0).UTC()}
	if _, err := q.GiveUp(t.Context(), enter(first).ID, "ann"); err != nil {
		t.Fatal(err)
	}
	again := first
	again.Size++
	if h := enter(again); h.Dropped.IsZero() || h.Size != again.Size {
		t.Errorf("the same message, counted anew: %+v", h)
	}
	other := Hold{Box: "box", UIDL: "7", Size: 9e6, Print: "b", Since: time.Unix(2000, 0).UTC()}
	if h := enter(other); !h.Dropped.IsZero() || !h.Since.Equal(other.Since) || h.By != "" {
		t.Errorf("another message: %+v", h)
	}
}

// All of a box are numbered anew, and the new numbers are old ones of others.
func TestHoldsChangePlaces(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	note := func() Message { return Message{Origin: Notice, To: []Recipient{{Addr: "ann", Where: Local}}} }
	for uidl, print := range map[string]string{"1": "a", "2": "b"} {
		if _, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(Hold{Box: "box", UIDL: uidl, Size: 9, Print: print})); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Release(t.Context(), HoldID("box", "2"), "ann"); err != nil {
		t.Fatal(err)
	}
	for _, move := range [][2]string{{"1", "2"}, {"1", "3"}} { // b was given a's old one, from which it moves on
		if err := q.MoveHold(t.Context(), "box", move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	held, err := q.Holds()
	if err != nil || len(held) != 2 || held[0].Print != "a" || held[0].UIDL != "2" || held[1].Print != "b" || held[1].UIDL != "3" || held[1].Released.IsZero() {
		t.Errorf("%+v, %v", held, err)
	}
}

// A row that can't be read is one message's trouble: the others are still held, decided on, and entered.
func TestHoldsWithDamage(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	note := func() Message { return Message{Origin: Notice, To: []Recipient{{Addr: "ann", Where: Local}}} }
	enter := func(uidl string) error {
		_, err := q.AddWith(t.Context(), note(), strings.NewReader("note"), WithHold(Hold{Box: "box", UIDL: uidl, Size: 9}))
		return err
	}
	if err := errors.Join(enter("1"), enter("2")); err != nil {
		t.Fatal(err)
	}
	if err := q.db.Update(func(tx *bbolt.Tx) error { return bucketHolds.in(tx).Put(holdKey("box", "1"), []byte("{torn")) }); err != nil {
		t.Fatal(err)
	}
	if held, err := q.Holds(); !errors.Is(err, ErrCorrupt) || len(held) != 1 || held[0].UIDL != "2" {
		t.Errorf("%+v, %v", held, err)
	}
	if _, err := q.Release(t.Context(), HoldID("box", "2"), "ann"); err != nil {
		t.Error(err)
	}
	if err := enter("1"); err != nil {
		t.Error(err)
	}
	if held, err := q.Holds(); err != nil || len(held) != 2 {
		t.Errorf("%+v, %v", held, err)
	}
}

// What a rule sends out goes once, however many boxes it came through.
func TestCopiesGoOutOnce(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	out := Recipient{Addr: "x@far.example", Where: Remote, By: "on"}
	first, second := copyOf("1", "m", "ann"), copyOf("2", "m", "ben")
	first.To, second.To = append(first.To, out), append(second.To, out)
	add(t, q, first, "body")
	if m := add(t, q, second, "body"); m.To[0].State != Waiting || m.To[1].State != Sent {
		t.Errorf("the second copy: %+v", m.To)
	}
}

// A row of copies that can't be read is no reason to refuse a message, in this call and each after it.
func TestCopiesDamaged(t *testing.T) {
	for _, torn := range []string{"", "1234567", "12345678{torn"} {
		q := open(t, t.TempDir(), Options{})
		add(t, q, copyOf("1", "m", "ann"), "body")
		if err := q.db.Update(func(tx *bbolt.Tx) error { return bucketCopies.in(tx).Put(copyKey("m"), []byte(torn)) }); err != nil {
			t.Fatal(err)
		}
		if m := add(t, q, copyOf("2", "m", "ann"), "body"); m.To[0].State != Waiting {
			t.Errorf("%q: %+v", torn, m.To)
		}
		if _, err := q.Add(t.Context(), copyOf("3", "m", "ann"), strings.NewReader("body")); !errors.Is(err, ErrCopy) {
			t.Errorf("%q: the row isn't mended: %v", torn, err)
		}
	}
}
