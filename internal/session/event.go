package session

import (
	"context"
	"log/slog"
	"time"
)

// Kind is what an Event tells.
type Kind string

// The kinds of events.
const (
	PhaseBegan Kind = "phase"     // Phase
	Progress   Kind = "progress"  // once a second while exchanging
	Sent       Kind = "sent"      // Message, To, Bytes
	Deferred   Kind = "deferred"  // Message, To: tried, waits for another call; Text says why
	Failed     Kind = "failed"    // Message, To: refused for good; Text says why
	Collected  Kind = "collected" // Box, Message, Bytes; Text says where it goes
	Discarded  Kind = "discarded" // Box, Bytes; Text says by which rule
	HeldBack   Kind = "held"      // Box, Bytes; Text is the ID it is held by
	BoxDone    Kind = "box"       // Box; Text sums up
	Problem    Kind = "problem"   // Text is a line for a person
	Alarm      Kind = "alarm"     // Text: the line may still be open
	Ended      Kind = "ended"     // Text sums up
)

// The phases of a call.
const (
	Dialling   = "dialling"
	Linking    = "linking"
	Exchanging = "exchanging"
	HangingUp  = "hanging up"
)

// Event is one step of a call. It holds no secret.
type Event struct {
	At    time.Time `json:"at"`
	Call  uint64    `json:"call"`
	Line  string    `json:"line"`
	Kind  Kind      `json:"kind"`
	Phase string    `json:"phase,omitempty"`
	Text  string    `json:"text,omitempty"`

	Message string `json:"message,omitempty"` // id in the queue
	To      string `json:"to,omitempty"`      // recipient
	Box     string `json:"box,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"` // size of the message, octets

	// Up and Down are the octets on the line so far, Metered the seconds since
	// it was answered, Cost what that costs, with its currency.
	Up      int64         `json:"up"`
	Down    int64         `json:"down"`
	Metered time.Duration `json:"metered_ns"`
	Cost    string        `json:"cost"`
}

// emit completes an event and tells it to everyone.
func (c *call) emit(e Event) {
	c.s.tell <- struct{}{}
	defer func() { <-c.s.tell }()
	e.At, e.Call, e.Line, e.Phase = time.Now(), c.row.ID, c.row.Line, c.phaseName()
	e.Up, e.Down = c.line().Counters()
	e.Metered = c.metered()
	price := c.price()
	e.Cost = price.Format(price.Charge(e.Metered).Amount)
	c.log(e)
	if c.s.opt.OnEvent != nil {
		c.s.opt.OnEvent(e)
	}
}

// log writes an event in the one grammar of the log: the kind, then the call
// and the line, then what the kind has.
//
//nolint:contextcheck // the log takes nothing from a context, and is written after the call's has ended too
func (c *call) log(e Event) {
	level := slog.LevelInfo
	switch e.Kind {
	case Progress:
		level = slog.LevelDebug
	case Problem, Failed, Deferred:
		level = slog.LevelWarn
	case Alarm:
		level = slog.LevelError
	case PhaseBegan, Sent, Collected, Discarded, HeldBack, BoxDone, Ended:
	}
	attrs := []slog.Attr{slog.Uint64("call", e.Call), slog.String("line", e.Line), slog.String("phase", e.Phase)}
	for _, a := range []struct{ key, value string }{{"message", e.Message}, {"to", e.To}, {"box", e.Box}, {"text", e.Text}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Bytes != 0 {
		attrs = append(attrs, slog.Int64("bytes", e.Bytes))
	}
	if e.Kind == Ended || e.Kind == Progress {
		attrs = append(attrs, slog.Int64("up", e.Up), slog.Int64("down", e.Down),
			slog.Duration("metered", e.Metered), slog.String("cost", e.Cost))
	}
	c.s.log.LogAttrs(context.Background(), level, string(e.Kind), attrs...)
}
