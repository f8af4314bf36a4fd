package main

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"outpost/internal/isp"
)

// One message that comes through several boxes is in each mailbox once.
func TestDoorsCopies(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"one", "two", "three"}, "#more", box("one", `deliver_to = ["ann", "ben"]`)+
		box("two", `deliver_to = ["ann", "chloe"]`)+box("three", `deliver_to = ["ann"]`))
	both := letterOf("in both", "")
	way := func(host string) string {
		return "Received: from far.example by " + host + ".provider.example; Wed, 25 Nov 2026 20:00:00 +0000"
	}
	r.provider.AddMail("one", letterOf("in both", way("a")))
	r.provider.AddMail("two", letterOf("in both", way("b"))) // of the header only the way differs
	r.provider.AddMail("one", letterOf("resembles", ""))
	r.provider.AddMail("two", padded("resembles", "", 100)) // another message, though its Message-ID is the same
	row := r.called()
	if row.Collected != 4 || row.Copies != 0 {
		t.Errorf("%d collected, %d of them copies for nobody", row.Collected, row.Copies)
	}
	r.provider.AddMail("three", both) // in a later call, with nobody left who hasn't got it
	if row := r.called(); row.Collected != 1 || row.Copies != 1 || len(r.provider.Box("three")) != 0 {
		t.Errorf("%d collected, %d of them copies for nobody", row.Collected, row.Copies)
	}
	all := r.everything("ann", "ben", "chloe")
	for subject, want := range map[string]string{
		"in both":   "ann INBOX, ben INBOX, chloe INBOX",
		"resembles": "ann INBOX, ann INBOX, ben INBOX, chloe INBOX",
	} {
		if got := places(about(all, subject)); got != want {
			t.Errorf("%s: it is at %q", subject, got)
		}
	}
}

// What has been here, or on the way for too long, is put where somebody sees it.
func TestDoorsLoops(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann"}, "#more", box("ann", `deliver_to = ["ann"]`))
	hop := "Received: from a.example by b.example; Wed, 25 Nov 2026 20:00:00 +0000\n"
	for _, c := range []struct{ subject, fields, at, says string }{
		{"a provider's mark", "Delivered-To: ann@clinic.example", "ann INBOX", ""},
		{"our mark", "Delivered-To: ben@gw.clinic.example", "chloe Shared/unrouted", "delivered here"},
		{"50 hops", strings.TrimSuffix(strings.Repeat(hop, 50), "\n"), "ann INBOX", ""},
		{"51 hops", strings.TrimSuffix(strings.Repeat(hop, 51), "\n"), "chloe Shared/unrouted", "it has passed 51 servers"},
	} {
		r.provider.AddMail("ann", letterOf(c.subject, c.fields))
		r.called()
		got := about(r.everything("ann", "ben", "chloe"), c.subject)
		if places(got) != c.at || !strings.Contains(got[0].header.Get("X-Outpost-Route"), c.says) {
			t.Errorf("%s: it is at %q", c.subject, places(got))
		}
	}
	// At the door such a thing is refused: whoever sends it is near enough to be told.
	err := handIn(t.Context(), r.address, letter{from: "ann@clinic.example", to: []string{"ben@clinic.example"}, text: letterOf("on and on", strings.TrimSuffix(strings.Repeat(hop, 51), "\n"))})
	if err == nil || !strings.Contains(err.Error(), "goes in circles") {
		t.Errorf("handed in: %v", err)
	}
}

const bookOfRights = `
[[user]]
name = "ida"
password = "HASH"
external = false
[[user]]
name = "max"
password = "HASH"
max_out_bytes = 3000
[[user]]
name = "quin"
password = "HASH"
quota_bytes = 6000
[[folder]]
name = "news"
addresses = ["news@clinic.example"]
read = ["ann"]
write = ["ben"]
`

// What people may not do is not done, and they find out why in their own mailbox.
func TestDoorsRights(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, nil, "#more", strings.ReplaceAll(bookOfRights, "HASH", staffHash()))
	small, large := 0, 4000
	for _, c := range []struct {
		subject, from, to string
		size              int
		at                string // where it arrives
		out               bool   // it waits for a call
		code              string // of the report; "": there is none
		says              string
	}{
		{"inside", "ida", "ann@clinic.example", small, "ann INBOX", false, "", ""},
		{"not outside", "ida", "x@far.example", small, "", false, "5.7.1", "ida may send mail within the office only"},
		{"small enough", "max", "x@far.example", small, "", true, "", ""},
		{"too large to go out", "max", "x@far.example", large, "", false, "5.3.4", "max may send 3000"},
		{"large inside", "max", "ann@clinic.example", large, "ann INBOX", false, "", ""},
		{"there is room", "ann", "quin@clinic.example", large, "quin INBOX", false, "", ""},
		{"there is none", "ann", "quin@clinic.example", large, "", false, "5.2.2", "The mailbox of quin has no room for"},
		{"some is left", "ann", "quin@clinic.example", small, "quin INBOX", false, "", ""},
	} {
		before := len(r.waiting())
		r.send(c.from+"@clinic.example", padded(c.subject, "From: "+c.from+"@clinic.example", c.size), c.to)
		r.settled()
		all := r.everything("ann", "ben", "chloe", "ida", "max", "quin")
		if got := places(about(all, c.subject)); got != c.at {
			t.Errorf("%s: it is at %q, not at %q", c.subject, got, c.at)
		}
		if out := len(r.waiting()) - before; (out == 1) != c.out {
			t.Errorf("%s: %d more wait to go out", c.subject, out)
		}
		told := r.reports(all)[c.subject]
		if c.code == "" {
			if len(told) > 0 {
				t.Errorf("%s: there are reports: %+v", c.subject, told)
			}
			continue
		}
		if len(told) != 1 || told[0].place != c.from+" INBOX" || told[0].action != "failed" || told[0].recipient != c.to ||
			told[0].status != c.code || !strings.Contains(told[0].diagnostic, c.says) {
			t.Errorf("%s: told %+v", c.subject, told)
		}
	}
	// Who has signed in is himself, whatever address he writes under.
	before := len(r.waiting())
	if err := r.sendAs("ida", "ann@clinic.example", letterOf("as ann", "From: ann@clinic.example"), "x@far.example"); err != nil {
		t.Error(err)
	}
	r.settled()
	if told := r.reports(r.everything("ann", "ida"))["as ann"]; len(told) != 1 || told[0].place != "ida INBOX" || told[0].status != "5.7.1" || len(r.waiting()) != before {
		t.Errorf("as ann: told %+v, %d more wait to go out", told, len(r.waiting())-before)
	}
	if n := r.provider.Counters().Calls; n != 0 {
		t.Errorf("it took %d calls", n)
	}
}

