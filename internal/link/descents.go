package link

import "sync"

// descent is one attempt to take a line down. It runs to its end whoever waits
// for it.
type descent struct {
	done chan struct{} // closed when err is set
	err  error
}

// descents are the attempts to take something down: one at a time, joined by
// whoever asks meanwhile, until one has succeeded.
type descents struct {
	mu   sync.Mutex
	last *descent
}

// join gives the attempt under way, or the one that succeeded, or else begins
// one with takeDown, in a goroutine of its own.
func (d *descents) join(takeDown func() error) *descent {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last := d.last; last != nil {
		select {
		case <-last.done:
			if last.err == nil {
				return last
			}
		default:
			return last
		}
	}
	now := &descent{done: make(chan struct{})}
	d.last = now
	go func() {
		now.err = takeDown()
		close(now.done)
	}()
	return now
}

// succeeded says that an attempt did.
func (d *descents) succeeded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return false
	}
	select {
	case <-d.last.done:
		return d.last.err == nil
	default:
		return false
	}
}
