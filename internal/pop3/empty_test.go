package pop3

import "testing"

// A box in which mail is left is empty for a moment, as its server has lost sight of its store: nothing is forgotten by that, nor collected again. Empty
// twice it is empty.
func TestEmptyForAMoment(t *testing.T) {
	a, opt := newArchive(), plain
	opt.LeaveDays = -1
	d := &maildrop{capa: pipelined, mails: three()}
	meet := func() Report {
		t.Helper()
		r, err := d.collect(t, opt, a)
		if err != nil {
			t.Fatal(err)
		}
		opt.Emptied = r.Emptied
		return r
	}
	meet()
	d.mails = nil
	if meet(); len(a.seen) != 3 {
		t.Errorf("%d are known", len(a.seen))
	}
	d.mails = three()
	if r := meet(); r.Collected != 0 || r.Skipped != 3 {
		t.Errorf("%+v", r)
	}
	d.mails = nil
	meet()
	if meet(); len(a.seen) != 0 {
		t.Errorf("%d are known of an empty box", len(a.seen))
	}
}
