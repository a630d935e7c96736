package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Get reads one record.
func (s *Store) Get(ctx context.Context, key string) (value []byte, found bool, err error) {
	if err := checkName("key", key); err != nil {
		return nil, false, err
	}
	err = s.view(ctx, "get", func(tx *bbolt.Tx) error {
		stored, live, err := records{tx}.get([]byte(key), s.now())
		if live {
			value, found = append([]byte{}, stored...), true
		}
		return err
	})
	return value, found, err
}

// Put writes one record, whatever was there before.
func (s *Store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := checkRecord(key, ttl); err != nil {
		return err
	}
	value = bytes.Clone(value)
	return s.write(ctx, "put", func(tx *bbolt.Tx, now time.Time) (bool, error) {
		return true, records{tx}.put([]byte(key), value, end(now, ttl))
	})
}

// Create writes one record if its key is absent.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (created bool, err error) {
	if err := checkRecord(key, ttl); err != nil {
		return false, err
	}
	value = bytes.Clone(value)
	var absent bool
	err = s.write(ctx, "create", func(tx *bbolt.Tx, now time.Time) (bool, error) {
		_, live, err := records{tx}.get([]byte(key), now)
		if absent = !live; err != nil || live {
			return false, err
		}
		return true, records{tx}.put([]byte(key), value, end(now, ttl))
	})
	if err != nil {
		return false, err
	}
	return absent, nil
}

// Replace writes one record if its value is still old.
func (s *Store) Replace(ctx context.Context, key string, old, new []byte, ttl time.Duration) (replaced bool, err error) {
	if err := checkRecord(key, ttl); err != nil {
		return false, err
	}
	old, new = bytes.Clone(old), bytes.Clone(new)
	var same bool
	err = s.write(ctx, "replace", func(tx *bbolt.Tx, now time.Time) (bool, error) {
		stored, live, err := records{tx}.get([]byte(key), now)
		if same = live && bytes.Equal(stored, old); err != nil || !same {
			return false, err
		}
		return true, records{tx}.put([]byte(key), new, end(now, ttl))
	})
	if err != nil {
		return false, err
	}
	return same, nil
}

// Delete removes one record, if it is there.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkName("key", key); err != nil {
		return err
	}
	return s.write(ctx, "delete", func(tx *bbolt.Tx, _ time.Time) (bool, error) {
		return records{tx}.delete([]byte(key))
	})
}

func checkRecord(key string, ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("store file: negative lifetime %s", ttl)
	}
	return checkName("key", key)
}

// records are the two buckets that change together: each record as the end of its lifetime followed by its value, and
// for those that end, an index entry of end and key.
type records struct{ tx *bbolt.Tx }

var errDamaged = errors.New("damaged record")

// get returns the value in the transaction's own memory.
func (r records) get(key []byte, now time.Time) (value []byte, live bool, err error) {
	stored := r.tx.Bucket(recordsBucket).Get(key)
	if stored == nil {
		return nil, false, nil
	}
	return unpack(stored, now)
}

func (r records) put(key, value []byte, ends instant) error {
	if _, err := r.unindex(key); err != nil {
		return err
	}
	packed := append(ends[:], value...)
	if err := r.tx.Bucket(recordsBucket).Put(key, packed); err != nil {
		return err
	}
	if ends == never {
		return nil
	}
	return r.tx.Bucket(expiriesBucket).Put(append(ends[:], key...), nil)
}

func (r records) delete(key []byte) (changed bool, err error) {
	if changed, err = r.unindex(key); err != nil || !changed {
		return false, err
	}
	return true, r.tx.Bucket(recordsBucket).Delete(key)
}

// unindex removes the index entry of the record that is about to go.
func (r records) unindex(key []byte) (present bool, err error) {
	stored := r.tx.Bucket(recordsBucket).Get(key)
	if stored == nil {
		return false, nil
	}
	if len(stored) < len(instant{}) {
		return false, errDamaged
	}
	ends := instant(stored)
	if ends == never {
		return true, nil
	}
	return true, r.tx.Bucket(expiriesBucket).Delete(append(ends[:], key...))
}

// sweep removes at most limit records whose time is over.
func (r records) sweep(now time.Time, limit int) (removed int, err error) {
	index := r.tx.Bucket(expiriesBucket)
	// Collected first, because a bbolt cursor loses its place when keys go away under it.
	var over [][]byte
	cursor := index.Cursor()
	for entry, _ := cursor.First(); entry != nil && len(over) < limit; entry, _ = cursor.Next() {
		if ends := instant(entry); !ends.reached(now) {
			break
		}
		over = append(over, bytes.Clone(entry))
	}
	for _, entry := range over {
		if err := r.tx.Bucket(recordsBucket).Delete(entry[len(instant{}):]); err != nil {
			return 0, err
		}
		if err := index.Delete(entry); err != nil {
			return 0, err
		}
	}
	return len(over), nil
}

func unpack(stored []byte, now time.Time) (value []byte, live bool, err error) {
	if len(stored) < len(instant{}) {
		return nil, false, errDamaged
	}
	ends := instant(stored)
	if ends != never && ends.reached(now) {
		return nil, false, nil
	}
	return stored[len(ends):], true, nil
}

// An instant is a time in microseconds whose bytes sort like the time. Its zero value is no time at all.
type instant [8]byte

var never instant

// floor and ceiling round to the microsecond: due times and ends up, the present down, so that nothing is early.
func floor(t time.Time) (i instant) {
	binary.BigEndian.PutUint64(i[:], uint64(t.UnixMicro())^1<<63)
	return i
}

func ceiling(t time.Time) instant {
	if t.Nanosecond()%int(time.Microsecond) != 0 {
		t = t.Add(time.Microsecond)
	}
	return floor(t)
}

// end is when a record that is written now is over.
func end(now time.Time, ttl time.Duration) instant {
	if ttl == 0 {
		return never
	}
	return ceiling(now.Add(ttl))
}

func (i instant) reached(now time.Time) bool {
	present := floor(now)
	return bytes.Compare(i[:], present[:]) <= 0
}
