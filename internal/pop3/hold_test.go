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

// letter is a message as mail programs write them, that many lines long.
func letter(n, lines int) mail {
	text := fmt.Sprintf("Received: by mail\r\nMessage-ID: <%d@x.example>\r\nDate: Wed, 25 Nov 2026 10:00:%02d +0000\r\nFrom: ann@x.example\r\nSubject: letter\r\n %d\r\n\r\n", n, n%60, n)
	return mail{fmt.Sprint("l", n), text + strings.Repeat(".what there is to say\r\n", lines)}
}

// withLarge is a box with small messages and a large one, which is the second.
func withLarge() *maildrop {
	return &maildrop{capa: pipelined, mails: slices.Insert(three(), 1, letter(1, 100))}
}

// holding are options with which the large one is held.
func holding() Options {
	opt := plain
	opt.HoldAbove = 1000
	return opt
}

// A large message is shown and left; and then it is left, released or dropped, as somebody decides.
func TestHold(t *testing.T) {
	for name, opt := range map[string]Options{"one by one": holding(), "pipelined": acquainted(holding())} {
		for what, test := range map[string]struct {
			set  func(*Options)
			want Report
			left int
		}{
			"left":                {func(o *Options) { o.Held = map[string]bool{"l1": false} }, Report{Held: 1}, 1},
			"left, whatever size": {func(o *Options) { o.Held, o.HoldAbove = map[string]bool{"l1": false}, 0 }, Report{Held: 1}, 1},
			"released":            {func(o *Options) { o.Held, o.MaxBytes = map[string]bool{"l1": true}, 9 }, Report{Collected: 1, Deleted: 1}, 0},
			"dropped": {func(o *Options) {
				o.Held, o.Drop = map[string]bool{"l1": false}, map[string]bool{"l1": true, "x": true}
			}, Report{Dropped: 1, Deleted: 1, Gone: []string{"l1"}}, 0},
			"both": {func(o *Options) { o.Held, o.Drop = map[string]bool{"l1": true}, map[string]bool{"l1": true} }, Report{Collected: 1, Deleted: 1}, 0},
			"gone": {func(o *Options) { o.Held = map[string]bool{"l1": false, "x": true, "a": false} }, Report{Held: 1, Gone: []string{"a", "x"}}, 1},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				d, a, opt := withLarge(), newArchive(), opt
				large := d.mails[1]
				header, _, _ := strings.Cut(large.text, "\r\n\r\n")
				r, err := d.collect(t, opt, a)
				if err != nil || r.Collected != 3 || r.Held != 1 || r.Deleted != 3 || r.TooBig+r.Failed+len(r.Problems)+len(r.Waiting) > 0 || r.Emptied || !a.holds(three()) {
					t.Fatalf("%+v, %v", r, err)
				}
				if h := a.held["l1"]; h.Size != int64(len(large.text)) || string(h.Top) != header+"\r\n\r\n"+strings.Repeat(".what there is to say\r\n", 12) {
					t.Errorf("%+v", h)
				}
				test.set(&opt)
				r, err = d.collect(t, opt, a)
				if err != nil || r.Collected != test.want.Collected || r.Held != test.want.Held || r.Dropped != test.want.Dropped || r.Deleted != test.want.Deleted ||
					!slices.Equal(r.Gone, test.want.Gone) || r.Emptied != (test.left == 0) || len(d.mails) != test.left || r.Listed != 1 || r.TooBig+r.Failed+len(r.Problems) > 0 {
					t.Errorf("%+v, %v", r, err)
				}
				if test.want.Collected == 1 && !a.holds(append(three(), large)) || slices.ContainsFunc(d.commands, func(c string) bool { return strings.HasPrefix(c, "TOP") }) {
					t.Errorf("%q", d.commands)
				}
			})
		}
	}
}

