package modem

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"outpost/modem/modemtest"
)

func TestMask(t *testing.T) {
	m := newMask([]string{"", "geheim", "geheimnis", "42"})
	for text, want := range map[string]string{
		"password geheim.":          "password ***.",
		"geheimnisvoll":             "***voll", // the longer secret first
		"gehe\r\nim":                "***",
		"a ge\rhe\b\x00im b":        "a *** b",
		"geheim geh\neim":           "*** ***",
		"\ngehei\n42m":              "\ngehei\n***m",
		"nothing here":              "nothing here",
		"":                          "",
		"\r\n":                      "\r\n",
		"4\r2":                      "***",
		strings.Repeat("geheim", 3): "*********",
	} {
		if got := m.Replace(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

// Wherever an echo is torn, no piece of the secret shows.
func TestMaskPieces(t *testing.T) {
	const sent = `AT+CPIN="4321"`
	m := newMask([]string{"4321"})
	for i := 1; i < len(sent); i++ {
		for _, between := range []string{"", "+CREG: 0"} {
			pieces := m.pieces(sent[:i]+between, sent) + "\n" + m.pieces(sent[i:]+between, sent)
			for _, leak := range []string{"4", "3", "2", "1"} {
				if strings.Contains(pieces, leak) {
					t.Errorf("torn at %d with %q: %q shows", i, between, pieces)
				}
			}
		}
	}
	for _, line := range []string{"OK", "ERROR", "+CME ERROR: 16", "BUSY"} {
		if got := m.pieces(line, sent); got != line {
			t.Errorf("%q becomes %q", line, got)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add("the password is geheim", "geheim", `login geheim`)
	f.Add("gehe\r\nim", "geheim", "geheim")
	f.Add("**", "*", "*")
	f.Add("\x00", "\x00", "")
	f.Fuzz(func(t *testing.T, text, secret, sent string) {
		if len(text)+len(secret)+len(sent) > 2000 {
			return
		}
		m := newMask([]string{secret})
		got := m.Replace(text)
		if m.pieces(text, sent); strings.Trim(secret, "*") != "" && !strings.Contains(hidden, secret) &&
			strings.Contains(got, secret) && !strings.Contains(secret, "*") {
			t.Fatalf("%q without %q is %q", text, secret, got)
		}
	})
}

// The modem echoes and breaks its echo anywhere: the PIN is in neither transcript nor
// error, whole or in part.
func TestSecretsInEchoes(t *testing.T) {
	for _, at := range []int{0, 3, 9, 10, 11, 12, 13} {
		synctest.Test(t, func(t *testing.T) {
			opt := modemtest.GSM()
			opt.SIM.PIN, opt.EchoBreak, opt.Chop = "7683", at, 2
			opt.PowerUp, opt.ChopGap = "E1", 10*time.Millisecond
			p := Profile{Init: []Step{{Send: "ATE1"}}, Network: Network{SIM: true, PIN: "7685"}}
			r := newRig(t, opt, p)
			err := r.Init(t.Context())
			if err == nil {
				t.Fatal("a wrong PIN is taken")
			}
			for _, leak := range []string{"7685", "768", "685"} {
				if strings.Contains(r.Transcript()+err.Error(), leak) {
					t.Errorf("broken at %d: %s shows in\n%s", at, leak, r.Transcript())
				}
			}
			if !strings.Contains(r.Transcript(), "> AT+CPIN=\"***\"\n") {
				t.Errorf("the command is missing:\n%s", r.Transcript())
			}
		})
	}
}
