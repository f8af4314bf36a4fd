package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"outpost/internal/isp"
	"outpost/queue"
)

// collectedBefore closes the office, notes messages of a box as collected so many days ago, and opens it again.
func (r *rig) collectedBefore(days int, box string, uidls ...string) {
	r.t.Helper()
	text := r.text
	r.close()
	q, err := queue.Open(filepath.Join(r.dir, "data"), queue.Options{Now: func() time.Time { return time.Now().AddDate(0, 0, -days) }})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := q.MarkSeen(r.t.Context(), box+"@pop.provider.example", uidls); err != nil {
		r.t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open(text)
}

// atProvider are the subjects of what a box has.
func (r *rig) atProvider(box string) string {
	var all []string
	for _, m := range r.provider.Box(box) {
		_, subject, _ := strings.Cut("\r\n"+string(m.Data), "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		all = append(all, subject)
	}
	return strings.Join(all, ", ")
}

// open marks what a mail program shows as read.
func (r *rig) reads(user, subject string) {
	r.t.Helper()
	p := r.signIn(user, nil)
	defer p.Close()
	for _, f := range p.read("INBOX") {
		if f.header.Get("Subject") != subject {
			continue
		}
		whole := []*imap.FetchItemBodySection{{}} // without Peek: shown to a person
		if _, err := p.Fetch(imap.UIDSetNum(f.uid), &imap.FetchOptions{BodySection: whole}).Collect(); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := p.Logout().Wait(); err != nil {
		r.t.Fatal(err)
	}
}

// What was collected stays at the provider as long as each box says, and is collected once.
func TestDoorsLeave(t *testing.T) {
	t.Parallel()
	boxes := []string{"never", "always", "days", "read"}
	more := ""
	for _, name := range boxes {
		keys := "deliver_to = [\"ann\"]\nleave = \"" + name + "\"\n"
		switch name {
		case "days":
			keys += "leave_days = 7\n"
		case "read":
			keys = strings.Replace(keys, `["ann"]`, `["ann", "ben"]`, 1)
		}
		more += box(name, keys)
	}
	r := clinic(t, isp.Options{}, boxes, "#more", more)
	var old []string
	for _, name := range boxes {
		for _, n := range []string{" one", " two"} {
			old = append(old, r.provider.AddMail(name, letterOf(name+n, "")))
		}
	}
	r.collectedBefore(8, "days", old[4]) // "days one", a week and a day ago
	step := func(what string, collected, deleted int, left ...string) {
		t.Helper()
		if row := r.called(); row.Collected != collected || row.Deleted != deleted || len(row.Problems) > 0 {
			t.Errorf("%s: %d collected, %d deleted, %q", what, row.Collected, row.Deleted, row.Problems)
		}
		for i, name := range boxes {
			if got := r.atProvider(name); got != left[i] {
				t.Errorf("%s: box %s has %q, not %q", what, name, got, left[i])
			}
		}
	}
	const always, days = "always one, always two", "days two"
	step("the first call", 7, 3, "", always, days, "read one, read two")
	step("nothing is read", 0, 0, "", always, days, "read one, read two")
	r.reads("ann", "read one")
	step("ben hasn't read it", 0, 0, "", always, days, "read one, read two")
	r.reads("ben", "read one")
	step("both have", 0, 1, "", always, days, "read two")
	all := r.everything("ann", "ben")
	for subject, at := range map[string]string{
		"never one": "ann INBOX", "always two": "ann INBOX", "days one": "", "days two": "ann INBOX", "read one": "ann INBOX, ben INBOX", "read two": "ann INBOX, ben INBOX",
	} {
		if got := places(about(all, subject)); got != at {
			t.Errorf("%s: it is at %q", subject, got)
		}
	}
}

// A provider that names all mail anew doesn't make it come again, and somebody hears of it.
func TestDoorsChangedUIDLs(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann"}, "#more", box("ann", "deliver_to = [\"ann\"]\nleave = \"always\"\n"))
	for _, subject := range []string{"one", "two", "three", "four"} {
		r.provider.AddMail("ann", letterOf(subject, ""))
	}
	r.called()
	r.provider.ChangeUIDLs("ann", nil)
	r.provider.AddMail("ann", letterOf("new", ""))
	row := r.called()
	if row.Collected != 1 || len(row.Problems) != 1 || !strings.Contains(row.Problems[0], "changed the identification (UIDL) of 4 messages") {
		t.Errorf("%d collected, %q", row.Collected, row.Problems)
	}
	if row := r.called(); row.Collected != 0 || len(row.Problems) != 0 {
		t.Errorf("%d collected, %q", row.Collected, row.Problems)
	}
	if all := r.everything("ann"); len(all) != 5 || len(r.provider.Box("ann")) != 5 {
		t.Errorf("ann has %q", places(all))
	}
	if told := places(about(r.everything("chloe"), "Box ann was numbered anew")); told != "chloe INBOX" {
		t.Errorf("the manager was told at %q", told)
	}
}

// Who looks at a folder sees new mail within a second of its commit.
func TestDoorsIdle(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann", "news"}, "#more", box("ann", `deliver_to = ["ann"]`)+box("news", `deliver_to = ["news", "ann/Filed"]`)+
		"[[folder]]\nname = \"news\"\nread = [\"ann\"]\n")
	r.provider.AddMail("news", letterOf("the first", ""))
	r.called() // so that the folders are there
	for _, c := range []struct {
		folder string
		come   func()
	}{
		{"INBOX", func() { r.send("ben@clinic.example", letterOf("from ben", ""), "ann@clinic.example") }},
		{"INBOX", func() { r.provider.AddMail("ann", letterOf("from afar", "")) }},
		{"Shared/news", func() { r.provider.AddMail("news", letterOf("shared", "")) }},
		{"Filed", func() { r.provider.AddMail("news", letterOf("filed", "")) }},
	} {
		came := make(chan uint32, 8)
		p := r.signIn("ann", &imapclient.UnilateralDataHandler{Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				came <- *m.NumMessages
			}
		}})
		state, err := p.Select(c.folder, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		idle, err := p.Idle()
		if err != nil {
			t.Fatal(err)
		}
		added := r.office.queue.Arrivals(queue.Local)
		c.come()
		called := make(chan struct{})
		go func() {
			defer close(called)
			if r.office.queue.Arrivals(queue.Local) == added { // it is still at the provider
				_, _ = r.call()
			}
		}()
		r.until("it is committed", func() bool { return r.office.queue.Arrivals(queue.Local) != added })
		committed := time.Now()
		select {
		case n := <-came:
			if n != state.NumMessages+1 {
				t.Errorf("%s: %d messages after %d", c.folder, n, state.NumMessages)
			}
			t.Logf("%s: seen after %s", c.folder, time.Since(committed))
		case <-time.After(time.Second):
			t.Errorf("%s: nothing is seen within a second", c.folder)
		}
		<-called
		if err := idle.Close(); err != nil {
			t.Error(err)
		}
		_ = p.Logout().Wait()
		_ = p.Close()
		r.settled()
	}
}
