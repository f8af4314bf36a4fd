package modem

import (
	"strings"
	"testing"
	"time"
)

func TestParseResult(t *testing.T) {
	for _, c := range []struct {
		line   string
		want   Result
		detail string
	}{
		{"OK", OK, ""},
		{" ok\t", OK, ""},
		{"NO CARRIER", NoCarrier, ""},
		{"ERROR", Error, ""},
		{"BUSY", Busy, ""},
		{"NO ANSWER", NoAnswer, ""},
		{"NO DIALTONE", NoDialTone, ""},
		{"NO DIAL TONE", NoDialTone, ""},
		{"RINGING", Ringing, ""},
		{"RRING", Ringing, ""},
		{"VOICE", Voice, ""},

		// With a detail.
		{"CONNECT", Connect, ""},
		{"CONNECT 9600", Connect, "9600"},
		{"Connect 33600/ARQ/V34/LAPM/V42BIS", Connect, "33600/ARQ/V34/LAPM/V42BIS"},
		{"CONNECT/ARQ", Connect, "ARQ"},
		{"RING", Ring, ""},
		{"RING 1", Ring, "1"},
		{"DELAYED", Delayed, ""},
		{"DELAYED 00:05:00", Delayed, "00:05:00"},
		{"BLACKLISTED", Blacklisted, ""},
		{"BLACKLIST FULL", Blacklisted, "FULL"},
		{"+CME ERROR: 30", EquipmentError, "30"},
		{"+CME ERROR: SIM not inserted", EquipmentError, "SIM not inserted"},
		{"+CMS ERROR: 500", EquipmentError, "500"},

		// V0.
		{"0", OK, ""}, {"1", Connect, ""}, {"2", Ring, ""}, {"3", NoCarrier, ""}, {"4", Error, ""}, {"5", Connect, "1200"},
		{"6", NoDialTone, ""}, {"7", Busy, ""}, {"8", NoAnswer, ""}, {"10", Connect, "2400"},
		{"11", None, ""}, {"24", None, ""}, {"00", None, ""},

		// Nothing of the kind.
		{"", None, ""}, {"OKAY", None, ""}, {"CONNECTED TO HOST", None, ""}, {"+CREG: 1", None, ""},
		{"NO CARRIER LOST", None, ""}, {"ATDT5551234", None, ""}, {"CONNECTſ", None, ""},
	} {
		if r, detail := ParseResult(c.line); r != c.want || detail != c.detail {
			t.Errorf("ParseResult(%q) = %v %q, want %v %q", c.line, r, detail, c.want, c.detail)
		}
	}
}

func TestConnectRate(t *testing.T) {
	for detail, want := range map[string]int{
		"": 0, "9600": 9600, "33600/ARQ/V34": 33600, "115200 V42BIS": 115200, "ARQ/V34": 0, "V42bis 14400": 14400, "-5": 0,
	} {
		if got := connectRate(detail); got != want {
			t.Errorf("connectRate(%q) = %d, want %d", detail, got, want)
		}
	}
}

func TestDelay(t *testing.T) {
	for detail, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Minute, "05:30": 330 * time.Second, "01:00:05": time.Hour + 5*time.Second,
		"soon": 0, "-1": 0, "1:2:3:4": 0, "99999999999": 0,
	} {
		if got := delay(detail); got != want {
			t.Errorf("delay(%q) = %v, want %v", detail, got, want)
		}
	}
}

func FuzzParseResult(f *testing.F) {
	for _, s := range []string{
		"OK", "CONNECT 33600/ARQ", "+CME ERROR: 10", "DELAYED 00:05", "0", "10", " RING ", "NO DIAL TONE", "\x00\xff", "connectſ 1", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, detail := ParseResult(line)
		if r.String() == "" || strings.HasPrefix(r.String(), "Result(") || r == Timeout {
			t.Fatalf("ParseResult(%q) = %v", line, r)
		}
		if detail != "" && !isNumber(strings.TrimSpace(line)) && !strings.Contains(line, detail) {
			t.Fatalf("ParseResult(%q): detail %q is not of the line", line, detail)
		}
		if again, _ := ParseResult("  " + line + " "); again != r {
			t.Fatalf("%q is %v, with blanks around %v", line, r, again)
		}
		if connectRate(detail) < 0 || delay(detail) < 0 {
			t.Fatalf("%q: negative", line)
		}
		_ = dialFailure(r, line, detail).Error()
	})
}
