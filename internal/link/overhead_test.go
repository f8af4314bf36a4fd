package link

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is what is moved over a simulated line: payload of every connection in a
// direction, in octets.
type load struct {
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

// moved is what a load cost. Pairs are up and down.
type moved struct {
	octets  [2]int64   // on the line
	traffic [2]Traffic // as IP saw it, at the near end
	took    time.Duration
	busy    [2]float64 // share of the time in which the line was sending, while there was payload to send
	steady  [2]float64 // how fast the last fifth was, beside the rest
}

// overhead is what went beyond the payload, per cent. What acknowledges the other
// direction's payload is part of it.
func overhead(octets int64, payload int) float64 {
	return 100 * float64(octets-int64(payload)) / float64(payload)
}

// run moves a load between two stacks, with PPP on a serial line between them, and
// checks that it arrives whole. Speed hurries the line and all timers; the
// writers' lead of some milliseconds isn't hurried, so that only a speed of 1 shows
// how long things wait.
func (l load) run(t testing.TB, speed float64) moved {
	t.Helper()
	line := &serialLine{rate: l.rate, delay: l.rtt / 2, speed: speed}
	farOpt := StackOptions{}
	if l.ends == bothTuned {
		farOpt = StackOptions{Rate: l.rate, RTT: l.rtt}
	}
	d := line.dial(t, l.rtt, farOpt, nil)
	listener := listenTCP(t, d.far, 25)
	pairs := make([][2]net.Conn, l.connections)
	for i := range pairs {
		pairs[i] = connected(t, d.near, listener)
	}
	var work sync.WaitGroup
	for _, p := range pairs {
		work.Go(func() { greet(t, p[0], p[1]) })
	}
	work.Wait()
	before := [2]int64{line.up.count(), line.down.count()}
	arrived := [2]*arrival{newArrival(line.up, l.up*l.connections), newArrival(line.down, l.down*l.connections)}
	for _, p := range pairs {
		work.Go(func() { l.exchange(t, p[0], p[1], arrived) })
	}
	work.Wait()
	m := moved{octets: [2]int64{line.up.count() - before[0], line.down.count() - before[1]}}
	m.traffic[0], m.traffic[1] = d.near.Traffic()
	for i, a := range arrived {
		took := time.Duration(float64(a.whole) * speed)
		m.took = max(m.took, took)
		if a.total > 0 {
			m.busy[i] = float64(lane{l.rate}.airtime(int(a.octets-before[i]))) / float64(took-line.delay)
			m.steady[i] = float64(a.fourFifths) / 4 / float64(a.whole-a.fourFifths)
		}
	}
	return m
}

// arrival watches a direction's payload come in.
type arrival struct {
	track *track
	begun time.Time
	total int

	mu                sync.Mutex
	came              int
	fourFifths, whole time.Duration // until that much had come
	octets            int64         // on the line by then
}

func newArrival(t *track, total int) *arrival {
	return &arrival{track: t, begun: time.Now(), total: total}
}

func (a *arrival) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.came
	a.came += n
	if mark := a.total * 4 / 5; before < mark && a.came >= mark {
		a.fourFifths = time.Since(a.begun)
	}
	if a.came == a.total {
		a.whole, a.octets = time.Since(a.begun), a.track.count()
	}
}

