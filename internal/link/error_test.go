package link

import (
	"errors"
	"net/netip"
	"testing"
)

// TestErrorWords: a person reads what was to be reached, what is wrong, and who
// says so.
func TestErrorWords(t *testing.T) {
	cause := errors.New("cause")
	for want, e := range map[string]*Error{
		"link: pop.example: unknown host (name server 10.1.0.1)": {Kind: UnknownHost, Address: "pop.example", Server: farAddr},
		"link: pop.example:110: connection refused":              {Kind: Refused, Address: "pop.example:110", Server: netip.Addr{}},
		"link: pop.example:110: the line is down: cause":         {Kind: LineLost, Address: "pop.example:110", Err: cause},
		"link: connection failed: cause":                         {Kind: ConnectionFault, Err: cause},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if e.Err != nil && !errors.Is(e, cause) {
			t.Errorf("%v hides its cause", e)
		}
	}
	words := make(map[string]Kind)
	for k := UnknownHost; k <= ConnectionFault; k++ {
		if other, taken := words[k.String()]; taken {
			t.Errorf("%d and %d are both %q", k, other, k)
		}
		words[k.String()] = k
	}
}
