package link

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// greeting is what greet moves each way.
const greeting = 5 * 60

// load is what is moved over a simulated line: payload of every connection in a
// direction, in octets.
type load struct {
	name        string
	rate        int
	rtt         time.Duration
	connections int
	up, down    int
	ends        ends
}

// ends says which ends of the line are tuned for it. The zero value is what a
// session meets: ours is, a server has TCP's defaults.
type ends int

const (
	nearTuned ends = iota
	bothTuned      // as with the pretend provider
	noneTuned      // for comparison
)

func (e ends) String() string { return [...]string{"near-tuned", "both-tuned", "none-tuned"}[e] }

// moved is what it cost.
type moved struct {
	up, down count
	took     time.Duration // of the line's time
	busy     float64       // share of it that the busier direction was sending
}

// overhead is what went beyond the payload, per cent.
func overhead(c count, payload int) float64 {
	return 100 * float64(c.octets-payload) / float64(payload)
}

// run moves a load between two stacks and checks that it arrives whole.
func (l load) run(t testing.TB, speed float64) moved {
	t.Helper()
	w := &wire{rate: l.rate, delay: l.rtt / 2, speed: speed}
	a, b := w.connect(t)
	tuned := StackOptions{Rate: l.rate, RTT: l.rtt}
	nearOpt, farOpt := tuned, StackOptions{}
	switch l.ends {
	case bothTuned:
		farOpt = tuned
	case noneTuned:
		nearOpt = StackOptions{}
	case nearTuned:
	}
	near := hurried(t, a, nearAddr, nearOpt, speed)
	far := hurried(t, b, farAddr, farOpt, speed)
	listener, err := far.ListenTCP(25)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	var work sync.WaitGroup
	for range l.connections {
		work.Go(func() { l.exchange(t, near, listener) })
	}
	work.Wait()
	took := time.Duration(float64(time.Since(begun)) * speed)
	m := moved{up: w.up.count(), down: w.down.count(), took: took}
	w.up.mu.Lock()
	w.down.mu.Lock()
	m.busy = max(w.up.busy, w.down.busy).Seconds() / took.Seconds()
	w.down.mu.Unlock()
	w.up.mu.Unlock()
	return m
}

// exchange is one connection, both ends of it.
func (l load) exchange(t testing.TB, near *Stack, listener net.Listener) {
	c, err := near.DialContext(context.Background(), "tcp", farAddr.String()+":25")
	if err != nil {
		t.Error(err)
		return
	}
	far, err := listener.Accept() // some connection: they are all alike
	if err != nil {
		t.Error(err)
		return
	}
	if !greet(t, c, far) {
		return
	}
	random := rand.NewChaCha8([32]byte{1})
	up, down := make([]byte, l.up), make([]byte, l.down)
	random.Read(up)
	random.Read(down)
	var work sync.WaitGroup
	work.Go(func() { pour(t, c, up) })
	work.Go(func() { pour(t, far, down) })
	work.Go(func() { drink(t, far, up) })
	work.Go(func() { drink(t, c, down) })
	work.Wait()
}

// greet is how mail protocols begin: the server speaks, and a few commands are
// answered. Both ends learn the round trip of small packets from it, which is
// the worst preparation for that of large ones.
func greet(t testing.TB, c, far net.Conn) bool {
	line := make([]byte, 60)
	for range 5 {
		for _, way := range [][2]net.Conn{{far, c}, {c, far}} {
			if _, err := way[0].Write(line); err != nil {
				t.Error(err)
				return false
			}
			if _, err := io.ReadFull(way[1], line); err != nil {
				t.Error(err)
				return false
			}
		}
	}
	return true
}

// pour writes in the pieces that mail programs write in.
func pour(t testing.TB, c net.Conn, data []byte) {
	for len(data) > 0 {
		n, err := c.Write(data[:min(len(data), 4096)])
		if err != nil {
			t.Error(err)
			return
		}
		data = data[n:]
	}
}

func drink(t testing.TB, c net.Conn, want []byte) {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Error("octets changed on the way")
	}
}

