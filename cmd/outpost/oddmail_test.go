package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const head = "From: a@far.example\nSubject: odd\nDate: Mon, 23 Nov 2026 10:00:00 +0000\nMessage-ID: <%s@far.example>\n"

// odd makes the specimens of odd mail, each by DATA and by BDAT.
func odd() (list []specimen) {
	add := func(s specimen, text string) {
		for _, data := range []bool{true, false} {
			one := s
			one.data, one.name = data, fmt.Sprintf("%s, DATA %v", s.name, data)
			if strings.Contains(s.name, "null sender") && data {
				continue // there can be only one, as it is known again by its sender
			}
			id := strings.Map(func(r rune) rune {
				if r <= ' ' || r > '~' || r == ',' {
					return '.'
				}
				return r
			}, one.name)
			one.text = []byte(strings.Replace(text, "%s", id, 1))
			list = append(list, one)
		}
	}
	plain := func(name, body string) { add(specimen{name: name}, head+"\n"+body) }

	add(specimen{name: "null sender", from: "<>"}, head+"\nMAIL FROM:<>\n")
	for name, text := range map[string]string{
		"no header":                             "Hello you\nthere\n",
		"no header but a colon":                 "Hello you: there\n",
		"blank first line":                      "\n" + head + "\nbody\n",
		"header without an end":                 head,
		"no body":                               head + "\n",
		"one word":                              "x",
		"one blank line":                        "\n",
		"begins with a fold":                    " folded: from nothing\n" + head + "\nbody\n",
		"a line in the header that is no field": head + "oops\nX: y\n\nbody\n",
		"from a mailbox file":                   "From a@far.example  Mon Nov 23 10:00:00 2026\n" + head + "\nbody\n",
		"our own fields": "Return-Path: <old@far.example>\nDelivered-To: old@far.example\nX-Outpost-Route: old\nReceived: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\n" +
			head + "\nbody\n",
		"8 bit header":            head + "X-Raw: gr\xfc\xdfe \xff\xfe\nX-UTF8: grüße 你好\n\nbody\n",
		"2,000 fields":            head + strings.Repeat("X-Again: and again\n", 2000) + "\nbody\n",
		"a field of 100 kB":       head + "References:" + strings.Repeat("\n <0123456789@far.example>", 4000) + "\n\nbody\n",
		"blanks before a colon":   head + "X-Old : obs\n\nbody\n",
		"a folded blank":          head + "X-Fold: a\n \n\t\n b\n\nbody\n",
		"a byte order mark":       "\ufeff" + head + "\nbody\n",
		"multipart, no boundary":  head + "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n--x\n\na\n--x--\n",
		"multipart, no end":       head + "Content-Type: multipart/mixed; boundary=\"x\"\n\n--x\nContent-Type: text/plain\n\na\n",
		"multipart, nested":       head + nested(150),
		"false base64":            head + "Content-Type: image/png\nContent-Transfer-Encoding: base64\n\nthis is =no= base64 !!!\n=\n",
		"unknown encodings":       head + "Content-Type: text/plain; charset=x-klingon\nContent-Transfer-Encoding: 9bit\nContent-Transfer-Encoding: 7bit\n\ngr\xfc\xdfe\n",
		"Content-Type is no type": head + "Content-Type: ;;; \"\n\nbody\n",
	} {
		add(specimen{name: name}, text)
	}
	add(specimen{name: "SMTPUTF8", utf8: true}, head+"To: grüße@far.example\nX-名: 値\n\nbody\n")
	plain("8 bit", "gr\xfc\xdfe, grüße, \x80\xff\n")
	plain("all octets but three", allOctets())
	plain("dots", ".\n..\n.x\n...\n\n.\n")
	plain("blanks at the ends of lines", "a \nb\t\n  \n")
	plain("no last line end", "the end")
	plain("many blank lines", strings.Repeat("\n", 5000))
	plain("lone CR", "a\rb\r\rc\n")
	add(specimen{name: "CR CR LF"}, head+"\na\r\r\nb\r\r\r\n\r\r\nc\n")
	plain("control characters", "\x01\x02\x1a\x1b[2J\x7f\n")
	for _, n := range []int{998, 999, 1001, 10_000, 60_000} {
		plain(fmt.Sprintf("a line of %d", n), strings.Repeat("x", n)+"\nnext\n")
	}
	add(specimen{name: "NUL", refused: "554 5.6.1 The message has a NUL octet"}, head+"\na\x00b\n\x00\n")
	return list
}

