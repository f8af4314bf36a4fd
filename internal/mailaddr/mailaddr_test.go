package mailaddr

import (
	"errors"
	"strings"
	"testing"
)

func TestWire(t *testing.T) {
	for _, tt := range []struct {
		addr, plain, utf8 string // as it goes to a server without and with SMTPUTF8
	}{
		{addr: "ann@clinic.example", plain: "ann@clinic.example", utf8: "ann@clinic.example"},
		{addr: `"a b\"c\\"@x`, plain: `"a b\"c\\"@x`, utf8: `"a b\"c\\"@x`},
		{addr: "postmaster", plain: "postmaster", utf8: "postmaster"},
		{addr: "ann@bücher.example", plain: "ann@xn--bcher-kva.example", utf8: "ann@bücher.example"},
		{addr: "jörg@clinic.example", utf8: "jörg@clinic.example"},
		{addr: "jörg@bücher.example", utf8: "jörg@bücher.example"},
		{addr: "ann@bü_cher.example", utf8: "ann@bü_cher.example"},
	} {
		if got, err := Wire(tt.addr, true); got != tt.utf8 || err != nil {
			t.Errorf("%s with SMTPUTF8: %q, %v", tt.addr, got, err)
		}
		if got, err := Wire(tt.addr, false); got != tt.plain || (tt.plain == "") != errors.Is(err, ErrUTF8) {
			t.Errorf("%s without SMTPUTF8: %q, %v", tt.addr, got, err)
		}
	}
}

func TestWireRefuses(t *testing.T) {
	for addr, want := range map[string]string{
		"":              "empty",
		"a\xff@x":       "valid UTF-8",
		"a@x\r\nDATA":   "control character",
		"a\x00@x":       "control character",
		"b@x> SIZE=1 <": "angle bracket",
		`"a>b"@x`:       "angle bracket",
		`"a`:            "doesn't end before the @",
		`"a"b@x`:        "doesn't end before the @",
		`"a\"@x`:        "doesn't end before the @",
		"a b@x":         "outside a quoted part",
		`"a"@x y`:       "outside a quoted part",
		`a\b@x`:         "outside a quoted part",
		"a@ｘ＞ SIZE=1":   "outside a quoted part", // wide forms that IDNA makes narrow
	} {
		for _, smtputf8 := range []bool{false, true} {
			if got, err := Wire(addr, smtputf8); got != "" || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q, %v; want %q", addr, got, err, want)
			}
		}
	}
	// A bracket that only the ASCII form would have.
	if got, err := Wire("a@ｘ＞y", false); got != "" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLocal(t *testing.T) {
	for local, want := range map[string]string{
		"ann": "ann", "a.b+c=d": "a.b+c=d", "jörg": "jörg", "": `""`, "a b": `"a b"`, ".a": `".a"`, "a..b": `"a..b"`, "a.": `"a."`,
		`a"b\c`: `"a\"b\\c"`, "a@b": `"a@b"`, "a>b": `"a>b"`, "a(b)": `"a(b)"`,
	} {
		if got := Local(local); got != want {
			t.Errorf("%q: %s, want %s", local, got, want)
		}
	}
}
