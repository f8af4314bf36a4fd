package relay

import (
	"slices"
	"time"

	"outpost/internal/patience"
)

const (
	// knownLines and knownWidth bound what is kept of an EHLO reply. What an honest server says is a tenth of it.
	knownLines = 64
	knownWidth = 256
	// limitsLast is how long a limit is believed that was learned from a refusal: nothing would show that it has gone.
	limitsLast = 30 * 24 * time.Hour
)

// Known is what a server was seen to do, for the caller to keep between connections to it; as JSON if that suits. It saves round trips,
// but nothing is taken from it that TLS has to vouch for, and a server that has changed its mind since costs a round trip or a
// connection, never a wrong Result. The zero value is that nothing is known.
type Known struct {
	// At is when Lines were heard.
	At time.Time
	// Lines are its last EHLO reply, after STARTTLS where there is that; at most 64 of 256 octets.
	Lines []string
	// Clear is its EHLO reply before STARTTLS, when Options.TLS was TLSStart.
	Clear []string `json:",omitempty"`
	// MaxMessages for a connection and MaxRecipients for a message are limits that it showed, seen at LimitsAt; 0: none. What its EHLO
	// reply says of limits isn't here.
	MaxMessages   int       `json:",omitempty"`
	MaxRecipients int       `json:",omitempty"`
	LimitsAt      time.Time `json:",omitzero"`
}

// MaxSize is the size in octets over which the server refuses a message (RFC 1870), 0 if it has no limit or none is known. It may be
// called on nil.
func (k *Known) MaxSize() int64 {
	if k == nil {
		return 0
	}
	return parseExtensions(k.Lines).maxSize
}

// Chunking says that the server takes content by BDAT (RFC 3030), so that nothing waits between two messages. It may be called on nil.
func (k *Known) Chunking() bool { return k != nil && parseExtensions(k.Lines).chunking }

// Known is what to give to the next Open for the same server; complete once Drain has returned. Not to be called while it runs.
func (c *Client) Known() Known { return c.known }

// recall takes over what outlasts a connection of what was known.
func recall(k *Known) Known {
	if k == nil || time.Since(k.LimitsAt) > limitsLast {
		return Known{}
	}
	return Known{MaxMessages: max(k.MaxMessages, 0), MaxRecipients: max(k.MaxRecipients, 0), LimitsAt: k.LimitsAt}
}

// bounded is a copy of lines that can be stored.
func bounded(lines []string) []string {
	lines = slices.Clone(lines[:min(len(lines), knownLines)])
	for i, line := range lines {
		lines[i] = patience.Legible(line[:min(len(line), knownWidth)])
	}
	return lines
}
