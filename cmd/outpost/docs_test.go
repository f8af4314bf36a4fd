package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"outpost/internal/config"
	"outpost/internal/route"
)

// What the documentation shows as a configuration is one.
func TestDocsConfigurations(t *testing.T) {
	text, err := os.ReadFile("../../docs/mail.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 2 {
		t.Fatalf("docs/mail.md has %d configurations", len(blocks))
	}
	for _, b := range blocks {
		title, _, _ := strings.Cut(b[1], "\n")
		// The users file of the computer that runs this is not the office's.
		text := strings.Replace(b[1], "[storage]\n", "[storage]\nusers_file = \"users\"\n", 1)
		if !strings.Contains(text, "[storage]") {
			text += "[storage]\nusers_file = \"users\"\n"
		}
		cfg, err := config.Parse(filepath.Join(t.TempDir(), "outpost.toml"), []byte(text))
		if err != nil {
			t.Errorf("%s: %v", title, err)
			continue
		}
		if _, err := route.New(routeOptions(cfg, cfg.Users)); err != nil {
			t.Errorf("%s: %v", title, err)
		}
	}
}
