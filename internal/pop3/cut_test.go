package pop3

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// boxes of every kind that identifies messages in another way.
func boxes() map[string]func() *maildrop {
	return map[string]func() *maildrop{
		"UIDL": func() *maildrop { return &maildrop{mails: three()} },
		"none": func() *maildrop { return &maildrop{mails: three(), answers: map[string]string{"UIDL": "-ERR what?"}} },
		"shared": func() *maildrop {
			d := &maildrop{mails: three()}
			d.mails[1].uidl = d.mails[0].uidl
			return d
		},
		"one refused": func() *maildrop {
			return &maildrop{mails: three(), answers: map[string]string{"DELE 2": "-ERR not this one"}}
		},
	}
}

// manners are ways to collect that put different things on the line.
func manners() map[string]func(opt *Options, d *maildrop, a *archive) {
	return map[string]func(*Options, *maildrop, *archive){
		"one by one": func(*Options, *maildrop, *archive) {},
		"windowed": func(o *Options, d *maildrop, a *archive) {
			*o = acquainted(*o)
			d.capa, a.late, o.Window = pipelined, time.Second, NewWindow(40)
			if d.answers["UIDL"] != "" {
				o.Known.Capabilities = []string{"PIPELINING"}
			}
		},
		"speculating": func(o *Options, d *maildrop, _ *archive) {
			*o = acquainted(*o)
			d.capa, o.Speculate = pipelined, true
			if d.answers["UIDL"] != "" {
				o.Known.Capabilities = []string{"PIPELINING"}
			}
		},
		"met first": func(_ *Options, d *maildrop, a *archive) { d.capa, a.late = pipelined, time.Second },
	}
}

// The session is cut at every octet, each way, by a line that breaks and by one that goes deaf without saying so; then again, some
// octets later, as a bad line will; then it is left alone. Each message must have come in once, whole, and be gone from the server.
func TestCutAnywhere(t *testing.T) {
	for manner, set := range manners() {
		for name, box := range boxes() {
			t.Run(manner+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d, a, opt := box(), newArchive(), plain
					set(&opt, d, a)
					whole, _, _ := d.session(t.Context(), opt, a, uncut, uncut)
					for _, deaf := range []bool{false, true} {
						if deaf && (name != "UIDL" || manner == "met first") {
							continue // what differs there doesn't depend on how a line fails
						}
						for n := range whole.up.moved + 1 {
							cutThenCalm(t, box(), set, lane{limit: n, deaf: deaf}, uncut)
						}
						for n := range whole.down.moved + 1 {
							cutThenCalm(t, box(), set, uncut, lane{limit: n, deaf: deaf})
						}
					}
				})
			})
		}
	}
}

func cutThenCalm(t *testing.T, d *maildrop, set func(*Options, *maildrop, *archive), up, down lane) {
	want, a, opt := three(), newArchive(), plain
	set(&opt, d, a)
	later := func(l lane, by int) lane {
		if l.limit >= 0 {
			l.limit += by
		}
		return l
	}
	for _, by := range []int{0, 13} {
		_, report, err := d.session(t.Context(), opt, a, later(up, by), later(down, by))
		if err == nil && len(report.Problems) == 0 && report.Listed > 0 && report.Deleted+len(d.mails) != report.Listed {
			t.Errorf("%+v, and %d are left", report, len(d.mails))
		}
		if o := opt.Window; o != nil && o.Outstanding() != 0 {
			t.Errorf("%d octets are outstanding in an empty window", o.Outstanding())
		}
		opt.Known, opt.Waiting = report.Known, report.Waiting
	}
	delete(d.answers, "DELE 2")
	for range 2 {
		_, report, err := d.session(t.Context(), opt, a, uncut, uncut)
		if err != nil || len(report.Waiting) > 0 {
			t.Errorf("%+v, %v", report, err)
		}
		opt.Known, opt.Waiting = report.Known, report.Waiting
	}
	if len(d.mails) != 0 || len(a.seen) != 0 || !a.holds(want) {
		t.Fatalf("cut at %d (deaf %v) up, %d (deaf %v) down: %d left, seen %v, saved %q",
			up.limit, up.deaf, down.limit, down.deaf, len(d.mails), a.seen, a.texts)
	}
}

