package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// A person types a password twice, unseen; two that differ change nothing.
func TestPasswordIsTypedTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "outpost.toml")
	text := "[office]\nname = \"gw.clinic.example\"\ndomains = [\"clinic.example\"]\n[storage]\ndir = \"data\"\nsocket = \"s\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typed, says string
		code        int
	}{
		{"secret\nsecrte\n", "the two are not the same", exitUsage},
		{"secret\nsecret\n", "added dave: dave@clinic.example", exitOK},
	} {
		keyboard, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keyboard.WriteString(c.typed); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := run(t.Context(), []string{"user", "add", "dave", "--config", path}, stdio{tty, &out, &out})
		if code != c.code || !strings.Contains(out.String(), "password: \nonce more: \n") || !strings.Contains(out.String(), c.says) {
			t.Errorf("exit code %d: %s", code, &out)
		}
		_ = tty.Close()
		_ = keyboard.Close()
	}
}
