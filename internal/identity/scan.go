package identity

import "strings"

// The kinds of tokens; a special is its own kind.
const (
	atom    = 'a'
	quoted  = '"'
	comment = '('
	literal = '[' // a domain-literal, or any text in brackets
	blank   = ' ' // white space and line ends
)

// token is a lexical token of RFC 5322 §3.2.
type token struct {
	kind       byte
	start, end int
}

// ignorable is what CFWS is made of.
func (t token) ignorable() bool { return t.kind == blank || t.kind == comment }

// scan takes a field's value apart; not ok if something in it doesn't end, or if it has octets that no field has.
func scan(value []byte) (tokens []token, ok bool) {
	for i := 0; i < len(value); {
		t := token{kind: value[i], start: i}
		switch value[i] {
		case '"':
			i = enclosed(value, i, '"')
		case '[':
			i = enclosed(value, i, ']')
		case '(':
			i = enclosed(value, i, ')')
		case '<', '>', ',', ';', ':', '@', '.':
			i++
		case ' ', '\t', '\r', '\n':
			t.kind = blank
			i = run(value, i, isBlank)
		default:
			t.kind = atom
			i = run(value, i, isAtext)
		}
		if i <= t.start {
			return nil, false
		}
		t.end = i
		tokens = append(tokens, t)
	}
	return tokens, true
}

// run is where octets of a kind end.
func run(value []byte, i int, is func(byte) bool) int {
	for i < len(value) && is(value[i]) {
		i++
	}
	return i
}

// enclosed is where a quoted-string, comment or domain-literal ends that begins at i; -1 if it doesn't. Comments may have comments within.
func enclosed(value []byte, i int, closing byte) int {
	depth := 0
	for ; i < len(value); i++ {
		switch c := value[i]; {
		case c == closing && (depth > 0 && closing != '"' || depth == 1):
			if depth--; depth == 0 {
				return i + 1
			}
		case c == '"' && closing == '"', c == '[' && closing == ']' && depth == 0, c == '(' && closing == ')':
			depth++
		case c == '\\':
			if i++; i < len(value) && isControl(value[i]) {
				return -1
			}
		case isControl(c) && !isBlank(c):
			return -1
		}
	}
	return -1
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isControl(c byte) bool { return c < ' ' || c == 0x7f }

// isAtext is true for what an atom is made of (RFC 5322 §3.2.3), and for octets over 127: UTF-8 (RFC 6532 §3.2) or what they may be.
func isAtext(c byte) bool {
	return c > ' ' && c != 0x7f && !strings.ContainsRune(`()<>[]:;@\,."`, rune(c))
}
