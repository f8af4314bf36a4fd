package queue

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// maxMemoryKey is a bound with room for any host name and a prefix.
const maxMemoryKey = 1024

// Remember keeps a value under a key from one call to the next: what a server
// can do, measured rates, addresses. A nil value forgets. A value that is there
// already costs no write.
func (q *Queue) Remember(ctx context.Context, key string, value []byte) error {
	return q.change(ctx, "remember", func(tx *bbolt.Tx) (func() error, error) {
		if key == "" || len(key) > maxMemoryKey {
			return nil, fmt.Errorf("%w: a key of %d octets, 1 to %d are allowed", ErrInvalid, len(key), maxMemoryKey)
		}
		memory := bucketMemory.in(tx)
		old := memory.Get([]byte(key))
		switch {
		case (old == nil) == (value == nil) && bytes.Equal(old, value):
			return nil, nil
		case value == nil:
			return func() error { return memory.Delete([]byte(key)) }, nil
		}
		return func() error { return memory.Put([]byte(key), value) }, nil
	})
}

// Recall returns the value under a key, nil when there is none. The slice is the
// caller's.
func (q *Queue) Recall(key string) ([]byte, error) {
	var value []byte
	err := q.view(func(tx *bbolt.Tx) error {
		value = bytes.Clone(bucketMemory.in(tx).Get([]byte(key)))
		return nil
	})
	return value, err
}
