package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"golang.org/x/crypto/bcrypt"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
	"outpost/queue"
)

// The doors' tests hand mail in by SMTP, or put it into boxes at the provider and place a call, and look by IMAP
// at what people find.

// staffPassword is everybody's, at every door.
const staffPassword = "a staff password"

var staffHash = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte(staffPassword), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(hash)
})

// clinic is an office with ann, ben and chloe, who is the manager, and a provider with boxes. edits of the
// configuration are old, new pairs, in which "#more" stands for further tables.
func clinic(t *testing.T, provider isp.Options, boxes []string, edits ...string) *rig {
	t.Helper()
	provider.TLS, provider.Boxes = isp.TLSNone, make(map[string]isp.Box)
	for _, name := range boxes {
		provider.Boxes[name] = isp.Box{Password: demoPassword}
	}
	r := newRig(t, provider, modemtest.Options{})
	return r.open(clinicConfiguration(edits...))
}

func clinicConfiguration(edits ...string) string {
	text := `[office]
name = "gw.clinic.example"
domains = ["clinic.example"]
[storage]
dir = "data"
[smtp]
listen = ["127.0.0.1:0"]
[imap]
listen = ["127.0.0.1:0"]
[hold]
manager = "chloe"
[[user]]
name = "ann"
password = "HASH"
[[user]]
name = "ben"
password = "HASH"
[[user]]
name = "chloe"
password = "HASH"
[smarthost]
host = "smtp.provider.example"
tls = "none"
[[line]]
name = "landline"
port = "simulated"
number = "5551234"
user = "clinic"
password = "DEMO"
[line.tariff]
currency = "EUR"
per_minute = "0.60"
unit_seconds = 10
#more
`
	return strings.NewReplacer("HASH", staffHash(), "DEMO", demoPassword).Replace(strings.NewReplacer(edits...).Replace(text))
}

// box is a [[box]] of that name with some keys.
func box(name, keys string) string {
	return fmt.Sprintf("[[box]]\nname = %[1]q\nhost = \"pop.provider.example\"\nuser = %[1]q\npassword = \"DEMO\"\n"+
		"tls = \"none\"\nallow_plain_password = true\n%[2]s\n", name, keys)
}

// letterOf is a small message with that subject, which its Message-ID has too; fields stand on top, without the last line's end.
func letterOf(subject, fields string) []byte {
	if fields != "" {
		fields = strings.ReplaceAll(fields, "\n", "\r\n") + "\r\n"
	}
	if !strings.Contains("\n"+fields, "\nFrom:") {
		fields += "From: Somebody <somebody@far.example>\r\n"
	}
	return fmt.Appendf(nil, "%sSubject: %s\r\nMessage-ID: <%s@far.example>\r\n\r\nThe text of %s.\r\n",
		fields, subject, strings.ReplaceAll(subject, " ", "."), subject)
}

// trust is what knows the office's certificate.
func (r *rig) trust() *tls.Config {
	r.t.Helper()
	leaf, err := x509.ParseCertificate(r.office.tls.Certificates[0].Certificate[0])
	if err != nil {
		r.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{RootCAs: pool, ServerName: r.office.cfg.Office.Name, MinVersion: tls.VersionTLS12}
}

// send hands a message in from the office network, without a password.
func (r *rig) send(from string, text []byte, to ...string) {
	r.t.Helper()
	if err := handIn(r.t.Context(), r.address, letter{from: from, to: to, text: text}); err != nil {
		r.t.Fatalf("from %s to %v: %v", from, to, err)
	}
}

// sendAs hands a message in as one does who has signed in.
func (r *rig) sendAs(user, from string, text []byte, to ...string) error {
	r.t.Helper()
	c, err := smtp.DialStartTLS(r.address, r.trust())
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewPlainClient("", user, staffPassword)); err != nil {
		return err
	}
	return c.SendMail(from, to, bytes.NewReader(text))
}

// wish is a recipient with what the sender wants to be told of him (RFC 3461).
type wish struct {
	to     string
	notify []smtp.DSNNotify
}

