package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"outpost/internal/isp"
	"outpost/internal/users"
	"outpost/modem/modemtest"
)

// specimen is one message of those that are sent through a whole office, to be compared octet
// for octet with what comes out. How it gets through is for the two tests of this file:
// collected, from a box to a mail program, and submitted, from a mail program to a colleague's
// and to the smarthost.
type specimen struct {
	name string // for a person
	text []byte // lines end in LF or CRLF
	// from is its envelope sender; "<>" is the null one, and "" one of its own, made of its number.
	from string
	utf8 bool // it needs SMTPUTF8
	data bool // handed in by DATA; else by BDAT
	// refused is how the door's answer begins where it doesn't take it; "": it does.
	refused string
}

// crlf gives a message as it is on the wire, and as IMAP shows it: CRLF for LF, all else, a lone CR
// too, as it is; and an end for a last line that has none.
func (s specimen) crlf() []byte {
	text := bytes.ReplaceAll(bytes.ReplaceAll(s.text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, "\r\n"...)
	}
	return text
}

// strict is what SMTP makes of it: there is no CR or LF but in CRLF (RFC 5321 §2.3.8). See smtpd's lines.
func (s specimen) strict() []byte {
	text := s.crlf()
	if bytes.Count(text, []byte("\r")) == bytes.Count(text, []byte("\n")) {
		return text
	}
	text = regexp.MustCompile(`\r+\n`).ReplaceAll(text, []byte("\n"))
	text = regexp.MustCompile(`\r\r+`).ReplaceAll(text, []byte("\n\n"))
	text = regexp.MustCompile(`[\r\n]`).ReplaceAll(text, []byte("\r\n"))
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, "\r\n"...)
	}
	return text
}

// sender is its envelope sender, by which it is known again, as its own mail says nothing of the sort for sure.
func (s specimen) sender(i int) string {
	switch s.from {
	case "<>":
		return ""
	case "":
		return fmt.Sprintf("s%d@sender.example", i)
	}
	return s.from
}

// station is an office without a modem: its line is loopback, at the other end the pretended provider.
type station struct {
	*rig
	password string
}

// roomy is over 50 MB, with base64, and under all limits that openStation sets unless it is told others.
const roomy = 75 << 20

// openStation opens an office whose boxes hold the specimens, ann's and ben's in turn. limit is the largest message that
// door and boxes take.
func openStation(t *testing.T, in []specimen, limit int64) *station {
	t.Helper()
	boxes := map[string]isp.Box{"ann": {Password: demoPassword}, "ben": {Password: demoPassword}}
	for i, s := range in {
		name := []string{"ann", "ben"}[i%2]
		b := boxes[name]
		b.Messages = append(b.Messages, s.crlf())
		boxes[name] = b
	}
	st := &station{rig: newRig(t, isp.Options{TLS: isp.TLSNone, Boxes: boxes, MaxMessageBytes: roomy, StoreBytes: 1 << 30}, modemtest.Options{}), password: "secret"}
	st.logFrom = slog.LevelWarn
	services, err := st.provider.ServeLoopback()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = services.Close() })
	hash, err := users.Hash(st.password)
	if err != nil {
		t.Fatal(err)
	}
	server := func(port uint16) string {
		host, number, _ := net.SplitHostPort(services.Addr(port))
		return fmt.Sprintf("host = %q\nport = %s", host, number)
	}
	st.open(st.configuration(isp.TLSNone,
		`host = "smtp.provider.example"`, server(25),
		`host = "pop.provider.example"`, server(110)+fmt.Sprintf("\nmax_message_bytes = %d", limit),
		"[smtp]\n", fmt.Sprintf("[smtp]\nmax_message_bytes = %d\n", limit),
		`name = "ann"`+"\naddresses", fmt.Sprintf("name = \"ann\"\npassword = %q\naddresses", hash),
		`name = "ben"`+"\naddresses", fmt.Sprintf("name = \"ben\"\npassword = %q\naddresses", hash),
		`port = "simulated"`, `kind = "net"`, `number = "5551234"`, "", fmt.Sprintf("user = \"clinic\"\npassword = %q\n[line.tariff]", demoPassword), "[line.tariff]",
	))
	return st
}

// show fetches all messages of a user's inbox by IMAP, one after the other.
func (st *station) show(user string, each func(text []byte)) {
	st.t.Helper()
	conn, err := net.Dial("tcp", st.imap)
	if err != nil {
		st.t.Fatal(err)
	}
	c, err := imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		st.t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(user, st.password).Wait(); err != nil {
		st.t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		st.t.Fatal(err)
	}
	all := imap.SeqSet{}
	all.AddRange(1, 0)
	fetch := c.Fetch(all, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	for msg := fetch.Next(); msg != nil; msg = fetch.Next() {
		for item := msg.Next(); item != nil; item = msg.Next() {
			if body, ok := item.(imapclient.FetchItemDataBodySection); ok {
				text, err := io.ReadAll(body.Literal)
				if err != nil {
					st.t.Fatal(err)
				}
				each(text)
			}
		}
	}
	if err := fetch.Close(); err != nil {
		st.t.Fatal(err)
	}
}

// submitter speaks SMTP by hand: what a library sends is not always what it was given.
type submitter struct {
	t  *testing.T
	in *bufio.Reader
	w  *bufio.Writer
}

func (st *station) submitter() *submitter {
	st.t.Helper()
	conn, err := net.Dial("tcp", st.address)
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { _ = conn.Close() })
	s := &submitter{t: st.t, in: bufio.NewReader(conn), w: bufio.NewWriterSize(conn, 64<<10)}
	s.answer()
	fmt.Fprintf(s.w, "EHLO program.clinic.example\r\n")
	s.answer()
	return s
}

