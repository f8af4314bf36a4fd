package route

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadHeader(t *testing.T) {
	tests := map[string]struct {
		in   string
		want string // name=value, with |
	}{
		"plain":             {"A: 1\r\nB: 2\r\n\r\nC: body", "A=1|B=2"},
		"bare LF":           {"A: 1\nB: 2\n\nC: body", "A=1|B=2"},
		"mixed":             {"A: 1\nB: 2\r\n\nC: body", "A=1|B=2"},
		"folded":            {"A: 1\r\n  2\r\n\t3\r\nB: 4\r\n\r\n", "A=1  2\t3|B=4"},
		"fold of nothing":   {"A:\r\n\r\n", "A="},
		"space line":        {"A: 1\r\n \r\nB: 2\r\n\r\n", "A=1|B=2"},
		"ends in header":    {"A: 1\r\nB: 2", "A=1|B=2"},
		"ends in a name":    {"A: 1\r\nB", "A=1"},
		"space and colons":  {"A : 1:2\r\nB\t:3\r\n\r\n", "A=1:2|B=3"},
		"twice":             {"a: 1\r\nA: 2\r\n\r\n", "a=1|A=2"},
		"NUL and 8 bit":     {"A: \x00\xff\r\n\r\n", "A=\x00\xff"},
		"bare CR":           {"A: 1\rB: 2\r\nC: 3\r\n\r\n", "A=1\rB: 2|C=3"},
		"line without":      {"A: 1\r\nnonsense\r\n and more: x\r\nB: 2\r\n\r\n", "A=1|B=2"},
		"mailbox file":      {"From ann Mon Nov 23\r\nA: 1\r\n\r\n", "A=1"},
		"quoted From":       {">From ann Mon Nov 23\nA: 1\n\n", "A=1"},
		"name with a space": {"A: 1\r\nB C: 2\r\nD: 3\r\n\r\n", "A=1|D=3"},
		// No header at all.
		"empty":             {"", ""},
		"blank":             {"\r\nA: body", ""},
		"blank LF":          {"\nA: body", ""},
		"text":              {"Dear Ann,\r\nDelivered-To: bob@clinic.example\r\n", ""},
		"begins with space": {" A: 1\r\nB: 2\r\n\r\n", "B=2"},
		"only a colon":      {": 1\r\nB: 2\r\n\r\n", ""},
	}
	for name, tt := range tests {
		for how, r := range map[string]io.Reader{
			"at once": strings.NewReader(tt.in), "one by one": iotest.OneByteReader(strings.NewReader(tt.in)),
			"with EOF": iotest.DataErrReader(strings.NewReader(tt.in)),
		} {
			h, err := ReadHeader(r)
			var got []string
			for _, f := range h.Fields {
				got = append(got, f.Name+"="+f.Value())
			}
			if s := strings.Join(got, "|"); s != tt.want || err != nil || h.Cut {
				t.Errorf("%s, %s: %q, %v; want %q", name, how, s, err, tt.want)
			}
		}
	}
}

func TestHeaderAccess(t *testing.T) {
	h, err := ReadHeader(strings.NewReader("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n =?iso-8859-1?Q?_an_J=FCrg?= =?koi8-r?B?8NLJ18XU?=\r\n" +
		"X: =?nonsense?Q?a?= =?utf-8?Q?broken\r\nx:\r\n  2 \r\nTo: Ann <ann@x.example>\r\n\tto ,bob@y.example\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := h.Text("subject"); got != "Grüße an JürgПривет" {
		t.Errorf("subject: %q", got)
	}
	if got := h.Text("X"); got != "=?nonsense?Q?a?= =?utf-8?Q?broken" {
		t.Errorf("what can't be decoded: %q", got)
	}
	if got := h.Values("X"); len(got) != 2 || got[1] != "2" || h.Count("x") != 2 || h.Get("Y") != "" {
		t.Errorf("values: %q", got)
	}
	if got := h.Fields[2].Raw; got != "\r\n  2 " {
		t.Errorf("raw: %q", got)
	}
	if got := h.Addresses("to"); !slices.Equal(got, []string{"ann@x.example", "bob@y.example"}) {
		t.Errorf("addresses: %q", got)
	}
}

// endless repeats a line, and counts what was taken of it.
type endless struct {
	line string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.line[(e.read+i)%len(e.line)]
	}
	e.read += len(p)
	return len(p), nil
}

