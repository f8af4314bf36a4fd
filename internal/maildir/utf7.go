package maildir

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// base64UTF7 is the alphabet of RFC 3501 §5.1.3: a comma for the slash, no padding.
var base64UTF7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

var errUTF7 = errors.New("maildir: not modified UTF-7")

// validText tells whether s can be a name that people see.
func validText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// encodeUTF7 writes modified UTF-7 (RFC 3501 §5.1.3).
func encodeUTF7(s string) string {
	var b strings.Builder
	var wide []rune
	flush := func() {
		if len(wide) == 0 {
			return
		}
		var octets []byte
		for _, u := range utf16.Encode(wide) {
			octets = append(octets, byte(u>>8), byte(u))
		}
		b.WriteString("&" + base64UTF7.EncodeToString(octets) + "-")
		wide = wide[:0]
	}
	for _, r := range s {
		if r < ' ' || r > '~' {
			wide = append(wide, r)
			continue
		}
		flush()
		b.WriteRune(r)
		if r == '&' {
			b.WriteByte('-')
		}
	}
	flush()
	return b.String()
}

// decodeUTF7 reads modified UTF-7.
func decodeUTF7(s string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, shifted := strings.Cut(s, "&")
		if strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r > '~' }) {
			return "", errUTF7
		}
		b.WriteString(plain)
		if !shifted {
			return b.String(), nil
		}
		coded, after, ok := strings.Cut(rest, "-")
		if !ok {
			return "", errUTF7
		}
		if coded == "" {
			coded = "ACY" // "&-" is the ampersand itself.
		}
		octets, err := base64UTF7.DecodeString(coded)
		if err != nil || len(octets)%2 != 0 {
			return "", errUTF7
		}
		units := make([]uint16, 0, len(octets)/2)
		for i := 0; i < len(octets); i += 2 {
			units = append(units, uint16(octets[i])<<8|uint16(octets[i+1]))
		}
		b.WriteString(string(utf16.Decode(units)))
		s = after
	}
}
