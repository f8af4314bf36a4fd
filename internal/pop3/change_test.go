package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// leftThere is a box of n messages that were collected and left, what remembers them, and options that leave them on.
func leftThere(n int) (*maildrop, *archive, Options) {
	d, a := &maildrop{capa: pipelined}, newArchive()
	a.now = func() time.Time { return time.Now().Add(-time.Hour) }
	for i := range n {
		m := letter(i, 3*i)
		d.mails = append(d.mails, m)
		_ = a.keep([]byte(m.text), int64(len(m.text)), m.uidl)
	}
	a.now = time.Now
	opt := acquainted(plain)
	opt.LeaveDays = -1
	return d, a, opt
}

// change gives all messages from the first on new UIDLs.
func (d *maildrop) change(first int) {
	for i := range d.mails[first:] {
		d.mails[first+i].uidl += "'"
	}
}

// asked says how many commands of a kind were given.
func (d *maildrop) asked(verb string) (n int) {
	for _, c := range d.commands {
		if strings.HasPrefix(c, verb+" ") {
			n++
		}
	}
	return n
}

// The provider changes all UIDLs: what was collected is recognised, what is new comes in, and then all is as before.
func TestUIDLsChange(t *testing.T) {
	for name, set := range map[string]func(*Options){
		"pipelined": func(*Options) {}, "one by one": func(o *Options) { o.Known = nil }, "windowed": func(o *Options) { o.Window = NewWindow(1) },
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := leftThere(30)
			set(&opt)
			if name == "one by one" {
				d.capa = ""
			}
			before := a.seen["l7"]
			d.mails = slices.Insert(d.mails, 5, letter(100, 3), mail{"s", "Subject: no more\r\n\r\n"})
			d.mails = append(d.mails, letter(101, 500))
			d.change(0)
			r, err := d.collect(t, opt, a)
			if err != nil || r.Renamed != 30 || r.Skipped != 30 || r.Collected != 3 || r.Left != 33 || r.Failed > 0 || d.asked("RETR") != 3 || d.asked("TOP") != 32 || len(r.Waiting) > 0 {
				t.Fatalf("%+v, %v, %q", r, err, d.commands)
			}
			if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), "changed the identification (UIDL) of 30 messages; they were recognised and not collected again") {
				t.Error(r.Problems)
			}
			if len(a.seen) != 33 || a.seen["l7'"] != before {
				t.Errorf("%v", a.seen)
			}
			if r, err = d.collect(t, opt, a); err != nil || r.Skipped != 33 || d.asked("TOP")+d.asked("RETR") > 0 || len(a.seen) != 33 || len(r.Problems) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
			opt.LeaveDays = 0
			if r, err = d.collect(t, opt, a); err != nil || r.Deleted != 33 || len(d.mails) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// A change is thought of where nearly all that should be there is missing, and something else is there that has the size of it.
func TestChangeIsThoughtOf(t *testing.T) {
	for name, test := range map[string]struct {
		left  int
		first int // that changes
		set   func(*maildrop, *archive, *Options)
		tops  int
		again int // come once more
	}{
		"two":               {2, 0, nil, 0, 2},
		"three":             {3, 0, nil, 3, 0},
		"one of three":      {3, 2, nil, 0, 1},
		"one of 20 remains": {20, 1, nil, 19, 0},
		"two of 20 remain":  {20, 2, nil, 0, 18},
		"two of 21 remain":  {21, 2, nil, 19, 0},
		"to be deleted":     {20, 0, func(_ *maildrop, _ *archive, o *Options) { o.LeaveDays = 0 }, 0, 20},
		"days are over": {20, 0, func(_ *maildrop, _ *archive, o *Options) {
			o.LeaveDays, o.Now = 2, func() time.Time { return time.Now().Add(50 * time.Hour) }
		}, 0, 20},
		"days are not over": {20, 0, func(_ *maildrop, _ *archive, o *Options) { o.LeaveDays = 2 }, 20, 0},
		"by a rule": {20, 0, func(_ *maildrop, _ *archive, o *Options) {
			o.Keep, o.LeaveDays = func(string, Seen) bool { return true }, 0
		}, 20, 0},
		"by no rule": {20, 0, func(_ *maildrop, _ *archive, o *Options) { o.Keep = func(string, Seen) bool { return false } }, 0, 20},
		"other sizes": {20, 0, func(d *maildrop, _ *archive, _ *Options) {
			for i := range d.mails {
				d.mails[i].text += strings.Repeat("more\r\n", 1000)
			}
		}, 0, 20},
		"not listed in full": {20, 0, func(d *maildrop, _ *archive, _ *Options) {
			d.answers = map[string]string{"LIST": strings.TrimSuffix(d.transact("LIST", "", nil), ".") + "x\r\n."}
		}, 0, 20},
		"sizes were not kept": {20, 0, func(_ *maildrop, a *archive, _ *Options) {
			for id := range a.seen {
				a.seen[id] = Seen{At: a.seen[id].At}
			}
		}, 0, 20},
		"no TOP": {20, 0, func(_ *maildrop, _ *archive, o *Options) { o.Known.Capabilities = []string{"PIPELINING"} }, 0, 20},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := leftThere(test.left)
			d.change(test.first)
			if test.set != nil {
				test.set(d, a, &opt)
			}
			r, err := d.collect(t, opt, a)
			if err != nil || d.asked("TOP") != test.tops || r.Renamed != test.tops || r.Collected != test.again || r.Skipped != test.left-test.again || r.Failed > 0 {
				t.Errorf("%+v, %v, %d TOPs", r, err, d.asked("TOP"))
			}
			if told := errors.Join(r.Problems...); name == "no TOP" && (told == nil || !strings.Contains(told.Error(), "20 of them can't be recognised")) {
				t.Error(told)
			}
		})
	}
}

