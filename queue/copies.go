package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// What is remembered of messages that came, so that a copy through another box can be
// told: for so long, and so many, which is some 10 MB.
const (
	copiesLast = 60 * 24 * time.Hour
	copiesMost = 50_000
)

// copies is a row: who has the message, in the office or by a rule outside, and the first one's ID.
type copies struct {
	To []string `json:"to"`
	// Held are those for whom one is held; it may still come, or not.
	Held []string `json:"held,omitempty"`
	ID   spool.ID `json:"id,omitempty"`
}

// copyKey is what copies of a message are found by, the same length whatever the message
// says of itself.
func copyKey(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:16]
}

// passCopies takes the recipients of m out of its way who have a copy already, and
// returns the write that remembers the others. other is set if nobody is left to have it: the message that they have.
func (q *Queue) passCopies(tx *bbolt.Tx, m *Message) (write func() error, other spool.ID, copied bool, err error) {
	key := copyKey(m.Copies)
	have := copies{ID: m.ID}
	row := bucketCopies.in(tx).Get(key)
	if row != nil && (len(row) < 8 || json.Unmarshal(row[8:], &have) != nil) {
		// Nobody knows who has it. Twice is better than not at all, and than in each call again.
		q.opt.Log.Error("a row of copies can't be read; the message is delivered", "id", string(m.ID))
		row, have = row[:min(len(row), 8)], copies{ID: m.ID}
	}
	for i := range m.To {
		r := &m.To[i]
		switch {
		case r.State != Waiting && r.State != Held:
		case slices.Contains(have.To, r.Addr), r.State == Held && slices.Contains(have.Held, r.Addr):
			r.State, r.Reply = Sent, "a copy of this message came through another box"
		case r.State == Held:
			have.Held = append(have.Held, r.Addr) // it is decided on once
		default:
			have.To = append(have.To, r.Addr)
		}
	}
	if m.done() {
		return nil, have.ID, true, nil
	}
	text, err := json.Marshal(have)
	if err != nil {
		return nil, "", false, err
	}
	return func() error { return q.putCopies(tx, key, row, m.Received, text) }, "", false, nil
}

// putCopies stores a row, which begins with its time, and drops those that are too old or
// too many.
func (q *Queue) putCopies(tx *bbolt.Tx, key, old []byte, at time.Time, text []byte) error {
	ages, rows := bucketCopyAges.in(tx), bucketCopies.in(tx)
	if old != nil {
		if err := ages.Delete(slices.Concat(old[:min(len(old), 8)], key)); err != nil {
			return err
		}
	} else {
		q.copies++
	}
	stamp := binary.BigEndian.AppendUint64(nil, uint64(max(at.UnixNano(), 0))) //nolint:gosec // not negative
	if err := ages.Put(slices.Concat(stamp, key), nil); err != nil {
		return err
	}
	if err := rows.Put(key, slices.Concat(stamp, text)); err != nil {
		return err
	}
	for {
		age, _ := ages.Cursor().First()
		if len(age) < 8 {
			return nil
		}
		when := time.Unix(0, int64(binary.BigEndian.Uint64(age))) //nolint:gosec // it was one
		if q.copies <= copiesMost && at.Sub(when) < copiesLast {
			return nil
		}
		age = slices.Clone(age)
		if err := ages.Delete(age); err != nil {
			return err
		}
		if err := rows.Delete(age[8:]); err != nil {
			return err
		}
		q.copies--
	}
}

// countCopies is done once, at the start. The count is the committer's after that; it is
// a bound and need not survive a failed commit exactly.
func (q *Queue) countCopies() error {
	return q.db.View(func(tx *bbolt.Tx) error {
		q.copies = bucketCopies.in(tx).Stats().KeyN
		return nil
	})
}
