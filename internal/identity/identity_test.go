package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// outside is the map of the tests: ann, "bob b" and everybody at Zürich have an address at the provider, which is never an office one.
func outside(addr string) (string, bool) {
	local, domain, _ := strings.Cut(addr, "@")
	switch strings.ToLower(domain) {
	case "office.example":
		switch local {
		case "ann":
			return "ann.field@provider.example", true
		case `"bob b"`:
			return `"b b"@provider.example`, true
		case "evil":
			return "x>\r\nBcc: all@provider.example", true
		case "blank":
			return "a @provider.example", true
		}
	case "zürich.example", "[192.0.2.1]", "office":
		return local + "@provider.example", true
	}
	return "", false
}

func rewritten(t *testing.T, mail string) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := io.Copy(&out, NewReader(strings.NewReader(mail), outside)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// P is what ann becomes.
const P = "ann.field@provider.example"

func TestRewriteField(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		// The forms of an address.
		{`From: ann@office.example`, `From: ` + P},
		{`From:ann@office.example`, `From:` + P},
		{`From: <ann@office.example>`, `From: <` + P + `>`},
		{`From: Ann Field <ann@office.example>`, `From: Ann Field <` + P + `>`},
		{`From: "Field, Ann" <ann@office.example>`, `From: "Field, Ann" <` + P + `>`},
		{`From: ann@office.example (Ann Field)`, `From: ` + P + ` (Ann Field)`},
		{`From: (Ann) ann@office.example(Field)`, `From: (Ann) ` + P + `(Field)`},
		{`From: =?utf-8?q?Ann_F=C3=AFeld?= <ann@office.example>`, `From: =?utf-8?q?Ann_F=C3=AFeld?= <` + P + `>`},
		{"From: Ann Fïeld <ann@office.example>", "From: Ann Fïeld <" + P + ">"},
		{"From: Ann F\xefeld <ann@office.example>", "From: Ann F\xefeld <" + P + ">"},
		{`From: ann@OFFICE.example`, `From: ` + P},
		{`From: "ann"@office.example`, `From: ` + P},
		{`From: "a\nn"@office.example`, `From: ` + P},
		{`From: "bob b"@office.example`, `From: "b b"@provider.example`},
		{`From: "bob\ b"@office.example`, `From: "b b"@provider.example`},
		{"From: ann@zürich.example", "From: ann@provider.example"},
		{`From: ann@[192.0.2.1]`, `From: ann@provider.example`},
		{`From: ann@office`, `From: ann@provider.example`},
		// Obsolete forms (RFC 5322 §4).
		{`From: <@relay.example,@b.example:ann@office.example>`, `From: <@relay.example,@b.example:` + P + `>`},
		{`From: Ann Q. Field <ann@office.example>`, `From: Ann Q. Field <` + P + `>`},
		{`From: < ann @ office . example >`, `From: < ` + P + ` >`},
		{`From: ann(x)@office.example`, `From: ann(x)@office.example`},
		{`From : ann@office.example`, `From : ` + P},
		// Lists and groups.
		{`To: a@b.example, ann@office.example,"bob b"@office.example`, `To: a@b.example, ` + P + `,"b b"@provider.example`},
		{`To: , ann@office.example, ,`, `To: , ` + P + `, ,`},
		{`To: Team: ann@office.example, Bob <b@b.example>;, <ann@office.example>`, `To: Team: ` + P + `, Bob <b@b.example>;, <` + P + `>`},
		{`To: undisclosed-recipients:;`, `To: undisclosed-recipients:;`},
		{`To: ann, ann@office.example, <ann>, <>`, `To: ann, ` + P + `, <ann>, <>`},
		// Text that looks like an address.
		{`To: "ann@office.example" <b@b.example>`, `To: "ann@office.example" <b@b.example>`},
		{`To: b@b.example (ann@office.example, (<ann@office.example>))`, `To: b@b.example (ann@office.example, (<ann@office.example>))`},
		{`To: "a \" ann@office.example" <ann@office.example>`, `To: "a \" ann@office.example" <` + P + `>`},
		{`To: (\) ann@office.example) <ann@office.example>`, `To: (\) ann@office.example) <` + P + `>`},
		{`To: ann@office.example <ann@office.example>`, `To: ann@office.example <` + P + `>`},
		{`To: [EXT] Ann <ann@office.example>`, `To: [EXT] Ann <` + P + `>`},
		// Folding.
		{"To: Ann\r\n\t<ann@office.example>,\r\n ann@office.example", "To: Ann\r\n\t<" + P + ">,\r\n " + P},
		{"To:\r\n ann@office.example\r\n ", "To:\r\n " + P + "\r\n "},
		{"To: \"Ann\r\n Field\" <ann@office.example>", "To: \"Ann\r\n Field\" <" + P + ">"},
		// Answers that can't stand in a header.
		{`From: evil@office.example`, `From: evil@office.example`},
		{`From: blank@office.example`, `From: blank@office.example`},
		// Malformed, and therefore unchanged.
		{`To: "ann <ann@office.example>`, `To: "ann <ann@office.example>`},
		{`To: ann@office.example (no end`, `To: ann@office.example (no end`},
		{`To: Ann <ann@office.example`, `To: Ann <ann@office.example`},
		{`To: Ann <<ann@office.example>>`, `To: Ann <<ann@office.example>>`},
		{`To: ann@office.example>`, `To: ann@office.example>`},
		{`To: <ann@office.example> x`, `To: <ann@office.example> x`},
		{`To: <a@b.example> <ann@office.example>`, `To: <a@b.example> <ann@office.example>`},
		{`To: ann@office.example b@b.example`, `To: ann@office.example b@b.example`},
		{`To: ann@office.example; b@b.example`, `To: ann@office.example; b@b.example`},
		{`To: Team: ann@office.example`, `To: Team: ann@office.example`},
		{`To: A: B: ann@office.example;`, `To: A: B: ann@office.example;`},
		{`To: ann@office.example, b@c@d`, `To: ann@office.example, b@c@d`},
		{`To: ann@office.example, @c`, `To: ann@office.example, @c`},
		{`To: ann@office.example, b@`, `To: ann@office.example, b@`},
		{`To: <@relay.example ann@office.example>`, `To: <@relay.example ann@office.example>`},
		{`To: ann@office.example, x) y`, `To: ann@office.example, x) y`},
		{`To: ann@office.example, a\b`, `To: ann@office.example, a\b`},
		{"To: \x00 ann@office.example", "To: \x00 ann@office.example"},
		{"To: \"\x00\" <ann@office.example>", "To: \"\x00\" <ann@office.example>"},
		{"To: \"\\\x00\" <ann@office.example>", "To: \"\\\x00\" <ann@office.example>"},
	} {
		if got := rewritten(t, test.in); got != test.want {
			t.Errorf("%q\n became %q\n   want %q", test.in, got, test.want)
		}
		if got := rewritten(t, test.in+"\r\n\r\n"); got != test.want+"\r\n\r\n" {
			t.Errorf("%q with an end became %q", test.in, got)
		}
	}
}

