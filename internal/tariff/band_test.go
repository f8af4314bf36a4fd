package tariff

import (
	"strings"
	"testing"
	"time"
)

func hours(t *testing.T, days, from, to string) Hours {
	t.Helper()
	h, err := ParseHours(days, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// at is a moment of the week of Monday, 5 January 2026.
func at(t *testing.T, zone *time.Location, text string) time.Time {
	t.Helper()
	when, err := time.ParseInLocation("2006-01-02 15:04:05", text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestHours(t *testing.T) {
	for _, c := range []struct {
		days, from, to string
		in, out        []string
	}{
		// Days alone and in ranges, one of which goes past Sunday.
		{"mon-fri", "08:00", "18:00", []string{"2026-01-05 08:00:00", "2026-01-09 17:59:59"}, []string{"2026-01-05 07:59:59", "2026-01-09 18:00:00", "2026-01-10 12:00:00"}},
		{"sat, sun", "00:00", "24:00", []string{"2026-01-10 00:00:00", "2026-01-11 23:59:59"}, []string{"2026-01-09 23:59:59", "2026-01-12 00:00:00"}},
		{"Sat-Mon", "12:00", "13:00", []string{"2026-01-10 12:30:00", "2026-01-11 12:30:00", "2026-01-12 12:30:00"}, []string{"2026-01-13 12:30:00"}},
		{"", "12:00", "13:00", []string{"2026-01-07 12:00:00"}, []string{"2026-01-07 13:00:00"}},
		// Past midnight they belong to the day they begin on: Saturday's early hours are
		// Friday's, Monday's are not Sunday's.
		{"mon-fri", "18:00", "08:00", []string{"2026-01-05 18:00:00", "2026-01-06 07:59:59", "2026-01-09 23:00:00", "2026-01-10 07:00:00"}, []string{"2026-01-05 07:00:00", "2026-01-06 08:00:00", "2026-01-10 18:00:00"}},
		{"mon", "22:00", "00:00", []string{"2026-01-05 23:59:59"}, []string{"2026-01-06 00:00:00", "2026-01-05 00:00:00"}},
	} {
		h := hours(t, c.days, c.from, c.to)
		for _, text := range c.in {
			if !h.Contains(at(t, time.UTC, text)) {
				t.Errorf("%v does not contain %s", h, text)
			}
		}
		for _, text := range c.out {
			if h.Contains(at(t, time.UTC, text)) {
				t.Errorf("%v contains %s", h, text)
			}
		}
	}
	for _, bad := range [][3]string{
		{"monday", "08:00", "18:00"}, {"mon-", "08:00", "18:00"}, {",", "08:00", "18:00"}, {"", "8:00", "18:00"}, {"", "08:00", "24:01"},
		{"", "08:00", "08:00"}, {"", "24:00", "08:00"}, {"", "24:00", "24:00"}, {"", "", ""}, {"", "08:60", "09:00"},
	} {
		if h, err := ParseHours(bad[0], bad[1], bad[2]); err == nil || h.Contains(time.Now()) || h.String() != "" {
			t.Errorf("%q is %v, %v", bad, h, err)
		}
	}
	if (Hours{}).Contains(at(t, time.UTC, "2026-01-05 00:00:00")) {
		t.Error("the zero hours contain something")
	}
}

func banded(t *testing.T, zone *time.Location) Tariff {
	return Tariff{
		Currency: "EUR", PerMinute: money("0.60"), Unit: time.Minute, Zone: zone,
		Bands: []Band{
			{hours(t, "sat,sun", "00:00", "24:00"), money("0.20")},
			{hours(t, "", "18:00", "08:00"), money("0.30")},
		},
	}
}

func TestAt(t *testing.T) {
	nairobi, err := time.LoadLocation("Africa/Nairobi") // UTC+3 all year
	if err != nil {
		t.Fatal(err)
	}
	tariff := banded(t, nairobi)
	for text, want := range map[string]string{
		"2026-01-05 12:00:00": "0.60",
		"2026-01-05 17:59:59": "0.60",
		"2026-01-05 18:00:00": "0.30",
		"2026-01-06 07:59:59": "0.30",
		"2026-01-06 08:00:00": "0.60",
		// The first band that has the moment counts.
		"2026-01-10 20:00:00": "0.20",
		"2026-01-12 00:00:00": "0.30",
	} {
		for _, zone := range []*time.Location{nairobi, time.UTC} {
			got := tariff.At(at(t, nairobi, text).In(zone))
			if got.Charge(time.Second).Amount.StringFixed(2) != want || got.Bands != nil || got.Currency != "EUR" {
				t.Errorf("at %s, told in %v: %+v, want %s", text, zone, got, want)
			}
		}
	}
	// Without a zone the clock is that of the moment.
	tariff.Zone = nil
	if got := tariff.At(at(t, time.UTC, "2026-01-05 18:00:00")); !got.PerMinute.Equal(money("0.30")) {
		t.Errorf("without a zone: %s", got.PerMinute)
	}
	if got := (Tariff{PerMinute: money("1")}).At(time.Time{}); !got.PerMinute.Equal(money("1")) {
		t.Errorf("without bands: %s", got.PerMinute)
	}
}

// The clock on the wall counts: in the night it is put forward two o'clock is left out,
// and in the one it is put back an hour has the same price twice.
func TestSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tariff := Tariff{PerMinute: money("0.60"), Zone: berlin, Bands: []Band{{hours(t, "sun", "02:00", "03:00"), money("0.10")}}}
	for _, c := range []struct{ utc, want string }{
		// 29 March 2026: 01:59:59 is followed by 03:00:00.
		{"2026-03-29 00:59:59", "0.60"},
		{"2026-03-29 01:00:00", "0.60"},
		// 25 October 2026: 02:59:59 is followed by 02:00:00.
		{"2026-10-24 23:59:59", "0.60"},
		{"2026-10-25 00:00:00", "0.10"},
		{"2026-10-25 01:59:59", "0.10"},
		{"2026-10-25 02:00:00", "0.60"},
	} {
		if got := tariff.At(at(t, time.UTC, c.utc)); !got.PerMinute.Equal(money(c.want)) {
			t.Errorf("at %s UTC: %s, want %s", c.utc, got.PerMinute, c.want)
		}
	}
}

func TestCheapest(t *testing.T) {
	week := hours(t, "", "00:00", "24:00")
	night, day := hours(t, "", "18:00", "08:00"), hours(t, "", "08:00", "18:00")
	for _, c := range []struct {
		name  string
		bands []Band
		price string
		band  string
	}{
		{"no bands", nil, "0.60", ""},
		{"a cheap one", []Band{{night, money("0.30")}}, "0.30", "18:00-08:00"},
		{"a dear one", []Band{{day, money("0.90")}}, "0.60", ""},
		// What is never in force is no price.
		{"the week is covered", []Band{{night, money("0.90")}, {day, money("0.80")}}, "0.80", "08:00-18:00"},
		{"one hides another", []Band{{week, money("0.70")}, {night, money("0.10")}}, "0.70", "00:00-24:00"},
		{"a free hour", []Band{{hours(t, "wed", "23:00", "01:00"), money("0")}}, "0", "wed 23:00-01:00"},
		{"the same price", []Band{{night, money("0.60")}}, "0.60", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cheap, band := Tariff{Currency: "EUR", PerMinute: money("0.60"), Bands: c.bands}.Cheapest()
			if !cheap.PerMinute.Equal(money(c.price)) || band.Hours.String() != c.band || cheap.Bands != nil || cheap.Currency != "EUR" {
				t.Errorf("%+v in %q, want %s in %q", cheap, band.Hours, c.price, c.band)
			}
		})
	}
}

func TestDescribeNamesBands(t *testing.T) {
	want := "0.60 EUR a minute (sat,sun 00:00-24:00 0.20 EUR, 18:00-08:00 0.30 EUR), charged by the started minute"
	if got := banded(t, nil).Describe(); got != want {
		t.Errorf("Describe() = %q, want %q", got, want)
	}
}

func FuzzParseHours(f *testing.F) {
	f.Add("mon-fri, sun", "18:00", "08:00")
	f.Add("", "00:00", "24:00")
	f.Fuzz(func(t *testing.T, days, from, to string) {
		h, err := ParseHours(days, from, to)
		if err != nil {
			return
		}
		var in int
		for minute := range 7 * dayMinutes {
			if h.contains(time.Weekday(minute/dayMinutes), minute%dayMinutes) {
				in++
			}
		}
		if in == 0 {
			t.Errorf("%v has no minute", h)
		}
		// What it is written as means the same.
		text := h.String()
		i := strings.LastIndexByte(text, ' ')
		clock := text[i+1:]
		again, err := ParseHours(text[:max(i, 0)], clock[:5], clock[6:])
		if err != nil || again != h {
			t.Errorf("%q became %v, %v", text, again, err)
		}
	})
}
