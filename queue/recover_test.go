package queue

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func logTo(b *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func TestSendingIsDoubtfulAfterAStop(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	m := add(t, q, submitted("sending", "sent", "waiting"), "body")
	err := q.Update(t.Context(), m.ID, func(m *Message) error {
		m.To[0].State, m.To[1].State = Sending, Sent
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	shut(t, q)
	q = open(t, dir, Options{})
	got, err := q.Get(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Recipient{{State: Waiting, Doubtful: true}, {State: Sent}, {State: Waiting}} {
		if r := got.To[i]; r.State != want.State || r.Doubtful != want.Doubtful {
			t.Errorf("%s: %s, doubtful %v", r.Addr, r.State, r.Doubtful)
		}
	}
}

// An SD card is spared: a start with nothing to put right writes nothing.
func TestCleanStartWritesNothing(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	add(t, q, submitted("x"), "body")
	shut(t, q)
	before, _ := os.ReadFile(filepath.Join(dir, "outpost.db"))
	shut(t, open(t, dir, Options{}))
	if after, _ := os.ReadFile(filepath.Join(dir, "outpost.db")); !bytes.Equal(before, after) {
		t.Error("the database was written to")
	}
}

func TestDamagedBodies(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"instead": func(path string) error { return os.Truncate(path, 2) },
	} {
		dir := t.TempDir()
		q := open(t, dir, Options{})
		m, good := add(t, q, submitted("x"), "body"), add(t, q, submitted("y"), "good")
		if err := damage(filepath.Join(dir, "spool", string(m.ID))); err != nil {
			t.Fatal(err)
		}
		for _, state := range []State{Waiting, Held} { // before and after a restart
			if _, err := q.Body(m.ID); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: Body: %v", name, err)
			}
			if l := list(t, q); len(l) != 2 || l[0].ID != m.ID || l[0].To[0].State != state {
				t.Errorf("%s: the message is not shown as %s: %+v", name, state, l)
			}
			shut(t, q)
			var log bytes.Buffer
			q = open(t, dir, Options{Log: logTo(&log)})
			if state == Waiting && !strings.Contains(log.String(), string(m.ID)) {
				t.Errorf("%s: not reported: %s", name, log.String())
			}
		}
		got, _ := q.Get(m.ID)
		if !strings.Contains(got.To[0].Reply, name) {
			t.Errorf("%s: the reason is %q", name, got.To[0].Reply)
		}
		if waiting, err := q.Waiting(Remote); err != nil || len(waiting) != 1 || waiting[0].ID != good.ID {
			t.Errorf("%s: the good message doesn't wait: %+v, %v", name, waiting, err)
		}
	}
}

// A row that can't be read costs neither its body, nor itself, nor the others;
// also when the program stopped before the body was set aside.
func TestUnreadableRow(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	bad, good := add(t, q, submitted("x"), "bad"), add(t, q, submitted("y"), "good")
	shut(t, q)
	rewrite(t, dir, func(tx *bbolt.Tx) error { return bucketMessages.in(tx).Put([]byte(bad.ID), []byte(`{"id":`)) })
	var log bytes.Buffer
	q = open(t, dir, Options{Log: logTo(&log)})
	if l := list(t, q); len(l) != 1 || l[0].ID != good.ID {
		t.Errorf("listed: %+v", l)
	}
	aside := "corrupt/" + string(bad.ID)
	if files := bodies(t, dir); !slices.Contains(files, aside) || !strings.Contains(log.String(), string(bad.ID)) {
		t.Errorf("files %v, log %s", files, log.String())
	}
	_ = q.view(func(tx *bbolt.Tx) error {
		if row := bucketDamaged.in(tx).Get([]byte(bad.ID)); string(row) != `{"id":` {
			t.Errorf("the row was kept as %q", row)
		}
		return nil
	})
	shut(t, q)
	if err := os.Rename(filepath.Join(dir, "spool", aside), filepath.Join(dir, "spool", string(bad.ID))); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
	if files := bodies(t, dir); !slices.Contains(files, aside) {
		t.Errorf("after a stop in recovery: %v", files)
	}
}

// A row that turns unreadable while the queue is open is reported beside the rest.
func TestUnreadableRowWhileOpen(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	bad, good := add(t, q, submitted("x"), "bad"), add(t, q, submitted("y"), "good")
	err := q.db.Update(func(tx *bbolt.Tx) error {
		return bucketMessages.in(tx).Put([]byte(bad.ID), fmt.Appendf(nil, `{"id":%q}`, good.ID))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, read := range []func() ([]Message, error){q.List, func() ([]Message, error) { return q.Waiting(Remote) }} {
		if l, err := read(); !errors.Is(err, ErrCorrupt) || len(l) != 1 || l[0].ID != good.ID {
			t.Errorf("%+v, %v", l, err)
		}
	}
	if _, err := q.Get(bad.ID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Get: %v", err)
	}
	if err := q.Remove(t.Context(), bad.ID); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// Somebody deleted the database: the bodies are mail, not leftovers.
func TestLostDatabase(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	m := add(t, q, submitted("x"), "body")
	shut(t, q)
	if err := os.Remove(filepath.Join(dir, "outpost.db")); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	open(t, dir, Options{Log: logTo(&log)})
	if files := bodies(t, dir); !slices.Equal(files, []string{"corrupt/" + string(m.ID)}) || !strings.Contains(log.String(), "set aside") {
		t.Errorf("files %v, log %s", files, log.String())
	}
}
