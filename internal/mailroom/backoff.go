package mailroom

import "time"

const (
	// firstDelay is the wait after a first failure, doubled at each further one:
	// short, as a full disk or a busy network folder often passes quickly.
	firstDelay = time.Second
	// maxDelay is the longest wait: when somebody has repaired it, mail should
	// come while he looks.
	maxDelay = 5 * time.Minute
)

// backoff is when what failed may be tried again, by the name of a mailbox or a
// message. It holds no more entries than there are mailboxes and waiting messages.
type backoff map[string]delay

// delay is a pause.
type delay struct {
	wait  time.Duration
	until time.Time
}

// due tells whether it may be tried now.
func (b backoff) due(key string) bool { return !time.Now().Before(b[key].until) }

// failed sets the next try and returns the time until then. Deliveries that were under
// way together and fail together count as one failure.
func (b backoff) failed(key string) time.Duration {
	if left := time.Until(b[key].until); left > 0 {
		return left
	}
	wait := min(max(firstDelay, 2*b[key].wait), maxDelay)
	b[key] = delay{wait: wait, until: time.Now().Add(wait)}
	return wait
}

// worked forgets the failures.
func (b backoff) worked(key string) { delete(b, key) }

// next is how long until something is due, idleRound at most. A pause that was over
// before the round began and was not renewed in it is forgotten: nothing waits for it.
func (b backoff) next(began time.Time) time.Duration {
	shortest := idleRound
	for key, d := range b {
		if !d.until.After(began) {
			delete(b, key)
			continue
		}
		shortest = min(shortest, time.Until(d.until))
	}
	return max(shortest, 0)
}
