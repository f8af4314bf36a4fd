package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// mail is a message in the box; its text has CRLF lines.
type mail struct{ uidl, text string }

// maildrop is a box with a POP3 server that speaks the wire and keeps the transaction state of RFC 1939: what DELE marks is deleted
// by QUIT, and by nothing else. It answers out of the ordinary where a test says so.
type maildrop struct {
	mails   []mail
	answers map[string]string // by the whole command line, or by its verb; "greeting". The line end is added. "HANGUP" closes, "MUTE" says nothing
	capa    string            // to CAPA; "": not known
	cert    *tls.Certificate

	mu       sync.Mutex
	commands []string
}

// serve plays one session.
func (d *maildrop) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	marked := map[int]bool{}
	if !d.say(conn, d.answer("greeting", "+OK box ready")) {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasSuffix(line, "\r\n") {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		d.mu.Lock()
		d.commands = append(d.commands, line)
		d.mu.Unlock()
		verb, arg, _ := strings.Cut(line, " ")
		answer := d.answer(line, d.answer(verb, ""))
		switch {
		case answer != "":
		case verb == "STLS":
			d.say(conn, "+OK begin")
			conn = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*d.cert}})
			r = bufio.NewReader(conn)
			continue
		case verb == "AUTH":
			answer = d.auth(arg, r, conn)
		case verb == "QUIT":
			d.delete(marked)
			answer = "+OK bye"
		default:
			answer = d.transact(verb, arg, marked)
		}
		if !d.say(conn, answer) || verb == "QUIT" {
			return
		}
	}
}

func (d *maildrop) transact(verb, arg string, marked map[int]bool) string {
	n, _ := strconv.Atoi(arg)
	without := "" // RFC 2449 §6.8
	if strings.HasPrefix(d.answers["UIDL"], "-ERR") {
		without = "UIDL\r\n"
	}
	switch {
	case verb == "CAPA" && d.capa != "":
		return strings.Replace(d.capa, without, "", 1)
	case verb == "APOP" && arg == "office 3f18b52881e44c0cc6067f46e0ced7bc":
		return "+OK locked"
	case verb == "USER":
		return "+OK"
	case verb == "PASS" && arg != "secret":
		return "-ERR [AUTH] " + arg + " is not it"
	case verb == "PASS":
		return "+OK locked"
	case verb == "LIST", verb == "UIDL":
		lines := []string{"+OK"}
		for i, m := range d.mails {
			if verb == "LIST" {
				lines = append(lines, fmt.Sprint(i+1, " ", len(m.text)))
			} else {
				lines = append(lines, fmt.Sprint(i+1, " ", m.uidl))
			}
		}
		return strings.Join(append(lines, "."), "\r\n")
	case verb == "TOP":
		return d.top(arg, marked)
	case n < 1 || n > len(d.mails) || marked[n]:
		return "-ERR no such message"
	case verb == "RETR":
		text := strings.ReplaceAll("\r\n"+d.mails[n-1].text, "\r\n.", "\r\n..")[2:]
		return "+OK here it is\r\n" + text + "."
	case verb == "DELE":
		marked[n] = true
		return "+OK marked"
	}
	return "-ERR what?"
}

// top is the header, the empty line and some lines of the body (RFC 1939 §7).
func (d *maildrop) top(arg string, marked map[int]bool) string {
	var n, lines int
	if _, err := fmt.Sscanf(arg, "%d %d", &n, &lines); err != nil || n < 1 || n > len(d.mails) || marked[n] {
		return "-ERR no such message"
	}
	header, body, _ := strings.Cut(d.mails[n-1].text, "\r\n\r\n")
	all := strings.SplitAfter(body, "\r\n")
	text := header + "\r\n\r\n" + strings.Join(all[:min(lines, len(all))], "")
	return "+OK top of it\r\n" + strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:] + "."
}

// auth is SASL (RFC 5034), with the response in the line or asked for.
func (d *maildrop) auth(arg string, r *bufio.Reader, conn net.Conn) string {
	line := func(challenge string) string {
		d.say(conn, "+ "+challenge)
		line, _ := r.ReadString('\n')
		d.mu.Lock()
		defer d.mu.Unlock()
		d.commands = append(d.commands, strings.TrimSuffix(line, "\r\n"))
		return strings.TrimSuffix(line, "\r\n")
	}
	mechanism, response, initial := strings.Cut(arg, " ")
	if !initial {
		response = line("")
	}
	text, _ := base64.StdEncoding.DecodeString(response)
	token, bearer := strings.CutPrefix(string(text), "user=office\x01auth=Bearer ")
	switch {
	case mechanism == "PLAIN" && string(text) == "\x00office\x00secret":
		return "+OK locked"
	case mechanism == "XOAUTH2" && bearer && strings.HasPrefix(token, "good") && strings.HasSuffix(token, "\x01\x01"):
		return "+OK locked"
	case mechanism == "XOAUTH2":
		_ = line(base64.StdEncoding.EncodeToString([]byte(`{"status":"400"}`)))
	}
	return "-ERR [AUTH] " + response + " is not it"
}