// Which fields are rewritten, whatever their case, and that nothing else of a mail is.
func TestRewriteFields(t *testing.T) {
	yes := []string{"From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "Resent-Sender", "Resent-Reply-To", "Resent-To", "Resent-Cc",
		"Disposition-Notification-To", "Return-Receipt-To", "FROM", "rESENT-cC"}
	no := []string{"Bcc", "Resent-Bcc", "Received", "Message-ID", "Return-Path", "Resent-Message-ID", "Resent-Disposition-Notification-To",
		"In-Reply-To", "Subject", "X-From", "List-Post", "Delivered-To", "From-", "Tom"}
	line := func(name, addr string) string { return name + ": Ann <" + addr + ">\r\n" }
	var in, want strings.Builder
	for _, name := range yes {
		in.WriteString(line(name, "ann@office.example"))
		want.WriteString(line(name, P))
	}
	for _, name := range no {
		in.WriteString(line(name, "ann@office.example"))
		want.WriteString(line(name, "ann@office.example"))
	}
	rest := "\r\nTo: ann@office.example\r\n\r\n.\r\n\x00\xff no line end"
	if got := rewritten(t, in.String()+rest); got != want.String()+rest {
		t.Errorf("got %s", got)
	}
}

func TestPassesUnchanged(t *testing.T) {
	for name, mail := range map[string]string{
		"empty":                 "",
		"no header":             "\r\nFrom: ann@office.example\r\n",
		"text only":             "Hello ann\r\nFrom: ann@office.example\r\n",
		"an mbox line":          "From ann@office.example Mon\r\nFrom: ann@office.example\r\n",
		"begins with a blank":   " From: ann@office.example\r\nFrom: ann@office.example\r\n",
		"NUL in the name":       "Fr\x00m: ann@office.example\r\nFrom: ann@office.example\r\n",
		"NUL only":              "\x00",
		"long first line":       strings.Repeat("x", 20_000) + ": y\r\nFrom: ann@office.example\r\n",
		"field over the limit":  "To: " + strings.Repeat("ann@office.example,\r\n ", 3500) + "b@b.example\r\n\r\n",
		"one line over it":      "To: " + strings.Repeat("ann@office.example,", 3500) + "b@b.example\r\n\r\n",
		"other long field":      "Subject: " + strings.Repeat("From: ann@office.example ", 3500) + "\r\n\r\n",
		"two colons, LF":        "X:: ann@office.example\n\nFrom: ann@office.example",
		"CR only":               "From: ann@office.example\rTo: ann@office.example\r",
		"header ends with text": "Subject: x\r\nHello\r\nFrom: ann@office.example\r\n",
	} {
		if got := rewritten(t, mail); got != mail {
			t.Errorf("%s: became %.200q", name, got)
		}
	}
}

