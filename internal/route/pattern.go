package route

import (
	"fmt"
	"strings"
)

// pattern is a text with * for any text, made ready. Without * it is to be contained.
type pattern struct {
	parts []string // folded; one: contained
	said  string   // for a person
}

func newPattern(what, text string) pattern {
	p := pattern{parts: strings.Split(fold(text), "*"), said: what + " contains " + text}
	if len(p.parts) > 1 {
		p.said = what + " is " + text
	}
	return p
}

// match tells whether the folded text is as the pattern says.
func (p pattern) match(s string) bool {
	n := len(p.parts) - 1
	if n == 0 {
		return strings.Contains(s, p.parts[0])
	}
	s, ok := strings.CutPrefix(s, p.parts[0])
	if !ok {
		return false
	}
	for _, part := range p.parts[1:n] {
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(s, p.parts[n])
}

// addressPattern is an address, all of a domain, or a pattern for a whole address.
type addressPattern struct {
	exact  address // domain only: every address there
	glob   pattern
	isGlob bool
	said   string
}

func newAddressPattern(what, text string) (addressPattern, error) {
	p := addressPattern{said: what + " " + text}
	local, domain, ok := strings.Cut(text, "@")
	switch {
	case strings.Contains(text, "*"):
		if i := strings.LastIndexByte(text, '@'); i >= 0 && !strings.Contains(text[i:], "*") {
			text = text[:i+1] + canonicalDomain(text[i+1:])
		}
		p.glob, p.isGlob = newPattern("", text), true
		if strings.HasPrefix(text, "@") {
			p.glob = newPattern("", "*"+text)
		}
		return p, nil
	case ok && local == "":
		p.exact.domain = canonicalDomain(domain)
		return p, CheckDomain(domain)
	}
	p.exact = canonical(text)
	if err := CheckAddress(text); err != nil {
		return p, fmt.Errorf("%w, nor @domain, nor a pattern with *", err)
	}
	return p, nil
}

func (p *addressPattern) match(a address) bool {
	switch {
	case p.isGlob:
		return p.glob.match(a.String())
	case p.exact.local == "":
		return a.domain == p.exact.domain
	}
	return a == p.exact
}
