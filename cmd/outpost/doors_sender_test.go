package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"outpost/internal/isp"
)

// refusing are recipients whom the smarthost won't have.
var refusing = isp.Faults{RejectRecipients: map[string]string{
	"nosuch@far.example": "550 5.1.1 <nosuch@far.example> is unknown here",
	"slow@far.example":   "451 4.7.1 Greylisted, come back later",
}}

// sentBy is a message to outside, or to nobody here, by its subject.
func sentBy(user, subject string) []byte {
	return letterOf(subject, "From: "+user+"@clinic.example")
}

// one is the only report on a subject, which must be in ann's inbox.
func (r *rig) one(subject string) told {
	r.t.Helper()
	list := r.reports(r.everything("ann", "ben", "chloe"))[subject]
	if len(list) != 1 || list[0].place != "ann INBOX" {
		r.t.Fatalf("%s: the reports are %+v", subject, list)
	}
	return list[0]
}

// none says that nobody is told anything of a subject.
func (r *rig) none(subject string) {
	r.t.Helper()
	if list := r.reports(r.everything("ann", "ben", "chloe"))[subject]; len(list) > 0 {
		r.t.Errorf("%s: the reports are %+v", subject, list)
	}
}

// What can't go is told at once where the office knows it by itself, and after the call where the smarthost says so.
func TestDoorsFailures(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{MaxMessageBytes: 20_000, Faults: refusing}, nil)
	const ann = "ann@clinic.example"
	r.send(ann, sentBy("ann", "to nobody"), "nobody@clinic.example", "ben@clinic.example")
	r.settled()
	got := r.one("to nobody")
	if got.action != "failed" || got.status != "5.1.1" || got.recipient != "nobody@clinic.example" || !strings.Contains(got.plain, "nobody@clinic.example") ||
		!strings.Contains(got.returned, "The text of to nobody.") || !strings.Contains(got.to, ann) {
		t.Errorf("to nobody: %+v", got)
	}
	r.the(r.everything("ben"), "ben INBOX", "to nobody") // the other recipient has it

	// Nobody has said yet what the smarthost takes, so this one is found out in the call.
	r.send(ann, padded("large, not known", "From: "+ann, 30_000), "x@far.example")
	r.send(ann, sentBy("ann", "refused"), "nosuch@far.example", "x@far.example")
	r.settled()
	r.none("refused")
	if row := r.called(); row.Sent != 1 || row.Failed != 2 {
		t.Errorf("%d sent, %d failed", row.Sent, row.Failed)
	}
	got = r.one("refused")
	if got.action != "failed" || got.status != "5.1.1" || got.recipient != "nosuch@far.example" || got.diagnostic != "550 5.1.1 <nosuch@far.example> is unknown here" {
		t.Errorf("refused: %+v", got)
	}
	if got = r.one("large, not known"); got.action != "failed" || got.status != "5.3.4" {
		t.Errorf("large, not known: %+v", got)
	}
	calls := r.provider.Counters().Calls
	r.send(ann, padded("large, known", "From: "+ann, 30_000), "x@far.example")
	r.settled()
	if got = r.one("large, known"); got.action != "failed" || got.status != "5.3.4" || !strings.Contains(got.plain, "20000") && !strings.Contains(got.plain, "20 kB") && !strings.Contains(got.diagnostic, "20000") {
		t.Errorf("large, known: %+v", got)
	}
	if n := r.provider.Counters().Calls; n != calls {
		t.Errorf("that took %d calls", n-calls)
	}
	for _, m := range r.provider.Received() {
		if m.From == "" || strings.Contains(string(m.Data), "multipart/report") {
			t.Errorf("a report went out to %v", m.To)
		}
	}
}

// Who waits for long is told once, and once more only when it has failed.
func TestDoorsDelay(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{Faults: refusing}, nil, "#more", "[bounce]\ndelay_calls = 2\n")
	r.send("ann@clinic.example", sentBy("ann", "slow"), "slow@far.example")
	r.called()
	r.none("slow")
	for range 2 {
		r.called()
		got := r.one("slow")
		if got.action != "delayed" || got.status[0] != '4' || got.recipient != "slow@far.example" || !strings.Contains(got.diagnostic, "Greylisted") {
			t.Errorf("%+v", got)
		}
	}
	r.provider.SetFaults(func(f *isp.Faults) { f.RejectRecipients = nil })
	if row := r.called(); row.Sent != 1 {
		t.Errorf("%d sent", row.Sent)
	}
	r.one("slow")
}

