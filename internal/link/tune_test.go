package link

import (
	"testing"
	"time"
)

// TestTuneTable holds the table in tune's comment to what tune does.
func TestTuneTable(t *testing.T) {
	for _, c := range []struct {
		rate                     int
		rtt                      time.Duration
		mss, window, least, slow int
		minRTO                   time.Duration
	}{
		{2400, 1800 * time.Millisecond, 480, 1920, 960, 10, 21 * time.Second},
		{9600, 600 * time.Millisecond, 624, 2496, 1248, 4, 7 * time.Second},
		{33600, 150 * time.Millisecond, 544, 2176, 1088, 1, 2 * time.Second},
		{128000, 300 * time.Millisecond, 1456, 8736, 5824, 1, 2 * time.Second},
		{9600, 0, 624, 2496, 1248, 4, 7 * time.Second}, // the usual round trip
	} {
		got := tune(c.rate, c.rtt)
		if !got.bounded || got.mss != c.mss || got.window != c.window || got.least != c.least || got.slow != c.slow || got.minRTO != c.minRTO {
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
			case c.window%c.mss != 0 || c.window > maxWindow || c.least%c.mss != 0 || c.least < 2*c.mss:
				t.Errorf("%d bit/s, %v: windows %+v", rate, rtt, c)
			case c.least < l.octets(rtt):
				t.Errorf("%d bit/s, %v: %d octets don't fill the line", rate, rtt, c.least)
			case c.minRTO < rtt+l.airtime(c.window):
				t.Errorf("%d bit/s, %v: time-out of %v, a full window takes longer", rate, rtt, c.minRTO)
			case time.Duration(c.slow)*time.Second < rtt+l.airtime(c.window):
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

func TestShare(t *testing.T) {
	c := tune(9600, 600*time.Millisecond)
	for n, want := range []int{c.window, c.window, 1248, 1248, 1248} {
		if got := c.share(n); got != want || got%c.mss != 0 {
			t.Errorf("share of %d: %d", n, got)
		}
	}
	wide := tune(128000, 600*time.Millisecond)
	if got := wide.share(2); got < wide.least || got > wide.window {
		t.Errorf("share %d of %+v", got, wide)
	}
}

func TestFit(t *testing.T) {
	c := tune(9600, 600*time.Millisecond).fit(296)
	if c.mss != 256 || c.window%256 != 0 || c.least%256 != 0 || c.window < 2496 {
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
