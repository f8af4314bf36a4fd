package main

import (
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"outpost/internal/isp"
	"outpost/queue"
)

// officeServer is a mail server on the office network, speaking LMTP.
type officeServer struct {
	address string

	mu    sync.Mutex
	got   []isp.Received
	tries int // recipients it was asked for
}

func newOfficeServer(t *testing.T) *officeServer {
	t.Helper()
	o := &officeServer{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = l.Addr().String()
	srv := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &officeSession{o: o}, nil }))
	srv.LMTP, srv.Domain = true, "mail.clinic.example"
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-ended })
	return o
}

// table is the [[server]] that it is in the configuration.
func (o *officeServer) table(name string) string {
	host, port, _ := net.SplitHostPort(o.address)
	return "[[server]]\nname = \"" + name + "\"\nkind = \"lmtp\"\nhost = \"" + host + "\"\nport = " + port + "\ntls = \"none\"\n"
}

// recipients are those of the message with that subject, sorted; "": it didn't get that.
func (o *officeServer) recipients(subject string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, m := range o.got {
		if strings.Contains(string(m.Data), "\r\nSubject: "+subject+"\r\n") {
			all = append(all, m.To...)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// asked counts the recipients that it was asked to take.
func (o *officeServer) asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tries
}

type officeSession struct {
	o    *officeServer
	mail isp.Received
}

func (s *officeSession) Reset()        { s.mail = isp.Received{} }
func (s *officeSession) Logout() error { return nil }
func (s *officeSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mail.From = from
	return nil
}

func (s *officeSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.o.mu.Lock()
	s.o.tries++
	s.o.mu.Unlock()
	if strings.HasPrefix(to, "gone@") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "gone is gone"}
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *officeSession) Data(r io.Reader) (err error) {
	if s.mail.Data, err = io.ReadAll(r); err != nil {
		return err
	}
	s.o.mu.Lock()
	defer s.o.mu.Unlock()
	s.o.got = append(s.o.got, s.mail)
	return nil
}

// routed is one message of a box, and where it is found.
type routed struct {
	box, subject, fields string
	at                   string // places
	server               string // recipients on the office's server
	says                 string // in X-Outpost-Route
}

// routedMail is one message for each way from a box to people.
var routedMail = []routed{
	// What the boxes' own tables say.
	{box: "ann", subject: "to a user", at: "ann INBOX", says: `box "ann" is for user ann`},
	{box: "ann2", subject: "from another box to the same user", at: "ann INBOX", says: `box "ann2"`},
	{box: "team", subject: "to many users", at: "ann INBOX, ben INBOX", says: "user ann and user ben"},
	{box: "press", subject: "to a shared folder", at: "ann Shared/news, ben Shared/news", says: "folder news"},
	{box: "staff", subject: "to a list", at: "ann Shared/news, ben INBOX, ben Shared/news, chloe INBOX", says: "list staff"},
	{box: "radio", subject: "to a folder of a mailbox", at: "ben Radio/Net", says: "user ben, folder Radio/Net"},
	{box: "lab", subject: "to an address on a server", server: "lab@lab.example"},
	{box: "dora", subject: "to a user on a server", server: "dora@clinic.example"},
	{box: "gone", subject: "refused by the server", at: "chloe Shared/unrouted", says: "refused it"},
	// A catch-all by each header, the first that has somebody known.
	{box: "all", subject: "by Delivered-To", fields: "Delivered-To: ben@clinic.example\nX-Original-To: ann@clinic.example", at: "ben INBOX", says: "Delivered-To names ben@clinic.example: user ben"},
	{box: "all", subject: "by X-Original-To", fields: "Delivered-To: all@provider.example\nX-Original-To: ben@clinic.example", at: "ben INBOX", says: "X-Original-To names ben@clinic.example"},
	{box: "all", subject: "by Envelope-To", fields: "Envelope-To: chloe@clinic.example, ben@clinic.example", at: "ben INBOX, chloe INBOX", says: "Envelope-To names chloe@clinic.example"},
	{box: "all", subject: "by X-Envelope-To", fields: "X-Envelope-To: <ann@clinic.example>", at: "ann INBOX", says: "X-Envelope-To names ann@clinic.example"},
	{box: "all", subject: "by Received for", fields: "Received: from a.far.example (a.far.example [192.0.2.1])\n\tby mx.provider.example with ESMTP id 1 for <ben@clinic.example>;\n\tWed, 25 Nov 2026 20:00:00 +0000", at: "ben INBOX", says: "Received names ben@clinic.example"},
	{box: "all", subject: "to a shared folder's address", fields: "Delivered-To: news@clinic.example", at: "ann Shared/news, ben Shared/news", says: "folder news"},
	{box: "all", subject: "with a plus", fields: "Delivered-To: ben+radio@clinic.example", at: "ben INBOX", says: "user ben"},
	// What can't be placed.
	{box: "all", subject: "by To alone", fields: "To: ann@clinic.example", at: "chloe Shared/unrouted", says: "no known recipient in Delivered-To, X-Original-To, Envelope-To, X-Envelope-To, Received"},
	{box: "all", subject: "as Bcc", fields: "To: undisclosed recipients:;", at: "chloe Shared/unrouted", says: "no known recipient"},
	{box: "all", subject: "to nobody", fields: "Delivered-To: nobody@clinic.example", at: "chloe Shared/unrouted", says: "Delivered-To names nobody@clinic.example: nobody has this address"},
	{box: "all", subject: "to somebody and nobody", fields: "Delivered-To: ann@clinic.example\nDelivered-To: nobody@clinic.example", at: "ann INBOX, chloe Shared/unrouted", says: "nobody@clinic.example: nobody has this address"},
	// Catch-alls with other keys.
	{box: "cc", subject: "by To as asked", fields: "To: ann@clinic.example\nCc: ben@clinic.example", at: "ann INBOX, ben INBOX", says: "To or Cc names ann@clinic.example"},
	{box: "cc", subject: "to nobody, elsewhere", fields: "To: nobody@clinic.example", at: "chloe Lost", says: "no known recipient"},
	{box: "qmail", subject: "with the provider's prefix", fields: "Delivered-To: mbox-7-ben@clinic.example", at: "ben INBOX", says: "user ben"},
	{box: "domain", subject: "all to a server", fields: "Delivered-To: anybody@branch.example", server: "anybody@branch.example"},
}

var routedBoxes = map[string]string{
	"ann": `deliver_to = ["ann"]`, "ann2": `deliver_to = ["ann"]`, "team": `deliver_to = ["ann", "ben"]`, "press": `deliver_to = ["news"]`,
	"staff": `deliver_to = ["staff"]`, "radio": `deliver_to = ["ben/Radio/Net"]`, "lab": `deliver_to = ["mailhost:lab@lab.example"]`,
	"dora": `deliver_to = ["dora"]`, "gone": `deliver_to = ["mailhost:gone@lab.example"]`,
	"all": "[box.catch_all]\n", "cc": "[box.catch_all]\nto_cc = true\nunknown = [\"chloe/Lost\"]",
	"qmail": "[box.catch_all]\nprefix = \"mbox-7-\"", "domain": "[box.catch_all]\ndomains = [\"branch.example\"]\nserver = \"mailhost\"",
}

// routedOffice is an office with all those boxes, a shared folder, a list and a server.
func routedOffice(t *testing.T, server *officeServer) *rig {
	more := server.table("mailhost") + `
[[user]]
name = "dora"
server = "mailhost"
[[folder]]
name = "news"
addresses = ["news@clinic.example"]
read = ["ann"]
write = ["ben"]
[[list]]
name = "staff"
members = ["ben", "chloe", "news", "partner@far.example"]
`
	var names []string
	for name, keys := range routedBoxes {
		names = append(names, name)
		more += box(name, keys)
	}
	return clinic(t, isp.Options{}, names, "#more", more)
}

// What was collected is where the boxes' tables say, with the reason on it.
func TestDoorsRoutes(t *testing.T) {
	t.Parallel()
	server := newOfficeServer(t)
	r := routedOffice(t, server)
	for _, m := range routedMail {
		r.provider.AddMail(m.box, letterOf(m.subject, m.fields))
	}
	row := r.called()
	if row.Collected != len(routedMail) || len(row.Problems) != 0 {
		t.Errorf("%d collected, %q", row.Collected, row.Problems)
	}
	all := r.everything("ann", "ben", "chloe")
	for _, m := range routedMail {
		got := about(all, m.subject)
		if places(got) != m.at || server.recipients(m.subject) != m.server {
			t.Errorf("%s: it is at %q and on the server for %q, not at %q and %q", m.subject, places(got), server.recipients(m.subject), m.at, m.server)
		}
		for _, f := range got {
			if why := f.header.Get("X-Outpost-Route"); !strings.Contains(why, m.says) {
				t.Errorf("%s: X-Outpost-Route of %s says %q, not %q", m.subject, f.place, why, m.says)
			}
			if len(f.flags) > 0 { // nobody has opened it
				t.Errorf("%s has the flags %v", m.subject, f.flags)
			}
			if to := f.header["Delivered-To"]; to[0] != f.owner+"@gw.clinic.example" {
				t.Errorf("%s: Delivered-To of %s is %q", m.subject, f.place, to)
			}
			if !strings.HasSuffix(string(f.raw), string(letterOf(m.subject, m.fields))) {
				t.Errorf("%s has changed: %q", m.subject, f.raw)
			}
		}
	}
	// The list's member outside got nothing: what was collected stays in the office.
	if n := len(r.provider.Received()); n != 0 {
		t.Errorf("%d messages went out", n)
	}
	for name := range routedBoxes {
		if left := r.provider.Box(name); len(left) != 0 {
			t.Errorf("%d messages are left in box %s", len(left), name)
		}
	}
}

// Colleagues' mail is there without a call, by whatever address; who is outside waits for one.
func TestDoorsColleagues(t *testing.T) {
	t.Parallel()
	server := newOfficeServer(t)
	r := routedOffice(t, server)
	for _, c := range []struct{ subject, to, at, server, out string }{
		{subject: "to a colleague", to: "ben@clinic.example", at: "ben INBOX"},
		{subject: "in capitals", to: "BEN@Clinic.Example", at: "ben INBOX"},
		{subject: "with a detail", to: "ben+radio@clinic.example", at: "ben INBOX"},
		{subject: "to oneself", to: "ann@clinic.example", at: "ann INBOX"},
		{subject: "to the folder", to: "news@clinic.example", at: "ann Shared/news, ben Shared/news"},
		{subject: "to the list", to: "staff@clinic.example", at: "ann Shared/news, ben INBOX, ben Shared/news, chloe INBOX", out: "partner@far.example"},
		{subject: "to the server's user", to: "dora@clinic.example", server: "dora@clinic.example"},
		{subject: "to the postmaster", to: "postmaster@clinic.example", at: "chloe Shared/unrouted"},
		{subject: "outside", to: "x@far.example", out: "x@far.example"},
	} {
		text := letterOf(c.subject, "From: ann@clinic.example\nTo: "+c.to)
		for _, user := range []string{"", "ann"} { // from the trusted network, and signed in inside TLS
			if user == "" {
				r.send("ann@clinic.example", text, c.to)
			} else if err := r.sendAs(user, "ann@clinic.example", text, c.to); err != nil {
				t.Fatal(err)
			}
		}
		r.settled()
		got := about(r.everything("ann", "ben", "chloe"), c.subject)
		twice := func(at string) string { // each came in both ways
			var all []string
			for _, place := range strings.Split(at, ", ") {
				all = append(all, place, place)
			}
			return strings.Trim(strings.Join(all, ", "), ", ")
		}
		if places(got) != twice(c.at) || server.recipients(c.subject) != twice(c.server) {
			t.Errorf("%s: it is at %q and on the server for %q", c.subject, places(got), server.recipients(c.subject))
		}
		for _, f := range got {
			if f.header.Get("Return-Path") != "<ann@clinic.example>" || !strings.Contains(f.header.Get("Received"), "gw.clinic.example") {
				t.Errorf("%s has the header %v", c.subject, f.header)
			}
		}
		waiting, err := r.office.queue.Waiting(queue.Remote)
		if err != nil {
			t.Fatal(err)
		}
		outs := 0
		for _, m := range waiting {
			for _, to := range m.To {
				if to.Where == queue.Remote && to.Addr == c.out {
					outs++
				}
			}
		}
		if c.out != "" && outs != 2 {
			t.Errorf("%s waits %d times for %s", c.subject, outs, c.out)
		}
	}
	if n := r.provider.Counters().Calls; n != 0 {
		t.Errorf("it took %d calls", n)
	}
}

// Who is not of the trusted networks signs in, inside TLS, or hands nothing in.
func TestDoorsStranger(t *testing.T) {
	t.Parallel()
	r := clinic(t, isp.Options{}, nil, `listen = ["127.0.0.1:0"]
[imap]`, "listen = [\"127.0.0.1:0\"]\ntrusted_networks = [\"192.0.2.0/24\"]\n[imap]")
	text := letterOf("hello", "From: ann@clinic.example")
	err := handIn(t.Context(), r.address, letter{from: "ann@clinic.example", to: []string{"ben@clinic.example"}, text: text})
	var refused *smtp.SMTPError
	if !errors.As(err, &refused) || refused.Code != 530 {
		t.Errorf("without a password: %v", err)
	}
	if err := r.sendAs("nobody", "ann@clinic.example", text, "ben@clinic.example"); err == nil {
		t.Error("nobody has signed in")
	}
	if err := r.sendAs("ann", "ann@clinic.example", text, "ben@clinic.example"); err != nil {
		t.Error(err)
	}
	r.settled()
	if all := r.everything("ben"); places(all) != "ben INBOX" {
		t.Errorf("it is at %q", places(all))
	}
}
