package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/mail"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestLines(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"a\r\nb\r\n", "a\r\nb\r\n"},
		{"a", "a\r\n"},
		{"\r\n", "\r\n"},
		// Bare ends.
		{"a\nb\n", "a\r\nb\r\n"},
		{"a\rb\r", "a\r\nb\r\n"},
		{"a\n\nb", "a\r\n\r\nb\r\n"},
		{"a\r\rb", "a\r\n\r\nb\r\n"},
		{"a\n\rb", "a\r\n\r\nb\r\n"},
		// Runs of CR.
		{"a\r\r\nb", "a\r\nb\r\n"},
		{"a\r\r\r\r\r\nb", "a\r\nb\r\n"},
		{"a\r\r\r\r\rb", "a\r\n\r\nb\r\n"},
		// Everything else stays.
		{"\x00", "\x00\r\n"},
		{"\x00\xff ü\t\r\n", "\x00\xff ü\t\r\n"},
		{".\r\n..\r\n", ".\r\n..\r\n"},
	}
	for _, tt := range tests {
		for _, one := range []bool{false, true} {
			var src io.Reader = strings.NewReader(tt.in)
			if one {
				src = iotest.OneByteReader(src)
			}
			got, err := io.ReadAll(&lines{src: src})
			if err != nil || string(got) != tt.want {
				t.Errorf("%q becomes %q, %v; want %q", tt.in, got, err, tt.want)
			}
		}
	}
}

// Only after an even run of CR has go-smtp lost track, and only by DATA.
func TestLinesUnclear(t *testing.T) {
	for in, want := range map[string]bool{
		"a\r\r\n.b": true, "a\r\r\r\r\n.": true, "a\r\n.b": false, "a\r\r\r\n.b": false,
		"a\n.b": false, "a\r\r\nb.": false, "a\r\r\n\r\n.b": false,
	} {
		for _, dotted := range []bool{true, false} {
			_, err := io.ReadAll(&lines{src: iotest.OneByteReader(strings.NewReader(in)), dotted: dotted})
			if got := errors.Is(err, errUnclearEnd); got != (want && dotted) {
				t.Errorf("%q, dotted %v: %v", in, dotted, err)
			}
		}
	}
}

// An error is handed on after what came before it, without a line end made up.
func TestLinesError(t *testing.T) {
	broken := errors.New("line dead")
	got, err := io.ReadAll(&lines{src: io.MultiReader(strings.NewReader("ab\rc"), iotest.ErrReader(broken))})
	if err != broken || string(got) != "ab\r\nc" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{"\x00", "a\r\nb", "\r\r\n.", "\n.\n", "\r", strings.Repeat("\r", 5000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := io.ReadAll(&lines{src: bytes.NewReader(in)})
		if err != nil {
			t.Fatal(err)
		}
		wantCRLF(t, got)
		ends := func(c rune) bool { return c == '\r' || c == '\n' }
		if want := bytes.Join(bytes.FieldsFunc(in, ends), nil); !bytes.Equal(bytes.Join(bytes.FieldsFunc(got, ends), nil), want) {
			t.Errorf("more than line ends changed: %q to %q", in, got)
		}
		again, _ := io.ReadAll(&lines{src: bytes.NewReader(got)})
		if !bytes.Equal(again, got) {
			t.Errorf("not stable: %q, then %q", got, again)
		}
	})
}

// stamp runs content through a stamper with short names for what it adds.
func stamp(in string, size int) (string, error) {
	s := &stamper{
		src: bufio.NewReaderSize(&lines{src: strings.NewReader(in)}, size),
		top: "R: r\r\n",
		add: []field{{name: "Date", value: "d"}, {name: "Message-ID", value: "<m>"}},
	}
	got, err := io.ReadAll(iotest.OneByteReader(s))
	return string(got), err
}

