package main

import (
	"maps"
	"strings"
	"testing"

	"outpost/internal/isp"
)

// padded is letterOf with some more text.
func padded(subject, fields string, octets int) []byte {
	return append(letterOf(subject, fields), strings.Repeat("More of it.\r\n", octets/13)...)
}

// Each condition of a rule, on what was collected, and on what isn't like it.
func TestDoorsRuleConditions(t *testing.T) {
	t.Parallel()
	rules := ""
	for _, rule := range [][2]string{
		{"Box", `box = ["second"]`}, {"From", `from = ["@shop.example"]`}, {"To", `to = ["sales@clinic.example"]`},
		{"Subject", `subject = ["invoice*due"]`}, {"List", `list_id = ["gophers.example"]`}, {"Header", `header = ["X-Flag: yes"]`},
		{"Large", `larger_than_bytes = 5000`}, {"Small", "smaller_than_bytes = 400\nsubject = [\"tiny\"]"},
		{"Collected", "origin = \"collected\"\nsubject = [\"whence\"]"}, {"Office", "origin = \"office\"\nsubject = [\"whence\"]"},
	} {
		rules += "[[rule]]\nname = \"to " + rule[0] + "\"\n" + rule[1] + "\nfolder = \"" + rule[0] + "\"\nstop = true\n"
	}
	r := clinic(t, isp.Options{}, []string{"first", "second"},
		"#more", box("first", `deliver_to = ["ann"]`)+box("second", `deliver_to = ["ann"]`)+rules)
	cases := []struct {
		box     string // "": ben hands it in
		subject string
		fields  string
		size    int
		at      string
		says    string
	}{
		{box: "second", subject: "any", at: "Box", says: `rule 1 "to Box" (box second): into folder Box`},
		{box: "first", subject: "of a shop", fields: "From: Shop <hello@Shop.example>", at: "From", says: "into folder From"},
		{box: "first", subject: "of another shop", fields: "From: hello@workshop.example", at: "INBOX"},
		{box: "first", subject: "by the envelope's sender", fields: "Return-Path: <bounce@shop.example>", at: "From"},
		{box: "first", subject: "to sales", fields: "To: \"S, A\" <x@far.example>, Sales <SALES@clinic.example>", at: "To"},
		{box: "first", subject: "Invoice 12 is due", at: "Subject"},
		{box: "first", subject: "an invoice that is due", at: "INBOX"},
		{box: "first", subject: "of a list", fields: "List-Id: Those who like it <gophers.example>", at: "List"},
		{box: "first", subject: "flagged", fields: "X-Flag: YES", at: "Header"},
		{box: "first", subject: "not flagged", fields: "X-Flag: no", at: "INBOX"},
		{box: "first", subject: "large", size: 6000, at: "Large"},
		{box: "first", subject: "tiny", at: "Small"},
		{box: "first", subject: "tiny, it says", size: 1000, at: "INBOX"},
		{box: "first", subject: "whence, from afar", at: "Collected"},
		{subject: "whence, from here", at: "Office", says: `rule 10 "to Office" (office, subject contains whence)`},
		{subject: "from here", at: "INBOX"},
	}
	for _, c := range cases {
		text := padded(c.subject, c.fields, c.size)
		if c.box == "" {
			r.send("ben@clinic.example", text, "ann@clinic.example")
		} else {
			r.provider.AddMail(c.box, text)
		}
	}
	r.called()
	all := r.everything("ann", "ben", "chloe")
	for _, c := range cases {
		got := about(all, c.subject)
		if places(got) != "ann "+c.at {
			t.Errorf("%s: it is at %q, not at %q", c.subject, places(got), c.at)
			continue
		}
		if why := got[0].header.Get("X-Outpost-Route"); !strings.Contains(why, c.says) {
			t.Errorf("%s: the reason is %q", c.subject, why)
		}
	}
}

