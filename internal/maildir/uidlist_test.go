package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseUIDList(t *testing.T) {
	const head = "3 V1795635396 N5 G819b922ec238076b4441000083ecc375 Xkept\n"
	for _, tt := range []struct {
		in   string
		want string // written again; "" for one that is of no use
		torn bool
	}{
		{head, head, false},
		{head + "1 :a\n3 W12 :b,S=1,W=2\n", head + "1 :a\n3 W12 :b,S=1,W=2\n", false},
		// With flags, as older versions write it; appended lines are above N.
		{head + "7 :a:2,S\n", strings.Replace(head, "N5", "N8", 1) + "7 :a\n", false},
		{"1 99 5\n1 a\n2 b:2,S\n", "3 V99 N5\n1 :a\n2 :b\n", false},
		// What a power cut leaves at the end.
		{head + "1 :a\n2 :b", head + "1 :a\n", true},
		{head + "1 :a\n2 :b\n\x00\x00\x00\x00\x00", head + "1 :a\n2 :b\n", true},
		{head + "1 :a\n2", head + "1 :a\n", true},
		// Damage in the middle: UIDs that were told are lost.
		{head + "1 :a\nrubbish\n3 :c\n", "", false},
		{head + "2 :a\n1 :b\n3 :c\n", "", false},
		{"", "", false}, {"\n", "", false}, {"3\n", "", false}, {"3 N5\n", "", false}, {"4 V1 N1\n", "", false}, {"3 V1 N1", "", false},
		{"3 V0 N1\n", "", false}, {"3 V99999999999 N1\n", "", false},
	} {
		l, err := parseUIDList(strings.NewReader(tt.in))
		if err != nil {
			if tt.want != "" {
				t.Errorf("%q: %v", tt.in, err)
			}
			continue
		}
		var b bytes.Buffer
		if err := l.format(&b); err != nil {
			t.Fatal(err)
		}
		if b.String() != tt.want || l.torn != tt.torn {
			t.Errorf("%q:\n%q, torn %v, want\n%q, %v", tt.in, b.String(), l.torn, tt.want, tt.torn)
		}
	}
}

// Whatever is in the file, what is written is read back the same.
func FuzzUIDList(f *testing.F) {
	f.Add([]byte("3 V1795635396 N5 G819b922ec238076b4441000083ecc375\n1 :a\n3 W12 :b,S=1,W=2:2,S\n"))
	f.Add([]byte("1 99 5\n1 a\n2 b\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := parseUIDList(bytes.NewReader(in))
		if err != nil {
			return
		}
		var last uint32
		for _, rec := range l.records {
			if rec.uid <= last || rec.uid >= l.next {
				t.Fatalf("UID %d after %d, next %d", rec.uid, last, l.next)
			}
			last = rec.uid
		}
		var first, second bytes.Buffer
		if err := l.format(&first); err != nil {
			t.Fatal(err)
		}
		again, err := parseUIDList(bytes.NewReader(first.Bytes()))
		if err != nil || again.torn {
			t.Fatalf("%q is written as %q: %v", in, first.Bytes(), err)
		}
		if err := again.format(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("%q, then %q", first.Bytes(), second.Bytes())
		}
	})
}

func FuzzKeywords(f *testing.F) {
	f.Add([]byte("0 foo\n1 $Forwarded\n30 more\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		k, err := parseKeywords(bytes.NewReader(in))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := k.format(&b); err != nil {
			t.Fatal(err)
		}
		again, err := parseKeywords(&b)
		if err != nil || again.names != k.names || fmt.Sprint(again.rest) != fmt.Sprint(k.rest) {
			t.Fatalf("%v, then %v, %v", k, again, err)
		}
	})
}

func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("V\t2\n\nEntw&APw-rfe\nA\tB\n"))
	f.Add([]byte("A.B\n"))
	f.Fuzz(func(_ *testing.T, in []byte) { _, _ = parseSubscriptions(bytes.NewReader(in)) })
}