// What follows a field that is too long is rewritten again, and a field just within the limit is.
func TestLimitOfAField(t *testing.T) {
	fill := func(n int) string {
		head, tail := "To: ann@office.example,\r\n ", "x@y.example\r\n"
		return head + strings.Repeat(" ", n-len(head)-len(tail)) + tail
	}
	for n, changes := range map[int]bool{maxField: true, maxField + 1: false} {
		mail := fill(n) + "From: ann@office.example\r\n\r\n"
		want := strings.Replace(mail, "From: ann@office.example", "From: "+P, 1)
		if changes {
			want = strings.ReplaceAll(mail, "ann@office.example", P)
		}
		if got := rewritten(t, mail); got != want {
			t.Errorf("%d octets: rewritten wrongly: %.100q ... %.100q", n, got, got[len(got)-100:])
		}
	}
}

func TestLinesEndInLF(t *testing.T) {
	if got := rewritten(t, "From: ann@office.example\nTo: x\n <ann@office.example>\n\nTo: ann@office.example\n"); got !=
		"From: "+P+"\nTo: x\n <"+P+">\n\nTo: ann@office.example\n" {
		t.Errorf("%q", got)
	}
}

const sample = "Received: from x\r\nFrom: Ann <ann@office.example>\r\nTo: a@b.example,\r\n ann@office.example\r\nSubject: x\r\n\r\nTo: ann@office.example\r\n"

