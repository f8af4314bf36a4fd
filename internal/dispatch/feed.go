package dispatch

import (
	"sync"

	"outpost/internal/session"
)

// feedBuffer is how many events a reader may lag behind before it misses some:
// a second of progress and a few hundred small messages.
const feedBuffer = 512

// Feed gives each event of a call to everyone who listens. The zero value is
// ready; all methods may be called from any goroutine.
type Feed struct {
	mu      sync.Mutex
	readers map[chan session.Event]struct{}
}

// Tell passes an event on without waiting: a reader whose buffer is full misses
// it, because no reader may hold up a call.
func (f *Feed) Tell(e session.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		select {
		case r <- e:
		default:
		}
	}
}

// Listen gives the events from now on, until stop is called, which closes the
// channel.
func (f *Feed) Listen() (events <-chan session.Event, stop func()) {
	r := make(chan session.Event, feedBuffer)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == nil {
		f.readers = make(map[chan session.Event]struct{})
	}
	f.readers[r] = struct{}{}
	return r, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.readers, r)
		close(r)
	})
}
