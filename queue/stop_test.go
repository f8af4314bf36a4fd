package queue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"outpost/spool"
)

// A stop is tried in three ways: as the copy of the folder at each step (what a
// stop leaves, here), as an error at each step (what a fault leaves, here), and
// as a real kill -9 between the steps (kill_test.go).

// story is what a test of stops does to a queue: one message that is there
// already, and one that is being added. tell is called with an acknowledged ID.
type story struct {
	name  string
	m     Message
	steps []string // that Add takes, in order
}

const (
	oldBody = "this one was there before"
	newBody = "and this one is on its way in\r\n"
)

func stories() []story {
	steps := []string{spool.StepCreate, spool.StepWrite, spool.StepFsync, spool.StepRename, spool.StepDirSync, StepCommit}
	return []story{
		{"submitted", submitted("x@far.example", "y@far.example"), steps},
		{"collected", collected("u-new"), steps},
	}
}

// begin makes a queue with the first message.
func (s story) begin(t *testing.T, dir string) {
	t.Helper()
	q := open(t, dir, Options{})
	old := s.m
	if old.UIDL != "" {
		old.UIDL = "u-old"
	}
	add(t, q, old, oldBody)
	shut(t, q)
}

// check opens what a stop has left and says everything that is wrong with it.
// kept says that the second message must be there. It ends with the retry that
// any sender would make.
func (s story) check(t *testing.T, dir string, kept bool) {
	t.Helper()
	q := open(t, dir, Options{})
	defer shut(t, q)
	there := s.verify(t, q, dir)
	if kept && !there {
		t.Error("a message that was committed is lost")
	}
	_, err := q.Add(t.Context(), s.m, strings.NewReader(newBody))
	switch {
	case s.m.UIDL == "" && err != nil, s.m.UIDL != "" && !there && err != nil:
		t.Errorf("the retry failed: %v", err)
	case s.m.UIDL != "" && there && !errors.Is(err, ErrSeen):
		t.Errorf("the retry of a message that is there: %v", err)
	}
	if s.m.UIDL != "" {
		if !s.verify(t, q, dir) {
			t.Error("the message is lost after its retry")
		}
		if n := len(list(t, q)); n != 2 {
			t.Errorf("%d messages after the retry, want 2: collected once", n)
		}
	}
}

// verify checks the invariants and returns whether the second message is there.
func (s story) verify(t *testing.T, q *Queue, dir string) (there bool) {
	t.Helper()
	var names []string
	var old bool
	for _, m := range list(t, q) {
		names = append(names, string(m.ID))
		switch body := content(t, q, m.ID); body {
		case oldBody:
			old = true
		case newBody:
			there = true
		default:
			t.Errorf("half a message shows: %q", body)
		}
	}
	if !old {
		t.Error("the message that was there before is lost")
	}
	if files := bodies(t, dir); !slices.Equal(files, names) {
		t.Errorf("files %v, rows %v", files, names)
	}
	if s.m.UIDL != "" {
		seen, err := q.Seen(s.m.Box)
		if _, marked := seen[s.m.UIDL]; err != nil || marked != there {
			t.Errorf("UIDL seen: %v, message there: %v, %v", marked, there, err)
		}
	}
	return there
}

func TestStopAtEveryStepOfAdd(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			s.begin(t, dir)
			var steps, stops []string
			stop := func(step string) error {
				steps = append(steps, step)
				stops = append(stops, copyTree(t, dir))
				return nil
			}
			q := open(t, dir, Options{Step: stop, OnAdd: func(Message) { stops = append(stops, copyTree(t, dir)) }})
			add(t, q, s.m, newBody)
			shut(t, q)
			if !slices.Equal(steps, s.steps) {
				t.Errorf("the order was %v, want %v", steps, s.steps)
			}
			for i, left := range stops {
				t.Run(fmt.Sprint("before ", append(s.steps, "250")[i]), func(t *testing.T) {
					s.check(t, left, i == len(s.steps))
				})
			}
		})
	}
}

// A fault in a step is told, and the process goes on without a restart.
func TestFaultAtEveryStepOfAdd(t *testing.T) {
	fault := errors.New("fault")
	for _, s := range stories() {
		for _, at := range s.steps {
			t.Run(s.name+" "+at, func(t *testing.T) {
				dir := t.TempDir()
				s.begin(t, dir)
				q := open(t, dir, Options{Step: func(step string) error {
					if step == at {
						return fault
					}
					return nil
				}})
				if _, err := q.Add(t.Context(), s.m, strings.NewReader(newBody)); !errors.Is(err, fault) {
					t.Errorf("Add: %v", err)
				}
				if s.verify(t, q, dir) {
					t.Error("a message that was refused is kept")
				}
				shut(t, q)
				s.check(t, dir, false)
			})
		}
	}
}

// Many at once, with a fault now and then in any step: what was acknowledged is
// there after the stop, and nothing else shows.
func TestFaultsUnderLoad(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var n int
	q := open(t, dir, Options{Step: func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%37 == 0 {
			return errors.New("fault")
		}
		return nil
	}})
	acked := make(map[string]bool)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				uidl := fmt.Sprintf("u-%d-%d", worker, i)
				if _, err := q.Add(context.WithoutCancel(t.Context()), collected(uidl), strings.NewReader(uidl)); err == nil {
					mu.Lock()
					acked[uidl] = true
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	shut(t, q)
	checkLoad(t, dir, acked, true)
}

// checkLoad opens a queue of collected messages, each with its UIDL as content.
// exact says that nothing but acked may be there.
func checkLoad(t *testing.T, dir string, acked map[string]bool, exact bool) {
	t.Helper()
	q := open(t, dir, Options{})
	seen, err := q.Seen("box")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	there := make(map[string]bool)
	for _, m := range list(t, q) {
		names = append(names, string(m.ID))
		uidl := content(t, q, m.ID)
		if _, marked := seen[uidl]; !marked || uidl != m.UIDL || there[uidl] {
			t.Errorf("%s: marked %v, content %q, twice %v", m.UIDL, marked, uidl, there[uidl])
		}
		if exact && !acked[uidl] {
			t.Errorf("%s is kept, but was refused", uidl)
		}
		there[uidl] = true
	}
	if len(seen) != len(there) {
		t.Errorf("%d UIDLs seen, %d messages there", len(seen), len(there))
	}
	for uidl := range acked {
		if !there[uidl] {
			t.Errorf("%s was acknowledged and is lost", uidl)
		}
	}
	if files := bodies(t, dir); !slices.Equal(files, names) {
		t.Errorf("files %v, rows %v", files, names)
	}
	if len(acked) == 0 {
		t.Error("nothing was acknowledged, so nothing was tested")
	}
}

// copyTree copies a folder as it is now.
func copyTree(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Error(err)
	}
	return to
}
