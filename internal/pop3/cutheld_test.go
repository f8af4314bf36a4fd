package pop3

import (
	"slices"
	"testing"
	"testing/synctest"
)

// plot is a box and what is known of it, and what must be true of it after sessions that were cut, and calm ones behind them.
type plot struct {
	begin func() (*maildrop, *archive, Options)
	// calm has the whole of it done, and says whether it came out as it should.
	calm func(t *testing.T, d *maildrop, a *archive, opt Options) bool
}

func plots() map[string]plot {
	return map[string]plot{
		"held, then released": {
			func() (*maildrop, *archive, Options) { return withLarge(), newArchive(), holding() },
			func(t *testing.T, d *maildrop, a *archive, opt Options) bool {
				r, err := d.collect(t, opt, a)
				top := string(a.held["l1"].Top) == letter(1, 12).text
				if err != nil || r.Held != 1 || len(r.Waiting)+len(r.Problems) > 0 || !top || !a.holds(three()) || len(d.mails) != 1 {
					return false
				}
				opt.Held = map[string]bool{"l1": true}
				r, err = d.collect(t, opt, a)
				return err == nil && r.Collected == 1 && a.holds(withLarge().mails) && len(d.mails) == 0
			},
		},
		"dropped": {
			func() (*maildrop, *archive, Options) {
				opt := holding()
				opt.Drop = map[string]bool{"l1": true}
				return withLarge(), newArchive(), opt
			},
			func(t *testing.T, d *maildrop, a *archive, opt Options) bool {
				_, err := d.collect(t, opt, a)
				return err == nil && len(a.held) == 0 && a.holds(three()) && len(d.mails) == 0
			},
		},
		"UIDLs changed": {
			func() (*maildrop, *archive, Options) {
				d, a, opt := leftThere(4)
				d.mails = append(d.mails, letter(9, 9), mail{"copy", letter(3, 9).text}) // one that is new, and a copy of one that isn't
				d.change(0)
				opt.Known = nil
				return d, a, opt
			},
			func(t *testing.T, d *maildrop, a *archive, opt Options) bool {
				r, err := d.collect(t, opt, a)
				want := append(slices.Clone(d.mails), letter(3, 9)) // two copies, nobody knows which was there before
				return err == nil && len(r.Waiting) == 0 && a.holds(want) && len(a.seen) == 6 && len(d.mails) == 6
			},
		},
		"a UIDL reused": {
			func() (*maildrop, *archive, Options) {
				d, a, opt := leftThere(3)
				d.mails[1].text = letter(70, 70).text
				opt.Known, opt.LeaveDays = nil, 0
				return d, a, opt
			},
			func(t *testing.T, d *maildrop, a *archive, opt Options) bool {
				_, err := d.collect(t, opt, a)
				_, again := d.collect(t, opt, a)
				want := []mail{letter(0, 0), letter(1, 3), letter(2, 6), letter(70, 70)}
				return err == nil && again == nil && a.holds(want) && len(a.seen) == 0 && len(d.mails) == 0
			},
		},
	}
}

// The same as TestCutAnywhere, for what is not just retrieved and deleted: whenever the line breaks, it comes out as if it hadn't.
func TestCutAnywhereElse(t *testing.T) {
	for name, plot := range plots() {
		for manner, set := range manners() {
			if manner == "speculating" || manner == "met first" {
				continue // is windowed where there is something to hold or to recognise
			}
			t.Run(manner+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d, a, opt := plot.begin()
					set(&opt, d, a)
					whole, _, _ := d.session(t.Context(), opt, a, uncut, uncut)
					for n := range whole.up.moved + 1 {
						plot.cut(t, set, n, lane{limit: n}, lane{limit: -1})
					}
					for n := range whole.down.moved + 1 {
						plot.cut(t, set, n, lane{limit: -1}, lane{limit: n})
					}
				})
			})
		}
	}
}

func (p plot) cut(t *testing.T, set func(*Options, *maildrop, *archive), n int, up, down lane) {
	d, a, opt := p.begin()
	set(&opt, d, a)
	later := func(l lane, by int) lane {
		if l.limit >= 0 {
			l.limit += by
		}
		return l
	}
	for _, by := range []int{0, 13} {
		_, report, _ := d.session(t.Context(), opt, a, later(up, by), later(down, by))
		if o := opt.Window; o != nil && o.Outstanding() != 0 {
			t.Errorf("%d octets are outstanding in an empty window", o.Outstanding())
		}
		opt.Known, opt.Waiting, opt.Held = report.Known, report.Waiting, map[string]bool{}
		for id := range a.held {
			opt.Held[id] = false
		}
	}
	if !p.calm(t, d, a, opt) {
		t.Fatalf("cut at %d up, %d down: seen %v, held %v, %d left, saved %q", up.limit, down.limit, a.seen, a.held, len(d.mails), a.texts)
	}
}
