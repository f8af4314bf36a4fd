package pop3

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waits are messages of these sizes, with UIDLs.
func waits(box string, sizes ...int64) []*message {
	var all []*message
	for i, size := range sizes {
		id := fmt.Sprint(box, i+1)
		all = append(all, newMessage(entry{number: i + 1, size: size, uidl: id, identity: id}, nil, time.Now()))
	}
	return all
}

// granted is what is granted to the boxes and not taken, and takes it.
func granted(boxes ...*berth) []string {
	var all []string
	for _, b := range boxes {
		got, _ := b.take()
		for _, m := range got {
			all = append(all, m.describe())
		}
	}
	return all
}

// Smallest first over all boxes, one queued behind what is under way, and the next one as soon as there is room, in the middle of a message.
func TestWindowOrder(t *testing.T) {
	w := NewWindow(100)
	a := w.join(waits("a", 300, 10, 200), mostFlying, nil)
	if got := granted(a); len(got) != 2 { // 10 and 200: before the other box was there
		t.Fatal(got)
	}
	b := w.join(waits("b", 250, 20), mostFlying, nil)
	if got := granted(a, b); got != nil || w.Outstanding() != 210 {
		t.Fatal(got, w.Outstanding())
	}
	ten, twoHundred := a.flying[0], a.flying[1]
	a.arrived(ten, 10)
	a.finish(ten)
	a.arrived(twoHundred, 100)
	if got := granted(a, b); got != nil || w.Outstanding() != 100 {
		t.Fatal(got, w.Outstanding())
	}
	a.arrived(twoHundred, 1)
	if got := granted(a, b); !slices.Equal(got, []string{"message 2 (b2, 20 octets)"}) || w.Outstanding() != 119 {
		t.Fatal(got, w.Outstanding())
	}
	a.arrived(twoHundred, 1000) // more than was announced
	if got := granted(a, b); !slices.Equal(got, []string{"message 1 (b1, 250 octets)"}) || w.Outstanding() != 270 {
		t.Fatal(got, w.Outstanding())
	}
	w.SetLimit(271)
	if got := granted(a, b); !slices.Equal(got, []string{"message 1 (a1, 300 octets)"}) || w.Outstanding() != 570 {
		t.Fatal(got, w.Outstanding())
	}
	a.leave()
	a.leave()
	a.arrived(twoHundred, 1)
	a.finish(twoHundred)
	if w.Outstanding() != 270 {
		t.Error(w.Outstanding())
	}
	b.leave()
	if w.Outstanding() != 0 || len(w.berths) != 0 || w.watch != nil {
		t.Errorf("%+v", w)
	}
}

