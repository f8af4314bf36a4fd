package notice

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode/utf8"
)

const (
	// mostNested is how deep in multiparts a text is looked for. What has attachments has it at the second level, seldom at the third.
	mostNested = 4
	// mostParts is how many parts of one multipart are looked at.
	mostParts = 8
	// mostText is how much of a text is read, in octets.
	mostText = 16 << 10
)

// firstLines are the lines of a text that a person can read in the beginning of a message, "" if there is none. What is big
// has attachments, so the text is nearly always a part of a multipart (RFC 2046 §5.1), and the end is always missing.
func firstLines(top []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(top))
	if err != nil {
		return ""
	}
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(plainText(textproto.MIMEHeader(m.Header), m.Body, 0))) {
		fmt.Fprintf(&b, "  | %s\n", clean(line))
	}
	return b.String()
}

// plainText is the first text/plain in a body, decoded as far as it goes.
func plainText(header textproto.MIMEHeader, body io.Reader, depth int) string {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	switch {
	case header.Get("Content-Type") == "", err == nil && kind == "text/plain":
		return decoded(header.Get("Content-Transfer-Encoding"), body)
	case err != nil || !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" || depth == mostNested:
		return ""
	}
	parts := multipart.NewReader(body, params["boundary"])
	for range mostParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return ""
		}
		if strings.HasPrefix(part.Header.Get("Content-Disposition"), "attachment") {
			continue
		}
		if text := plainText(part.Header, part, depth+1); text != "" {
			return text
		}
	}
	return ""
}

// decoded is a text without its transfer encoding, in UTF-8. It takes what isn't UTF-8 for Latin-1, as most of that is.
func decoded(encoding string, body io.Reader) string {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, _ := io.ReadAll(io.LimitReader(body, mostText)) // it is cut off somewhere: what there is, is good
	if i := bytes.LastIndexByte(text, '\n'); !utf8.Valid(text) && utf8.Valid(text[:i+1]) {
		text = text[:i+1] // a letter was cut
	}
	if utf8.Valid(text) {
		return string(text)
	}
	letters := make([]rune, len(text))
	for i, c := range text {
		letters[i] = rune(c)
	}
	return string(letters)
}