// Senders say what they want to be told (RFC 3461), at this door and through a smarthost that can do it or can't.
func TestDoorsNotify(t *testing.T) {
	t.Parallel()
	never, success := []smtp.DSNNotify{smtp.DSNNotifyNever}, []smtp.DSNNotify{smtp.DSNNotifySuccess}
	for _, able := range []bool{false, true} {
		r := clinic(t, isp.Options{Faults: refusing, DSN: able}, nil, "#more", "[bounce]\ndelay_calls = 1\n")
		send := func(subject, to string, notify []smtp.DSNNotify) error {
			return r.sendWith("ann@clinic.example", sentBy("ann", subject), wish{to, notify})
		}
		for _, m := range []struct {
			subject, to string
			notify      []smtp.DSNNotify
		}{
			{"never, refused", "nosuch@far.example", never}, {"never, slow", "slow@far.example", never},
			{"success, refused", "nosuch@far.example", success}, {"success, here", "ben@clinic.example", success},
			{"nothing said, here", "ben@clinic.example", nil}, {"success, outside", "x@far.example", success},
			{"never, outside", "x@far.example", never},
		} {
			if err := send(m.subject, m.to, m.notify); err != nil {
				t.Fatalf("%s: %v", m.subject, err)
			}
		}
		var refused *smtp.SMTPError // who wants no report must hear of it now
		if err := send("never, nobody", "nobody@clinic.example", never); !errors.As(err, &refused) || refused.Code != 550 {
			t.Errorf("never, nobody: %v", err)
		}
		r.called()
		want := map[string]string{"success, here": "delivered ben@clinic.example"}
		if !able {
			want["success, outside"] = "relayed x@far.example" // else the smarthost reports it
		}
		for subject, list := range r.reports(r.everything("ann", "ben", "chloe")) {
			for _, got := range list {
				if got.place != "ann INBOX" || want[subject] != got.action+" "+got.recipient || got.status[0] != '2' {
					t.Errorf("smarthost with DSN %v: %s: told %+v", able, subject, got)
				}
				delete(want, subject)
			}
		}
		if len(want) > 0 {
			t.Errorf("smarthost with DSN %v: nobody was told of %v", able, want)
		}
		for _, m := range r.provider.Received() {
			asked := ""
			for _, subject := range []string{"success, outside", "never, outside"} {
				if strings.Contains(string(m.Data), "Subject: "+subject+"\r\n") {
					asked, _, _ = strings.Cut(strings.ToUpper(subject), ",")
				}
			}
			if able && m.Notify[0] != asked {
				t.Errorf("the smarthost was asked for %q, not %q", m.Notify, asked)
			}
		}
	}
}

// A message without a sender is nobody's to report to, and a report is never reported on.
func TestDoorsNoBounceOfBounces(t *testing.T) {
	t.Parallel()
	server := newOfficeServer(t)
	r := clinic(t, isp.Options{Faults: refusing}, nil, "#more", server.table("mailhost")+
		"[[user]]\nname = \"gus\"\nserver = \"mailhost\"\nserver_address = \"gone@lab.example\"\n")
	r.send("", letterOf("without a sender", ""), "ann@clinic.example")
	r.send("", letterOf("refused, without a sender", ""), "nosuch@far.example")
	r.send("gus@clinic.example", sentBy("gus", "of one without a mailbox"), "nobody@clinic.example")
	var refused *smtp.SMTPError
	for _, from := range []string{"", "somebody@far.example"} { // they would not be told later
		err := handIn(t.Context(), r.address, letter{from: from, to: []string{"nobody@clinic.example"}, text: letterOf("to nobody", "")})
		if !errors.As(err, &refused) || refused.Code != 550 {
			t.Errorf("from <%s> to nobody: %v", from, err)
		}
	}
	r.called()
	all := r.everything("ann", "ben", "chloe")
	if got := r.the(all, "ann INBOX", "without a sender"); got.header.Get("Return-Path") != "<>" {
		t.Errorf("Return-Path is %q", got.header.Get("Return-Path"))
	}
	reports := r.reports(all)
	for _, subject := range []string{"refused, without a sender", "of one without a mailbox"} {
		if list := reports[subject]; len(list) != 1 || list[0].place != "chloe Shared/unrouted" || list[0].action != "failed" {
			t.Errorf("%s: told %+v", subject, list)
		}
		delete(reports, subject)
	}
	if len(reports) > 0 {
		t.Errorf("there are more reports: %+v", reports)
	}
	for _, m := range r.provider.Received() {
		t.Errorf("there went out: %q", m.Data)
	}
}

// Where the postmaster's own mailbox takes nothing, a report ends in the log: another one would end the same way.
func TestDoorsNoBounceToThePostmaster(t *testing.T) {
	t.Parallel()
	server := newOfficeServer(t)
	r := clinic(t, isp.Options{}, nil, "[storage]", "postmaster = \"gus\"\n[storage]", "#more", server.table("mailhost")+
		"[[user]]\nname = \"gus\"\nserver = \"mailhost\"\nserver_address = \"gone@lab.example\"\n")
	r.send("gus@clinic.example", sentBy("gus", "of the postmaster"), "nobody@clinic.example")
	r.settled()
	if all := r.everything("ann", "ben", "chloe"); len(all) > 0 {
		t.Errorf("somebody has %q", places(all))
	}
	if n := server.asked(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}
