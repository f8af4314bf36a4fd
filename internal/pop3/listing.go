package pop3

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxUIDL tolerates what some servers give; RFC 1939 §7 allows 70 characters.
	maxUIDL = 255
	// byContent begins the identification of a message by its text.
	byContent = "sha256:"
)

// entry is a message in the server's listing.
type entry struct {
	number int
	size   int64  // octets as LIST has it, seldom exact
	uidl   string // "" if it has none that is good
	// identity is what the Store knows the message by; "" if that takes its content.
	identity string
}

// parseList reads the lines of LIST (RFC 1939 §5) into entries in their order. Lines that make no sense come back as bad.
func parseList(lines []string) (entries []entry, bad []string) {
	known := make(map[int]bool, len(lines))
	for _, line := range lines {
		number, rest, ok := numbered(line)
		size, _, _ := strings.Cut(rest, " ") // RFC 1939 §5 lets more follow, and discourages it
		octets, err := strconv.ParseInt(size, 10, 64)
		if !ok || err != nil || octets < 0 || known[number] {
			bad = append(bad, line)
			continue
		}
		known[number] = true
		entries = append(entries, entry{number: number, size: octets})
	}
	return entries, bad
}

// parseUIDL reads the lines of UIDL (RFC 1939 §7). Those without a good UIDL are left out: their messages are known by content.
func parseUIDL(lines []string) map[int]string {
	uidls := make(map[int]string, len(lines))
	for _, line := range lines {
		number, uidl, ok := numbered(line)
		if _, twice := uidls[number]; twice {
			uidls[number] = "" // two for one message: neither can be relied on
		} else if ok && goodUIDL(uidl) {
			uidls[number] = uidl
		}
	}
	return uidls
}

// numbered takes a line that begins with a message number apart.
func numbered(line string) (number int, rest string, ok bool) {
	first, rest, _ := strings.Cut(line, " ")
	number, err := strconv.Atoi(first)
	return number, strings.Trim(rest, " "), err == nil && number > 0
}

// goodUIDL: characters of RFC 1939 §7, a tolerant length.
func goodUIDL(uidl string) bool {
	return uidl != "" && len(uidl) <= maxUIDL &&
		!strings.ContainsFunc(uidl, func(r rune) bool { return r < 0x21 || r > 0x7e })
}

// identify gives each entry its UIDL, and its identity where the UIDL is one: good, unique in this listing, and not known from earlier
// to be shared.
func identify(entries []entry, uidls map[int]string, seen map[string]Seen) {
	count := make(map[string]int, len(entries))
	for i := range entries {
		entries[i].uidl = uidls[entries[i].number]
		count[entries[i].uidl]++
	}
	shared := make(map[string]bool)
	for id := range seen {
		if uidl, hash, _ := splitIdentity(id); hash && uidl != "" {
			shared[uidl] = true
		}
	}
	for i := range entries {
		if uidl := entries[i].uidl; uidl != "" && count[uidl] == 1 && !shared[uidl] {
			entries[i].identity = uidl
		}
	}
}

// contentIdentity identifies a message by the hash of its text, within those of its UIDL if it has one.
func contentIdentity(uidl string, sum []byte) string {
	id := byContent + hex.EncodeToString(sum)
	if uidl != "" {
		id = uidl + " " + id // a blank can't be part of a UIDL
	}
	return id
}

// splitIdentity takes an identity apart; hash says that it is by content.
func splitIdentity(id string) (uidl string, hash, ok bool) {
	uidl, sum, cut := strings.Cut(id, " ")
	switch {
	case cut:
		return uidl, true, strings.HasPrefix(sum, byContent)
	case len(id) == len(byContent)+hex.EncodedLen(sha256.Size) && strings.HasPrefix(id, byContent):
		return "", true, true
	}
	return id, false, true
}

// describe names an entry for a person.
func (e entry) describe() string {
	if e.uidl == "" {
		return fmt.Sprintf("message %d (%d octets)", e.number, e.size)
	}
	return fmt.Sprintf("message %d (%s, %d octets)", e.number, e.uidl, e.size)
}
