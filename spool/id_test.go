package spool

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestIDValid(t *testing.T) {
	const good = "01arz3ndektsv4rrffq69g5fav"
	for _, test := range []struct {
		id   string
		want bool
	}{
		{good, true},
		{strings.Repeat("0", 26), true},
		{"7" + strings.Repeat("z", 25), true},
		// One bit more than 128.
		{"8" + strings.Repeat("0", 25), false},
		// Wrong lengths.
		{"", false}, {good[1:], false}, {good + "0", false},
		// Capitals and look-alikes: one name for one body, on every file system.
		{strings.ToUpper(good), false}, {"0i" + good[2:], false}, {"0l" + good[2:], false},
		{"0o" + good[2:], false}, {"0u" + good[2:], false},
		// Ways out of the folder.
		{"../../../../../etc/passwd1", false}, {"01arz3ndektsv4rrffq69g5fa/", false},
		{"01arz3ndektsv4rrffq69g5fa\x00", false}, {`01arz3ndektsv4rrffq69g5fa\`, false},
		{"tmp", false}, {".", false}, {"..", false},
	} {
		id, err := ParseID(test.id)
		if ID(test.id).Valid() != test.want || (err == nil) != test.want {
			t.Errorf("%q: Valid %v, ParseID %q, %v; want %v", test.id, ID(test.id).Valid(), id, err, test.want)
		}
		if err != nil && !errors.Is(err, ErrBadID) {
			t.Errorf("%q: %v is not ErrBadID", test.id, err)
		}
	}
}

// The published ULID of these 16 octets, in lower case.
func TestEncodeID(t *testing.T) {
	b := [16]byte{0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b}
	if id := encodeID(b); id != "01arz3ndektsv4rrffq69g5fav" {
		t.Errorf("got %s", id)
	}
	if id := makeID(time.UnixMilli(1469922850259)); id[:10] != "01arz3ndek" {
		t.Errorf("the time of %s is wrong", id)
	}
}

func TestIDNext(t *testing.T) {
	for id, want := range map[ID]ID{
		"01arz3ndektsv4rrffq69g5fav": "01arz3ndektsv4rrffq69g5faw",
		"01arz3ndektsv4rrffq69g5fzz": "01arz3ndektsv4rrffq69g5g00",
	} {
		if got := id.next(); got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
}

func TestNewIDGrows(t *testing.T) {
	s := &Spool{}
	var ids []ID
	for range 5000 { // many to a millisecond
		ids = append(ids, s.newID())
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 5000 {
		t.Error("IDs do not grow")
	}
}

// A board without a clock battery starts in 1970: new mail must still sort after
// what waits.
func TestNewIDGrowsAcrossClockSetBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	s.last = makeID(time.Now().Add(24 * time.Hour))
	first := put(t, s, "one")
	if second := open(t, dir, Options{}).newID(); second <= first {
		t.Errorf("%s after %s", second, first)
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"01arz3ndektsv4rrffq69g5fav", "", "../x", "8zzzzzzzzzzzzzzzzzzzzzzzzz", "01ARZ3NDEKTSV4RRFFQ69G5FAV"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		if string(id) != s || len(s) != 26 || strings.Trim(s, crockford) != "" {
			t.Errorf("%q passed as %q", s, id)
		}
		// Above '7' in front there is nothing to count on to; no clock gets there.
		if next := id.next(); id[0] < '7' && (!next.Valid() || next <= id) {
			t.Errorf("%q is followed by %q", id, next)
		}
	})
}