// Who may only read a shared folder can change nothing in it by IMAP; who may write can.
func TestDoorsSharedRights(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, nil, "#more", strings.ReplaceAll(bookOfRights, "HASH", staffHash()))
	r.send("ann@clinic.example", letterOf("first", "From: ann@clinic.example"), "news@clinic.example")
	r.settled()
	first := imap.SeqSetNum(1)
	for _, c := range []struct {
		user       string
		sees, able bool
	}{{"ann", true, false}, {"chloe", false, false}, {"ben", true, true}} {
		p := r.signIn(c.user, nil)
		state, err := p.Select("Shared/news", nil).Wait()
		if (err == nil) != c.sees {
			t.Errorf("%s opens it: %v", c.user, err)
		}
		if !c.sees {
			_ = p.Close()
			continue
		}
		if state.NumMessages != 1 {
			t.Errorf("%s sees %d messages", c.user, state.NumMessages)
		}
		seen := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, imap.FlagFlagged}}
		if err := p.Store(first, seen, nil).Close(); (err == nil) != c.able {
			t.Errorf("%s marks: %v", c.user, err)
		}
		text := letterOf("put there", "")
		add := p.Append("Shared/news", int64(len(text)), nil)
		_, _ = add.Write(text)
		_ = add.Close()
		if _, err := add.Wait(); (err == nil) != c.able {
			t.Errorf("%s appends: %v", c.user, err)
		}
		_, err = p.Copy(first, "INBOX").Wait()
		if err != nil {
			t.Errorf("%s takes a copy: %v", c.user, err)
		}
		if _, err = p.Move(first, "INBOX").Wait(); (err == nil) != c.able {
			t.Errorf("%s moves: %v", c.user, err)
		}
		_ = p.Logout().Wait()
		_ = p.Close()
	}
	all := r.everything("ann", "ben")
	if got := places(about(all, "first")); got != "ann INBOX, ben INBOX, ben INBOX" {
		t.Errorf("the first is at %q", got)
	}
	if got := places(about(all, "put there")); got != "ann Shared/news, ben Shared/news" {
		t.Errorf("what was put there is at %q", got)
	}
}

// Outside, people have their addresses at the provider; inside nothing changes.
func TestDoorsIdentity(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann"}, "name = \"ann\"\npassword", "name = \"ann\"\nidentity = \"clinic.ann@provider.example\"\npassword",
		"#more", box("ann", `deliver_to = ["ann"]`))
	text := letterOf("to all", "Date: Wed, 25 Nov 2026 20:00:00 +0000\nFrom: \"Ann, Dr\" <ann@clinic.example>\nReply-To: ann@clinic.example\nTo: x@far.example, ben@clinic.example, Ann <ann@clinic.example>")
	r.send("ann@clinic.example", text, "x@far.example", "ben@clinic.example")
	r.settled()
	if here := r.the(r.everything("ben"), "ben INBOX", "to all"); !strings.HasSuffix(string(here.raw), string(text)) || here.header.Get("Return-Path") != "<ann@clinic.example>" {
		t.Errorf("here it is %q", here.raw)
	}
	r.called()
	sent := r.provider.Received()
	if len(sent) != 1 {
		t.Fatalf("%d went out", len(sent))
	}
	if sent[0].From != "clinic.ann@provider.example" || strings.Join(sent[0].To, ",") != "x@far.example" {
		t.Errorf("it went out from %s to %v", sent[0].From, sent[0].To)
	}
	out := string(sent[0].Data)
	for _, field := range []string{
		"From: \"Ann, Dr\" <clinic.ann@provider.example>\r\n", "Reply-To: clinic.ann@provider.example\r\n",
		"To: x@far.example, ben@clinic.example, Ann <clinic.ann@provider.example>\r\n", "\r\n\r\nThe text of to all.\r\n",
	} {
		if !strings.Contains(out, field) {
			t.Errorf("it went out without %q: %q", field, out)
		}
	}
	// The answer comes into her box.
	r.provider.AddMail("ann", letterOf("Re: to all", "To: clinic.ann@provider.example"))
	r.called()
	r.the(r.everything("ann"), "ann INBOX", "Re: to all")
}