// A message counts half as much for every day that it has waited; one at which a session died, as the largest.
func TestWindowAgeing(t *testing.T) {
	now := time.Now()
	day := func(n float64) time.Time { return now.Add(-time.Duration(n * 24 * float64(time.Hour))) }
	waiting := map[string]Waiting{"old": {Since: day(4)}, "older": {Since: day(10)}, "young": {Since: day(2)}, "deadly": {Since: day(0), Tried: 1}, "ripe": {Since: day(30), Tried: 1}, "odd": {Since: day(-5), Tried: -3}}
	var all []*message
	for i, e := range []entry{{size: 900, uidl: "new"}, {size: 16_000, uidl: "old"}, {size: 1_000_000, uidl: "older"}, {size: 5_000, uidl: "young"}, {size: 10, uidl: "deadly"}, {size: 1 << 20, uidl: "ripe"}, {size: 1100, uidl: "odd"}} {
		e.number = i + 1
		all = append(all, newMessage(e, waiting, now))
	}
	slices.SortFunc(all, (*message).compare)
	var got []string
	for _, m := range all {
		got = append(got, m.uidl)
	}
	if want := []string{"ripe", "new", "older", "old", "odd", "young", "deadly"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What was tried is alone in its box; boxes without UIDLs come first; without PIPELINING it is one at a time.
func TestWindowRules(t *testing.T) {
	w := NewWindow(0)
	now := time.Now()
	tried := map[string]Waiting{"t": {Since: now, Tried: 1}, "t2": {Since: now, Tried: 1}}
	list := []*message{
		newMessage(entry{number: 1, size: 5, uidl: "t"}, tried, now), newMessage(entry{number: 2, size: 5, uidl: "t2"}, tried, now),
		newMessage(entry{number: 3, size: 500, uidl: "x"}, tried, now),
	}
	a := w.join(list, mostFlying, nil)
	for _, want := range []string{"message 3 (x, 500 octets)", "message 1 (t, 5 octets)", "message 2 (t2, 5 octets)"} {
		if got := granted(a); !slices.Equal(got, []string{want}) {
			t.Fatalf("%q, want %q", got, want)
		}
		a.finish(a.flying[0])
	}
	slow := w.join(waits("s", 1, 2), 1, nil)
	if got := granted(slow); len(got) != 1 {
		t.Error(got)
	}
	w = NewWindow(1)
	first := w.join(waits("f", 1, 1), mostFlying, nil)
	nameless := w.join([]*message{newMessage(entry{number: 1, size: 5000}, nil, now)}, mostFlying, nil)
	first.finish(first.flying[0])
	if len(nameless.granted) != 1 {
		t.Error("a box without UIDLs waits")
	}
	huge := NewWindow(0).join(waits("h", make([]int64, 1000)...), mostFlying, nil)
	if len(huge.flying) != mostFlying {
		t.Errorf("%d are under way", len(huge.flying))
	}
}

// Stop takes back what was not asked for, and lets the rest come.
func TestWindowStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(0)
		b := w.join(waits("b", 1, 2), 1, nil)
		over := make(chan int)
		go func() {
			n := 0
			for got := b.next(t.Context()); len(got) > 0; got = b.next(t.Context()) {
				n += len(got)
			}
			over <- n
		}()
		synctest.Wait()
		untaken := w.join(waits("c", 3), 1, nil)
		w.Stop()
		if len(untaken.next(t.Context())) > 0 || w.Outstanding() != 1 {
			t.Errorf("%d octets are outstanding", w.Outstanding())
		}
		synctest.Wait()
		b.finish(b.flying[0])
		if n := <-over; n != 1 || w.Outstanding() != 0 {
			t.Errorf("%d were granted", n)
		}
		w.SetLimit(9)
		if late := w.join(waits("d", 3), 1, nil); len(late.next(t.Context())) > 0 {
			t.Error("granted after Stop")
		}
	})
}

// A box that got stuck holds the others up for a while, and is counted again when it goes on.
func TestWindowStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(10)
		begun := time.Now()
		stuck := w.join(waits("s", 20, 30), mostFlying, nil)
		other := w.join(waits("o", 40, 50), mostFlying, nil)
		_ = other.next(t.Context())
		if took := time.Since(begun); took != stallLimit || w.Outstanding() != 40 || len(stuck.flying) != 1 {
			t.Errorf("%v, %d", took, w.Outstanding())
		}
		stuck.arrived(stuck.flying[0], 1)
		if w.Outstanding() != 40+19 {
			t.Error(w.Outstanding())
		}
		stuck.leave()
		time.Sleep(15 * time.Second)
		other.arrived(other.flying[0], 1) // slow is not stuck
		time.Sleep(15 * time.Second)
		if len(other.flying) != 1 {
			t.Error("more was granted")
		}
		other.leave()
		if w.Outstanding() != 0 || w.watch != nil {
			t.Error(w.Outstanding())
		}
	})
}

// Many boxes do all they can at random: the count is right at every moment, and nothing is granted above the limit.
func TestWindowAtRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	w := NewWindow(500)
	var boxes []*berth
	for range 20_000 {
		act(random, w, &boxes)
		var rest, largest int64
		for _, b := range boxes {
			for _, m := range b.flying {
				rest += m.left
				largest = max(largest, m.left)
			}
		}
		if rest != w.out {
			t.Fatalf("%d are outstanding, counted %d", rest, w.out)
		}
		// Before the last of those that are under way was granted, the others were below the limit.
		if w.out > 0 && w.out-largest >= w.limit {
			t.Fatalf("%d are outstanding, %d at most of one message", w.out, largest)
		}
	}
}

