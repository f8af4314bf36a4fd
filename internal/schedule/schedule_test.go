package schedule

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test needs a zone on machines without zone files
)

func at(t *testing.T, zone *time.Location, s string) time.Time {
	t.Helper()
	v, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext(t *testing.T) {
	zone := time.FixedZone("EAT", 3*3600)
	for _, c := range []struct {
		name      string
		exprs     []string
		now, want string // want "" is never
		why       string
	}{
		{"twice a day", []string{"0 6,18 * * *"}, "2026-03-02 07:00", "2026-03-02 18:00", "schedule 0 6,18 * * *"},
		{"over midnight", []string{"0 6 * * *"}, "2026-03-02 07:00", "2026-03-03 06:00", "schedule 0 6 * * *"},
		// The moment itself has passed: a call that just began is not due again.
		{"not twice in the same minute", []string{"0 6 * * *"}, "2026-03-02 06:00", "2026-03-03 06:00", "schedule 0 6 * * *"},
		{"the earliest wins", []string{"0 18 * * *", "30 12 * * 1-5"}, "2026-03-02 07:00", "2026-03-02 12:30", "schedule 30 12 * * 1-5"},
		{"weekdays only", []string{"30 12 * * 1-5"}, "2026-03-06 13:00", "2026-03-09 12:30", "schedule 30 12 * * 1-5"},
		{"a leap day", []string{"0 0 29 2 *"}, "2026-03-06 13:00", "2028-02-29 00:00", "schedule 0 0 29 2 *"},
		{"no expressions", nil, "2026-03-06 13:00", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.exprs, zone)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Next(at(t, zone, c.now))
			if c.want == "" {
				if !got.At.IsZero() {
					t.Fatalf("Next = %v, want never", got)
				}
				return
			}
			if want := at(t, zone, c.want); !got.At.Equal(want) || got.Why != c.why {
				t.Errorf("Next = %v %q, want %v %q", got.At, got.Why, want, c.why)
			}
		})
	}
}

// The hour that a clock skips in spring must not make the schedule spin or lose
// the calls after it.
func TestNextOverDaylightSaving(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse([]string{"30 2 * * *", "0 4 * * *"}, zone)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Next(at(t, zone, "2026-03-29 01:00"))
	if want := at(t, zone, "2026-03-29 04:00"); !got.At.Equal(want) {
		t.Errorf("Next = %v, want %v", got.At, want)
	}
}

func TestParseNamesEveryFault(t *testing.T) {
	_, err := Parse([]string{"0 6 * *", "61 * * * *", "0 6 * * *", "TZ=UTC", "CRON_TZ=Mars/Base 0 6 * * *", "@every 5m", "0 0 31 2 *"}, time.UTC)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`"0 6 * *"`, `"61 * * * *"`, `"TZ=UTC"`, `"CRON_TZ=Mars/Base`, `"@every 5m"`, `"0 0 31 2 *"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"0 6 * * *"`) {
		t.Errorf("error blames a good expression: %v", err)
	}
}

// A typo in a schedule must never stop the daemon.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 6 * * *", "TZ=", "@every 1h", "@hourly", "*/0 * * * *", "1-0 * * * *", "\x00", "0 0 31 2 *"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expr string) {
		s, err := Parse([]string{expr}, time.UTC)
		if err != nil {
			return
		}
		if due := s.Next(now); !due.At.IsZero() && !due.At.After(now) {
			t.Errorf("%q is due at %v, not after %v", expr, due.At, now)
		}
	})
}
