package peers_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"outpost/internal/peers"
	"outpost/internal/pop3"
)

// shelf is a Store in memory.
type shelf struct {
	now   func() time.Time
	seen  map[string]pop3.Seen
	saved [][]byte
	held  []pop3.Held
	// after, if set, is called when a message has been saved.
	after func(saved int)
}

func newShelf() *shelf { return &shelf{now: time.Now, seen: map[string]pop3.Seen{}} }

func (s *shelf) Seen() (map[string]pop3.Seen, error) { return maps.Clone(s.seen), nil }

func (s *shelf) Save(_ context.Context, size int64, body io.Reader, identity func() string, done func(error)) {
	text, err := io.ReadAll(body)
	if _, ok := s.seen[identity()]; err == nil && !ok {
		s.seen[identity()] = pop3.Seen{At: s.now(), Size: size, Print: pop3.Fingerprint(bytes.NewReader(text))}
		s.saved = append(s.saved, text)
	}
	done(err)
	if s.after != nil && err == nil {
		s.after(len(s.saved))
	}
}

func (s *shelf) Forget(_ context.Context, uidls []string) error {
	for _, u := range uidls {
		delete(s.seen, u)
	}
	return nil
}

func (s *shelf) Hold(_ context.Context, h pop3.Held) error {
	s.held = append(s.held, h)
	return nil
}

func (s *shelf) Renamed(_ context.Context, identities map[string]string) error {
	for was, is := range identities {
		s.seen[is] = s.seen[was]
		delete(s.seen, was)
	}
	return nil
}

// plain are the options of a user who trusts the line.
func plain() pop3.Options {
	return pop3.Options{TLS: pop3.TLSNone, AllowPlainAuth: true, User: "joe", Password: "secret"}
}

// collect collects a box, and wants no error of any kind.
func collect(t *testing.T, address string, opt pop3.Options, store pop3.Store) pop3.Report {
	t.Helper()
	report, err := pop3.Collect(t.Context(), dial(t, address), opt, store)
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("collect: %v, problems %v", err, report.Problems)
	}
	return report
}

// Every letter comes in once, whatever protects the connection, and the box is empty
// afterwards.
func TestCollectFromDovecot(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	tests := []struct {
		name    string
		address string
		mode    pop3.TLSMode
		trust   *tls.Config
	}{
		{"plain", boxes.POP3, pop3.TLSNone, nil},
		{"STLS", boxes.POP3, pop3.TLSStart, boxes.ClientTLS()},
		{"implicit TLS", boxes.POP3S, pop3.TLSImplicit, boxes.ClientTLS()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opt := plain()
			opt.User, opt.Password = "ann", users()["ann"]
			opt.TLS, opt.TLSConfig, opt.AllowPlainAuth = test.mode, test.trust, test.trust == nil
			want := letters()
			for _, m := range want {
				boxes.Deliver("ann", m)
			}
			s := newShelf()
			r := collect(t, test.address, opt, s)
			if r.Listed != len(want) || r.Collected != len(want) || r.Deleted != len(want) || len(r.Waiting) > 0 {
				t.Errorf("report %+v, want %d of each", r, len(want))
			}
			if r.Known == nil || !slices.Contains(r.Known.Capabilities, "PIPELINING") {
				t.Errorf("known of the server is %+v", r.Known)
			}
			if left := boxes.Left("ann"); len(left) != 0 {
				t.Errorf("%d messages are still in the box", len(left))
			}
			// A second call finds what came since, and nothing twice. It begins with what is known of the server, and
			// before the server has said anything; so does a third, with all at once.
			opt.Known, opt.Speculate = r.Known, true
			for n, later := range [][][]byte{{letter(1000, "Came later.\r\n")}, {letter(1001, text(9000)), letter(1002, "\r\n"), letter(1003, text(200))}} {
				for _, m := range later {
					boxes.Deliver("ann", m)
				}
				s.seen = map[string]pop3.Seen{}
				if r := collect(t, test.address, opt, s); r.Collected != len(later) || r.Deleted != len(later) {
					t.Errorf("call %d: report %+v, want %d messages", n+2, r, len(later))
				}
				want = append(want, later...)
			}
			eachOnce(t, "collected", s.saved, want)
		})
	}
}

