package relay

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// seven is what becomes of a message for a server without 8BITMIME, read in pieces of step octets.
func seven(t *testing.T, message string, step int) string {
	t.Helper()
	m := &Message{Size: int64(len(message)), Open: text(message)}
	in := make([]byte, step)
	b := &body{want: m.Size, enc: encoder{bdat: true}, src: io.NopCloser(strings.NewReader(message))}
	var err error
	if b.seven, err = surveyed(m, in); err != nil {
		t.Fatal(err)
	}
	var all, piece []byte
	for ; !b.whole; all = append(all, piece...) {
		if piece, err = b.read(piece[:0], in); err != nil {
			t.Fatal(err)
		}
	}
	return string(all)
}

// crlf is a text in a test as it is on the wire.
func crlf(s string) string { return strings.ReplaceAll(strings.TrimLeft(s, "\n"), "\n", "\r\n") }

const (
	typed = "MIME-Version: 1.0\nContent-Type: "
	mixed = typed + "multipart/mixed; boundary=\"=_b\"\n"
	qp    = contentEncoding + ": quoted-printable\n"
	b64   = contentEncoding + ": base64\n"
	eight = contentEncoding + ": 8bit\n"
	bits7 = contentEncoding + ": 7bit\n"
)

func TestSevenBit(t *testing.T) {
	for name, test := range map[string]struct{ from, want string }{
		// Leaves.
		"nothing to do":   {typed + "text/plain\n" + eight + "\nhello\n", ""},
		"text":            {typed + "text/plain; charset=utf-8\n" + eight + "X: y\n\nGrüße, all of you = \n", typed + "text/plain; charset=utf-8\nX: y\n" + qp + "\nGr=C3=BC=C3=9Fe, all of you =3D=20\n"},
		"text, binary":    {typed + "text/plain\n" + strings.Replace(eight, "8bit", "Binary", 1) + "\nabcdefghijü\n", typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n"},
		"text, 7bit":      {typed + "text/plain\n" + bits7 + "\nabcdefghijü\n", typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n"},
		"text, unlabeled": {typed + "text/plain\n\nabcdefghijü\n", typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n"},
		"no type":         {"MIME-Version: 1.0\n\nabcdefghijü\n", "MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n" + qp + "\nabcdefghij=C3=BC\n"},
		"no MIME":         {"Subject: x\n\nabcdefghijü\n", "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\n" + qp + "\nabcdefghij=C3=BC\n"},
		"not a text":      {typed + "application/x-y; a=(\n\nabcü\n", typed + "application/x-y; a=(\n" + b64 + "\nYWJjw7wNCg==\n"},
		"mostly over 127": {typed + "text/plain; charset=utf-8\n\nпочта\n", typed + "text/plain; charset=utf-8\n" + b64 + "\n0L/QvtGH0YLQsA0K\n"},
		"folded, cased":   {"mime-version: 1.0\ncontent-TYPE: TEXT/plain;\n charset=utf-8\nContent-Transfer-Encoding :\n 8BIT\nX: y\n\nabcdefghijü\n", "mime-version: 1.0\ncontent-TYPE: TEXT/plain;\n charset=utf-8\nX: y\n" + qp + "\nabcdefghij=C3=BC\n"},
		"header":          {"Subject: ü\n" + typed + "text/plain\n\nhello\n", ""},
		"header and text": {"Subject: ü\n" + typed + "text/plain\n\nabcdefghijü\n", "Subject: ü\n" + typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n"},
		"no body":         {"Subject: ü\n", ""},
		"empty":           {"", ""},
		// What is composed.
		"parts": {
			mixed + eight + "\nintro\n--=_b\n\nabcdefghijü\n\n--=_b \nContent-Type: image/png\n\nü\n--=_b\n\nplain\n--=_b--\nend\n",
			mixed + bits7 + "\nintro\n--=_b\n" + qp + "\nabcdefghij=C3=BC\n\n--=_b \nContent-Type: image/png\n" + b64 + "\nw7w=\n--=_b\n\nplain\n--=_b--\nend\n",
		},
		"untouched within": {
			mixed + "\n--=_b\nContent-Type: multipart/x; boundary=c\n" + eight + "\n--c\n\nplain\n--c--\n\n--=_b\n\nabcdefghijü\n--=_b--\n",
			mixed + "\n--=_b\nContent-Type: multipart/x; boundary=c\n" + eight + "\n--c\n\nplain\n--c--\n\n--=_b\n" + qp + "\nabcdefghij=C3=BC\n--=_b--\n",
		},
		"one a prefix of the other": {
			mixed + "\n--=_b\nContent-Type: multipart/x; boundary=\"=_b2\"\n\n--=_b2\n\nabcdefghijü\n--=_b2--\n--=_b--\n",
			mixed + "\n--=_b\nContent-Type: multipart/x; boundary=\"=_b2\"\n\n--=_b2\n" + qp + "\nabcdefghij=C3=BC\n--=_b2--\n--=_b--\n",
		},
		"a message": {
			mixed + "\n--=_b\nContent-Type: message/rfc822\n" + eight + "\nSubject: ü\n" + typed + "text/plain\n\nabcdefghijü\n--=_b--\n",
			mixed + "\n--=_b\nContent-Type: message/rfc822\n" + bits7 + "\nSubject: ü\n" + typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n--=_b--\n",
		},
		"a digest": {
			typed + "multipart/digest; boundary=b\n\n--b\n\nSubject: x\n" + typed + "text/plain\n\nabcdefghijü\n--b--\n",
			typed + "multipart/digest; boundary=b\n\n--b\n\nSubject: x\n" + typed + "text/plain\n" + qp + "\nabcdefghij=C3=BC\n--b--\n",
		},
		"beside the parts":    {mixed + "\nдля\n--=_b\n\nplain\n--=_b--\nдля\n", mixed + "\n??????\n--=_b\n\nplain\n--=_b--\n??????\n"},
		"a part that is none": {mixed + "\n--=_b\n--=_b\n\nabcdefghijü\n--=_b--\n", mixed + "\n--=_b\n--=_b\n" + qp + "\nabcdefghij=C3=BC\n--=_b--\n"},
		"signed in seven bits": {
			mixed + "\n--=_b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nplain\n--s--\n--=_b\n\nabcdefghijü\n--=_b--\n",
			mixed + "\n--=_b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nplain\n--s--\n--=_b\n" + qp + "\nabcdefghij=C3=BC\n--=_b--\n",
		},
		// What must not be touched.
		"signed":           {typed + "multipart/signed; boundary=b\n\n--b\n\nü\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n", ""},
		"signed within":    {mixed + "\n--=_b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nü\n--s--\n--=_b\n\nü\n--=_b--\n", ""},
		"encrypted":        {typed + "multipart/encrypted; boundary=b\n\n--b\n\nü\n--b--\n", ""},
		"S/MIME":           {typed + "application/pkcs7-mime\n\nü\n", ""},
		"DKIM":             {"DKIM-Signature: v=1;\n b=x\n" + typed + "text/plain\n\nü\n", ""},
		"delivery status":  {typed + "message/delivery-status\n\nü: ü\n", ""},
		"encoded already":  {typed + "text/plain\n" + qp + "\nü\n", ""},
		"unknown encoding": {typed + "text/plain\n" + contentEncoding + ": x-uuencode\n\nü\n", ""},
		// What nobody can make sense of.
		"not closed":                   {mixed + "\n--=_b\n\nü\n", ""},
		"not closed within":            {mixed + "\n--=_b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nü\n--=_b--\n", ""},
		"no boundary":                  {typed + "multipart/mixed\n\n--b\n\nü\n--b--\n", ""},
		"strange boundary":             {typed + "multipart/mixed; boundary=\"b \"\n\n--b\n\nü\n--b--\n", ""},
		"the same boundary":            {mixed + "\n--=_b\nContent-Type: multipart/x; boundary==_b\n\n--=_b\n\nü\n--=_b--\n--=_b--\n", ""},
		"two boundaries":               {typed + "multipart/mixed; boundary=b; boundary=c\n\n--b\n\nü\n--b--\n", ""},
		"two types":                    {typed + "text/plain\nContent-Type: text/html\n\nü\n", ""},
		"two encodings":                {typed + "text/plain\n" + eight + eight + "\nü\n", ""},
		"no field":                     {typed + "text/plain\nwhat is this\n\nü\n", ""},
		"begins folded":                {" x: y\n" + typed + "text/plain\n\nü\n", ""},
		"no header, no field":          {mixed + "\n--=_b\nabcü\n--=_b--\n", ""},
		"a type without limit":         {typed + strings.Repeat("x", 2*surveyField) + "\n\nü\n", ""},
		"a delimiter that is a riddle": {mixed + "\n--=_b" + strings.Repeat(" ", surveyLine) + "\n\nü\n--=_b--\n", ""},
		"too deep":                     {strings.Repeat("Content-Type: message/rfc822\n\n", surveyDepth) + "\nü\n", ""},
		"too many":                     {mixed + "\n" + strings.Repeat("--=_b\n\nü\n", surveyEdits) + "--=_b--\n", ""},
	} {
		from, want := crlf(test.from), crlf(test.want)
		if test.want == "" {
			want = from
		}
		for _, step := range []int{1, 7, 1000, chunkSize} {
			if got := seven(t, from, step); got != want {
				t.Errorf("%s, by %d octets: is\n%.2000q, want\n%.2000q", name, step, got, want)
				break
			}
		}
	}
}

// The same through a whole dialogue.
func TestEightBit(t *testing.T) {
	const as, signed = "Subject: ä\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n", "DKIM-Signature: v=1\r\n"
	long := strings.Repeat("Gr\xfc\xdfe, in eight bits\r\n.\r\n", 5000)
	for name, test := range map[string]struct{ offers, mail, body, want string }{
		"offered":  {"8BITMIME", " BODY=8BITMIME", as + "\r\n\xfc\r\n", as + "\r\n\xfc\r\n"},
		"not":      {"HELP", "", as + "\r\n.\xfc, abcdefgh\r\n", as + contentEncoding + ": quoted-printable\r\n\r\n.=FC, abcdefgh\r\n"},
		"signed":   {"HELP", "", signed + as + "\r\n\xfc\r\n", signed + as + "\r\n\xfc\r\n"},
		"long":     {"HELP", "", as + "\r\n" + long, as + contentEncoding + ": quoted-printable\r\n\r\n" + strings.NewReplacer("\xfc", "=FC", "\xdf", "=DF").Replace(long)},
		"CHUNKING": {"CHUNKING", "", as + "\r\n" + long, as + contentEncoding + ": quoted-printable\r\n\r\n" + strings.NewReplacer("\xfc", "=FC", "\xdf", "=DF").Replace(long)},
	} {
		s := &smarthost{offers: []string{test.offers}}
		m := Message{From: "a@x", To: []string{"b@x"}, EightBit: true, UTF8: true, Size: int64(len(test.body)), Open: text(test.body)}
		results, err := send(t, open(t, s, plain), m)
		if err != nil || verdicts(results) != "ok" || s.commands[1] != "MAIL FROM:<a@x>"+test.mail || s.letters()[0].body != test.want {
			t.Errorf("%s: %v, %v, %q", name, results, err, s.commands)
		}
	}
}

// A content that isn't the same when it is read again never looks like a whole message to the server.
func TestSevenBitChanged(t *testing.T) {
	const first = typed + "text/plain\n\nabcdefghijü"
	for name, reads := range map[string][]string{
		"shorter": {first, first, typed + "text/plain\n\nü"}, "longer": {first, first, first + ", and more"},
		"gone": {first, first}, "gone before": {first},
	} {
		m := Message{From: "a@x", To: []string{"b@x"}, Open: func() (io.ReadCloser, error) {
			if len(reads) == 0 {
				return nil, io.ErrUnexpectedEOF
			}
			next := reads[0]
			reads = reads[1:]
			return text(crlf(next))()
		}}
		s := &smarthost{offers: modes["CHUNKING"]}
		results, err := send(t, open(t, s, plain), m)
		if err != nil || verdicts(results) != "temporary" || !errors.Is(results[0].Err, io.ErrUnexpectedEOF) || len(s.letters()) > 0 {
			t.Errorf("%s: %+v, %v", name, results, err)
		}
	}
}

// leaf is what a reader sees of a part.
type leaf struct {
	path, kind, text string
	raw              bool // there were octets over 127 on the wire
}

// leaves reads a message by another way than the one that is tested.
func leaves(path string, header map[string][]string, r io.Reader) (all []leaf, err error) {
	get := func(name, without string) string {
		if v := header[name]; len(v) > 0 {
			return v[0]
		}
		return without
	}
	kind, params, err := mime.ParseMediaType(get("Content-Type", "text/plain"))
	switch {
	case err != nil:
		return nil, err
	case strings.HasPrefix(kind, "multipart/"):
		parts := multipart.NewReader(r, params["boundary"])
		for i := 0; ; i++ {
			p, err := parts.NextRawPart()
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			if err != nil {
				return nil, err
			}
			more, err := leaves(fmt.Sprint(path, "/", i), p.Header, p)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	case kind == "message/rfc822":
		m, err := mail.ReadMessage(r)
		if err != nil {
			return nil, err
		}
		return leaves(path+"/m", m.Header, m.Body)
	}
	wire, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	l := leaf{path: path, kind: kind, text: string(wire), raw: !sevenBit(wire)}
	decoder := io.Reader(bytes.NewReader(wire))
	switch strings.ToLower(get("Content-Transfer-Encoding", "7bit")) {
	case "quoted-printable":
		decoder = quotedprintable.NewReader(decoder)
	case "base64":
		decoder = base64.NewDecoder(base64.StdEncoding, decoder)
	}
	text, err := io.ReadAll(decoder)
	l.text = string(text)
	return []leaf{l}, err
}

// build makes a well-formed message of leaves with that text, nested as shape says.
func build(shape []byte, text string) string {
	kinds := []string{"text/plain; charset=utf-8", "application/octet-stream", "text/html", "image/png"}
	var entity func(n int, head string) string
	entity = func(n int, head string) string {
		if len(shape) == 0 || n > 8 {
			return head + "Content-Type: text/plain\r\n\r\n" + text
		}
		c := shape[0]
		shape = shape[1:]
		if c&8 > 0 {
			head += "Content-Transfer-Encoding: " + []string{"8bit", "binary", "7BIT"}[int(c>>4)%3] + "\r\n"
		}
		switch c & 7 {
		case 0, 1, 2, 3:
			return head + "Content-Type: " + kinds[c&3] + "\r\n\r\n" + text
		case 4:
			return head + "Content-Type: message/rfc822\r\n\r\n" + entity(n+1, "Subject: x\r\nMIME-Version: 1.0\r\n")
		}
		b := fmt.Sprintf("=_boundary_%d_", n)
		s := head + "Content-Type: multipart/mixed;\r\n boundary=\"" + b + "\"\r\n\r\npreamble\r\n"
		for range c>>4%4 + 1 {
			s += "--" + b + "\r\n" + entity(n+1, "X-Part: y\r\n") + "\r\n"
		}
		return s + "--" + b + "--\r\n"
	}
	return entity(0, "Subject: x\r\nMIME-Version: 1.0\r\n")
}

// What is well-formed arrives in seven bits, and reads the same by other means.
func FuzzWellFormed(f *testing.F) {
	f.Add([]byte{0xf5, 0, 9, 0x24, 0x36, 1, 2}, "Gr\xc3\xbc\xc3\x9fe \r\n\r\n.\r\nFrom x")
	f.Add([]byte{4, 4, 5}, strings.Repeat("\xff", 500))
	f.Add([]byte{8}, "\r\n \xe4 \t\r\n")
	f.Fuzz(func(t *testing.T, shape []byte, text string) {
		if strings.Contains(text, "=_boundary") || len(shape) > 100 || len(text) > 10000 {
			return
		}
		// As any content, it becomes lines first.
		var e encoder
		e.bdat = true
		text = strings.TrimSuffix(string(e.finish(e.append(nil, []byte(text)))), "\r\n")
		message := build(shape, text)
		if len(message) > 1<<20 {
			return
		}
		got := seven(t, message, 777)
		if !strings.HasSuffix(message, "\r\n") {
			message += "\r\n"
		}
		if !sevenBit([]byte(got)) {
			t.Fatalf("%q becomes %q", message, got)
		}
		before, after := read(t, message), read(t, got)
		if !slices.EqualFunc(before, after, func(a, b leaf) bool { return a.path == b.path && a.kind == b.kind && a.text == b.text }) {
			t.Fatalf("%q becomes %q", message, got)
		}
		if !slices.ContainsFunc(before, func(l leaf) bool { return l.raw }) && got != message {
			t.Fatalf("%q needs no change, and becomes %q", message, got)
		}
	})
}

func read(t *testing.T, message string) []leaf {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(message))
	if err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	all, err := leaves("", m.Header, m.Body)
	if err != nil {
		t.Fatalf("%q: %v", message, err)
	}
	return all
}

// Whatever comes in: it is the same however it is cut, it needs no second treatment, and it grows to no more than three times its lines
// and a label for each edit.
func FuzzSevenBit(f *testing.F) {
	f.Add(crlf(mixed+eight+"\nintro\n--=_b\n\nü\n\n--=_b \nContent-Type: image/png\n\nü\n--=_b--\nü\n"), 3)
	f.Add(crlf("Content-Type: message/rfc822\n\nContent-Type: multipart/digest; boundary=b\n\n--b\n\n\nü\n--b--\n"), 11)
	f.Fuzz(func(t *testing.T, message string, step int) {
		step = min(max(step, 1), 1000)
		got := seven(t, message, step)
		if other := seven(t, message, chunkSize); other != got {
			t.Fatalf("%q becomes %q by %d octets, %q in one", message, got, step, other)
		}
		if again := seven(t, got, chunkSize); again != got {
			t.Fatalf("%q becomes %q, and that %q", message, got, again)
		}
		if len(got) > 3*len(message)*2+200*(1+strings.Count(message, "\n")+strings.Count(message, "\r")) {
			t.Fatalf("%d octets become %d", len(message), len(got))
		}
	})
}

// A part may be as long as it likes, and so may a line and the list of parts: what is kept of them is bounded.
func TestSevenBitMemory(t *testing.T) {
	const size = 16 << 20
	for name, piece := range map[string]string{"lines": "abcdefghü, abcdefgh\r\n", "one line": "abcdefghü", "fields": "X: ü\r\n", "parts": "\r\n--=_b\r\n\r\nplain"} {
		head := crlf(mixed + "\n--=_b\n\n")
		if name == "fields" {
			head = crlf(typed + "text/plain\n")
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m := &Message{Open: func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(head), &endless{piece, size}, strings.NewReader("\r\n--=_b--\r\n"))), nil
		}}
		b, err := surveyed(m, make([]byte, chunkSize))
		if err != nil {
			t.Fatal(err)
		}
		if most := 0; b != nil {
			src, _ := m.Open()
			for in := make([]byte, chunkSize); ; {
				n, err := src.Read(in)
				if most = max(most, len(b.convert(in[:n]))); err != nil {
					break
				}
			}
			if _, err := b.finish(); err != nil || most > 4*chunkSize {
				t.Errorf("%s: %v, %d octets at once", name, err, most)
			}
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d octets of memory for %d of content", name, used, size)
		}
	}
}

// endless repeats a text up to a length.
type endless struct {
	piece string
	left  int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	for n+len(e.piece) <= len(p) {
		n += copy(p[n:], e.piece)
	}
	e.left -= n
	return n, nil
}