func TestReadHeaderIsBounded(t *testing.T) {
	e := &endless{line: "A: 1\r\n"}
	h, err := ReadHeader(e)
	if err != nil || !h.Cut || e.read > MaxHeader || len(h.Fields) != MaxHeader/6 {
		t.Errorf("%d fields, cut %v, %d octets read, %v", len(h.Fields), h.Cut, e.read, err)
	}
	// A line without end has nothing that is whole.
	h, err = ReadHeader(&endless{line: "A: 1"})
	if err != nil || !h.Cut || len(h.Fields) != 0 {
		t.Errorf("%d fields, cut %v, %v", len(h.Fields), h.Cut, err)
	}
	// A reader that gives nothing is not asked for ever.
	if _, err := ReadHeader(strings.NewReader("A: 1\r\n")); err != nil {
		t.Error(err)
	}
	if _, err := ReadHeader(nothing{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// What could be read before a fault is there.
func TestReadHeaderFault(t *testing.T) {
	h, err := ReadHeader(io.MultiReader(strings.NewReader("A: 1\r\nB: 2\r\n"), iotest.ErrReader(io.ErrClosedPipe)))
	if !errors.Is(err, io.ErrClosedPipe) || h.Get("B") != "2" {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestAddresses(t *testing.T) {
	tests := map[string]string{ // result with |
		"ann@x.example":                            "ann@x.example",
		" <ann@x.example> ":                        "ann@x.example",
		"Ann Smith <ann@x.example>, bob@y.example": "ann@x.example|bob@y.example",
		`"Smith, Ann <a@b>" <ann@x.example>`:       "ann@x.example",
		"ann@x.example (Ann, of x@y (z@z))":        "ann@x.example",
		"(x@y) ann@x.example":                      "ann@x.example",
		`"ann smith"@x.example, "a@b,c"@x.example`: `"ann smith"@x.example|"a@b,c"@x.example`,
		"staff: ann@x.example, Bob <b@y.example>;": "ann@x.example|b@y.example",
		"undisclosed-recipients:;":                 "",
		"<@a.example,@b.example:ann@x.example>":    "ann@x.example",
		"ann@[IPv6:2001:db8::1]":                   "ann@[IPv6:2001:db8::1]",
		"=?utf-8?Q?J=C3=BCrg?= <j@x.example>":      "j@x.example",
		"Ann ann@x.example":                        "ann@x.example",
		`"Smith, Ann" ann@x.example`:               "ann@x.example",
		"ann; bob@y.example":                       "bob@y.example",
		`Ann "the < quote <ann@x.example>`:         "ann@x.example",
		"Ann (the comment <ann@x.example>":         "ann@x.example",
		"<ann@x.example":                           "ann@x.example",
		"Ann <>":                                   "",
		"":                                         "",
		"mailto:ann@x.example":                     "ann@x.example",
		"ann@x.example bob@y.example":              "bob@y.example",
	}
	for in, want := range tests {
		if got := strings.Join(addresses(in), "|"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestReceivedFor(t *testing.T) {
	const from = "from mx.x.example (mx.x.example [192.0.2.1]) by y.example (Postfix) with ESMTPS id 4XYZ "
	tests := map[string]string{
		from + "for <ann@x.example>; Mon, 23 Nov 2026 10:00:00 +0000":                     "ann@x.example",
		from + "for ann@x.example; Mon, 23 Nov 2026 10:00:00 +0000":                       "ann@x.example",
		from + "(version=TLS1_3) for <ann@x.example>\r\n (using TLS); Mon, 23 Nov 2026":   "ann@x.example",
		from + "\tFOR\t<ann@x.example> ; Mon":                                             "ann@x.example",
		`from x by y (for <bob@x.example>) id "for <eve@x.example>" for <ann@x.example>;`: "ann@x.example",
		`from x by y for "ann smith"@x.example; Mon`:                                      `"ann smith"@x.example`,
		"from x by y for <@a.example:ann@x.example>; Mon":                                 "ann@x.example",
		"for ann@x.example": "ann@x.example",
		// None.
		from + "; Mon, 23 Nov 2026 for <ann@x.example>": "",
		"(qmail 1234 invoked for bounce); 23 Nov 2026":  "",
		"from x by y for ann; Mon":                      "",
		"from x by y for multiple recipients; Mon":      "",
		"from wait-for ann@x.example; Mon":              "",
		"from x by y for":                               "",
		"from x by y for ":                              "",
		"":                                              "",
	}
	for in, want := range tests {
		if got := receivedFor(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// What is malformed at each octet is gone through once, not once for each.
func TestHostileFields(t *testing.T) {
	for _, piece := range []string{"(", `"`, `\"`, `("`, "<", `<"`, "[:", ":", ",", "a@", "=?", "(for ", `"\`, `<"\`} {
		for _, front := range []string{"", `"`, "(", "<", "[", `<"\`} {
			s := front + strings.Repeat(piece, 64<<10/len(piece))
			addresses(s)
			receivedFor(s)
		}
	}
}
