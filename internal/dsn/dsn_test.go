package dsn

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

var update = flag.Bool("update", false, "write the samples in testdata anew")

var nairobi = time.FixedZone("EAT", 3*3600)

// now is when all reports of the tests are written.
var now = time.Date(2026, 11, 25, 16, 2, 11, 0, nairobi)

const letter = "Received: from pc7 by gate\r\nFrom: Ann <ann@clinic.example>\r\nTo: bob@far.example\r\nSubject: Minutes of Tuesday\r\n" +
	"Date: Tue, 24 Nov 2026 09:30:00 +0300\r\nMessage-ID: <1@clinic.example>\r\n\r\nDear Bob,\r\nhere they are.\r\n"

// report is one about a letter.
func report(k Kind, original string, to ...Recipient) *Report {
	return &Report{
		Kind: k, Hostname: "gate.clinic.example", From: "postmaster@gate.clinic.example", To: "ann@clinic.example", Recipients: to,
		ID: "r1", Now: now, Arrived: now.Add(-3 * time.Hour),
		Original: strings.NewReader(original), OriginalSize: int64(len(original)),
	}
}

func write(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// samples are reports as they happen, by the name of their file in testdata.
func samples() map[string]*Report {
	at := now.Add(-time.Minute)
	refused := Recipient{Addr: "bob@far.example", Remote: "smtp.provider.example", Reply: "550 5.1.1 <bob@far.example>: Recipient address rejected: User unknown", At: at, Attempts: 1}
	many := report(Failed, letter+strings.Repeat("a long letter\r\n", 10000), refused,
		Recipient{Addr: "c@far.example", Remote: "smtp.provider.example", Reply: "552-5.3.4 Message size exceeds 552 5.3.4 the limit of 10 MB", At: at, Attempts: 1},
		Recipient{Addr: "d@far.example", Remote: "smtp.provider.example", Reply: "552-5.3.4 Message size exceeds 552 5.3.4 the limit of 10 MB", At: at, Attempts: 1})
	many.EnvID = "QQ314159"
	delayed := report(Delayed, letter,
		Recipient{Addr: "bob@far.example", Original: "rfc822;robert@far.example", Remote: "smtp.provider.example", Reply: "451 4.7.1 Greylisted", At: at, Attempts: 3, WillRetryUntil: now.Add(72 * time.Hour)},
		Recipient{Addr: "eve@far.example", WillRetryUntil: now.Add(72 * time.Hour)})
	umlaut := strings.Replace(letter, "Minutes of Tuesday", "=?iso-8859-1?q?Gr=FC=DFe?= aus Köln", 1)
	utf8 := report(Failed, umlaut, Recipient{Addr: "jürgen@bücher.example", Remote: "smtp.provider.example", Reply: "553 5.6.7 Ä no", At: at, Attempts: 1})
	utf8.UTF8, utf8.To = true, "änn@clinic.example"
	seven := report(Failed, umlaut, Recipient{Addr: "jürgen@bücher.example", Remote: "smtp.provider.example", Reply: "553 5.6.7 Ä no", At: at, Attempts: 1})
	seven.To = "änn@clinic.example"
	return map[string]*Report{
		"failed":    report(Failed, letter, refused),
		"here":      report(Failed, letter, Recipient{Addr: "nobody", Original: "rfc822;nobody@clinic.example", Reply: "550 5.1.1 There is nobody with the address <nobody@clinic.example> in this office"}),
		"many":      many,
		"delayed":   delayed,
		"relayed":   report(Relayed, letter, Recipient{Addr: "bob@far.example", Remote: "smtp.provider.example", Reply: "250 2.0.0 queued as 7", At: at, Attempts: 1}),
		"delivered": report(Delivered, letter, Recipient{Addr: "bob", Original: "rfc822;bob@clinic.example", At: at}),
		"utf8":      utf8,
		"seven":     seven,
	}
}

// The samples are to be read by people, too.
func TestSamples(t *testing.T) {
	for name, r := range samples() {
		got := write(t, r)
		wellFormed(t, r, got)
		path := filepath.Join("testdata", name+".eml")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || got != string(want) {
			t.Errorf("%s is not as in %s (%v); see what has changed with -update:\n%s", name, path, err, got)
		}
		if again := write(t, r); again != got {
			t.Errorf("%s is another one when it is written again", name)
		}
	}
}

func TestRefused(t *testing.T) {
	bob := Recipient{Addr: "bob@far.example"}
	for what, r := range map[string]*Report{
		"null sender":  {Kind: Failed, Recipients: []Recipient{bob}},
		"nobody":       {Kind: Failed, To: "a@x"},
		"no kind":      {To: "a@x", Recipients: []Recipient{bob}},
		"unknown kind": {Kind: "expanded", To: "a@x", Recipients: []Recipient{bob}},
		"lost body":    {Kind: Failed, To: "a@x", Recipients: []Recipient{bob}, Original: broken{}},
	} {
		if err := r.Write(io.Discard); err == nil {
			t.Errorf("%s: it was written", what)
		}
	}
	// A disk that is full, at any octet.
	r := report(Failed, letter, bob)
	for n := range len(write(t, r)) {
		if err := r.Write(&short{n}); !errors.Is(err, errFull) {
			t.Fatalf("no room after %d octets: %v", n, err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)           { return 0, iotest.ErrTimeout }
func (broken) Seek(int64, int) (n int64, _ error) { return 0, nil }

var errFull = errors.New("full")

type short struct{ left int }

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.left {
		return s.left, errFull
	}
	s.left -= len(p)
	return len(p), nil
}

// What is attached, by what the sender wants, the message's size, and what the way to him carries.
func TestAttached(t *testing.T) {
	bob := Recipient{Addr: "bob@far.example"}
	big, eight, long := letter+strings.Repeat("x\r\n", 40000), letter+"Gr\xfc\xdfe\r\n", letter+strings.Repeat("x", 999)
	const header, whole = "text/rfc822-headers", "message/rfc822"
	for name, test := range map[string]struct {
		kind     Kind
		original string
		change   func(*Report)
		want     string // type and encoding of the third part
	}{
		"small":                       {Failed, letter, nil, whole + " 7bit"},
		"big":                         {Failed, big, nil, header + " 7bit"},
		"big, FULL":                   {Failed, big, func(r *Report) { r.Return = "FULL" }, whole + " 7bit"},
		"small, HDRS":                 {Failed, letter, func(r *Report) { r.Return = "HDRS" }, header + " 7bit"},
		"unknown size":                {Failed, letter, func(r *Report) { r.OriginalSize = 0 }, header + " 7bit"},
		"no failure, FULL":            {Delayed, letter, func(r *Report) { r.Return = "FULL" }, header + " 7bit"},
		"eight bits":                  {Failed, eight, nil, header + " 7bit"},
		"eight bits may go":           {Failed, eight, func(r *Report) { r.EightBit = true }, whole + " 8bit"},
		"eight bits by UTF8":          {Failed, eight, func(r *Report) { r.UTF8 = true }, whole + " 8bit"},
		"long line":                   {Failed, long, nil, header + " 7bit"},
		"998 octets":                  {Failed, letter + strings.Repeat("x", 998) + "\r\n", nil, whole + " 7bit"},
		"eight bit header":            {Failed, "Subject: \xe4\r\n\r\n", nil, header + " quoted-printable"},
		"UTF-8 header":                {Failed, "Subject: ä\r\n\r\n", func(r *Report) { r.UTF8 = true }, "message/global 8bit"},
		"UTF-8 header alone":          {Relayed, "Subject: ä\r\n\r\n", func(r *Report) { r.UTF8 = true }, "message/global-headers 8bit"},
		"not UTF-8 header":            {Relayed, "Subject: \xe4\r\n\r\n", func(r *Report) { r.UTF8 = true }, header + " quoted-printable"},
		"long header line":            {Relayed, "Subject: " + strings.Repeat("x", 2000) + "\r\n\r\n", nil, header + " quoted-printable"},
		"lost":                        {Failed, "", func(r *Report) { r.Original = nil }, ""},
		"empty":                       {Failed, "", nil, ""},
		"no header":                   {Delayed, "oops\r\n\r\nA: b\r\n", nil, ""},
		"body from DOS, Unix and Mac": {Failed, "A: b\n\na\r\n\x00b\rc", nil, whole + " 7bit"},
	} {
		r := report(test.kind, test.original, bob)
		if test.change != nil {
			test.change(r)
		}
		got := write(t, r)
		parts := wellFormed(t, r, got)
		third := ""
		if len(parts) == 3 {
			third = parts[2].kind + " " + parts[2].encoding
		}
		if third != test.want {
			t.Errorf("%s: third part is %q, want %q", name, third, test.want)
		}
		if strings.HasPrefix(third, whole) && parts[2].body != normal(test.original) {
			t.Errorf("%s: attached is %q", name, parts[2].body)
		}
	}
}

// normal is a message as it goes out: CRLF only, no NUL.
func normal(s string) string {
	s = strings.NewReplacer("\x00", "").Replace(s)
	s = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(s)
	if s != "" && !strings.HasSuffix(s, "\r\n") {
		s += "\r\n"
	}
	return s
}

// A header of megabytes, as an attack or a broken program makes it, is not kept in memory nor in a mailbox.
func TestHugeHeader(t *testing.T) {
	line := "X-Y: " + strings.Repeat("z", 70) + "\r\n"
	huge := strings.Repeat(line, 100000)
	got := write(t, report(Failed, letter[:strings.Index(letter, "\r\n\r\n")+2]+huge+"\r\nbody", Recipient{Addr: "b@x"}))
	if len(got) > maxHeader+8<<10 || !strings.Contains(got, "Subject: Not delivered: Minutes of Tuesday\r\n") {
		t.Errorf("%d octets: %.1000s", len(got), got)
	}
	got = write(t, report(Delayed, "Subject: a\r\n"+strings.Repeat(" folded on and on\r\n", 10000), Recipient{Addr: "b@x"}))
	if len(got) > maxHeader+8<<10 {
		t.Errorf("%d octets", len(got))
	}
}

// What is from others can't write fields of the report, nor end a part.
func TestNothingGetsIn(t *testing.T) {
	evil := "x\r\nBcc: all@x\r\n\r\n--=_report_\x00\x1b[2J\u202etxt"
	r := report(Failed, "Subject: "+evil+"\r\nMessage-ID: <a@b> (\r\n\r\n", Recipient{Addr: evil, Original: "rfc822;" + evil, Status: evil, Remote: evil, Reply: evil})
	r.To, r.From, r.Hostname, r.ID, r.EnvID = evil, evil, evil, evil, evil
	got := write(t, r)
	for _, p := range wellFormed(t, r, got)[:2] {
		if strings.Contains(p.body, "\nBcc:") || strings.ContainsAny(p.body, "\x00\x1b") || strings.Contains(p.body, "\u202e") {
			t.Errorf("%q", p.body)
		}
	}
	if head, _, _ := strings.Cut(got, "\r\n\r\n"); strings.Contains(head, "\nBcc") || strings.Contains(head, "In-Reply-To") {
		t.Errorf("%q", head)
	}
}

func TestStatusOf(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.1.1 no such user":       "5.1.1",
		"550-5.7.26 a 550 5.7.26 b":    "5.7.26",
		"550 no such user":             "5.0.0",
		"552 full":                     "5.2.2",
		"450 later":                    "4.2.0",
		"550 4.4.7 it waited too long": "4.4.7",
		"250 2.0.0 queued":             "2.0.0",
		"250 ok":                       "2.0.0",
		"354 go":                       "5.0.0",
		"5.3.4 it is too big":          "5.3.4",
		"5.3 it is too big":            "5.0.0",
		"5.1234.1 x":                   "5.0.0",
		"smtp: MAIL: connection lost":  "5.0.0",
		"":                             "5.0.0",
		"550":                          "5.0.0",
		"5501 x":                       "5.0.0",
		"\x00\xff":                     "5.0.0",
	} {
		if got := StatusOf(reply, true); got != want {
			t.Errorf("%q: %s, want %s", reply, got, want)
		}
	}
	if got := StatusOf("the line died", false); got != "4.0.0" {
		t.Error(got)
	}
}

// A code that says the opposite of the report is not in it.
func TestStatusOfKind(t *testing.T) {
	for _, test := range []struct {
		kind          Kind
		status, reply string
		want          string
	}{
		{Failed, "", "250 2.0.0 ok", "5.0.0"},
		{Failed, "2.1.5", "", "5.0.0"},
		{Failed, "", "550 4.4.7 it waited too long", "4.4.7"},
		{Failed, "5.7.1", "550 5.1.1 x", "5.7.1"},
		{Delayed, "", "250 ok", "4.0.0"},
		{Delivered, "", "delivered as 7", "2.0.0"},
		{Delivered, "", "", "2.0.0"},
		{Relayed, "", "250 2.1.5 ok", "2.1.5"},
		{Relayed, "5.0.0", "", "2.0.0"},
	} {
		p := Recipient{Status: test.status, Reply: test.reply}
		if got := p.status(test.kind); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

func TestWords(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.1.1 user unknown":                                              unknown.what,
		"550 5.4.1 Recipient address rejected: Access denied":                 unknown.what,
		"550 No such user here":                                               unknown.what,
		"554 5.7.1 Service unavailable; Client host blocked using spamhaus":   spam.what,
		"550 5.7.1 Sender address rejected: not owned by user":                sender.what,
		"550 5.7.26 unauthenticated mail from x is not accepted due to DMARC": proof.what,
		"450 4.2.0 Greylisted, see http://x":                                  grey.what,
		"452 4.2.2 The email account is over quota":                           full.what,
		"552 too big": tooBig.what,
		"5.3.4 the message has 5 octets, the server takes 4 at most": tooBig.what,
		"554 5.7.1 Relay access denied":                              relaying.what,
		"554 5.7.99 because":                                         rules.what,
		"421 4.4.2 timeout":                                          gone.what,
		"599 5.8.8 ?":                                                "It was refused, and the code doesn't say why.",
	} {
		p := Recipient{Reply: reply, Remote: "mx"}
		if got := p.reason(Failed).what; got != want {
			t.Errorf("%q: %q, want %q", reply, got, want)
		}
	}
	own := write(t, report(Failed, letter, Recipient{Addr: "b@x", Remote: "mx", Reply: "5.3.4 the message has 5 octets, the server takes 4 at most"}))
	if !strings.Contains(own, "In the words of this gateway") || strings.Contains(own, "smtp; 5.3.4") {
		t.Errorf("our own words are another's: %s", own)
	}
	p := Recipient{Reply: "550 5.7.1 no", Remote: ""}
	if got := p.reason(Failed).what; !strings.Contains(got, "rules of your office") {
		t.Errorf("%q", got)
	}
}

func TestXtext(t *testing.T) {
	for in, want := range map[string]string{
		"ann@x": "ann@x", "a+b=c": "a+2Bb+3Dc", "a b": "a+20b", "ü": "+C3+BC", "\x7f\x00": "+7F+00", `a\b`: `a\b`,
	} {
		if got := Xtext(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"ann@x": "ann@x", "a+b=c": `a\x{2B}b\x{3D}c`, "ü": `\x{FC}`, "ł": `\x{142}`, "€": `\x{20AC}`, "😀": `\x{1F600}`, "\U0010FFFF": `\x{10FFFF}`, `a\b c`: `a\x{5C}b\x{20}c`,
	} {
		if got := UTF8Xtext(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// Two reports about one thing differ in what parts them.
func TestBoundary(t *testing.T) {
	r := report(Failed, letter, Recipient{Addr: "b@x"})
	one := write(t, r)
	r.ID = "r2"
	_, boundary, _ := strings.Cut(one, `boundary="`)
	boundary, _, _ = strings.Cut(boundary, `"`)
	if two := write(t, r); strings.Contains(two, boundary) {
		t.Errorf("both have %s", boundary)
	}
	// A message that brings the boundary of the report about another one.
	r = report(Failed, letter+"\r\n--"+boundary+"--\r\n", Recipient{Addr: "b@x"})
	if parts := wellFormed(t, r, write(t, r)); len(parts) != 3 {
		t.Errorf("%d parts", len(parts))
	}
}

func BenchmarkWrite(b *testing.B) {
	original := letter + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1<<14)
	r := report(Failed, original, Recipient{Addr: "bob@far.example", Reply: "550 5.1.1 no"})
	r.Return = "FULL"
	b.SetBytes(int64(len(original)))
	for b.Loop() {
		if err := r.Write(&bytes.Buffer{}); err != nil {
			b.Fatal(err)
		}
	}
}