func (d *maildrop) delete(marked map[int]bool) {
	var kept []mail
	for i, m := range d.mails {
		if !marked[i+1] {
			kept = append(kept, m)
		}
	}
	d.mails = kept
}

func (d *maildrop) answer(to, otherwise string) string {
	if a, ok := d.answers[to]; ok {
		return a
	}
	return otherwise
}

func (d *maildrop) say(conn net.Conn, answer string) bool {
	switch answer {
	case "HANGUP":
		return false
	case "MUTE":
		return true
	}
	_, err := io.WriteString(conn, answer+"\r\n")
	return err == nil
}

// session collects the box over a cable, and waits for both ends.
func (d *maildrop) session(ctx context.Context, opt Options, store Store, up, down lane) (*cable, Report, error) {
	c := newCable(up, down)
	var wg sync.WaitGroup
	wg.Go(func() {
		far := c.far
		if opt.TLS == TLSImplicit {
			far = tls.Server(far, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*d.cert}})
		}
		d.serve(far)
	})
	report, err := Collect(ctx, c.near, opt, store)
	c.close()
	wg.Wait()
	return c, report, err
}

var uncut = lane{limit: -1}

func (d *maildrop) collect(t *testing.T, opt Options, store Store) (Report, error) {
	t.Helper()
	d.commands = nil
	_, report, err := d.session(t.Context(), opt, store, uncut, uncut)
	return report, err
}

// pipelined is what CAPA says of servers that let commands be sent ahead.
const pipelined = "+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\nSASL PLAIN\r\n."

// acquainted are options with a server known to be one of those.
func acquainted(opt Options) Options {
	opt.Known = &Known{At: time.Now(), Capabilities: []string{"USER", "UIDL", "TOP", "PIPELINING"}}
	return opt
}

// archive is a Store as the queue is one: a message and its UIDL are kept together, and once.
type archive struct {
	seen  map[string]Seen
	texts []string
	held  map[string]Held
	fail  map[string]error // by a part of the text
	now   func() time.Time
	late  time.Duration // if above zero, commits come up to twice that later
	mu    sync.Mutex
}

func newArchive() *archive {
	return &archive{seen: map[string]Seen{}, held: map[string]Held{}, now: time.Now}
}

func (a *archive) Seen() (map[string]Seen, error) { return a.seen, nil }

func (a *archive) Save(_ context.Context, size int64, body io.Reader, identity func() string, done func(error)) {
	b, err := io.ReadAll(body)
	switch {
	case err != nil:
		done(err)
	case a.late > 0:
		go func() {
			time.Sleep(time.Duration(len(b)%3) * a.late) // out of order, too
			done(a.keep(b, size, identity()))
		}()
	default:
		done(a.keep(b, size, identity()))
	}
}

func (a *archive) keep(text []byte, size int64, identity string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for part, err := range a.fail {
		if strings.Contains(string(text), part) {
			return err
		}
	}
	if _, again := a.seen[identity]; again {
		return nil
	}
	if identity == "" {
		return errors.New("no identity")
	}
	a.seen[identity] = Seen{At: a.now(), Size: size, Print: Fingerprint(bytes.NewReader(text))}
	a.texts = append(a.texts, string(text))
	return nil
}

func (a *archive) Forget(_ context.Context, uidls []string) error {
	for _, u := range uidls {
		if _, ok := a.seen[u]; !ok {
			return errors.New("what was never seen is to be forgotten: " + u)
		}
		delete(a.seen, u)
	}
	return nil
}

func (a *archive) Hold(_ context.Context, h Held) error {
	if _, again := a.held[h.Identity]; again {
		return errors.New("shown again: " + h.Identity)
	}
	if err := a.fail["hold"]; err != nil {
		return err
	}
	a.held[h.Identity] = h
	return nil
}

func (a *archive) Renamed(_ context.Context, identities map[string]string) error {
	if err := a.fail["rename"]; err != nil {
		return err
	}
	for was, is := range identities {
		seen, ok := a.seen[was]
		if _, there := a.seen[is]; !ok || there {
			return fmt.Errorf("%s can't become %s", was, is)
		}
		delete(a.seen, was)
		a.seen[is] = seen
	}
	return nil
}

// holds says whether exactly these texts were saved, each once.
func (a *archive) holds(mails []mail) bool {
	var want []string
	for _, m := range mails {
		want = append(want, m.text)
	}
	got := slices.Clone(a.texts)
	slices.Sort(got)
	slices.Sort(want)
	return slices.Equal(got, want)
}

// three is a box like any other.
func three() []mail {
	return []mail{
		{"u1", "Subject: one\r\n\r\nhello\r\n"},
		{"u2", "Subject: two\r\n\r\n.\r\n..dots\r\n"},
		{"u3", "Subject: three\r\n\r\n\x00\xff\rodd\r\n"},
	}
}

// certificate is one for pop.example, good at any time a test may think it is.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pop.example"}, DNSNames: []string{"pop.example"},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})