func TestCollectLeavesOnServer(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	for _, m := range letters() {
		boxes.Deliver("joe", m)
	}
	n := len(letters())
	s := newShelf()
	opt := plain()
	opt.LeaveDays = 3
	days := 0
	opt.Now = func() time.Time { return time.Now().Add(time.Duration(days) * 24 * time.Hour) }
	s.now = opt.Now

	steps := []struct {
		day                               int
		collected, skipped, deleted, left int
		seen, there                       int // in the store and in the box, afterwards
	}{
		{day: 0, collected: n, left: n, seen: n, there: n},
		{day: 2, skipped: n, left: n, seen: n, there: n},
		{day: 4, skipped: n, deleted: n, seen: n, there: 0}, // forgotten when listings have shown that it is gone
		{day: 5},
	}
	for _, step := range steps {
		days = step.day
		r := collect(t, boxes.POP3, opt, s)
		opt.Emptied = r.Emptied
		if r.Collected != step.collected || r.Skipped != step.skipped || r.Deleted != step.deleted || r.Left != step.left {
			t.Errorf("day %d: report %+v, want %+v", step.day, r, step)
		}
		if there := len(boxes.Left("joe")); len(s.seen) != step.seen || there != step.there {
			t.Errorf("day %d: %d remembered, %d in the box, want %+v", step.day, len(s.seen), there, step)
		}
	}
	eachOnce(t, "collected", s.saved, letters())
}

// Dovecot forgets the deletions of a session without QUIT and lists all again.
func TestCollectAfterCut(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	for _, m := range letters() {
		boxes.Deliver("joe", m)
	}
	s := newShelf()
	n := len(letters())
	for len(s.saved) < n {
		cut := min(len(s.saved)+2, n)
		conn := dial(t, boxes.POP3)
		s.after = func(saved int) {
			if saved >= cut {
				_ = conn.Close()
			}
		}
		if _, err := pop3.Collect(t.Context(), conn, plain(), s); err == nil {
			t.Fatalf("cut after %d messages, and no error", cut)
		}
		if there := len(boxes.Left("joe")); there != n {
			t.Fatalf("%d messages in the box after a cut, want all %d", there, n)
		}
	}
	s.after = nil
	if r := collect(t, boxes.POP3, plain(), s); r.Skipped != n || r.Deleted != n {
		t.Errorf("report %+v, want all deleted and none retrieved", r)
	}
	eachOnce(t, "collected", s.saved, letters())
	if left := boxes.Left("joe"); len(left) != 0 {
		t.Errorf("%d messages are still in the box", len(left))
	}
}

func TestCollectWrongPassword(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	boxes.Deliver("joe", letters()[0])
	opt := plain()
	opt.Password = "wr0ng-pass"
	_, err := pop3.Collect(t.Context(), dial(t, boxes.POP3), opt, newShelf())
	var refused *pop3.Error
	if !errors.As(err, &refused) || refused.Code != "AUTH" || refused.Temporary || refused.Hint == "" {
		t.Errorf("%+v, want AUTH, for good, with a hint", err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), opt.Password) {
		t.Error("the error shows the password")
	}
	eachOnce(t, "box", boxes.Left("joe"), letters()[:1])
}

// Somebody else is in the box. Dovecot waits 10 s for them to leave before it says so.
func TestCollectLockedBox(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users(), LockSession: true})
	boxes.Deliver("joe", letters()[0])
	other := dial(t, boxes.POP3)
	words := bufio.NewReader(other)
	for _, command := range []string{"", "USER joe\r\n", "PASS secret\r\n"} {
		if _, err := io.WriteString(other, command); err != nil {
			t.Fatal(err)
		}
		if line, err := words.ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("%q is answered %q, %v", command, line, err)
		}
	}
	s := newShelf()
	_, err := pop3.Collect(t.Context(), dial(t, boxes.POP3), plain(), s)
	var locked *pop3.Error
	if !errors.As(err, &locked) || locked.Code != "IN-USE" || !locked.Temporary {
		t.Errorf("%v, want IN-USE, for now", err)
	}
	if _, err := io.WriteString(other, "QUIT\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(words); err != nil {
		t.Fatal(err)
	}
	if r := collect(t, boxes.POP3, plain(), s); r.Collected != 1 {
		t.Errorf("report %+v, want one message", r)
	}
}

