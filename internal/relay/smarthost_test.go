package relay

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// smarthost is an SMTP server for one connection: it speaks the wire, keeps what it accepted and all it was told, and answers out of
// the ordinary where a test says so. It takes CRLF.CRLF alone for the end of a message.
type smarthost struct {
	offers  []string          // EHLO keywords
	answers map[string]string // by the whole command line, by verb and sender ("DATA a@x"), or by the verb; "content" is the end of a
	// message, by DATA or BDAT. "HANGUP" closes, "MUTE" says nothing
	cert   *tls.Certificate // for STARTTLS
	secure []string         // EHLO keywords after TLS; nil means the same as before
	greet  string
	user   string // with password "secret"
	mute   bool   // says nothing any more
	stays  bool   // goes on after a 421
	most   int    // transactions that it grants on a connection, before it answers MAIL with enough; 0: any number
	enough string

	mu       sync.Mutex
	commands []string
	accepted []letter
	writes   [][]string // commands by the write in which they came, as far as a pipe shows it
}

// letter is a message as the server accepted it.
type letter struct {
	from string
	to   []string
	body string // unstuffed

	broken bool // a part of it was refused
}

// serve speaks until the client goes. What it reads ahead is what the client sent in one group.
func (s *smarthost) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	d := &dialogue{smarthost: s, conn: conn, r: bufio.NewReader(conn)}
	if s.greet == "" {
		s.greet = "220 smarthost.example ESMTP"
	}
	if !s.say(conn, s.greet) {
		return
	}
	offers := s.offers
	for {
		line, ok := s.hear(d.r)
		if !ok {
			return
		}
		verb := strings.ToUpper(strings.FieldsFunc(line+" ", func(r rune) bool { return r == ' ' || r == ':' })[0])
		answer, given := s.answer(line, verb+" "+d.mail.from, verb)
		switch {
		case verb == "STARTTLS" && !given:
			s.say(conn, "220 go on")
			conn = tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*s.cert}})
			d.conn, d.r = conn, bufio.NewReader(conn)
			if s.secure != nil {
				offers = s.secure
			}
			continue
		case verb == "EHLO" && !given:
			answer = "250-" + strings.Join(append([]string{"smarthost.example"}, offers...), "\r\n250-")
			cut := strings.LastIndex(answer, "250-")
			answer = answer[:cut] + "250 " + answer[cut+4:]
		case verb == "AUTH" && !given:
			answer = s.auth(conn, d.r, line)
		case verb == "QUIT":
			s.say(conn, "221 bye")
			if !s.mute {
				return
			}
		default:
			if answer, ok = d.transact(verb, line, answer); !ok {
				return
			}
		}
		if !s.say(conn, answer) || strings.HasPrefix(answer, "421") && !s.stays {
			return
		}
	}
}

// dialogue is where a connection to a smarthost stands.
type dialogue struct {
	*smarthost
	conn net.Conn
	r    *bufio.Reader
	mail letter
	open bool // a transaction
	held int  // transactions that were granted
}

// transact is a command of a transaction, with an answer that is given or "". Not ok if it hangs up.
func (d *dialogue) transact(verb, line, given string) (answer string, ok bool) {
	answer = given
	if given == "" {
		answer = "250 2.0.0 ok"
	}
	refused := answer[0] != '2' && answer[0] != '3'
	switch verb {
	case "BDAT":
		answer = d.bdat(line)
		return answer, answer != ""
	case "MAIL":
		switch {
		case given == "" && d.open:
			answer, refused = "503 5.5.1 nested MAIL", true
		case d.most > 0 && d.held == d.most:
			answer, refused = d.enough, true
		}
		if !refused {
			d.mail, d.open = letter{from: path(line)}, true
			d.held++
		}
	case "RCPT":
		if given == "" && !d.open {
			answer, refused = "503 5.5.1 no MAIL", true
		}
		if !refused {
			d.mail.to = append(d.mail.to, path(line))
		}
	case "RSET":
		d.mail, d.open = letter{}, false
	case "DATA":
		if given == "" {
			answer = "354 go on"
			if len(d.mail.to) == 0 {
				answer = "554 5.5.1 no valid recipients"
			}
		}
		if answer[0] == '3' {
			if !d.say(d.conn, answer) {
				return "", false
			}
			answer = d.data(d.r, &d.mail)
			d.mail, d.open = letter{}, false
		}
	}
	return answer, answer != ""
}

// hear reads a command line. Like the best servers it knows lines that end with CRLF only.
func (s *smarthost) hear(r *bufio.Reader) (string, bool) {
	more := r.Buffered() > 0
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "\r\n") {
		return "", false
	}
	line = line[:len(line)-2]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, line)
	if more {
		s.writes[len(s.writes)-1] = append(s.writes[len(s.writes)-1], line)
	} else {
		s.writes = append(s.writes, []string{line})
	}
	return line, true
}

