package identity

import (
	"bytes"
	"slices"
	"strings"

	"outpost/internal/mailaddr"
)

// rewrite appends field to dst with its addresses replaced, or as it is.
func rewrite(dst, field []byte, m func(string) (string, bool)) []byte {
	value := bytes.IndexByte(field, ':') + 1
	list, ok := addresses(field[value:])
	if !ok {
		return append(dst, field...)
	}
	done := 0
	for _, a := range list {
		show, known := m(a.text)
		if !known || show == a.text || !isAddress(show) {
			continue
		}
		dst = append(append(dst, field[done:value+a.start]...), show...)
		done = value + a.end
	}
	return append(dst, field[done:]...)
}

// address is an addr-spec and where it stands in the value of its field.
type address struct {
	start, end int
	text       string // as RFC 5321 §4.1.2 writes it
}

// addresses finds the addr-specs of an address-list (RFC 5322 §3.4); not ok if value isn't one. Beyond the grammar it lets pass what is
// common: phrases with dots, at signs and brackets in them, empty places in the list, words that are no address, any octet over 127.
func addresses(value []byte) (list []address, ok bool) {
	tokens, ok := scan(value)
	if !ok {
		return nil, false
	}
	p := parser{value: value}
	begin, group := 0, false
	for i := 0; i < len(tokens); i++ {
		switch tokens[i].kind {
		case '<':
			n := span(tokens[i+1:], '>')
			if n < 0 {
				return nil, false
			}
			i += n + 1
		case '>':
			return nil, false
		case ',':
			p.mailbox(tokens[begin:i])
			begin = i + 1
		case ';':
			p.mailbox(tokens[begin:i])
			p.bad = p.bad || !group
			begin, group = i+1, false
		case ':':
			p.bad = p.bad || group || !isPhrase(tokens[begin:i])
			begin, group = i+1, true
		}
	}
	p.mailbox(tokens[begin:])
	return p.list, !p.bad && !group
}

// span is how many tokens stand before the closing one; -1 if there is none before the next '<'.
func span(tokens []token, closing byte) int {
	for i, t := range tokens {
		switch t.kind {
		case closing:
			return i
		case '<':
			return -1
		}
	}
	return -1
}

// isPhrase says whether tokens can be the name of a group.
func isPhrase(tokens []token) bool {
	words := 0
	for _, t := range tokens {
		switch t.kind {
		case atom, quoted:
			words++
		case blank, comment, '.':
		default:
			return false
		}
	}
	return words > 0
}

// parser collects what it finds.
type parser struct {
	value []byte
	list  []address
	bad   bool // it isn't a list of addresses
}

// mailbox is one place of the list: [phrase] <addr-spec>, an addr-spec, or nothing that is an address.
func (p *parser) mailbox(tokens []token) {
	open := -1
	for i, t := range tokens {
		if t.kind == '<' {
			if open >= 0 {
				p.bad = true
				return
			}
			open = i
		}
	}
	if open < 0 {
		p.addrSpec(tokens)
		return
	}
	inside := tokens[open+1:]
	n := span(inside, '>')
	p.bad = p.bad || len(trim(inside[n+1:])) > 0
	inside = trim(inside[:n])
	if len(inside) > 0 && inside[0].kind == '@' { // RFC 5322 §4.4: obs-route
		inside = inside[span(inside, ':')+1:]
	}
	p.addrSpec(inside)
}

// addrSpec is local-part "@" domain with whatever white space or comments around it, or a word.
func (p *parser) addrSpec(tokens []token) {
	tokens = trim(tokens)
	at := span(tokens, '@')
	if at < 0 {
		return // a word, left for others to complete
	}
	var local, domain strings.Builder
	whole := p.words(&local, tokens[:at], false) && p.words(&domain, tokens[at+1:], true)
	if p.bad = p.bad || local.Len() == 0 || domain.Len() == 0; p.bad || !whole {
		return
	}
	p.list = append(p.list, address{
		start: tokens[0].start, end: tokens[len(tokens)-1].end,
		text: mailaddr.Local(local.String()) + "@" + domain.String(),
	})
}

// words writes the parts of a local-part or domain without what stands between them, and says whether that is nothing but white space. A
// domain may be a literal, a local part may be quoted; two words have a dot between them.
func (p *parser) words(out *strings.Builder, tokens []token, isDomain bool) (whole bool) {
	whole = true
	wordBefore := false
	for _, t := range tokens {
		isWord := t.kind == atom || t.kind == quoted && !isDomain || t.kind == literal && isDomain
		switch {
		case t.kind == blank:
			continue
		case t.kind == comment:
			whole = false
			continue
		case isWord && wordBefore, !isWord && t.kind != '.':
			p.bad = true
			return false
		}
		wordBefore = isWord
		text := p.value[t.start:t.end]
		if t.kind == quoted {
			text = unquote(text)
		}
		out.Write(text)
	}
	return whole
}

// trim takes white space and comments from both ends.
func trim(tokens []token) []token {
	for len(tokens) > 0 && tokens[0].ignorable() {
		tokens = tokens[1:]
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].ignorable() {
		tokens = tokens[:len(tokens)-1]
	}
	return tokens
}

// isAddress says whether s is one addr-spec and nothing else, so that it can stand where another one stood.
func isAddress(s string) bool {
	list, ok := addresses([]byte(s))
	if !ok || len(list) != 1 || list[0].start != 0 || list[0].end != len(s) || strings.ContainsAny(s, "\r\n") {
		return false
	}
	tokens, _ := scan([]byte(s))
	return !slices.ContainsFunc(tokens, token.ignorable)
}

// unquote is the meaning of a quoted-string, unfolded (RFC 5322 §3.2.4).
func unquote(s []byte) []byte {
	var out []byte
	for i := 1; i < len(s)-1; i++ {
		switch s[i] {
		case '\r', '\n':
			continue
		case '\\':
			i++
		}
		out = append(out, s[i])
	}
	return out
}
