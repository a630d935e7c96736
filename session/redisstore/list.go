package redisstore

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys the server looks at for one answer, a fraction of a millisecond of its only thread.
const scanCount = 512

// List calls fn for every live record whose key begins with prefix, in no order.
//
// It walks through all keys of the database, whatever the prefix: fit for exports and operators, not for requests. It
// keeps one answer's records in memory, and a fingerprint of 16 bytes of each key that fn has seen, because SCAN may
// name a key twice.
func (s *Store) List(ctx context.Context, prefix string, fn func(key string, value []byte) error) error {
	masters, err := s.masters(ctx)
	if err != nil {
		return s.fault(ctx, "list", err)
	}
	l := listing{store: s, prefix: prefix, fn: fn, seen: map[fingerprint]struct{}{}}
	l.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	for _, master := range masters {
		if err := l.scan(ctx, master); err != nil {
			return err
		}
	}
	return nil
}

// masters are the servers that hold all keys between them.
func (s *Store) masters(ctx context.Context) ([]*redis.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if one, ok := s.client.(*redis.Client); ok {
		return []*redis.Client{one}, nil
	}
	var mu sync.Mutex
	var all []*redis.Client
	err := s.cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, node)
		return nil
	})
	return all, err
}

// fingerprint is 128 bits under secret seeds: for two of a hundred million keys to share one is less likely than a
// memory error.
type fingerprint [2]uint64

type listing struct {
	store  *Store
	prefix string
	fn     func(key string, value []byte) error
	seeds  [2]maphash.Seed
	seen   map[fingerprint]struct{}
}

// scan walks through one server's keys on one connection, see the package comment.
func (l *listing) scan(ctx context.Context, master *redis.Client) error {
	conn := master.Conn()
	defer conn.Close()
	for cursor := uint64(0); ; {
		keys, next, err := conn.Scan(ctx, cursor, pattern(recordPrefix+l.prefix), scanCount).Result()
		if err != nil {
			return l.store.fault(ctx, "list", err)
		}
		if err := l.emit(ctx, l.fresh(keys)); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// fresh keeps the keys that have the prefix and were not there before.
func (l *listing) fresh(keys []string) []string {
	kept := keys[:0]
	for _, key := range keys {
		if !strings.HasPrefix(key, recordPrefix+l.prefix) {
			continue
		}
		print := fingerprint{maphash.String(l.seeds[0], key), maphash.String(l.seeds[1], key)}
		if _, twice := l.seen[print]; !twice {
			l.seen[print] = struct{}{}
			kept = append(kept, key)
		}
	}
	return kept
}

// emit fetches the values and hands them over. Single GETs in a pipeline, because the keys of an MGET would have to be
// in one slot of a Cluster.
func (l *listing) emit(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	values := make([]*redis.StringCmd, len(keys))
	fetch := func() error {
		_, err := l.store.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, key := range keys {
				values[i] = pipe.Get(ctx, key)
			}
			return nil
		})
		return err
	}
	failed := fetch()
	if connectionLost(failed) {
		failed = fetch()
	}
	if failed != nil && !anyFailed(values) {
		return l.store.fault(ctx, "list", failed) // see exchange
	}
	for i, key := range keys {
		value, err := values[i].Bytes()
		if errors.Is(err, redis.Nil) {
			continue // deleted, or over, since SCAN named it
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return l.store.fault(ctx, "list", err)
		}
		if err := l.fn(strings.TrimPrefix(key, recordPrefix), value); err != nil {
			return err
		}
	}
	return nil
}

// pattern is a SCAN pattern that lets all keys with this prefix through. It stops at the first byte that might mean
// something in a pattern; fresh judges exactly.
func pattern(prefix string) string {
	for i := range len(prefix) {
		switch c := prefix[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(":/.-_", c) >= 0:
		default:
			return prefix[:i] + "*"
		}
	}
	return prefix + "*"
}
