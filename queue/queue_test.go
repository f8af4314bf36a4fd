package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

func open(t *testing.T, dir string, opt Options) *Queue {
	t.Helper()
	q, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func shut(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// submitted is a message from the office to the given outside addresses.
func submitted(to ...string) Message {
	m := Message{Origin: Submitted, From: "ann@office.example", User: "ann"}
	for _, addr := range to {
		m.To = append(m.To, Recipient{Addr: addr, Where: Remote})
	}
	return m
}

// collected is a message from a box to one user.
func collected(uidl string) Message {
	return Message{Origin: Collected, Box: "box", UIDL: uidl, To: []Recipient{{Addr: "bob", Where: Local}}}
}

func add(t *testing.T, q *Queue, m Message, body string) Message {
	t.Helper()
	m, err := q.Add(t.Context(), m, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func content(t *testing.T, q *Queue, id spool.ID) string {
	t.Helper()
	r, err := q.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func list(t *testing.T, q *Queue) []Message {
	t.Helper()
	l, err := q.List()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// bodies lists the files of the spool, as paths below it.
func bodies(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	root := filepath.Join(dir, "spool")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAddAndRead(t *testing.T) {
	dir := t.TempDir()
	var told []spool.ID
	q := open(t, dir, Options{OnAdd: func(m Message) {
		m.To[0].Addr = "a listener's copy is its own"
		told = append(told, m.ID)
	}})
	in := submitted("x@far.example", "y@far.example")
	in.To[1].State = Held
	in.EightBit, in.UTF8, in.Client = true, true, "192.0.2.7"
	m := add(t, q, in, "body\r\n")
	if !m.ID.Valid() || m.Size != 6 || m.Received.IsZero() || m.To[0].State != Waiting || m.To[1].State != Held {
		t.Errorf("added as %+v", m)
	}
	if in.To[0].State != "" {
		t.Error("the caller's recipients were changed")
	}
	second := add(t, q, collected("u1"), "inbound")
	if want := []spool.ID{m.ID, second.ID}; !slices.Equal(told, want) {
		t.Errorf("OnAdd was told of %v, want %v", told, want)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	if got := list(t, q); !reflect.DeepEqual(got, []Message{m, second}) {
		t.Errorf("after reopening:\n%+v, want\n%+v", got, []Message{m, second})
	}
	if got, err := q.Get(m.ID); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("Get: %+v, %v", got, err)
	}
	if content(t, q, m.ID) != "body\r\n" || content(t, q, second.ID) != "inbound" {
		t.Error("a body differs")
	}
	for where, want := range map[Where]spool.ID{Remote: m.ID, Local: second.ID} {
		if got, err := q.Waiting(where); err != nil || len(got) != 1 || got[0].ID != want {
			t.Errorf("Waiting(%s): %+v, %v", where, got, err)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	alter := func(m Message, f func(*Message)) Message { f(&m); return m }
	for name, test := range map[string]struct {
		m    Message
		want error
	}{
		"collected mail to the outside": {alter(collected("u"), func(m *Message) { m.To[0].Where = Remote }), ErrRelay},
		"no recipients":                 {submitted(), ErrInvalid},
		"no origin":                     {alter(submitted("x"), func(m *Message) { m.Origin = "" }), ErrInvalid},
		"no way":                        {alter(submitted("x"), func(m *Message) { m.To[0].Where = "" }), ErrInvalid},
		"a state that isn't one":        {alter(submitted("x"), func(m *Message) { m.To[0].State = "gone" }), ErrInvalid},
		"an empty recipient":            {submitted(""), ErrInvalid},
		"everything sent already":       {alter(submitted("x"), func(m *Message) { m.To[0].State = Sent }), ErrInvalid},
		"an address JSON would change":  {submitted("x\xff@far.example"), ErrInvalid},
		"a sender JSON would change":    {alter(submitted("x"), func(m *Message) { m.From = "\xff" }), ErrInvalid},
		"a UIDL without a box":          {alter(collected("u"), func(m *Message) { m.Box = "" }), ErrInvalid},
		"a UIDL of submitted mail":      {alter(submitted("x"), func(m *Message) { m.Box, m.UIDL = "box", "u" }), ErrInvalid},
		"an endless UIDL":               {collected(strings.Repeat("u", maxSeenKey+1)), ErrInvalid},
	} {
		if _, err := q.Add(t.Context(), test.m, strings.NewReader("body")); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if l := list(t, q); len(l) > 0 {
		t.Errorf("kept: %+v", l)
	}
}

// What isn't kept leaves no body, whatever the reason.
func TestAddFailsWithoutTraces(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	fault := errors.New("the client went away")
	if _, err := q.Add(t.Context(), submitted("x"), io.MultiReader(strings.NewReader("half"), failing{fault})); !errors.Is(err, fault) {
		t.Errorf("reader's fault: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := q.Add(ctx, submitted("x"), io.MultiReader(strings.NewReader("half"), doing(cancel))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	add(t, q, collected("u"), "first")
	if _, err := q.Add(t.Context(), collected("u"), strings.NewReader("again")); !errors.Is(err, ErrSeen) {
		t.Errorf("seen: %v", err)
	}
	if l := list(t, q); len(l) != 1 || content(t, q, l[0].ID) != "first" {
		t.Errorf("the queue holds %+v", l)
	}
	if files := bodies(t, dir); len(files) != 1 {
		t.Errorf("left: %v", files)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type doing func()

func (f doing) Read([]byte) (int, error) { f(); return 0, nil }

func TestDiskFloor(t *testing.T) {
	q := open(t, t.TempDir(), Options{Spool: spool.Options{MinFreeBytes: math.MaxInt64}})
	if _, err := q.Add(t.Context(), submitted("x"), strings.NewReader("body")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("got %v", err)
	}
	if n, _, err := q.Free(); err != nil || n <= 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}

// In a bubble, both for the second of waiting and because the bubble fails when
// a goroutine outlives it.
func TestInUseAndNoGoroutineLeft(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
			t.Errorf("second Open: %v", err)
		}
		if waited := time.Since(begun); waited > 2*lockWait {
			t.Errorf("waited %v", waited)
		}
		for range 2 {
			if err := q.Close(); err != nil {
				t.Error(err)
			}
		}
		if q, err = Open(dir, Options{}); err != nil {
			t.Fatalf("after Close: %v", err)
		}
		_ = q.Close()
	})
}

func TestClosed(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	shut(t, q)
	_, addErr := q.Add(t.Context(), submitted("x"), strings.NewReader(""))
	_, listErr := q.List()
	_, recallErr := q.Recall("key")
	for what, err := range map[string]error{
		"Add": addErr, "List": listErr, "Recall": recallErr,
		"Forget": q.Forget(t.Context(), "box", []string{"u"}),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	open(t, dir, Options{})
	if files := bodies(t, dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

// rewrite changes the database behind the queue's back.
func rewrite(t *testing.T, dir string, change func(*bbolt.Tx) error) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "outpost.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFormat(t *testing.T) {
	version := func(v string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return bucketMeta.in(tx).Put([]byte("version"), []byte(v)) }
	}
	for name, test := range map[string]struct {
		change func(*bbolt.Tx) error
		want   error
		words  string
	}{
		"newer":      {version("3"), ErrNewer, "run the newer program"},
		"no number":  {version("x"), ErrCorrupt, "version"},
		"no version": {version(""), ErrCorrupt, "version"},
		"foreign": {func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("photos"))
			return errors.Join(err, tx.DeleteBucket([]byte("meta")))
		}, ErrCorrupt, "not Outpost's"},
	} {
		dir := t.TempDir()
		q := open(t, dir, Options{})
		add(t, q, submitted("x"), "body")
		shut(t, q)
		rewrite(t, dir, test.change)
		before, _ := os.ReadFile(filepath.Join(dir, "outpost.db"))
		_, err := Open(dir, Options{})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(filepath.Join(dir, "outpost.db")); !bytes.Equal(before, after) {
			t.Errorf("%s: the database was changed", name)
		}
		if files := bodies(t, dir); len(files) != 1 {
			t.Errorf("%s: the spool was changed: %v", name, files)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "outpost.db"), bytes.Repeat([]byte("no database "), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("garbage: %v", err)
	}
}

// What was staged and dropped leaves nothing; what was staged is kept by Add alone.
func TestStaged(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	dropped, err := q.Stage(t.Context(), strings.NewReader("never mind"))
	if err != nil {
		t.Fatal(err)
	}
	dropped.Drop()
	kept, err := q.Stage(t.Context(), strings.NewReader("keep me"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, q)); n != 0 {
		t.Errorf("%d messages before Add", n)
	}
	m, err := kept.Add(t.Context(), collected("u-1"))
	kept.Drop()
	if err != nil || m.Size != 7 || content(t, q, m.ID) != "keep me" {
		t.Errorf("%+v, %v", m, err)
	}
	again, err := q.Stage(t.Context(), strings.NewReader("keep me"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Add(t.Context(), collected("u-1")); !errors.Is(err, ErrSeen) {
		t.Errorf("the same UIDL again: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*", "*"))
	if err != nil || len(files) != 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