// connected opens a connection and gives both ends.
func connected(t testing.TB, near *Stack, listener net.Listener) [2]net.Conn {
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

// exchange moves a connection's load both ways.
func (l load) exchange(t testing.TB, c, far net.Conn, arrived [2]*arrival) {
	random := rand.NewChaCha8([32]byte{1})
	up, down := make([]byte, l.up), make([]byte, l.down)
	random.Read(up)
	random.Read(down)
	var work sync.WaitGroup
	work.Go(func() { pour(t, c, up) })
	work.Go(func() { pour(t, far, down) })
	work.Go(func() { drink(t, far, up, arrived[0]) })
	work.Go(func() { drink(t, c, down, arrived[1]) })
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

// drink reads what was poured, and tells how it comes if arrived isn't nil.
func drink(t testing.TB, c net.Conn, want []byte, arrived *arrival) {
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		k, err := c.Read(got[n:])
		if err != nil {
			t.Error(err)
			return
		}
		n += k
		if arrived != nil {
			arrived.count(k)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("octets changed on the way")
	}
}

// loads are what BenchmarkLine moves: on each line one connection and three, each
// way and both at once.
func loads() (all []load) {
	for _, line := range []struct {
		rate, payload int
		rtt           time.Duration
	}{{9600, 60_000, 600 * time.Millisecond}, {2400, 60_000, 1800 * time.Millisecond}, {33600, 180_000, 150 * time.Millisecond}} {
		for _, e := range []ends{nearTuned, bothTuned} {
			for _, n := range []int{1, 3} {
				each := line.payload / n
				for _, way := range [][2]int{{each, 0}, {0, each}, {each, each}} {
					all = append(all, load{line.rate, line.rtt, n, way[0], way[1], e})
				}
			}
		}
	}
	return all
}

// BenchmarkLine moves incompressible payload over simulated lines and prints a row
// for each: the octets on the wire beyond the payload (headers, framing, escapes,
// acknowledgements of the other direction, repetitions), per cent of the payload;
// the octets of payload that were sent twice; how much of the time the line was
// busy; and how fast the last fifth came beside the rest. A dialogue of five
// commands comes first and isn't counted. Everything happens at once and in real
// time, some five minutes.
//
//	make bench-line
func BenchmarkLine(b *testing.B) {
	all := loads()
	rows := make([]string, len(all))
	var work sync.WaitGroup
	for i, l := range all {
		work.Go(func() { rows[i] = l.row(l.run(b, 1)) })
	}
	work.Wait()
	fmt.Printf("| line | connections | far end | overhead up | down | sent twice up | down | busy up | down | last fifth | seconds |\n|%s\n", strings.Repeat("---|", 11))
	for _, r := range rows {
		fmt.Print(r)
	}
	b.ReportMetric(0, "ns/op")
}

// row is a line of BenchmarkLine's table.
func (l load) row(m moved) string {
	cells := []string{fmt.Sprintf("%d bit/s, %v", l.rate, l.rtt), fmt.Sprint(l.connections), [...]string{"as it comes", "tuned"}[l.ends]}
	payload := [2]int{l.up * l.connections, l.down * l.connections}
	steady := 1e9
	var over, busy [2]string
	for i := range payload {
		over[i], busy[i] = fmt.Sprintf("%d B", m.octets[i]), "–"
		if payload[i] > 0 {
			over[i], busy[i] = fmt.Sprintf("%.1f %%", overhead(m.octets[i], payload[i])), fmt.Sprintf("%.1f %%", 100*m.busy[i])
			steady = min(steady, m.steady[i])
		}
	}
	cells = append(cells, over[0], over[1], fmt.Sprint(m.traffic[0].Resent), fmt.Sprint(m.traffic[1].Resent), busy[0], busy[1],
		fmt.Sprintf("%.0f %%", 100*steady), fmt.Sprintf("%.1f", m.took.Seconds()))
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// TestOverhead holds what a paid line must not lose: headers, framing and escapes
// within bounds, nothing of ours sent twice, the line busy to the end. The far end
// has TCP's defaults; where the round trip, or our answer beside other connections,
// takes longer than its first time-out of 1 s, it repeats its greeting, and that
// isn't ours to prevent.
func TestOverhead(t *testing.T) {
	for name, c := range map[string]struct {
		load
		speed float64
		most  [2]float64 // per cent, up and down
	}{
		"9600 up":         {load{9600, 600 * time.Millisecond, 1, 15_000, 0, nearTuned}, 20, [2]float64{3, 0}},
		"9600 down":       {load{9600, 600 * time.Millisecond, 1, 0, 15_000, nearTuned}, 20, [2]float64{0, 3}},
		"9600 both":       {load{9600, 600 * time.Millisecond, 1, 15_000, 15_000, nearTuned}, 8, [2]float64{6, 6}},
		"9600 three up":   {load{9600, 600 * time.Millisecond, 3, 6_000, 0, nearTuned}, 20, [2]float64{4, 0}},
		"2400 up":         {load{2400, 1800 * time.Millisecond, 1, 6_000, 0, nearTuned}, 30, [2]float64{4, 0}},
		"2400 three up":   {load{2400, 1800 * time.Millisecond, 3, 3_000, 0, nearTuned}, 30, [2]float64{8, 0}},
		"33600 down":      {load{33600, 150 * time.Millisecond, 1, 0, 40_000, nearTuned}, 5, [2]float64{0, 3}},
		"9600 three both": {load{9600, 600 * time.Millisecond, 3, 6_000, 6_000, bothTuned}, 8, [2]float64{6, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := c.run(t, c.speed)
			patient := c.ends == bothTuned || c.connections == 1 && c.rtt < time.Second
			if m.traffic[0].Resent != 0 || patient && m.traffic[1].Resent != 0 {
				t.Errorf("resent %d octets up, %d down", m.traffic[0].Resent, m.traffic[1].Resent)
			}
			for i, each := range []int{c.up, c.down} {
				if each == 0 {
					continue
				}
				if got := overhead(m.octets[i], each*c.connections); got > c.most[i] {
					t.Errorf("way %d: overhead of %.2f %%, want at most %.0f %%", i, got, c.most[i])
				}
				if m.busy[i] < 0.9 { // 0.97 in real time: see BenchmarkLine
					t.Errorf("way %d: the line was busy for %.0f %% of the time", i, 100*m.busy[i])
				}
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
	p := connected(t, near, listenTCP(t, far, 25))
	load{up: 8_000}.exchange(t, p[0], p[1], [2]*arrival{})
	if got := w.up.count().resent; got == 0 || got > 4*tune(9600, 600*time.Millisecond).mss {
		t.Errorf("%d octets sent again for one segment lost", got)
	}
}