// However it is read, it is the same.
func TestReading(t *testing.T) {
	want := rewritten(t, sample)
	for name, r := range map[string]io.Reader{
		"an octet at a time":    iotest.OneByteReader(NewReader(strings.NewReader(sample), outside)),
		"from an octet a time":  NewReader(iotest.OneByteReader(strings.NewReader(sample)), outside),
		"the end with the last": NewReader(iotest.DataErrReader(strings.NewReader(sample)), outside),
	} {
		got, err := io.ReadAll(r)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := iotest.TestReader(NewReader(strings.NewReader(sample), outside), []byte(want)); err != nil {
		t.Error(err)
	}
}

// A source that breaks: all that came before is given out, and then its error, by Read and by WriteTo. A field that broke off stays as it is.
func TestBroken(t *testing.T) {
	broken := errors.New("broken")
	for n := range len(sample) {
		source := func() io.Reader { return io.MultiReader(strings.NewReader(sample[:n]), iotest.ErrReader(broken)) }
		read, readErr := io.ReadAll(struct{ io.Reader }{NewReader(source(), outside)})
		var out bytes.Buffer
		_, copyErr := io.Copy(&out, NewReader(source(), outside))
		if readErr != broken || copyErr != broken || !bytes.Equal(read, out.Bytes()) {
			t.Fatalf("%d: %q, %v; %q, %v", n, read, readErr, out.Bytes(), copyErr)
		}
		if back := strings.ReplaceAll(string(read), P, "ann@office.example"); back != sample[:n] {
			t.Fatalf("%d: %q", n, read)
		}
		_, err := Delta(source(), outside)
		if inHeader := n < strings.Index(sample, "\r\n\r\n")+4; (err == broken) != inHeader {
			t.Fatalf("%d: Delta says %v", n, err)
		}
	}
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	if f.room -= n; n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestWriteToFull(t *testing.T) {
	want := rewritten(t, sample)
	for room := range len(want) {
		n, err := io.Copy(&full{room}, NewReader(strings.NewReader(sample), outside))
		if int(n) != room || err != io.ErrShortWrite {
			t.Fatalf("room for %d: %d, %v", room, n, err)
		}
	}
}

// Delta is the difference, and doesn't read on.
func TestDelta(t *testing.T) {
	for _, mail := range []string{sample, "", "x", "From: ann@office", "From: ann@zürich.example\r\n\r\n", "To: \"bob b\"@office.example\n\n"} {
		endless := io.MultiReader(strings.NewReader(mail), neverEnding{})
		if !strings.Contains(mail, "\n\n") && !strings.Contains(mail, "\r\n\r\n") {
			endless = strings.NewReader(mail)
		}
		if n, err := Delta(endless, outside); err != nil || int(n) != len(rewritten(t, mail))-len(mail) {
			t.Errorf("%q: %d, %v", mail, n, err)
		}
	}
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// A header without an end takes no more memory than a field may have.
func TestMemory(t *testing.T) {
	for name, line := range map[string]string{
		"fields": "To: ann@office.example\r\n", "one field": " ann@office.example,\r\n", "one line": "ann@office.example,",
	} {
		r := NewReader(io.MultiReader(strings.NewReader("To: x,\r\n"), &repeated{line: line, left: 8 << 20}), outside)
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
			t.Fatal(err)
		}
		if got := cap(r.(*reader).field) + cap(r.(*reader).out); got > 1<<20 {
			t.Errorf("%s: holds %d octets", name, got)
		}
	}
}

// repeated is a line again and again.
type repeated struct {
	line string
	left int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n+len(r.line) <= len(p) {
		n += copy(p[n:], r.line)
	}
	if n == 0 {
		return 0, fmt.Errorf("room for %d only", len(p))
	}
	r.left -= n
	return n, nil
}

// With nobody to rename nothing changes. With a map that renames nobody twice, doing it again changes nothing, and Delta is right. What is
// rewritten differs from what came in in addresses only.
func FuzzReader(f *testing.F) {
	f.Add(sample)
	f.Add("To: A: \"ann@office.example\" <@r:ann@office.example>, (c(d)) ann@office.example;\r\n\t,x\r\n\r\nTo: x")
	f.Add("To: ann @\r\n office . example, \"a\\\"b\"@[192.0.2.1]\n\n")
	f.Add("From: \"bob b\"@office.example\nX\x00")
	f.Fuzz(func(t *testing.T, mail string) {
		nobody := func(string) (string, bool) { return "", false }
		if got, err := io.ReadAll(NewReader(strings.NewReader(mail), nobody)); err != nil || string(got) != mail {
			t.Fatalf("nobody is renamed: %q, %v", got, err)
		}
		everybody := func(a string) (string, bool) { return "someone@provider.example", true }
		for _, m := range []func(string) (string, bool){outside, everybody} {
			once, err := io.ReadAll(NewReader(strings.NewReader(mail), m))
			if err != nil {
				t.Fatal(err)
			}
			twice, err := io.ReadAll(NewReader(bytes.NewReader(once), m))
			if err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("once %q, twice %q, %v", once, twice, err)
			}
			if n, err := Delta(strings.NewReader(mail), m); err != nil || int(n) != len(once)-len(mail) {
				t.Fatalf("Delta %d, %v, is %d", n, err, len(once)-len(mail))
			}
			if bytes.Count(once, []byte("\n")) > strings.Count(mail, "\n") {
				t.Fatalf("a line more: %q", once)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	mail := []byte(sample + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 13_000)) // 1 MB
	b.SetBytes(int64(len(mail)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{NewReader(bytes.NewReader(mail), outside)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeader(b *testing.B) {
	b.SetBytes(int64(len(sample)))
	for b.Loop() {
		if _, err := Delta(strings.NewReader(sample), outside); err != nil {
			b.Fatal(err)
		}
	}
}
