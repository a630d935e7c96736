package proxy

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

// tolled is a store that notes every round trip in the words of finishLogin's
// list: what was done, and the kinds of the keys.
type tolled struct {
	backend
	mu    sync.Mutex
	trips []string
}

func (s *tolled) note(trip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trips = append(s.trips, trip)
}

// took returns what was asked since the last time.
func (s *tolled) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	trips := s.trips
	s.trips = nil
	return trips
}

func kinds(keys ...string) string {
	var all []string
	for _, key := range keys {
		kind, _, _ := strings.Cut(key, ":")
		all = append(all, kind)
	}
	slices.Sort(all)
	return strings.Join(all, "+")
}

func (s *tolled) Get(ctx context.Context, key string) ([]byte, bool, error) {
	s.note("read " + kinds(key))
	return s.backend.Get(ctx, key)
}

func (s *tolled) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	s.note("read " + kinds(keys...))
	return s.backend.GetMany(ctx, keys...)
}

func (s *tolled) Batch(ctx context.Context, writes []session.Write, keys ...string) ([]bool, [][]byte, error) {
	var parts, written []string
	for _, w := range writes {
		written = append(written, w.Key)
	}
	if len(writes) > 0 {
		parts = append(parts, "write "+kinds(written...))
	}
	if len(keys) > 0 {
		parts = append(parts, "read "+kinds(keys...))
	}
	s.note(strings.Join(parts, " "))
	return s.backend.Batch(ctx, writes, keys...)
}

func (s *tolled) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	s.note("write " + kinds(key))
	return s.backend.Put(ctx, key, value, ttl)
}

func (s *tolled) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	s.note("create " + kinds(key))
	return s.backend.Create(ctx, key, value, ttl)
}

func (s *tolled) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	s.note("replace " + kinds(key))
	return s.backend.Replace(ctx, key, old, value, ttl)
}

func (s *tolled) Delete(ctx context.Context, key string) error {
	s.note("delete " + kinds(key))
	return s.backend.Delete(ctx, key)
}

func (s *tolled) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	s.note("schedule " + queue)
	return s.backend.Schedule(ctx, queue, id, at)
}

func (s *tolled) Done(ctx context.Context, queue, id string) error {
	s.note("done " + queue)
	return s.backend.Done(ctx, queue, id)
}

// tripCounter stands between a client and Redis and counts how often something
// was asked that had to be waited for.
type tripCounter struct {
	addr  string
	trips atomic.Int64
}

func countTrips(t *testing.T, server string) *tripCounter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &tripCounter{addr: ln.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { ln.Close() })
	running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			redis, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			t.Cleanup(func() { client.Close(); redis.Close() })
			var asked atomic.Bool
			running.Go(func() {
				forward(redis, client, func() {
					if !asked.Swap(true) {
						c.trips.Add(1)
					}
				})
			})
			running.Go(func() { forward(client, redis, func() { asked.Store(false) }) })
		}
	})
	return c
}

// forward copies until either end closes, and says when something comes.
func forward(to, from net.Conn, comes func()) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			comes()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// onRedis is a world on a real Redis whose round trips are counted.
func onRedis(t *testing.T, opts ...option) (*world, *tripCounter, *redisstore.Store) {
	t.Helper()
	trips := countTrips(t, storetest.StartRedis(t, "--appendfsync", "no").Addr)
	store, err := redisstore.Open("redis://"+trips.addr, redisstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return newWorldOn(t, store, 1, nil, append(opts, withoutYunxin)...), trips, store
}
