package mailroom

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/internal/route"
	"outpost/queue"
	"outpost/spool"
)

// What came from a box: who gets it, by what envelope, and what makes its copies one.
func TestSort(t *testing.T) {
	b := book()
	b.Folders = []route.Folder{{Name: "news", Read: []string{"*"}}}
	b.Boxes = append(b.Boxes, route.Box{Name: "news-box", To: []string{"news"}})
	b.Rules = []route.Rule{
		{Name: "junk", Subject: []string{"junk"}, Discard: true},
		{Name: "wait", Subject: []string{"wait"}, Hold: true},
		{Name: "on", Subject: []string{"urgent"}, Forward: []string{"ann@phone.example"}},
	}
	opt := with(b)
	opt.HoldOut = func(string) int64 { return 1000 }
	o := open(t, opt)
	defer o.stop()
	mail := func(subject string) string {
		return "Return-Path: <x@far.example>\r\nMessage-ID: <1@far.example>\r\nSubject: " + subject + "\r\n\r\nbody\r\n"
	}
	for _, c := range []struct{ box, body, want, from, discard string }{
		{"ann-box", mail("x"), "local:ann", "x@far.example", ""},
		{"both", mail("x"), "local:ann local:bob", "x@far.example", ""},
		{"news-box", mail("x"), "local:news", "x@far.example", ""},
		{"new-box", mail("x"), "local:unrouted", "x@far.example", ""},
		{"ann-box", mail("junk"), "", "x@far.example", "junk"},
		{"ann-box", mail("wait"), "local:ann(held)", "x@far.example", ""},
		{"ann-box", mail("urgent"), "local:ann remote:ann@phone.example", "x@far.example", ""},
		{"ann-box", "Return-Path: <\"john doe\"@far.example>\r\n\r\n", "local:ann", `"john doe"@far.example`, ""},
		{"ann-box", "Return-Path: <\"x> y\"@far.example>\r\n\r\n", "local:ann", `"x> y"@far.example`, ""},
		{"ann-box", "Return-Path: <x@\u008d>\r\n\r\n", "local:ann", "", ""},
		{"ann-box", mail("urgent") + strings.Repeat("x", 1000), "local:ann remote:ann@phone.example(held)", "x@far.example", ""},
		{"ann-box", "\x00\xff", "local:ann", "", ""},
		{"ann-box", "", "local:ann", "", ""},
	} {
		m, discard, err := o.room.Sort(c.box, strings.NewReader(c.body), int64(len(c.body)))
		if err != nil || names(m.To) != c.want || m.From != c.from || discard != c.discard || m.Origin != queue.Collected {
			t.Errorf("%s, %.60q: %s from %q, discarded by %q, %v; want %s", c.box, c.body, names(m.To), m.From, discard, err, c.want)
		}
		if m.Route == "" {
			t.Errorf("%s, %.60q: no reason is given", c.box, c.body)
		}
		if _, err := o.q.Add(t.Context(), m, strings.NewReader(c.body)); err != nil && discard == "" {
			t.Errorf("%s, %.60q: the queue won't have it: %v", c.box, c.body, err)
		}
	}
}

// Copies have Message-ID, content and what their author wrote in common, whatever was done to their headers on the way. A message with the same
// Message-ID and text is not always one: alarms have another date, and a stranger who sends before another what that one will, another sender.
func TestCopies(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	of := func(mail string) string {
		m, _, err := o.room.Sort("ann-box", strings.NewReader(mail), int64(len(mail)))
		if err != nil {
			t.Fatal(err)
		}
		return m.Copies
	}
	long := "X-Long: " + strings.Repeat("y", 70_000) + "\r\n"
	first := of("From: x@x\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n")
	for name, c := range map[string]struct {
		mail string
		same bool
	}{
		"another header": {"Received: from y\r\nDate: Mon\r\nMessage-ID:\r\n\t<1@x>\r\nSubject: a\r\n b\r\nFrom: x@x\r\n\r\nbody\r\n", true},
		"a long field":   {long + "From: x@x\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n", true},
		"another body":   {"From: x@x\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody!\r\n", false},
		"another id":     {"From: x@x\r\nMessage-ID: <2@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n", false},
		"another date":   {"From: x@x\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Tue\r\n\r\nbody\r\n", false},
		"another sender": {"From: y@y\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n", false},
		"another reply":  {"From: x@x\r\nReply-To: y@y\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n", false},
		"another kind":   {"From: x@x\r\nContent-Type: text/html\r\nMessage-ID: <1@x>\r\nSubject: a b\r\nDate: Mon\r\n\r\nbody\r\n", false},
	} {
		if got := of(c.mail); (got == first) != c.same || got == "" {
			t.Errorf("%s: %q beside %q", name, got, first)
		}
	}
	if got := of("Subject: a\r\n\r\nbody\r\n"); got != "" {
		t.Errorf("without a Message-ID: %q", got)
	}
}

