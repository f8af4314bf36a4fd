package queue

import (
	"bytes"
	"encoding/json"
	"errors"

	"go.etcd.io/bbolt"

	"outpost/spool"
)

// finding is what recover makes of one row.
type finding struct {
	id      spool.ID
	row     []byte   // as it is in the database, when it can't be read
	message *Message // as it is to be stored, when it changes
	fault   error    // what is damaged; nil = only Sending was put back
}

// recover brings the queue from any stop to a state that work can go on from:
//
//  1. all rows are read, and each body's length compared
//  2. one transaction: Sending becomes Waiting and Doubtful; what has lost its
//     body, or has the wrong length, becomes Held with the reason; a row that
//     can't be read moves to the bucket of damaged ones, as it is
//  3. the body of a row that can't be read moves to spool/corrupt
//  4. bodies without a row are swept
//
// Nothing is written when there is nothing to put right, and nothing swept
// unless everything before succeeded: a row that wasn't read must not cost its
// body. A stop on the way is made good by the next Open.
func (q *Queue) recover() error {
	state, err := q.inspect()
	if err != nil {
		return err
	}
	if len(state.findings) > 0 {
		if err := q.db.Update(func(tx *bbolt.Tx) error { return putRight(tx, state.findings) }); err != nil {
			return err
		}
	}
	q.report(state.findings)
	if err := q.setAside(state.unreadable); err != nil {
		return err
	}
	return q.sweep(state.known)
}

// found is what inspect has seen.
type found struct {
	findings   []finding
	known      map[spool.ID]bool // the keys of all messages, readable or not
	unreadable []spool.ID        // rows that can't be read, now or at an earlier start
}

func (q *Queue) inspect() (found, error) {
	state := found{known: make(map[spool.ID]bool)}
	err := q.db.View(func(tx *bbolt.Tx) error {
		err := bucketMessages.in(tx).ForEach(func(key, row []byte) error {
			state.known[spool.ID(key)] = true
			return q.inspectRow(&state, key, row)
		})
		if err != nil {
			return err
		}
		// A stop between 2 and 3 has left the bodies of these in place.
		return bucketDamaged.in(tx).ForEach(func(key, _ []byte) error {
			state.unreadable = append(state.unreadable, spool.ID(key))
			return nil
		})
	})
	return state, err
}

func (q *Queue) inspectRow(state *found, key, row []byte) error {
	id := spool.ID(key)
	m, err := decode(key, row)
	if err != nil {
		state.unreadable = append(state.unreadable, id)
		state.findings = append(state.findings, finding{id: id, row: bytes.Clone(row), fault: err})
		return nil //nolint:nilerr // it is a finding, and the other rows still count
	}
	fault, err := q.examine(&m)
	if err != nil {
		return err // can't tell: an I/O error is no reason to hold mail
	}
	if settle(&m, fault) {
		state.findings = append(state.findings, finding{id: id, message: &m, fault: fault})
	}
	return nil
}

// examine says what is wrong with a message's body, if anything.
func (q *Queue) examine(m *Message) (fault, err error) {
	n, err := q.spool.Size(m.ID)
	switch {
	case errors.Is(err, spool.ErrNotFound):
		return missing(m.ID), nil
	case err != nil:
		return nil, err
	case n != m.Size:
		return wrongLength(m, n), nil
	}
	return nil, nil
}

// settle decides what becomes of a message at start-up.
func settle(m *Message, fault error) (changed bool) {
	if fault != nil {
		return hold(m, fault.Error())
	}
	for i := range m.To {
		if r := &m.To[i]; r.State == Sending {
			r.State, r.Doubtful = Waiting, true
			changed = true
		}
	}
	return changed
}

func putRight(tx *bbolt.Tx, findings []finding) error {
	messages, damaged := bucketMessages.in(tx), bucketDamaged.in(tx)
	for _, f := range findings {
		if f.message == nil {
			if err := errors.Join(damaged.Put([]byte(f.id), f.row), messages.Delete([]byte(f.id))); err != nil {
				return err
			}
			continue
		}
		row, err := json.Marshal(f.message)
		if err != nil {
			return err
		}
		if err := messages.Put([]byte(f.id), row); err != nil {
			return err
		}
	}
	return nil
}

// report tells the log what was found.
func (q *Queue) report(findings []finding) {
	for _, f := range findings {
		if f.fault == nil {
			q.opt.Log.Info("message was being sent when the program stopped; it will be sent again", "id", string(f.id))
		} else {
			q.opt.Log.Error("message is damaged", "id", string(f.id), "error", f.fault)
		}
	}
}

// setAside moves bodies to spool/corrupt; those that are there already are done.
func (q *Queue) setAside(ids []spool.ID) error {
	for _, id := range ids {
		if !id.Valid() {
			continue // it can't have a body
		}
		if err := q.spool.Quarantine(id); err != nil && !errors.Is(err, spool.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (q *Queue) sweep(known map[spool.ID]bool) error {
	swept, err := q.spool.Sweep(func(id spool.ID) bool { return known[id] })
	if err != nil {
		return err
	}
	if swept.Temporary+swept.Orphans > 0 {
		q.opt.Log.Info("leftovers of the last stop swept", "temporary", swept.Temporary, "orphans", swept.Orphans)
	}
	return nil
}

// begin makes a new database. Bodies beside it are not leftovers but the mail of
// a database that was lost: they are set aside for a person, before the database
// has a format, so that a stop on the way finds it new again.
func (q *Queue) begin() error {
	var lost []spool.ID
	_, err := q.spool.Sweep(func(id spool.ID) bool {
		lost = append(lost, id)
		return true
	})
	if err == nil {
		err = q.setAside(lost)
	}
	if err != nil {
		return err
	}
	if len(lost) > 0 {
		q.opt.Log.Error("bodies without a database were set aside in spool/corrupt", "bodies", len(lost))
	}
	return makeFormat(q.db)
}
