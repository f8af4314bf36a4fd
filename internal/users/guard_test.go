package users

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	f := newFile(t, "")
	configured := map[string]string{"ann": bcrypted(t, "of the configuration"), "ben": ""}
	g := NewGuard(f, configured, nil)
	admits := func(name, password string, want bool) {
		t.Helper()
		if got := g.Admit(name, password); got != want {
			t.Errorf("%s with %q: %v", name, password, got)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	admits("ann", "of the configuration", true)
	admits("ann", "wrong", false)
	admits("ben", "", false)
	admits("nobody", "of the configuration", false)
	admits("", "", false)

	// Each change counts at once.
	do(f.Add("carol", cheap))
	admits("carol", "secret", true)
	admits("carol", "of the configuration", false)
	do(f.Disable("carol"))
	admits("carol", "secret", false)
	do(f.Enable("carol"))
	admits("carol", "secret", true)

	// The file counts before the configuration, for the password and for who may.
	do(f.Disable("ann"))
	admits("ann", "of the configuration", false)
	do(f.Enable("ann"))
	admits("ann", "of the configuration", true)
	do(f.SetHash("ann", cheap))
	admits("ann", "of the configuration", false)
	admits("ann", "secret", true)
	do(f.SetHash("ben", cheap))
	admits("ben", "secret", true)

	// A file that is gone has nobody.
	do(os.Remove(f.Path()))
	admits("ben", "secret", false)
	admits("ann", "of the configuration", true)
}

// A broken line shuts out who it is about, whatever the configuration says, and nobody
// else; a file that can't be read at all leaves things as they were.
func TestGuardOfBrokenFile(t *testing.T) {
	f := newFile(t, "ann:geheim\nben:"+cheap+"\n")
	var log bytes.Buffer
	g := NewGuard(f, map[string]string{"ann": cheap}, slog.New(slog.NewTextHandler(&log, nil)))
	if g.Admit("ann", "secret") || !g.Admit("ben", "secret") {
		t.Error("a broken line shuts out the wrong one")
	}
	if !strings.Contains(log.String(), "line 1") || strings.Contains(log.String(), "geheim") {
		t.Errorf("logged: %s", &log)
	}
	if err := os.Remove(f.Path()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.Path(), 0o700); err != nil { // no file that can be read
		t.Fatal(err)
	}
	if g.Admit("ann", "secret") || !g.Admit("ben", "secret") {
		t.Error("a file that can't be read changed who may sign in")
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("logged %d lines: %s", n, &log)
	}
}

// Who isn't there, is disabled or has no password is compared with a hash that somebody
// has, always the same one, so that the time an answer takes says nothing.
func TestGuardTakesItsTime(t *testing.T) {
	f := newFile(t, "ann:"+cheap+"\nben:"+bcrypted(t, "x")+"\ncarol:\ndave:"+cheap+":disabled\n")
	g := NewGuard(f, nil, nil)
	for _, name := range []string{"carol", "erin", "frank", ""} {
		hash, may := g.hashFor(name)
		again, _ := g.hashFor(name)
		if may || CheckHash(hash) != nil || hash != again {
			t.Errorf("%s: %q then %q, may %v", name, hash, again, may)
		}
	}
	if hash, may := g.hashFor("dave"); hash != cheap || may {
		t.Errorf("dave: %q, may %v", hash, may)
	}
	if hash, may := NewGuard(newFile(t, ""), nil, nil).hashFor("ann"); may || CheckHash(hash) != nil {
		t.Errorf("nobody at all: %q, may %v", hash, may)
	}
}

// However many ask at once, two passwords are hashed at a time.
func TestGuardAtOnce(t *testing.T) {
	g := NewGuard(newFile(t, "ann:"+cheap+"\n"), nil, nil)
	for range atOnce {
		g.busy <- struct{}{}
	}
	done := make(chan bool, 1)
	go func() { done <- g.Admit("ann", "secret") }()
	select {
	case <-done:
		t.Fatal("one more was let in")
	default:
	}
	<-g.busy
	if !<-done {
		t.Error("the one who waited was not let in")
	}
}
