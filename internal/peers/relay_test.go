package peers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"outpost/internal/peers"
	"outpost/internal/relay"
)

// users are those who may submit and have a box.
func users() map[string]string { return map[string]string{"joe": "secret", "ann": "p w\"d"} }

// dial connects to a server's address.
func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// open brings a relay client up at an address.
func open(t *testing.T, address string, opt relay.Options) *relay.Client {
	t.Helper()
	c, err := relay.Open(t.Context(), dial(t, address), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// note is a message from ann with a body.
func note(body []byte, to ...string) *relay.Message {
	return &relay.Message{
		From: "ann@office.example", To: to, Size: int64(len(body)), EightBit: true,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
}

// drain sends messages over one connection, and wants it to end in order.
func drain(t *testing.T, c *relay.Client, messages ...*relay.Message) (all [][]relay.Result) {
	t.Helper()
	left := messages
	err := c.Drain(t.Context(), func(context.Context) (m *relay.Message) {
		if len(left) > 0 {
			m, left = left[0], left[1:]
		}
		return m
	}, func(_ *relay.Message, results []relay.Result) { all = append(all, results) })
	if err != nil || len(all) != len(messages) {
		t.Fatalf("%d of %d messages were sent: %v", len(all), len(messages), err)
	}
	return all
}

func bodies(mail []peers.Mail) [][]byte {
	var all [][]byte
	for _, m := range mail {
		all = append(all, m.Body)
	}
	return all
}

// Every letter goes out by every kind of port, over one connection, and arrives as it was.
func TestRelayToPostfix(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	smarthost := peers.Postfix(t, peers.PostfixOptions{Auth: boxes})
	tests := []struct {
		name    string
		address string
		opt     relay.Options
	}{
		{"plain", smarthost.SMTP, relay.Options{TLS: relay.TLSNone}},
		{"STARTTLS", smarthost.Submission, relay.Options{TLS: relay.TLSStart, TLSConfig: smarthost.ClientTLS(), User: "joe", Password: "secret"}},
		{"implicit TLS", smarthost.SMTPS, relay.Options{TLS: relay.TLSImplicit, TLSConfig: smarthost.ClientTLS(), User: "ann", Password: "p w\"d"}},
	}
	var before int
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := open(t, test.address, test.opt)
			var notes []*relay.Message
			for _, body := range letters() {
				notes = append(notes, note(body, "bob@far.example"))
			}
			for _, r := range slices.Concat(drain(t, c, notes...)...) {
				if r.Err != nil {
					t.Errorf("%s: %v", r.To, r.Err)
				}
			}
			arrived := smarthost.Mail()[before:]
			before += len(arrived)
			eachOnce(t, "arrived", bodies(arrived), letters())
			for _, m := range arrived {
				if m.From != "ann@office.example" || !slices.Equal(m.To, []string{"bob@far.example"}) {
					t.Errorf("envelope %q to %q", m.From, m.To)
				}
			}
		})
	}
}

// One refused recipient, for good or for now, is that one's affair.
func TestRelayRefusedRecipients(t *testing.T) {
	t.Parallel()
	smarthost := peers.Postfix(t, peers.PostfixOptions{
		Reject: []string{"nobody@far.example"},
		Defer:  []string{"later@far.example"},
	})
	c := open(t, smarthost.SMTP, relay.Options{TLS: relay.TLSNone})
	body := letter(1, "To some of you.\r\n")
	after := letter(3, "After that.\r\n")
	all := drain(t, c,
		note(body, "a@far.example", "nobody@far.example", "b@far.example", "later@far.example", "c@far.example"),
		note(letter(2, "To nobody.\r\n"), "nobody@far.example", "later@far.example"),
		note(after, "a@far.example"))
	results := all[0]
	want := []struct {
		code      int
		temporary bool
	}{{}, {code: 550}, {}, {code: 450, temporary: true}, {}}
	for i, r := range results {
		var e *relay.Error
		switch {
		case want[i].code == 0 && r.Err == nil:
		case want[i].code == 0 || !errors.As(r.Err, &e):
			t.Errorf("%s: %v, want code %d", r.To, r.Err, want[i].code)
		case e.Code != want[i].code || e.Temporary != want[i].temporary || r.Doubtful:
			t.Errorf("%s: %+v, doubtful %v; want %+v", r.To, e, r.Doubtful, want[i])
		}
	}
	// With nobody left to go to, there is nothing to send; the connection lives on.
	for _, r := range all[1] {
		if r.Err == nil {
			t.Errorf("%s was accepted", r.To)
		}
	}
	mail := smarthost.Mail()
	eachOnce(t, "arrived", bodies(mail), [][]byte{body, after})
	for i, text := range bodies(mail) { // Postfix delivers them in any order
		if to := mail[i].To; bytes.Equal(text, body) && !slices.Equal(to, []string{"a@far.example", "b@far.example", "c@far.example"}) {
			t.Errorf("went to %q", to)
		}
	}
}

func TestRelayFiftyRecipients(t *testing.T) {
	t.Parallel()
	smarthost := peers.Postfix(t, peers.PostfixOptions{})
	c := open(t, smarthost.SMTP, relay.Options{TLS: relay.TLSNone})
	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprintf("r%02d@far.example", i))
	}
	body := letter(1, text(5000))
	for _, r := range drain(t, c, note(body, to...))[0] {
		if r.Err != nil {
			t.Errorf("%s: %v", r.To, r.Err)
		}
	}
	mail := smarthost.Mail()
	if len(mail) != 1 || !slices.Equal(mail[0].To, to) || !bytes.Equal(mail[0].Body, body) {
		t.Errorf("%d transactions arrived, want one with all fifty", len(mail))
	}
}

// What a person must mend is told from what another call may bring.
func TestRelayRefusals(t *testing.T) {
	t.Parallel()
	boxes := peers.Dovecot(t, peers.DovecotOptions{Users: users()})
	smarthost := peers.Postfix(t, peers.PostfixOptions{Auth: boxes, MaxBytes: 20_000})

	_, err := relay.Open(t.Context(), dial(t, smarthost.Submission), relay.Options{
		TLS: relay.TLSStart, TLSConfig: smarthost.ClientTLS(), User: "joe", Password: "wrong",
	})
	var refused *relay.Error
	if !errors.As(err, &refused) || refused.Code != 535 || refused.Temporary {
		t.Errorf("wrong password: %v", err)
	}

	strangers := smarthost.ClientTLS()
	strangers.RootCAs = boxes.ClientTLS().RootCAs
	_, err = relay.Open(t.Context(), dial(t, smarthost.SMTPS), relay.Options{TLS: relay.TLSImplicit, TLSConfig: strangers})
	if !errors.As(err, &refused) || refused.Temporary {
		t.Errorf("a certificate of somebody else's: %v", err)
	}

	_, err = relay.Open(t.Context(), dial(t, smarthost.SMTP), relay.Options{TLS: relay.TLSNone, User: "joe", Password: "secret"})
	if err == nil {
		t.Error("the password went out in clear")
	}

	// Too big, and small enough.
	c := open(t, smarthost.SMTP, relay.Options{TLS: relay.TLSNone})
	small := letter(2, text(10_000))
	all := drain(t, c, note(letter(1, text(30_000)), "bob@far.example"), note(small, "bob@far.example"))
	if r := all[0][0]; !errors.As(r.Err, &refused) || refused.Temporary {
		t.Errorf("too big: %v", r.Err)
	}
	eachOnce(t, "arrived", bodies(smarthost.Mail()), [][]byte{small})
}
