package link

import (
	"context"
	"fmt"
	"sync"
)

// lifetime is what every call has, whatever its line's kind: it comes up, may be
// lost, and is taken down.
type lifetime struct {
	life     context.Context // ended by the first Down
	stop     context.CancelFunc
	risen    chan struct{} // closed when Up, or Reset's first part, has returned
	lost     chan struct{} // closed when the line went down by itself
	descents descents
}

func newLifetime() *lifetime {
	l := &lifetime{risen: make(chan struct{}), lost: make(chan struct{})}
	l.life, l.stop = context.WithCancel(context.Background())
	return l
}

// ended says that the call is being taken down, or was.
func (l *lifetime) ended() bool { return l.life.Err() != nil }

// calls holds a line's present call, or else its last.
type calls[C interface {
	comparable
	ended() bool
}] struct {
	mu   sync.Mutex
	last C // nil before the first
}

// current is the present call, or else the last, or nil.
func (s *calls[C]) current() C {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// take begins a call on a line that has none. One that the last Down couldn't
// confirm is taken down first: nothing is brought up over an open call.
func (s *calls[C]) take(ctx context.Context, line string, down func(context.Context) error, begin func() C) (C, error) {
	var none C
	last := s.current()
	if last != none && last.ended() {
		if err := down(ctx); err != nil {
			return none, fmt.Errorf("the end of the last call: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != last || last != none && !last.ended() {
		return none, fmt.Errorf("line %s is in use", line)
	}
	s.last = begin()
	return s.last, nil
}