var loads = []load{
	{name: "9600/600ms/up", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, up: 60_000},
	{name: "9600/600ms/down", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, down: 60_000},
	{name: "9600/600ms/up-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, up: 20_000},
	{name: "9600/600ms/down-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, down: 20_000},
	{name: "9600/600ms/both", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, up: 60_000, down: 60_000},
	{name: "9600/600ms/both-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, up: 20_000, down: 20_000},
	{name: "2400/1.8s/up", rate: 2400, rtt: 1800 * time.Millisecond, connections: 1, up: 20_000},
	{name: "2400/1.8s/down", rate: 2400, rtt: 1800 * time.Millisecond, connections: 1, down: 20_000},
	{name: "2400/1.8s/up-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, up: 7_000},
	{name: "2400/1.8s/down-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, down: 7_000},
	{name: "2400/1.8s/both-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, up: 7_000, down: 7_000},
	{name: "33600/150ms/both-3", rate: 33600, rtt: 150 * time.Millisecond, connections: 3, up: 60_000, down: 60_000},
}

// BenchmarkOverhead prints what TCP costs on slow lines, tuned and as it comes:
// the octets on the wire beyond the payload (headers, framing, escapes,
// acknowledgements of the other direction, repetitions) and those of payload
// that were sent twice, per cent of the payload; and the line's seconds, dialogue
// at the beginning included, and how busy it was.
//
//	go test -run '^$' -bench Overhead -benchtime 1x ./internal/link
func BenchmarkOverhead(b *testing.B) {
	for _, l := range loads {
		for _, l.ends = range []ends{nearTuned, bothTuned, noneTuned} {
			b.Run(fmt.Sprintf("%s/%v", l.name, l.ends), func(b *testing.B) {
				for b.Loop() {
					report(b, l, l.run(b, 40))
				}
			})
		}
	}
}

func report(b *testing.B, l load, m moved) {
	for _, way := range []struct {
		name    string
		count   count
		payload int
	}{{"up", m.up, (l.up + greeting) * l.connections}, {"down", m.down, (l.down + greeting) * l.connections}} {
		if way.payload > greeting*l.connections {
			b.ReportMetric(overhead(way.count, way.payload), way.name+"-overhead-%")
			b.ReportMetric(100*float64(way.count.resent)/float64(way.payload), way.name+"-resent-%")
		}
	}
	b.ReportMetric(m.took.Seconds(), "line-s")
	b.ReportMetric(100*m.busy, "busy-%")
	b.ReportMetric(0, "ns/op")
}

// TestNothingResent moves loads as a session does. What we send is never sent
// twice on a line that loses nothing, alone or beside other connections. The far
// end has TCP's defaults; where the round trip is above its first time-out of 1 s,
// it repeats its greeting, and that isn't ours to prevent.
func TestNothingResent(t *testing.T) {
	for _, c := range []struct {
		load
		speed float64
	}{
		{load{name: "9600", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, up: 12_000}, 20},
		{load{name: "9600, three", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, up: 6_000}, 20},
		{load{name: "2400, three", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, up: 2_000}, 30},
		{load{name: "33600, down", rate: 33600, rtt: 150 * time.Millisecond, connections: 1, down: 20_000}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := c.run(t, c.speed)
			if m.up.resent != 0 || c.rtt < time.Second && c.connections == 1 && m.down.resent != 0 {
				t.Errorf("resent %d octets up, %d down", m.up.resent, m.down.resent)
			}
		})
	}
}

// TestLossMended: a lost segment is sent again, and only that one.
func TestLossMended(t *testing.T) {
	var mu sync.Mutex
	segments := 0
	w := &wire{rate: 9600, delay: 300 * time.Millisecond, speed: 50, lose: func(way string, p []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		s, ok := parseSegment(p)
		if way != "up" || !ok || len(s.payload()) < 200 {
			return false
		}
		segments++
		return segments == 4
	}}
	a, b := w.connect(t)
	opt := StackOptions{Rate: 9600, RTT: 600 * time.Millisecond}
	near, far := hurried(t, a, nearAddr, opt, w.speed), hurried(t, b, farAddr, StackOptions{}, w.speed)
	l := load{connections: 1, up: 8_000}
	l.exchange(t, near, listenTCP(t, far, 25))
	if got := w.up.count().resent; got == 0 || got > 4*tune(9600, 600*time.Millisecond).mss {
		t.Errorf("%d octets sent again for one segment lost", got)
	}
}
