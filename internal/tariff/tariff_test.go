package tariff

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func money(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func TestCharge(t *testing.T) {
	iridium := Tariff{Currency: "USD", PerMinute: money("1.10"), Unit: 20 * time.Second}
	gsm := Tariff{Currency: "EUR", SetUp: money("0.15"), PerMinute: money("0.25"), Unit: time.Minute, Minimum: time.Minute}
	second := Tariff{PerMinute: money("0.059"), Decimals: 4}
	for _, c := range []struct {
		name      string
		tariff    Tariff
		connected time.Duration
		units     int64
		amount    string
	}{
		// A call that was never answered is free, set-up fee included.
		{"not answered", gsm, 0, 0, "0"},
		{"clock went back", gsm, -time.Second, 0, "0"},
		// The unit is charged when it begins, and a full one is not two.
		{"first moment", iridium, time.Millisecond, 1, "0.37"},
		{"exactly one unit", iridium, 20 * time.Second, 1, "0.37"},
		{"one over", iridium, 20*time.Second + 1, 2, "0.73"},
		// Rounding comes at the end: three thirds are the whole.
		{"one minute", iridium, time.Minute, 3, "1.10"},
		{"set-up fee and minimum", gsm, 3 * time.Second, 1, "0.40"},
		{"second minute", gsm, 61 * time.Second, 2, "0.65"},
		{"by the second", second, 90500 * time.Millisecond, 91, "0.0895"},
		{"free line", Tariff{}, time.Hour, 3600, "0.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.tariff.Charge(c.connected)
			if got.Units != c.units || !got.Amount.Equal(money(c.amount)) {
				t.Errorf("Charge(%v) = %d units, %s; want %d, %s", c.connected, got.Units, got.Amount, c.units, c.amount)
			}
		})
	}
}

// A minimum that is not a whole number of units is rounded up like any time.
func TestMinimumIsRoundedUp(t *testing.T) {
	tariff := Tariff{PerMinute: money("1"), Unit: 20 * time.Second, Minimum: 30 * time.Second}
	if got := tariff.Charge(time.Second); got.Billed != 40*time.Second {
		t.Errorf("billed %v, want 40s", got.Billed)
	}
}

func TestLeft(t *testing.T) {
	tariff := Tariff{Unit: 20 * time.Second}
	for connected, want := range map[time.Duration]time.Duration{
		0:                0,
		time.Second:      19 * time.Second,
		20 * time.Second: 0,
		21 * time.Second: 19 * time.Second,
	} {
		if got := tariff.Left(connected); got != want {
			t.Errorf("Left(%v) = %v, want %v", connected, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	tariff := Tariff{Currency: "EUR", SetUp: money("0.1"), PerMinute: money("0.25"), Unit: time.Minute, Minimum: time.Minute}
	if got, want := tariff.Describe(), "0.25 EUR a minute, charged by the started minute, 0.10 EUR a call, at least 1 minute"; got != want {
		t.Errorf("Describe() = %q, want %q", got, want)
	}
	if got := (Tariff{}).Format(money("3")); got != "3.00" {
		t.Errorf("Format without a currency = %q", got)
	}
}
