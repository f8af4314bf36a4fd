package mailroom

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"

	"outpost/internal/lmtp"
	"outpost/queue"
	"outpost/spool"
)

// Server is a mail server on the office's network, and how it is reached.
type Server struct {
	// Dial opens a connection to it.
	Dial func(ctx context.Context) (net.Conn, error)
	LMTP lmtp.Options
}

// lanes is how many connections a server is given mail on at the same time: as workers; and servers allow one client only so many.
const lanes = 4

// server is a Server with connections that wait for the next message, until Run ends.
type server struct {
	Server

	mu      sync.Mutex
	idle    []*lmtp.Client
	waiting []spool.ID // to be tried, by the goroutines that are at it
	running int        // how many they are
}

// serverOf is the first server that mail for some places goes to; nil: all of them are here.
func (m *Mailroom) serverOf(places []string) *server {
	for _, place := range places {
		if s := m.servers[m.home(place).Server]; s != nil && !strings.HasPrefix(place, deskPrefix) {
			return s
		}
	}
	return nil
}

// send has messages tried that are, also, for a server, and doesn't wait for that: it may be silent for minutes, and mail for people here
// doesn't wait for it. What is given takes the place of what was given before and isn't begun.
func (m *Mailroom) send(ctx context.Context, s *server, list []spool.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting = list; s.running < min(lanes, len(list)); s.running++ {
		m.away.Go(func() {
			for id, ok := s.next(ctx); ok; id, ok = s.next(ctx) {
				m.try(ctx, id)
			}
			select {
			case m.back <- struct{}{}:
			default:
			}
		})
	}
}

// next is the next message to be tried; false: there is none, and who asked ends.
func (s *server) next(ctx context.Context) (id spool.ID, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil || len(s.waiting) == 0 {
		s.running--
		return "", false
	}
	id, s.waiting = s.waiting[0], s.waiting[1:]
	return id, true
}

// queueName is a recipient by his place, with his address on the server.
type queueName struct{ place, address string }

// errNoServer is for mail to a server that is in the table and not here: the wiring is wrong.
var errNoServer = errors.New("there is no way to this server")

// handOver gives a message to a server for several recipients, in one transaction. All that it can't say anything of have
// failed for now, and the server with them.
func (m *Mailroom) handOver(ctx context.Context, msg queue.Message, name string, to []queueName) []result {
	s := m.servers[name]
	if s == nil {
		return failAll(to, errNoServer)
	}
	letter := lmtp.Message{From: msg.From, EightBit: msg.EightBit, UTF8: msg.UTF8, Open: func() (io.ReadCloser, error) { return m.opt.Queue.Body(msg.ID) }}
	letter.Size = msg.Size
	for _, t := range to {
		letter.To = append(letter.To, t.address)
	}
	answers, err := s.deliver(ctx, letter)
	byAddress := make(map[string]lmtp.Result)
	for _, a := range answers {
		byAddress[a.To] = a
	}
	var results []result
	var unheard []queueName
	for _, t := range to {
		a, heard := byAddress[t.address]
		if !heard {
			unheard = append(unheard, t)
			continue
		}
		results = append(results, result{name: t.place, note: a.Reply, err: a.Err})
	}
	if len(unheard) == 0 {
		m.worked(serverKey(name))
		return results
	}
	if err == nil {
		err = errors.New("the server said nothing of it")
	}
	m.opt.Log.Error("the office's mail server can't be used", "server", name, "error", err, "again_in", m.failed(serverKey(name)))
	return append(results, failAll(unheard, &serverError{err})...)
}

// serverError is a failure of a server, not of a recipient: whatever it is, somebody will mend it.
type serverError struct{ error }

func (e *serverError) Unwrap() error { return e.error }

func failAll(to []queueName, err error) []result {
	var results []result
	for _, t := range to {
		results = append(results, result{name: t.place, err: err})
	}
	return results
}

// deliver uses a connection that waits, or a new one. One that waited too long for the server is no reason to give up.
func (s *server) deliver(ctx context.Context, letter lmtp.Message) ([]lmtp.Result, error) {
	if c := s.take(); c != nil {
		answers, err := c.Deliver(ctx, letter)
		s.keep(c)
		if len(answers) > 0 || err == nil {
			return answers, err
		}
	}
	conn, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c, err := lmtp.Open(ctx, conn, s.LMTP)
	if err != nil {
		return nil, err
	}
	answers, err := c.Deliver(ctx, letter)
	s.keep(c)
	return answers, err
}

func (s *server) take() *lmtp.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil
	}
	c := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	return c
}

func (s *server) keep(c *lmtp.Client) {
	if !c.Usable() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, c)
}

// hangUp ends the connections to all servers.
func (m *Mailroom) hangUp(ctx context.Context) {
	for _, s := range m.servers {
		for c := s.take(); c != nil; c = s.take() {
			c.Quit(ctx)
		}
	}
}

// permanent says that a recipient was refused for good.
func permanent(err error) bool {
	var server *serverError
	var e *lmtp.Error
	return !errors.As(err, &server) && errors.As(err, &e) && !e.Temporary
}

// verbatim is what the server said.
func verbatim(err error) string {
	var e *lmtp.Error
	if errors.As(err, &e) && e.Line != "" {
		return e.Line
	}
	return err.Error()
}
