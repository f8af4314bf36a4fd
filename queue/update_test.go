package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"outpost/spool"
)

const nobody spool.ID = "01arz3ndektsv4rrffq69g5fav"

func sendAll(m *Message) error {
	for i := range m.To {
		m.To[i].State = Sent
	}
	return nil
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	m := add(t, q, submitted("x", "y"), "body")
	err := q.Update(t.Context(), m.ID, func(m *Message) error {
		m.To[0].State, m.To[0].Attempts, m.To[0].Reply, m.To[0].Call = Sent, 1, "250 2.0.0 ok", 7
		m.ID, m.Size, m.Origin, m.Box, m.UIDL = nobody, 99, Collected, "box", "u"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.Get(m.ID)
	if err != nil || got.To[0].State != Sent || got.To[0].Reply != "250 2.0.0 ok" || got.To[0].Call != 7 || got.To[1].State != Waiting {
		t.Errorf("got %+v, %v", got, err)
	}
	if got.Size != m.Size || got.Origin != Submitted || got.Box != "" || got.UIDL != "" {
		t.Errorf("what can't change has changed: %+v", got)
	}
	if err := q.Update(t.Context(), m.ID, sendAll); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Get(m.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a sent message: %v", err)
	}
	if _, err := q.Body(m.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a sent message's body: %v", err)
	}
	if files := bodies(t, dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

func TestUpdateRefuses(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	m := add(t, q, collected("u"), "body")
	fault := errors.New("no")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx    context.Context
		id     spool.ID
		change func(*Message) error
		want   error
	}{
		"unknown":          {t.Context(), nobody, sendAll, ErrNotFound},
		"the change's own": {t.Context(), m.ID, func(m *Message) error { m.To[0].State = Failed; return fault }, fault},
		"a relay": {t.Context(), m.ID, func(m *Message) error {
			m.To = append(m.To, Recipient{Addr: "x@far.example", Where: Remote, State: Waiting})
			return nil
		}, ErrRelay},
		"no recipients": {t.Context(), m.ID, func(m *Message) error { m.To = nil; return nil }, ErrInvalid},
		"no state":      {t.Context(), m.ID, func(m *Message) error { m.To[0].State = ""; return nil }, ErrInvalid},
		"cancelled":     {cancelled, m.ID, sendAll, context.Canceled},
	} {
		if err := q.Update(test.ctx, test.id, test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if got, err := q.Get(m.ID); err != nil || len(got.To) != 1 || got.To[0].State != Waiting {
		t.Errorf("after refusals: %+v, %v", got, err)
	}
}

// The row goes first. A stop before the body's removal leaves an orphan, which
// the next start sweeps; a stop before the commit leaves the message whole.
func TestStopInUpdateToAllSent(t *testing.T) {
	for _, test := range []struct {
		at   string
		rows int
	}{{StepCommit, 1}, {spool.StepRemove, 0}} {
		dir, stopped := t.TempDir(), ""
		q := open(t, dir, Options{})
		m := add(t, q, submitted("x"), "body")
		shut(t, q)
		q = open(t, dir, Options{Step: func(step string) error {
			if step == test.at {
				stopped = copyTree(t, dir) // what a stop here leaves
			}
			return nil
		}})
		if err := q.Update(t.Context(), m.ID, sendAll); err != nil {
			t.Fatal(err)
		}
		if files := bodies(t, stopped); !slices.Equal(files, []string{string(m.ID)}) {
			t.Errorf("%s: the stop leaves %v", test.at, files)
		}
		q = open(t, stopped, Options{})
		if l, files := list(t, q), bodies(t, stopped); len(l) != test.rows || len(files) != test.rows {
			t.Errorf("%s: after the start: rows %+v, files %v", test.at, l, files)
		}
	}
}

// Sending the last recipient has happened, whether or not the file goes.
func TestBodyThatCannotBeRemoved(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{Step: func(step string) error {
		if step == spool.StepRemove {
			return errors.New("in use")
		}
		return nil
	}})
	m := add(t, q, submitted("x"), "body")
	if err := q.Update(t.Context(), m.ID, sendAll); err != nil {
		t.Errorf("Update: %v", err)
	}
	if _, err := q.Get(m.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	shut(t, q)
	open(t, dir, Options{})
	if files := bodies(t, dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	m := add(t, q, collected("u"), "body")
	if err := q.Remove(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	if err := q.Remove(t.Context(), m.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	if files := bodies(t, dir); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
	if _, err := q.Add(t.Context(), collected("u"), strings.NewReader("body")); !errors.Is(err, ErrSeen) {
		t.Errorf("what was dropped is collected again: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	m := add(t, q, submitted("waiting", "sending", "failed"), "body")
	err := q.Update(t.Context(), m.ID, func(m *Message) error {
		m.To[1].State, m.To[2].State = Sending, Failed
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is harmless
		if err := q.Quarantine(t.Context(), m.ID, "unreadable"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // and it lasts
		got, err := q.Get(m.ID)
		if err != nil || got.To[0].State != Held || got.To[0].Reply != "unreadable" ||
			got.To[1].State != Held || !got.To[1].Doubtful || got.To[2].State != Failed {
			t.Errorf("got %+v, %v", got, err)
		}
		if _, err := q.Body(m.ID); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Body: %v", err)
		}
		if files := bodies(t, dir); !slices.Equal(files, []string{"corrupt/" + string(m.ID)}) {
			t.Errorf("files: %v", files)
		}
		shut(t, q)
		q = open(t, dir, Options{})
	}
	if err := q.Quarantine(t.Context(), nobody, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	if err := q.Remove(t.Context(), m.ID); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// Who has a list of what waits is told by the count that it lacks something.
func TestArrivals(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	count := func() [2]uint64 { return [2]uint64{q.Arrivals(Local), q.Arrivals(Remote)} }
	state := func(s State) func(*Message) error {
		return func(m *Message) error {
			for i := range m.To {
				m.To[i].State = s
			}
			return nil
		}
	}
	m := add(t, q, submitted("x", "y"), "body")
	add(t, q, collected("u"), "body")
	if got := count(); got != [2]uint64{1, 1} {
		t.Errorf("after two were added: %v", got)
	}
	for _, step := range []struct {
		to   State
		want uint64
	}{{Sending, 1}, {Waiting, 2}, {Waiting, 2}, {Held, 2}, {Waiting, 3}, {Sent, 3}} {
		if err := q.Update(t.Context(), m.ID, state(step.to)); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != [2]uint64{1, step.want} {
			t.Errorf("after %s: %v, want %d remote", step.to, got, step.want)
		}
	}
	if _, err := q.Add(t.Context(), collected("u"), strings.NewReader("body")); !errors.Is(err, ErrSeen) || q.Arrivals(Local) != 1 {
		t.Errorf("%v counted %d", err, q.Arrivals(Local))
	}
}
