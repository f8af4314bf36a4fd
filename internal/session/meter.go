package session

import (
	"time"

	"outpost/internal/tariff"
	"outpost/queue"
)

// mark is where the meter stood at some moment.
type mark struct {
	at       time.Time
	up, down int64
}

// metered is how long the line has been up so far, or was.
func (c *call) metered() time.Duration {
	connected := c.line().Connected()
	if connected.IsZero() {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended.IsZero() {
		return c.ended.Sub(connected)
	}
	return time.Since(connected)
}

// stopMeter notes when the line was down, or given up. The first time counts.
func (c *call) stopMeter() { c.stopMeterAt(time.Now()) }

func (c *call) stopMeterAt(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended.IsZero() || at.Before(c.ended) {
		c.ended = at
	}
}

// price is the line's tariff as it was when the call was answered: that of the whole
// call. Before, a call costs nothing by any of them.
func (c *call) price() tariff.Tariff { return c.route.Tariff.At(c.line().Connected()) }

// phaseName is the phase the call is in; "" before the first and after the last.
func (c *call) phaseName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase
}

// beginPhase ends the phase before and begins the next.
func (c *call) beginPhase(name string) {
	c.endPhase()
	up, down := c.line().Counters()
	c.mu.Lock()
	c.phase, c.phaseAt = name, mark{time.Now(), up, down}
	c.mu.Unlock()
	c.emit(Event{Kind: PhaseBegan})
}

func (c *call) endPhase() {
	up, down := c.line().Counters()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == "" {
		return
	}
	from := c.phaseAt
	c.row.Phases = append(c.row.Phases, queue.Phase{
		Name: c.phase, Begun: from.at, Duration: time.Since(from.at),
		Up: up - from.up, Down: down - from.down, Cost: c.phaseCost(c.phase, from.at),
	})
	c.phase = ""
}

// phaseCost is what the meter rose by in a phase that began at from. A billing
// unit counts for the phase that began it; the first begins with the answer, so
// dialling is free and linking bears the set-up fee.
func (c *call) phaseCost(name string, from time.Time) string {
	t := c.price()
	connected := c.line().Connected()
	if connected.IsZero() || name == Dialling {
		return t.Text(t.Charge(0).Amount)
	}
	var before time.Duration
	if name != Linking {
		before = from.Sub(connected)
	}
	return t.Text(t.Charge(time.Since(connected)).Amount.Sub(t.Charge(before).Amount))
}