// There are providers that don't show again what was collected, and people who tidy up: a few of what is new are looked at, and no more.
func TestAllGoneAndOthersThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, opt := leftThere(30)
		for i := range d.mails {
			d.mails[i] = mail{fmt.Sprint("n", i), letter(i+100, 3*i).text}
		}
		begun := time.Now()
		_, r, err := d.session(t.Context(), opt, a, far, far)
		took := time.Since(begun)
		if err != nil || r.Collected != 30 || r.Renamed+r.Failed+len(r.Problems)+len(r.Waiting) > 0 || d.asked("TOP") != maxSample || took != 4*trip || len(a.seen) != 30 {
			t.Errorf("%+v, %v, %v, %q", r, err, took, d.commands)
		}
	})
}

// The disk is full when it turns out what is new.
func TestChangeOnAFullDisk(t *testing.T) {
	for _, limit := range []int64{0, 1} {
		d, a, opt := leftThere(30)
		for i := range 20 {
			d.mails[i] = mail{fmt.Sprint("n", i), letter(i+100, 3*i).text}
		}
		d.mails = append(d.mails, mail{"a", strings.Repeat("a\r\n", 2000)}, mail{"b", strings.Repeat("b\r\n", 2000)}, mail{"c", strings.Repeat("c\r\n", 2000)})
		d.change(0)
		opt.Window = NewWindow(limit)
		a.fail = map[string]error{"\r\n": errors.New("no room")}
		r, err := d.collect(t, opt, a)
		if err != nil || r.Skipped+r.Failed != 33 || r.Collected > 0 || len(r.Waiting) != r.Failed {
			t.Errorf("%+v, %v", r, err)
		}
		a.fail, opt.Waiting, opt.Window = nil, r.Waiting, nil
		if r, err = d.collect(t, opt, a); err != nil || r.Collected != 23 || r.Skipped != 10 || len(a.texts) != 53 || len(r.Waiting) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// What isn't surely the same message is collected: a wrong guess would lose one.
func TestLikeButNotTheSame(t *testing.T) {
	same := func(n int) mail { return mail{fmt.Sprint("n", n), letter(n, 3*n).text} }
	for name, test := range map[string]struct {
		there []mail
		old   func(s Seen) Seen
		again int
	}{
		"the same":                  {[]mail{same(0), same(1), same(2), same(3)}, nil, 0},
		"one of them twice":         {[]mail{same(0), same(1), same(2), same(3), {"n4", letter(3, 9).text}}, nil, 2},
		"another Message-ID":        {[]mail{same(0), same(1), {"n2", strings.Replace(letter(2, 6).text, "<2@", "<9@", 1)}, same(3)}, nil, 1},
		"another date":              {[]mail{same(0), same(1), {"n2", strings.Replace(letter(2, 6).text, "Wed", "Thu", 1)}, same(3)}, nil, 1},
		"no Message-ID":             {[]mail{same(0), same(1), {"n2", strings.Replace(letter(2, 6).text, "Message-ID:", "X-ID:", 1)}, same(3)}, nil, 1},
		"much longer":               {[]mail{same(0), same(1), {"n2", letter(2, 60).text}, same(3)}, nil, 1},
		"header changed on the way": {[]mail{same(0), same(1), {"n2", "X-Spam: no\r\n" + letter(2, 6).text}, same(3)}, nil, 0},
		"no print was kept":         {[]mail{same(0), same(1), same(2), same(3)}, func(s Seen) Seen { return Seen{At: s.At, Size: s.Size} }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := leftThere(4)
			d.mails = test.there
			if test.old != nil {
				for id, s := range a.seen {
					a.seen[id] = test.old(s)
				}
			}
			before := len(a.texts)
			r, err := d.collect(t, opt, a)
			if err != nil || len(a.texts)-before != test.again || r.Renamed != len(test.there)-test.again || len(d.mails) != len(test.there) {
				t.Errorf("%+v, %v, %q", r, err, d.commands)
			}
			if r, err = d.collect(t, opt, a); err != nil || r.Collected+d.asked("TOP") > 0 || len(a.seen) != len(test.there) {
				t.Errorf("%+v, %v, %q", r, err, d.commands)
			}
		})
	}
}

// The Store can't take note of it, or the call ends in the middle: nothing comes in again, and nothing is forgotten, until it is known.
func TestChangeTakesTwoSessions(t *testing.T) {
	for name, test := range map[string]struct {
		trouble func(*maildrop, *archive, *Options) (calm func())
		fails   bool
	}{
		"not renamed": {func(_ *maildrop, a *archive, _ *Options) func() {
			a.fail = map[string]error{"rename": errors.New("no room")}
			return func() { a.fail = nil }
		}, false},
		"stopped": {func(_ *maildrop, _ *archive, o *Options) func() {
			o.Window = NewWindow(1)
			time.AfterFunc(10*trip, o.Window.Stop)
			return func() { o.Window = nil }
		}, false},
		"cut": {func(d *maildrop, _ *archive, _ *Options) func() {
			d.answers = map[string]string{"TOP 20 0": "HANGUP"}
			return func() { d.answers = nil }
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, a, opt := leftThere(30)
				d.mails = append(d.mails, letter(50, 50))
				d.change(0)
				calm := test.trouble(d, a, &opt)
				_, r, err := d.session(t.Context(), opt, a, far, far)
				if (err != nil) != test.fails || r.Renamed > 0 || len(a.texts) > 31 || len(a.seen) < 30 || len(r.Waiting) < 30 {
					t.Fatalf("%+v, %v", r, err)
				}
				opt.Waiting = r.Waiting
				calm()
				if r, err = d.collect(t, opt, a); err != nil || r.Renamed != 30 || len(a.texts) != 31 || len(r.Waiting) > 0 || len(a.seen) != 31 {
					t.Errorf("%+v, %v", r, err)
				}
				if name == "not renamed" && d.asked("TOP") > 0 {
					t.Errorf("it is asked again for what is known: %q", d.commands)
				}
			})
		})
	}
}

