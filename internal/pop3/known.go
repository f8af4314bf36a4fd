package pop3

import (
	"slices"
	"strings"
	"time"
)

const (
	// freshness of what is known of a server: after it the server is asked again. A server that was changed since costs one failed
	// connection; to ask costs a round trip a session.
	freshness = 30 * 24 * time.Hour
	// maxCapabilities and maxCapability bound what is kept: RFC 2449 §3 allows a line 512 octets, and knows a dozen of them.
	maxCapabilities = 64
	maxCapability   = 512
)

// Known is what a session saw of a server and the next one needn't ask. It is to be stored as JSON, for a server, port and TLS mode.
type Known struct {
	// At is when the server said so; after 30 days it is asked again.
	At time.Time `json:"at"`
	// Capabilities are the lines of CAPA (RFC 2449 §5), as valid for the log-in, after TLS; none where the server doesn't know CAPA.
	Capabilities []string `json:"capabilities,omitempty"`
	// NoPlain is that it offered SASL PLAIN and refused it, so that USER and PASS are what to try.
	NoPlain bool `json:"no_plain,omitempty"`
}

// fresh says that k can be relied on now. A nil Known can't, nor one from the future.
func (k *Known) fresh(now time.Time) bool {
	return k != nil && !k.At.After(now) && now.Sub(k.At) < freshness
}

// has says that the server has a capability, with the parameter unless that is "".
func (k *Known) has(capability, parameter string) bool {
	for _, line := range k.Capabilities {
		words := strings.Fields(strings.ToUpper(line))
		if len(words) > 0 && words[0] == capability && (parameter == "" || slices.Contains(words[1:], parameter)) {
			return true
		}
	}
	return false
}

// bounded is what of the lines of CAPA is worth keeping.
func bounded(lines []string) []string {
	lines = slices.DeleteFunc(lines, func(l string) bool { return len(l) > maxCapability })
	return slices.Clip(lines[:min(len(lines), maxCapabilities)])
}
