package pop3

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trip is a round trip of the test's line.
const trip = 1200 * time.Millisecond

var far = lane{limit: -1, delay: trip / 2}

// How many round trips a box takes, connected. The first half of one is the greeting's where it is waited for.
func TestRoundTrips(t *testing.T) {
	sasl := "+OK\r\nUSER\r\nUIDL\r\nSASL PLAIN\r\n."
	for name, test := range map[string]struct {
		capa  string
		known bool
		mode  TLSMode
		mails int
		set   func(*Options)
		want  float64
	}{
		"known":                  {pipelined, true, TLSNone, 100, nil, 3},
		"known, one message":     {pipelined, true, TLSNone, 1, nil, 3},
		"known, nothing there":   {pipelined, true, TLSNone, 0, nil, 2},
		"speculating":            {pipelined, true, TLSNone, 1, func(o *Options) { o.Speculate = true }, 2},
		"speculating, two":       {pipelined, true, TLSNone, 2, func(o *Options) { o.Speculate = true }, 3},
		"speculating in vain":    {pipelined, true, TLSNone, 0, func(o *Options) { o.Speculate = true }, 2},
		"implicit TLS":           {pipelined, true, TLSImplicit, 100, nil, 1 + 3},
		"STLS":                   {pipelined, true, TLSStart, 100, nil, 1 + 1 + 3},
		"PLAIN":                  {pipelined, true, TLSNone, 100, func(o *Options) { o.Mechanism = MechanismPlain }, 3},
		"APOP":                   {pipelined, true, TLSNone, 100, func(o *Options) { o.Mechanism = MechanismAPOP }, 0.5 + 3},
		"unknown":                {pipelined, false, TLSNone, 100, nil, 0.5 + 1 + 3},
		"unknown, implicit TLS":  {pipelined, false, TLSImplicit, 100, nil, 1 + 1 + 1 + 3},
		"one by one":             {"", false, TLSNone, 10, nil, 0.5 + 1 + 4 + 2*10 + 1},
		"one by one, known":      {"", true, TLSNone, 10, nil, 0.5 + 4 + 2*10 + 1},
		"one by one, SASL known": {sasl, true, TLSNone, 10, nil, 0.5 + 3 + 2*10 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, a := &maildrop{capa: test.capa, mails: many(test.mails)}, newArchive()
				d.answers = map[string]string{"greeting": "+OK ready <1896.697170952@dbc.mtview.ca.us>"}
				opt := plain
				if test.mode != TLSNone {
					opt = trusting(t, d, test.mode)
				}
				if test.known {
					opt.Known = &Known{At: time.Now(), Capabilities: strings.Split(test.capa, "\r\n")}
				}
				if test.set != nil {
					test.set(&opt)
				}
				begun := time.Now()
				_, report, err := d.session(t.Context(), opt, a, far, far)
				if err != nil || report.Collected != test.mails || report.Deleted != test.mails {
					t.Fatalf("%+v, %v", report, err)
				}
				if took := float64(time.Since(begun)) / float64(trip); took != test.want {
					t.Errorf("%v round trips, want %v: %q", took, test.want, d.commands)
				}
			})
		})
	}
}

// many is a box of n messages of different sizes, the largest first.
func many(n int) []mail {
	mails := make([]mail, n)
	for i := range mails {
		mails[i] = mail{fmt.Sprint("u", i), fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", n-i))}
	}
	return mails
}

// What can leave together does: a packet each is what a thin line pays for.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := &maildrop{mails: many(3)}, newArchive()
		a.seen["u1"] = Seen{At: time.Now()}
		c, _, err := d.session(t.Context(), acquainted(plain), a, uncut, uncut)
		want := []string{
			"USER office\r\nPASS secret\r\nLIST\r\nUIDL\r\n", "RETR 3\r\nRETR 1\r\n", "DELE 2\r\nDELE 3\r\nDELE 1\r\nQUIT\r\n",
		}
		if err != nil || !slices.Equal(c.up.group, want) {
			t.Errorf("%q, %v", c.up.group, err)
		}
	})
}

// Thousands of messages in a group, over a line that holds next to nothing, and a server that answers each command before it reads the next.
func TestThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a := &maildrop{mails: many(3000)}, newArchive()
		for i := range d.mails {
			d.mails[i].text = "\r\n"
		}
		report, err := d.collect(t, acquainted(plain), a)
		if err != nil || report.Collected != 3000 || report.Deleted != 3000 {
			t.Errorf("%d collected, %d deleted, %v", report.Collected, report.Deleted, err)
		}
	})
}