// A message over the limit stays, the others come.
func TestCollectTooBig(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	small, big := letter(1, "small\r\n"), letter(2, text(20_000))
	boxes.Deliver("joe", big)
	boxes.Deliver("joe", small)
	opt := plain()
	opt.MaxBytes = 10_000
	s := newShelf()
	if r := collect(t, boxes.POP3, opt, s); r.Collected != 1 || r.TooBig != 1 {
		t.Errorf("report %+v, want one collected and one too big", r)
	}
	eachOnce(t, "collected", s.saved, [][]byte{small})
	eachOnce(t, "box", boxes.Left("joe"), [][]byte{big})
}

// A large message is shown by its header and first lines, and released later.
func TestCollectHolds(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	small, big := letter(1, "small\r\n"), letter(2, strings.Repeat("\r\n.a dot\r\n", 5_000))
	boxes.Deliver("joe", big)
	boxes.Deliver("joe", small)
	opt, s := plain(), newShelf()
	opt.HoldAbove, opt.Preview = 10_000, 4
	r := collect(t, boxes.POP3, opt, s)
	if r.Collected != 1 || r.Held != 1 || len(s.held) != 1 {
		t.Fatalf("report %+v, held %+v, want one of each", r, s.held)
	}
	header, _, _ := bytes.Cut(big, []byte("\r\n\r\n"))
	if h := s.held[0]; string(h.Top) != string(header)+"\r\n\r\n\r\n.a dot\r\n\r\n.a dot\r\n" || h.Size != int64(len(big)) {
		t.Errorf("shown were %q, %d octets", h.Top, h.Size)
	}
	eachOnce(t, "box", boxes.Left("joe"), [][]byte{big})
	id := s.held[0].Identity
	opt.Known, opt.Held = r.Known, map[string]bool{id: false, "another": false}
	if r = collect(t, boxes.POP3, opt, s); r.Held != 1 || len(s.held) != 1 || !slices.Equal(r.Gone, []string{"another"}) {
		t.Errorf("report %+v, want nothing done", r)
	}
	opt.Held[id] = true
	if r = collect(t, boxes.POP3, opt, s); r.Collected != 1 || r.Deleted != 1 {
		t.Errorf("report %+v, want the large one", r)
	}
	eachOnce(t, "collected", s.saved, [][]byte{small, big})
	// One that nobody wants goes without having come.
	boxes.Deliver("joe", letter(3, text(20_000)))
	opt.Held = nil
	if r = collect(t, boxes.POP3, opt, s); r.Held != 1 || len(s.held) != 2 {
		t.Fatalf("report %+v, want another one held", r)
	}
	opt.Drop = map[string]bool{s.held[1].Identity: true}
	if r = collect(t, boxes.POP3, opt, s); r.Dropped != 1 || r.Deleted != 1 || len(boxes.Left("joe")) > 0 {
		t.Errorf("report %+v, want it dropped", r)
	}
	eachOnce(t, "collected", s.saved, [][]byte{small, big})
}

// All UIDLs change under mail that was left: it doesn't come again, but for the one letter without a Message-ID; and what is new does.
func TestCollectRecognises(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	for _, m := range letters() {
		boxes.Deliver("joe", m)
	}
	n := len(letters())
	opt, s := plain(), newShelf()
	opt.LeaveDays = -1
	if r := collect(t, boxes.POP3, opt, s); r.Left != n {
		t.Fatalf("report %+v, want all left", r)
	}
	before := maps.Clone(s.seen)
	boxes.ChangeUIDLs("joe")
	later := letter(900, "later\r\n")
	boxes.Deliver("joe", later)
	r, err := pop3.Collect(t.Context(), dial(t, boxes.POP3), opt, s)
	if err != nil || r.Renamed != n-1 || r.Collected != 2 || r.Left != n+1 || len(r.Problems) != 1 || len(s.seen) != n+1 {
		t.Fatalf("report %+v, %v", r, err)
	}
	for id := range before {
		if _, same := s.seen[id]; same {
			t.Errorf("%s is as it was: the server changed nothing", id)
		}
	}
	if r := collect(t, boxes.POP3, opt, s); r.Skipped != n+1 || r.Left != n+1 {
		t.Errorf("report %+v, want all as ever", r)
	}
	nameless := slices.IndexFunc(s.saved, func(m []byte) bool { return !bytes.Contains(m, []byte("Message-ID")) })
	eachOnce(t, "collected", slices.Delete(s.saved, nameless, nameless+1), append(letters(), later))
}
