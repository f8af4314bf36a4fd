package dsn

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	// dateLayout is RFC 5322 §3.3, with the numeric zone.
	dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"
	// lineWidth is where lines are folded (RFC 5322 §2.1.1), and maxWord where a word without a blank is cut, well below the 998
	// octets of a line.
	lineWidth = 76
	maxWord   = 900
	// maxLine is the length of a line without its CRLF (RFC 5322 §2.1.1).
	maxLine = 998
	// maxAddress is more than any address has (RFC 5321 §4.5.3.1).
	maxAddress = 400
	// maxReply bounds what is told of a server's words.
	maxReply = 1500
)

// legible is a header field's value for people: in UTF-8, encoded words decoded, in one line.
func legible(raw string) string {
	if !utf8.ValidString(raw) {
		// Old programs write what their computer had, which is mostly near to ISO 8859-1.
		all := make([]rune, len(raw))
		for i, c := range []byte(raw) {
			all[i] = rune(c)
		}
		raw = string(all)
	}
	if s, err := new(mime.WordDecoder).DecodeHeader(raw); err == nil {
		raw = s
	}
	return clean(raw)
}

// clean makes of anything a text in one line: valid UTF-8, without control characters and those that turn the direction of writing around.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case unicode.IsControl(r) || r == 0x2028 || r == 0x2029:
			return ' '
		case r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// ascii replaces what isn't.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// shorten cuts a text to about n octets, between words where it can.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := strings.ToValidUTF8(s[:n], "")
	if i := strings.LastIndexByte(cut, ' '); i > 0 {
		cut = cut[:i]
	}
	return cut + " ..."
}

// encodeWords writes a text in encoded words (RFC 2047) if it isn't ASCII.
func encodeWords(s string) string { return mime.QEncoding.Encode("utf-8", s) }

// field writes a header field, folded. The value has been cleaned.
func field(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ":")
	width := len(name) + 1
	for i, word := range strings.Fields(value) {
		for {
			piece := word
			if len(piece) > maxWord {
				piece = strings.ToValidUTF8(word[:maxWord], "")
			}
			// The first word stays on the line of the name: a field must not begin with an empty line.
			if i > 0 && width+1+len(piece) > lineWidth {
				b.WriteString("\r\n")
				width = 0
			}
			b.WriteString(" " + piece)
			width += 1 + len(piece)
			if word = word[len(piece):]; word == "" {
				break
			}
			i++ // the rest is another word, behind a fold
		}
	}
	b.WriteString("\r\n")
}

// atom is s as the left half of a Message-ID: what can't stand there is left out; fallback if nothing can.
func atom(s, fallback string) string {
	s = strings.Map(func(r rune) rune {
		if r > '~' || !(isAlnum(r) || strings.ContainsRune("-_.", r)) {
			return -1
		}
		return r
	}, s)
	s = strings.Trim(strings.ReplaceAll(s[:min(len(s), 64)], "..", "."), ".")
	if s == "" {
		return fallback
	}
	return s
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// host is the name of this host in a form that can stand anywhere.
func (r *Report) host() string { return atom(asciiDomain(r.Hostname), "localhost") }

// asciiDomain is a domain in its ASCII form (RFC 5891 §4.4), or as it is.
func asciiDomain(d string) string {
	if a, err := idna.Lookup.ToASCII(d); err == nil && !isASCII(d) {
		return a
	}
	return d
}

// mailbox writes an address for the header. One that can't stand there in seven bits, or is none, is kept for the eye as the name of an empty
// group (as in RFC 6857 §3.1.8).
func (r *Report) mailbox(name, addr string) string {
	addr = clean(addr)
	a, err := mail.ParseAddress(addr)
	if err == nil && !r.UTF8 && !isASCII(a.Address) {
		at := strings.LastIndexByte(a.Address, '@')
		a.Address = a.Address[:at+1] + asciiDomain(a.Address[at+1:])
	}
	if err == nil && len(addr) <= maxAddress && (r.UTF8 || isASCII(a.Address)) {
		if a.Name == "" {
			a.Name = name
		}
		return a.String()
	}
	addr = shorten(addr, maxAddress)
	if isASCII(addr) {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(addr) + `":;`
	}
	return mime.BEncoding.Encode("utf-8", addr) + " :;" // an @ must not stand bare in a name (RFC 2047 §5)
}

// Xtext encodes a value for a parameter of SMTP (RFC 3461 §4).
func Xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '!' && c <= '~' && c != '+' && c != '=' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'+', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// UTF8Xtext encodes an address with letters outside ASCII for a parameter of SMTP, and for a report in seven bits (utf-8-addr-xtext, RFC 6533
// §3). Control characters have no form there; the caller sees to it that there are none.
func UTF8Xtext(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c >= '!' && c <= '~' && c != '+' && c != '=' && c != '\\' {
			b.WriteRune(c)
			continue
		}
		b.WriteString(`\x{`)
		started := false
		for shift := 20; shift >= 0; shift -= 4 {
			d := c >> shift & 15
			if started = started || d > 0 || shift == 4; started {
				b.WriteByte(hex[d])
			}
		}
		b.WriteByte('}')
	}
	return b.String()
}

const hex = "0123456789ABCDEF"
