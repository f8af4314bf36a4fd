package main

import (
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"time"

	"outpost/internal/control"
	"outpost/internal/isp"
	"outpost/queue"
)

// around is a key for hours of the day, which begin and end so long from now.
func around(from, to time.Duration) string {
	now := time.Now().UTC()
	return fmt.Sprintf("from = %q\nto = %q\n", now.Add(from).Format("15:04"), now.Add(to).Format("15:04"))
}

// dear makes this hour dearer than others, by a known line.
func dear() []string {
	return []string{
		"[line.tariff]", "rate_bps = 33600\n[line.tariff]",
		"unit_seconds = 10\n", "unit_seconds = 10\n[[line.tariff.band]]\n" + around(-2*time.Hour, 2*time.Hour) + "per_minute = \"1.20\"\n[schedule]\ntime_zone = \"UTC\"\n",
	}
}

// note is the one note in a place on a message with that subject, as it is read.
func (r *rig) note(place, subject string) (f found, text string) {
	r.t.Helper()
	var notes []found
	for _, one := range r.everything("ann", "ben", "chloe") {
		if one.place == place && strings.HasPrefix(one.header.Get("Subject"), "Held, ") && strings.HasSuffix(one.header.Get("Subject"), ": "+subject) {
			notes = append(notes, one)
		}
	}
	if len(notes) != 1 {
		r.t.Fatalf("%d notes on %q at %s", len(notes), subject, place)
	}
	plain, err := io.ReadAll(quotedprintable.NewReader(strings.NewReader(notes[0].body)))
	if err != nil {
		r.t.Fatal(err)
	}
	return notes[0], strings.ReplaceAll(string(plain), "\r\n", "\n")
}

// answer replies to a note as a mail program does: to its Reply-To, with its subject and some text.
func (r *rig) answer(user string, note found) {
	r.t.Helper()
	to := strings.Trim(note.header.Get("Reply-To"), "<>")
	text := letterOf("Re: "+note.header.Get("Subject"), "From: "+user+"@clinic.example\nTo: "+to+"\nIn-Reply-To: "+note.header.Get("Message-ID"))
	if err := r.sendAs(user, user+"@clinic.example", text, to); err != nil {
		r.t.Fatalf("%s answers %s: %v", user, to, err)
	}
	r.settled()
}

// desk is what the gateway answered somebody about a held message.
func (r *rig) desk(user string) (texts []string) {
	r.t.Helper()
	for _, f := range r.everything(user) {
		if strings.HasPrefix(f.header.Get("Subject"), "Re: held message ") {
			texts = append(texts, f.body)
		}
	}
	return texts
}

// In a catch-all box the header says whose big mail need not wait: it comes in the same call.
func TestDoorsHoldCatchAll(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"all"}, "manager = \"chloe\"\n", "manager = \"chloe\"\nin_above_bytes = 5000\n",
		"name = \"ben\"\n", "name = \"ben\"\nhold_in_above_bytes = 0\n", "#more", box("all", "[box.catch_all]\n"))
	for _, name := range []string{"ann", "ben"} {
		r.provider.AddMail("all", padded("for "+name, "X-Original-To: "+name+"@clinic.example", 20_000))
	}
	if row := r.called(); row.Collected != 1 || row.Held != 1 || row.Deleted != 1 || len(row.Problems) != 0 {
		t.Errorf("%d collected, %d held, %d deleted, %q", row.Collected, row.Held, row.Deleted, row.Problems)
	}
	all := r.everything("ann", "ben")
	if got := places(about(all, "for ben")); got != "ben INBOX" {
		t.Errorf("ben's is at %q", got)
	}
	r.note("ann INBOX", "for ann")
}

