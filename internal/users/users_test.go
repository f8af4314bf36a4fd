package users

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// cheap is a hash that takes no time, made by argon2(1): its password is "secret".
const cheap = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$TnDEl2tJgYtaYZt0/5f59Jf56vkIG4EtQACv6SLO2cI"

func bcrypted(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func newFile(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Open(path)
}

func text(t *testing.T, f *File) string {
	t.Helper()
	b, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestChanges(t *testing.T) {
	f := newFile(t, "# The clinic.\r\n\nann:"+cheap+"\nben:"+cheap+":disabled")
	other := bcrypted(t, "other")
	for _, c := range []struct {
		what string
		do   func() error
		want string // lines, or
		err  error
	}{
		{"add", func() error { return f.Add("carol", other) }, "# The clinic.\n\nann:" + cheap + "\nben:" + cheap + ":disabled\ncarol:" + other + "\n", nil},
		{"add again", func() error { return f.Add("carol", other) }, "", ErrExists},
		{"a password", func() error { return f.SetHash("ann", other) }, "# The clinic.\n\nann:" + other + "\nben:" + cheap + ":disabled\ncarol:" + other + "\n", nil},
		// A new password doesn't let anybody in who was kept out.
		{"a password of who is disabled", func() error { return f.SetHash("ben", other) }, "# The clinic.\n\nann:" + other + "\nben:" + other + ":disabled\ncarol:" + other + "\n", nil},
		{"enable", func() error { return f.Enable("ben") }, "# The clinic.\n\nann:" + other + "\nben:" + other + "\ncarol:" + other + "\n", nil},
		{"disable", func() error { return f.Disable("ann") }, "# The clinic.\n\nann:" + other + ":disabled\nben:" + other + "\ncarol:" + other + "\n", nil},
		// Who stands in the configuration only gets a line.
		{"disable another", func() error { return f.Disable("dave") }, "# The clinic.\n\nann:" + other + ":disabled\nben:" + other + "\ncarol:" + other + "\ndave::disabled\n", nil},
		{"enable nobody", func() error { return f.Enable("erin") }, "", ErrUnknown},
	} {
		before, _ := os.ReadFile(f.Path())
		if err := c.do(); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.what, err, c.err)
		}
		if c.want == "" {
			c.want = string(before)
		}
		if got := text(t, f); got != c.want {
			t.Errorf("%s: the file is\n%swant\n%s", c.what, got, c.want)
		}
	}
	for _, name := range []string{"", "Ann", "a:b", "../x", "con", "nul.txt", "com1", "x.", ".x", "-x", "a\nb", strings.Repeat("a", 65)} {
		if err := f.Add(name, cheap); err == nil {
			t.Errorf("a user may be called %q", name)
		}
	}
	if err := f.Add("frank", "plain"); err == nil || strings.Contains(err.Error(), "plain") {
		t.Errorf("a hash that is none: %v", err)
	}
	left, err := filepath.Glob(f.Path() + ".*")
	if err != nil || !slices.Equal(left, []string{f.Path() + ".lock"}) {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if info, err := os.Stat(f.Path()); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestList(t *testing.T) {
	if list, err := newFile(t, "").List(); err != nil || len(list) != 0 {
		t.Errorf("no file: %v, %v", list, err)
	}
	f := newFile(t, "ann:"+cheap+"\n ben : \nben\ncarol:geheim\ndave::disabled\ndave:\nerin:"+cheap+":enabled\nfrank:\n#x\n"+
		"gina:$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$TnDEl2tJgYtaYZt0/5f59Jf56vkIG4EtQACv6SLO2cI\n")
	list, err := f.List()
	want := []Entry{
		{"ann", cheap, false}, {"ben", "", true}, {"carol", "", true}, {"dave", "", true}, {"erin", "", true},
		{"frank", "", false}, {"gina", "", true},
	}
	if !slices.Equal(list, want) {
		t.Errorf("list %+v", list)
	}
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{"line 2", "line 3", `line 4: user "carol"`, "line 6", "line 7", `line 10: user "gina": asks for more`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %s: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "geheim") {
		t.Errorf("a secret stands in the error: %v", err)
	}
	// What is wrong with others doesn't keep anybody from a new password, but nobody's own
	// broken line is taken for something.
	if err := f.SetHash("ann", cheap); err != nil {
		t.Error(err)
	}
	if err := f.SetHash("erin", cheap); err == nil {
		t.Error("a line that wasn't understood was changed")
	}
	if _, err := newFile(t, strings.Repeat("#", maxFile+1)).List(); err == nil {
		t.Error("a file of any size is read")
	}
}

// Changes made at the same time, as by several commands, are all there afterwards, and
// whoever reads meanwhile sees a whole file.
func TestWritersAtOnce(t *testing.T) {
	path := newFile(t, "").Path()
	const writers, each = 8, 10
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			f := Open(path) // as another process would
			for i := range each {
				if err := f.Add("u"+strconv.Itoa(w)+"-"+strconv.Itoa(i), cheap); err != nil {
					t.Error(err)
				}
				if _, err := f.List(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	if list, err := Open(path).List(); err != nil || len(list) != writers*each {
		t.Errorf("%d users, %v", len(list), err)
	}
}

func TestNoFolder(t *testing.T) {
	f := Open(filepath.Join(t.TempDir(), "data", "users"))
	if err := f.Add("ann", cheap); err != nil {
		t.Error(err)
	}
}

func FuzzEntries(f *testing.F) {
	f.Add("ann:" + cheap + "\nben:" + cheap + ":disabled\n")
	f.Add("# x\n\nann\n:::\nann:$2a$10$x")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := entries(split([]byte(text)))
		seen := make(map[string]bool)
		for _, e := range list {
			if CheckName(e.Name) != nil || seen[e.Name] {
				t.Errorf("entry %+v", e)
			}
			seen[e.Name] = true
			if e.Hash != "" && CheckHash(e.Hash) != nil {
				t.Errorf("hash %q", e.Hash)
			}
		}
		if err != nil {
			return
		}
		// What is read without a fault is written the same.
		var lines []string
		for _, e := range list {
			lines = append(lines, e.line())
		}
		if again, err := entries(lines); err != nil || !slices.Equal(again, list) {
			t.Errorf("%+v became %+v, %v", list, again, err)
		}
	})
}
