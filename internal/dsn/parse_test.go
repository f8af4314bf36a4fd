package dsn

import (
	"bufio"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/emersion/go-message"
)

// readPart is a part as the standard library reads it; the body is decoded.
type readPart struct{ kind, encoding, body string }

// wellFormed holds a report against the standards, whatever it is about, and gives its parts.
func wellFormed(t *testing.T, r *Report, got string) []readPart {
	t.Helper()
	for line := range strings.Lines(got) {
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || strings.ContainsAny(text, "\r\x00") || len(text) > 998 {
			t.Fatalf("line of %d octets: %.200q", len(text), line)
		}
		if !r.UTF8 && !r.EightBit && !isASCII(text) {
			t.Fatalf("not in seven bits: %q", line)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(got))
	if err != nil {
		t.Fatalf("%v: %.2000s", err, got)
	}
	for _, name := range []string{"From", "To", "Subject", "Date", "Message-Id", "Auto-Submitted", "Mime-Version", "Content-Type"} {
		if n := len(m.Header[name]); n != 1 {
			t.Errorf("%d fields %s in %q", n, name, m.Header)
		}
	}
	for _, name := range []string{"From", "To"} {
		if _, err := m.Header.AddressList(name); err != nil && !strings.Contains(err.Error(), "empty group") {
			t.Errorf("%s is %q: %v", name, m.Header.Get(name), err)
		}
	}
	if at, err := m.Header.Date(); err != nil || at.Unix() != r.Now.Unix() {
		t.Errorf("Date is %v, %v", at, err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatalf("%s, %v", kind, err)
	}
	var parts []readPart
	for in := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := in.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %q", err, got)
		}
		parts = append(parts, decoded(t, p))
	}
	if len(parts) < 2 || len(parts) > 3 || parts[0].kind != "text/plain" || parts[1].kind != "message/"+params["report-type"] || !utf8.ValidString(parts[0].body) {
		t.Fatalf("%d parts: %+v", len(parts), parts)
	}
	checkFields(t, r, parts[1].body)
	return parts
}

func decoded(t *testing.T, p *multipart.Part) readPart {
	t.Helper()
	kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	encoding := p.Header.Get("Content-Transfer-Encoding")
	raw, err := io.ReadAll(p)
	if err != nil {
		t.Fatal(err)
	}
	e, err := message.New(message.HeaderFromMap(p.Header), strings.NewReader(string(raw)))
	if err != nil && !message.IsUnknownCharset(err) {
		t.Fatal(err)
	}
	body, err := io.ReadAll(e.Body)
	if err != nil {
		t.Fatalf("%s in %s: %v", kind, encoding, err)
	}
	return readPart{kind, encoding, string(body)}
}

// checkFields reads the part for programs: a group for the message and one for each recipient.
func checkFields(t *testing.T, r *Report, body string) {
	t.Helper()
	in := textproto.NewReader(bufio.NewReader(strings.NewReader(body + "\r\n")))
	var groups []textproto.MIMEHeader
	for {
		h, err := in.ReadMIMEHeader()
		if len(h) > 0 {
			groups = append(groups, h)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %q", err, body)
		}
	}
	if len(groups) != 1+len(r.Recipients) || groups[0].Get("Reporting-MTA") == "" {
		t.Fatalf("%d groups: %q", len(groups), body)
	}
	for _, g := range groups[1:] {
		if g.Get("Final-Recipient") == "" || g.Get("Action") != string(r.Kind) || !validStatus(g.Get("Status")) {
			t.Errorf("%q", g)
		}
	}
}

// go-message reads it as a mail program would.
func TestGoMessage(t *testing.T) {
	e, err := message.Read(strings.NewReader(write(t, samples()["seven"])))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := e.Header.Text("Subject")
	if err != nil || subject != "Not delivered: Grüße aus Köln" {
		t.Errorf("%q, %v", subject, err)
	}
	var kinds []string
	err = e.Walk(func(path []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		kind, _, _ := e.Header.ContentType()
		kinds = append(kinds, kind)
		return nil
	})
	if err != nil || !slices.Equal(kinds, []string{"multipart/report", "text/plain", "message/delivery-status", "text/rfc822-headers"}) {
		t.Errorf("%q, %v", kinds, err)
	}
}

