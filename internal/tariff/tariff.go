// Package tariff says what a call costs.
//
// It is pure: it takes how long a carrier was up and gives what the operator
// will charge; where the price depends on the hour, At gives the one in force.
// Money is exact decimal text at the edges and never a float in between. An operator counts from CONNECT to hang-up, rounds up to its
// billing unit, applies a minimum, and adds a set-up fee to every call that was
// answered; a call that never connected costs nothing.
//
// The package does not know the clock, the budget or the schedule.
package tariff

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Tariff is what one line costs. The zero value is a line that costs nothing,
// metered by the second.
type Tariff struct {
	// Currency is the text shown after an amount, such as "USD". It is not
	// interpreted.
	Currency string
	// SetUp is charged once for every call that was answered.
	SetUp decimal.Decimal
	// PerMinute is the price of sixty seconds. A billing unit costs its share
	// of it; rounding to Decimals comes only at the end.
	PerMinute decimal.Decimal
	// Bands are the hours with another PerMinute: the first whose hours have the
	// moment counts, see At. Charge and what else takes a duration knows no clock and
	// goes by PerMinute.
	Bands []Band
	// Zone is where the bands' clock hangs; nil: the zone of the time asked about.
	Zone *time.Location
	// Unit is the billing unit: the seconds that are charged at once. Zero
	// means one second.
	Unit time.Duration
	// Minimum is the shortest time that is charged once a call was answered.
	// It is rounded up to whole units like any other time.
	Minimum time.Duration
	// Decimals is the number of places an amount is rounded to, half up. Zero
	// means two.
	Decimals int32
}

// Charge is what one call costs.
type Charge struct {
	// Units is the number of billing units that were begun.
	Units int64
	// Billed is Units in time.
	Billed time.Duration
	// Amount is the price, rounded to the tariff's decimals.
	Amount decimal.Decimal
}

// Charge gives the price of a call whose carrier was up for connected. A
// duration of zero or less is a call that was not answered: it is free.
func (t Tariff) Charge(connected time.Duration) Charge {
	if connected <= 0 {
		return Charge{Amount: decimal.Zero}
	}
	unit := t.unit()
	units := ceil(max(connected, t.Minimum), unit)
	billed := time.Duration(units) * unit
	price := t.PerMinute.Mul(decimal.NewFromInt(billed.Milliseconds())).
		DivRound(decimal.NewFromInt(time.Minute.Milliseconds()), 12)
	return Charge{Units: units, Billed: billed, Amount: t.round(t.SetUp.Add(price))}
}

// Left gives how much of the unit that is being paid for has not been used
// after connected. It is never negative and less than one unit.
func (t Tariff) Left(connected time.Duration) time.Duration {
	return t.Charge(connected).Billed - max(connected, 0)
}

// Text writes an amount with the tariff's decimals, as it is stored.
func (t Tariff) Text(amount decimal.Decimal) string { return amount.StringFixed(t.decimals()) }

// Format writes an amount with the tariff's decimals and currency.
func (t Tariff) Format(amount decimal.Decimal) string {
	return strings.TrimSpace(t.Text(amount) + " " + t.Currency)
}

// Describe says the tariff in one line for a person.
func (t Tariff) Describe() string {
	if t.PerMinute.IsZero() && t.SetUp.IsZero() && len(t.Bands) == 0 {
		return "free of charge"
	}
	s := fmt.Sprintf("%s a minute%s, charged by the started %s", t.Format(t.PerMinute), t.describeBands(), strings.TrimPrefix(plain(t.unit()), "1 "))
	if t.SetUp.IsPositive() {
		s += ", " + t.Format(t.SetUp) + " a call"
	}
	if t.Minimum > 0 {
		s += ", at least " + plain(t.Minimum)
	}
	return s
}

// plain is a time in words: minutes where they are whole.
func plain(d time.Duration) string {
	n, unit := int64(d/time.Second), "second"
	if d%time.Minute == 0 {
		n, unit = int64(d/time.Minute), "minute"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func (t Tariff) unit() time.Duration {
	if t.Unit <= 0 {
		return time.Second
	}
	return t.Unit
}

func (t Tariff) decimals() int32 {
	if t.Decimals <= 0 {
		return 2
	}
	return t.Decimals
}

// round rounds half up, as a bill does.
func (t Tariff) round(d decimal.Decimal) decimal.Decimal { return d.Round(t.decimals()) }

func ceil(d, unit time.Duration) int64 {
	n := int64(d / unit)
	if d%unit != 0 {
		n++
	}
	return n
}
