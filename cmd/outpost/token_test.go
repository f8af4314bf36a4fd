package main

import (
	"strings"
	"testing"
)

// A token is the first line that the program prints; what it complains of is told, and what it printed never is.
func TestTokens(t *testing.T) {
	if tokens(nil) != nil {
		t.Error("a token without a program")
	}
	for script, want := range map[string]string{
		"echo good; echo more":               "good",
		"echo secret; echo no >&2; exit 3":   `"no"`,
		"true":                               "printed nothing",
		"echo; echo 'not the first line'":    "printed nothing",
		"exec /nowhere/at-all; echo 'never'": "exit status",
	} {
		token, err := tokens([]string{"sh", "-c", script})(t.Context())
		said := token
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, want) || err != nil && strings.Contains(said, "secret") {
			t.Errorf("%s: %q", script, said)
		}
	}
}
