package link

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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

// memoryKey names what is on the other side of a network.
func (c NetConfig) memoryKey() string { return "link " + c.Name }

// recall gives what is known of the provider of a number.
func (c ModemConfig) recall(number string) kept { return recall(c.Memory, c.memoryKey(number), c.Log) }

// recall gives what is kept under a key. What can't be read isn't known.
func recall(m Memory, key string, log *slog.Logger) (k kept) {
	if m == nil {
		return k
	}
	text, err := m.Recall(key)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &k)
	}
	if err != nil {
		log.Warn("link: what was learned in earlier calls can't be read", "key", key, "error", err)
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
	s, p, system, number := c.stack, c.ppp, c.pppd, c.number
	c.mu.Unlock()
	k := kept{At: time.Now(), PPP: c.known.PPP}
	switch {
	case s != nil:
		m := p.Memory()
		k.PPP, k.Names = &m, s.names.keep()
	case system != nil && system.network() != nil:
		k.Names = system.network().names.keep()
	default:
		return
	}
	remember(c.cfg.Memory, c.cfg.memoryKey(number), k, c.cfg.Log)
}

// remember keeps what a call has found out. That it can't be kept costs the next call some seconds.
func remember(m Memory, key string, k kept, log *slog.Logger) {
	if m == nil {
		return
	}
	text, err := json.Marshal(k)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), saveLimit)
		defer cancel()
		err = m.Remember(ctx, key, text)
	}
	if err != nil {
		log.Warn("link: what was learned can't be kept", "key", key, "error", err)
	}
}
