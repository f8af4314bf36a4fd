package route

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func seeds(f *testing.F) []string {
	f.Helper()
	return []string{
		"", "\r\n", "A: 1\r\nB: 2\r\n\r\nbody", "From x\nA:\n b\n\n", strings.ReplaceAll(letter, "\n\t", "\r\n")[2:] + "\r\n\r\n",
		"Delivered-To: ann@clinic.example\r\nDelivered-To: zoe@clinic.example\r\n\r\n",
		"Received: from a by b (c (d)) for <ann@clinic.example>; Mon\r\n\r\n",
		"To: staff: \"a, b\" <ann@clinic.example>, bob@clinic.example;\r\nCc: <@x:info@clinic.example>\r\n\r\n",
		"Delivered-To: mbox-friends@clinic-pop.isp.example\r\nSubject: =?koi8-r?B?8NLJ18XU?= spam\r\n\r\n",
		"Delivered-To: ann@gate.clinic.example\n\n", "Delivered-To: \"a\\\"b@c\"@clinic.example\n\n",
		strings.Repeat("Received: x\n", 51) + "\n", "List-Id: a <b.news.example>\nX-Spam: YES\n\n",
	}
}

// Nothing makes ReadHeader fall over, and its fields are parts of what was read.
func FuzzReadHeader(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ReadHeader(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, field := range h.Fields {
			if !IsFieldName(field.Name) || strings.Contains(field.Raw, "\n") && !strings.ContainsAny(field.Raw, " \t") {
				t.Fatalf("%+v", field)
			}
			i := bytes.Index(in[at:], []byte(field.Name))
			if i < 0 {
				t.Fatalf("%q is not there, or not in this order", field.Name)
			}
			if at += i + len(field.Name); !bytes.Contains(in[at:], []byte(field.Raw)) {
				t.Fatalf("%q is not there", field.Raw)
			}
			if strings.ContainsAny(field.Value(), "\n") {
				t.Fatalf("more than one line: %q", field.Value())
			}
			h.Text(field.Name)
			h.Addresses(field.Name)
			receivedFor(field.Value())
		}
	})
}

// Whatever comes, it has a place that there is, and a reason.
func FuzzDecision(f *testing.F) {
	for i, s := range seeds(f) {
		f.Add([]byte(s), "carl@other.example", "ann@clinic.example", uint8(i), int64(i*1000))
	}
	tab := table(f, func(o *Options) {
		o.Boxes = []Box{
			{Name: "ann", To: []string{"ann", "news/Week"}}, {Name: "none"}, {Name: "staff", To: []string{"staff"}},
			{Name: "all", CatchAll: &CatchAll{ToCc: true}},
			{Name: "pop", CatchAll: &CatchAll{Domains: []string{"clinic-pop.isp.example"}, Prefix: "mbox-", Unknown: []string{"archive/Lost"}}},
			{Name: "server", CatchAll: &CatchAll{Server: "exchange"}},
		}
		o.Rules = []Rule{
			{Name: "spam", Header: []string{"X-Spam: yes*"}, Discard: true},
			{Name: "out", From: []string{"carl@*"}, Forward: []string{"dora@third.example"}},
			{Name: "news", ListID: []string{"news"}, DeliverTo: []string{"news", "staff"}},
			{Name: "big", LargerThan: 5000, Hold: true},
			{Name: "f", To: []string{"@clinic.example"}, Folder: "Sorted"},
			{Name: "c", Subject: []string{"a*b"}, CopyTo: []string{"archive", "friends"}},
		}
	})
	boxes := []string{"ann", "none", "staff", "all", "pop", "server", "unheard-of"}
	f.Fuzz(func(t *testing.T, in []byte, from, place string, box uint8, size int64) {
		h, err := ReadHeader(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		msg := Incoming{Box: boxes[int(box)%len(boxes)], From: from, Rcpts: []string{place}, Header: h, Size: size}
		d := tab.Collected(msg)
		judge(t, tab, d)
		if len(d.To) == 0 && d.Discard == "" {
			t.Fatalf("lost: %+v", d)
		}
		for _, out := range d.Forward {
			if out.Addr != "dora@third.example" || out.Rule != "out" {
				t.Fatalf("sent out: %+v", out)
			}
		}
		msg.To = []string{place, "bob"}
		if d = tab.Office(msg); len(d.To) == 0 && d.Discard == "" {
			t.Fatalf("lost: %+v", d)
		}
		judge(t, tab, d)
		for _, g := range tab.Expand(place) {
			if (g.Place == "") == (g.Addr == "") && place != "" {
				t.Fatalf("%q: %+v", place, g)
			}
		}
		if p, err := ParsePlace(place); err == nil {
			if again, err := ParsePlace(p.String()); err != nil || again != p {
				t.Fatalf("%q: %+v, again %+v, %v", place, p, again, err)
			}
		}
	})
}

func judge(t *testing.T, tab *Table, d Decision) {
	t.Helper()
	if (d.Unplaced || len(d.Forward) > 0 || d.Hold != "" || d.Discard != "") && len(d.Reasons) == 0 {
		t.Fatalf("no reason: %+v", d)
	}
	for _, to := range d.To {
		p, err := ParsePlace(to)
		if home, ok := tab.Home(to); err != nil || !ok || home != p {
			t.Fatalf("no place: %q, %v", to, err)
		}
		if p.Mailbox != "" && !slices.Contains(tab.Mailboxes(), p.Mailbox) {
			t.Fatalf("no mailbox: %q", to)
		}
	}
	for _, line := range d.Explain() {
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00\x1b") {
			t.Fatalf("not plain: %q", line)
		}
	}
}
