package isp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"testing"
	"unicode/utf8"
)

func TestLettersAreRepeatable(t *testing.T) {
	a, b, other := Letters(1, 12, LetterOptions{}), Letters(1, 12, LetterOptions{}), Letters(2, 12, LetterOptions{})
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			t.Errorf("letter %d differs between two runs", i)
		}
		if bytes.Equal(a[i], other[i]) {
			t.Errorf("letter %d is the same with another seed", i)
		}
	}
	if got := Letters(1, 0, LetterOptions{}); len(got) != 0 {
		t.Errorf("no letters are %d", len(got))
	}
}

func TestLettersHaveTheWantedSize(t *testing.T) {
	for _, tt := range []struct {
		n     int
		bytes int64
	}{{1, 20_000}, {6, 60_000}, {10, 40_000}, {40, 400_000}, {7, 1 << 20}, {100, 0}} {
		want := tt.bytes
		if want == 0 {
			want = int64(tt.n) * 4096
		}
		var sum int64
		for _, m := range Letters(7, tt.n, LetterOptions{Bytes: tt.bytes}) {
			sum += int64(len(m))
		}
		if diff := sum - want; diff*100 < -7*want || diff*100 > 7*want {
			t.Errorf("%d letters have %d octets, want %d", tt.n, sum, want)
		}
	}
}

// Whatever the size, a letter is mail that any server takes: parseable, CRLF
// only, no line over 998 octets (RFC 5322 §2.1.1), and known by its
// Message-ID.
func TestLettersAreMail(t *testing.T) {
	seen := make(map[string]bool)
	for _, opt := range []LetterOptions{{}, {Bytes: 1}, {Bytes: 300_000, Traced: true}, {From: []string{"x@y.example"}, To: []string{"a@b.example", "c@d.example"}}} {
		for i, msg := range Letters(int64(len(seen)), 18, opt) {
			t.Run(fmt.Sprintf("%+v/%d", opt, i), func(t *testing.T) {
				for line := range bytes.Lines(msg) {
					if !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsAny(line[:len(line)-2], "\r\n") || len(line) > 1000 {
						t.Errorf("line of %d octets: %.80q", len(line), line)
					}
				}
				m, err := mail.ReadMessage(bytes.NewReader(msg))
				if err != nil {
					t.Fatal(err)
				}
				id := m.Header.Get("Message-ID")
				if _, err := m.Header.Date(); err != nil || seen[id] {
					t.Errorf("Message-ID %q seen %v; date: %v", id, seen[id], err)
				}
				seen[id] = true
				if _, err := m.Header.AddressList("To"); err != nil {
					t.Error(err)
				}
				checkBody(t, m)
			})
		}
	}
}

// checkBody decodes a letter's content.
func checkBody(t *testing.T, m *mail.Message) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if kind == "multipart/mixed" {
		parts := 0
		for r := multipart.NewReader(m.Body, params["boundary"]); ; parts++ {
			part, err := r.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			decode(t, part, part.Header.Get("Content-Transfer-Encoding"))
		}
		if parts != 2 {
			t.Errorf("report has %d parts", parts)
		}
		return
	}
	text := decode(t, m.Body, m.Header.Get("Content-Transfer-Encoding"))
	if !utf8.Valid(text) {
		t.Error("text isn't UTF-8")
	}
}

func decode(t *testing.T, r io.Reader, encoding string) []byte {
	t.Helper()
	switch encoding {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s content: %v", encoding, err)
	}
	return content
}

// The awkward things that the letters are there for do occur.
func TestLettersAreAwkward(t *testing.T) {
	all := bytes.Join(Letters(3, int(kinds), LetterOptions{}), nil)
	for what, want := range map[string]string{
		"a lone dot": "\r\n.\r\n", "a line with a dot in front": "\r\n.hidden", "8bit": "encoding: 8bit",
		"quoted-printable": "=C3=", "base64": "encoding: base64", "an encoded subject": "Subject: =?utf-8?q?",
	} {
		if !bytes.Contains(bytes.ReplaceAll(all, []byte("Encoding"), []byte("encoding")), []byte(want)) {
			t.Errorf("no letter has %s", what)
		}
	}
	longest := 0
	for line := range bytes.Lines(all) {
		longest = max(longest, len(line))
	}
	if longest != 1000 {
		t.Errorf("longest line has %d octets, want 1000", longest)
	}
}