func TestStamper(t *testing.T) {
	const both = "Date: d\r\nMessage-ID: <m>\r\n"
	tests := []struct{ name, in, want string }{
		{"nothing missing", "Date: x\r\nMessage-Id: y\r\nA: b\r\n\r\nbody\r\n", "Date: x\r\nMessage-Id: y\r\nA: b\r\n\r\nbody\r\n"},
		{"any case", "DATE: x\r\nmessage-id : y\r\n\r\n", "DATE: x\r\nmessage-id : y\r\n\r\n"},
		{"both missing", "A: b\r\n\r\nDate: in the body\r\n", "A: b\r\n" + both + "\r\nDate: in the body\r\n"},
		{"one missing", "A: b\r\nDate: x\r\n\r\n", "A: b\r\nDate: x\r\nMessage-ID: <m>\r\n\r\n"},
		{"in a continuation it is no field", "A: b\r\n Date: x\r\n\r\n", "A: b\r\n Date: x\r\n" + both + "\r\n"},
		{"no body", "A: b\r\n", "A: b\r\n" + both + "\r\n"},
		{"empty", "", both + "\r\n"},
		{"no header", "\r\nbody\r\n", both + "\r\nbody\r\n"},
		{"no header, no blank line", "Hello you\r\nMessage-ID: x\r\n", both + "\r\nHello you\r\nMessage-ID: x\r\n"},
		{"begins with a continuation", " x: y\r\n\r\n", both + "\r\n x: y\r\n\r\n"},
		{"broken in the middle", "A: b\r\noops\r\nDate: x\r\n", "A: b\r\n" + both + "\r\noops\r\nDate: x\r\n"},
		{"from a mailbox file", "From x@y Mon Nov 23\r\nA: b\r\n\r\n", "From x@y Mon Nov 23\r\nA: b\r\n" + both + "\r\n"},
		{"the same, quoted", ">From x@y Mon Nov 23\r\nDate: x\r\nMessage-ID: y\r\n\r\n", ">From x@y Mon Nov 23\r\nDate: x\r\nMessage-ID: y\r\n\r\n"},
		{"not the first line of one", "A: b\r\nFrom x@y\r\n", "A: b\r\n" + both + "\r\nFrom x@y\r\n"},
		{"8 bit name", "Ä: b\r\n\r\n", both + "\r\nÄ: b\r\n\r\n"},
		{"long lines", "A: " + strings.Repeat("Date: x ", 100) + "\r\n\r\n" + strings.Repeat("y", 999) + "\r\n", "A: " + strings.Repeat("Date: x ", 100) + "\r\n" + both + "\r\n" + strings.Repeat("y", 999) + "\r\n"},
	}
	for _, tt := range tests {
		for _, size := range []int{16, 4096} {
			got, err := stamp(tt.in, size)
			if err != nil || got != "R: r\r\n"+tt.want {
				t.Errorf("%s, buffer %d: %q, %v; want %q", tt.name, size, got, err, tt.want)
			}
		}
	}
}

// The guard counts hops in the header, not in the body of a bounce.
func TestHops(t *testing.T) {
	line := "rECEIVED: from x\r\n by y\r\n"
	if _, err := stamp(strings.Repeat(line, maxHops)+"\r\n"+strings.Repeat(line, 100), 4096); err != nil {
		t.Errorf("%d hops: %v", maxHops, err)
	}
	if _, err := stamp(strings.Repeat(line, maxHops+1)+"\r\n", 4096); !errors.Is(err, errTooManyHops) {
		t.Errorf("%d hops: %v", maxHops+1, err)
	}
}

func FuzzStamper(f *testing.F) {
	f.Add("A: b\r\n\r\nbody")
	f.Add("oops")
	f.Add("Date: x\r\n y\r\nMessage-ID: z\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := stamp(in, 64)
		if errors.Is(err, errTooManyHops) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(got))
		if err != nil {
			return // Field names that net/mail is stricter about.
		}
		if m.Header.Get("Date") == "" && m.Header["Date"] == nil || m.Header["Message-Id"] == nil {
			t.Errorf("fields are missing in %q", got)
		}
	})
}

