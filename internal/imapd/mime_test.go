package imapd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// scan takes a message apart, a few octets at a time.
func scan(text []byte, step int) *part {
	s := newScanner()
	for len(text) > 0 {
		n := min(step, len(text))
		s.feed(text[:n])
		text = text[n:]
	}
	return s.finish()
}

// outline is a part and those in it, in a line.
func (p *part) outline() string {
	s := fmt.Sprintf("%s/%s[%d %d %d %d]", p.kind, p.sub, p.head, p.body, p.end, p.lines)
	for _, c := range p.children {
		s += "(" + c.outline() + ")"
	}
	if p.inner != nil {
		s += "{" + p.inner.outline() + "}"
	}
	return s
}

// within checks that all parts lie where they can.
func (p *part) check(t *testing.T, from, to int64) {
	t.Helper()
	if p.head < from || p.body < p.head || p.end < p.body || p.end > to || p.lines < 0 {
		t.Fatalf("%s is not within %d and %d", p.outline(), from, to)
	}
	for _, c := range p.children {
		c.check(t, p.body, p.end)
	}
	if p.inner != nil {
		p.inner.check(t, p.body, p.end)
	}
}

// Whatever a message is made of, taking it apart ends, parts lie within parts, it makes no
// difference how it streams by, and what is answered can be written.
func FuzzMIME(f *testing.F) {
	for _, text := range []string{
		"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: a\r\n\r\nb\r\n--x\r\n\r\n\r\n--x--\r\n",
		"Content-Type: multipart/digest; boundary=\"x y\"\r\n\r\n--x y\r\n\r\nTo: a:b@c,d;\r\n\r\n--x y--",
		"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n\r\n", "\r\n--\r\n", "A",
		"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n----\r\n",
	} {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		text, err := io.ReadAll(newCRLF(bytes.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		p := scan(text, len(text)+1)
		p.check(t, 0, int64(len(text)))
		if other := scan(text, int(step)+1); other.outline() != p.outline() {
			t.Fatalf("%s, then %s", p.outline(), other.outline())
		}
		checkStructure(t, p.structure())
		for _, path := range [][]int{{1}, {1, 1}, {2}, {1, 2, 1}, {0}, {1 << 30}} {
			c := &bodyCache{size: int64(len(text)), root: p}
			for _, specifier := range []imap.PartSpecifier{"", "HEADER", "MIME", "TEXT"} {
				from, to, _ := c.section(&imap.FetchItemBodySection{Part: path, Specifier: specifier})
				if from < 0 || to < from || to > int64(len(text)) {
					t.Fatalf("section %v %s is %d to %d", path, specifier, from, to)
				}
			}
		}
		e := envelope(p.header)
		for _, list := range [][]imap.Address{e.From, e.To, e.Cc} {
			for _, a := range list {
				if a.Mailbox == "" && a.Host != "" {
					t.Fatalf("%+v", a)
				}
			}
		}
	})
}

// checkStructure checks what the library's writer panics without.
func checkStructure(t *testing.T, b imap.BodyStructure) {
	t.Helper()
	switch b := b.(type) {
	case *imap.BodyStructureMultiPart:
		if len(b.Children) == 0 || b.Extended == nil || b.Subtype == "" {
			t.Fatalf("%+v", b)
		}
		for _, c := range b.Children {
			checkStructure(t, c)
		}
	case *imap.BodyStructureSinglePart:
		if b.Extended == nil || b.Type == "" || b.Subtype == "" || b.Encoding == "" {
			t.Fatalf("%+v", b)
		}
		if b.MessageRFC822 != nil {
			checkStructure(t, b.MessageRFC822.BodyStructure)
		}
	}
}

// Parts nested without end, or without number, stay bounded.
func TestDeepAndWide(t *testing.T) {
	var deep, wide, empty strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for range 20_000 {
		deep.WriteString("Content-Type: message/rfc822\r\n\r\n")
	}
	wide.WriteString("Content-Type: multipart/mixed; boundary=x\r\n\r\n")
	for range 100_000 {
		wide.WriteString("--x\r\nA: b\r\n\r\nc\r\n")
	}
	empty.WriteString("Subject: x\r\n")
	for range 10_000 {
		empty.WriteString("X: " + strings.Repeat("y", 1000) + "\r\n")
	}
	for name, text := range map[string]string{"deep": deep.String(), "wide": wide.String(), "header": empty.String(), "line": strings.Repeat("z", 20<<20)} {
		p := scan([]byte(text), 32<<10)
		p.check(t, 0, int64(len(text)))
		checkStructure(t, p.structure())
		if len(p.children) > maxParts || len(p.header) > maxHeader+lineKept {
			t.Errorf("%s: %d parts, header of %d", name, len(p.children), len(p.header))
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		`joe@a.example`: `[{ joe a.example}]`,
		`"Joe, Q." <joe@a.example>, Ann <ann@b.example>`: `[{Joe, Q. joe a.example} {Ann ann b.example}]`,
		`=?utf-8?q?J=C3=B6?= <joe@a.example> (comment)`:  `[{=?utf-8?q?J=C3=B6?= joe a.example}]`,
		`team: a@x.example, b@x.example;, c@y.example`:   `[{ team } { a x.example} { b x.example} {  } { c y.example}]`,
		`undisclosed-recipients:;`:                       `[{ undisclosed-recipients } {  }]`,
		`Joe`:                                            `[{ Joe MISSING_DOMAIN}]`,
		`<>`:                                             `[{ MISSING_MAILBOX MISSING_DOMAIN}]`,
		`"a@b"@c.example, <@r1,@r2:joe@d.example>`:       `[{ a@b c.example} { joe d.example}]`,
		`a@b.example; c@d.example`:                       `[{ a b.example} { c d.example}]`,
		`"never closed <x@y.example>, z@y.example`:       `[{ never closed <x@y.example>, z y.example}]`,
		`, ,`:                    `[]`,
		`joe@[IPv6:2001:db8::1]`: `[{ joe [IPv6:2001:db8::1]}]`,
	} {
		if got := fmt.Sprint(addresses(in)); got != want {
			t.Errorf("%s:\n%s, want\n%s", in, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		name, pattern string
		want          bool
	}{
		{"INBOX", "inbox", true}, {"INBOX", "*", true}, {"A/B", "%", false}, {"A/B", "%/%", true}, {"A/B", "A*", true}, {"A/B", "*B", true},
		{"A/B", "A", false}, {"A", "A%", true}, {"A/B/C", "A/%", false}, {"A/B/C", "A/*C", true}, {"", "*", true}, {"", "x", false},
		{strings.Repeat("a", 200), strings.Repeat("a*", 5000) + "b", false},
	} {
		if got := matches(tt.name, tt.pattern); got != tt.want {
			t.Errorf("%.20s %.20s: %v", tt.name, tt.pattern, got)
		}
	}
}

// Each range of a message is the same whether it is read at once or from the marks.
func TestPartsFromMarks(t *testing.T) {
	var text bytes.Buffer
	for i := range 150_000 {
		fmt.Fprintf(&text, "%d\r\r\nx\n\n", i)
	}
	path := filepath.Join(t.TempDir(), "m")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(newCRLF(&text))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := &message{f: f}
	if err := m.measure(nil); err != nil || m.size != int64(len(whole)) || len(m.marks) < 2 {
		t.Fatalf("%d octets, want %d; %d marks; %v", m.size, len(whole), len(m.marks), err)
	}
	for from := int64(0); from < m.size; from += 99_991 {
		to := min(from+70_000, m.size)
		r, err := m.part(from, to)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, whole[from:to]) {
			t.Fatalf("%d to %d: %d octets differ, %v", from, to, len(got), err)
		}
	}
}

// A message of 50 MB is read and written without being held.
func TestBigMessageStreams(t *testing.T) {
	r := newRig(t, nil)
	c := r.login("ann")
	const size = 50 << 20
	line := strings.Repeat("x", 98) + "\r\n"
	peak := func(what string, work func()) {
		t.Helper()
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work()
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
			t.Errorf("%s: %d MB were allocated", what, grown>>20)
		}
	}
	head := "Subject: big\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n"
	chunk := []byte(strings.Repeat(line, 640))
	peak("APPEND", func() {
		c.n++
		lines := (size - len(head)) / len(line)
		c.send(fmt.Sprintf("up APPEND INBOX {%d+}\r\n%s", len(head)+lines*len(line), head))
		for lines > 0 {
			n := min(lines*len(line), len(chunk))
			if _, err := c.conn.Write(chunk[:n]); err != nil {
				t.Fatal(err)
			}
			lines -= n / len(line)
		}
		c.send("\r\n")
		if _, end := c.answer("up"); !strings.HasPrefix(end, "OK") {
			t.Fatal(end)
		}
	})
	c.ok("SELECT INBOX")
	for _, command := range []string{"FETCH 1 BODY.PEEK[]", "FETCH 1 BODY.PEEK[1]", "FETCH 1 (BODYSTRUCTURE BODY.PEEK[TEXT]<1000000.40000000>)"} {
		peak(command, func() {
			c.send("down " + command + "\r\n")
			got, window := 0, make([]byte, 64<<10)
			var tail []byte
			for !bytes.Contains(tail, []byte("down OK")) {
				n, err := c.conn.Read(window)
				if err != nil {
					t.Fatal(err)
				}
				got += n
				tail = append(tail[max(0, len(tail)-64):], window[max(0, n-64):n]...)
			}
			if got < 40_000_000 {
				t.Errorf("%s: %d octets", command, got)
			}
		})
	}
}
