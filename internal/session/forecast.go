package session

import (
	"time"

	"outpost/queue"
)

// Forecast is what the next call is expected to be, by what those before it were on the line that is tried first.
type Forecast struct {
	Line string `json:"line"`
	// Out are the octets that wait for the smarthost; In those that a call has brought in of late, and those that come
	// because somebody has released them.
	Out int64 `json:"out"`
	In  int64 `json:"in"`
	// Duration is how long the line is up for it, Cost what that costs at this hour, with its currency. Zero and "": there is nothing to go by.
	Duration time.Duration `json:"duration_ns"`
	Cost     string        `json:"cost,omitempty"`
}

const (
	// wrapping is what an octet of mail costs on the line, with all that is around it.
	wrapping = 1.1
	// habit is the weight of the calls before in what is learned of the last one.
	habit = 0.7
)

// history is what is remembered of calls on a line for the Forecast.
type history struct {
	Calls int     `json:"calls"`
	In    float64 `json:"in"`   // octets that a call brings in
	Idle  float64 `json:"idle"` // seconds that the mail doesn't explain: PPP, handshakes, waits, the hang-up
}

// explained is how many seconds the mail alone takes, both ways at the same time.
func explained(line lineFacts, out, in float64) float64 {
	if line.Up <= 0 || line.Down <= 0 {
		return 0
	}
	return wrapping * max(out/line.Up, in/line.Down)
}

// learn adds a call that came to its end.
func (h history) learn(row queue.Call, line lineFacts) history {
	in := float64(row.CollectedBytes)
	idle := max(0, row.Metered.Seconds()-explained(line, float64(row.SentBytes), in))
	if h.Calls == 0 {
		return history{Calls: 1, In: in, Idle: idle}
	}
	return history{Calls: h.Calls + 1, In: habit*h.In + (1-habit)*in, Idle: habit*h.Idle + (1-habit)*idle}
}

// credible says that it can be what learn made.
func (h history) credible() bool {
	return h.Calls >= 0 && h.In >= 0 && h.Idle >= 0 && h.Idle < mostIdle
}

// mostIdle is more seconds than a call may last.
const mostIdle = 48 * 60 * 60

// Forecast says what the next call is expected to be if so many octets wait for the smarthost, and so many that were held at the
// provider have been released. It may be called at any time from any goroutine.
func (s *Session) Forecast(out, released int64) Forecast {
	if len(s.opt.Lines) == 0 {
		return Forecast{Out: out}
	}
	route := s.opt.Lines[0]
	name := route.Line.Name()
	m := &memory{queue: s.opt.Queue, note: func(string, error) {}}
	line := newGauge(route.Rate, route.RTT, recall[lineFacts](m, keyLine+name)).facts()
	past := recall[history](m, keyHistory+name)
	in := past.In + float64(released)
	f := Forecast{Line: name, Out: out, In: int64(in)}
	if past.Calls == 0 || !past.credible() || line.Up <= 0 || line.Down <= 0 {
		return f
	}
	f.Duration = time.Duration((past.Idle + explained(line, float64(out), in)) * float64(time.Second)).Round(time.Second)
	price := route.Tariff.At(time.Now())
	f.Cost = price.Format(price.Charge(f.Duration).Amount)
	return f
}
