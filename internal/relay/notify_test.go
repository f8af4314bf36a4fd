package relay

import (
	"slices"
	"strings"
	"testing"

	"outpost/internal/mailaddr"
)

// What the sender wants to be told goes to a server with DSN, in the right words, and not an octet of it to any other.
func TestDSN(t *testing.T) {
	for mode, offers := range modes {
		for _, offered := range []bool{true, false} {
			s := &smarthost{offers: slices.Clone(offers), answers: map[string]string{"RCPT TO:<c@x>": "550 no", `RCPT TO:<c@x> ORCPT=utf-8;j\x{FC}rgen@x`: "550 no"}}
			if offered {
				s.offers = append(s.offers, "DSN")
			}
			m := Message{
				From: "a@x", To: []string{"b@x", "c@x", "d@x", "e@x"}, Open: text("A: b\r\n\r\n"), EnvID: "QQ+1 x", Return: "HDRS",
				Notify: []string{"SUCCESS,FAILURE", "", "NEVER"}, Original: []string{"rfc822;b+1@far.example", "utf-8;jürgen@x"},
			}
			results, err := send(t, open(t, s, plain), m)
			if err != nil || verdicts(results) != "ok permanent ok ok" {
				t.Fatalf("%s: %+v, %v", mode, results, err)
			}
			for _, r := range results {
				if r.DSN != (offered && r.Err == nil) {
					t.Errorf("%s, DSN offered %t: %+v", mode, offered, r)
				}
			}
			want := []string{"MAIL FROM:<a@x> RET=HDRS ENVID=QQ+2B1+20x", "RCPT TO:<b@x> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2B1@far.example",
				`RCPT TO:<c@x> ORCPT=utf-8;j\x{FC}rgen@x`, "RCPT TO:<d@x> NOTIFY=NEVER", "RCPT TO:<e@x>"}
			if !offered {
				want = []string{"MAIL FROM:<a@x>", "RCPT TO:<b@x>", "RCPT TO:<c@x>", "RCPT TO:<d@x>", "RCPT TO:<e@x>"}
			}
			if got := envelopeOf(s); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", mode, got, want)
			}
		}
	}
}

// envelopeOf is what MAIL and RCPT were.
func envelopeOf(s *smarthost) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.commands), func(line string) bool {
		return !strings.HasPrefix(line, "MAIL") && !strings.HasPrefix(line, "RCPT")
	})
}

// Who asked for nothing pays for nothing.
func TestDSNUnasked(t *testing.T) {
	s := &smarthost{offers: append(slices.Clone(everything), "DSN")}
	m := letterTo("b@x", "c@x")
	m.Notify, m.Original = []string{"", ""}, []string{"", ""}
	if results, err := send(t, open(t, s, plain), m); err != nil || !results[1].DSN {
		t.Fatalf("%+v, %v", results, err)
	}
	if got := envelopeOf(s); !slices.Equal(got, []string{"MAIL FROM:<a@office.example>", "RCPT TO:<b@x>", "RCPT TO:<c@x>"}) {
		t.Errorf("%q", got)
	}
}

// What isn't well formed, or too long, doesn't make the server refuse the mail.
func TestDSNParameters(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"NEVER", ""}:                              " NOTIFY=NEVER",
		{"SUCCESS,DELAY", ""}:                      " NOTIFY=SUCCESS,DELAY",
		{"NEVER,DELAY", ""}:                        "",
		{"DELAY,DELAY", ""}:                        "",
		{"delay", ""}:                              "",
		{"DELAY,", ""}:                             "",
		{"DELAY\r\nDATA", ""}:                      "",
		{"", "rfc822;a@x"}:                         " ORCPT=rfc822;a@x",
		{"", "rfc822;a b=c"}:                       " ORCPT=rfc822;a+20b+3Dc",
		{"", "RFC822;ä@x"}:                         ` ORCPT=utf-8;\x{E4}@x`,
		{"", `utf-8;a\b@x`}:                        ` ORCPT=utf-8;a\x{5C}b@x`,
		{"", "rfc822;a\r\nDATA"}:                   "",
		{"", "rfc822"}:                             "",
		{"", "rfc822;"}:                            "",
		{"", ";a@x"}:                               "",
		{"", "rfc 822;a@x"}:                        "",
		{"", "rfc822;" + strings.Repeat("+", 164)}: " ORCPT=rfc822;" + strings.Repeat("+2B", 164),
		{"", "rfc822;" + strings.Repeat("+", 165)}: "",
		{"FAILURE", "x400;/C=de"}:                  " NOTIFY=FAILURE ORCPT=x400;/C+3Dde",
	} {
		m := Message{To: []string{"b@x"}, Notify: in[:1], Original: in[1:]}
		if got := m.dsnOfRecipient(0); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[[2]string]string{
		{"FULL", "x"}:                  " RET=FULL ENVID=x",
		{"full", "ä"}:                  "",
		{"HDRS ", "a\nb"}:              "",
		{"", strings.Repeat("x", 100)}: " ENVID=" + strings.Repeat("x", 100),
		{"", strings.Repeat("x", 101)}: "",
	} {
		m := Message{Return: in[0], EnvID: in[1]}
		if got := m.dsnOfMessage(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Whatever stands in the queue, the command is one line of ASCII without a blank too many.
func FuzzDSN(f *testing.F) {
	f.Add("QQ", "FULL", "NEVER", "rfc822;a@x")
	f.Add("\r\n", "FULL\r\n", "SUCCESS,,", "utf-8;\xffä")
	f.Fuzz(func(t *testing.T, id, ret, notify, original string) {
		m := Message{EnvID: id, Return: ret, Notify: []string{notify}, Original: []string{original}}
		for _, params := range []string{m.dsnOfMessage(), m.dsnOfRecipient(0)} {
			if len(params) > 600 {
				t.Errorf("%d octets", len(params))
			}
			for _, p := range strings.Split(params, " ")[1:] {
				name, value, found := strings.Cut(p, "=")
				if !found || name == "" || value == "" || strings.ContainsAny(value, "=\r\n\t") || !mailaddr.IsASCII(value) {
					t.Errorf("%q", params)
				}
			}
		}
	})
}
