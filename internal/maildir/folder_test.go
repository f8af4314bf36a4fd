package maildir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestFolderNames(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "inbox": "", "INBOX": "", "Sent": ".Sent", "Archive/2026": ".Archive.2026",
		"Entwürfe": ".Entw&APw-rfe", "R & D": ".R &- D", "日本/語": ".&ZeVnLA-.&ip4-", "a/😀": ".a.&2D3eAA-",
	} {
		got, err := folderDir(name)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
		if back := folderName(got); want != "" && back != name {
			t.Errorf("%q read back is %q", name, back)
		}
	}
	for _, name := range []string{"/", "a/", "/a", "a//b", "a.b", "..", "~joe", "a\x00", "a\n", "\xff", " a", `a\b`, string(make([]rune, 300))} {
		if got, err := folderDir(name); !errors.Is(err, ErrFolderName) {
			t.Errorf("%q is taken as %q, %v", name, got, err)
		}
	}
	for _, sub := range []string{"cur", ".", "..", "..a", ".a..b", ".&", ".&AA", ".&APw-&APw", ".\xff", ".&AGE-"} {
		if name := folderName(sub); name != "" {
			t.Errorf("%q is taken for the folder %q", sub, name)
		}
	}
}

func FuzzFolderName(f *testing.F) {
	f.Add(".Entw&APw-rfe.2026")
	f.Fuzz(func(t *testing.T, sub string) {
		name := folderName(sub)
		if name == "" {
			return
		}
		if again, err := folderDir(name); err != nil || again != sub {
			t.Errorf("%q is %q is %q, %v", sub, name, again, err)
		}
	})
}

// A folder is made by what is delivered into it, with the sign that it is one.
func TestDeliverIntoFolder(t *testing.T) {
	box := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	for range 2 {
		folder, err := box.Folder("Archive/2026")
		if err != nil {
			t.Fatal(err)
		}
		name, err := folder.Deliver("1.a", func(w io.Writer) error { _, err := io.WriteString(w, "x\r\n"); return err })
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"new/" + name, "maildirfolder", "cur", "tmp"} {
			if _, err := os.Stat(filepath.Join(box.Root, ".Archive.2026", want)); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(box.Root, ".Archive")); err == nil {
		t.Error("the level above was made too")
	}
}
