package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/internal/dispatch"
	"outpost/internal/session"
	"outpost/queue"
)

// serve runs a daemon's socket for one test and gives a client for it.
func serve(t *testing.T, d Daemon) *Client {
	t.Helper()
	// Socket paths are short (108 octets on Linux, 104 elsewhere); t.TempDir is not.
	dir, err := os.MkdirTemp("", "op")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, d) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return NewClient(path)
}

func TestQuestions(t *testing.T) {
	c := serve(t, Daemon{
		Status: func() (Status, error) {
			return Status{Status: dispatch.Status{State: dispatch.Idle, Why: "because"}, Waiting: 3}, nil
		},
		Queue: func() ([]queue.Message, error) { return []queue.Message{{From: "ann@clinic.example"}}, nil },
		Calls: func(limit int) ([]queue.Call, error) {
			if limit == 7 {
				return nil, errors.New("the ledger is gone")
			}
			return make([]queue.Call, limit), nil
		},
		Held: func() ([]Held, error) { return []Held{{ID: "abc", AtProvider: true}}, nil },
		Decide: func(_ context.Context, id string, release bool) (string, error) {
			if id != "abc" {
				return "", queue.ErrNotFound
			}
			return fmt.Sprint("decided ", release), nil
		},
		Call: func(id uint64) (queue.Call, error) {
			switch id {
			case 0:
				return queue.Call{ID: 9}, nil
			case 7:
				return queue.Call{}, errors.New("the ledger is gone")
			}
			return queue.Call{}, queue.ErrNotFound
		},
	})
	s, err := c.Status(t.Context())
	if err != nil || s.State != dispatch.Idle || s.Waiting != 3 || s.Why != "because" {
		t.Errorf("%+v, %v", s, err)
	}
	ms, err := c.Queue(t.Context())
	if err != nil || len(ms) != 1 || ms[0].From != "ann@clinic.example" {
		t.Errorf("%+v, %v", ms, err)
	}
	if calls, err := c.Calls(t.Context(), 4); err != nil || len(calls) != 4 {
		t.Errorf("%+v, %v", calls, err)
	}
	if _, err := c.Calls(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "the ledger is gone") {
		t.Errorf("error %v", err)
	}
	if held, err := c.Held(t.Context()); err != nil || len(held) != 1 || held[0].ID != "abc" || !held[0].AtProvider {
		t.Errorf("%+v, %v", held, err)
	}
	for _, release := range []bool{true, false} {
		text, err := c.Decide(t.Context(), "abc", release)
		if want := fmt.Sprint("decided ", release); err != nil || text != want {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	if _, err := c.Decide(t.Context(), "a/b", true); !errors.Is(err, ErrNotHeld) {
		t.Errorf("nothing of that name: %v", err)
	}
	if call, err := c.Call(t.Context(), 0); err != nil || call.ID != 9 {
		t.Errorf("%+v, %v", call, err)
	}
	if _, err := c.Call(t.Context(), 8); !errors.Is(err, ErrNoCall) {
		t.Errorf("error %v", err)
	}
	if _, err := c.Call(t.Context(), 7); err == nil || !strings.Contains(err.Error(), "the ledger is gone") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Calls(t.Context(), 0); err == nil {
		t.Error("a limit of 0 was taken")
	}
}

func TestConnect(t *testing.T) {
	var feed dispatch.Feed
	c := serve(t, Daemon{
		Events: feed.Listen,
		Connect: func(_ context.Context, reason string) (queue.Call, error) {
			feed.Tell(session.Event{Kind: session.PhaseBegan, Phase: session.Dialling})
			feed.Tell(session.Event{Kind: session.Ended})
			switch reason {
			case "idle":
				return queue.Call{}, session.ErrNothingToDo
			case "open":
				return queue.Call{ID: 2}, &session.OpenLineError{Line: "l", Err: errors.New("carrier up")}
			}
			return queue.Call{ID: 1, Reason: reason}, nil
		},
	})
	var kinds []session.Kind
	end, err := c.Connect(t.Context(), "a & b", func(l Line) { kinds = append(kinds, l.Event.Kind) })
	if err != nil || end.Call.ID != 1 || end.Call.Reason != "a & b" || end.Error != "" || end.NoCall {
		t.Errorf("%+v, %v", end, err)
	}
	if len(kinds) != 2 || kinds[1] != session.Ended {
		t.Errorf("events %v", kinds)
	}
	if end, err := c.Connect(t.Context(), "idle", func(Line) {}); err != nil || !end.NoCall {
		t.Errorf("%+v, %v", end, err)
	}
	if end, err := c.Connect(t.Context(), "open", func(Line) {}); err != nil || !strings.Contains(end.Error, "carrier up") {
		t.Errorf("%+v, %v", end, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "none"))
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v", err)
	}
}

// A socket that a killed daemon left is replaced; one that answers is not.
func TestListenAgain(t *testing.T) {
	dir, err := os.MkdirTemp("", "op")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	first, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("the socket of a living daemon was taken")
	}
	first.SetUnlinkOnClose(false) // as kill -9 leaves it
	_ = first.Close()
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
