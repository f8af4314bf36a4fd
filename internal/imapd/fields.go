package imapd

import (
	"bytes"
	"iter"
	"strings"
)

// fields goes through a header: each field's name, and all of it with its line ends as it
// stands. A line that is no field belongs to the one before, or has no name.
func fields(header []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for len(header) > 0 {
			n := 0
			for {
				i := bytes.IndexByte(header[n:], '\n')
				if i < 0 {
					n = len(header)
					break
				}
				n += i + 1
				if n >= len(header) || header[n] != ' ' && header[n] != '\t' {
					break
				}
			}
			field := header[:n]
			header = header[n:]
			if len(bytes.TrimRight(field, "\r\n")) == 0 {
				return
			}
			name, _, ok := bytes.Cut(field, []byte(":"))
			if !ok || bytes.ContainsAny(name, "\r\n") {
				name = nil
			}
			if !yield(string(bytes.TrimRight(name, " \t")), field) {
				return
			}
		}
	}
}

// value is a field's content, unfolded (RFC 5322 §2.2.3).
func value(field []byte) string {
	_, v, _ := bytes.Cut(field, []byte(":"))
	v = bytes.ReplaceAll(v, []byte("\r\n"), nil)
	v = bytes.ReplaceAll(v, []byte("\n"), nil)
	return string(bytes.TrimSpace(v))
}

// first is the first field of a name, "" if there is none.
func first(header []byte, name string) string {
	for n, field := range fields(header) {
		if strings.EqualFold(n, name) {
			return value(field)
		}
	}
	return ""
}

// filter leaves of a header those fields that are named, or those that aren't. An empty line
// ends it; but where all fields but some are asked for only if there is one (as with Dovecot).
func filter(header []byte, names []string, not bool) []byte {
	named := make(map[string]bool, len(names))
	for _, n := range names {
		named[strings.ToLower(n)] = n != ""
	}
	var out []byte
	for n, field := range fields(header) {
		if named[strings.ToLower(n)] != not {
			out = append(out, field...)
			if !bytes.HasSuffix(field, []byte("\n")) {
				out = append(out, "\r\n"...)
			}
		}
	}
	if !not || bytes.HasSuffix(header, []byte("\n\r\n")) || string(header) == "\r\n" {
		out = append(out, "\r\n"...)
	}
	return out
}

// mediaType reads Content-Type. What makes no sense is of the default type, which a
// part without one has too (RFC 2045 §5.2).
func mediaType(header []byte, fallback string) (kind, sub string, params map[string]string) {
	text := first(header, "Content-Type")
	main, params := parameters(text)
	kind, sub, ok := strings.Cut(strings.ToLower(main), "/")
	kind, sub = strings.TrimSpace(kind), strings.TrimSpace(sub)
	if !ok || kind == "" || sub == "" || strings.ContainsAny(kind+sub, " \t\"()<>@,;:\\/[]?=\x00") {
		kind, sub, _ = strings.Cut(fallback, "/")
		params = map[string]string{}
	}
	if kind == "text" && params["charset"] == "" {
		params["charset"] = "us-ascii"
	}
	return kind, sub, params
}

// maxParameters bounds those of one field.
const maxParameters = 100

// parameters reads "value; name=value; …" with quoted strings and comments (RFC 2045
// §5.1), and takes what it can of one that breaks the rules. Names are in lower case.
func parameters(text string) (main string, params map[string]string) {
	params = map[string]string{}
	pieces := split(text, ';')
	for i, piece := range pieces {
		if i == 0 {
			main = strings.TrimSpace(unquote(piece))
			continue
		}
		name, v, ok := strings.Cut(piece, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || name == "" || len(params) >= maxParameters {
			continue
		}
		if _, twice := params[name]; !twice {
			params[name] = unquote(strings.TrimSpace(v))
		}
	}
	return main, params
}

// split cuts at a separator outside of quotes and comments, and leaves comments out.
func split(text string, at byte) []string {
	var pieces []string
	var b strings.Builder
	depth, quoted := 0, false
	closing := strings.LastIndexByte(text, ')') // A bracket that none closes stands for itself.
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(text):
			i++
			if depth == 0 {
				b.WriteByte(c)
				b.WriteByte(text[i])
			}
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted && i < closing:
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			depth--
			continue
		case depth > 0:
			continue
		case c == at && !quoted:
			pieces = append(pieces, b.String())
			b.Reset()
			continue
		}
		b.WriteByte(c)
	}
	return append(pieces, b.String())
}

// unquote takes the quotes of a quoted-string away (RFC 5322 §3.2.4).
func unquote(s string) string {
	if !strings.ContainsAny(s, `"\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] != '"':
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
