package session

import (
	"testing"
	"time"
)

// What is under way, and how many boxes side by side, on the lines that there are.
func TestGaugeByLine(t *testing.T) {
	for _, c := range []struct {
		name        string
		rate        int // bit/s
		rtt         time.Duration
		pull, drain int64 // octets
		boxes       int
		far         bool
	}{
		{"landline", 33_600, 150 * time.Millisecond, 1680, 17430, 5, false},
		{"GSM", 9600, 600 * time.Millisecond, leastWindow, 5520, 5, false},
		{"Iridium", 2400, 1800 * time.Millisecond, leastWindow, 1740, 4, false},
		{"VSAT", 176_000, 700 * time.Millisecond, 20900, 103400, 31, true},
		{"a fibre", 1_000_000_000, 10 * time.Millisecond, mostWindow, mostWindow, mostBoxes, true},
		{"nothing is known", 0, 0, firstWindow, firstDrain, someBoxes, false},
		{"the rate only", 9600, 0, firstWindow, 4800, someBoxes, false},
		{"the round trip only", 0, time.Second, firstWindow, firstDrain, someBoxes, false},
	} {
		g := newGauge(c.rate, c.rtt, lineFacts{})
		if got := g.pullWindow(); got != c.pull {
			t.Errorf("%s: %d octets of the boxes, want %d", c.name, got, c.pull)
		}
		if got := g.drainWindow(); got != c.drain {
			t.Errorf("%s: %d octets to the smarthost, want %d", c.name, got, c.drain)
		}
		if got := g.boxesAtOnce(); got != c.boxes {
			t.Errorf("%s: %d boxes at once, want %d", c.name, got, c.boxes)
		}
		if got := g.longAndFast(); got != c.far {
			t.Errorf("%s: long and fast is %v", c.name, got)
		}
	}
}

// A line of which nothing is known shows its rate, and the window grows with what it lets through.
func TestGaugeMeasures(t *testing.T) {
	g := newGauge(0, 0, lineFacts{})
	g.connected(900 * time.Millisecond)
	g.connected(600 * time.Millisecond)
	g.connected(700 * time.Millisecond)
	for second := range rateSpan + 1 {
		if f := g.facts(); f.Up != 0 || f.Down != 0 {
			t.Errorf("after %d seconds: %+v", second, f)
		}
		g.second(int64(100*second), int64(1000*second))
	}
	g.second(100*(rateSpan+1), 1000*rateSpan) // nothing came in any more
	want := lineFacts{Up: 100, Down: 1000, RTT: 600 * time.Millisecond}
	if f := g.facts(); f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
	if got := g.pullWindow(); got != window(1500, want.RTT+queueTime) {
		t.Errorf("a window of %d", got)
	}
	if f := g.lesson(); f.Up != 0 || f.Down != 0 {
		t.Errorf("a few seconds teach %+v", f)
	}
	for second := rateSpan + 2; second <= taught+2; second++ {
		g.second(int64(100*second), int64(1000*(second-2)))
	}
	if f := g.lesson(); f != want {
		t.Errorf("to be kept: %+v, want %+v", f, want)
	}
}

// What a line has carried fades where it isn't reached again; what is configured doesn't.
func TestGaugeFades(t *testing.T) {
	seen := lineFacts{Up: 400, Down: 4000, RTT: time.Second}
	faded := newGauge(0, 0, seen)
	faded.connected(2 * time.Second)
	if f := faded.lesson(); f.Up != fade*400 || f.Down != fade*4000 || f.RTT != 2*time.Second {
		t.Errorf("%+v", f)
	}
	configured := newGauge(8000, 500*time.Millisecond, seen)
	if f := configured.facts(); f.Up != 1000 || f.Down != 4000 || f.RTT != 500*time.Millisecond {
		t.Errorf("%+v", f)
	}
}

// What no line can be is not believed: it could have blocked all boxes.
func TestGaugeOfNonsense(t *testing.T) {
	for _, seen := range []lineFacts{
		{Down: -4000, RTT: time.Second}, {Down: 4000, RTT: -time.Hour}, {Up: 1e300, Down: 1e300, RTT: time.Second},
		{Up: 1, Down: 1, RTT: 1 << 60},
	} {
		g := newGauge(0, 0, seen)
		if g.boxesAtOnce() != someBoxes || g.pullWindow() != firstWindow || g.drainWindow() != firstDrain {
			t.Errorf("%+v: %+v", seen, g.facts())
		}
	}
}
