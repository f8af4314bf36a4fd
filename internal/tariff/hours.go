package tariff

import (
	"fmt"
	"strings"
	"time"
)

const dayMinutes = 24 * 60

// weekdays are the names of the days as ParseHours takes them, by time.Weekday.
var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Hours is a part of each week: some days, from one time of day to another, by the
// clock on the wall. So an hour that a change of the clock leaves out is left out, and
// one that it repeats counts both times. The zero value is no time at all.
type Hours struct {
	text     string
	days     [7]bool // on which it begins, by time.Weekday
	from, to int     // minutes after midnight; to is less than from where midnight lies between
}

// ParseHours reads days such as "mon-fri" or "sat,sun" ("" is every day) and two times
// of day, "HH:MM" ("24:00" may end a day). Hours that end earlier than they begin go
// over midnight, and belong to the day on which they begin.
func ParseHours(days, from, to string) (Hours, error) {
	var h Hours
	var err error
	if h.days, err = parseDays(days); err != nil {
		return Hours{}, err
	}
	if h.from, err = parseClock(from); err != nil {
		return Hours{}, err
	}
	if h.to, err = parseClock(to); err != nil {
		return Hours{}, err
	}
	if h.from == h.to || h.from == dayMinutes {
		return Hours{}, fmt.Errorf("from %s to %s is no time at all; a whole day is 00:00 to 24:00", from, to)
	}
	h.text = strings.TrimSpace(strings.ToLower(strings.Join(strings.Fields(days), "")) + " " + from + "-" + to)
	return h, nil
}

// Contains says whether at, by its own zone's clock, lies within the hours. They begin
// with the first moment of from and end before the first of to.
func (h Hours) Contains(at time.Time) bool {
	hour, minute, _ := at.Clock()
	return h.contains(at.Weekday(), hour*60+minute)
}

func (h Hours) contains(day time.Weekday, minute int) bool {
	if h.from < h.to {
		return h.days[day] && h.from <= minute && minute < h.to
	}
	before := (day + 6) % 7
	return h.days[day] && minute >= h.from || h.days[before] && minute < h.to
}

// String is the hours as a person would write them, such as "mon-fri 18:00-08:00".
func (h Hours) String() string { return h.text }

func parseDays(text string) (days [7]bool, err error) {
	if strings.TrimSpace(text) == "" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		d, ok := weekday(first)
		end, alsoOK := weekday(last)
		if !ok || !alsoOK {
			return days, fmt.Errorf("%q is not a day or a range of days, such as mon-fri or sat,sun", strings.TrimSpace(part))
		}
		for days[d] = true; d != end; days[d] = true {
			d = (d + 1) % 7
		}
	}
	return days, nil
}

func weekday(name string) (int, bool) {
	for d, known := range weekdays {
		if strings.EqualFold(strings.TrimSpace(name), known) {
			return d, true
		}
	}
	return 0, false
}

func parseClock(text string) (int, error) {
	if text == "24:00" {
		return dayMinutes, nil
	}
	at, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, fmt.Errorf("%q is not a time of day, such as 08:00", text)
	}
	return at.Hour()*60 + at.Minute(), nil
}
