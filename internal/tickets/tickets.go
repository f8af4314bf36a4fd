// Package tickets keeps TLS session tickets from one call to the next, so that a handshake costs some hundred octets and not the
// server's whole chain of certificates (RFC 8446 §2.2, RFC 5077).
//
// A Jar is what a call uses; Load and Save carry it over in between. What it holds is secret: who has a ticket's state can
// impersonate the server to us and read what the session protects. Save's result belongs in a file that only its owner may read.
//
// A resumed session has no certificates on the wire. crypto/tls keeps those of the handshake that began it with the session, and before
// it resumes one it judges them anew, by the roots and the clock of today: a certificate that has become bad, or a ca_file that has
// changed, leads to a full handshake. A test holds it to that.
package tickets

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// perServer is how many tickets of one server are kept: boxes that are collected side by side begin with one each, where the
	// server gives so many.
	perServer = 8
	// maxServers bounds the Jar. An office has a smarthost and one or two servers for its boxes.
	maxServers = 32
	// oldest is how long a ticket may be used (RFC 8446 §4.6.1: seven days at most).
	oldest = 7 * 24 * time.Hour
)

// Jar holds tickets by server. The zero value is an empty one. Its methods may be called from any goroutine.
type Jar struct {
	mu      sync.Mutex
	servers map[string][]ticket // oldest first
	changed bool

	full, resumed atomic.Int64
}

// ticket is one session that can be resumed.
type ticket struct {
	At     time.Time `json:"at"`
	Ticket []byte    `json:"ticket"`
	State  []byte    `json:"state"` // as crypto/tls writes it, with the certificates
}

// Load puts back what Save gave. What can't be read, and what is too old, is left out: handshakes are full then, and nothing else is
// different.
func (j *Jar) Load(saved []byte) error {
	if len(saved) == 0 {
		return nil
	}
	var servers map[string][]ticket
	if err := json.Unmarshal(saved, &servers); err != nil {
		return fmt.Errorf("TLS sessions of earlier calls can't be read: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.servers = servers
	j.tidy()
	return nil
}

// Save gives the tickets for the next call; false: they are what Load was given.
func (j *Jar) Save() ([]byte, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.changed {
		return nil, false
	}
	j.changed = false
	j.tidy()
	saved, err := json.Marshal(j.servers)
	return saved, err == nil
}

// tidy drops what is out of date and what is too much. mu is held.
func (j *Jar) tidy() {
	for server, list := range j.servers {
		list = slices.DeleteFunc(list, func(t ticket) bool {
			age := time.Since(t.At)
			return age > oldest || age < -oldest
		})
		list = list[max(0, len(list)-perServer):]
		if j.servers[server] = list; len(list) == 0 {
			delete(j.servers, server)
		}
	}
	for server := range j.servers {
		if len(j.servers) <= maxServers {
			break
		}
		delete(j.servers, server)
	}
}

// Handshakes is how many there were so far, over all of the Jar's Configs: those with the server's certificates, and those that resumed.
func (j *Jar) Handshakes() (full, resumed int64) { return j.full.Load(), j.resumed.Load() }

// Config gives a copy of base, which must have a ServerName, that resumes sessions with one server. The server is named by its address and
// by whatever else tells its settings apart: sessions under one name are used for no other.
func (j *Jar) Config(base *tls.Config, server string) *tls.Config {
	config := base.Clone()
	config.ClientSessionCache = &shelf{jar: j, server: server}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if base.VerifyConnection != nil {
			if err := base.VerifyConnection(state); err != nil {
				return err
			}
		}
		if state.DidResume {
			j.resumed.Add(1)
		} else {
			j.full.Add(1)
		}
		return nil
	}
	return config
}

// shelf is one server's part of a Jar, as crypto/tls needs it. The key it is asked with is the ServerName, which the shelf knows.
type shelf struct {
	jar    *Jar
	server string
}

// Get gives the newest session. It is taken out unless it is the only one: a ticket that is shown twice lets who watches the line tell
// that both connections are ours (RFC 8446 §C.4), which is a lesser evil than another handshake.
func (s *shelf) Get(string) (*tls.ClientSessionState, bool) {
	s.jar.mu.Lock()
	defer s.jar.mu.Unlock()
	for list := s.jar.servers[s.server]; len(list) > 0; list = s.jar.servers[s.server] {
		last := list[len(list)-1]
		session, err := resumable(last)
		if err != nil || len(list) > 1 {
			s.jar.servers[s.server] = list[:len(list)-1]
			s.jar.changed = true
		}
		if err == nil {
			return session, true
		}
	}
	return nil, false
}

func resumable(t ticket) (*tls.ClientSessionState, error) {
	state, err := tls.ParseSessionState(t.State)
	if err != nil {
		return nil, err
	}
	return tls.NewResumptionState(t.Ticket, state)
}

// Put keeps a session; nil says that those there are can't be resumed.
func (s *shelf) Put(_ string, session *tls.ClientSessionState) {
	s.jar.mu.Lock()
	defer s.jar.mu.Unlock()
	s.jar.changed = true
	if session == nil {
		delete(s.jar.servers, s.server)
		return
	}
	id, state, err := session.ResumptionState()
	if err != nil || state == nil {
		return
	}
	octets, err := state.Bytes()
	if err != nil {
		return
	}
	if s.jar.servers == nil {
		s.jar.servers = make(map[string][]ticket)
	}
	list := s.jar.servers[s.server]
	list = append(list, ticket{At: time.Now(), Ticket: id, State: octets})
	s.jar.servers[s.server] = list[max(0, len(list)-perServer):]
}
