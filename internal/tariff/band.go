package tariff

import (
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Band is a price of its own for some hours of the week.
type Band struct {
	Hours Hours
	// PerMinute is the price of sixty seconds in these hours.
	PerMinute decimal.Decimal
}

// At gives the tariff in force at a moment: without bands, with the price of the first
// one whose hours have it. An operator charges a call by the moment it was
// answered, all of it.
func (t Tariff) At(when time.Time) Tariff {
	if len(t.Bands) == 0 {
		return t
	}
	if t.Zone != nil {
		when = when.In(t.Zone)
	}
	i := slices.IndexFunc(t.Bands, func(b Band) bool { return b.Hours.Contains(when) })
	return t.as(i)
}

// Cheapest gives the tariff of the hours with the lowest price a minute that is ever in
// force, and their band. The zero Band stands for the hours that are in none, which
// are taken where the price is the same.
func (t Tariff) Cheapest() (Tariff, Band) {
	var found []int
	for _, minute := range t.edges() {
		for day := range time.Weekday(7) {
			found = append(found, slices.IndexFunc(t.Bands, func(b Band) bool { return b.Hours.contains(day, minute) }))
		}
	}
	cheapest := slices.MinFunc(found, func(i, j int) int {
		if c := t.as(i).PerMinute.Cmp(t.as(j).PerMinute); c != 0 {
			return c
		}
		return i - j
	})
	if cheapest < 0 {
		return t.as(cheapest), Band{}
	}
	return t.as(cheapest), t.Bands[cheapest]
}

// edges are the minutes of a day at which the price may change.
func (t Tariff) edges() []int {
	edges := []int{0}
	for _, b := range t.Bands {
		edges = append(edges, b.Hours.from, b.Hours.to%dayMinutes)
	}
	return edges
}

// as is the tariff with one price: that of the band with this index, or, if it is
// negative, that of the hours without one.
func (t Tariff) as(band int) Tariff {
	if band >= 0 {
		t.PerMinute = t.Bands[band].PerMinute
	}
	t.Bands = nil
	return t
}

// describeBands names the other prices, in parentheses and with a space before.
func (t Tariff) describeBands() string {
	if len(t.Bands) == 0 {
		return ""
	}
	list := make([]string, 0, len(t.Bands))
	for _, b := range t.Bands {
		list = append(list, b.Hours.String()+" "+t.Format(b.PerMinute))
	}
	return " (" + strings.Join(list, ", ") + ")"
}
