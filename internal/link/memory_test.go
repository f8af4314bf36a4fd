package link

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"outpost/modem/modemtest"
)

// notebook is a Memory in memory.
type notebook struct {
	mu      sync.Mutex
	entries map[string][]byte
	err     error
}

func (n *notebook) Recall(key string) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.entries[key], n.err
}

func (n *notebook) Remember(_ context.Context, key string, value []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.entries == nil {
		n.entries = make(map[string][]byte)
	}
	n.entries[key] = value
	return n.err
}

// The second call to a provider asks for what the first was given: fewer octets to
// come up, and no question for a name that is known.
func TestMemoryBetweenCalls(t *testing.T) {
	noLeak(t)
	l, _ := dialled(t, modemtest.Options{}, &provider{})
	book := new(notebook)
	l.cfg.Memory = book
	var octets, packets [2]int64
	for call := range 2 {
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		octets[call], _ = l.Counters()
		c, err := l.DialContext(t.Context(), "tcp", "echo.example:7")
		if err != nil {
			t.Fatal(err)
		}
		echoes(t, c, []byte("hello"))
		c.Close()
		up, down, _ := l.Packets()
		if up[1] < 5 || down[1] < 5 || up[0] <= up[1] || up[2] != 0 {
			t.Errorf("call %d: up %v, down %v", call, up, down)
		}
		packets[call] = down[1]
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if octets[1] >= octets[0] {
		t.Errorf("coming up took %d octets, then %d", octets[0], octets[1])
	}
	if packets[1] >= packets[0] {
		t.Errorf("%d octets of payload came, then %d: was the name asked for again?", packets[0], packets[1])
	}
	if len(book.entries) != 1 {
		t.Errorf("%d entries", len(book.entries))
	}
}

// Memory that is broken, old or not there costs a round trip and no call.
func TestMemoryOfNoUse(t *testing.T) {
	old, err := json.Marshal(kept{At: time.Now().Add(-2 * oldest), Names: map[string]KeptName{"x": {}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, book := range map[string]*notebook{
		"rubbish": {entries: map[string][]byte{"link test 5551234 office": []byte("{")}},
		"old":     {entries: map[string][]byte{"link test 5551234 office": old}},
		"failing": {err: errors.New("disk full")},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := dialled(t, modemtest.Options{}, &provider{})
			l.cfg.Memory = book
			if k := l.cfg.recall("5551234"); k.Names != nil || k.PPP != nil {
				t.Errorf("recalled %+v", k)
			}
			if err := l.Up(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if err := l.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An address that may have changed is used once while the name is asked for again.
func TestOldNames(t *testing.T) {
	n := &nameServer{answer: address("pop.example.", altAddr)}
	near, _ := asking(t, n, farAddr)
	near.names.old["pop.example"] = KeptName{Addrs: []netip.Addr{popAddr}, Until: time.Now().Add(-time.Hour)}
	near.names.old["smtp.example"] = KeptName{Addrs: []netip.Addr{popAddr}, Until: time.Now().Add(time.Hour)}
	near.names.old["gone.example"] = KeptName{Addrs: []netip.Addr{popAddr}, Until: time.Now().Add(-2 * oldest)}

	if got, err := near.Lookup(t.Context(), "POP.example."); err != nil || got.Addrs[0] != popAddr {
		t.Errorf("%+v, %v: want the old address at once", got, err)
	}
	for end := time.Now().Add(5 * time.Second); ; {
		got, err := near.Lookup(t.Context(), "pop.example")
		if err == nil && got.Addrs[0] == altAddr {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v: the new address does not come", got, err)
		}
	}
	asked := n.asked.Load()
	if got, err := near.Lookup(t.Context(), "smtp.example"); err != nil || got.Addrs[0] != popAddr || n.asked.Load() != asked {
		t.Errorf("%+v, %v, %d questions: want what is still good", got, err, n.asked.Load()-asked)
	}
	if _, err := near.Lookup(t.Context(), "gone.example"); kindIn(err) != UnknownHost {
		t.Errorf("%v: want the name asked for", err)
	}
	kept := near.names.keep()
	if kept["pop.example"].Addrs[0] != altAddr || kept["smtp.example"].Addrs[0] != popAddr || len(kept) != 2 {
		t.Errorf("%+v", kept)
	}
}

// A refresh that fails leaves nothing wrong behind: the next lookup asks itself.
func TestOldNameNotRefreshed(t *testing.T) {
	n := &nameServer{answer: func(q dnsmessage.Message, _ int) []dnsmessage.Message {
		return []dnsmessage.Message{replyTo(q, dnsmessage.RCodeServerFailure)}
	}}
	near, _ := asking(t, n, farAddr)
	near.names.old["pop.example"] = KeptName{Addrs: []netip.Addr{popAddr}, Until: time.Now().Add(-time.Hour)}
	if _, err := near.Lookup(t.Context(), "pop.example"); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if _, err := near.Lookup(t.Context(), "pop.example"); kindIn(err) == NameFailure {
			return
		}
	}
	t.Error("the failure never showed")
}