const python = `
import sys, json, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(m.walk())
status = next(p for p in parts if p.get_content_type().endswith("delivery-status"))
groups = status.get_payload()
if status.get_content_type() != "message/delivery-status":  # it takes RFC 6533's for a message: a header and a body
    rest = groups[0].get_payload().replace("\r\n", "\n").split("\n\n")
    groups = groups + [email.message_from_string(g) for g in rest if g.strip()]
json.dump({
    "kinds": [p.get_content_type() for p in m.iter_parts()],
    "defects": [repr(d) for p in parts for d in p.defects] + [repr(d) for v in m.values() for d in v.defects],
    "subject": m["subject"], "to": str(m["to"]), "reply": m["in-reply-to"], "report": m.get_param("report-type"),
    "fields": [{k.lower(): str(v) for k, v in g.items()} for g in groups],
    "text": parts[1].get_content(),
}, sys.stdout)
`

// Python's parser is somebody else's reading of the standards.
func TestPython(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v, and with CI=true that is a failure", err)
		}
		t.Skip(err)
	}
	for name, r := range samples() {
		cmd := exec.CommandContext(t.Context(), "python3", "-c", python)
		cmd.Stdin, cmd.Stderr = strings.NewReader(write(t, r)), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var said struct {
			Kinds, Defects                   []string
			Subject, To, Reply, Report, Text string
			Fields                           []map[string]string
		}
		if err := json.Unmarshal(out, &said); err != nil {
			t.Fatal(err)
		}
		if r.UTF8 {
			said.Defects = nil // it has no mind for UTF-8 in a header
		}
		if len(said.Defects) > 0 || len(said.Kinds) != 3 || said.Reply != "<1@clinic.example>" || len(said.Fields) != 1+len(r.Recipients) {
			t.Errorf("%s: %s", name, out)
		}
		if want := subjects[r.Kind] + ": "; !strings.HasPrefix(said.Subject, want) || !strings.Contains(said.Text, "Outpost") || !strings.Contains(said.To, "@") {
			t.Errorf("%s: %s", name, out)
		}
		for i, p := range r.Recipients {
			if f := said.Fields[1+i]; f["action"] != string(r.Kind) || f["status"] != p.status(r.Kind) {
				t.Errorf("%s: %v", name, f)
			}
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(letter), "550 5.1.1 no", "bob@far.example", "rfc822;b@x", uint8(0))
	f.Add([]byte("\x00\xff\r\r\n\n--=_report_\r\nSubject: \xe4 =?utf-8?q?=00?=\r\n\r\n.\r\n"), "550-\x00\xff", "jürgen@bücher", "utf-8;ü", uint8(7))
	f.Add([]byte("Subject: "+strings.Repeat("x", 3000)+"\r\n"), strings.Repeat("y", 3000), strings.Repeat("z", 3000), "", uint8(27))
	f.Add([]byte("Subject:"+strings.Repeat(" ä", 500)), strings.Repeat("ä", 3000), "\"\\\" \"@x", ";", uint8(12))
	f.Fuzz(func(t *testing.T, original []byte, reply, addr, sent string, mode uint8) {
		kinds := []Kind{Failed, Delayed, Relayed, Delivered}
		p := Recipient{Addr: addr, Original: sent, Reply: reply, Status: sent, Remote: reply, Attempts: int(mode), At: now, WillRetryUntil: now}
		r := report(kinds[mode&3], string(original), p, Recipient{}, p)
		r.UTF8, r.EightBit, r.Return = mode&4 > 0, mode&8 > 0, []string{"", "FULL", "HDRS", reply}[mode>>4&3]
		r.From, r.Hostname, r.ID, r.EnvID = sent, addr, reply, reply
		if r.To = addr; addr == "" {
			r.To = "ann@x"
		}
		parts := wellFormed(t, r, write(t, r))
		if len(parts) == 3 && strings.HasPrefix(parts[2].kind, "message/") && !strings.HasSuffix(parts[2].kind, "headers") && parts[2].body != normal(string(original)) {
			t.Errorf("%q came as %q", original, parts[2].body)
		}
	})
}

func FuzzStatusOf(f *testing.F) {
	f.Add("550 5.1.1 x", true)
	f.Add("5.1.1", false)
	f.Fuzz(func(t *testing.T, reply string, permanent bool) {
		if s := StatusOf(reply, permanent); !validStatus(s) {
			t.Errorf("%q: %q", reply, s)
		}
	})
}