func act(random *rand.Rand, w *Window, boxes *[]*berth) {
	if len(*boxes) < 5 {
		sizes := make([]int64, random.IntN(10))
		for i := range sizes {
			sizes[i] = random.Int64N(900)
		}
		*boxes = append(*boxes, w.join(waits(fmt.Sprint(random.Int()), sizes...), 1+random.IntN(5), nil))
		return
	}
	i := random.IntN(len(*boxes))
	b := (*boxes)[i]
	switch n := random.IntN(40); {
	case n == 0:
		b.leave()
		*boxes = slices.Delete(*boxes, i, i+1)
	case n == 1:
		_ = b.abandon()
	case n == 2:
		b.stall(true)
		b.arrived(&message{}, 0)
	case len(b.flying) == 0:
		if _, over := b.take(); over {
			b.leave()
			*boxes = slices.Delete(*boxes, i, i+1)
		}
	case n < 20:
		b.arrived(b.flying[0], random.IntN(300))
	case n < 22:
		_ = granted(b)
		b.doubt(b.flying[0], &message{})
		b.finish(b.flying[0])
	case b.suspects(b.flying[0]):
		b.again(b.flying[0])
	default:
		_ = granted(b)
		b.finish(b.flying[0])
	}
}

// Several boxes collect through one Window: the limit holds on the wire, whatever the boxes do, and small messages come first.
func TestBoxesShareAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWindow(300)
		var wg sync.WaitGroup
		for i := range 6 {
			d, a, opt := &maildrop{capa: pipelined}, newArchive(), acquainted(plain)
			for k := range 10 {
				d.mails = append(d.mails, mail{fmt.Sprint(i, ".", k), strings.Repeat("x", 20*(k+1)) + "\r\n"})
			}
			if i == 3 {
				d.answers = map[string]string{"RETR 4": "HANGUP"}
			}
			a.late = time.Second
			opt.Window = w
			want := slices.Clone(d.mails)
			wg.Go(func() {
				_, report, err := d.session(t.Context(), opt, a, far, far)
				if (err != nil) != (i == 3) || i != 3 && (!a.holds(want) || report.Deleted != 10) {
					t.Errorf("box %d: %+v, %v", i, report, err)
				}
			})
		}
		wg.Wait()
		if w.Outstanding() != 0 || len(w.berths) != 0 {
			t.Error(w.Outstanding())
		}
	})
}

// The call ends: what was asked for comes, is deleted, and the rest stays for the next one.
func TestStopInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, a, opt := &maildrop{mails: many(50)}, newArchive(), acquainted(plain)
		opt.Window = NewWindow(100)
		time.AfterFunc(5*trip+trip/3, opt.Window.Stop)
		_, report, err := d.session(t.Context(), opt, a, far, far)
		if err != nil || report.Deleted == 0 || report.Deleted != report.Collected || report.Deleted+len(report.Waiting) != 50 || report.Failed != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, w := range report.Waiting {
			if w.Tried != 0 {
				t.Fatalf("%+v", report.Waiting)
			}
		}
		opt.Window, opt.Waiting = nil, report.Waiting
		if report, err = d.collect(t, opt, a); err != nil || len(d.mails) > 0 || !a.holds(many(50)) || len(report.Waiting) > 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// What is large waits in the beginning for the boxes that are still to come, and not for ever; what is small doesn't.
func TestWindowGathers(t *testing.T) {
	for _, come := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := NewWindow(100)
			w.Gather(2, time.Second)
			a := w.join(waits("a", 500, 20), mostFlying, nil)
			if got := granted(a); len(got) != 1 || w.Outstanding() != 20 {
				t.Fatal(got, w.Outstanding())
			}
			time.Sleep(time.Second - 1)
			if got := granted(a); got != nil {
				t.Fatal(got)
			}
			if come {
				b := w.join(waits("b", 30), mostFlying, nil)
				if got := granted(b, a); len(got) != 2 || got[0] != "message 1 (b1, 30 octets)" {
					t.Fatal(got)
				}
				return
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if got := granted(a); len(got) != 1 || w.Outstanding() != 520 {
				t.Error(got, w.Outstanding())
			}
		})
	}
}
