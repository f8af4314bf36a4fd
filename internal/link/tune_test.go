package link

import (
	"testing"
	"time"
)

// TestTuneTable holds the table in tune's comment to what tune does.
func TestTuneTable(t *testing.T) {
	for _, c := range []struct {
		rate                        int
		rtt                         time.Duration
		mss, down, duplex, up, slow int
		minRTO                      time.Duration
	}{
		{2400, 1800 * time.Millisecond, 336, 1344, 2016, 3360, 12, 36 * time.Second},
		{9600, 600 * time.Millisecond, 432, 1728, 2592, 4320, 4, 12 * time.Second},
		{33600, 150 * time.Millisecond, 536, 1608, 2680, 4288, 2, 4 * time.Second},
		{128000, 300 * time.Millisecond, 1456, 7280, 10192, 17472, 2, 4 * time.Second},
		{9600, 0, 432, 1728, 2592, 4320, 4, 12 * time.Second}, // the usual round trip
	} {
		got := tune(c.rate, c.rtt)
		if !got.bounded || got.mss != c.mss || got.down != c.down || got.up != c.up || got.duplex != c.duplex || got.slow != c.slow || got.minRTO != c.minRTO {
			t.Errorf("%d bit/s, %v: %+v", c.rate, c.rtt, got)
		}
	}
}

// TestTuneRules holds for every line what makes it work.
func TestTuneRules(t *testing.T) {
	for rate := 300; rate < 20_000_000; rate = rate * 5 / 4 {
		for rtt := time.Duration(0); rtt < 8*time.Second; rtt = rtt*2 + 10*time.Millisecond {
			c := tune(rate, rtt)
			if c.slow < 1 || c.connectWait < 20*time.Second || c.askWait <= rtt {
				t.Fatalf("%d bit/s, %v: %+v", rate, rtt, c)
			}
			if !c.bounded {
				continue
			}
			if rtt == 0 {
				rtt = usualRTT(rate)
			}
			l := lane{rate}
			switch {
			case c.mss < smallestMSS || c.mss > largestMSS:
				t.Errorf("%d bit/s, %v: MSS %d", rate, rtt, c.mss)
			case c.down%c.mss != 0 || c.up > maxWindow || c.up%c.mss != 0 || c.duplex%c.mss != 0 || c.down > c.duplex || c.duplex > c.up:
				t.Errorf("%d bit/s, %v: windows %+v", rate, rtt, c)
			case c.down < l.octets(rtt)+c.mss:
				t.Errorf("%d bit/s, %v: %d octets don't fill the line", rate, rtt, c.down)
			case c.minRTO < rtt+l.airtime(c.up):
				t.Errorf("%d bit/s, %v: time-out of %v, full windows take longer", rate, rtt, c.minRTO)
			case time.Duration(c.slow)*time.Second < rtt+l.airtime(c.down):
				t.Errorf("%d bit/s, %v: first time-out of %d s", rate, rtt, c.slow)
			case c.connectWait < 7*time.Duration(c.slow)*time.Second:
				t.Errorf("%d bit/s, %v: %+v", rate, rtt, c)
			}
		}
	}
	if c := tune(0, time.Second); c.bounded {
		t.Errorf("a line of unknown rate was tuned: %+v", c)
	}
}

// TestShare: what all connections may have in flight is divided among those that
// use it, and one alone can fill the line.
func TestShare(t *testing.T) {
	c := tune(9600, 600*time.Millisecond)
	for n, want := range []int{c.up, c.up, c.up / 2 / c.mss * c.mss, c.down, c.down} {
		if got := c.share(n); got != max(want, c.down) || got%c.mss != 0 {
			t.Errorf("share of %d: %d", n, got)
		}
	}
	for _, o := range []struct {
		bulk         bool
		sending, all int
		want         int
	}{
		{true, 1, 1, c.down}, {true, 1, 8, c.down}, // the others are idle
		{true, 2, 3, c.down / 2 / c.mss * c.mss}, {true, 8, 8, 2 * c.mss},
		{false, 0, 1, c.down}, {false, 0, 8, 2 * c.mss}, {false, 2, 3, 2 * c.mss},
	} {
		if got := c.offer(o.bulk, o.sending, o.all, false); got != o.want {
			t.Errorf("%+v: offered %d", o, got)
		}
	}
	if got := c.offer(true, 3, 3, true); got != 2*c.mss {
		t.Errorf("offered %d to each of three while we send too", got)
	}
}

func TestFit(t *testing.T) {
	c := tune(9600, 600*time.Millisecond).fit(296)
	if c.mss != 256 || c.down%256 != 0 || c.up%256 != 0 || c.duplex%256 != 0 || c.down < tune(9600, 600*time.Millisecond).down {
		t.Errorf("%+v", c)
	}
	if got := tune(9600, 600*time.Millisecond).fit(1500); got != tune(9600, 600*time.Millisecond) {
		t.Errorf("%+v", got)
	}
}

// TestSlowClock: timers and readings agree on the pace, and Reset does too.
func TestSlowClock(t *testing.T) {
	c := newSlowClock(20 * time.Millisecond) // fifty times fast
	begun := time.Now()
	fired := make(chan time.Duration, 2)
	before := c.NowMonotonic()
	timer := c.AfterFunc(time.Second, func() { fired <- time.Since(begun) })
	if took := <-fired; took < 20*time.Millisecond || took > time.Second {
		t.Errorf("fired after %v", took)
	}
	if d := c.NowMonotonic().Sub(before); d < time.Second {
		t.Errorf("read %v", d)
	}
	begun = time.Now()
	timer.Reset(2 * time.Second)
	if took := <-fired; took < 40*time.Millisecond || took > time.Second {
		t.Errorf("fired again after %v", took)
	}
	if timer.Stop() {
		t.Error("stopped what has fired")
	}
}

// Retune changes the windows by what was measured, and nothing that a connection has
// from its beginning.
func TestRetune(t *testing.T) {
	near, _, _ := pair(t, StackOptions{Rate: 9600, RTT: 600 * time.Millisecond})
	before := *near.live.Load()
	near.Retune(28800, 600*time.Millisecond)
	after := *near.live.Load()
	if after.down <= before.down || after.down%before.mss != 0 || after.mss != before.mss || near.tune != before {
		t.Errorf("%+v, then %+v", before, after)
	}
	near.Retune(0, 0)
	if *near.live.Load() != after {
		t.Error("a rate that isn't known changed the windows")
	}
}

// One segment alone isn't enough where it takes longer than a server's margin.
func TestLeast(t *testing.T) {
	for _, c := range []struct {
		rate     int
		rtt      time.Duration
		segments int
		greet    bool
	}{
		{2400, 1800 * time.Millisecond, 2, false}, {9600, 600 * time.Millisecond, 2, true},
		{33600, 150 * time.Millisecond, 1, true}, {2400, 500 * time.Millisecond, 2, true},
	} {
		got := tune(c.rate, c.rtt)
		if got.least != c.segments*got.mss || (got.greet > 0) != c.greet || got.greet > maxGreet {
			t.Errorf("%d bit/s, %v: %+v", c.rate, c.rtt, got)
		}
	}
}
