package config

import (
	"os"
	"strconv"
	"strings"

	"outpost/internal/route"
)

// The rules that more than one key has to keep. Each adds a fault when it isn't.

func oneOf(f *Faults, where, value string, words ...string) {
	for _, w := range words {
		if value == w {
			return
		}
	}
	f.add(where, quote(value), "must be %s", strings.Join(words, ", "))
}

func between(f *Faults, where string, n, least, most int) {
	if n < least || n > most {
		f.add(where, strconv.Itoa(n), "must be %d to %d", least, most)
	}
}

// hostName wants what may stand in EHLO (RFC 5321 §4.1.1.1).
func hostName(f *Faults, where, name string) {
	ok := name != "" && len(name) <= 253
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}
	if !ok {
		f.add(where, quote(name), "must be a host name of letters, digits, dots and hyphens")
	}
}

// readable names a file that cannot be read before it is needed.
func readable(f *Faults, where, file string) {
	if file == "" {
		return
	}
	if _, err := os.ReadFile(file); err != nil {
		f.add(where, file, "%v", err)
	}
}

func positive(f *Faults, where string, n int64) {
	if n <= 0 {
		f.add(where, strconv.FormatInt(n, 10), "must be more than 0")
	}
}

func notNegative(f *Faults, where string, n int64) {
	if n < 0 {
		f.add(where, strconv.FormatInt(n, 10), "must be 0 or more")
	}
}

// address wants name@domain, and says whether it is.
func address(f *Faults, where, a string) bool {
	err := route.CheckAddress(a)
	if err != nil {
		f.add(where, quote(a), "must be name@domain")
	}
	return err == nil
}

// addressPattern wants an address, @domain for all of one, or a pattern with *.
func addressPattern(f *Faults, where, text string) {
	domain, whole := strings.CutPrefix(text, "@")
	switch {
	case strings.Contains(text, "*"):
	case !whole:
		address(f, where, text)
	case route.CheckDomain(domain) != nil:
		f.add(where, quote(text), "must be name@domain, or @domain for all of it")
	}
}

func domain(f *Faults, where, d string) {
	if route.CheckDomain(d) != nil {
		f.add(where, quote(d), "must be a domain, such as clinic.example")
	}
}

func headerName(f *Faults, where, name string) {
	if !route.IsFieldName(name) {
		f.add(where, quote(name), "must be the name of a header field, such as Delivered-To")
	}
}

// quote shows a value as it would stand in the file.
func quote(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}