// Big mail stays at the provider, and who it is for finds a note, and decides.
func TestDoorsHoldIn(t *testing.T) {
	t.Parallel()
	keys := "deliver_to = [\"ann\"]\nhold_above_bytes = 5000\n"
	r := clinic(t, isp.Options{}, []string{"ann", "old"}, append(dear(), "#more", box("ann", keys)+box("old", keys+"hold_expire_days = 1\n"))...)
	r.provider.AddMail("ann", letterOf("small", ""))
	for _, subject := range []string{"wanted", "unwanted", "undecided"} {
		r.provider.AddMail("ann", padded(subject, "From: Far Away <far@far.example>", 20_000))
	}
	r.provider.AddMail("old", padded("not long", "", 20_000))
	forTooLong := padded("for too long", "", 20_000)
	r.expired("old", r.provider.AddMail("old", forTooLong), len(forTooLong))
	tomorrow := func() string { return time.Now().AddDate(0, 0, 1).Format("2 January 2006") }
	expires := tomorrow()
	if row := r.called(); row.Collected != 1 || row.Held != 4 || row.Deleted != 2 {
		t.Errorf("%d collected, %d held, %d deleted", row.Collected, row.Held, row.Deleted)
	}
	wanted, text := r.note("ann INBOX", "wanted")
	for _, says := range []string{
		"From:    Far Away <far@far.example>", "Subject: wanted", "Size:    20 kB", "on the line landline: 0.20 EUR now, 0.10 EUR off peak",
		"outpost held release " + r.heldAs("wanted"), "Nobody deletes it", "The text of wanted.",
	} {
		if !strings.Contains(strings.ReplaceAll(text, "\n", " "), says) {
			t.Errorf("the note doesn't say %q:\n%s", says, text)
		}
	}
	if _, text := r.note("ann INBOX", "not long"); !strings.Contains(text, expires) && !strings.Contains(text, tomorrow()) {
		t.Errorf("the note doesn't say when it expires:\n%s", text)
	}

	r.answer("ben", wanted) // it isn't his
	if said := r.desk("ben"); len(said) != 1 || !strings.Contains(said[0], "was not let go") {
		t.Errorf("ben was told %q", said)
	}
	if row := r.called(); row.Collected != 0 || row.Deleted != 0 || row.Held != 0 {
		t.Errorf("unasked: %+v", row)
	}
	r.answer("ann", wanted)
	if said := r.desk("ann"); len(said) != 1 || !strings.Contains(said[0], "comes with the next call") {
		t.Errorf("ann was told %q", said)
	}
	client := control.NewClient(r.office.cfg.Storage.Socket)
	if _, err := client.Decide(t.Context(), r.heldAs("unwanted"), false); err != nil {
		t.Error(err)
	}
	// What is decided waits for no decision, and what was released is expected.
	if s, err := client.Status(t.Context()); err != nil || s.Held != 2 || s.Decided != 2 || s.Forecast.In < 20_000 {
		t.Errorf("%d held, %d decided, %d octets expected, %v", s.Held, s.Decided, s.Forecast.In, err)
	}
	if row := r.called(); row.Collected != 1 || row.Deleted != 2 || row.Held != 0 {
		t.Errorf("%d collected, %d deleted, %d held", row.Collected, row.Deleted, row.Held)
	}
	all := r.everything("ann", "ben", "chloe")
	for subject, at := range map[string]string{"small": "ann INBOX", "wanted": "ann INBOX", "unwanted": "", "undecided": "", "not long": "", "for too long": ""} {
		if got := places(about(all, subject)); got != at {
			t.Errorf("%s: it is at %q", subject, got)
		}
	}
	r.note("ann INBOX", "undecided") // still one
	left := append(r.provider.Box("ann"), r.provider.Box("old")...)
	if len(left) != 2 || !strings.Contains(string(left[0].Data), "undecided") || !strings.Contains(string(left[1].Data), "not long") {
		t.Errorf("the provider has %d messages", len(left))
	}
	r.called() // which shows that what was deleted is gone
	held, err := client.Held(t.Context())
	if err != nil || len(held) != 2 {
		t.Errorf("%+v are held, %v", held, err)
	}
}

// expired enters a message of a box as one that has been held for two days.
func (r *rig) expired(box, uidl string, size int) {
	r.t.Helper()
	h := queue.Hold{Box: box + "@pop.provider.example", UIDL: uidl, Size: int64(size), Since: time.Now().AddDate(0, 0, -2), To: []string{"ann"}}
	h.ID = queue.HoldID(h.Box, h.UIDL)
	note := queue.Message{Origin: queue.Notice, To: []queue.Recipient{{Addr: "ann", Where: queue.Local}}}
	if _, err := r.office.queue.AddWith(r.t.Context(), note, strings.NewReader("Subject: a note of then\r\n\r\n"), queue.WithHold(h)); err != nil {
		r.t.Fatal(err)
	}
	// Calls have seen it wait.
	then := time.Now().AddDate(0, 0, -1)
	if _, err := r.office.queue.BeginCall(r.t.Context(), queue.Call{Line: "landline", Begun: then, Ended: then}); err != nil {
		r.t.Fatal(err)
	}
}

