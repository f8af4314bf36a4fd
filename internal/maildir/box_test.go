package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// deliver is what the mailroom does.
func deliver(t testing.TB, d Dir, key, text string) {
	t.Helper()
	if _, err := d.Deliver(key, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
		t.Fatal(err)
	}
}

func openBox(t testing.TB, d Dir, folder string) *Box {
	t.Helper()
	b, err := OpenBox(d, folder)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func appendMail(t testing.TB, b *Box, text string, flags Flags, when time.Time) *Mail {
	t.Helper()
	n, err := b.Begin("gate.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(n, text); err != nil {
		t.Fatal(err)
	}
	if err := n.Seal(when); err != nil {
		t.Fatal(err)
	}
	m, err := b.Add(n, flags)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// state is what a mail program would see: UIDs with flags, keywords and text.
func state(t testing.TB, b *Box) string {
	t.Helper()
	var s strings.Builder
	fmt.Fprintf(&s, "V%d N%d", b.Validity(), b.Next())
	for _, m := range b.Mails() {
		text, err := os.ReadFile(b.Path(m))
		if err != nil {
			t.Fatal(err)
		}
		size, err := b.Size(m)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&s, " | %d %s %v %q %d", m.UID, (m.Flags &^ allKeywords).String(), b.Keywords(m.Flags), text, size)
	}
	return s.String()
}

// wantSame checks that a Box that is open, and one that is opened now, see want, but for
// UIDVALIDITY.
func wantSame(t *testing.T, b *Box, d Dir, folder, want string) {
	t.Helper()
	if err := b.Sync(false); err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf("V%d %s", b.Validity(), want)
	if got := state(t, b); got != want {
		t.Errorf("open:\n%s\nwant\n%s", got, want)
	}
	if got := state(t, openBox(t, d, folder)); got != want {
		t.Errorf("opened again:\n%s\nwant\n%s", got, want)
	}
}

func TestBox(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	wantSame(t, b, d, "", "N1")
	deliver(t, d, "20.b", "two\r\n")
	deliver(t, d, "3.a", "one\r\n")
	b.StaleNew()
	wantSame(t, b, d, "", `N3 | 1  [] "one\n" 5 | 2  [] "two\n" 5`)
	if err := b.Sync(true); err != nil {
		t.Fatal(err)
	}
	if b.Recent() != 2 {
		t.Errorf("%d messages are recent", b.Recent())
	}
	work, err := b.Keyword("$Work", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetFlags(b.Mails()[:1], func(f Flags) Flags { return f | Seen | Answered | work }); err != nil {
		t.Fatal(err)
	}
	wantSame(t, b, d, "", `N3 | 1 RS [$Work] "one\n" 5 | 2  [] "two\n" 5`)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	m := appendMail(t, b, "three\r\n", Draft, when)
	if got, err := b.Date(m); err != nil || !got.Equal(when) || m.UID != 3 {
		t.Errorf("uid %d, date %v, %v", m.UID, got, err)
	}
	if err := b.Remove(b.Mails()[1:2]); err != nil {
		t.Fatal(err)
	}
	wantSame(t, b, d, "", `N4 | 1 RS [$Work] "one\n" 5 | 3 D [] "three\n" 7`)
	if err := d.Create("Old"); err != nil {
		t.Fatal(err)
	}
	old := openBox(t, d, "Old")
	if _, err := old.Keyword("other", true); err != nil {
		t.Fatal(err)
	}
	copies, err := old.Copy(b, b.Mails(), false)
	if err != nil || len(copies) != 2 || copies[1].UID != 2 {
		t.Fatalf("%v, %v", copies, err)
	}
	wantSame(t, old, d, "Old", `N3 | 1 RS [$Work] "one\n" 5 | 2 D [] "three\n" 7`)
	if _, err := old.Copy(b, b.Mails()[1:], true); err != nil {
		t.Fatal(err)
	}
	wantSame(t, b, d, "", `N4 | 1 RS [$Work] "one\n" 5`)
	wantSame(t, old, d, "Old", `N4 | 1 RS [$Work] "one\n" 5 | 2 D [] "three\n" 7 | 3 D [] "three\n" 7`)
	if got, err := d.Find("3.a"); err != nil || got == "" {
		t.Errorf("delivered mail isn't found any more: %q, %v", got, err)
	}
	octets, n, err := d.Usage()
	if err != nil || octets != 4+4+6+6 || n != 4 {
		t.Errorf("usage is %d octets in %d messages, %v", octets, n, err)
	}
}

// What another program does meanwhile is seen, and doesn't get into the way.
func TestBoxShared(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b, other := openBox(t, d, ""), openBox(t, d, "")
	for i := range 4 {
		appendMail(t, b, fmt.Sprint(i), 0, time.Time{})
	}
	if err := other.Sync(true); err != nil {
		t.Fatal(err)
	}
	if err := other.SetFlags(other.Mails()[:2], func(f Flags) Flags { return f | Seen }); err != nil {
		t.Fatal(err)
	}
	if err := other.Remove(other.Mails()[3:]); err != nil {
		t.Fatal(err)
	}
	// b's names are old now.
	if err := b.SetFlags(b.Mails()[:1], func(f Flags) Flags { return f | Flagged }); err != nil {
		t.Fatal(err)
	}
	third := b.Mails()[2]
	if err := b.Remove([]*Mail{b.Mails()[1]}); err != nil {
		t.Fatal(err)
	}
	if err := b.SetFlags([]*Mail{third}, func(f Flags) Flags { return f | Deleted }); err != nil {
		t.Fatal(err)
	}
	appendMail(t, other, "5", 0, time.Time{})
	b.Stale()
	wantSame(t, b, d, "", `N6 | 1 FS [] "0" 1 | 3 T [] "2" 1 | 5  [] "5" 1`)
	other.Stale()
	wantSame(t, other, d, "", `N6 | 1 FS [] "0" 1 | 3 T [] "2" 1 | 5  [] "5" 1`)
	if err := os.Remove(filepath.Join(d.Root, uidListName)); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(false); !errors.Is(err, ErrRenumbered) {
		t.Errorf("the list is gone, and it says %v", err)
	}
	again := openBox(t, d, "")
	if again.Validity() <= b.Validity() || again.Next() != 4 {
		t.Errorf("opened again: V%d N%d after V%d", again.Validity(), again.Next(), b.Validity())
	}
}

// What an interrupted delivery left is removed when it is old.
func TestSweep(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	openBox(t, d, "")
	appended := fmt.Sprintf("%d.O.gate", time.Now().Unix()) // a message of long ago
	for name, age := range map[string]time.Duration{"1234567890.old": 2 * leftOver, "old": 2 * leftOver, "1234567890.fresh": time.Hour, appended: 2 * leftOver} {
		path := filepath.Join(d.Root, "tmp", name)
		when := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	openBox(t, d, "")
	left, err := os.ReadDir(filepath.Join(d.Root, "tmp"))
	if err != nil || len(left) != 2 || left[0].Name() != "1234567890.fresh" || left[1].Name() != appended {
		t.Errorf("%v, %v", left, err)
	}
}

// Messages that another program has numbered before we saw them keep those numbers.
func TestBoxNumberedElsewhere(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	appendMail(t, b, "0", 0, time.Time{})
	if err := appendUIDs(d.Root, []uidRecord{{uid: 7, base: "7.x"}, {uid: 8, base: "8.x"}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(false); err != nil { // It reads the list, and finds no such files.
		t.Fatal(err)
	}
	for _, name := range []string{"8.x:2,S", "7.x:2,"} {
		if err := os.WriteFile(filepath.Join(d.Root, "cur", name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.Stale()
	wantSame(t, b, d, "", `N9 | 1  [] "0" 1 | 7  [] "x\n" 3 | 8 S [] "x\n" 3`)
}

// A message that another program has moved away and back, by the same name, is a new one.
func TestBoxAwayAndBack(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	for i := range 3 {
		appendMail(t, b, fmt.Sprint(i), 0, time.Time{})
	}
	l, _, err := readUIDList(d.Root)
	if err != nil {
		t.Fatal(err)
	}
	// The other program's list: the second under another number, the third not at all.
	l.records[1].uid, l.next = 9, 10
	l.records = l.records[:2]
	if err := l.replace(d.Root); err != nil {
		t.Fatal(err)
	}
	second := b.Mails()[1]
	wantSame(t, b, d, "", `N11 | 1  [] "0" 1 | 9  [] "1" 1 | 10  [] "2" 1`)
	if !second.gone {
		t.Error("the old one is still there")
	}
}

// A change by another program that falls into the same tick of the clock as one of our
// own is found when the folder is looked through once more.
func TestBoxSameTick(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	m := appendMail(t, b, "x", 0, time.Time{})
	info, err := os.Stat(filepath.Join(d.Root, "cur"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(b.Path(m), b.Path(m)+"S"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(d.Root, "cur"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(false); err != nil || m.Flags != 0 {
		t.Fatalf("%v, %v", m.Flags, err)
	}
	b.curs.at = b.curs.at.Add(-time.Hour) // an hour later
	if err := b.Sync(false); err != nil || m.Flags != Seen {
		t.Fatalf("%v, %v", m.Flags, err)
	}
}

func TestFolders(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	for _, name := range []string{"A", "A/B", "A/B/C", "AB"} {
		if err := d.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want ...string) {
		t.Helper()
		got, err := d.Folders()
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	want("A", "A/B", "A/B/C", "AB")
	first := openBox(t, d, "A/B")
	if err := d.Create("A"); !errors.Is(err, ErrFolderExists) {
		t.Error(err)
	}
	if err := d.Rename("A/B", "A/B/D"); !errors.Is(err, ErrFolderName) {
		t.Error(err)
	}
	if err := d.Rename("A", "AB"); !errors.Is(err, ErrFolderExists) {
		t.Error(err)
	}
	if err := d.Rename("A/B", "X"); err != nil {
		t.Fatal(err)
	}
	want("A", "AB", "X", "X/C")
	if got := openBox(t, d, "X"); got.Validity() != first.Validity() {
		t.Error("UIDVALIDITY changed with the name")
	}
	if err := first.Sync(false); !errors.Is(err, ErrRenumbered) {
		t.Errorf("the folder of an open Box is gone, and it says %v", err)
	}
	if err := d.Delete("X"); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete("X"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	want("A", "AB", "X/C")
	if err := d.Create("X"); err != nil {
		t.Fatal(err)
	}
	if got := openBox(t, d, "X"); got.Validity() <= first.Validity() {
		t.Error("a new folder has the UIDVALIDITY of one that was removed")
	}
	left, err := filepath.Glob(filepath.Join(d.Root, "..*"))
	if err != nil || len(left) > 0 {
		t.Error(left, err)
	}
	if _, err := OpenBox(d, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestSubscriptions(t *testing.T) {
	d := Dir{Root: t.TempDir()}
	for _, name := range []string{"Entwürfe", "A/B", "A/B", "Gone"} {
		if err := d.Subscribe(name, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Subscribe("Gone", false); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(d.Root, "subscriptions"))
	if err != nil || string(text) != "V\t2\n\nEntw&APw-rfe\nA\tB\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.WriteFile(filepath.Join(d.Root, "subscriptions"), []byte("Entw&APw-rfe\nA.B\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := d.Subscriptions()
	if err != nil || fmt.Sprint(got) != "[Entwürfe A/B]" {
		t.Errorf("%q, %v", got, err)
	}
}
