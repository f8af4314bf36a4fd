package main

import (
	"bytes"
	"crypto/tls"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"outpost/internal/isp"
	"outpost/modem/modemtest"
)

// Whom the commands add, change or disable is known at the door at once, of an office
// that runs.
func TestUserCommandsReachTheDoor(t *testing.T) {
	r := newRig(t, isp.Options{TLS: isp.TLSNone}, modemtest.Options{})
	text := r.configuration(isp.TLSNone)
	if err := os.WriteFile(filepath.Join(r.dir, "outpost.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.open(text)
	do := func(password string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		args = append([]string{"user", "--config", filepath.Join(r.dir, "outpost.toml")}, args...)
		if code := run(t.Context(), args, stdio{strings.NewReader(password + "\n"), &out, &out}); code != exitOK {
			t.Fatalf("%v: exit code %d: %s", args, code, &out)
		}
	}
	signsIn := func(name, password string, want bool) {
		t.Helper()
		c, err := smtp.Dial(r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "127.0.0.1"}); err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(smtp.PlainAuth("", name, password, "127.0.0.1")); (err == nil) != want {
			t.Errorf("%s with %q: %v", name, password, err)
		}
	}
	signsIn("carol", "secret", false)
	do("secret", "add", "carol")
	if places, _ := r.office.book.table().Address("carol@clinic.example"); len(places) != 1 || places[0] != "carol" {
		t.Errorf("mail to carol goes to %v", places)
	}
	signsIn("carol", "secret", true)
	do("other", "passwd", "carol")
	signsIn("carol", "secret", false)
	signsIn("carol", "other", true)
	do("", "disable", "carol")
	signsIn("carol", "other", false)
	do("", "enable", "carol")
	signsIn("carol", "other", true)
	do("secret", "passwd", "ann") // of the configuration
	signsIn("ann", "secret", true)
}
