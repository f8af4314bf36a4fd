package config

import (
	"strings"
	"testing"
)

// A value of the wrong type is a fault that somebody can read who doesn't know what the program is written in.
func TestWrongTypes(t *testing.T) {
	for line, want := range map[string]string{
		"name = 5":                             "must be a text in quotes",
		`domains = "x.example"`:                "must be texts in quotes and brackets",
		"[smtp]\nmax_recipients = \"5\"":       "must be a whole number without quotes",
		"[[user]]\nmay_call = \"yes\"":         "must be true or false, without quotes",
		"[[user]]\nhold_in_above_bytes = \"\"": "must be a whole number without quotes",
	} {
		_, err := Parse("x.toml", []byte("[office]\n"+line+"\n"))
		if err == nil || !strings.Contains(err.Error(), ": "+want) || strings.Contains(err.Error(), "struct field") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
