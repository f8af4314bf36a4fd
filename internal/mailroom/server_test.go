package mailroom

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"outpost/internal/lmtp"
	"outpost/internal/route"
	"outpost/queue"
)

// exchange is a mail server of the office that speaks LMTP. It is a listener whose connections are pipes.
type exchange struct {
	srv     *smtp.Server
	conns   chan net.Conn
	closing chan struct{}

	mu       sync.Mutex
	down     bool
	dials    int
	refused  map[string]*smtp.SMTPError // by recipient, at RCPT
	received []string                   // "from > recipients: body"
}

func newExchange(t *testing.T) *exchange {
	x := &exchange{conns: make(chan net.Conn), closing: make(chan struct{}), refused: make(map[string]*smtp.SMTPError)}
	x.srv = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &exchangeSession{x: x}, nil }))
	x.srv.LMTP, x.srv.Domain, x.srv.EnableSMTPUTF8 = true, "exchange", true
	x.srv.ErrorLog = log.New(io.Discard, "", 0) // it complains of pipes that are closed
	done := make(chan struct{})
	go func() { _ = x.srv.Serve(x); close(done) }()
	t.Cleanup(func() { _ = x.srv.Close(); <-done })
	return x
}

func (x *exchange) Accept() (net.Conn, error) {
	select {
	case c := <-x.conns:
		return c, nil
	case <-x.closing:
		return nil, net.ErrClosed
	}
}

func (x *exchange) Close() error   { close(x.closing); return nil }
func (x *exchange) Addr() net.Addr { return &net.TCPAddr{} }

func (x *exchange) dial(context.Context) (net.Conn, error) {
	x.mu.Lock()
	x.dials++
	down := x.down
	x.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	x.conns <- theirs
	return ours, nil
}

type exchangeSession struct {
	x    *exchange
	from string
	to   []string
}

func (s *exchangeSession) Reset()        { s.from, s.to = "", nil }
func (s *exchangeSession) Logout() error { return nil }

func (s *exchangeSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *exchangeSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	if why := s.x.refused[to]; why != nil {
		return why
	}
	s.to = append(s.to, to)
	return nil
}

func (s *exchangeSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.x.mu.Lock()
	defer s.x.mu.Unlock()
	s.x.received = append(s.x.received, s.from+" > "+strings.Join(s.to, " ")+": "+string(text))
	return err
}

func (s *exchangeSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	err := s.Data(r)
	for _, to := range s.to {
		status.SetStatus(to, err)
	}
	return nil
}

// withExchange is an office whose bob has his mailbox on the server, as has a catch-all box.
func withExchange(t *testing.T) (*office, *exchange) {
	b := book()
	b.Servers = []route.Server{{Name: "exchange"}}
	b.Users[1].Server, b.Users[1].ServerAddress = "exchange", "bob@corp.example"
	b.Boxes = append(b.Boxes, route.Box{Name: "corp", To: []string{"exchange:info@corp.example", "exchange:chief@corp.example", "ann"}})
	x := newExchange(t)
	opt := with(b)
	opt.Servers = map[string]Server{"exchange": {Dial: x.dial, LMTP: lmtp.Options{LMTP: true, TLS: lmtp.TLSNone}}}
	return open(t, opt), x
}

// A message for several on a server goes there once, for all of them, and to the others as ever.
func TestServer(t *testing.T) {
	o, x := withExchange(t)
	defer o.stop()
	m, err := o.submit(queue.Message{From: "ann@office.example", To: to("ann", "exchange:bob@corp.example", "exchange:info@corp.example")}, letter)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.room.Deliver(t.Context(), m.ID); err != nil {
		t.Fatal(err)
	}
	o.wantFiles("ann", 1)
	o.wantEmptyQueue()
	if len(x.received) != 1 || x.received[0] != "ann@office.example > bob@corp.example info@corp.example: "+letter {
		t.Errorf("%q", x.received)
	}
	// The connection waits for the next one.
	if err := o.room.Deliver(t.Context(), o.add("bob").ID); err == nil && x.dials != 1 {
		t.Errorf("%d connections", x.dials)
	}
	o.room.hangUp(t.Context())
}

// A server that is down loses nothing and holds up nobody.
func TestServerDown(t *testing.T) {
	o, x := withExchange(t)
	defer o.stop()
	x.down = true
	m := o.add("exchange:bob@corp.example", "ann")
	if err := o.room.Deliver(t.Context(), m.ID); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Deliver: %v", err)
	}
	o.wantFiles("ann", 1)
	// Nothing else is tried there for a while.
	other := o.add("exchange:info@corp.example")
	if err := o.room.Deliver(t.Context(), other.ID); err != nil || x.dials != 1 {
		t.Errorf("tried at once: %v, %d dials", err, x.dials)
	}
	x.down = false
	o.room.backoff = backoff{}
	for _, id := range []queue.Message{m, other} {
		if err := o.room.Deliver(t.Context(), id.ID); err != nil {
			t.Error(err)
		}
	}
	o.wantEmptyQueue()
	if len(x.received) != 2 {
		t.Errorf("%q", x.received)
	}
	o.room.hangUp(t.Context())
}

// Whom the server refuses: his colleague's mail has failed, and what was collected is kept where somebody looks.
func TestServerRefuses(t *testing.T) {
	o, x := withExchange(t)
	defer o.stop()
	x.refused["bob@corp.example"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	x.refused["info@corp.example"] = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "later"}
	m := o.addMessage(queue.Message{Origin: queue.Submitted, From: "ann@office.example", To: to("exchange:bob@corp.example", "exchange:info@corp.example", "exchange:chief@corp.example")}, letter)
	if err := o.room.Deliver(t.Context(), m.ID); err == nil {
		t.Error("no error")
	}
	row, err := o.q.Get(m.ID)
	if err != nil || row.To[0].State != queue.Failed || row.To[0].Reply != "550 5.1.1 no such user" || row.To[1].State != queue.Waiting || row.To[2].State != queue.Sent {
		t.Errorf("%+v, %v", row.To, err)
	}
	mail := "Message-ID: <1@x>\r\n\r\nx\r\n"
	in, _, err := o.room.Sort("both", strings.NewReader(mail), int64(len(mail)))
	if err != nil || names(in.To) != "local:ann local:exchange:bob@corp.example" {
		t.Fatalf("%s, %v", names(in.To), err)
	}
	in = o.addMessage(in, mail)
	_ = o.room.Deliver(t.Context(), in.ID)
	row, err = o.q.Get(in.ID)
	if err != nil || row.To[1].Addr != "unrouted" || row.To[1].State != queue.Waiting || !strings.Contains(row.Route, "no such user") {
		t.Fatalf("%+v, %v", row, err)
	}
	if err := o.room.Deliver(t.Context(), in.ID); err != nil {
		t.Error(err)
	}
	o.wantFiles("unrouted", 1)
	if text, _ := o.read("unrouted"); !strings.Contains(text, RouteField+": ") {
		t.Errorf("the reason is missing in %q", text)
	}
	o.room.hangUp(t.Context())
}
