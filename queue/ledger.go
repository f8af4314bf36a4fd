package queue

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Phase is one part of a call.
type Phase struct {
	Name     string        `json:"name"`
	Begun    time.Time     `json:"begun"`
	Duration time.Duration `json:"duration"` // nanoseconds
	Up       int64         `json:"up"`       // octets on the wire, from us
	Down     int64         `json:"down"`     // octets on the wire, to us
	// Cost is what the meter rose by, exact decimal text in the call's Currency.
	Cost string `json:"cost,omitempty"`
}

// Traffic is what of a call's octets was of use. All are octets as IP saw them: the
// wire has less for headers that were compressed, and more for framing.
type Traffic struct {
	UpIP        int64 `json:"up_ip"`      // whole packets, from us
	UpPayload   int64 `json:"up_payload"` // what TCP and UDP carried in them
	UpResent    int64 `json:"up_resent"`  // payload that had crossed before
	DownIP      int64 `json:"down_ip"`    // the same, to us
	DownPayload int64 `json:"down_payload"`
	DownResent  int64 `json:"down_resent"`
}

// Call is a row of the ledger: one call, from dialling to on-hook.
type Call struct {
	ID     uint64 `json:"id"` // given by BeginCall, from 1 on; never given twice
	Line   string `json:"line"`
	Number string `json:"number,omitempty"`
	Reason string `json:"reason,omitempty"` // why the call was placed
	// Begun is when dialling began; Connected when the carrier came up, zero =
	// never; Ended when on-hook was confirmed or given up, zero = not yet.
	Begun     time.Time `json:"begun"`
	Connected time.Time `json:"connected,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Phases    []Phase   `json:"phases,omitempty"`
	Up        int64     `json:"up,omitempty"`      // octets on the wire after CONNECT, from us
	Down      int64     `json:"down,omitempty"`    // the same, to us
	Traffic   *Traffic  `json:"traffic,omitempty"` // what of that was of use; nil: not known
	// TLS handshakes with the server's certificates, and those that resumed an
	// earlier session, which cost a tenth.
	Handshakes int64 `json:"handshakes,omitempty"`
	Resumed    int64 `json:"resumed,omitempty"`
	// Metered is the time that is charged (nanoseconds in the row), Units the
	// billing units it makes, Cost the price as exact decimal text ("12.40") in
	// Currency.
	Metered  time.Duration `json:"metered,omitempty"`
	Units    int64         `json:"units,omitempty"`
	Cost     string        `json:"cost,omitempty"`
	Currency string        `json:"currency,omitempty"`
	// Messages: sent out, failed, collected from the boxes, deleted there.
	Sent      int `json:"sent,omitempty"`
	Failed    int `json:"failed,omitempty"`
	Collected int `json:"collected,omitempty"`
	Deleted   int `json:"deleted,omitempty"`
	// Of the collected: those of which everybody had a copy from another box, and those discarded, by the rule. Held
	// are new ones that stay at the provider until a person decides.
	Copies    int            `json:"copies,omitempty"`
	Discarded map[string]int `json:"discarded,omitempty"`
	Held      int            `json:"held,omitempty"`
	// Octets of the bodies of those messages.
	SentBytes      int64    `json:"sent_bytes,omitempty"`
	CollectedBytes int64    `json:"collected_bytes,omitempty"`
	OnHook         bool     `json:"on_hook,omitempty"`    // the hang-up was confirmed
	Error          string   `json:"error,omitempty"`      // what ended the call early; "" = nothing
	Problems       []string `json:"problems,omitempty"`   // lines for a person
	Transcript     string   `json:"transcript,omitempty"` // AT dialogue, secrets masked by its maker
}

// BeginCall enters a call into the ledger and returns it with its ID. It is
// durable on return, so that a crash in the call leaves a row without an end.
func (q *Queue) BeginCall(ctx context.Context, c Call) (Call, error) {
	if _, err := encodeCall(&c); err != nil {
		return Call{}, fmt.Errorf("queue: begin call: %w", err)
	}
	err := q.change(ctx, "begin call", func(tx *bbolt.Tx) (func() error, error) {
		return func() (err error) {
			if c.ID, err = bucketCalls.in(tx).NextSequence(); err != nil {
				return err
			}
			row, err := encodeCall(&c)
			if err != nil {
				return err
			}
			return putCall(tx, &c, row)
		}, nil
	})
	if err != nil {
		return Call{}, err
	}
	return c, nil
}

// SaveCall stores the call again, whole. With Ended set it is finished.
// ErrNotFound when BeginCall didn't give the ID.
func (q *Queue) SaveCall(ctx context.Context, c Call) error {
	row, err := encodeCall(&c)
	if err != nil {
		return fmt.Errorf("queue: save call: %w", err)
	}
	return q.change(ctx, "save call", func(tx *bbolt.Tx) (func() error, error) {
		if bucketCalls.in(tx).Get(callKey(c.ID)) == nil {
			return nil, fmt.Errorf("call %d: %w", c.ID, ErrNotFound)
		}
		return func() error { return putCall(tx, &c, row) }, nil
	})
}

// Calls lists the calls, newest first: at most limit of them, all when limit is
// not positive.
func (q *Queue) Calls(limit int) ([]Call, error) {
	var calls []Call
	err := q.view(func(tx *bbolt.Tx) error {
		cursor := bucketCalls.in(tx).Cursor()
		for key, row := cursor.Last(); key != nil; key, row = cursor.Prev() {
			if limit > 0 && len(calls) == limit {
				return nil
			}
			c, err := decodeCall(key, row)
			if err != nil {
				return err
			}
			calls = append(calls, c)
		}
		return nil
	})
	return calls, err
}

// Call gives one call; 0 is the newest. ErrNotFound when there is none.
func (q *Queue) Call(id uint64) (Call, error) {
	var c Call
	err := q.view(func(tx *bbolt.Tx) error {
		key := callKey(id)
		row := bucketCalls.in(tx).Get(key)
		if id == 0 {
			key, row = bucketCalls.in(tx).Cursor().Last()
		}
		if row == nil {
			return fmt.Errorf("call %d: %w", id, ErrNotFound)
		}
		var err error
		c, err = decodeCall(key, row)
		return err
	})
	return c, err
}

// Unfinished lists the calls without an end, oldest first: what was under way
// when the program stopped, or is under way now.
func (q *Queue) Unfinished() ([]Call, error) {
	var calls []Call
	err := q.view(func(tx *bbolt.Tx) error {
		all := bucketCalls.in(tx)
		return bucketUnfinished.in(tx).ForEach(func(key, _ []byte) error {
			c, err := decodeCall(key, all.Get(key))
			if err != nil {
				return err
			}
			calls = append(calls, c)
			return nil
		})
	})
	return calls, err
}

// putCall stores the row and keeps the list of unfinished ones with it: the
// ledger may hold years of calls, which a start-up must not read.
func putCall(tx *bbolt.Tx, c *Call, row []byte) error {
	if err := bucketCalls.in(tx).Put(callKey(c.ID), row); err != nil {
		return err
	}
	if c.Ended.IsZero() {
		return bucketUnfinished.in(tx).Put(callKey(c.ID), nil)
	}
	return bucketUnfinished.in(tx).Delete(callKey(c.ID))
}

// encodeCall fails on times that JSON can't carry. That is found out before the
// transaction, which is shared with others.
func encodeCall(c *Call) ([]byte, error) {
	row, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return row, nil
}

func decodeCall(key, row []byte) (Call, error) {
	var c Call
	if err := json.Unmarshal(row, &c); err != nil {
		return c, fmt.Errorf("queue: the row of call %x is %w: %w", key, ErrCorrupt, err)
	}
	return c, nil
}

// callKey sorts as the number does.
func callKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }
