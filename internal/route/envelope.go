package route

import "strings"

// scanner goes through the value of a field that has addresses. A quoted string or a comment
// without an end is text, and so is all after it: what is malformed must not be gone through
// again from each of its brackets.
type scanner struct {
	s string
	i int
	// openQuote, openComment: from some place before i there is no end of it.
	openQuote, openComment bool
}

// quoted passes over the quoted string that begins here, or over its quote.
func (c *scanner) quoted() string {
	start := c.i
	c.i++
	if c.openQuote {
		return c.s[start:c.i]
	}
	for i := c.i; i < len(c.s); i++ {
		switch c.s[i] {
		case '\\':
			i++
		case '"':
			c.i = i + 1
			return c.s[start:c.i]
		}
	}
	c.openQuote = true
	return c.s[start:c.i]
}

// comment passes over the comment, with others in it, that begins here, or over its
// bracket.
func (c *scanner) comment() {
	start, depth := c.i, 0
	c.i++
	if c.openComment {
		return
	}
	for i := start; i < len(c.s); i++ {
		switch c.s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				c.i = i + 1
				return
			}
		}
	}
	c.openComment = true
}

// angle passes over <...> and gives the address in it, without a source route (RFC 5321
// §4.1.2, Appendix C). Without its end it is all that follows.
func (c *scanner) angle() string {
	start := c.i + 1
	end := len(c.s)
	for c.i = start; c.i < len(c.s); {
		if c.s[c.i] == '"' {
			c.quoted()
			continue
		}
		c.i++
		if b := c.s[c.i-1]; b == '<' {
			start = c.i
		} else if b == '>' {
			end = c.i - 1
			break
		}
	}
	addr := strings.TrimSpace(c.s[start:end])
	if strings.HasPrefix(addr, "@") {
		if _, after, ok := strings.Cut(addr, ":"); ok {
			return after
		}
	}
	return addr
}

// addresses finds the addresses in a list of them (RFC 5322 §3.4), leaving out names, comments
// and the names of groups. Angle brackets are optional, as in Delivered-To.
func addresses(value string) []string {
	var out []string
	var word []byte // of the present address, outside of brackets
	inAngle := ""
	literal := false // word has a [
	flush := func() {
		a := inAngle
		if a == "" {
			a = bareAddress(string(word))
		}
		if strings.Contains(a, "@") {
			out = append(out, a)
		}
		word, inAngle, literal = word[:0], "", false
	}
	for c := (scanner{s: value}); c.i < len(c.s); {
		switch b := c.s[c.i]; b {
		case '"':
			word = append(word, c.quoted()...)
			continue
		case '(':
			c.comment()
			word = append(word, ' ')
			continue
		case '<':
			inAngle = c.angle()
			continue
		case ',', ';':
			flush()
		case ':':
			if literal { // of IPv6
				word = append(word, b)
			} else { // the name of a group ends
				word = word[:0]
			}
		default:
			literal = literal || b == '['
			word = append(word, b)
		}
		c.i++
	}
	flush()
	return out
}

// bareAddress is what an address without brackets is among other words.
func bareAddress(s string) string {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, `"`) {
		c := scanner{s: s}
		local := c.quoted()
		if rest := s[c.i:]; strings.HasPrefix(rest, "@") {
			return local + firstWord(rest)
		}
		s = s[c.i:]
	}
	found := ""
	for w := range strings.FieldsSeq(s) {
		if strings.Contains(w, "@") {
			found = w
		}
	}
	return found
}

// receivedFor is the address of the for clause of a Received field (RFC 5321 §4.4); "":
// it has none.
func receivedFor(value string) string {
	space := true // before here
	for c := (scanner{s: value}); c.i < len(c.s); {
		switch b := c.s[c.i]; {
		case b == '"':
			c.quoted()
			space = false
		case b == '(':
			c.comment()
			space = true
		case b == ';':
			return "" // the date follows
		case space && len(value) > c.i+4 && strings.EqualFold(value[c.i:c.i+3], "for") && isSpace(value[c.i+3]):
			return forAddress(strings.TrimSpace(value[c.i+4:]))
		default:
			space = isSpace(b)
			c.i++
		}
	}
	return ""
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// forAddress reads what follows "for". qmail's "for user" and Exim's "for multiple
// recipients" have no address.
func forAddress(s string) string {
	c := scanner{s: s}
	addr := ""
	switch {
	case strings.HasPrefix(s, "<"):
		addr = c.angle()
	case strings.HasPrefix(s, `"`):
		addr = c.quoted()
		addr += firstWord(s[c.i:])
	default:
		addr = firstWord(s)
	}
	if !strings.Contains(addr, "@") {
		return ""
	}
	return addr
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\r\n;("); i >= 0 {
		return s[:i]
	}
	return s
}