// What can't be shown is held all the same, or stays without; it never comes in.
func TestHoldInTrouble(t *testing.T) {
	full := errors.New("no room")
	for name, test := range map[string]struct {
		set     func(*maildrop, *archive, *Options)
		want    Report
		waiting int
		problem string
	}{
		"refused": {func(d *maildrop, _ *archive, _ *Options) { d.answers = map[string]string{"TOP": "-ERR no"} }, Report{Held: 1}, 0, ""},
		"no TOP": {func(d *maildrop, _ *archive, o *Options) {
			d.answers = map[string]string{"TOP": "HANGUP"}
			o.Known.Capabilities = []string{"PIPELINING", "USER"}
		}, Report{Held: 1}, 0, ""},
		"kills the server": {func(d *maildrop, _ *archive, o *Options) {
			d.answers = map[string]string{"TOP": "HANGUP"}
			o.Waiting = map[string]Waiting{"l1": {Tried: enoughTries}}
		}, Report{Held: 1}, 0, ""},
		"not held": {func(_ *maildrop, a *archive, _ *Options) { a.fail = map[string]error{"hold": full} }, Report{Failed: 1}, 1, "l1, 2429 octets) is too large to be collected unasked, and was not held: no room"},
		"no UIDL":  {func(d *maildrop, _ *archive, _ *Options) { d.mails[1].uidl = "" }, Report{TooBig: 1}, 0, "1 messages larger than 1000 octets can't be held"},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := withLarge(), newArchive(), acquainted(holding())
			test.set(d, a, &opt)
			r, err := d.collect(t, opt, a)
			if err != nil || r.Collected != 3 || r.Held != test.want.Held || r.Failed != test.want.Failed || r.TooBig != test.want.TooBig || len(r.Waiting) != test.waiting || len(d.mails) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			if got := errors.Join(r.Problems...); (got != nil) != (test.problem != "") || got != nil && !strings.Contains(got.Error(), test.problem) {
				t.Error(got)
			}
			if h, held := a.held["l1"]; held != (r.Held == 1) || h.Top != nil {
				t.Errorf("%+v", h)
			}
		})
	}
}