// Each action of a rule, on what was collected and on what staff hand in.
func TestDoorsRuleActions(t *testing.T) {
	t.Parallel()
	rules := ""
	for _, rule := range []string{
		"name = \"deliver\"\nsubject = [\"deliver\"]\ndeliver_to = [\"ben\"]",
		"name = \"copy\"\nsubject = [\"copy\"]\ncopy_to = [\"ben/Copies\"]",
		"name = \"file\"\nsubject = [\"file\"]\nfolder = \"Filed/Here\"",
		"name = \"discard\"\nsubject = [\"discard\"]\ndiscard = true",
		"name = \"copied first\"\nsubject = [\"twice\"]\ncopy_to = [\"ben\"]",
		"name = \"then discarded\"\nsubject = [\"twice\"]\ndiscard = true",
		"name = \"the last\"\nsubject = [\"stopped\"]\ncopy_to = [\"ben\"]\nstop = true",
		"name = \"too late\"\nsubject = [\"stopped\"]\ndiscard = true",
		"name = \"pass on\"\nsubject = [\"forward\"]\nforward = [\"boss@far.example\"]",
	} {
		rules += "[[rule]]\n" + rule + "\n"
	}
	r := clinic(t, isp.Options{}, []string{"first"}, "#more", box("first", `deliver_to = ["ann"]`)+rules)
	cases := []struct{ subject, at string }{
		{"deliver", "ben INBOX"},
		{"copy", "ann INBOX, ben Copies"},
		{"file", "ann Filed/Here"},
		{"discard", ""},
		{"twice", "ben INBOX"},
		{"stopped", "ann INBOX, ben INBOX"},
		{"forward", "ann INBOX"},
		{"nothing of it", "ann INBOX"},
	}
	for _, c := range cases {
		r.provider.AddMail("first", letterOf(c.subject+", collected", "Return-Path: <somebody@far.example>"))
		r.send("chloe@clinic.example", letterOf(c.subject+", of staff", "From: chloe@clinic.example"), "ann@clinic.example")
	}
	row := r.called()
	if want := map[string]int{"discard": 1}; !maps.Equal(row.Discarded, want) {
		t.Errorf("the call's row counts %v as discarded, not %v", row.Discarded, want)
	}
	if row.Collected != len(cases) || row.Deleted != len(cases) || len(r.provider.Box("first")) != 0 {
		t.Errorf("%d collected, %d deleted, %d left", row.Collected, row.Deleted, len(r.provider.Box("first")))
	}
	all := r.everything("ann", "ben", "chloe")
	for _, c := range cases {
		for _, origin := range []string{", collected", ", of staff"} {
			if got := places(about(all, c.subject+origin)); got != c.at {
				t.Errorf("%s%s: it is at %q, not at %q", c.subject, origin, got, c.at)
			}
		}
	}
	wentOut(t, r)
}

// wentOut looks at what TestDoorsRuleActions forwards, and at what becomes of it should it come back.
func wentOut(t *testing.T, r *rig) {
	t.Helper()
	// Somebody forwarded the collected one's sender could not know of: the office's postmaster answers for it, and a mark
	// shows that it was here. What staff send is theirs.
	var back []byte
	seen := map[string]int{}
	for _, m := range r.provider.Received() {
		text := string(m.Data)
		collected := strings.Contains(text, "Subject: forward, collected\r\n")
		switch {
		case len(m.To) != 1 || m.To[0] != "boss@far.example":
			t.Errorf("to %v went %q", m.To, text)
		case collected:
			seen["collected"]++
			back = m.Data
			if m.From != "postmaster@clinic.example" || !strings.HasPrefix(text, "Delivered-To: unrouted@gw.clinic.example\r\n") {
				t.Errorf("forwarded from %q: %q", m.From, text)
			}
		default:
			seen["of staff"]++
			if m.From != "chloe@clinic.example" || !strings.Contains(text, "Subject: forward, of staff\r\n") {
				t.Errorf("forwarded from %q: %q", m.From, text)
			}
		}
	}
	if !maps.Equal(seen, map[string]int{"collected": 1, "of staff": 1}) {
		t.Errorf("went out: %v", seen)
	}
	r.provider.AddMail("first", back)
	if row := r.called(); row.Collected != 1 || row.Sent != 0 {
		t.Errorf("%d collected, %d sent", row.Collected, row.Sent)
	}
	all := r.everything("ann", "ben", "chloe")
	if why := r.the(all, "chloe Shared/unrouted", "forward, collected").header.Get("X-Outpost-Route"); !strings.Contains(why, "it goes in circles") {
		t.Errorf("it came back, and the reason is %q", why)
	}
	if n := len(r.provider.Received()); n != 2 {
		t.Errorf("the smarthost has %d messages now", n)
	}
}
