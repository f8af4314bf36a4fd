package session

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"outpost/internal/pop3"
	"outpost/internal/relay"
	"outpost/internal/tickets"
	"outpost/queue"
)

// memory is what earlier calls have found out, and what this one adds: with it nothing is asked for on the
// line that is known. It is read before the line comes up and kept once it is down. Its methods may be called from
// any goroutine.
type memory struct {
	queue *queue.Queue
	note  func(what string, err error)
	jar   tickets.Jar

	mu      sync.Mutex
	smtp    map[string]smtpServer // by address
	pop3    map[string]mailServer // by address
	boxes   map[string]boxFacts   // by account
	changed map[string]any        // values to keep, by key
}

// smtpServer is what is known of a smarthost.
type smtpServer struct {
	Known relay.Known `json:"known"`
	// TooEarly is when it last refused to be spoken to before its greeting, though it offers that.
	TooEarly time.Time `json:"too_early,omitzero"`
}

// largest is the size in octets over which it refuses a message; 0: it has no limit, or none is known that can be believed.
func (s smtpServer) largest() int64 {
	age := time.Since(s.Known.At) // below zero the clock was set back since: nobody knows how long ago that was
	if age < 0 || age > limitHolds {
		return 0
	}
	return s.Known.MaxSize()
}

// Largest is the size in octets over which the smarthost is known to refuse a message; 0: it has no limit, or none is known. It may be called at any time
// from any goroutine.
func (s *Session) Largest() int64 {
	if s.opt.Smarthost == nil {
		return 0
	}
	m := &memory{queue: s.opt.Queue, note: func(string, error) {}}
	return recall[smtpServer](m, keySMTP+s.opt.Smarthost.Address).largest()
}

// boxFacts are how a box was left.
type boxFacts struct {
	Waiting map[string]pop3.Waiting `json:"waiting,omitempty"`
	Emptied bool                    `json:"emptied,omitempty"`
}

// mailServer is what is known of a server with boxes.
type mailServer struct {
	Known *pop3.Known `json:"known,omitempty"`
	// AtOnce is how many connections of ours it bore when it last refused one more, which was at LimitedAt; 0: it never did.
	AtOnce    int       `json:"at_once,omitempty"`
	LimitedAt time.Time `json:"limited_at,omitzero"`
}

// limit is how many connections to have with a server at once; 0: as many as there is use for.
func (s mailServer) limit() int {
	if age := time.Since(s.LimitedAt); age < 0 || age > limitLasts {
		return 0
	}
	return max(s.AtOnce, 0)
}

// The keys of the queue's memory.
const (
	keyTickets = "session tls"
	keySMTP    = "session smtp "
	keyPOP3    = "session pop3 "
	keyBox     = "session box "
	keyLine    = "session line "
	keyHistory = "session calls "
)

// recollect reads what is known of all that the session will meet. What can't be read isn't known.
func (s *Session) recollect() *memory {
	m := &memory{
		queue: s.opt.Queue, smtp: make(map[string]smtpServer), pop3: make(map[string]mailServer),
		boxes: make(map[string]boxFacts), changed: make(map[string]any),
		note: func(what string, err error) {
			s.log.Warn("what earlier calls have learned can't be used", "of", what, "err", err)
		},
	}
	saved, err := s.opt.Queue.Recall(keyTickets)
	if err == nil {
		err = m.jar.Load(saved)
	}
	if err != nil {
		m.note(keyTickets, err)
	}
	if host := s.opt.Smarthost; host != nil {
		m.smtp[host.Address] = recall[smtpServer](m, keySMTP+host.Address)
	}
	for _, box := range s.opt.Boxes {
		if _, there := m.pop3[box.Address]; !there {
			m.pop3[box.Address] = recall[mailServer](m, keyPOP3+box.Address)
		}
		m.boxes[box.Account] = recall[boxFacts](m, keyBox+box.Account)
	}
	return m
}

// recall reads the value under a key; it is zero where there is none, and where it can't be read.
func recall[T any](m *memory, key string) (value T) {
	saved, err := m.queue.Recall(key)
	if err == nil && saved != nil {
		err = json.Unmarshal(saved, &value)
	}
	if err != nil {
		m.note(key, err)
		return *new(T) // and not the half of it
	}
	return value
}

// keep writes down what is new. Nobody waits for it on the line.
func (m *memory) keep(ctx context.Context) {
	m.mu.Lock()
	changed := maps.Clone(m.changed)
	clear(m.changed)
	m.mu.Unlock()
	var all sync.WaitGroup
	write := func(key string, value []byte) {
		all.Go(func() { // side by side they share a transaction
			if err := m.queue.Remember(ctx, key, value); err != nil {
				m.note(key, err)
			}
		})
	}
	for key, value := range changed {
		saved, err := json.Marshal(value)
		if err != nil {
			m.note(key, err)
			continue
		}
		write(key, saved)
	}
	if saved, ok := m.jar.Save(); ok {
		write(keyTickets, saved)
	}
	all.Wait()
}

// known gives what of the memory has a name; zero where nothing is known.
func known[T any](m *memory, facts map[string]T, name string) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return facts[name]
}

// learn changes what has a name, and has it kept under the key of its kind and name.
func learn[T any](m *memory, facts map[string]T, kind, name string, change func(*T)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fact := facts[name]
	change(&fact)
	facts[name] = fact
	m.changed[kind+name] = fact
}

// smarthost is what is known of the smarthost; Known.At is zero if nothing is.
func (m *memory) smarthost(address string) smtpServer { return known(m, m.smtp, address) }

func (m *memory) learnSmarthost(address string, change func(*smtpServer)) {
	learn(m, m.smtp, keySMTP, address, change)
}

// mailServer is what is known of a server with boxes.
func (m *memory) mailServer(address string) mailServer { return known(m, m.pop3, address) }

func (m *memory) learnMailServer(address string, change func(*mailServer)) {
	learn(m, m.pop3, keyPOP3, address, change)
}

// left is how an earlier call left a box.
func (m *memory) left(account string) boxFacts { return known(m, m.boxes, account) }

func (m *memory) learnLeft(account string, left boxFacts) {
	learn(m, m.boxes, keyBox, account, func(was *boxFacts) { *was = left })
}

// learnCall keeps what a call took, for the Forecast of the next.
func (m *memory) learnCall(row queue.Call, line lineFacts) {
	past := recall[history](m, keyHistory+row.Line)
	if !past.credible() {
		past = history{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed[keyHistory+row.Line] = past.learn(row, line)
}

// learnLine keeps what a line was seen to carry.
func (m *memory) learnLine(name string, seen lineFacts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed[keyLine+name] = seen
}
