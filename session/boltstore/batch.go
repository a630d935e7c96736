package boltstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Write is one of several writes of Batch. Op is "put", "create" or "replace", and the write is what the method of that name does;
// Old is for "replace" alone. An alias, so that back ends and those who use them need not know each other.
type Write = struct {
	Op    string
	Key   string
	Value []byte
	Old   []byte
	TTL   time.Duration
}

// GetMany reads several records in one transaction.
func (s *Store) GetMany(ctx context.Context, keys ...string) (values [][]byte, err error) {
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	err = s.view(ctx, "get many", func(tx *bbolt.Tx) (err error) {
		values, err = records{tx}.getMany(keys, s.now())
		return err
	})
	return values, err
}

// Batch does several writes and reads in one transaction, so here all of it happens or nothing.
func (s *Store) Batch(ctx context.Context, writes []Write, keys ...string) (done []bool, values [][]byte, err error) {
	if len(writes) == 0 {
		values, err = s.GetMany(ctx, keys...)
		return nil, values, err
	}
	if err := checkKeys(keys); err != nil {
		return nil, nil, err
	}
	own := make([]Write, len(writes))
	for i, w := range writes {
		if err := checkRecord(w.Key, w.TTL); err != nil {
			return nil, nil, err
		}
		if w.Op != "put" && w.Op != "create" && w.Op != "replace" {
			return nil, nil, fmt.Errorf("store file: no such write: %q", w.Op)
		}
		w.Value, w.Old = bytes.Clone(w.Value), bytes.Clone(w.Old)
		own[i] = w
	}
	var did []bool
	var read [][]byte
	err = s.write(ctx, "batch", func(tx *bbolt.Tx, now time.Time) (changed bool, err error) {
		did = make([]bool, len(own))
		for i, w := range own {
			if did[i], err = (records{tx}).apply(w, now); err != nil {
				return false, err
			}
			changed = changed || did[i]
		}
		read, err = records{tx}.getMany(keys, now)
		return changed, err
	})
	if err != nil {
		return nil, nil, err
	}
	return did, read, nil
}

func checkKeys(keys []string) error {
	for _, key := range keys {
		if err := checkName("key", key); err != nil {
			return err
		}
	}
	return nil
}

// getMany returns copies, nil for what is absent.
func (r records) getMany(keys []string, now time.Time) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		stored, live, err := r.get([]byte(key), now)
		if err != nil {
			return nil, err
		}
		if live {
			values[i] = append([]byte{}, stored...)
		}
	}
	return values, nil
}

func (r records) apply(w Write, now time.Time) (done bool, err error) {
	if w.Op != "put" {
		stored, live, err := r.get([]byte(w.Key), now)
		if err != nil {
			return false, err
		}
		if w.Op == "create" && live || w.Op == "replace" && !(live && bytes.Equal(stored, w.Old)) {
			return false, nil
		}
	}
	return true, r.put([]byte(w.Key), w.Value, end(now, w.TTL))
}
