// Package schedule says when the next call is due, and why.
//
// It is pure: it holds no timer and reads no clock. The owner asks Next with
// the present time and waits by itself. A schedule is a list of cron
// expressions (five fields: minute, hour, day of month, month, day of week) in
// one time zone; the earliest of them wins. "Connect now" is not a schedule:
// it is a request to the one who waits.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is a list of cron expressions. The zero value never calls.
type Schedule struct {
	entries []entry
	zone    *time.Location
}

type entry struct {
	expr string
	cron cron.Schedule
}

// Due is a moment at which a call is due. The zero value is never.
type Due struct {
	At time.Time
	// Why is the reason in words a person wrote: the cron expression.
	Why string
}

// Parse reads the expressions, to be understood in zone (nil: time.Local). All
// faults are returned at once, joined.
func Parse(exprs []string, zone *time.Location) (*Schedule, error) {
	if zone == nil {
		zone = time.Local
	}
	s := &Schedule{zone: zone}
	var faults []error
	for _, expr := range exprs {
		c, err := parse(expr)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		s.entries = append(s.entries, entry{expr: expr, cron: c})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

// parse guards the library: a zone prefix without an expression makes its
// parser panic, and a zone of one expression would contradict the schedule's.
func parse(expr string) (cron.Schedule, error) {
	e := strings.TrimSpace(expr)
	if strings.HasPrefix(e, "TZ=") || strings.HasPrefix(e, "CRON_TZ=") {
		return nil, fmt.Errorf("schedule %q: a time zone belongs in time_zone, not in the expression", expr)
	}
	c, err := cron.ParseStandard(e)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w (five fields: minute hour day month weekday, such as \"0 6,18 * * 1-5\")", expr, err)
	}
	if strings.HasPrefix(e, "@every") {
		return nil, fmt.Errorf("schedule %q: times are by the clock; for every ten minutes write \"*/10 * * * *\"", expr)
	}
	if c.Next(leapYear).IsZero() {
		return nil, fmt.Errorf("schedule %q: this date never comes", expr)
	}
	return c, nil
}

// leapYear begins a year that has every date there is.
var leapYear = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// Next gives the first moment after now at which a call is due. It is the zero
// Due when the schedule is empty.
func (s *Schedule) Next(now time.Time) Due {
	var first Due
	if s == nil || s.zone == nil {
		return first
	}
	for _, e := range s.entries {
		at := e.cron.Next(now.In(s.zone))
		if at.IsZero() || !first.At.IsZero() && !at.Before(first.At) {
			continue
		}
		first = Due{At: at, Why: "schedule " + e.expr}
	}
	return first
}