// heldAs is the ID of a held message, as `outpost held` shows it.
func (r *rig) heldAs(subject string) string {
	r.t.Helper()
	list, err := control.NewClient(r.office.cfg.Storage.Socket).Held(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range list {
		if h.Subject == subject {
			return h.ID
		}
	}
	r.t.Fatalf("nothing with the subject %q is held: %+v", subject, list)
	return ""
}

// What is big waits here before it goes out, and the manager decides; what is for colleagues doesn't wait.
func TestDoorsHoldOut(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, nil, "[hold]\n", "[hold]\nout_above_bytes = 5000\n")
	const ann = "ann@clinic.example"
	for _, subject := range []string{"let go", "refused", "undecided"} {
		r.send(ann, padded(subject, "From: "+ann, 20_000), "x@far.example", "ben@clinic.example")
	}
	r.send("chloe@clinic.example", padded("the manager's", "From: chloe@clinic.example", 20_000), "x@far.example")
	r.send(ann, letterOf("small", "From: "+ann), "x@far.example")
	if row := r.called(); row.Sent != 1 {
		t.Errorf("%d sent", row.Sent)
	}
	all := r.everything("ben")
	for _, subject := range []string{"let go", "refused", "undecided"} {
		r.the(all, "ben INBOX", subject)
	}
	note, text := r.note("chloe INBOX", "let go")
	for _, says := range []string{"From:    ann@clinic.example", "To:      x@far.example", "Size:    20 kB", "Why:     it has 2", "outpost held refuse " + r.heldAs("let go")} {
		if !strings.Contains(text, says) {
			t.Errorf("the note doesn't say %q:\n%s", says, text)
		}
	}
	own, _ := r.note("ann INBOX", "let go") // she is told as well, and it isn't hers to decide
	r.answer("ann", own)
	if said := r.desk("ann"); len(said) != 1 || !strings.Contains(said[0], "was not let go") {
		t.Errorf("ann was told %q", said)
	}
	if row := r.called(); row.Sent != 0 {
		t.Errorf("%d sent", row.Sent)
	}
	r.answer("chloe", note)
	if _, err := control.NewClient(r.office.cfg.Storage.Socket).Decide(t.Context(), r.heldAs("refused"), false); err != nil {
		t.Error(err)
	}
	if row := r.called(); row.Sent != 1 {
		t.Errorf("%d sent", row.Sent)
	}
	var went []string
	for _, m := range r.provider.Received() {
		parsed := string(m.Data)
		_, subject, _ := strings.Cut(parsed, "\r\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		went = append(went, subject)
	}
	if got := strings.Join(went, ", "); got != "small, let go" {
		t.Errorf("there went out: %s", got)
	}
	if got := r.one("refused"); got.action != "failed" || got.status != "5.7.1" || got.recipient != "x@far.example" || !strings.Contains(got.diagnostic, "the manager did not let it go") {
		t.Errorf("refused: %+v", got)
	}
	r.none("undecided")
	r.heldAs("undecided")
	r.heldAs("the manager's")
}

// Hours have limits of their own.
func TestDoorsHoldHours(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann"}, "[hold]\n", "[hold]\nin_above_bytes = 100\nout_above_bytes = 100\n", "#more",
		box("ann", "deliver_to = [\"ann\"]")+"[schedule]\ntime_zone = \"UTC\"\n"+
			"[[hold.hours]]\n"+around(2*time.Hour, 4*time.Hour)+"in_above_bytes = 50\nout_above_bytes = 50\n"+
			"[[hold.hours]]\n"+around(-2*time.Hour, 2*time.Hour)+"in_above_bytes = 5000\nout_above_bytes = 0\n")
	r.provider.AddMail("ann", padded("of this hour", "", 2000))
	r.provider.AddMail("ann", padded("too large at any hour", "", 20_000))
	r.send("ann@clinic.example", padded("out", "From: ann@clinic.example", 20_000), "x@far.example")
	if row := r.called(); row.Collected != 1 || row.Held != 1 || row.Sent != 1 {
		t.Errorf("%d collected, %d held, %d sent", row.Collected, row.Held, row.Sent)
	}
	all := r.everything("ann")
	r.the(all, "ann INBOX", "of this hour")
	r.note("ann INBOX", "too large at any hour")
}