// What leaves the office: under the addresses of the provider; and what a rule forwards with a mark that is known when it comes
// back.
func TestOutward(t *testing.T) {
	b := book()
	b.Users[0].Identity = "ann.lee@provider.example"
	b.Rules = []route.Rule{{Name: "on", Forward: []string{"x@phone.example"}}}
	o := open(t, with(b))
	defer o.stop()
	see := func(m queue.Message, body string) (from, text string) {
		look, err := o.room.Outward(m, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		made, err := io.ReadAll(look.Content(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(made)) != int64(len(body))+look.Grows {
			t.Errorf("it has grown by %d octets, not %d", len(made)-len(body), look.Grows)
		}
		return look.From, string(made)
	}
	from, text := see(queue.Message{Origin: queue.Submitted, From: "ann@office.example"}, "From: Ann <ann@office.example>\r\nCc: bob@office.example\r\n\r\nann@office.example\r\n")
	if from != "ann.lee@provider.example" || text != "From: Ann <ann.lee@provider.example>\r\nCc: bob@office.example\r\n\r\nann@office.example\r\n" {
		t.Errorf("%q, %q", from, text)
	}
	mail := "Message-ID: <1@x>\r\nSubject: a\r\n\r\nbody\r\n"
	m, _, err := o.room.Sort("ann-box", strings.NewReader(mail), int64(len(mail)))
	if err != nil || names(m.To) != "local:ann remote:x@phone.example" {
		t.Fatalf("%s, %v", names(m.To), err)
	}
	_, text = see(m, mail)
	again, _, err := o.room.Sort("ann-box", strings.NewReader(text), int64(len(text)))
	if err != nil || names(again.To) != "local:unrouted" || !strings.Contains(again.Route, "goes in circles") {
		t.Errorf("a loop goes to %s (%s), %v", names(again.To), again.Route, err)
	}
	// Without identities nothing is read.
	plain := open(t, staff())
	defer plain.stop()
	look, err := plain.room.Outward(queue.Message{Origin: queue.Submitted, From: "ann@office.example"}, nil)
	if err != nil || look.From != "ann@office.example" || look.Grows != 0 {
		t.Errorf("%+v, %v", look, err)
	}
}

// A report that a rule forwards goes out from nobody, or the report of its own failure would be forwarded, and so on without end.
func TestOutwardReports(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	for header, nobody := range map[string]bool{
		"Subject: a\r\n": false,
		"Return-Path: <x@far.example>\r\nAuto-Submitted: no\r\n": false,
		"Return-Path: <>\r\n":                                 true,
		"Content-Type: Multipart/Report; boundary=x\r\n":      true,
		"Auto-Submitted: auto-replied\r\n":                    true,
		"From: Mail Delivery <MAILER-DAEMON@far.example>\r\n": true,
	} {
		look, err := o.room.Outward(queue.Message{Origin: queue.Collected}, strings.NewReader(header+"\r\nbody\r\n"))
		if err != nil || (look.From == "") != nobody {
			t.Errorf("%q goes out from %q, %v", header, look.From, err)
		}
	}
}

// Forwarded mail leaves without the Return-Path of its delivery, wherever that ends.
func TestForwardedReturnPath(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	for body, want := range map[string]string{
		"Return-Path: <x@y.example>\r\nSubject: a\r\n\r\nb\r\n":         "Subject: a\r\n\r\nb\r\n",
		"return-path:\r\n <x@y.example>\r\nSubject: a\r\n\r\nb\r\n":     "Subject: a\r\n\r\nb\r\n",
		"Subject: a\r\nReturn-Path: <x@y.example>\r\n\r\nb\r\n":         "Subject: a\r\nReturn-Path: <x@y.example>\r\n\r\nb\r\n",
		"Return-Path: <" + strings.Repeat("x", 5000) + ">\r\n\r\nb\r\n": "Return-Path: <" + strings.Repeat("x", 5000) + ">\r\n\r\nb\r\n",
		"Return-Path: <x>\r\n": "Return-Path: <x>\r\n",
		"":                     "",
	} {
		look, err := o.room.Outward(queue.Message{Origin: queue.Collected}, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(look.Content(strings.NewReader(body)))
		mark, rest, _ := strings.Cut(string(text), "\r\n")
		if err != nil || rest != want || !strings.HasPrefix(mark, "Delivered-To: ") || int64(len(text)) != int64(len(body))+look.Grows {
			t.Errorf("%.60q: %.80q, grown by %d, %v", body, text, look.Grows, err)
		}
	}
}

// Which messages nobody has read yet.
func TestUnread(t *testing.T) {
	o := open(t, staff())
	defer o.stop()
	ids := make(map[spool.ID]bool)
	deliver := func(to ...string) spool.ID {
		m := o.add(to...)
		if err := o.room.Deliver(t.Context(), m.ID); err != nil {
			t.Fatal(err)
		}
		ids[m.ID] = true
		return m.ID
	}
	fresh, read, filed, deleted, byOne := deliver("ann"), deliver("ann"), deliver("ann"), deliver("ann"), deliver("ann", "bob")
	waiting := o.add("ann")
	ids[waiting.ID] = true
	move := func(user string, id spool.ID, to string) {
		root := filepath.Join(o.opt.MailDir, user)
		for _, f := range o.files(user) {
			if strings.Contains(f, string(id)) {
				mustMkdir(t, filepath.Join(root, to))
				mustRename(t, filepath.Join(root, f), filepath.Join(root, to, filepath.Base(f)+":2,S"))
			}
		}
	}
	move("ann", read, "cur/")
	move("ann", filed, ".Archive/cur/")
	move("ann", byOne, "cur/")
	for _, f := range o.files("ann") {
		if strings.Contains(f, string(deleted)) {
			if err := os.Remove(filepath.Join(o.opt.MailDir, "ann", f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := o.room.Unread(ids)
	if err != nil || !got[fresh] || got[read] || got[filed] || got[deleted] || !got[byOne] || !got[waiting.ID] {
		t.Errorf("%v, %v", got, err)
	}
}

// An answer to a notice is an errand for the desk, in the name of who sent it; one that fails is done again.
func TestErrand(t *testing.T) {
	opt := staff()
	var done []string
	fail := true
	opt.Errand = func(_ context.Context, errand, by string) error {
		if fail {
			return errors.New("full disk")
		}
		done = append(done, by+" "+errand)
		return nil
	}
	o := open(t, opt)
	defer o.stop()
	m := o.addMessage(queue.Message{Origin: queue.Submitted, From: "ann@office.example", To: to("outpost:release+7")}, letter)
	stranger := o.addMessage(queue.Message{Origin: queue.Submitted, From: "x@far.example", To: to("outpost:release+8")}, letter)
	if err := o.room.Deliver(t.Context(), m.ID); err == nil {
		t.Error("a failure is passed over")
	}
	fail = false
	// It holds up nobody's mail, not even that of what can't be placed.
	if err := o.room.Deliver(t.Context(), o.add("unrouted").ID); err != nil {
		t.Error(err)
	}
	o.wantFiles("unrouted", 1)
	o.room.worked(deskPrefix + "release+7")
	o.room.worked(messageKey(m.ID))
	for _, id := range []spool.ID{m.ID, stranger.ID} {
		if err := o.room.Deliver(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if len(done) != 1 || done[0] != "ann release+7" {
		t.Errorf("%q", done)
	}
	o.wantEmptyQueue()
}
