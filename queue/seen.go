package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// maxSeenKey bounds the names of boxes and UIDLs. RFC 1939 §7 allows a UIDL 70
// octets; servers that exceed it stay far below this, and what exceeds this is a
// peer at play with our disk.
const maxSeenKey = 1024

// Seen is what is known of a UIDL that was collected or marked.
type Seen struct {
	// At is when it was first seen.
	At time.Time `json:"at"`
	// ID is the message's here, of a copy the one's that came first; "": it was only marked, or is of a time when that was not noted. So it is with
	// the following.
	ID spool.ID `json:"id,omitempty"`
	// Size is Message.Listed.
	Size int64 `json:"size,omitempty"`
	// Print is Message.Print.
	Print string `json:"print,omitempty"`
}

func seenOf(m *Message) Seen { return Seen{At: m.Received, ID: m.ID, Size: m.Listed, Print: m.Print} }

// Seen lists the UIDLs of a box that were collected or marked. A box never heard of has
// none.
func (q *Queue) Seen(box string) (map[string]Seen, error) {
	seen := make(map[string]Seen)
	err := q.view(func(tx *bbolt.Tx) error {
		b := bucketSeen.in(tx).Bucket([]byte(box))
		if b == nil {
			return nil
		}
		return b.ForEach(func(uidl, value []byte) error {
			s, err := decodeSeen(value)
			if err != nil {
				return fmt.Errorf("queue: UIDL %.80q of box %s is %w: %w", uidl, box, ErrCorrupt, err)
			}
			seen[string(uidl)] = s
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return seen, nil
}

func decodeSeen(value []byte) (s Seen, err error) {
	if bytes.HasPrefix(value, []byte("{")) {
		return s, json.Unmarshal(value, &s)
	}
	return s, s.At.UnmarshalText(value) // format 1
}

// Rename gives UIDLs of a box new names, by the old ones: the provider has numbered it anew. What isn't
// known is passed over.
func (q *Queue) Rename(ctx context.Context, box string, names map[string]string) error {
	return q.change(ctx, "rename", func(tx *bbolt.Tx) (func() error, error) {
		b := bucketSeen.in(tx).Bucket([]byte(box))
		values := make(map[string][]byte) // by old name
		for old, name := range names {
			if err := checkSeenKey(box, name); err != nil {
				return nil, err
			}
			if b != nil && b.Get([]byte(old)) != nil {
				values[old] = bytes.Clone(b.Get([]byte(old)))
			}
		}
		if len(values) == 0 {
			return nil, nil
		}
		return func() error {
			for old := range values { // first all, as a new name may be an old one too
				if err := b.Delete([]byte(old)); err != nil {
					return err
				}
			}
			for old, value := range values {
				if err := b.Put([]byte(names[old]), value); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// MarkSeen marks UIDLs as seen now, without a message. What was seen already
// keeps its time; what was held is held no more.
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
				if err := errors.Join(bucketHolds.in(tx).Delete(holdKey(box, uidl)), markSeen(tx, box, uidl, Seen{At: now})); err != nil {
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

func markSeen(tx *bbolt.Tx, box, uidl string, seen Seen) error {
	b, err := bucketSeen.in(tx).CreateBucketIfNotExists([]byte(box))
	if err != nil {
		return err
	}
	seen.At = seen.At.Round(0).UTC()
	value, err := json.Marshal(seen)
	if err != nil {
		return err
	}
	return b.Put([]byte(uidl), value)
}
