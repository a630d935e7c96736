package boltstore

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// A page of List ends with whichever comes first.
const (
	pageEntries = 256
	pageBytes   = 1 << 20
)

type entry struct {
	key   string
	value []byte
	ends  instant
}

// List calls fn for every live record whose key begins with prefix, in the order of the keys.
//
// It reads page by page and holds no transaction while fn runs: a write of fn's own may have to map the file anew, which
// waits for every open read transaction and would wait for ever.
func (s *Store) List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	seek := []byte(prefix)
	for {
		page, more, err := s.page(ctx, []byte(prefix), seek)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("store file: list: %w", err)
			}
			if e.ends != never && e.ends.reached(s.now()) {
				continue // fn took its time over earlier entries
			}
			if err := fn(e.key, e.value); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		seek = append([]byte(page[len(page)-1].key), 0)
	}
}

// page copies the next live entries from seek on.
func (s *Store) page(ctx context.Context, prefix, seek []byte) (page []entry, more bool, err error) {
	size := 0
	err = s.view(ctx, "list", func(tx *bbolt.Tx) error {
		cursor, now := tx.Bucket(recordsBucket).Cursor(), s.now()
		for key, stored := cursor.Seek(seek); key != nil && bytes.HasPrefix(key, prefix); key, stored = cursor.Next() {
			value, live, err := unpack(stored, now)
			if err != nil {
				return err
			}
			if !live {
				continue
			}
			if len(page) == pageEntries || size >= pageBytes {
				more = true
				return nil
			}
			page = append(page, entry{string(key), append([]byte{}, value...), instant(stored)})
			size += len(key) + len(value)
		}
		return nil
	})
	return page, more, err
}