// A list that a power cut has torn is mended; messages whose lines are gone are new.
func TestTornList(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	for i := range 3 {
		appendMail(t, b, fmt.Sprint(i), 0, time.Time{})
	}
	path := filepath.Join(d.Root, uidListName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	again := openBox(t, d, "")
	if again.Validity() != b.Validity() || len(again.Mails()) != 3 {
		t.Errorf("V%d after V%d, %d messages", again.Validity(), b.Validity(), len(again.Mails()))
	}
	third := openBox(t, d, "")
	if state(t, third) != state(t, again) || third.torn {
		t.Errorf("%s, then %s", state(t, again), state(t, third))
	}
}

// Nothing is told that isn't durable: a step that fails leaves the message out, or in
// once.
func TestFaultsInAdd(t *testing.T) {
	failed := errors.New("no more")
	for _, step := range []string{"create", "fsync", "rename", "dirsync", "uidlist"} {
		d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
		b := openBox(t, d, "")
		appendMail(t, b, "first", 0, time.Time{})
		b.dir.Step = func(s string) error {
			if s == step {
				return failed
			}
			return nil
		}
		n, err := b.Begin("gate")
		if err == nil {
			if err = n.Seal(time.Time{}); err == nil {
				_, err = b.Add(n, 0)
			}
			if err != nil {
				n.Abort()
			}
		}
		if !errors.Is(err, failed) {
			t.Errorf("%s: %v", step, err)
		}
		b.dir.Step = nil
		b.Stale()
		if err := b.Sync(false); err != nil || len(b.Mails()) != 1 {
			t.Errorf("%s: %d messages, %v", step, len(b.Mails()), err)
		}
		m := appendMail(t, b, "second", 0, time.Time{})
		left, err := os.ReadDir(filepath.Join(d.Root, "tmp"))
		if len(left) > 0 || err != nil || m.UID < 2 {
			t.Errorf("%s: UID %d, in tmp %v, %v", step, m.UID, left, err)
		}
	}
}

// The dotlock is Dovecot's: one of a process that is gone, or an old one, is taken over.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	release, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path + ".lock"); err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("%d:", os.Getpid())) {
		t.Errorf("%q, %v", text, err)
	}
	got := make(chan error)
	go func() {
		release, err := lock(path)
		if err == nil {
			release()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Error(err)
	}
	_, host, _ := strings.Cut(lockOwner(), ":")
	for _, stale := range []struct {
		text string
		age  time.Duration
	}{{"999999999:" + host, 0}, {"1:elsewhere", time.Hour}, {"", time.Hour}} {
		if err := os.WriteFile(path+".lock", []byte(stale.text), 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-stale.age)
		if err := os.Chtimes(path+".lock", when, when); err != nil {
			t.Fatal(err)
		}
		release, err := lock(path)
		if err != nil {
			t.Fatalf("%q: %v", stale.text, err)
		}
		release()
	}
}