// A session that was begun too early for the server says so, and the next one waits.
func TestEarly(t *testing.T) {
	for name, test := range map[string]struct {
		answers map[string]string
		set     func(*Options)
		early   bool
		keeps   bool // what was known
	}{
		"closes at once":       {map[string]string{"greeting": "HANGUP"}, nil, true, false},
		"refuses":              {map[string]string{"greeting": "-ERR synchronisation"}, nil, true, false},
		"nonsense":             {map[string]string{"USER office": "what?"}, nil, true, false},
		"closes at the log-in": {map[string]string{"PASS secret": "HANGUP"}, nil, true, false},
		"is mute":              {map[string]string{"USER": "MUTE", "PASS": "MUTE", "LIST": "MUTE", "UIDL": "MUTE"}, nil, true, false},
		"loses a command":      {map[string]string{"USER": "MUTE"}, nil, true, false},
		"closes later":         {map[string]string{"LIST": "HANGUP"}, nil, false, true},
		"is busy":              {map[string]string{"greeting": "-ERR [SYS/TEMP] busy"}, nil, false, true},
		"password":             {map[string]string{"PASS secret": "-ERR [AUTH] no"}, nil, false, true},
		"refuses the log-in":   {map[string]string{"PASS secret": "-ERR no"}, nil, false, false},
		"waits for greetings":  {map[string]string{"greeting": "HANGUP"}, func(o *Options) { o.Mechanism = MechanismAPOP }, false, true},
		"stale":                {map[string]string{"greeting": "HANGUP"}, func(o *Options) { o.Known.At = o.Known.At.Add(-30 * 24 * time.Hour) }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, a, opt := &maildrop{capa: pipelined, mails: three(), answers: test.answers}, newArchive(), acquainted(plain)
				if test.set != nil {
					test.set(&opt)
				}
				opt.Waiting = map[string]Waiting{"u1": {Since: time.Now(), Tried: 1}}
				report, err := d.collect(t, opt, a)
				var e *Error
				if !errors.As(err, &e) || e.Early != test.early || (report.Known != nil) != test.keeps || len(report.Waiting) < 1 {
					t.Errorf("%+v, %+v", e, report)
				}
				d.answers = nil
				opt.Known, opt.Mechanism = report.Known, MechanismAny
				if report, err := d.collect(t, opt, a); err != nil || report.Known == nil || !a.holds(three()) {
					t.Errorf("%+v, %v", report, err)
				}
			})
		})
	}
}

