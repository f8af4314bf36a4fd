package session

import (
	"testing"
	"time"

	"outpost/queue"
)

// A call is expected to take what those before it took beside their mail, and its own mail's time.
func TestForecast(t *testing.T) {
	line := lineFacts{Up: 1000, Down: 2000}
	// 11 s of mail up, 5.5 s down, and 9 s of all the rest.
	past := history{}.learn(queue.Call{SentBytes: 10_000, CollectedBytes: 10_000, Metered: 20 * time.Second}, line)
	if past != (history{Calls: 1, In: 10_000, Idle: 9}) {
		t.Errorf("%+v", past)
	}
	past = past.learn(queue.Call{CollectedBytes: 20_000, Metered: 11 * time.Second}, line) // all of it mail
	if past.Calls != 2 || past.In != 13_000 || past.Idle < 6.2 || past.Idle > 6.4 {
		t.Errorf("%+v", past)
	}
}

// What is forecast is learned by calls, and kept from one Session to the next.
func TestForecastOfASession(t *testing.T) {
	o := newOffice(t, nil)
	o.submit("x", "x@far.example")
	o.opt.Lines[0].Rate, o.opt.Lines[0].RTT = 8000, time.Second
	if f := New(o.opt).Forecast(5000, 0); f.Duration != 0 || f.Cost != "" || f.Out != 5000 {
		t.Errorf("before the first call: %+v", f)
	}
	o.mustCall()
	if f := New(o.opt).Forecast(10_000, 0); f.Line != "fake" || f.Duration != 11*time.Second || f.Cost == "" || f.In != 0 {
		t.Errorf("after it: %+v", f)
	}
}
