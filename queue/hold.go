package queue

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Hold is a message that stays at the provider, in its box, until a person lets it come.
type Hold struct {
	// ID is what people call it: 8 letters and digits made of Box and the UIDL it was first met with, by HoldID.
	ID string `json:"id"`
	// Box and UIDL are as in Message.
	Box  string `json:"box"`
	UIDL string `json:"uidl"`
	// Size is what the server says, in octets, seldom exact.
	Size int64 `json:"size"`
	// Print is as in Message.
	Print string `json:"print,omitempty"`
	// Since is when it was first met.
	Since time.Time `json:"since"`
	// To are the places in the office that it is for, and that got a note.
	To []string `json:"to"`
	// From, Subject and Date are of its header, for people.
	From    string `json:"from,omitempty"`
	Subject string `json:"subject,omitempty"`
	Date    string `json:"date,omitempty"`
	// Released is when a person, By, let it come; zero: not yet. It comes with the next call.
	Released time.Time `json:"released,omitzero"`
	By       string    `json:"by,omitempty"`
	// Dropped is when a person, By, or the office's rule gave it up: the next call deletes it at the provider. Zero:
	// nobody did.
	Dropped time.Time `json:"dropped,omitzero"`
}

// HoldID is the ID of a message that is held: 40 bits, of which one office never has
// enough for two to be the same.
func HoldID(box, uidl string) string {
	sum := sha256.Sum256([]byte(box + "\x00" + uidl))
	bits, id := binary.BigEndian.Uint64(sum[:8]), make([]byte, 8)
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz" // as in spool.ID: it is read aloud
	for i := range id {
		id[i] = alphabet[bits&31]
		bits >>= 5
	}
	return string(id)
}

// Holds lists what is held at the provider, by box and UIDL. Rows that can't be read are joined into the error, which wraps
// ErrCorrupt; the others are returned with it.
func (q *Queue) Holds() ([]Hold, error) {
	var list []Hold
	var faults []error
	err := q.view(func(tx *bbolt.Tx) error {
		return bucketHolds.in(tx).ForEach(func(_, row []byte) error {
			if h, err := decodeHold(row); err != nil {
				faults = append(faults, err)
			} else {
				list = append(list, h)
			}
			return nil
		})
	})
	return list, errors.Join(append(faults, err)...)
}

// Release lets a held message come with the next call, whatever was decided before.
// ErrNotFound when there is none of that ID.
func (q *Queue) Release(ctx context.Context, id, by string) (Hold, error) {
	return q.decideHold(ctx, id, func(h *Hold, now time.Time) { h.Released, h.Dropped, h.By = now, time.Time{}, by })
}

// GiveUp has a held message deleted at the provider in the next call. ErrNotFound is as with
// Release.
func (q *Queue) GiveUp(ctx context.Context, id, by string) (Hold, error) {
	return q.decideHold(ctx, id, func(h *Hold, now time.Time) { h.Released, h.Dropped, h.By = time.Time{}, now, by })
}

func (q *Queue) decideHold(ctx context.Context, id string, decide func(h *Hold, now time.Time)) (Hold, error) {
	now := q.opt.Now().Round(0).UTC()
	var h Hold
	err := q.change(ctx, "held message", func(tx *bbolt.Tx) (func() error, error) {
		found := false
		err := bucketHolds.in(tx).ForEach(func(_, row []byte) error {
			// One that can't be read is not the one: people have its ID from a note, and are told that there is none.
			if one, err := decodeHold(row); err == nil && one.ID == id {
				h, found = one, true
			}
			return nil
		})
		if err == nil && !found {
			err = fmt.Errorf("%.40q: %w", id, ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		decide(&h, now)
		return writeHold(tx, h)
	})
	return h, err
}

// MoveHold gives a held message its new UIDL: the provider has numbered the box anew. Its ID stays, as people have it in their
// notes. One that is held under the new UIDL is another, whose turn to move comes: it has the old one until then. ErrNotFound
// when there is none under the old one.
func (q *Queue) MoveHold(ctx context.Context, box, old, uidl string) error {
	return q.change(ctx, "move hold", func(tx *bbolt.Tx) (func() error, error) {
		if err := checkSeenKey(box, uidl); err != nil {
			return nil, err
		}
		row := bucketHolds.in(tx).Get(holdKey(box, old))
		if row == nil {
			return nil, ErrNotFound
		}
		h, err := decodeHold(row)
		if err != nil {
			return nil, err
		}
		h.UIDL = uidl
		write, err := writeHold(tx, h)
		if err != nil {
			return nil, err
		}
		leave := func() error { return bucketHolds.in(tx).Delete(holdKey(box, old)) }
		if other, fault := decodeHold(bucketHolds.in(tx).Get(holdKey(box, uidl))); fault == nil && old != uidl {
			other.UIDL = old
			if leave, err = writeHold(tx, other); err != nil {
				return nil, err
			}
		}
		return func() error { return errors.Join(leave(), write()) }, nil
	})
}

// DropHolds forgets messages of a box that are no longer held: the provider has them no
// more.
func (q *Queue) DropHolds(ctx context.Context, box string, uidls []string) error {
	return q.change(ctx, "drop holds", func(tx *bbolt.Tx) (func() error, error) {
		if len(uidls) == 0 {
			return nil, nil
		}
		return func() error {
			for _, uidl := range uidls {
				if err := bucketHolds.in(tx).Delete(holdKey(box, uidl)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
}

// putHold decides WithHold.
func putHold(tx *bbolt.Tx, h Hold) (func() error, error) {
	if err := checkSeenKey(h.Box, h.UIDL); err != nil {
		return nil, err
	}
	h.ID = HoldID(h.Box, h.UIDL)
	// A row that can't be read is replaced by this one.
	if old, err := decodeHold(bucketHolds.in(tx).Get(holdKey(h.Box, h.UIDL))); err == nil && h.same(old) {
		h.ID, h.Since, h.Released, h.Dropped, h.By = old.ID, old.Since, old.Released, old.Dropped, old.By
	}
	return writeHold(tx, h)
}

// same says that two rows of one UIDL are of one message: a provider may give it to another one later.
func (h *Hold) same(old Hold) bool {
	if h.Print != "" && old.Print != "" {
		return h.Print == old.Print
	}
	return h.Size == old.Size
}

func writeHold(tx *bbolt.Tx, h Hold) (func() error, error) {
	row, err := json.Marshal(h)
	if err != nil {
		return nil, errors.Join(ErrInvalid, err)
	}
	return func() error { return bucketHolds.in(tx).Put(holdKey(h.Box, h.UIDL), row) }, nil
}

// holdKey can't be another box's: a name has no NUL.
func holdKey(box, uidl string) []byte { return []byte(box + "\x00" + uidl) }

func decodeHold(row []byte) (Hold, error) {
	var h Hold
	if err := json.Unmarshal(row, &h); err != nil {
		return h, fmt.Errorf("queue: the row of a held message is %w: %w", ErrCorrupt, err)
	}
	return h, nil
}
