package config

import (
	"fmt"

	"outpost/internal/tariff"
	"outpost/modem"

	"github.com/shopspring/decimal"
)

func (l Line) where(i int) string { return where("line", i, l.Name) }

func (c *Config) checkLines(f *Faults) {
	names := make(map[string]bool)
	for i, l := range c.Lines {
		where := l.where(i)
		oneOf(f, where+".kind", l.Kind, KindModem, KindPPPD, KindNet)
		l.checkKind(where, f)
		if names[l.Name] {
			f.add(where+".name", l.Name, "there is a line of that name already")
		}
		names[l.Name] = true
		if l.dials() {
			l.checkDialled(where, f)
		}
		if l.RateBPS < 0 || l.RoundTripMS < 0 {
			f.add(where+".rate_bps", "", "rate_bps and round_trip_ms must be 0 (not known) or more")
		}
		between(f, where+".boxes_at_once", l.Boxes, 0, 1000)
		between(f, where+".max_call_minutes", l.MaxCallMinutes, 1, maxMinutes)
		l.Tariff.check(where+".tariff", f)
	}
}

// checkDialled is for lines with a modem.
func (l Line) checkDialled(where string, f *Faults) {
	if err := modem.CheckPortName(l.Port); err != nil {
		f.add(where+".port", quote(l.Port), "%v", err)
	}
	oneOf(f, where+".flow_control", l.FlowControl, string(modem.RTSCTS), string(modem.XONXOFF), string(modem.NoFlow))
	positive(f, where+".baud", int64(l.Baud))
	l.checkDialogue(where, f)
}

func (t Tariff) check(where string, f *Faults) {
	amount(f, where+".set_up", t.SetUp)
	amount(f, where+".per_minute", t.PerMinute)
	for i, b := range t.Bands {
		at := fmt.Sprintf("%s.band %d", where, i+1)
		hours(f, at, b.Days, b.From, b.To)
		amount(f, at+".per_minute", b.PerMinute)
	}
	between(f, where+".unit_seconds", t.UnitSeconds, 1, maxSeconds)
	between(f, where+".minimum_seconds", t.MinimumSeconds, 0, maxSeconds)
	between(f, where+".decimals", t.Decimals, 1, 6)
}

func amount(f *Faults, where, text string) {
	if d, err := decimal.NewFromString(text); err != nil || d.IsNegative() {
		f.add(where, quote(text), "must be an amount in quotes, such as \"1.10\"")
	}
}

// hours wants a part of the week.
func hours(f *Faults, where, days, from, to string) {
	if _, err := tariff.ParseHours(days, from, to); err != nil {
		f.add(where, "", "%v", err)
	}
}
