package session

import (
	"context"
	"sync"
	"time"
)

// places are for the boxes that are collected side by side: so many in all, and of each server so many as it bears. A box
// that waits for its server takes no place from those of another. Its methods may be called from any goroutine.
type places struct {
	memory *memory

	mu    sync.Mutex
	free  int              // of those in all
	hosts map[string]*host // by address
	moved chan struct{}    // closed, and made anew, when one leaves
}

// host is a server with boxes, and the connections it has with us.
type host struct {
	limit  int // connections at once; 0: no limit is known
	inside int
}

// limitLasts is how long the number of connections is believed at which a server once refused one: it may have been busy
// with others, and nothing would show that the limit has gone.
const limitLasts = 30 * 24 * time.Hour

func newPlaces(n int, m *memory) *places {
	return &places{memory: m, free: max(n, 1), hosts: make(map[string]*host), moved: make(chan struct{})}
}

// enter waits for a place at a server, and says how many connections that makes there.
func (p *places) enter(ctx context.Context, address string) (inside int, err error) {
	for {
		p.mu.Lock()
		h := p.host(address)
		if p.free > 0 && (h.limit == 0 || h.inside < h.limit) {
			p.free--
			h.inside++
			inside = h.inside
			p.mu.Unlock()
			return inside, nil
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// host gives the one of an address. mu is held.
func (p *places) host(address string) *host {
	h := p.hosts[address]
	if h == nil {
		h = &host{limit: p.memory.mailServer(address).limit()}
		p.hosts[address] = h
	}
	return h
}

// leave gives a place back.
func (p *places) leave(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left(p.hosts[address])
}

// left gives a place back. mu is held.
func (p *places) left(h *host) {
	p.free++
	h.inside--
	close(p.moved)
	p.moved = make(chan struct{})
}

// refused gives the place of a connection back that the server would not have, the entered-th there. It says whether that
// can be because of the others, whose number is the server's limit then and remembered. It is one step with the leaving, so
// that of several who are refused none counts the others.
func (p *places) refused(address string, entered int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[address]
	p.left(h)
	others := h.inside
	if others > 0 && (h.limit == 0 || h.limit > others) {
		h.limit = others
		p.memory.learnMailServer(address, func(s *mailServer) { s.AtOnce, s.LimitedAt = others, time.Now() })
	}
	return others > 0 || entered > 1 // those who were there may have left meanwhile
}