// A folder of 100,000 messages.
func bigBox(b *testing.B, n int) Dir {
	b.Helper()
	d := Dir{Root: filepath.Join(b.TempDir(), "ann")}
	box := openBox(b, d, "")
	appendMail(b, box, "x", 0, time.Time{})
	for i := range n - 1 {
		name := fmt.Sprintf("%d.%026d.gate.office.example,S=1234,W=1267:2,S", 1_700_000_000+i, i)
		if err := os.WriteFile(filepath.Join(d.Root, "cur", name), nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	openBox(b, d, "")
	return d
}

func BenchmarkOpen100k(b *testing.B) {
	d := bigBox(b, 100_000)
	for b.Loop() {
		openBox(b, d, "")
	}
}

// What every command costs while nothing changes, and what one delivery costs.
func BenchmarkSync100k(b *testing.B) {
	d := bigBox(b, 100_000)
	box := openBox(b, d, "")
	b.Run("nothing", func(b *testing.B) {
		for b.Loop() {
			if err := box.Sync(false); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("delivery", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			deliver(b, d, fmt.Sprintf("%d.x", 1_800_000_000+i), "x\r\n")
			box.StaleNew()
			if err := box.Sync(true); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("flag", func(b *testing.B) {
		for b.Loop() {
			if err := errors.Join(box.SetFlags(box.Mails()[:1], func(f Flags) Flags { return f ^ Flagged }), box.Flush(), box.Sync(true)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("usage", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := d.Usage(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A list that is mostly of messages that are gone is written anew; the numbers stay.
func TestListIsCompacted(t *testing.T) {
	d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
	b := openBox(t, d, "")
	appendMail(t, b, "x", 0, time.Time{})
	var gone []uidRecord
	for i := range 1200 {
		gone = append(gone, uidRecord{uid: uint32(i + 2), extra: "W7 ", base: fmt.Sprintf("gone.%d", i)})
	}
	if err := appendUIDs(d.Root, gone); err != nil {
		t.Fatal(err)
	}
	if m := appendMail(t, b, "y", 0, time.Time{}); m.UID != 1202 {
		t.Errorf("UID %d", m.UID)
	}
	text, err := os.ReadFile(filepath.Join(d.Root, uidListName))
	if err != nil || strings.Count(string(text), "\n") != 3 || !strings.Contains(string(text), " N1203 ") {
		t.Errorf("%d octets: %.200s, %v", len(text), text, err)
	}
	wantSame(t, b, d, "", `N1203 | 1  [] "x" 1 | 1202  [] "y" 1`)
}

// A copy that fails leaves nothing behind, and a move that fails leaves each message in one
// place, whatever step it is.
func TestFaultsInCopy(t *testing.T) {
	failed := errors.New("no more")
	for _, move := range []bool{false, true} {
		for _, step := range []string{"rename", "dirsync", "uidlist"} {
			d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
			if err := d.Create("To"); err != nil {
				t.Fatal(err)
			}
			from, to := openBox(t, d, ""), openBox(t, d, "To")
			for i := range 3 {
				appendMail(t, from, fmt.Sprint(i), 0, time.Time{})
			}
			to.dir.Step = func(s string) error {
				if s == step {
					return failed
				}
				return nil
			}
			if _, err := to.Copy(from, from.Mails(), move); !errors.Is(err, failed) {
				t.Errorf("%s, move %v: %v", step, move, err)
			}
			to.dir.Step = nil
			from.Stale()
			to.Stale()
			if err := errors.Join(from.Sync(false), to.Sync(false)); err != nil {
				t.Fatal(err)
			}
			here, there := len(from.Mails()), len(to.Mails())
			if !move && (here != 3 || there != 0) || here+there != 3 {
				t.Errorf("%s, move %v: %d messages here, %d there", step, move, here, there)
			}
			wantSame(t, from, d, "", strings.SplitN(state(t, from), " ", 2)[1])
			wantSame(t, to, d, "To", strings.SplitN(state(t, to), " ", 2)[1])
		}
	}
}

// Killed at any step of an APPEND and started again: what was told before is as it was,
// and the new message is there once or not at all, under a UID that nobody had.
func TestKilledInAdd(t *testing.T) {
	for _, step := range []string{"create", "fsync", "rename", "dirsync", "uidlist"} {
		d := Dir{Root: filepath.Join(t.TempDir(), "ann")}
		b := openBox(t, d, "")
		appendMail(t, b, "first", Seen, time.Time{})
		told := state(t, b)
		b.dir.Step = func(s string) error {
			if s == step {
				panic("killed")
			}
			return nil
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it was not killed", step)
				}
			}()
			appendMail(t, b, "second", 0, time.Time{})
		}()
		again := openBox(t, d, "")
		got := state(t, again)
		_, old, _ := strings.Cut(told, "|")
		if !strings.Contains(got, old) || again.Validity() != b.Validity() || len(again.Mails()) > 2 {
			t.Errorf("%s: %s, then %s", step, told, got)
		}
		if len(again.Mails()) == 2 && (again.Mails()[1].UID < 2 || !strings.Contains(got, `"second"`)) {
			t.Errorf("%s: %s", step, got)
		}
		if state(t, openBox(t, d, "")) != got {
			t.Errorf("%s: another start changes it", step)
		}
	}
}
