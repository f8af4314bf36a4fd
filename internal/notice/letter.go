package notice

import (
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// mostShown bounds what is taken from somebody else's mail into a line of a note.
const mostShown = 200

// letter is a note in plain text.
type letter struct {
	host, to, replyTo, subject, text string
	id                               string // of the Message-ID, before the @
	at                               time.Time
}

// reader gives it as a message with CRLF, in ASCII.
func (l letter) reader() io.Reader {
	var b strings.Builder
	fmt.Fprintf(&b, "From: Outpost <outpost@%s>\r\nTo: <%s>\r\n", l.host, l.to)
	if l.replyTo != "" {
		fmt.Fprintf(&b, "Reply-To: <%s>\r\n", l.replyTo)
	}
	// Auto-Submitted keeps answering machines from answering (RFC 3834 §5).
	fmt.Fprintf(&b, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\n",
		mime.QEncoding.Encode("utf-8", l.subject), l.at.Format("Mon, 02 Jan 2006 15:04:05 -0700"), l.id, l.host)
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = io.WriteString(w, strings.ReplaceAll(l.text, "\n", "\r\n")) // a Builder doesn't fail
	_ = w.Close()
	return strings.NewReader(b.String())
}

// field is a line of what is known of a message.
func field(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "  %-9s%s\n", name+":", value)
	}
}

// clean makes one line of somebody else's text, not too long.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > mostShown {
		s = string([]rune(s)[:mostShown]) + "..."
	}
	return s
}

// wrap breaks a sentence into lines of 78.
func wrap(s string) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > 78 {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}

// size is a number of octets for people.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d octets", n)
}

// minutes is a duration for people.
func minutes(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%d seconds", int(d.Round(time.Second).Seconds()))
	}
	return fmt.Sprintf("%d minutes", int(d.Round(time.Minute).Minutes()))
}
