package link

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"outpost/internal/ppp"
)

// Memory keeps what one call has found out for the next. Its methods may be called
// from any goroutine.
type Memory interface {
	// Recall gives the value under a key, nil when there is none.
	Recall(key string) ([]byte, error)
	// Remember keeps it, durably.
	Remember(ctx context.Context, key string, value []byte) error
}

const (
	// oldest is how long what a provider agreed to, or a name's address, is worth
	// trying: providers change their ways, and not often.
	oldest = 30 * 24 * time.Hour
	// saveLimit bounds the writing down. The line is down by then.
	saveLimit = 10 * time.Second
)

// kept is a call's part of the memory.
type kept struct {
	At    time.Time           `json:"at"`
	PPP   *ppp.Memory         `json:"ppp,omitempty"`
	Names map[string]KeptName `json:"names,omitempty"`
}

// KeptName is a host's addresses as an earlier call has found them.
type KeptName struct {
	Addrs []netip.Addr `json:"addrs"`
	// Until is when they may have changed. They can be tried all the same, while
	// the name is asked for again.
	Until time.Time `json:"until"`
}

// memoryKey names a provider: another line, number or user may be another one.
func (c ModemConfig) memoryKey(number string) string {
	return fmt.Sprintf("link %s %s %s", c.Name, number, c.PPP.User)
}

// recall gives what is known of the provider of a number. What can't be read isn't
// known.
func (c ModemConfig) recall(number string) (k kept) {
	if c.Memory == nil {
		return k
	}
	text, err := c.Memory.Recall(c.memoryKey(number))
	if err == nil && text != nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		c.Log.Warn("link: what was learned in earlier calls can't be read", "line", c.Name, "error", err)
		return kept{}
	}
	if age := time.Since(k.At); age > oldest || age < -oldest {
		return kept{}
	}
	return k
}

// remember keeps what the call has found out.
func (c *call) remember() {
	c.mu.Lock()
	s, p, number := c.stack, c.ppp, c.number
	c.mu.Unlock()
	if c.cfg.Memory == nil || s == nil {
		return
	}
	m := p.Memory()
	text, err := json.Marshal(kept{At: time.Now(), PPP: &m, Names: s.names.keep()})
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), saveLimit)
		defer cancel()
		err = c.cfg.Memory.Remember(ctx, c.cfg.memoryKey(number), text)
	}
	if err != nil {
		c.cfg.Log.Warn("link: what was learned can't be kept", "line", c.cfg.Name, "error", err)
	}
}