// A UIDL is given to another message: that one comes in, and is not deleted unseen.
func TestUIDLReused(t *testing.T) {
	for name, test := range map[string]struct {
		days int
		set  func(*maildrop, *archive, *Options)
		tops int
	}{
		"left":           {-1, nil, 1},
		"to be deleted":  {0, nil, 1},
		"speculating":    {0, func(_ *maildrop, _ *archive, o *Options) { o.Speculate, o.Emptied = true, true }, 1},
		"no TOP":         {0, func(_ *maildrop, _ *archive, o *Options) { o.Known.Capabilities = []string{"PIPELINING"} }, 0},
		"TOP is refused": {0, func(d *maildrop, _ *archive, _ *Options) { d.answers = map[string]string{"TOP": "-ERR no"} }, 1},
		"no print": {0, func(d *maildrop, a *archive, _ *Options) {
			d.mails[0].text = strings.Replace(d.mails[0].text, "Message-ID:", "X:", 1)
			a.seen["l0"] = Seen{At: a.seen["l0"].At, Size: a.seen["l0"].Size}
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d, a, opt := leftThere(4)
			opt.LeaveDays = test.days
			d.mails[0].text = letter(70, 70).text
			if test.set != nil {
				test.set(d, a, &opt)
			}
			other := d.mails[0].text
			r, err := d.collect(t, opt, a)
			if err != nil || r.Collected != 1 || r.Skipped != 3 || d.asked("TOP") != test.tops || !slices.Contains(a.texts, other) || r.Failed > 0 || len(r.Waiting) > 0 {
				t.Fatalf("%+v, %v, %q", r, err, d.commands)
			}
			if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), "gave 1 messages the identification (UIDL) of others") {
				t.Error(r.Problems)
			}
			if test.days < 0 && a.seen["l0"].Size != int64(len(other)) {
				t.Errorf("%+v", a.seen["l0"])
			}
			if r, err = d.collect(t, opt, a); err != nil || r.Collected+d.asked("TOP")+len(r.Problems) > 0 || len(a.texts) != 5 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Some servers list another size after they have given a message: it is the same all the same, and looked at once.
func TestSizeChanges(t *testing.T) {
	d, a, opt := leftThere(4)
	lists := func(size int) {
		d.answers = map[string]string{"LIST": strings.Replace(d.transact("LIST", "", nil), fmt.Sprint("\r\n2 ", len(d.mails[1].text)), fmt.Sprint("\r\n2 ", size), 1)}
	}
	for _, step := range []struct{ size, tops int }{{len(d.mails[1].text) + 900, 0}, {5000, 1}, {5000, 0}, {5100, 0}, {9000, 1}, {9000, 0}, {len(d.mails[1].text), 0}} {
		lists(step.size)
		r, err := d.collect(t, opt, a)
		if err != nil || r.Skipped != 4 || r.Left != 4 || d.asked("TOP") != step.tops || d.asked("RETR") > 0 || len(r.Problems) > 0 {
			t.Errorf("%+v: %+v, %v, %q", step, r, err, d.commands)
		}
		opt.Waiting = r.Waiting
	}
	if len(opt.Waiting) > 0 {
		t.Error(opt.Waiting)
	}
}

// What was collected under a UIDL isn't forgotten: then the other message with it must stay, as it would be taken for the one.
func TestReusedAndNotForgotten(t *testing.T) {
	d, a, opt := leftThere(2)
	opt.LeaveDays = 0
	d.mails[0].text = letter(70, 70).text
	r, err := d.collect(t, opt, forgetful{a})
	if err != nil || r.Failed != 1 || r.Deleted != 1 || len(d.mails) != 1 || r.Collected > 0 || !strings.Contains(errors.Join(r.Problems...).Error(), "stays on the server: no") {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err = d.collect(t, opt, a); err != nil || r.Collected != 1 || len(d.mails) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

type forgetful struct{ *archive }

func (forgetful) Forget(context.Context, []string) error { return errors.New("no") }

// What is held is shown again under its other name, as nobody but the Store can tell that it is the same; which it can.
func TestHeldAndRenamed(t *testing.T) {
	d, a, opt := leftThere(4)
	d.mails, opt.HoldAbove = append(d.mails, letter(50, 100)), 1000
	if r, err := d.collect(t, opt, a); err != nil || r.Held != 1 || r.Skipped != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	d.change(0)
	opt.Held = map[string]bool{"l50": false}
	r, err := d.collect(t, opt, a)
	if err != nil || r.Renamed != 4 || r.Held != 1 || len(r.Gone) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	was, is := Fingerprint(bytes.NewReader(a.held["l50"].Top)), Fingerprint(bytes.NewReader(a.held["l50'"].Top))
	if was != is || was == "" {
		t.Errorf("%q and %q", was, is)
	}
	opt.Held["l50'"] = false
	if r, err = d.collect(t, opt, a); err != nil || r.Held != 1 || !slices.Equal(r.Gone, []string{"l50"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A -ERR that answers nothing must not have one header taken for another: a message would be held for one that was collected.
func TestStrayRefusalAmongHeaders(t *testing.T) {
	for n := range 15 {
		for _, limit := range []int64{0, 1} {
			d, a, opt := leftThere(12)
			d.mails = slices.Insert(d.mails, 5, letter(100, 3), letter(101, 4), letter(102, 5))
			d.change(0)
			opt.Window = NewWindow(limit)
			stray := fmt.Sprint(n+1, " 0")
			d.answers = map[string]string{"TOP " + stray: d.top(stray, nil) + "\r\n-ERR idle too long"}
			r, err := d.collect(t, opt, a)
			if err == nil {
				t.Errorf("%s: %+v", stray, r)
			}
			d.answers, opt.Waiting = nil, r.Waiting
			if r, err = d.collect(t, opt, a); err != nil || r.Skipped+r.Collected != 15 || len(a.seen) != 15 {
				t.Errorf("%s: %+v, %v", stray, r, err)
			}
			for _, m := range d.mails {
				if a.seen[m.uidl].Print != Fingerprint(strings.NewReader(m.text)) || !slices.Contains(a.texts, m.text) {
					t.Errorf("%s: %s is taken for another", stray, m.uidl)
				}
			}
		}
	}
}
