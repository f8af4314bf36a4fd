package queue

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// A long queue is gone through in pieces, whatever else lies between, and what can't be read stops nobody.
func TestWaitingAfter(t *testing.T) {
	q := open(t, t.TempDir(), Options{})
	var want []string
	for i := range 7 {
		m := Message{Origin: Submitted, From: "a@x.example", To: []Recipient{{Addr: fmt.Sprint("u", i), Where: Local}}}
		if i == 3 {
			m.To[0].Where = Remote
		} else {
			want = append(want, m.To[0].Addr)
		}
		add(t, q, m, "body")
	}
	for _, n := range []int{1, 2, 3, 6, 7} {
		var got []string
		pages := 0
		for last, more := spool.ID(""), true; more; pages++ {
			list, err := q.WaitingAfter(Local, last, n)
			if err != nil || len(list) > n {
				t.Fatalf("pages of %d: %d, %v", n, len(list), err)
			}
			for _, m := range list {
				got, last = append(got, m.To[0].Addr), m.ID
			}
			more = len(list) == n
		}
		if !slices.Equal(got, want) || pages != len(want)/n+1 {
			t.Errorf("%d pages of %d: %v", pages, n, got)
		}
	}
	err := q.db.Update(func(tx *bbolt.Tx) error {
		list, _ := q.List()
		return bucketMessages.in(tx).Put([]byte(list[1].ID), []byte("{"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, err := q.WaitingAfter(Local, "", 100); !errors.Is(err, ErrCorrupt) || len(list) != len(want)-1 {
		t.Errorf("with a broken row: %d, %v", len(list), err)
	}
}
