package patience

import (
	"strings"
	"testing"
)

func TestLegible(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"", ""},
		{"250 2.0.0 Grüße", "250 2.0.0 Grüße"},
		{"a\r\nb\x1b[31m\x00c", "a??b?[31m?c"},
		{"a\xff\xfeb", "a??b"},
		{"zero\u200bwidth \u202e", "zero?width ?"},
		{strings.Repeat("x", MaxWords), strings.Repeat("x", MaxWords)},
		{strings.Repeat("x", MaxWords+1), strings.Repeat("x", MaxWords) + "..."},
		{"x" + strings.Repeat("ü", MaxWords), "x" + strings.Repeat("ü", MaxWords/2-1) + "..."},
	} {
		if got := Legible(tt.words); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.words, got, tt.want)
		}
	}
}
