package relay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What goes together, by what the server offers.
func TestGroups(t *testing.T) {
	mail := func(i string) []string {
		return []string{"MAIL FROM:<m" + i + "@x>", "RCPT TO:<b" + i + "@x>", "RCPT TO:<c" + i + "@x>", "RCPT TO:<d" + i + "@x>"}
	}
	join := slices.Concat[[]string]
	for name, test := range map[string]struct {
		offers []string
		want   [][]string
	}{
		"CHUNKING": {[]string{"PIPELINING", "CHUNKING"}, [][]string{{"EHLO localhost"}, join(
			mail("0"), []string{"BDAT 8 LAST", "RSET"}, mail("1"), []string{"BDAT 8 LAST", "RSET"}, mail("2"), []string{"BDAT 8 LAST", "QUIT"})}},
		"PIPELINING": {[]string{"PIPELINING"}, [][]string{{"EHLO localhost"}, join(mail("0"), []string{"DATA"}),
			join([]string{".", "RSET"}, mail("1"), []string{"DATA"}), join([]string{".", "RSET"}, mail("2"), []string{"DATA"}), {".", "QUIT"}}},
		"neither": {[]string{"HELP"}, [][]string{{"EHLO localhost"},
			{mail("0")[0]}, {mail("0")[1]}, {mail("0")[2]}, {mail("0")[3]}, {"DATA"}, {"."},
			{mail("1")[0]}, {mail("1")[1]}, {mail("1")[2]}, {mail("1")[3]}, {"DATA"}, {"."},
			{mail("2")[0]}, {mail("2")[1]}, {mail("2")[2]}, {mail("2")[3]}, {"DATA"}, {"."}, {"QUIT"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &smarthost{offers: test.offers}
			all, err := drainAll(t.Context(), t, open(t, s, plain), letters(3)...)
			if err != nil || len(s.letters()) != 3 || verdicts(slices.Concat(all...)) != strings.Repeat("ok ", 8)+"ok" {
				t.Fatalf("%v, %v", all, err)
			}
			if all[0][0].Reply != "250 2.0.0 queued as 7" {
				t.Errorf("results are %+v", all[0])
			}
			if !slices.EqualFunc(s.writes, test.want, slices.Equal) {
				t.Errorf("came in groups %q", s.writes)
			}
			if l := s.letters()[1]; l.from != "m1@x" || !slices.Equal(l.to, []string{"b1@x", "c1@x", "d1@x"}) || l.body != "text 1\r\n" {
				t.Errorf("accepted %+v", l)
			}
		})
	}
}

// letters are n messages that are told apart by everything in them.
func letters(n int) []Message {
	var all []Message
	for i := range n {
		k := strconv.Itoa(i)
		all = append(all, Message{
			From: "m" + k + "@x", To: []string{"b" + k + "@x", "c" + k + "@x", "d" + k + "@x"}, Open: text("text " + k + "\r\n"),
		})
	}
	return all
}

// Every place at which a server can refuse, on each of several messages in flight and whatever it offers, and what each recipient is told.
func TestRefusals(t *testing.T) {
	const b, c, mail, data, content = "RCPT TO:<b@x>", "RCPT TO:<c@x>", "MAIL FROM:<m@x>", "DATA m@x", "content m@x"
	for name, test := range map[string]struct {
		answers map[string]string // of m@x, b@x and so on, for which the number is put in
		want    string
		chunks  string // with CHUNKING, if that differs
		reply   string // of the first
		lost    bool
	}{
		"none":              {want: "ok ok ok", reply: "250 2.0.0 queued as 7"},
		"sender":            {map[string]string{mail: "550 5.7.1 not you"}, "permanent permanent permanent", "", "550 5.7.1 not you", false},
		"sender for now":    {map[string]string{mail: "450 slow"}, "temporary temporary temporary", "", "450 slow", false},
		"one":               {map[string]string{b: "550 5.1.1 who"}, "permanent ok ok", "", "550 5.1.1 who", false},
		"one for now":       {map[string]string{c: "450-4.2.0 wait\r\n450 4.2.0 greylisted"}, "ok temporary ok", "", "250 2.0.0 queued as 7", false},
		"one each":          {map[string]string{b: "450 no", c: "550 no"}, "temporary permanent ok", "", "450 no", false},
		"mailbox full":      {map[string]string{c: "552 5.2.2 full"}, "ok permanent ok", "", "250 2.0.0 queued as 7", false},
		"all":               {map[string]string{"RCPT m@x": "550 nobody"}, "permanent permanent permanent", "", "550 nobody", false},
		"all, yet 354":      {map[string]string{"RCPT m@x": "550 nobody", data: "354 go"}, "permanent permanent permanent", "", "550 nobody", false},
		"DATA":              {map[string]string{data: "451 disk"}, "temporary temporary temporary", "ok ok ok", "451 disk", false},
		"DATA but one":      {map[string]string{b: "550 who", data: "451 disk"}, "permanent temporary temporary", "permanent ok ok", "550 who", false},
		"content":           {map[string]string{content: "554 5.6.0 spam"}, "permanent permanent permanent", "", "554 5.6.0 spam", false},
		"content for now":   {map[string]string{content: "451 virus scanner"}, "temporary temporary temporary", "", "451 virus scanner", false},
		"BDAT":              {map[string]string{"BDAT m@x": "451 disk"}, "ok ok ok", "temporary temporary temporary", "451 disk", false},
		"421 at MAIL":       {map[string]string{mail: "421 bye"}, "temporary temporary temporary", "", "421 bye", true},
		"421 for RCPT":      {map[string]string{b: "550 who", c: "421 bye"}, "permanent temporary temporary", "", "550 who", true},
		"421 for DATA":      {map[string]string{data: "421 bye"}, "temporary temporary temporary", "ok ok ok", "421 bye", true},
		"421 for content":   {map[string]string{content: "421 4.3.2 bye"}, "temporary temporary temporary", "", "421 4.3.2 bye", true},
		"hangs up at MAIL":  {map[string]string{mail: "HANGUP"}, "temporary temporary temporary", "temporary? temporary? temporary?", "smtp: MAIL: the server closed the connection: EOF", true},
		"hangs up at RCPT":  {map[string]string{b: "550 who", c: "HANGUP"}, "permanent temporary temporary", "permanent temporary? temporary?", "550 who", true},
		"hangs up, content": {map[string]string{b: "550 who", content: "HANGUP"}, "permanent temporary? temporary?", "", "550 who", true},
		"354 for RCPT": {map[string]string{c: "354 go"}, "temporary temporary temporary", "temporary? temporary? temporary?",
			"smtp: RCPT: the reply doesn't fit the command: 354 go", true},
		"babbles, content": {map[string]string{content: "399 well"}, "temporary? temporary? temporary?", "", "399 well", true},
		"codes that differ": {map[string]string{c: "250-a\r\n251 b"}, "temporary temporary temporary", "temporary? temporary? temporary?",
			"smtp: RCPT: the server does not speak SMTP: one reply has codes 250 and 251", true},
	} {
		for mode, offers := range modes {
			for _, place := range []int{0, 2, 4} {
				t.Run(fmt.Sprint(name, "/", mode, "/", place), func(t *testing.T) {
					s := &smarthost{offers: offers, answers: map[string]string{}}
					for line, answer := range test.answers {
						s.answers[strings.Replace(line, "@", fmt.Sprint(place, "@"), 1)] = answer
					}
					want, lost := test.want, test.lost
					if test.chunks != "" && slices.Contains(offers, "CHUNKING") && (mode == "CHUNKING" || !strings.Contains(test.chunks, "?")) {
						want = test.chunks
						lost = lost && !strings.Contains(want, "ok")
					}
					if place > 0 && strings.HasSuffix(name, " at MAIL") && !strings.Contains(want, "?") {
						want = "untried untried untried" // behind others it is the end of the connection, and not about the message
					}
					all, err := drainAll(t.Context(), t, open(t, s, plain), letters(5)...)
					if len(all) <= place || verdicts(all[place]) != want || (err != nil) != lost {
						t.Fatalf("results %+v, error %v", all, err)
					}
					if got := all[place][0].Reply; !strings.Contains(want, "ok") && got != test.reply && !strings.HasSuffix(test.reply, ": "+got) {
						t.Errorf("first reply %q", got)
					}
					s.check(t, all, place, lost)
				})
			}
		}
	}
}

// check holds what became of letters around the one at a place against what the server has.
func (s *smarthost) check(t *testing.T, all [][]Result, place int, lost bool) {
	t.Helper()
	said := map[string]Result{}
	for i, results := range all {
		for _, r := range results {
			said["m"+strconv.Itoa(i)+"@x "+r.To] = r
		}
		got := verdicts(results)
		switch {
		case i == place:
		case !lost || i < place:
			if got != "ok ok ok" {
				t.Errorf("message %d: %s", i, got)
			}
		case got != "untried untried untried" && got != "temporary? temporary? temporary?":
			t.Errorf("message %d behind the loss: %s", i, got)
		}
	}
	for _, l := range s.letters() {
		if k := l.from[1 : len(l.from)-2]; l.body != "text "+k+"\r\n" {
			t.Errorf("from %s came %q", l.from, l.body)
		}
		for _, to := range l.to {
			if r := said[l.from+" "+to]; r.Err != nil && !r.Doubtful {
				t.Errorf("from %s to %s was accepted: %+v", l.from, to, r)
			}
			delete(said, l.from+" "+to)
		}
	}
	for key, r := range said {
		if r.Err == nil {
			t.Errorf("%s was not accepted: %+v", key, r)
		}
	}
}

// RFC 2920 §3.1: everybody was refused, the server asks for content all the same, and gets a lone dot that counts for nothing.
func TestLoneDot(t *testing.T) {
	s := &smarthost{offers: everything, answers: map[string]string{"RCPT TO:<b@x.example>": "550 no", "DATA a@office.example": "354 go"}}
	first := letterTo("b@x.example")
	all, err := drainAll(t.Context(), t, open(t, s, plain), first, letters(1)[0])
	if err != nil || verdicts(slices.Concat(all...)) != "permanent ok ok ok" || len(s.letters()) != 1 {
		t.Fatalf("%v, %v, accepted %v", all, err, s.letters())
	}
}