// The same under TLS, where an octet on the line is not one of the session.
func TestCutUnderTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []TLSMode{TLSImplicit, TLSStart} {
		synctest.Test(t, func(t *testing.T) {
			d, a := &maildrop{mails: three()}, newArchive()
			opt := acquainted(trusting(t, d, mode))
			whole, _, err := d.session(t.Context(), opt, a, uncut, uncut)
			if err != nil {
				t.Fatal(err)
			}
			const stride = 37 // a handshake each time is too much for every octet
			for n := 0; n <= whole.down.moved; n += stride {
				d, a := &maildrop{mails: three(), cert: d.cert}, newArchive()
				_, _, _ = d.session(t.Context(), opt, a, uncut, lane{limit: n, deaf: n%2 == 0})
				_, _, _ = d.session(t.Context(), opt, a, lane{limit: n, deaf: n%2 == 0}, uncut)
				for range 2 {
					_, _, _ = d.session(t.Context(), opt, a, uncut, uncut)
				}
				if len(d.mails) != 0 || len(a.seen) != 0 || !a.holds(three()) {
					t.Fatalf("%s, cut at %d: %d left, saved %q", mode, n, len(d.mails), a.texts)
				}
			}
		})
	}
}

// through reads a reply with lines by go-pop3 and the wire, as a server sends it.
func through(t *testing.T, reply string) (string, error) {
	near, far := net.Pipe()
	defer func() { _ = near.Close() }()
	go func() {
		_, _ = io.WriteString(far, "+OK\r\n")
		_, _ = io.ReadFull(far, make([]byte, len("LIST\r\n")))
		_, _ = io.WriteString(far, reply)
		_ = far.Close()
	}()
	s, err := patient(near)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.greeting(); err != nil {
		t.Fatal(err)
	}
	s.send(listing("LIST"))
	s.wire.bound(1000)
	s.flush()
	if err := s.reply("LIST"); err != nil {
		return "", err
	}
	text, err := allText(s.wire)
	return string(text), err
}

// patient is a session that wasn't begun.
func patient(conn net.Conn) (*session, error) {
	opt := plain
	opt.Timeout = time.Minute
	return newSession(conn, opt)
}