// What a rule holds is in the office already, and the manager says whether people get it.
func TestDoorsHoldByRule(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"ann"}, "#more", box("ann", `deliver_to = ["ann"]`)+
		"[[rule]]\nname = \"look first\"\nsubject = [\"doubtful\"]\nhold = true\n")
	r.provider.AddMail("ann", letterOf("doubtful, let go", ""))
	r.provider.AddMail("ann", letterOf("doubtful, refused", ""))
	r.send("ben@clinic.example", letterOf("doubtful, of ben", "From: ben@clinic.example"), "ann@clinic.example", "x@far.example")
	if row := r.called(); row.Collected != 2 || row.Sent != 0 {
		t.Errorf("%d collected, %d sent", row.Collected, row.Sent)
	}
	for _, f := range r.everything("ann") {
		t.Errorf("ann has %q", f.raw)
	}
	for _, subject := range []string{"doubtful, let go", "doubtful, of ben"} {
		note, text := r.note("chloe INBOX", subject)
		if !strings.Contains(text, `rule "look first" holds it`) {
			t.Errorf("the note says %s", text)
		}
		r.answer("chloe", note)
	}
	said, err := control.NewClient(r.office.cfg.Storage.Socket).Decide(t.Context(), r.heldAs("doubtful, refused"), false)
	if err != nil || !strings.Contains(said, "Nobody gets the message") {
		t.Errorf("refused: %s, %v", said, err)
	}
	if row := r.called(); row.Sent != 1 {
		t.Errorf("%d sent", row.Sent)
	}
	all := r.everything("ann")
	if got := places(about(all, "doubtful, let go")) + "; " + places(about(all, "doubtful, of ben")); got != "ann INBOX; ann INBOX" {
		t.Errorf("they are at %s", got)
	}
	// Nobody gets what was refused, and its sender is not written to.
	if got := places(about(r.everything("ann", "ben", "chloe"), "doubtful, refused")); got != "" || len(r.provider.Received()) != 1 {
		t.Errorf("what was refused is at %q, and %d went out", got, len(r.provider.Received()))
	}
}

// Who gets a note decides, also where the mail goes to a folder of his, or one that he shares.
func TestDoorsHoldWhose(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, []string{"filed", "shared"}, "[hold]\n", "[hold]\nin_above_bytes = 5000\n", "#more",
		box("filed", `deliver_to = ["ann/Filed/Big"]`)+box("shared", `deliver_to = ["news"]`)+
			"[[folder]]\nname = \"news\"\nread = [\"ann\"]\nwrite = [\"ben\"]\n")
	r.provider.AddMail("filed", padded("filed", "", 20_000))
	r.provider.AddMail("shared", padded("shared", "", 20_000))
	if row := r.called(); row.Held != 2 {
		t.Errorf("%d held", row.Held)
	}
	for _, c := range []struct{ place, subject, other, user string }{
		{"ann Filed/Big", "filed", "ben", "ann"}, {"ben Shared/news", "shared", "ann", "ben"}, // ann may only read there
	} {
		note, _ := r.note(c.place, c.subject)
		r.answer(c.other, note)
		if said := r.desk(c.other); !strings.Contains(said[len(said)-1], "was not let go") {
			t.Errorf("%s was told %q", c.other, said)
		}
		r.answer(c.user, note)
		if said := r.desk(c.user); !strings.Contains(said[len(said)-1], "comes with the next call") {
			t.Errorf("%s was told %q", c.user, said)
		}
	}
	if row := r.called(); row.Collected != 2 {
		t.Errorf("%d collected", row.Collected)
	}
}

// Where several people share the folder that the manager's notes come to, each of them decides.
func TestDoorsHoldManagers(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, nil, "[storage]", "postmaster = \"desk\"\n[storage]", "manager = \"chloe\"", "out_above_bytes = 5000",
		"#more", "[[folder]]\nname = \"desk\"\nwrite = [\"ben\", \"chloe\"]\n")
	r.send("ann@clinic.example", padded("big", "From: ann@clinic.example", 20_000), "x@far.example")
	r.settled()
	note, _ := r.note("ben Shared/desk", "big")
	r.answer("ann", note)
	if row := r.called(); row.Sent != 0 {
		t.Error("ann let it go")
	}
	r.answer("ben", note)
	if row := r.called(); row.Sent != 1 {
		t.Errorf("ben was told %q", r.desk("ben"))
	}
}