func (s *smarthost) say(conn net.Conn, answer string) bool {
	switch answer {
	case "HANGUP":
		return false
	case "MUTE":
		s.mute = true
	}
	if s.mute {
		return true
	}
	_, err := io.WriteString(conn, answer+"\r\n")
	return err == nil
}

// data reads content up to CRLF.CRLF and accepts it, before it says so: "" if the line died first.
func (s *smarthost) data(r *bufio.Reader, mail *letter) string {
	if r.Buffered() == 0 {
		s.writes = append(s.writes, []string{"."})
	}
	var raw []byte
	for !bytes.Equal(raw, []byte(".\r\n")) && !bytes.HasSuffix(raw, []byte("\r\n.\r\n")) {
		b, err := r.ReadByte()
		if err != nil {
			return ""
		}
		raw = append(raw, b)
	}
	text := strings.ReplaceAll("\r\n"+string(raw[:len(raw)-3]), "\r\n.", "\r\n")
	mail.body = text[2:]
	return s.judge(mail)
}

// bdat reads a chunk, all of it whatever there is to say to it (RFC 3030 §2). After a refusal only RSET ends the transaction.
func (d *dialogue) bdat(line string) string {
	words := strings.Fields(line)
	n, _ := strconv.Atoi(words[1])
	chunk := make([]byte, n)
	if _, err := io.ReadFull(d.r, chunk); err != nil {
		return ""
	}
	last := len(words) == 3
	answer, given := d.answer("BDAT "+d.mail.from, "BDAT")
	switch {
	case given && (!last || answer[0] != '2'):
		d.mail.broken = d.mail.broken || answer[0] != '2'
		return answer
	case !d.open || d.mail.broken || len(d.mail.to) == 0:
		d.mail.broken = d.open
		return "503 5.5.1 no transaction for that"
	}
	d.mail.body += string(chunk)
	if !last {
		return "250 2.0.0 " + words[1] + " octets"
	}
	if answer = d.judge(&d.mail); answer != "" && answer[0] >= '4' && answer[0] <= '5' {
		d.mail.broken = true
		return answer
	}
	d.mail, d.open = letter{}, false
	return answer
}

func (s *smarthost) answer(keys ...string) (answer string, given bool) {
	for _, key := range keys {
		if answer, given = s.answers[key]; given {
			break
		}
	}
	return answer, given
}

// judge accepts a message or not: "" if it hangs up after it.
func (s *smarthost) judge(mail *letter) string {
	answer, given := s.answer("content "+mail.from, "content")
	if !given {
		answer = "250 2.0.0 queued as 7"
		if len(mail.to) == 0 {
			return "554 5.5.1 no valid recipients"
		}
	}
	if answer[0] == '2' || answer == "MUTE" || answer == "HANGUP" {
		s.mu.Lock()
		s.accepted = append(s.accepted, *mail)
		s.mu.Unlock()
	}
	if answer == "HANGUP" {
		return ""
	}
	return answer
}

func (s *smarthost) auth(conn net.Conn, r *bufio.Reader, line string) string {
	ask := func(prompt string) string {
		s.say(conn, "334 "+base64.StdEncoding.EncodeToString([]byte(prompt)))
		got, _ := s.hear(r)
		b, _ := base64.StdEncoding.DecodeString(got)
		return string(b)
	}
	var got string
	switch f := strings.Fields(line); {
	case f[1] == "LOGIN":
		got = "\x00" + ask("Username:") + "\x00" + ask("Wachtwoord")
	case len(f) == 3:
		b, _ := base64.StdEncoding.DecodeString(f[2])
		got = string(b)
	default:
		got = ask("")
	}
	if got != "\x00"+s.user+"\x00secret" {
		return "535 5.7.8 no such user, or wrong password (" + got[strings.LastIndex(got, "\x00")+1:] + ")"
	}
	return "235 2.7.0 welcome"
}

func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}

// start serves one end of a cable and gives the other; the test ends when the server has.
func (s *smarthost) start(t testing.TB) net.Conn {
	c := newCable(lane{limit: -1}, lane{limit: -1})
	var wg sync.WaitGroup
	wg.Go(func() { s.serve(c.far) })
	t.Cleanup(func() {
		c.close()
		wg.Wait()
	})
	return c.near
}

func (s *smarthost) letters() []letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// certificate is one for smarthost.example, good at any time a test may think it is.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "smarthost.example"},
		DNSNames:  []string{"smarthost.example"},
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
