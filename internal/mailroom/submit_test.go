package mailroom

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-smtp"

	"outpost/internal/route"
	"outpost/queue"
)

// names writes an envelope in a line: where:addr, with the state unless it waits.
func names(list []queue.Recipient) string {
	var out []string
	for _, r := range list {
		s := string(r.Where) + ":" + r.Addr
		if r.State != queue.Waiting {
			s += "(" + string(r.State) + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// Who an address is: somebody here, somebody outside, or nobody; and who may write to whom.
func TestResolve(t *testing.T) {
	b := book()
	b.Users = append(b.Users, route.User{Name: "pupil", Internal: true})
	b.Lists = []route.List{{Name: "all", Members: []string{"ann", "bob", "friend@far.example"}}}
	opt := with(b)
	opt.Desk = func(local string) (string, bool) { return local, strings.HasPrefix(local, "release+") }
	o := open(t, opt)
	defer o.stop()
	for _, c := range []struct{ user, from, rcpt, want string }{
		{"", "ann@office.example", "bob@office.example", "local:bob"},
		{"", "ann@office.example", "ann+radio@office.example", "local:ann"},
		{"", "ann@office.example", "sales@office.example", "local:ann local:bob"},
		{"", "ann@office.example", "x@far.example", "remote:x@far.example"},
		{"", "ann@office.example", "all@office.example", "local:ann local:bob remote:friend@far.example"},
		{"", "ann@office.example", "release+7@gate.office.example", "local:outpost:release+7"},
		{"", "ann@office.example", "other@gate.office.example", "local:other@gate.office.example(failed)"},
		{"", "ann@office.example", "postmaster@gate.office.example", "local:unrouted"},
		// Who can be told by mail is; who can't hears it at once.
		{"", "ann@office.example", "nobody@office.example", "local:nobody@office.example(failed)"},
		{"ann", "x@shop.example", "nobody@office.example", "local:nobody@office.example(failed)"},
		{"", "stranger@far.example", "nobody@office.example", "550 5.1.1"},
		{"", "", "nobody@office.example", "550 5.1.1"},
		// Rights.
		{"pupil", "pupil@office.example", "ann@office.example", "local:ann"},
		{"pupil", "ann@office.example", "x@far.example", "remote:x@far.example(failed)"},
		{"", "pupil@office.example", "all@office.example", "local:ann local:bob remote:friend@far.example(failed)"},
	} {
		got, err := o.room.Resolve(c.user, c.from, c.rcpt)
		text := names(got)
		var refused *smtp.SMTPError
		if errors.As(err, &refused) {
			text = replyLine(refused)[:len("550 5.1.1")]
		} else if err != nil {
			t.Error(err)
		}
		if text != c.want {
			t.Errorf("%s <%s> to %s: %s, want %s", c.user, c.from, c.rcpt, text, c.want)
		}
	}
}

// Where signing in is asked for, an address alone opens nothing.
func TestSignIn(t *testing.T) {
	opt := staff()
	opt.SignIn = true
	opt.Desk = func(local string) (string, bool) { return local, local == "call" }
	o := open(t, opt)
	defer o.stop()
	for rcpt, needed := range map[string]bool{"bob@office.example": false, "x@far.example": true, "call@gate.office.example": true} {
		for _, user := range []string{"", "ann"} {
			_, err := o.room.Resolve(user, "ann@office.example", rcpt)
			if refused := errors.Is(err, errSignIn); refused != (needed && user == "") {
				t.Errorf("%q to %s: %v", user, rcpt, err)
			}
		}
	}
}

// submit hands a message in and gives what became of its recipients.
func (o *office) submit(m queue.Message, body string) (queue.Message, error) {
	o.t.Helper()
	m.Origin = queue.Submitted
	m, err := o.room.Submit(context.Background(), m, strings.NewReader(body))
	if err != nil || m.ID == "" {
		return m, err
	}
	row, err := o.q.Get(m.ID)
	if err != nil {
		o.t.Fatal(err)
	}
	return row, nil
}

func to(places ...string) []queue.Recipient {
	var list []queue.Recipient
	for _, p := range places {
		r := queue.Recipient{Addr: p, Where: queue.Local, State: queue.Waiting}
		if addr, ok := strings.CutPrefix(p, "out:"); ok {
			r = queue.Recipient{Addr: addr, Where: queue.Remote, State: queue.Waiting}
		}
		list = append(list, r)
	}
	return list
}

// What is too large for somebody: he alone doesn't get it, and the reason says why.
func TestSubmitSizes(t *testing.T) {
	b := book()
	b.Users[0].MaxOut = 5000
	b.Users[1].Quota = 3000
	opt := with(b)
	var largest, hold int64
	opt.Largest = func() int64 { return largest }
	opt.HoldOut = func(user string) int64 {
		if user == "ann" {
			return hold
		}
		return 0
	}
	o := open(t, opt)
	defer o.stop()
	big := letter + strings.Repeat("0123456789abcdef\r\n", 200) // 3.6 kB
	for _, c := range []struct {
		name          string
		from, body    string
		largest, hold int64
		want, reply   string
	}{
		{"small", "ann@office.example", letter, 3000, 3000, "local:ann local:bob remote:x@far.example", ""},
		{"mailbox full", "ann@office.example", big, 0, 0, "local:ann local:bob(failed) remote:x@far.example", "552 5.2.2 The mailbox of bob has no room"},
		{"over the smarthost's SIZE", "ann@office.example", big, 3000, 3000, "local:ann local:bob(failed) remote:x@far.example(failed)", "552 5.3.4 The message has 3645 octets, and the smarthost takes 3000"},
		{"over his own", "ann@office.example", big + big, 0, 3000, "local:ann local:bob(failed) remote:x@far.example(failed)", "ann may send 5000"},
		{"held", "ann@office.example", big, 0, 3000, "local:ann local:bob(failed) remote:x@far.example(held)", "above 3000 the manager decides"},
		{"not his limit", "bob@office.example", big, 0, 3000, "local:ann local:bob(failed) remote:x@far.example", ""},
	} {
		largest, hold = c.largest, c.hold
		m, err := o.submit(queue.Message{From: c.from, To: to("ann", "bob", "out:x@far.example")}, c.body)
		if err != nil || names(m.To) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, names(m.To), err, c.want)
			continue
		}
		var replies []string
		for _, r := range m.To {
			replies = append(replies, r.Reply)
		}
		if got := strings.Join(replies, "; "); !strings.Contains(got, c.reply) {
			t.Errorf("%s: %q, want %q", c.name, got, c.reply)
		}
	}
	// Who has no mailbox here hears it at once, and nothing is kept.
	largest = 3000
	before, _ := o.q.List()
	_, err := o.submit(queue.Message{From: "x@y.example", To: to("ann", "out:x@far.example")}, big)
	var refused *smtp.SMTPError
	if !errors.As(err, &refused) || refused.Code != 552 || refused.EnhancedCode != (smtp.EnhancedCode{5, 3, 4}) || !strings.HasPrefix(refused.Message, "The message has") {
		t.Errorf("a stranger: %v", err)
	}
	if after, _ := o.q.List(); len(after) != len(before) {
		t.Error("it was kept all the same")
	}
}

// Rules change where mail of the staff goes.
func TestSubmitRules(t *testing.T) {
	b := book()
	b.Folders = []route.Folder{{Name: "archive", Read: []string{"*"}}}
	b.Rules = []route.Rule{
		{Name: "secret", Subject: []string{"secret"}, Hold: true, Stop: true},
		{Name: "junk", Subject: []string{"junk"}, Discard: true},
		{Name: "away", Subject: []string{"forward me"}, Forward: []string{"boss@far.example"}},
		{Name: "keep", To: []string{"bob@office.example"}, CopyTo: []string{"archive"}},
		{Name: "file", Subject: []string{"report"}, Folder: "Reports"},
	}
	o := open(t, with(b))
	defer o.stop()
	for subject, want := range map[string]string{
		"x":           "local:bob local:archive remote:x@far.example",
		"report":      "local:bob/Reports local:archive remote:x@far.example",
		"secret":      "local:bob(held) remote:x@far.example(held)",
		"junk":        "remote:x@far.example",
		"forward me.": "local:bob local:archive remote:x@far.example remote:boss@far.example",
	} {
		mail := "From: ann@office.example\r\nTo: bob@office.example\r\nSubject: " + subject + "\r\n\r\nx\r\n"
		m, err := o.submit(queue.Message{From: "ann@office.example", To: to("bob", "out:x@far.example")}, mail)
		got := strings.Fields(names(m.To))
		for _, w := range strings.Fields(want) {
			if !strings.Contains(" "+names(m.To)+" ", " "+w+" ") && !strings.HasPrefix(w, "local:bob/") {
				t.Errorf("%s: %s is missing in %s", subject, w, names(m.To))
			}
		}
		if err != nil || len(got) != len(strings.Fields(want)) {
			t.Errorf("%s: %s, %v; want %s", subject, names(m.To), err, want)
		}
	}
	// An answer to the note about a held message has its subject, and gets through.
	answer := queue.Message{From: "ann@office.example", To: to("bob", "outpost:release+1")}
	if m, err := o.submit(answer, "Subject: Re: Held: secret\r\n\r\nx\r\n"); err != nil || names(m.To) != "local:bob(held) local:outpost:release+1" {
		t.Errorf("an answer: %s, %v", names(m.To), err)
	}
	// Nobody is left: it is taken, and kept nowhere.
	before, _ := o.q.List()
	if _, err := o.submit(queue.Message{From: "ann@office.example", To: to("bob")}, "Subject: junk\r\n\r\nx\r\n"); err != nil {
		t.Error(err)
	}
	if after, _ := o.q.List(); len(after) != len(before) {
		t.Error("what a rule discards was kept")
	}
}

// A message that doesn't come whole is not kept.
func TestSubmitBroken(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	body := io.MultiReader(strings.NewReader(letter), iotest.ErrReader(errors.New("lost")))
	if _, err := o.room.Submit(t.Context(), queue.Message{Origin: queue.Submitted, From: "ann@office.example", To: to("bob")}, body); err == nil {
		t.Error("no error")
	}
	o.wantEmptyQueue()
}

// Mail in a folder of somebody's mailbox is his affair, and in a shared folder that of those who may write there.
func TestHas(t *testing.T) {
	b := book()
	b.Folders = []route.Folder{{Name: "archive", Read: []string{"ann"}, Write: []string{"bob"}}}
	o := open(t, with(b))
	defer o.stop()
	for _, c := range []struct {
		by, place string
		want      bool
	}{
		{"ann", "ann", true}, {"ann", "ann/Filed/Big", true}, {"ann", "bob", false}, {"ann", "bob/ann", false},
		{"bob", "archive", true}, {"bob", "archive/2026", true}, {"ann", "archive", false},
		{"exchange:x@y.example", "exchange:x@y.example", true}, {"exchange:x@y.example", "exchange:z@y.example", false},
		{"", "", false}, {"", "archive", false}, {"ann/Filed", "ann", false},
	} {
		if got := o.room.Has(c.by, c.place); got != c.want {
			t.Errorf("%q, %q: %v", c.by, c.place, got)
		}
	}
}

// A NUL can't leave the office: who is here gets it as it is, and the sender is told of the others.
func TestSubmitNUL(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	both := []queue.Recipient{{Addr: "bob", Where: queue.Local, State: queue.Waiting}, {Addr: "x@far.example", Where: queue.Remote, State: queue.Waiting}}
	text := "Subject: x\r\n\r\na\x00b\r\n"
	m, err := o.room.Submit(t.Context(), queue.Message{Origin: queue.Submitted, From: "ann@office.example", To: both}, strings.NewReader(text))
	if err != nil || names(m.To) != "local:bob remote:x@far.example(failed)" || !strings.HasPrefix(m.To[1].Reply, "554 5.6.1 ") {
		t.Errorf("%s, %+v, %v", names(m.To), m.To, err)
	}
	var refused *smtp.SMTPError
	_, err = o.room.Submit(t.Context(), queue.Message{Origin: queue.Submitted, From: "x@far.example", To: both}, strings.NewReader(text))
	if !errors.As(err, &refused) || refused.Code != 554 {
		t.Errorf("to somebody without a mailbox: %v", err)
	}
	if m, err := o.room.Submit(t.Context(), queue.Message{Origin: queue.Submitted, From: "", To: both[:1]}, strings.NewReader(text)); err != nil || names(m.To) != "local:bob" {
		t.Errorf("within the office: %s, %v", names(m.To), err)
	}
}