// What is asked for before it is known what there is may be too big: that costs the connection, and never the limit.
func TestSpeculateTooBig(t *testing.T) {
	d, a, opt := &maildrop{mails: three()}, newArchive(), acquainted(plain)
	opt.Speculate, opt.MaxBytes = true, 26
	d.mails[0], d.mails[1] = d.mails[1], d.mails[0]
	report, err := d.collect(t, opt, a)
	var e *Error
	if !errors.As(err, &e) || !e.Early || !e.Temporary || report.Known == nil || len(a.texts) > 0 {
		t.Fatalf("%+v, %+v", report, e)
	}
	opt.Speculate = false
	if report, err = d.collect(t, opt, a); err != nil || report.TooBig != 1 || report.Collected != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// Speculation is for boxes that were left empty; and what comes is what LIST says, or is dropped.
func TestSpeculate(t *testing.T) {
	for name, test := range map[string]struct {
		seen    string
		answers map[string]string
		set     func(*Options)
		ahead   bool
		want    Report
	}{
		"all is well":    {"", nil, nil, true, Report{Collected: 3, Deleted: 3}},
		"seen":           {"u1", nil, nil, false, Report{Collected: 2, Skipped: 1, Deleted: 3}},
		"left there":     {"", nil, func(o *Options) { o.LeaveDays = 1 }, false, Report{Collected: 3, Left: 3}},
		"not listed":     {"", map[string]string{"LIST": "+OK\r\n2 27\r\n3 25\r\n."}, nil, true, Report{Collected: 2, Deleted: 2}},
		"refused":        {"", map[string]string{"RETR 1": "-ERR no"}, nil, true, Report{Collected: 2, Failed: 1, Deleted: 2}},
		"no UIDL":        {"", map[string]string{"UIDL": "-ERR no"}, func(o *Options) { o.Known.Capabilities = []string{"PIPELINING"} }, true, Report{Collected: 3, Deleted: 3}},
		"not pipelining": {"", nil, func(o *Options) { o.Known.Capabilities = nil }, false, Report{Collected: 3, Deleted: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := &maildrop{mails: three(), answers: test.answers}, newArchive(), acquainted(plain)
			opt.Speculate, opt.Window = true, NewWindow(1)
			if test.seen != "" {
				a.seen[test.seen] = Seen{At: time.Now()}
			}
			if test.set != nil {
				test.set(&opt)
			}
			r, err := d.collect(t, opt, a)
			if err != nil || r.Collected != test.want.Collected || r.Skipped != test.want.Skipped || r.Failed != test.want.Failed ||
				r.Deleted != test.want.Deleted || r.Left != test.want.Left {
				t.Errorf("%+v, %v", r, err)
			}
			first := slices.IndexFunc(d.commands, func(c string) bool { return strings.HasPrefix(c, "RETR") })
			if ahead := first >= 0 && d.commands[first] == "RETR 1" && slices.Index(d.commands, "UIDL") == first-1 && opt.Known.has("PIPELINING", "") && test.ahead; ahead != test.ahead {
				t.Errorf("%q", d.commands)
			}
			if o := opt.Window.Outstanding(); o != 0 {
				t.Errorf("%d octets are outstanding", o)
			}
		})
	}
}

// A -ERR that answers nothing, amid messages under way, must not have one message taken for the next: it would be saved as that one, and
// that one deleted unseen.
func TestStrayRefusal(t *testing.T) {
	box := func() *maildrop {
		d := &maildrop{}
		for i := range 6 {
			d.mails = append(d.mails, mail{fmt.Sprint("u", i), fmt.Sprintf("Subject: %d\r\n", i)})
		}
		return d
	}
	for n := range 12 {
		stray, windowed := 1+n/2, n%2 == 0 // one after the other, or all at once
		d, a, opt := box(), newArchive(), acquainted(plain)
		if windowed {
			opt.Window = NewWindow(1)
		}
		retr := fmt.Sprint("RETR ", stray)
		d.answers = map[string]string{retr: d.transact("RETR", fmt.Sprint(stray), nil) + "\r\n-ERR idle too long"}
		report, err := d.collect(t, opt, a)
		if !errors.Is(err, errUnbidden) && !errors.Is(err, errNotPOP3) {
			t.Errorf("%d: %+v, %v", stray, report, err)
		}
		// Before the last message it is noticed when DELE and QUIT are on their way; the others are saved by then, and may be gone.
		for _, m := range box().mails {
			if !slices.Contains(d.mails, m) && !slices.Contains(a.texts, m.text) {
				t.Errorf("%d: %s is lost", stray, m.uidl)
			}
		}
		for id := range a.seen {
			if !slices.Contains(a.texts, "Subject: "+id[1:]+"\r\n") {
				t.Errorf("%d: %s is held for seen, but there is only %q", stray, id, a.texts)
			}
		}
		d.answers, opt.Waiting = nil, report.Waiting
		if report, err := d.collect(t, opt, a); err != nil || !a.holds(box().mails) || len(d.mails) > 0 {
			t.Errorf("%d: %+v, %v, %q", stray, report, err, a.texts)
		}
	}
}

// A refused message in the middle costs one round trip, and nothing else.
func TestRefusedAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, opt := &maildrop{mails: many(20)}, newArchive(), acquainted(plain)
		d.answers = map[string]string{"RETR 7": "-ERR not this one", "RETR 9": "-ERR nor this one"}
		report, err := d.collect(t, opt, a)
		if err != nil || report.Collected != 18 || report.Failed != 2 || report.Deleted != 18 || len(report.Problems) != 2 {
			t.Fatalf("%+v, %v", report, err)
		}
		if report.Waiting["u6"].Tried != 1 || report.Waiting["u8"].Tried != 1 || len(report.Waiting) != 2 {
			t.Errorf("%+v", report.Waiting)
		}
		// Next time they come last, and alone.
		opt.Waiting, d.mails = report.Waiting, append(d.mails, mail{"n1", "\r\n"}, mail{"n2", "\r\n"}, mail{"n3", "a\r\n"})
		d.answers = map[string]string{"RETR 1": "-ERR not this one", "RETR 2": "-ERR nor this one"}
		if report, err = d.collect(t, opt, a); err != nil || report.Collected != 3 || slices.Index(d.commands, "RETR 0") < slices.Index(d.commands, "RETR 5") {
			t.Errorf("%+v, %v, %q", report, err, d.commands)
		}
	})
}
