package link

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
)

func (e ends) String() string { return [...]string{"near-tuned", "both-tuned"}[e] }

// moved is what it cost.
type moved struct {
	octets    [2]int64   // on the line, up and down
	traffic   [2]Traffic // as IP saw it
	took      time.Duration
	busy      [2]float64 // share of the time in which the direction was sending
	resentFar int64      // octets of payload that the far end's TCP was given twice
}

// overhead is what went beyond the payload, per cent.
func overhead(octets int64, payload int) float64 {
	return 100 * float64(octets-int64(payload)) / float64(payload)
}

// run moves a load between two stacks, with PPP on a serial line between them, and
// checks that it arrives whole.
func (l load) run(t testing.TB, speed float64) moved {
	t.Helper()
	line := &serialLine{rate: l.rate, delay: l.rtt / 2, speed: speed}
	farOpt := StackOptions{}
	if l.ends == bothTuned {
		farOpt = StackOptions{Rate: l.rate, RTT: l.rtt}
	}
	d := line.dial(t, l.rtt, farOpt, nil)
	listener, err := d.far.ListenTCP(25)
	if err != nil {
		t.Fatal(err)
	}
	pairs := make([][2]net.Conn, l.connections)
	for i := range pairs {
		pairs[i] = l.connect(t, d.near, listener)
	}
	var work sync.WaitGroup
	for _, p := range pairs {
		work.Go(func() { greet(t, p[0], p[1]) })
	}
	work.Wait()
	before := [2]int64{line.up.count(), line.down.count()}
	begun := time.Now()
	var ended [2]atomic.Int64
	for _, p := range pairs {
		work.Go(func() { l.exchange(t, p[0], p[1], &ended, begun) })
	}
	work.Wait()
	m := moved{octets: [2]int64{line.up.count() - before[0], line.down.count() - before[1]}}
	m.took = time.Duration(float64(time.Since(begun)) * speed)
	m.traffic[0], m.traffic[1] = d.near.Traffic()
	_, far := d.far.Traffic()
	m.resentFar = far.Resent
	for i, octets := range m.octets {
		if span := float64(ended[i].Load())*speed - float64(line.delay); span > 0 {
			m.busy[i] = float64(lane{l.rate}.airtime(int(octets))) / span
		}
	}
	return m
}

// connect opens a connection and gives both ends.
func (l load) connect(t testing.TB, near *Stack, listener net.Listener) [2]net.Conn {
	t.Helper()
	c, err := near.DialContext(context.Background(), "tcp", farAddr.String()+":25")
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return [2]net.Conn{c, far}
}

// exchange moves a connection's load both ways, and notes when each way was done.
func (l load) exchange(t testing.TB, c, far net.Conn, ended *[2]atomic.Int64, begun time.Time) {
	random := rand.NewChaCha8([32]byte{1})
	up, down := make([]byte, l.up), make([]byte, l.down)
	random.Read(up)
	random.Read(down)
	var work sync.WaitGroup
	done := func(i, octets int) {
		if took := int64(time.Since(begun)); octets > 0 {
			ended[i].Store(max(took, ended[i].Load()))
		}
	}
	work.Go(func() { pour(t, c, up) })
	work.Go(func() { pour(t, far, down) })
	work.Go(func() { drink(t, far, up); done(0, l.up) })
	work.Go(func() { drink(t, c, down); done(1, l.down) })
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
	{name: "9600/600ms/up-1", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, up: 60000},
	{name: "9600/600ms/down-1", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, down: 60000},
	{name: "9600/600ms/both-1", rate: 9600, rtt: 600 * time.Millisecond, connections: 1, up: 60000, down: 60000},
	{name: "9600/600ms/up-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, up: 20000},
	{name: "9600/600ms/down-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, down: 20000},
	{name: "9600/600ms/both-3", rate: 9600, rtt: 600 * time.Millisecond, connections: 3, up: 20000, down: 20000},
	{name: "2400/1.8s/up-1", rate: 2400, rtt: 1800 * time.Millisecond, connections: 1, up: 60000},
	{name: "2400/1.8s/down-1", rate: 2400, rtt: 1800 * time.Millisecond, connections: 1, down: 60000},
	{name: "2400/1.8s/both-1", rate: 2400, rtt: 1800 * time.Millisecond, connections: 1, up: 60000, down: 60000},
	{name: "2400/1.8s/up-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, up: 20000},
	{name: "2400/1.8s/down-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, down: 20000},
	{name: "2400/1.8s/both-3", rate: 2400, rtt: 1800 * time.Millisecond, connections: 3, up: 20000, down: 20000},
	{name: "33600/150ms/up-1", rate: 33600, rtt: 150 * time.Millisecond, connections: 1, up: 180000},
	{name: "33600/150ms/down-1", rate: 33600, rtt: 150 * time.Millisecond, connections: 1, down: 180000},
	{name: "33600/150ms/both-1", rate: 33600, rtt: 150 * time.Millisecond, connections: 1, up: 180000, down: 180000},
	{name: "33600/150ms/up-3", rate: 33600, rtt: 150 * time.Millisecond, connections: 3, up: 60000},
	{name: "33600/150ms/down-3", rate: 33600, rtt: 150 * time.Millisecond, connections: 3, down: 60000},
	{name: "33600/150ms/both-3", rate: 33600, rtt: 150 * time.Millisecond, connections: 3, up: 60000, down: 60000},
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
		for _, l.ends = range []ends{nearTuned, bothTuned} {
			b.Run(fmt.Sprintf("%s/%v", l.name, l.ends), func(b *testing.B) {
				for b.Loop() {
					report(b, l, l.run(b, 1))
				}
			})
		}
	}
}

func report(b *testing.B, l load, m moved) {
	for i, way := range []struct {
		name    string
		payload int
	}{{"up", l.up * l.connections}, {"down", l.down * l.connections}} {
		if way.payload > 0 {
			b.ReportMetric(overhead(m.octets[i], way.payload), way.name+"-overhead-%")
			b.ReportMetric(100*m.busy[i], way.name+"-busy-%")
		}
		b.ReportMetric(float64(m.traffic[i].Resent), way.name+"-resent-B")
	}
	b.ReportMetric(m.took.Seconds(), "line-s")
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
			if m.traffic[0].Resent != 0 || c.rtt < time.Second && c.connections == 1 && m.traffic[1].Resent != 0 {
				t.Errorf("resent %d octets up, %d down", m.traffic[0].Resent, m.traffic[1].Resent)
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
	p := l.connect(t, near, listenTCP(t, far, 25))
	var ended [2]atomic.Int64
	l.exchange(t, p[0], p[1], &ended, time.Now())
	if got := w.up.count().resent; got == 0 || got > 4*tune(9600, 600*time.Millisecond).mss {
		t.Errorf("%d octets sent again for one segment lost", got)
	}
}