func allOctets() string {
	var b strings.Builder
	for c := 1; c < 256; c++ {
		if c != '\r' && c != '\n' {
			b.WriteByte(byte(c))
		}
	}
	return b.String() + "\n"
}

// nested is a body of multiparts in multiparts.
func nested(depth int) string {
	text := "Content-Type: text/plain\n\ninnermost\n"
	for i := range depth {
		text = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%[1]d\n%s--b%[1]d--\n", i, text)
	}
	return text
}

// attachment is a message with a file of so many octets.
func attachment(name string, size int) specimen {
	raw := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(raw)
	var b bytes.Buffer
	fmt.Fprintf(&b, head+"MIME-Version: 1.0\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n", name)
	for line := range chunks(base64.StdEncoding.EncodeToString(raw), 76) {
		b.WriteString(line + "\r\n")
	}
	return specimen{name: name, text: bytes.ReplaceAll(b.Bytes(), []byte("\r\n"), []byte("\n"))}
}

func chunks(text string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			piece := text[:min(n, len(text))]
			if !yield(piece) {
				return
			}
			text = text[len(piece):]
		}
	}
}

// Whatever is odd about a message, it goes through unchanged, or whoever sends it learns why not.
func TestOddMail(t *testing.T) {
	list := odd()
	for i := range list {
		if list[i].utf8 {
			list[i].from = fmt.Sprintf("jürgen%d@sender.example", i)
		}
	}
	long := specimen{name: "a line of 200,000", text: []byte(strings.Replace(head, "%s", "long", 1) + "\n" + strings.Repeat("x", 200_000) + "\n")}
	t.Run("collected", func(t *testing.T) {
		collected(t, append(list, long, attachment("50 MB", 50<<20)))
	})
	t.Run("handed in", func(t *testing.T) {
		byData := attachment("50 MB", 50<<20)
		byData.data = true
		list := append(list, byData, long)
		long.data, long.refused = true, "554 5.6.0 A line of the message is longer than 131072 octets"
		unclear := specimen{name: "CR CR LF and a dot", data: true, text: []byte("a\r\r\n.b\n"), refused: "554 5.6.0 A line of the message ends in CR CR LF"}
		ascii := specimen{name: "UTF-8 without SMTPUTF8", from: "jürgen@sender.example", text: []byte(head), refused: "553 5.6.7 "}
		circle := specimen{name: "51 hops", text: []byte(strings.Repeat("Received: from a by b\n", 51) + head), refused: "554 5.4.6 "}
		submitted(t, append(list, long, unclear, ascii, circle))
	})
}

// Over the limits, 50 MB are refused by the door at once, and stay in the box with the reason.
func TestOddMailTooBig(t *testing.T) {
	whole := attachment("50 MB", 50<<20)
	st := openStation(t, []specimen{whole}, 25<<20)
	for _, data := range []bool{true, false} {
		whole.data = data
		if said := st.submitter().send(whole, "s@sender.example", "ann@clinic.example"); !strings.HasPrefix(said, "552 5.3.4 ") {
			t.Errorf("DATA %v: the door says %q", data, said)
		}
	}
	s := st.submitter()
	fmt.Fprintf(s.w, "MAIL FROM:<s@sender.example> SIZE=%d\r\n", len(whole.text))
	if said := s.answer(); !strings.HasPrefix(said, "552 5.3.4 ") {
		t.Errorf("the door says of the size %q", said)
	}
	row, err := st.call()
	if err != nil || len(row.Problems) != 1 || !strings.Contains(row.Problems[0], "larger than 26214400 octets (max_message_bytes)") {
		t.Errorf("%v, %q", err, row.Problems)
	}
	if left := st.provider.Box("ann"); len(left) != 1 || row.Collected != 0 {
		t.Errorf("the box has %d messages, %d were collected", len(left), row.Collected)
	}
	st.show("ann", func(text []byte) { t.Errorf("ann's mail program shows %.200q", text) })
}