// sendWith hands a message in whose sender asks for reports, or for none.
func (r *rig) sendWith(from string, text []byte, to ...wish) error {
	r.t.Helper()
	c, err := smtp.Dial(r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail(from, nil); err != nil {
		return err
	}
	for _, w := range to {
		if err := c.Rcpt(w.to, &smtp.RcptOptions{Notify: w.notify}); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// programme is somebody's mail program.
type programme struct {
	*imapclient.Client
	t    *testing.T
	user string
}

// signIn begins in the clear, switches TLS on, and signs in.
func (r *rig) signIn(user string, handler *imapclient.UnilateralDataHandler) programme {
	r.t.Helper()
	c, err := imapclient.DialStartTLS(r.imap, &imapclient.Options{TLSConfig: r.trust(), UnilateralDataHandler: handler})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Login(user, staffPassword).Wait(); err != nil {
		_ = c.Close()
		r.t.Fatalf("%s can't sign in: %v", user, err)
	}
	return programme{c, r.t, user}
}

// found is a message as a mail program shows it.
type found struct {
	place  string // "ann INBOX"
	owner  string // whose Maildir it is in: ann's, or a shared folder's
	uid    imap.UID
	flags  []imap.Flag
	raw    []byte
	header netmail.Header
	body   string
}

// folders lists what can be opened.
func (p programme) folders() (names []string) {
	p.t.Helper()
	list, err := p.List("", "*", nil).Collect()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, l := range list {
		if !slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) && !slices.Contains(l.Attrs, imap.MailboxAttrNonExistent) {
			names = append(names, l.Mailbox)
		}
	}
	return names
}

// read gives all messages of a folder, and marks none as seen.
func (p programme) read(folder string) (list []found) {
	p.t.Helper()
	state, err := p.Select(folder, nil).Wait()
	if err != nil {
		p.t.Fatalf("%s opens %s: %v", p.user, folder, err)
	}
	if state.NumMessages == 0 {
		return nil
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	all, err := p.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, m := range all {
		f := found{place: p.user + " " + folder, owner: p.user, uid: m.UID, flags: m.Flags, raw: m.FindBodySection(whole)}
		if shared, ok := strings.CutPrefix(folder, "Shared/"); ok {
			f.owner, _, _ = strings.Cut(shared, "/")
		}
		parsed, err := netmail.ReadMessage(bytes.NewReader(f.raw))
		if err != nil {
			p.t.Fatalf("%s: %v\n%s", f.place, err, f.raw)
		}
		body, _ := io.ReadAll(parsed.Body)
		f.header, f.body = parsed.Header, string(body)
		list = append(list, f)
	}
	return list
}

// everything is what a user has, in all folders.
func (r *rig) everything(users ...string) (list []found) {
	r.t.Helper()
	for _, user := range users {
		p := r.signIn(user, nil)
		for _, folder := range p.folders() {
			list = append(list, p.read(folder)...)
		}
		_ = p.Logout().Wait()
		_ = p.Close()
	}
	return list
}

// about are the messages with that subject.
func about(list []found, subject string) (some []found) {
	for _, f := range list {
		if f.header.Get("Subject") == subject {
			some = append(some, f)
		}
	}
	return some
}

// places are where messages are, sorted, with commas.
func places(list []found) string {
	var names []string
	for _, f := range list {
		names = append(names, f.place)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// the is the one message with that subject in a place; the test ends without it.
func (r *rig) the(list []found, place, subject string) found {
	r.t.Helper()
	some := about(list, subject)
	for _, f := range some {
		if f.place == place {
			return f
		}
	}
	r.t.Fatalf("%q is not at %q but at %q", subject, place, places(some))
	return found{}
}

// settled waits until the office has nothing left to do by itself: deliver, report, note.
func (r *rig) settled() {
	r.t.Helper()
	r.until("all is delivered and told", func() bool {
		list, err := r.office.queue.List()
		if err != nil {
			return false
		}
		for _, m := range list {
			if m.Waits(queue.Local) || r.office.notices.Due(m) {
				return false
			}
		}
		return true
	})
}

// called places a call that must go well.
func (r *rig) called() (row queue.Call) {
	r.t.Helper()
	row, err := r.call()
	if err != nil || row.Error != "" {
		r.t.Fatalf("the call: %v, %s", err, row.Error)
	}
	r.settled()
	return row
}
