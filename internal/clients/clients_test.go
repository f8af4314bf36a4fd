package clients

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestRoom(t *testing.T) {
	l := New[string](4, 2)
	for _, c := range []struct {
		name, from string
		in         bool
	}{
		{"a", "10.0.0.1", true}, {"b", "10.0.0.1", true}, {"c", "10.0.0.1", false}, // no more of one
		{"d", "2001:db8::1", true}, {"e", "2001:db8::ffff:1", true}, {"f", "10.0.0.2", false}, // no more at all
	} {
		if got := l.Enter(c.name, addr(c.from)); got != c.in {
			t.Errorf("%s from %s: %v", c.name, c.from, got)
		}
	}
	l.Leave("e")
	l.Leave("e") // again, and somebody who never was there
	l.Leave("x")
	if !l.Enter("g", netip.Addr{}) || l.Enter("h", addr("10.0.0.3")) {
		t.Error("the place of who left isn't free, or twice")
	}
	inside := l.Inside()
	slices.Sort(inside)
	if !slices.Equal(inside, []string{"a", "b", "d", "g"}) {
		t.Errorf("inside: %q", inside)
	}
	l.Leave("d")
	if l.Enter("i", addr("2001:db8:0:0:1::1")); !slices.Contains(l.Inside(), "i") {
		t.Error("who has left still counts for his computer")
	}
}

func TestClose(t *testing.T) {
	l := New[int](10, 10)
	from, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listen(from)
	l.Enter(1, addr("10.0.0.1"))
	l.Enter(2, addr("10.0.0.1"))
	if l.Closing() {
		t.Error("it closes by itself")
	}
	left := l.Close()
	slices.Sort(left)
	if !slices.Equal(left, []int{1, 2}) || !l.Closing() || l.Enter(3, addr("10.0.0.1")) {
		t.Errorf("left %v", left)
	}
	if _, err := from.Accept(); err == nil {
		t.Error("it still listens")
	}
	late, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Listen(late)
	if _, err := late.Accept(); err == nil {
		t.Error("a late listener listens")
	}
	var all sync.WaitGroup
	for _, c := range left {
		select {
		case <-l.Emptied():
			t.Error("emptied too early")
		default:
		}
		all.Go(func() { l.Leave(c) })
		all.Wait()
	}
	<-l.Emptied()
	l.Close() // again
	empty := New[int](1, 1)
	empty.Close()
	<-empty.Emptied()
}

func TestAddr(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if a := Addr(near); a.IsValid() {
		t.Errorf("a pipe has the address %v", a)
	}
	for in, want := range map[string]string{"[::ffff:10.0.0.1]:5": "10.0.0.1", "[fe80::1%eth0]:5": "fe80::1", "10.0.0.1:5": "10.0.0.1"} {
		if got := Addr(remote{from: in}); got.String() != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

// remote is a connection from somewhere.
type remote struct {
	net.Conn
	from string
}

func (r remote) RemoteAddr() net.Addr { return from(r.from) }

type from string

func (from) Network() string  { return "tcp" }
func (f from) String() string { return string(f) }
