package link

import (
	"errors"
	"testing"
	"testing/synctest"
)

// The meter adds up what passes an interface, also over one that was made anew,
// and keeps what it has read when the interface goes.
func TestNetLineMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &terminal{}
		d.set(true)
		d.count(1000, 2000) // of before
		l := vsat(d, nil)
		if err := l.Up(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want := func(up, down int64) {
			t.Helper()
			if u, v := l.Counters(); u != up || v != down {
				t.Errorf("%d up, %d down; want %d, %d", u, v, up, down)
			}
		}
		want(0, 0)
		d.count(1500, 2600)
		want(500, 600)
		d.count(40, 30) // made anew
		want(540, 630)
		d.count(100, 100)
		if err := l.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		want(600, 700)
	})
}

func TestIfMeterOnNewInterface(t *testing.T) {
	up, down, err := int64(0), int64(0), errors.New("no such interface")
	m := newIfMeter(func() (int64, int64, error) { return up, down, err })
	up, down, err = 700, 80, nil
	if u, v := m.total(); u != 700 || v != 80 {
		t.Errorf("%d up, %d down", u, v)
	}
}
