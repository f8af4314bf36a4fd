package queue

import (
	"go.etcd.io/bbolt"

	"outpost/spool"
)

// Also is something that AddWith does in the transaction that keeps its message: both
// happen or neither. A refusal of it refuses the message.
type Also struct {
	decide decision
	after  func(*Queue) // once it is committed; nil: nothing
}

// WithUpdate changes the message id too, as Update does: a report to its sender and the
// fact that he was told.
func WithUpdate(id spool.ID, change func(*Message) error) Also {
	u := &update{id: id, change: change}
	return Also{decide: u.decide, after: u.committed}
}

// WithHold enters a message that is held at the provider, with the note to those it is
// for. One that is entered already keeps its Since, and what a person decided; but not if it is another message, by its Print or
// else its Size.
func WithHold(h Hold) Also {
	return Also{decide: func(tx *bbolt.Tx) (func() error, error) { return putHold(tx, h) }}
}

// together makes one decision of several: all are asked before the first one writes.
func together(first decision, also []Also) decision {
	return func(tx *bbolt.Tx) (func() error, error) {
		writes := make([]func() error, 0, 1+len(also))
		add := func(decide decision) error {
			write, err := decide(tx)
			if write != nil {
				writes = append(writes, write)
			}
			return err
		}
		if err := add(first); err != nil {
			return nil, err
		}
		for _, a := range also {
			if err := add(a.decide); err != nil {
				return nil, err
			}
		}
		return func() error {
			for _, write := range writes {
				if err := write(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
}
