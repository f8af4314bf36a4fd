package queue

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// maxSeenKey bounds the names of boxes and UIDLs. RFC 1939 §7 allows a UIDL 70
// octets; servers that exceed it stay far below this, and what exceeds this is a
// peer at play with our disk.
const maxSeenKey = 1024

// Seen lists the UIDLs of a box that were collected or marked, with the time
// each was first seen. A box never heard of has none.
func (q *Queue) Seen(box string) (map[string]time.Time, error) {
	seen := make(map[string]time.Time)
	err := q.view(func(tx *bbolt.Tx) error {
		b := bucketSeen.in(tx).Bucket([]byte(box))
		if b == nil {
			return nil
		}
		return b.ForEach(func(uidl, value []byte) error {
			var first time.Time
			if err := first.UnmarshalText(value); err != nil {
				return fmt.Errorf("queue: UIDL %.80q of box %s is %w: %w", uidl, box, ErrCorrupt, err)
			}
			seen[string(uidl)] = first
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return seen, nil
}

// MarkSeen marks UIDLs as seen now, without a message. What was seen already
// keeps its time.
func (q *Queue) MarkSeen(ctx context.Context, box string, uidls []string) error {
	now := q.opt.Now()
	return q.change(ctx, "mark seen", func(tx *bbolt.Tx) (func() error, error) {
		var news []string
		for _, uidl := range uidls {
			if err := checkSeenKey(box, uidl); err != nil {
				return nil, err
			}
			if !isSeen(tx, box, uidl) {
				news = append(news, uidl)
			}
		}
		if len(news) == 0 {
			return nil, nil
		}
		return func() error {
			for _, uidl := range news {
				if err := markSeen(tx, box, uidl, now); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// Forget forgets UIDLs of a box. It is for those that the box has no more: one
// that is forgotten too early is collected again.
func (q *Queue) Forget(ctx context.Context, box string, uidls []string) error {
	return q.change(ctx, "forget", func(tx *bbolt.Tx) (func() error, error) {
		b := bucketSeen.in(tx).Bucket([]byte(box))
		var known [][]byte
		for _, uidl := range uidls {
			if b != nil && b.Get([]byte(uidl)) != nil {
				known = append(known, []byte(uidl))
			}
		}
		if len(known) == 0 {
			return nil, nil
		}
		return func() error {
			for _, uidl := range known {
				if err := b.Delete(uidl); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

func checkSeenKey(box, uidl string) error {
	switch {
	case box == "" || len(box) > maxSeenKey:
		return fmt.Errorf("%w: the name of the box has %d octets, 1 to %d are allowed", ErrInvalid, len(box), maxSeenKey)
	case uidl == "" || len(uidl) > maxSeenKey:
		return fmt.Errorf("%w: a UIDL of box %s has %d octets, 1 to %d are allowed", ErrInvalid, box, len(uidl), maxSeenKey)
	}
	return nil
}

func isSeen(tx *bbolt.Tx, box, uidl string) bool {
	b := bucketSeen.in(tx).Bucket([]byte(box))
	return b != nil && b.Get([]byte(uidl)) != nil
}

func markSeen(tx *bbolt.Tx, box, uidl string, at time.Time) error {
	b, err := bucketSeen.in(tx).CreateBucketIfNotExists([]byte(box))
	if err != nil {
		return err
	}
	value, err := at.Round(0).UTC().MarshalText()
	if err != nil {
		return err
	}
	return b.Put([]byte(uidl), value)
}
