package link

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// names are a line's answers to what its hosts' addresses are: those of this call, and what earlier ones have
// found.
type names struct {
	life    context.Context // of the line
	resolve func(ctx context.Context, host string) (Answer, error)

	mu    sync.Mutex
	known map[string]*flight
	old   map[string]KeptName // from earlier calls, not asked for in this one
}

func newNames(life context.Context, old map[string]KeptName, resolve func(context.Context, string) (Answer, error)) *names {
	n := &names{life: life, resolve: resolve, known: make(map[string]*flight), old: make(map[string]KeptName)}
	maps.Copy(n.old, old)
	return n
}

// flight is a lookup under way or done.
type flight struct {
	done   chan struct{} // closed when what follows is set
	answer Answer
	err    error
	until  time.Time    // the answer may be used
	old    []netip.Addr // what an earlier call was told, to be used meanwhile; may be empty
	held   time.Time    // until when old was good
}

// lookup answers from what is known, joins a lookup under way, or begins one.
func (n *names) lookup(ctx context.Context, host string) (Answer, error) {
	key := strings.ToLower(strings.TrimSuffix(host, "."))
	for {
		n.mu.Lock()
		f := n.known[key]
		if f == nil || f.expired() {
			f = &flight{done: make(chan struct{})}
			n.known[key] = f
			fresh := n.takeOld(key, f)
			n.mu.Unlock()
			if len(f.old) == 0 {
				n.fly(ctx, key, f)
				return f.answer, f.err
			}
			if !fresh { // it may have changed: used once more, and asked for meanwhile
				go n.fly(n.life, key, f) //nolint:contextcheck // it serves whoever asks next
			}
		} else {
			n.mu.Unlock()
		}
		if answer, ok := f.meanwhile(); ok {
			return answer, nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return Answer{}, gaveUp(ctx)
		}
		// Who began it may have given up: that isn't this caller's matter.
		var e *Error
		if f.err == nil || errors.As(f.err, &e) {
			return f.answer, f.err
		}
	}
}

// takeOld gives a flight what an earlier call has found; fresh says that this is as
// good as a new answer. mu is held.
func (n *names) takeOld(key string, f *flight) (fresh bool) {
	k, ok := n.old[key]
	delete(n.old, key)
	left := time.Until(k.Until)
	if !ok || len(k.Addrs) == 0 || left < -oldest || left > maxTTL {
		return false
	}
	f.old, f.held = k.Addrs, k.Until
	if left > 0 {
		f.answer, f.until = Answer{Addrs: k.Addrs, TTL: left}, k.Until
		close(f.done)
		return true
	}
	return false
}

// meanwhile gives what an earlier call has found while there is no new answer.
func (f *flight) meanwhile() (Answer, bool) {
	select {
	case <-f.done:
		return Answer{}, false
	default:
		return Answer{Addrs: f.old}, len(f.old) > 0
	}
}

// keep gives the names for the next call: those asked for in this one, and those of
// earlier ones.
func (n *names) keep() map[string]KeptName {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := maps.Clone(n.old)
	for name, f := range n.known {
		select {
		case <-f.done:
			if f.err == nil && len(all) < maxKept {
				all[name] = KeptName{Addrs: f.answer.Addrs, Until: f.until}
			}
		default:
			if len(f.old) > 0 { // nobody has said anything else before the call's end
				all[name] = KeptName{Addrs: f.old, Until: f.held}
			}
		}
	}
	return all
}

// maxKept bounds the names that are kept: an office has a handful of servers.
const maxKept = 64

func (f *flight) expired() bool {
	select {
	case <-f.done:
		return !time.Now().Before(f.until)
	default:
		return false
	}
}

// fly does the lookup for everybody who waits. Failures aren't kept.
func (n *names) fly(ctx context.Context, host string, f *flight) {
	f.answer, f.err = n.resolve(ctx, host)
	n.mu.Lock()
	defer n.mu.Unlock()
	f.until = time.Now().Add(f.answer.TTL)
	if f.err != nil {
		delete(n.known, host)
	}
	close(f.done)
}
