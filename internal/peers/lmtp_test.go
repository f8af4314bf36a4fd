package peers_test

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"outpost/internal/lmtp"
	"outpost/internal/peers"
)

// enter brings an lmtp client up at an address.
func enter(t *testing.T, address string, opt lmtp.Options) *lmtp.Client {
	t.Helper()
	c, err := lmtp.Open(t.Context(), dial(t, address), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// inward is a message that came in from outside.
func inward(body []byte, to ...string) lmtp.Message {
	return lmtp.Message{
		From: "far@away.example", To: to, Size: int64(len(body)), EightBit: true,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
}

// parcels are letters, and more that mail systems have been known to spoil.
func parcels() map[string][]byte {
	all := map[string][]byte{}
	for i, body := range letters() {
		all["letter "+string(rune('a'+i))] = body
	}
	all["NUL"] = letter(20, "a\x00b\r\n\x00\r\n\x00\x00x\r\n")
	all["NUL in the header"] = []byte("Subject: a\x00b\r\n\r\nx\r\n")
	all["8 bit in the header"] = []byte("Subject: \xe9 \u20ac\r\n\r\nx\r\n")
	all["controls"] = letter(21, "\x01\x02\x08\x0b\x0c\x1a\x1b\x7f\r\n")
	all["very long line"] = letter(22, long(200_000)+"\r\n")
	all["no header"] = []byte("\r\nText only.\r\n")
	all["no body"] = []byte("Subject: x\r\n")
	all["neither"] = []byte("hello\r\nworld\r\n")
	all["wrong MIME"] = []byte("Content-Type: multipart/mixed; boundary=x\r\nContent-Type: text/\r\n\r\n--y\r\n--x\r\n\r\n--x-\r\n")
	return all
}

// inBox are the messages in a box, in no order, without the lines that Dovecot's delivery puts on top. Delivered-To is one of them only where
// there was one recipient.
func inBox(t *testing.T, boxes *peers.DovecotServer, name string) (all [][]byte) {
	t.Helper()
	for _, whole := range boxes.Left(name) {
		mail, path := bytes.CutPrefix(whole, []byte("Return-Path: <far@away.example>\r\n"))
		mail, _ = bytes.CutPrefix(mail, []byte("Delivered-To: "+name+"\r\n"))
		mail, trace := bytes.CutPrefix(mail, []byte("Received: from gateway.example"))
		if !path || !trace {
			t.Fatalf("%s: %.300q", name, whole)
		}
		for first := true; first || mail[0] == '\t' || mail[0] == ' '; first = false {
			_, mail, _ = bytes.Cut(mail, []byte("\r\n"))
		}
		all = append(all, mail)
	}
	return all
}

// strangers delivers a message that nobody takes, which must leave nothing behind.
func strangers(t *testing.T, c *lmtp.Client) {
	t.Helper()
	results, err := c.Deliver(t.Context(), inward(letter(40, "for nobody\r\n"), "nobody@office.example"))
	if err != nil || len(results) != 1 || results[0].Err == nil || !c.Usable() {
		t.Fatalf("%+v, %v", results, err)
	}
}

// Every message arrives in the boxes of those who are known, octet for octet below the lines that Dovecot (2.3.19) puts on top; also one with
// NULs, 200,000 octets in a line, or no header. In its Maildir the lines end in LF. The unknown one is refused by himself.
func TestLMTPToDovecot(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{"ann@office.example": "a", "bob@office.example": "b"}, LMTP: true})
	c := enter(t, boxes.LMTP, lmtp.Options{LMTP: true, Hello: "gateway.example", TLS: lmtp.TLSStart, TLSConfig: boxes.ClientTLS()})
	for name, body := range parcels() {
		strangers(t, c)
		results, err := c.Deliver(t.Context(), inward(body, "ann@office.example", "nobody@office.example", "bob@office.example"))
		if err != nil || len(results) != 3 {
			t.Fatalf("%s: %+v, %v", name, results, err)
		}
		var e *lmtp.Error
		if r := results[1]; !errors.As(r.Err, &e) || e.Temporary || e.Code != 550 || e.Command != "RCPT" || !strings.HasPrefix(r.Reply, "550 5.1.1 ") {
			t.Errorf("%s: the unknown one: %+v", name, r)
		}
		for i, user := range map[int]string{0: "ann@office.example", 2: "bob@office.example"} {
			if r := results[i]; r.Err != nil || r.To != user || !strings.HasPrefix(r.Reply, "250 2.0.0 ") {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	c.Quit(t.Context())
	for _, user := range []string{"ann@office.example", "bob@office.example"} {
		eachOnce(t, user, inBox(t, boxes, user), slices.Collect(maps.Values(parcels())))
	}
}

// 50 MB, in the clear; then the connection still works.
func TestLMTPBigMail(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: map[string]string{"ann@office.example": "a"}, LMTP: true})
	c := enter(t, boxes.LMTP, lmtp.Options{LMTP: true, Hello: "gateway.example", TLS: lmtp.TLSNone})
	sent := [][]byte{letter(1, strings.Repeat(text(50_000), 1000)), letter(2, "small\r\n")}
	for _, body := range sent {
		results, err := c.Deliver(t.Context(), inward(body, "ann@office.example"))
		if err != nil || results[0].Err != nil {
			t.Fatal(results, err)
		}
	}
	eachOnce(t, "arrived", inBox(t, boxes, "ann@office.example"), sent)
}

// byPostfix is what Postfix (3.7) makes of some of the parcels: a line of the header ends at a NUL, and where there is no header a blank line
// is put in front of the text. The others it leaves as they are; lines over 998 octets it would break if it sent them on by SMTP.
func byPostfix(name string, body []byte) []byte {
	switch name {
	case "NUL in the header":
		return bytes.Replace(body, []byte("\x00b"), nil, 1)
	case "neither":
		return append([]byte("\r\n"), body...)
	}
	return body
}

// The same by SMTP, to a Postfix: it answers once for all whom it took.
func TestSMTPToPostfix(t *testing.T) {
	t.Parallel()
	users := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	office := peers.Postfix(t, peers.PostfixOptions{
		Auth: users, Reject: []string{"nobody@office.example"}, Defer: []string{"later@office.example"}, MaxBytes: 60_000_000,
	})
	all := parcels()
	all["big"] = letter(30, strings.Repeat(text(50_000), 1000))
	for port, opt := range map[string]lmtp.Options{
		office.SMTP:       {TLS: lmtp.TLSNone},
		office.Submission: {TLS: lmtp.TLSStart, TLSConfig: office.ClientTLS(), User: "joe", Password: "secret"},
		office.SMTPS:      {TLS: lmtp.TLSImplicit, TLSConfig: office.ClientTLS(), User: "joe", Password: "secret"},
	} {
		c := enter(t, port, opt)
		before := len(office.Mail())
		var sent [][]byte
		for name, body := range all {
			if name == "big" && port != office.SMTP {
				continue
			}
			sent = append(sent, byPostfix(name, body))
			strangers(t, c)
			to := []string{"ann@office.example", "nobody@office.example", "later@office.example", "bob@office.example"}
			results, err := c.Deliver(t.Context(), inward(body, to...))
			if err != nil || len(results) != 4 {
				t.Fatalf("%s: %+v, %v", name, results, err)
			}
			for i, code := range []string{"250 2.0.0 ", "550 5.1.1 ", "450 4.2.1 ", "250 2.0.0 "} {
				if r := results[i]; !strings.HasPrefix(r.Reply, code) || (r.Err == nil) != (code[0] == '2') {
					t.Errorf("%s: %+v", name, r)
				}
			}
		}
		results, err := c.Deliver(t.Context(), inward(make([]byte, 70_000_000), "ann@office.example"))
		if err != nil || results[0].Err == nil || results[0].Err.(*lmtp.Error).Temporary {
			t.Errorf("too big: %+v, %v", results, err)
		}
		c.Quit(t.Context())
		eachOnce(t, "arrived", bodies(office.Mail()[before:]), sent)
	}
}

// A protocol or password that isn't the server's own is found out before any mail is sent.
func TestLMTPRefusals(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users(), LMTP: true})
	office := peers.Postfix(t, peers.PostfixOptions{Auth: boxes})
	for name, test := range map[string]struct {
		address, says string
		opt           lmtp.Options
	}{
		"LMTP to SMTP":   {office.SMTP, "does not speak LMTP", lmtp.Options{LMTP: true, TLS: lmtp.TLSNone}},
		"SMTP to LMTP":   {boxes.LMTP, "EHLO: 500 5.5.1", lmtp.Options{TLS: lmtp.TLSNone}},
		"wrong password": {office.Submission, "AUTH PLAIN: 535", lmtp.Options{TLS: lmtp.TLSStart, TLSConfig: office.ClientTLS(), User: "joe", Password: "wrong"}},
		"somebody else":  {office.SMTPS, "unknown authority", lmtp.Options{TLS: lmtp.TLSImplicit, TLSConfig: boxes.ClientTLS()}},
	} {
		_, err := lmtp.Open(t.Context(), dial(t, test.address), test.opt)
		var e *lmtp.Error
		if !errors.As(err, &e) || e.Temporary || e.Hint == "" || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %+v", name, err)
		}
	}
}
