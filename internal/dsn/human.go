package dsn

import (
	"bytes"
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"
)

// humanDate is a time for people.
const humanDate = "Mon, 2 Jan 2006, 15:04 MST"

// human writes the part for people.
func (r *Report) human(b *bytes.Buffer, o *original) {
	t := &text{}
	r.tell(t)
	r.about(t, o)
	t.para(fmt.Sprintf("This was written by Outpost, the mail gateway %s. There is no need to answer.", clean(r.Hostname)))
	field(b, "Content-Type", "text/plain; charset=utf-8")
	s := t.String()
	if isASCII(s) && !longLine([]byte(s)) {
		field(b, "Content-Transfer-Encoding", "7bit")
		b.WriteString("\r\n" + s)
		return
	}
	field(b, "Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(b)
	_, _ = q.Write([]byte(s)) // a buffer takes everything
	_ = q.Close()
}

// openings are the first words of a report.
var openings = map[Kind]string{
	Failed:    "Your message was not delivered to",
	Delayed:   "Your message still waits for",
	Relayed:   "Your message was handed on to the provider's mail server for",
	Delivered: "Your message is in the mailbox of",
}

// tell writes what became of the message. Recipients of whom the same is to be said stand together.
func (r *Report) tell(t *text) {
	for list := r.Recipients; len(list) > 0; {
		n := 1
		for n < len(list) && r.alike(&list[0], &list[n]) {
			n++
		}
		opening := openings[r.Kind]
		if r.Foreign {
			opening = strings.Replace(opening, "Your message", "A message whose sender can't be told here", 1)
		}
		t.para(opening)
		for i := range list[:n] {
			t.quote(list[i].name())
		}
		t.gap()
		r.explain(t, &list[0])
		list = list[n:]
	}
}

// alike says that the same is to be said of two recipients.
func (r *Report) alike(p, q *Recipient) bool {
	return p.Reply == q.Reply && p.Remote == q.Remote && p.status(r.Kind) == q.status(r.Kind) &&
		p.Attempts == q.Attempts && p.At.Equal(q.At) && p.WillRetryUntil.Equal(q.WillRetryUntil)
}

// explain says why, what was said, and what happens next.
func (r *Report) explain(t *text, p *Recipient) {
	switch r.Kind {
	case Failed:
		why := p.reason(r.Kind)
		t.para(why.what)
		p.said(t)
		t.para("It is not sent to this address again. " + why.todo)
	case Delayed:
		r.waits(t, p)
	case Relayed:
		t.para("From here on that server delivers it. It does not report success: no news is good news, and if the message fails later you will get a report from there.")
		p.said(t)
	case Delivered:
	}
}

// waits is about a recipient who still waits.
func (r *Report) waits(t *text, p *Recipient) {
	if p.Attempts == 0 && p.Reply == "" {
		t.para("It has not been tried yet: there was no call, no time for it in one, or the provider's mail server took no mail at all.")
	} else {
		tried := "It was tried once"
		if p.Attempts > 1 {
			tried = fmt.Sprintf("It was tried %d times", p.Attempts)
		}
		if !p.At.IsZero() {
			tried += ", last on " + r.when(p.At)
		}
		t.para(tried + ". " + p.reason(r.Kind).what)
		p.said(t)
	}
	next := "It is tried again by itself"
	if !p.WillRetryUntil.IsZero() {
		next += ", until " + r.when(p.WillRetryUntil)
	}
	t.para(next + ". You need not send it again; if it can't be delivered in the end, you will be told.")
}

// said quotes what the server said.
func (p *Recipient) said(t *text) {
	reply := shorten(clean(p.Reply), maxReply)
	if reply == "" {
		return
	}
	// What has no code of SMTP, no server has said.
	if code, _, _ := Split(reply); code == "" || p.Remote == "" {
		t.para("In the words of this gateway:")
	} else {
		t.para("In the words of the mail server " + shorten(clean(p.Remote), maxAddress) + ":")
	}
	t.quote(reply)
	t.gap()
}

// about says which message it is about.
func (r *Report) about(t *text, o *original) {
	t.para("The message:")
	if s := legible(o.subject); s != "" {
		t.quote("Subject:  " + shorten(s, 300))
	}
	if s := legible(o.date); s != "" {
		t.quote("Date:     " + shorten(s, 100))
	}
	if !r.Arrived.IsZero() {
		t.quote("Taken on: " + r.when(r.Arrived))
	}
	if r.OriginalSize > 0 {
		t.quote("Size:     " + size(r.OriginalSize))
	}
	t.gap()
	switch {
	case o.attach == attachWhole:
		t.para("It is attached.")
	case o.attach == attachHeader && r.Kind == Failed:
		t.para("Its header is attached. The message itself should be among those that your mail program keeps as sent.")
	case o.attach == attachHeader:
		t.para("Its header is attached.")
	}
}

func (r *Report) when(at time.Time) string { return at.In(r.Now.Location()).Format(humanDate) }

// size is a number of octets for people.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d octets", n)
	case n < 999_500:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// text is made of paragraphs and quotations.
type text struct{ b strings.Builder }

// String is the text in lines that end with CRLF.
func (t *text) String() string { return t.b.String() }

// para writes a paragraph and a blank line.
func (t *text) para(s string) {
	t.wrap("", strings.TrimSpace(s))
	t.gap()
}

// quote writes an indented line, or several for a long one.
func (t *text) quote(s string) { t.wrap("    ", s) }

// gap writes a blank line.
func (t *text) gap() { t.b.WriteString("\r\n") }

// wrap writes words in lines. A word that is longer than a line stays whole, so that an address can be copied.
func (t *text) wrap(indent, s string) {
	width := 0
	for word := range strings.SplitSeq(s, " ") {
		n := len([]rune(word))
		switch {
		case width == 0:
			t.b.WriteString(indent)
		case width+1+n > 72-len(indent):
			t.b.WriteString("\r\n" + indent)
			width = 0
		default:
			t.b.WriteByte(' ')
			width++
		}
		t.b.WriteString(word)
		width += n
	}
	t.b.WriteString("\r\n")
}