// answer reads a reply, and gives its last line.
func (s *submitter) answer() string {
	if err := s.w.Flush(); err != nil {
		return err.Error()
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return err.Error()
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSpace(line)
		}
	}
}

// send hands a message in and gives the first answer that isn't what it should be, or the last one.
func (s *submitter) send(m specimen, from string, to ...string) string {
	words := ""
	if m.utf8 {
		words = " SMTPUTF8"
	}
	fmt.Fprintf(s.w, "MAIL FROM:<%s> BODY=8BITMIME%s\r\n", from, words)
	said := s.answer()
	for _, rcpt := range to {
		if said[0] == '2' {
			fmt.Fprintf(s.w, "RCPT TO:<%s>\r\n", rcpt)
			said = s.answer()
		}
	}
	if said[0] != '2' {
		fmt.Fprintf(s.w, "RSET\r\n")
		s.answer()
		return said
	}
	text := m.crlf()
	if !m.data {
		fmt.Fprintf(s.w, "BDAT %d LAST\r\n", len(text))
		_, _ = s.w.Write(text)
		return s.answer()
	}
	fmt.Fprintf(s.w, "DATA\r\n")
	if said := s.answer(); said[0] != '3' {
		return said
	}
	if bytes.HasPrefix(text, []byte(".")) {
		_ = s.w.WriteByte('.')
	}
	_, _ = s.w.Write(bytes.ReplaceAll(text, []byte("\n."), []byte("\n..")))
	_, _ = s.w.WriteString(".\r\n")
	return s.answer()
}

// field cuts a field of the name off the top of a message; "" if it doesn't begin with one.
func field(text []byte, name string) (value string, rest []byte) {
	if !bytes.HasPrefix(text, []byte(name+":")) {
		return "", text
	}
	end := 0
	for {
		n := bytes.IndexByte(text[end:], '\n')
		if n < 0 {
			return string(text), nil
		}
		if end += n + 1; end == len(text) || text[end] != ' ' && text[end] != '\t' {
			return strings.TrimSpace(string(text[len(name)+1 : end])), text[end:]
		}
	}
}

// withoutTop takes off what final delivery puts on top: see mailroom. handedIn tells that a message didn't come from a box,
// and so has the Return-Path for sure and one more Received.
func withoutTop(text []byte, handedIn bool) (returnPath string, rest []byte, err error) {
	returnPath, rest = field(text, "Return-Path")
	for _, f := range []struct {
		name string
		must bool
	}{{"Delivered-To", true}, {"X-Outpost-Route", !handedIn}, {"Received", handedIn}} {
		if f.name == "Received" && !handedIn {
			continue
		}
		var value string
		if value, rest = field(rest, f.name); value == "" && f.must {
			return "", nil, fmt.Errorf("no %s on top", f.name)
		}
	}
	return returnPath, rest, nil
}

// differ says where two texts part; "" if they don't.
func differ(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	return fmt.Sprintf("%d octets instead of %d, from the %dth on %.60q instead of %.60q", len(got), len(want), n+1, got[n:], want[n:])
}

// differStamped is differ but for the fields that a submission must have (RFC 6409 §8.2, §8.3), where they are missing: they come at
// the end of the header, with the blank line that they need where that has no end.
func differStamped(got, want []byte) string {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	if bytes.Equal(got, want) {
		return ""
	}
	n = bytes.LastIndexByte(got[:n], '\n') + 1
	if n == 0 && regexp.MustCompile(`^(>*From |[!-9;-~]+[ \t]*:)`).Match(want) {
		return differ(got, want) // it has a header, so nothing is to be put before it
	}
	tail := got[n:]
	for _, name := range []string{"Date", "Message-ID"} {
		if !hasField(want[:n], name) {
			_, tail = field(tail, name)
		}
	}
	if !bytes.HasPrefix(want[n:], []byte("\r\n")) {
		tail = bytes.TrimPrefix(tail, []byte("\r\n"))
	}
	return differ(append(got[:n:n], tail...), want)
}

func hasField(header []byte, name string) bool {
	return regexp.MustCompile(`(?im)^` + name + `[ \t]*:`).Match(header)
}

