package mailroom

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestResolve(t *testing.T) {
	opt := staff()
	opt.MailDir = t.TempDir()
	m, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for rcpt, want := range map[string]string{
		// Names, aliases and addresses elsewhere.
		"ann@office.example":       "local:ann",
		"ann.lee@office.example":   "local:ann",
		"ann@provider.example":     "local:ann",
		"sales@office.example":     "local:ann local:bob",
		"ANN@Office.EXAMPLE":       "local:ann",
		"ann@office.example.":      "local:ann",
		`"ann"@office.example`:     "local:ann",
		`"a\nn"@office.example`:    "local:ann",
		"bob@provider.example":     "remote:bob@provider.example",
		"Bob@Far.example":          "remote:Bob@Far.example",
		"x@[192.0.2.1]":            "remote:x@[192.0.2.1]",
		"ann@sub.office.example":   "remote:ann@sub.office.example",
		"sales@bücher.example":     "550",
		"nobody@office.example":    "550",
		"nobody":                   "550",
		"unrouted@office.example":  "550",
		"ann.@office.example":      "550",
		"@office.example":          "550",
		"ann@office.example@x.org": "remote:ann@office.example@x.org",
		// International domains in both forms, composed or not.
		"ann@bücher.example":          "local:ann",
		"ann@BU\u0308CHER.example":    "local:ann",
		"ann@xn--bcher-kva.example":   "local:ann",
		"bob+x@XN--BCHER-KVA.example": "local:bob",
		// Details.
		"ann+radio@office.example":  "local:ann",
		"ann+a+b@office.example":    "local:ann",
		"ann+@provider.example":     "local:ann",
		"+ann@office.example":       "550",
		"nobody+ann@office.example": "550",
		// The postmaster.
		"postmaster@office.example":      "local:unrouted",
		"PostMaster@bücher.example":      "local:unrouted",
		"postmaster@gate.office.example": "local:unrouted",
		"postmaster":                     "local:unrouted",
		"postmaster@far.example":         "remote:postmaster@far.example",
	} {
		got, err := m.Resolve(context.Background(), rcpt)
		var refused *smtp.SMTPError
		switch {
		case errors.As(err, &refused):
			if want != "550" || refused.Code != 550 || refused.EnhancedCode != (smtp.EnhancedCode{5, 1, 1}) {
				t.Errorf("%s: %v, want %s", rcpt, err, want)
			}
		case err != nil || names(got) != want:
			t.Errorf("%s: %s, %v; want %s", rcpt, names(got), err, want)
		}
	}
}

// A configured postmaster gets his mail himself, a user may be the one for the rest.
func TestPostmaster(t *testing.T) {
	opt := staff()
	opt.MailDir, opt.Unrouted = t.TempDir(), "bob"
	opt.Users[0].Addresses = append(opt.Users[0].Addresses, "postmaster@office.example")
	m, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for rcpt, want := range map[string]string{"postmaster@office.example": "local:ann", "postmaster@bücher.example": "local:bob"} {
		if got, err := m.Resolve(context.Background(), rcpt); err != nil || names(got) != want {
			t.Errorf("%s: %s, %v", rcpt, names(got), err)
		}
	}
}

func TestForBox(t *testing.T) {
	opt := staff()
	opt.MailDir = t.TempDir()
	m, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	for box, want := range map[string]string{"ann-box": "local:ann", "both": "local:ann local:bob", "new-box": "local:unrouted"} {
		if got := names(m.ForBox(box)); got != want {
			t.Errorf("%s: %s, want %s", box, got, want)
		}
	}
}

// All faults come at once.
func TestFaults(t *testing.T) {
	_, err := New(Options{
		Domains:  []string{"a b", ""},
		Users:    []User{{Name: "../etc"}, {Name: "ann", Addresses: []string{"@x", "x@"}}, {Name: "ann"}},
		Boxes:    map[string][]string{"z": {"zoe"}, "y": {"yve", "ann"}},
		Unrouted: "CON",
	})
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, part := range []string{`no folder`, `"a b" is not`, `"" is not`, `user "../etc"`, `"@x" is not`, `"x@" is not`,
		`two users "ann"`, `box "z": there is no user "zoe"`, `box "y": there is no user "yve"`, `mailbox "CON"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not reported in\n%v", part, err)
		}
	}
}

// Names become folders on any system.
func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"ann": true, "ann.lee": true, "a-b_c.1": true, "console": true, "com10": true, strings.Repeat("a", 64): true,
		"": false, ".": false, "..": false, ".hidden": false, "a/b": false, `a\b`: false, "a:b": false, "Ann": false, "ä": false,
		"a b": false, "end.": false, "-rf": false, "con": false, "nul.txt": false, "com1": false, "lpt9.x": false,
		"a\x00": false, strings.Repeat("a", 65): false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"Ann@Office.EXAMPLE", `"a\"b"@x`, "ü@BÜ.example", "@", "a@b@c", `"`, `"\`, "a@xn--", "a@."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, addr string) {
		_, domain := canonical(addr)
		if again := canonicalDomain(domain); again != domain {
			t.Errorf("domain of %q: %q, then %q", addr, domain, again)
		}
		if strings.Contains(domain, "@") || !strings.Contains(addr, "@") && domain != "" {
			t.Errorf("%q: domain %q", addr, domain)
		}
	})
}
