package users

import (
	"fmt"
	"slices"
	"strings"
)

// CheckName tells whether somebody may have this name. It is that of a mailbox, and so
// of a folder on any of our systems. The error begins with the name.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	switch {
	case name == "" || len(name) > 64: // RFC 5321 §4.5.3.1.1
		return fmt.Errorf("%q: a name has 1 to 64 letters", name)
	case strings.ContainsFunc(name, bad):
		return fmt.Errorf("%q: a name has small letters a-z, digits, dot, dash and underscore only", name)
	case strings.ContainsAny(name[:1], "._-") || name[len(name)-1] == '.':
		return fmt.Errorf("%q: a name begins with a letter or digit, and doesn't end in a dot", name)
	}
	// Windows takes these for devices, with any extension.
	stem, _, _ := strings.Cut(name, ".")
	device := slices.Contains([]string{"con", "prn", "aux", "nul"}, stem) ||
		len(stem) == 4 && (strings.HasPrefix(stem, "com") || strings.HasPrefix(stem, "lpt")) && stem[3] >= '0' && stem[3] <= '9'
	if device {
		return fmt.Errorf("%q: Windows keeps this name for a device", name)
	}
	return nil
}