// allText reads the text of the reply whose status was read.
func allText(w *wire) (all []byte, err error) {
	for {
		piece, err := w.next()
		all = append(all, piece...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestText(t *testing.T) {
	for name, test := range map[string]struct{ reply, want string }{
		"plain":                {"+OK\r\na\r\nb\r\n.\r\n", "a\r\nb\r\n"},
		"empty":                {"+OK\r\n.\r\n", ""},
		"stuffed":              {"+OK\r\n..\r\n...a\r\n..\r\n.\r\n", ".\r\n..a\r\n.\r\n"},
		"careless stuffing":    {"+OK\r\n.a\r\n.\r\n", "a\r\n"},
		"LF is text":           {"+OK\r\na\n.\nb\n..\nc\r\n.\r\n", "a\r\n.\r\nb\r\n..\r\nc\r\n"},
		"LF, dot, CRLF":        {"+OK\r\na\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
		"dot, LF at start":     {"+OK\r\n.\nb\r\n.\r\n", "\r\nb\r\n"},
		"CR is text":           {"+OK\r\na\rb\r\r\n.\rc\r\n.\r\r\n\r\n.\r\n", "a\rb\r\r\n\rc\r\n\r\r\n\r\n"},
		"LF server":            {"+OK\na\n..b\n.\n", "a\r\n.b\r\n"},
		"LF server, CRLF text": {"+OK\na\r\n..\r\n.\r\n", "a\r\n.\r\n"},
		"octets":               {"+OK\r\n\x00\xff\x80\r\n.\r\n", "\x00\xff\x80\r\n"},
	} {
		if got, err := through(t, test.reply); err != nil || got != test.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, cut := range []string{"", "+O", "+OK\r\n", "+OK\r\na\r\n", "+OK\r\na\r\n.", "+OK\r\na\r\n.\r", "+OK\r\na\n.\n"} {
		got, err := through(t, cut)
		if err == nil {
			t.Errorf("%q gives %q", cut, got)
		}
	}
}

// FuzzWire feeds replies in any pieces: what comes out is what RFC 1939 §3 says of the stream, read here in the plain way, whether one
// reply is owed or several, and in one piece the same as in many.
func FuzzWire(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\na\r\n.\r\n", "+OK\r\n..\r\n.\r\n", "+OK\r\na\n.\nb\r\n.\r\n", "+OK\na\n.\n", "-ERR [IN-USE] x\r\n", "\r\n", "+OK\r\n.\rx\r\n\r.\r\n.\r\n+OK\r\n",
		"+OK\r\n+OK 1\r\na\r\n.\r\n+OK 2\r\n.\r\r\n\n.\r\n.\r\n-ERR 3\r\n", "+OK\r\n.\r\n+OK\r\n\n\r\n.\n\r\n.\r\n+OK\r\nb\r\n.\r\n+ e30=\r\n",
	} {
		f.Add([]byte(seed), 3, uint8(0b1110))
	}
	f.Fuzz(func(t *testing.T, sent []byte, piece int, kinds uint8) {
		var dues []due
		for i := range 4 {
			dues = append(dues, due{command: strconv.Itoa(i), multi: kinds&(1<<i) != 0, goOn: i == 3, limit: 1 << 20})
		}
		got, err := replies(t, sent, max(1, piece), dues)
		again, errAgain := replies(t, sent, 1<<20, dues)
		if !slices.Equal(got, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			t.Fatalf("%q in pieces of %d: %q, %v; in one: %q, %v", sent, piece, got, err, again, errAgain)
		}
		want, sense := plainReplies(sent, dues)
		if sense && !slices.Equal(got, want) {
			t.Fatalf("%q: read %q, want %q", sent, got, want)
		}
	})
}

// replies reads what is due, and gives each reply as its status, a line feed and its text.
func replies(t *testing.T, sent []byte, piece int, dues []due) (all []string, failure error) {
	s, err := patient(&script{rest: sent, piece: piece})
	if err != nil {
		t.Fatal(err)
	}
	s.greeted = true
	for _, d := range dues {
		s.wire.owe(d)
	}
	for _, d := range dues {
		err := s.reply(d.command)
		if lost(err) {
			return all, err
		}
		reply := s.said + "\n"
		if err == nil && d.multi && !isChallenge([]byte(s.said)) {
			text, err := allText(s.wire)
			if err != nil {
				return all, err
			}
			if n := len(text); n > 0 && !bytes.HasSuffix(text, lineEnd) || n > 2*len(sent) {
				t.Fatalf("%q has the text %q", sent, text)
			}
			reply += string(text)
		}
		all = append(all, reply)
	}
	if len(s.wire.owed) > 0 {
		t.Fatalf("%q: %v owed", sent, s.wire.owed)
	}
	return all, nil
}

// plainReplies are the complete replies in a stream; it judges only servers that end their lines in CRLF.
func plainReplies(sent []byte, dues []due) (all []string, sense bool) {
	for _, d := range dues {
		line, rest, found := bytes.Cut(sent, []byte("\n"))
		status, crlf := bytes.CutSuffix(line, []byte("\r"))
		ok, valid := parseStatus(status)
		switch {
		case found && !crlf || len(line) > maxStatus:
			return nil, false
		case !found, !valid && !(d.goOn && isChallenge(status)):
			return all, true
		case !ok || !d.multi:
			all = append(all, string(status)+"\n")
			sent = rest
			continue
		}
		text, after, found := bytes.Cut(append([]byte("\r\n"), rest...), []byte("\r\n.\r\n"))
		if !found {
			return all, true
		}
		body := strings.ReplaceAll(string(text)+"\r\n", "\r\n.", "\r\n")[len("\r\n"):]
		body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\n", "\r\n")
		all = append(all, string(status)+"\n"+body)
		sent = after
	}
	return all, true
}

// script is a conn that gives what it has in pieces.
type script struct {
	net.Conn
	rest  []byte
	piece int
}

func (s *script) SetReadDeadline(time.Time) error { return nil }

func (s *script) SetWriteDeadline(time.Time) error { return nil }

func (s *script) Write(p []byte) (int, error) { return len(p), nil }

func (s *script) Close() error { return nil }

func (s *script) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.piece)], s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func FuzzListing(f *testing.F) {
	f.Add("1 100\n2 200", "1 a\n2 b")
	f.Add("1 100\n1 200\n-1 3\nx\n2", "1 a\n1 b\n2 \x00\n3")
	f.Add("2 1 extra\n7 9999999999999999999999", "2 "+strings.Repeat("x", 300)+"\n7 a b")
	f.Fuzz(func(t *testing.T, list, uidl string) {
		lines := strings.Split(list, "\n")
		entries, bad := parseList(lines)
		if len(entries)+len(bad) != len(lines) {
			t.Fatalf("%d entries and %d bad of %d", len(entries), len(bad), len(lines))
		}
		identify(entries, parseUIDL(strings.Split(uidl, "\n")), map[string]Seen{"a sha256:1": {}})
		taken := map[string]bool{}
		numbers := map[int]bool{}
		for _, e := range entries {
			if e.number < 1 || e.size < 0 || numbers[e.number] || e.identity != "" && (taken[e.identity] || e.identity == "a" || !goodUIDL(e.identity)) {
				t.Fatalf("%+v", e)
			}
			if !strings.Contains(uidl, strconv.Itoa(e.number)+" "+e.uidl) && e.uidl != "" && !strings.Contains(uidl, e.uidl) {
				t.Fatalf("%+v is not in %q", e, uidl)
			}
			taken[e.identity], numbers[e.number] = true, true
		}
	})
}