// A connection that dies at a TOP is no reason to do without one, but for the third time.
func TestDeadlyTop(t *testing.T) {
	d, a, opt := withLarge(), newArchive(), acquainted(holding())
	d.answers = map[string]string{"TOP": "HANGUP"}
	for n := range enoughTries {
		r, err := d.collect(t, opt, a)
		if err == nil || len(a.held) > 0 || r.Waiting["l1"].Tried != n+1 {
			t.Fatalf("%+v, %v", r, err)
		}
		opt.Waiting = r.Waiting
	}
	if r, err := d.collect(t, opt, a); err != nil || r.Held != 1 || a.held["l1"].Top != nil || !a.holds(three()) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A server that sends all of the message for a TOP is left, with what is needed; and it isn't asked again.
func TestEndlessTop(t *testing.T) {
	for name, line := range map[string]string{"lines": "x\r\n", "a line": "x"} {
		d, a, opt := withLarge(), newArchive(), acquainted(holding())
		d.answers = map[string]string{"TOP": "+OK\r\nSubject: x\r\n\r\n" + strings.Repeat(line, 100_000/len(line)) + "\r\n."}
		r, err := d.collect(t, opt, a)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, errTooLong) || e.Early || e.Command != "TOP 2" || r.Held != 1 || r.Failed > 0 || len(r.Waiting) > 2 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		if top := string(a.held["l1"].Top); len(top) > maxTopKept || !strings.HasPrefix(top, "Subject: x\r\n\r\n") || !strings.HasSuffix(top, "\r\n") {
			t.Errorf("%s: %d octets", name, len(top))
		}
		opt.Held, opt.Waiting = map[string]bool{"l1": false}, r.Waiting
		if r, err := d.collect(t, opt, a); err != nil || !a.holds(three()) || len(r.Waiting) > 0 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// A box full of large messages is shown in parts.
func TestShownAreBounded(t *testing.T) {
	d, a, opt := &maildrop{}, newArchive(), acquainted(holding())
	for n := range maxShown + 8 {
		d.mails = append(d.mails, letter(n, 100))
	}
	r, err := d.collect(t, opt, a)
	if err != nil || r.Held != maxShown || len(a.held) != maxShown || len(r.Waiting) != 8 || len(r.Problems) != 1 || !strings.HasPrefix(r.Problems[0].Error(), "8 more messages larger than 1000") {
		t.Fatalf("%+v, %v", r, err)
	}
	opt.Waiting, opt.Held = r.Waiting, map[string]bool{}
	for id := range a.held {
		opt.Held[id] = false
	}
	if r, err = d.collect(t, opt, a); err != nil || r.Held != maxShown+8 || len(a.held) != maxShown+8 || len(r.Waiting)+len(r.Problems) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// What goes over the line, to the octet: as ever where nothing is held and nothing left; and a top is one of the group.
func TestHoldOnTheLine(t *testing.T) {
	login := "USER office\r\nPASS secret\r\nLIST\r\nUIDL\r\n"
	for name, test := range map[string]struct {
		mails []mail
		set   func(*Options, *archive)
		want  []string
	}{
		"nothing large": {three(), nil, []string{login, "RETR 1\r\nRETR 3\r\nRETR 2\r\n", "DELE 1\r\nDELE 3\r\nDELE 2\r\nQUIT\r\n"}},
		"after a cut": {three(), func(_ *Options, a *archive) {
			for _, m := range append(three(), letter(8, 1), letter(9, 1), letter(10, 1)) {
				_ = a.keep([]byte(m.text), int64(len(m.text)), m.uidl)
			}
		}, []string{login, "DELE 1\r\nDELE 2\r\nDELE 3\r\nQUIT\r\n"}},
		"collected, others there": {[]mail{letter(1, 3), letter(2, 3), letter(3, 3), letter(4, 3)}, func(_ *Options, a *archive) {
			for n := range 30 {
				m := letter(n+10, 3)
				_ = a.keep([]byte(m.text), int64(len(m.text)), m.uidl)
			}
		}, []string{login, "RETR 1\r\nRETR 2\r\nRETR 3\r\nRETR 4\r\n", "DELE 1\r\nDELE 2\r\nDELE 3\r\nDELE 4\r\nQUIT\r\n"}},
		"held": {withLarge().mails, nil, []string{login, "RETR 1\r\nRETR 4\r\nRETR 3\r\nTOP 2 12\r\n", "DELE 1\r\nDELE 4\r\nDELE 3\r\nQUIT\r\n"}},
		"held before": {withLarge().mails, func(o *Options, _ *archive) { o.Held = map[string]bool{"l1": false} },
			[]string{login, "RETR 1\r\nRETR 4\r\nRETR 3\r\n", "DELE 1\r\nDELE 4\r\nDELE 3\r\nQUIT\r\n"}},
		"lines": {withLarge().mails[1:2], func(o *Options, _ *archive) { o.Preview = 1000 }, []string{login, "TOP 1 200\r\n", "QUIT\r\n"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, a, opt := &maildrop{mails: test.mails}, newArchive(), acquainted(holding())
			if test.set != nil {
				test.set(&opt, a)
			}
			c, _, err := d.session(t.Context(), opt, a, uncut, uncut)
			if err != nil || !slices.Equal(c.up.group, test.want) {
				t.Errorf("%s: %q, %v", name, c.up.group, err)
			}
		})
	}
}

// A large message that was asked for with the log-in costs the connection, and where one is held nothing is asked for so.
func TestSpeculateAndHold(t *testing.T) {
	d, a, opt := withLarge(), newArchive(), acquainted(holding())
	d.mails[0], d.mails[1] = d.mails[1], d.mails[0]
	opt.Speculate = true
	var e *Error
	r, err := d.collect(t, opt, a)
	if !errors.As(err, &e) || !e.Early || r.Known == nil || len(a.texts)+len(a.held) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	opt.Speculate = false
	if r, err = d.collect(t, opt, a); err != nil || r.Held != 1 || !a.holds(three()) {
		t.Fatalf("%+v, %v", r, err)
	}
	opt.Speculate, opt.Held = true, map[string]bool{"l1": false}
	for range 2 { // the second time nothing is remembered of the others
		if r, err = d.collect(t, opt, a); err != nil || r.Held != 1 || slices.Contains(d.commands, "RETR 1") {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// A -ERR that answers nothing must not have the top of a message taken for another, nor for all of it.
func TestStrayRefusalAmongTops(t *testing.T) {
	for _, stray := range []string{"RETR 1", "TOP 2 12", "RETR 3", "RETR 4"} {
		for _, limit := range []int64{0, 1} {
			d, a, opt := withLarge(), newArchive(), acquainted(holding())
			opt.Window = NewWindow(limit)
			verb, arg, _ := strings.Cut(stray, " ")
			d.answers = map[string]string{stray: d.transact(verb, arg, nil) + "\r\n-ERR idle too long"}
			r, err := d.collect(t, opt, a)
			if !errors.Is(err, errUnbidden) && !errors.Is(err, errNotPOP3) || !slices.ContainsFunc(d.mails, func(m mail) bool { return m.uidl == "l1" }) {
				t.Errorf("%s: %+v, %v", stray, r, err)
			}
			d.answers, opt.Waiting, opt.Held = nil, r.Waiting, map[string]bool{}
			for id, h := range a.held {
				opt.Held[id] = false
				if id != "l1" || h.Top != nil && !strings.HasPrefix(string(h.Top), "Received: by mail") {
					t.Errorf("%s: %q", stray, h.Top)
				}
			}
			if r, err := d.collect(t, opt, a); err != nil || !a.holds(three()) || len(d.mails) != 1 || len(a.held) != 1 {
				t.Errorf("%s: %+v, %v, %q", stray, r, err, a.texts)
			}
		}
	}
}

// A rule says what stays on the server, with what is known of it.
func TestKeep(t *testing.T) {
	d, a, opt := &maildrop{mails: three()}, newArchive(), acquainted(plain)
	opt.LeaveDays, opt.Speculate = 9, true
	read := map[string]bool{"u2": true}
	opt.Keep = func(identity string, s Seen) bool {
		if s.Size == 0 || time.Since(s.At) > time.Minute {
			t.Errorf("%s: %+v", identity, s)
		}
		return !read[identity]
	}
	if r, err := d.collect(t, opt, a); err != nil || r.Collected != 3 || r.Left != 2 || r.Deleted != 1 || slices.Index(d.commands, "RETR 1") < slices.Index(d.commands, "UIDL") {
		t.Errorf("%+v, %v", r, err)
	}
	read["u3"] = true
	if r, err := d.collect(t, opt, a); err != nil || r.Skipped != 2 || r.Left != 1 || r.Deleted != 1 || len(d.mails) != 1 || d.mails[0].uidl != "u1" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A top takes no round trip where messages come in, and one where they don't.
func TestHoldTakesNoTime(t *testing.T) {
	for _, box := range []*maildrop{withLarge(), {capa: pipelined, mails: withLarge().mails[1:2]}} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			_, r, err := box.session(t.Context(), acquainted(holding()), newArchive(), far, far)
			if took := time.Since(begun); err != nil || r.Held != 1 || took != 3*trip {
				t.Errorf("%+v, %v, %v", r, err, took)
			}
		})
	}
}

// A server that gives the UIDL of a held message to another one: what was decided means the one that is gone. The other one is neither
// deleted unread, nor brought in whatever its size, nor left for ever because a message of that name waits for a decision.
func TestHeldNameGivenAnew(t *testing.T) {
	for what, test := range map[string]struct {
		decided func(*Options)
		lines   int // of the other message
		want    Report
		shown   bool
	}{
		"undecided, small": {func(*Options) {}, 1, Report{Collected: 1, Deleted: 1}, false},
		"undecided, large": {func(*Options) {}, 200, Report{Held: 1}, true},
		"released, large":  {func(o *Options) { o.Held["l1"] = true }, 200, Report{Held: 1}, true},
		"dropped, small":   {func(o *Options) { o.Drop = map[string]bool{"l1": true} }, 1, Report{Collected: 1, Deleted: 1}, false},
		"dropped, large":   {func(o *Options) { o.Drop = map[string]bool{"l1": true} }, 200, Report{Held: 1}, true},
		"dropped, alike":   {func(o *Options) { o.Drop = map[string]bool{"l1": true} }, 101, Report{Held: 1}, true},
		"dropped, listed with a size that is not known": {func(o *Options) { o.Drop, o.HeldSize = map[string]bool{"l1": true}, nil }, 101,
			Report{Dropped: 1, Deleted: 1}, false},
	} {
		t.Run(what, func(t *testing.T) {
			other := letter(2, test.lines)
			other.uidl = "l1"
			d, a, opt := &maildrop{capa: pipelined, mails: []mail{other}}, newArchive(), acquainted(holding())
			opt.Held, opt.HeldSize = map[string]bool{"l1": false}, map[string]int64{"l1": int64(len(letter(1, 100).text))}
			test.decided(&opt)
			r, err := d.collect(t, opt, a)
			if err != nil || r.Collected != test.want.Collected || r.Held != test.want.Held || r.Dropped != test.want.Dropped || r.Deleted != test.want.Deleted {
				t.Errorf("%+v, %v", r, err)
			}
			if _, shown := a.held["l1"]; shown != test.shown {
				t.Errorf("shown to the store: %v", shown)
			}
		})
	}
}

// Somebody thinks better of it while the session goes on: what he let come isn't deleted.
func TestDropTakenBack(t *testing.T) {
	d, a, opt := withLarge(), newArchive(), acquainted(holding())
	opt.Held, opt.Drop = map[string]bool{"l1": false}, map[string]bool{"l1": true}
	opt.StillDrop = func(identity string) bool { return identity != "l1" }
	r, err := d.collect(t, opt, a)
	if err != nil || r.Held != 1 || r.Dropped != 0 || r.Deleted != 3 || len(d.mails) != 1 || len(r.Gone) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A message for two people lies twice in a box for all. The Store is told that the first is still there, so that it doesn't take the second
// one for it under a new name; and that one isn't whose name another message has now.
func TestHeldTwice(t *testing.T) {
	d, a, opt := withLarge(), newArchive(), acquainted(holding())
	if _, err := d.collect(t, opt, a); err != nil {
		t.Fatal(err)
	}
	twin, other := d.mails[0], letter(3, 300)
	twin.uidl, other.uidl = "twin", "l9"
	d.mails = append(d.mails, twin, other)
	opt.Held, opt.HeldSize = map[string]bool{"l1": false, "l9": false, "gone": false}, map[string]int64{"l1": int64(len(twin.text)), "l9": 2000}
	if _, err := d.collect(t, opt, a); err != nil {
		t.Fatal(err)
	}
	if h := a.held["twin"]; h.Listed == nil || !h.Listed("l1") || h.Listed("gone") || h.Listed("l9") {
		t.Errorf("%+v", h)
	}
}

// A large message that the Store wants all the same comes in the same session, with its top seen or, where there is no TOP, without;
// and the hard limit still holds.
func TestWanted(t *testing.T) {
	for name, opt := range map[string]Options{"one by one": holding(), "pipelined": acquainted(holding())} {
		for what, test := range map[string]struct {
			noTop bool
			max   int64
			want  Report
		}{
			"comes":       {want: Report{Collected: 4, Deleted: 4}},
			"without TOP": {noTop: true, want: Report{Collected: 4, Deleted: 4}},
			"too big":     {max: 1500, want: Report{Collected: 3, Deleted: 3, TooBig: 1}},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				d, a, opt := withLarge(), newArchive(), opt
				if test.noTop {
					d.capa, d.answers, opt.Known = strings.Replace(pipelined, "TOP\r\n", "", 1), map[string]string{"TOP": "-ERR what is that?"}, nil
				}
				opt.MaxBytes = test.max
				a.fail = map[string]error{"hold": ErrWanted}
				all := slices.Clone(d.mails)
				r, err := d.collect(t, opt, a)
				if err != nil || r.Collected != test.want.Collected || r.Deleted != test.want.Deleted || r.TooBig != test.want.TooBig || r.Held+r.Failed+len(r.Problems) > 0 {
					t.Errorf("%+v, %v", r, err)
				}
				if test.want.Collected == 4 && !a.holds(all) {
					t.Error("it did not come whole")
				}
			})
		}
	}
}
