package isp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// LetterOptions shape sample mail. The zero value makes mail of about 4 KiB
// on average, from people at several offices to staff@office.example.
type LetterOptions struct {
	// From and To are bare addresses; letters go through them in turn.
	From, To []string
	// Bytes is the wanted sum of all sizes; 0 means 4 KiB a letter. It is met
	// within a few per cent unless it is less than about 1.5 KiB a letter,
	// below which there is only room for headers. Two thirds and more go to
	// the reports' attachments, as in a real box.
	Bytes int64
	// Traced adds what mail picks up on its way through the Internet:
	// Received and signature fields, a kilobyte of them. For mail in boxes.
	Traced bool
	// Start dates the first letter; 0 means a morning in March 2026.
	Start time.Time
}

// kind is a way in which mail can be awkward to carry.
type kind int

const (
	plainLetter    kind = iota // 7bit text
	utf8Letter                 // 8bit text, an encoded subject
	attachedReport             // multipart with base64
	quotedLetter               // quoted-printable
	dottedLetter               // lines that begin with dots, or are only a dot
	longLinedMail              // lines of 998 octets, the most there may be (RFC 5322 §2.1.1)
	kinds                      // how many there are
)

// reportWeight is how much bigger a report is than a letter.
const reportWeight = 12

// Letters makes n sample messages with CRLF line ends: letters, reports with
// an attachment, and what is awkward to carry. The same arguments always give
// the same octets; another seed gives other texts and other Message-IDs.
func Letters(seed int64, n int, opt LetterOptions) [][]byte {
	if n <= 0 {
		return nil
	}
	if len(opt.From) == 0 {
		opt.From = []string{"amina@coast-clinic.example", "jorge@head-office.example", "lena@harbour.example", "samuel@highland-school.example"}
	}
	if len(opt.To) == 0 {
		opt.To = []string{"staff@office.example"}
	}
	if opt.Bytes == 0 {
		opt.Bytes = int64(n) * 4 << 10
	}
	if opt.Start.IsZero() {
		opt.Start = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)
	}
	reports := (n + int(kinds) - 1 - int(attachedReport)) / int(kinds)
	share := opt.Bytes / int64(n-reports+reports*reportWeight)
	letters := make([][]byte, n)
	for i := range letters {
		w := &writer{seed: seed, index: i, opt: opt, kind: kind(i % int(kinds)), size: int(share)}
		w.rng = rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		if w.kind == attachedReport {
			w.size *= reportWeight
		}
		letters[i] = w.write()
	}
	return letters
}

// writer makes one letter.
type writer struct {
	seed  int64
	index int
	opt   LetterOptions
	kind  kind
	size  int // wanted, in octets
	rng   *rand.Rand
	buf   bytes.Buffer
}

// line adds a formatted line with its CRLF.
func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.buf, format+"\r\n", args...) }

// room is how many octets are still wanted.
func (w *writer) room() int { return w.size - w.buf.Len() }