// collected has the office collect the specimens from the boxes, and compares what a mail program gets to see. Of
// messages that differ in the header only one comes, as it should: the others are copies.
func collected(t *testing.T, list []specimen) {
	st := openStation(t, list, roomy)
	row, err := st.call()
	if err != nil || len(row.Problems) != 0 {
		t.Fatalf("%v, %q", err, row.Problems)
	}
	st.delivered()
	wanted := make(map[string][]string) // names by text
	// One that begins with a fold continues the last line on top of it.
	fold := func(text, rest []byte) []byte {
		for want := range wanted {
			if strings.HasPrefix(want, " ") && bytes.HasSuffix(text, []byte(want)) {
				return []byte(want)
			}
		}
		return rest
	}
	for _, s := range list {
		text := string(s.crlf())
		wanted[text] = append(wanted[text], s.name)
	}
	shown, strange := 0, 0
	for _, user := range []string{"ann", "ben"} {
		st.show(user, func(text []byte) {
			shown++
			_, rest, err := withoutTop(text, false)
			if wanted[string(rest)] == nil {
				rest = fold(text, rest)
			}
			if names := wanted[string(rest)]; err != nil || len(names) == 0 {
				if strange++; strange < 10 {
					t.Errorf("%v: nobody sent %.300q", err, text)
				}
			} else if wanted[string(rest)] = names[1:]; len(names) == 1 {
				delete(wanted, string(rest))
			}
		})
	}
	missing := 0
	for text, names := range wanted {
		for _, name := range names {
			if missing++; missing > row.Copies && missing < row.Copies+10 {
				t.Errorf("%s is missing, %.100q", name, text)
			}
		}
	}
	if missing != row.Copies || row.Collected != len(list) {
		t.Errorf("%d are missing, %d were copies; %d collected of %d", missing, row.Copies, row.Collected, len(list))
	}
	t.Logf("%d messages, %d octets: %d collected, %d of them copies, %d shown, octet for octet, in %.1f s",
		len(list), octets(list), row.Collected, row.Copies, shown, row.Metered.Seconds())
}

func octets(list []specimen) (n int) {
	for _, s := range list {
		n += len(s.crlf())
	}
	return n
}

// programs hand in at the same time.
const programs = 8

// submitted has a mail program hand the specimens in, for ann and for somebody outside, and compares what ann's mail program
// gets to see and what the smarthost is given.
func submitted(t *testing.T, list []specimen) {
	st := openStation(t, nil, roomy)
	var all sync.WaitGroup
	for p := range programs {
		all.Go(func() {
			s := st.submitter()
			for i := p; i < len(list); i += programs {
				m := list[i]
				to := []string{"ann@clinic.example", "x@far.example"}
				if m.utf8 {
					to[1] = "grüße@far.example"
				}
				want := m.refused
				if want == "" {
					want = "250 "
				}
				if said := s.send(m, m.sender(i), to...); !strings.HasPrefix(said, want) {
					t.Errorf("%s: the door says %q instead of %q", m.name, said, want)
				}
				if m.refused != "" {
					s = st.submitter() // a door that could not see the end hangs up
				}
			}
		})
	}
	all.Wait()
	row, err := st.call()
	if err != nil || len(row.Problems) != 0 {
		t.Fatalf("%v, %q", err, row.Problems)
	}
	st.delivered()
	st.compare(list)
	t.Logf("%d messages, %d octets: %d sent, octet for octet, in %.1f s", len(list), octets(list), row.Sent, row.Metered.Seconds())
}

// compare looks for what was handed in, at both ends.
func (st *station) compare(list []specimen) {
	t := st.t
	inside, outside := make(map[string]bool), make(map[string]bool)
	bySender := make(map[string]specimen)
	for i, m := range list {
		if m.refused == "" {
			bySender[m.sender(i)] = m
		}
	}
	st.show("ann", func(text []byte) {
		returnPath, rest, err := withoutTop(text, true)
		sender := strings.Trim(returnPath, "<>")
		m, known := bySender[sender]
		switch {
		case err != nil || returnPath == "" || !known || inside[sender]:
			t.Errorf("in ann's inbox, %v: %.300q", err, text)
		default:
			if d := differStamped(rest, m.strict()); d != "" {
				t.Errorf("%s, in ann's inbox: %s", m.name, d)
			}
		}
		inside[sender] = true
	})
	for _, r := range st.provider.Received() {
		m, known := bySender[r.From]
		received, rest := field(r.Data, "Received")
		if !known || received == "" || outside[r.From] {
			t.Errorf("at the smarthost, from %s: %.300q", r.From, r.Data)
			continue
		}
		outside[r.From] = true
		if d := differStamped(rest, m.strict()); d != "" {
			t.Errorf("%s, at the smarthost: %s", m.name, d)
		}
		if r.UTF8 != m.utf8 {
			t.Errorf("%s went out with SMTPUTF8: %v", m.name, r.UTF8)
		}
	}
	for sender, m := range bySender {
		if !inside[sender] || !outside[sender] {
			t.Errorf("%s: in ann's inbox %v, at the smarthost %v", m.name, inside[sender], outside[sender])
		}
	}
}
