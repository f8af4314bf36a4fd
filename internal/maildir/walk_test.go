package maildir

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Every message is told of, in new/ before cur/ and the inbox before folders; a folder that is being removed has none any more.
func TestWalk(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	var order []string
	flags := map[string]Flags{}
	walk := func() {
		t.Helper()
		order = nil
		if err := d.Walk(func(base string, f Flags) { order, flags[base] = append(order, base), f }); err != nil {
			t.Fatal(err)
		}
	}
	if walk(); len(order) > 0 {
		t.Errorf("a mailbox that isn't there has %q", order)
	}
	for _, file := range []string{
		"new/a", "cur/b" + infoMark + "2,S", ".Archive/new/c", ".Archive.2026/cur/d" + infoMark + "2,FSa", "tmp/e", trash + "x/cur/f", "notes/cur/g",
	} {
		path := filepath.Join(d.Root, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if walk(); !slices.Equal(order, []string{"a", "c", "b", "d"}) {
		t.Errorf("%q", order)
	}
	if want := map[string]Flags{"a": 0, "b": Seen, "c": 0, "d": Seen | Flagged | keywordFlag(0)}; !maps.Equal(flags, want) {
		t.Errorf("%v, want %v", flags, want)
	}
}