func (w *writer) write() []byte {
	w.header()
	switch w.kind {
	case attachedReport:
		w.report()
	case quotedLetter:
		w.line("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n")
		// Quoting makes accented text about a tenth longer.
		qp := quotedprintable.NewWriter(&w.buf)
		_, _ = qp.Write(w.prose(w.room()*9/10, accented())) // into memory: can't fail
		_ = qp.Close()
		w.line("")
	case utf8Letter:
		w.line("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
		w.buf.Write(w.prose(w.room(), accented()))
	case dottedLetter:
		w.line("Content-Type: text/plain; charset=us-ascii\r\n")
		w.line("The tide log as promised, one dot for every quarter of an hour:\r\n")
		w.line(".\r\n..\r\n...\r\n.... high water\r\n.\r\n.hidden files begin like this\r\n..and their parents like that\r\n")
		w.buf.Write(w.prose(w.room(), sentences()))
		w.line(".")
	case longLinedMail:
		w.line("Content-Type: text/html; charset=us-ascii\r\n")
		w.long()
	default:
		w.line("Content-Type: text/plain; charset=us-ascii\r\n")
		w.buf.Write(w.prose(w.room(), sentences()))
	}
	return w.buf.Bytes()
}

// header writes the fields that every letter has, without the empty line.
func (w *writer) header() {
	from, to := w.opt.From[w.index%len(w.opt.From)], w.opt.To[w.index%len(w.opt.To)]
	date := w.opt.Start.Add(time.Duration(w.index) * 17 * time.Minute)
	_, domain, _ := strings.Cut(from, "@")
	id := fmt.Sprintf("%016x.%d@%s", uint64(w.seed), w.index, domain)
	if w.opt.Traced {
		w.trace(domain, to, date)
	}
	name, _, _ := strings.Cut(from, "@")
	w.line("From: %s <%s>", strings.ToUpper(name[:min(1, len(name))])+name[min(1, len(name)):], from)
	w.line("To: <%s>", to)
	w.line("Subject: %s", mime.QEncoding.Encode("utf-8", w.subject()))
	w.line("Date: %s", date.Format(time.RFC1123Z))
	w.line("Message-ID: <%s>", id)
	w.line("MIME-Version: 1.0")
}

// trace writes what servers on the way put in front.
func (w *writer) trace(domain, to string, date time.Time) {
	stamp := date.Add(40 * time.Second).Format(time.RFC1123Z)
	w.line("Return-Path: <bounce-%06d@%s>", w.rng.IntN(1e6), domain)
	w.line("Received: from mx2.%s (mx2.%s [192.0.2.%d])\r\n\tby in4.provider.example (Postfix) with ESMTPS id %010X\r\n\tfor <%s>; %s",
		domain, domain, w.rng.IntN(254)+1, w.rng.Uint32(), to, stamp)
	w.line("Received: from localhost (localhost [127.0.0.1])\r\n\tby mx2.%s (Postfix) with ESMTP id %010X;\r\n\t%s",
		domain, w.rng.Uint32(), date.Add(20*time.Second).Format(time.RFC1123Z))
	w.line("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=%s;\r\n\ts=mail; t=%d;\r\n\th=From:To:Subject:Date:Message-ID;\r\n\tbh=%s;",
		domain, date.Unix(), w.noise(32))
	signature := w.noise(256)
	w.line("\tb=%s\r\n\t %s\r\n\t %s\r\n\t %s\r\n\t %s", signature[:70], signature[70:140], signature[140:210], signature[210:280], signature[280:])
	w.line("X-Spam-Status: No, score=-%d.%d required=5.0 tests=DKIM_SIGNED,DKIM_VALID,\r\n\tRCVD_IN_DNSWL_LOW,SPF_PASS autolearn=ham", w.rng.IntN(3), w.rng.IntN(10))
}

// noise is n random octets in base64: nothing on the way can compress it.
func (w *writer) noise(n int) string {
	raw := make([]byte, n)
	for i := range raw {
		raw[i] = byte(w.rng.Uint32())
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// report is a multipart message whose attachment takes the room there is.
func (w *writer) report() {
	boundary := fmt.Sprintf("=_%08x%08x", w.rng.Uint32(), w.rng.Uint32())
	w.line("Content-Type: multipart/mixed; boundary=\"%s\"\r\n", boundary)
	w.line("--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", boundary)
	w.buf.Write(w.prose(400, accented()))
	w.line("--%s\r\nContent-Type: application/pdf; name=\"report-%03d.pdf\"", boundary, w.index)
	w.line("Content-Disposition: attachment; filename=\"report-%03d.pdf\"\r\nContent-Transfer-Encoding: base64\r\n", w.index)
	// 57 octets make a line of 76 characters and CRLF (RFC 2045 §6.8).
	for end := len(boundary) + 6; w.room() > end+78; {
		w.line("%s", w.noise(57))
	}
	w.line("--%s--", boundary)
}

// long writes paragraphs without line breaks, cut where a line must end.
func (w *writer) long() {
	const most = 998
	text := bytes.ReplaceAll(w.prose(max(w.room(), most+2), sentences()), []byte("\r\n"), []byte(" "))
	for len(text) > most {
		w.line("%s", text[:most])
		text = text[most:]
	}
	w.line("%s", text)
}
