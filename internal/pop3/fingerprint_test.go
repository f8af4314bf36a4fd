package pop3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const printedHeader = "Received: by a\r\nMessage-ID: <1@x>\r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\nFrom: Ann <ann@x>\r\nSubject: a long\r\n one\r\n"

func TestFingerprint(t *testing.T) {
	want := Fingerprint(strings.NewReader(printedHeader + "\r\nbody\r\n"))
	if len(want) != 32 {
		t.Fatalf("%q", want)
	}
	replace := func(old, with string) string { return strings.Replace(printedHeader, old, with, 1) + "\r\nbody\r\n" }
	for name, text := range map[string]string{
		"another body":       printedHeader + "\r\nmore\r\nSubject: of this\r\n",
		"no body":            printedHeader + "\r\n",
		"no end":             printedHeader,
		"LF":                 strings.ReplaceAll(printedHeader, "\r\n", "\n") + "\nbody\n",
		"fields added":       "Return-Path: <>\r\nX-Spam: no\r\n" + printedHeader + "Status: RO\r\n\r\n",
		"a second Subject":   printedHeader + "Subject: two\r\nMESSAGE-ID: <2>\r\n\r\n",
		"names written else": replace("Message-ID:", "message-Id \t:   "),
		"blanks behind":      replace("<1@x>", "<1@x> \t"),
		"mbox":               "From ann Wed\r\n" + printedHeader + "\r\n",
		"a long field":       "X: " + strings.Repeat("x", 100_000) + "\r\n y\r\n" + printedHeader + "\r\n",
		"no colon":           "Subject\r\nDate\r\n" + printedHeader,
	} {
		if got := Fingerprint(strings.NewReader(text)); got != want {
			t.Errorf("%s: %q", name, got)
		}
		if got := Fingerprint(iotest.OneByteReader(strings.NewReader(text))); got != want {
			t.Errorf("%s, in pieces: %q", name, got)
		}
	}
	for name, text := range map[string]string{
		"Message-ID": replace("<1@x>", "<2@x>"), "Date": replace("10:00", "11:00"), "From": replace("Ann", "Eve"), "Subject": replace(" one", " two"),
		"no Subject": replace("Subject:", "X:"), "no Date": replace("Date", "X"), "all in another": replace("\r\nSubject: a", "Subject: a"),
	} {
		if got := Fingerprint(strings.NewReader(text)); got == want || got == "" {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, r := range map[string]io.Reader{
		"no Message-ID": strings.NewReader(replace("Message-ID", "X")), "nothing": strings.NewReader(""),
		"empty Message-ID": strings.NewReader(replace("<1@x>", " ")), "in the body": strings.NewReader("\r\n" + printedHeader),
		"fails": io.MultiReader(strings.NewReader(printedHeader), iotest.ErrReader(errors.New("cut"))),
	} {
		if got := Fingerprint(r); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// An endless header takes no memory, and isn't read to the end.
func TestFingerprintIsBounded(t *testing.T) {
	for _, line := range []string{"Subject: x\r\n", "x", " folded\r\n", "Message-ID: <1>\r\nDate: x\r\n"} {
		r := &endless{line: line}
		allocated := testing.AllocsPerRun(1, func() { _ = Fingerprint(r) })
		if r.read > 3*maxHeader || allocated > 100 {
			t.Errorf("%q: %d octets read, %v allocations", line, r.read, allocated)
		}
	}
}

type endless struct {
	line string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.line)
	e.read += n
	return n, nil
}

// FuzzFingerprint: it is of the header, however that comes, whatever is behind it, and it is a digest or nothing.
func FuzzFingerprint(f *testing.F) {
	f.Add([]byte(printedHeader + "\r\nbody\r\n"))
	f.Add([]byte("date:1\nmessage-id:\n 2\n\n"))
	f.Add([]byte("Date\t: x\r\nMessage-ID \r\n\r\r\nFrom:\x00\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := Fingerprint(bytes.NewReader(text))
		if again := Fingerprint(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(text)))); again != got || len(got) != 0 && len(got) != 32 {
			t.Fatalf("%q: %q, in pieces %q", text, got, again)
		}
		if n := len(text); n < maxHeader/2 {
			padded := append([]byte("X-Before: 1\r\n"), text...)
			if n > 0 && text[0] != ' ' && text[0] != '\t' && Fingerprint(bytes.NewReader(padded)) != got && !bytes.HasPrefix(text, []byte("\n")) && !bytes.HasPrefix(text, []byte("\r")) {
				t.Fatalf("%q: a field more makes it another", text)
			}
		}
	})
}