func TestReceived(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	tests := []struct {
		name string
		s    session
		tx   transaction
		user string
		want string
	}{
		{"plain", session{client: v4, helo: "pc1"}, transaction{id: "x-1", rcpts: []string{"a@b.c"}}, "",
			"from pc1 ([192.0.2.7])\r\n\tby gate (Outpost) with ESMTP id x-1\r\n\tfor <a@b.c>;\r\n\tWed, 04 Mar 2026 05:06:07 +0100\r\n"},
		{"v6, two recipients, user", session{client: v6, helo: "[IPv6:2001:db8::7]"}, transaction{id: "x-2", rcpts: []string{"a@b.c", "d@e.f"}}, "ann",
			"from [IPv6:2001:db8::7] ([IPv6:2001:db8::7])\r\n\tby gate (Outpost) with ESMTPA id x-2;\r\n\tWed, 04 Mar 2026 05:06:07 +0100\r\n"},
		{"forged name", session{client: v4, helo: "evil)\tby(me"}, transaction{id: "x-3", utf8: true}, "",
			"from [192.0.2.7]\r\n\tby gate (Outpost) with UTF8SMTP id x-3;\r\n\tWed, 04 Mar 2026 05:06:07 +0100\r\n"},
		{"nothing known", session{helo: "ü"}, transaction{id: "x-4"}, "",
			"from unknown\r\n\tby gate (Outpost) with ESMTP id x-4;\r\n\tWed, 04 Mar 2026 05:06:07 +0100\r\n"},
	}
	for i := range tests {
		tt := &tests[i]
		t.Run(tt.name, func(t *testing.T) {
			tt.s.srv = &Server{opt: Options{Hostname: "gate"}}
			if got := tt.s.received(tt.tx, tt.user, now); got != "Received: "+tt.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestParseMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"ann@office.example":             "ann@office.example",
		"a.b+c@x_y.example":              "a.b+c@x_y.example",
		"a b@x.example":                  `"a b"@x.example`,
		`a"\b@x.example`:                 `"a\"\\b"@x.example`,
		"a@b@c.example":                  `"a@b"@c.example`,
		".a@c.example":                   `".a"@c.example`,
		"a> SIZE=1@c.example":            `"a> SIZE=1"@c.example`,
		"ü@bücher.example":               "ü@bücher.example",
		"a@[192.0.2.1]":                  "a@[192.0.2.1]",
		"a@[IPv6:2001:db8::1]":           "a@[IPv6:2001:db8::1]",
		"a@[]":                           "",
		"a@[x y]":                        "",
		"a@b..c":                         "",
		"a@":                             "",
		"@b.example":                     "",
		"a":                              "",
		"a@b\x00c":                       "",
		"a\x7f@b.example":                "",
		"\xff@b.example":                 "",
		"a@b(c)":                         "",
		"a@b;c":                          "",
		strings.Repeat("a", 65) + "@b.c": "",
		"a@" + strings.Repeat("b", 64):   "",
	} {
		got, err := parseMailbox(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// What comes out can stand between < and > in a command.
func FuzzParseMailbox(f *testing.F) {
	for _, s := range []string{"a@b.c", `"@x.y`, "a>@b.c", "ü@ü", "a@[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		addr, err := parseMailbox(in)
		if err != nil {
			return
		}
		if strings.ContainsAny(addr, "\r\n\x00") {
			t.Errorf("%q has control characters", addr)
		}
		local, domain := cutAddr(addr)
		if strings.ContainsAny(domain, "<> @\"") || !strings.HasPrefix(local, `"`) && strings.ContainsAny(local, "<> @\"") {
			t.Errorf("%q isn't safe to send", addr)
		}
	})
}
