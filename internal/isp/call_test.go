package isp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"outpost/internal/link"
	"outpost/internal/ppp"
	"outpost/modem"
	"outpost/modem/modemtest"
)

// office is a customer: a modem, its line, and a provider that answers it.
type office struct {
	p    *Provider
	line *modemtest.Modem
}

func newOffice(t *testing.T, p *Provider, opt modemtest.Options) *office {
	t.Helper()
	o := &office{p: p, line: modemtest.New(opt)}
	t.Cleanup(func() { _ = o.line.Close() })
	answer(t, p, o.line)
	return o
}

// answer lets the provider answer a line until the test's end.
func answer(t *testing.T, p *Provider, line Answerer) {
	ctx, cancel := context.WithCancel(context.Background())
	answered := make(chan error, 1)
	go func() { answered <- p.Answer(ctx, line) }()
	t.Cleanup(func() {
		cancel()
		if err := <-answered; err != nil {
			t.Errorf("Answer: %v", err)
		}
	})
}

// session dials, runs do on the stack, and hangs up whatever happened.
func (o *office) session(user, password string, do func(dial dialer) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m := modem.New(o.line.Port(), modem.Generic(), modem.Options{})
	defer m.Close()
	conn, err := m.Dial(ctx, "5550100")
	if err != nil {
		return err
	}
	err = online(ctx, conn, ppp.Config{User: user, Password: password}, do)
	return errors.Join(err, m.Hangup(ctx))
}

// online brings PPP and TCP/IP up on a stream, runs do, and closes the stream.
func online(ctx context.Context, stream io.ReadWriteCloser, cfg ppp.Config, do func(dial dialer) error) error {
	l := ppp.New(stream, cfg)
	defer l.Close(ctx)
	addrs, err := l.Up(ctx)
	if err != nil {
		return err
	}
	stack, err := link.NewStack(l, addrs.Local, link.StackOptions{MTU: addrs.MTU, DNS: addrs.DNS})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { // nothing in flight outlives the line
		<-l.Done()
		cancel()
		_ = stack.Close()
	})
	defer wg.Wait()
	defer l.Close(context.WithoutCancel(ctx))
	return do(func(address string) (net.Conn, error) {
		c, err := stack.DialContext(ctx, "tcp", address)
		if err == nil {
			err = c.SetDeadline(time.Now().Add(30 * time.Second))
		}
		return c, err
	})
}

type dialer func(address string) (net.Conn, error)

// send gives the smarthost one message.
func send(conn net.Conn, auth bool, body []byte) error {
	c := smtp.NewClient(conn)
	defer c.Close()
	if auth {
		if err := c.Auth(plainAuth("office", "secret")); err != nil {
			return err
		}
	}
	if err := c.Mail("a@office.example", nil); err != nil {
		return err
	}
	return errors.Join(c.Rcpt("b@there.example", nil), sendBody(c, body), c.Quit())
}

// fetch empties a box with one pipelined group and returns what came.
func fetch(conn net.Conn) ([]byte, error) {
	defer conn.Close()
	if _, err := io.WriteString(conn, "USER ann\r\nPASS pass word\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n"); err != nil {
		return nil, err
	}
	got, err := io.ReadAll(conn)
	if err == nil && !bytes.HasSuffix(got, []byte("Bye\r\n")) {
		err = fmt.Errorf("incomplete: %.60q", got)
	}
	return got, err
}

// A call as the product makes it: PPP with a password, names from the
// provider's name server, TLS verified against its root, mail both ways.
func TestWholeCall(t *testing.T) {
	letters := Letters(1, 6, LetterOptions{})
	p := newProvider(t, func(o *Options) {
		o.User, o.Password = "outpost", "dial-up"
		o.TLS, o.SMTPUser, o.SMTPPassword = TLSImplicit, "office", "secret"
		o.Boxes["ann"] = Box{Password: "pass word", Messages: letters[3:4]}
	})
	o := newOffice(t, p, modemtest.Options{})
	for range 2 { // the second call finds everything as the first left it
		err := o.session("outpost", "dial-up", func(dial dialer) error {
			conn, err := dial("smtp.pretend.example:465")
			if err != nil {
				return err
			}
			if err := send(tls.Client(conn, &tls.Config{RootCAs: p.RootCAs(), ServerName: p.SMTPHost()}), true, letters[0]); err != nil {
				return err
			}
			if conn, err = dial("pop.pretend.example:995"); err != nil {
				return err
			}
			got, err := fetch(tls.Client(conn, &tls.Config{RootCAs: p.RootCAs(), ServerName: p.POPHost()}))
			if err == nil && !bytes.Contains(got, letters[3]) {
				err = fmt.Errorf("fetched %d octets: %.200q", len(got), got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Box("ann")) != 0 {
			t.Error("the box isn't empty")
		}
		p.AddMail("ann", letters[3])
	}
	if got := p.Received(); len(got) != 2 || !bytes.Equal(got[0].Data, letters[0]) || !bytes.Equal(got[1].Data, letters[0]) {
		t.Errorf("%d messages sent, want the same one twice", len(got))
	}
	if c := p.Counters(); c.Calls != 2 || c.Links != 2 || c.SMTPLogins != 2 || c.POPLogins != 2 || c.DNSQueries == 0 {
		t.Errorf("counted %+v", c)
	}
	if c := o.line.Counters(); c.OffHook || c.Connects != 2 {
		t.Errorf("the line at the end: %+v", c)
	}
}

func TestCallsThatFail(t *testing.T) {
	account := func(o *Options) { o.User, o.Password = "outpost", "dial-up" }
	o := newOffice(t, newProvider(t, account), modemtest.Options{})
	nothing := func(dialer) error { return nil }
	var refused *ppp.Error
	if err := o.session("outpost", "wrong", nothing); !errors.As(err, &refused) || refused.Kind != ppp.AuthRefused {
		t.Errorf("wrong password: %v", err)
	}
	o.p.SetFaults(func(f *Faults) { f.RefuseAuth = true })
	if err := o.session("outpost", "dial-up", nothing); !errors.As(err, &refused) || refused.Kind != ppp.AuthRefused {
		t.Errorf("refused: %v", err)
	}
	o.p.SetFaults(func(f *Faults) { *f = Faults{SMTPDown: true} })
	err := o.session("outpost", "dial-up", func(dial dialer) error {
		var why *link.Error
		if _, err := dial("smtp.pretend.example:25"); !errors.As(err, &why) || why.Kind != link.Refused {
			t.Errorf("connecting while SMTP is down: %v", err)
		}
		if _, err := dial("www.pretend.example:110"); !errors.As(err, &why) || why.Kind != link.UnknownHost {
			t.Errorf("connecting to an unknown name: %v", err)
		}
		_, err := dial("pop.pretend.example:110")
		return err
	})
	if err != nil {
		t.Errorf("POP3 while SMTP is down: %v", err)
	}
}
