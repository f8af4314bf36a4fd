package route

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// address is an address in the form in which the office compares.
type address struct{ local, domain string }

func (a address) String() string { return a.local + "@" + a.domain }

// canonical takes an address apart into the form in which the office compares. The
// domain never depends on case; the local part may by RFC 5321 §2.4, which leaves
// that to the host that owns it, and in an office Ann and ann are one. UTF-8 is
// compared composed (RFC 6530 §10.1), a domain in its xn-- form. The domain is empty
// when there is no @.
func canonical(addr string) address {
	local, domain := addr, ""
	if i := strings.LastIndexByte(addr, '@'); i >= 0 {
		local, domain = addr[:i], canonicalDomain(addr[i+1:])
	}
	return address{fold(unquote(local)), domain}
}

// fold is the form in which text is compared: small letters, composed.
func fold(s string) string { return norm.NFC.String(strings.ToLower(s)) }

// unquote takes the quotes off a quoted local part: they only carry it (RFC 5321
// §4.1.2).
func unquote(local string) string {
	inner, ok := strings.CutPrefix(local, `"`)
	if !ok {
		return local
	}
	if inner, ok = strings.CutSuffix(inner, `"`); !ok {
		return local
	}
	var b strings.Builder
	escaped := false
	for _, r := range inner {
		if escaped = r == '\\' && !escaped; !escaped {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// canonicalDomain is the domain as the DNS would look it up (RFC 5891 §5), without
// the root's dot. What can't be, such as a name with an underscore, is only made small.
func canonicalDomain(d string) string {
	if !plainDomain(d) {
		if ascii, err := idna.Lookup.ToASCII(d); err == nil {
			d = ascii
		}
	}
	return strings.TrimRight(strings.ToLower(d), ".")
}

// plainDomain tells whether making it small is all there is to do: most are such, and
// the tables of IDNA are slow.
func plainDomain(d string) bool {
	for i := range len(d) {
		if c := d[i]; c >= utf8.RuneSelf {
			return false
		}
	}
	return !strings.Contains(strings.ToLower(d), "xn--")
}

// CheckAddress tells whether addr can be somebody's address: it may be put into an SMTP
// command as it is.
func CheckAddress(addr string) error {
	i := strings.LastIndexByte(addr, '@')
	if i <= 0 || !utf8.ValidString(addr) || CheckDomain(addr[i+1:]) != nil || !checkLocal(addr[:i]) {
		return fmt.Errorf("%q is not an address", addr)
	}
	return nil
}

// checkLocal follows RFC 5321 §4.1.2 in what it is not to contain, and no further: there
// are addresses with two dots.
func checkLocal(local string) bool {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>()[],:;@*"\`, r) }
	if !strings.HasPrefix(local, `"`) {
		return !strings.ContainsFunc(local, bad)
	}
	c := scanner{s: local}
	return len(c.quoted()) == len(local) && local != `"` && !strings.ContainsFunc(local, unicode.IsControl)
}

// CheckDomain tells whether d can be a domain.
func CheckDomain(d string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`@*<>,;"\()/`, r) }
	if canonicalDomain(d) == "" || strings.ContainsFunc(d, bad) || !utf8.ValidString(d) {
		return fmt.Errorf("%q is not a domain", d)
	}
	return nil
}

// CheckName tells whether a mailbox may have this name: it becomes the name of a
// folder, on any of our systems, and is never to lead out of its parent. The error
// begins with the name.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	switch {
	case name == "" || len(name) > 64: // RFC 5321 §4.5.3.1.1
		return fmt.Errorf("%q: the name must have 1 to 64 letters", name)
	case strings.ContainsFunc(name, bad):
		return fmt.Errorf("%q: the name may have small letters a-z, digits, dot, dash and underscore only", name)
	case name[0] == '.' || name[0] == '-' || name[len(name)-1] == '.':
		return fmt.Errorf("%q: the name must not begin with a dot or a dash, nor end in a dot", name)
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
