package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"outpost/spool"
)

// formatVersion is the layout that this program reads and writes. It grows when
// an older program would misread what a newer one wrote; a new field that may be
// passed over is not such a case. 2: what was seen has more than its time; copies and holds.
const formatVersion = 2

// bucket names a top-level bucket. All of them exist once makeFormat has run.
type bucket string

const (
	bucketMeta       bucket = "meta"       // "version" -> decimal format version
	bucketMessages   bucket = "messages"   // spool.ID -> Message, JSON
	bucketDamaged    bucket = "damaged"    // spool.ID -> a row that can't be read, as it was
	bucketSeen       bucket = "seen"       // box -> bucket of UIDL -> Seen, JSON; in format 1 its time, RFC 3339
	bucketHolds      bucket = "holds"      // box, NUL, UIDL -> Hold, JSON
	bucketCopies     bucket = "copies"     // hash of Message.Copies -> 8 octets of time, copies as JSON
	bucketCopyAges   bucket = "copy ages"  // 8 octets of time (nanoseconds, big-endian), hash -> nothing
	bucketCalls      bucket = "calls"      // call ID, 8 octets big-endian -> Call, JSON
	bucketUnfinished bucket = "unfinished" // call ID -> nothing: those without an end
	bucketMemory     bucket = "memory"     // key -> value, as the caller gave it
)

func (b bucket) in(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket([]byte(b)) }

// openDB opens the database, which holds its lock from then on, and reads no more
// of it than bolt does.
func openDB(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockWait,
		FreelistType: bbolt.FreelistMapType, // the default grows slow once a large queue has been emptied
	})
	if err != nil {
		return nil, openError(path, err)
	}
	return db, nil
}

func openError(path string, err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("queue: %s: %w (waited %v); is outpost already running?", path, ErrInUse, lockWait.Round(time.Second))
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("queue: %s is not a database or is %w: %w", path, ErrCorrupt, err)
	case spool.IsFull(err):
		return fmt.Errorf("queue: %s: %w: %w", path, spool.ErrFull, err)
	}
	return fmt.Errorf("queue: %s: %w", path, err)
}

// checkFormat reads the version without changing anything. An empty database is
// fresh; everything that isn't ours is refused, not guessed at.
func checkFormat(db *bbolt.DB) (fresh bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		meta := bucketMeta.in(tx)
		if meta == nil {
			if name, _ := tx.Cursor().First(); name != nil {
				return fmt.Errorf("%w: a database, but not Outpost's (it holds %.40q)", ErrCorrupt, name)
			}
			fresh = true
			return nil
		}
		text := meta.Get([]byte("version"))
		version, err := strconv.Atoi(string(text))
		switch {
		case err != nil || version < 1:
			return fmt.Errorf("%w: its format version is %.40q", ErrCorrupt, text)
		case version > formatVersion:
			return fmt.Errorf("%w: its format is %d, this program knows up to %d; run the newer program, or restore a backup made before the upgrade",
				ErrNewer, version, formatVersion)
		}
		return nil
	})
	return fresh, err
}

// makeFormat makes all buckets and the version in one transaction, and fsyncs
// the entry of the new file in its folder, which bolt leaves to us.
func makeFormat(db *bbolt.DB) error {
	if err := db.Update(makeBuckets); err != nil {
		return err
	}
	return spool.SyncDir(filepath.Dir(db.Path()))
}

func makeBuckets(tx *bbolt.Tx) error {
	for _, b := range []bucket{bucketMeta, bucketMessages, bucketDamaged, bucketSeen, bucketHolds, bucketCopies, bucketCopyAges,
		bucketCalls, bucketUnfinished, bucketMemory} {
		if _, err := tx.CreateBucketIfNotExists([]byte(b)); err != nil {
			return err
		}
	}
	return bucketMeta.in(tx).Put([]byte("version"), []byte(strconv.Itoa(formatVersion)))
}

// upgrade brings an older format up to this one: buckets are missing, and what was seen is
// read in either form.
func upgrade(db *bbolt.DB) error {
	current := false
	err := db.View(func(tx *bbolt.Tx) error {
		current = string(bucketMeta.in(tx).Get([]byte("version"))) == strconv.Itoa(formatVersion)
		return nil
	})
	if err != nil || current {
		return err
	}
	return db.Update(makeBuckets)
}
