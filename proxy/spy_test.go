package proxy

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/session/boltstore"
)

// spy is a store between the gateway and the file: it counts what is asked of
// each kind of record, lets a test look in, and fails what the test names.
type spy struct {
	*boltstore.Store

	mu    sync.Mutex
	count map[string]int // by method and the first two bytes of the key
	fail  func(method, key string) error
}

func openSpy(t *testing.T) *spy {
	t.Helper()
	bolt, err := boltstore.Open(filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bolt.Close() })
	return &spy{Store: bolt, count: map[string]int{}}
}

// newSpied is newWorld on a store that can be watched.
func newSpied(t *testing.T, n int, app http.HandlerFunc, opts ...option) (*world, *spy) {
	t.Helper()
	s := openSpy(t)
	return newWorldOn(t, s, n, app, opts...), s
}

func (s *spy) note(method, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[method+" "+key[:min(2, len(key))]]++
	if s.fail != nil {
		return s.fail(method, key)
	}
	return nil
}

// counted is how often a method was called for keys of a kind, e.g. "Get s:".
func (s *spy) counted(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[what]
}

func (s *spy) failing(f func(method, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

func (s *spy) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.note("Get", key); err != nil {
		return nil, false, err
	}
	return s.Store.Get(ctx, key)
}

func (s *spy) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.note("Put", key); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, value, ttl)
}

func (s *spy) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := s.note("Create", key); err != nil {
		return false, err
	}
	return s.Store.Create(ctx, key, value, ttl)
}

func (s *spy) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := s.note("Replace", key); err != nil {
		return false, err
	}
	return s.Store.Replace(ctx, key, old, value, ttl)
}

func (s *spy) Delete(ctx context.Context, key string) error {
	if err := s.note("Delete", key); err != nil {
		return err
	}
	return s.Store.Delete(ctx, key)
}

// Batch counts and fails each operation by itself.
func (s *spy) Batch(ctx context.Context, writes []session.Write, keys ...string) ([]bool, [][]byte, error) {
	names := map[string]string{"put": "Put", "create": "Create", "replace": "Replace"}
	for i, w := range writes {
		if err := s.note(names[w.Op], w.Key); err != nil {
			// What stands before it was done.
			s.Store.Batch(ctx, writes[:i])
			return nil, nil, err
		}
	}
	for _, key := range keys {
		if err := s.note("Get", key); err != nil {
			s.Store.Batch(ctx, writes)
			return nil, nil, err
		}
	}
	return s.Store.Batch(ctx, writes, keys...)
}

func (s *spy) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	_, values, err := s.Batch(ctx, nil, keys...)
	return values, err
}

func (s *spy) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	if err := s.note("Schedule", queue); err != nil {
		return err
	}
	return s.Store.Schedule(ctx, queue, id, at)
}

// The queue is part of the store, and gone with it.

func (o *outage) Schedule(ctx context.Context, queue, id string, at time.Time) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.backend.Schedule(ctx, queue, id, at)
}

func (o *outage) GetMany(ctx context.Context, keys ...string) ([][]byte, error) {
	o.reads.Add(1)
	if err := o.gone(); err != nil {
		return nil, err
	}
	return o.backend.GetMany(ctx, keys...)
}

func (o *outage) Batch(ctx context.Context, writes []session.Write, keys ...string) ([]bool, [][]byte, error) {
	if len(keys) > 0 {
		o.reads.Add(1)
	}
	if err := o.gone(); err != nil {
		return nil, nil, err
	}
	return o.backend.Batch(ctx, writes, keys...)
}

func (o *outage) TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, limit int) ([]string, error) {
	if err := o.gone(); err != nil {
		return nil, err
	}
	return o.backend.TakeDue(ctx, queue, now, lease, limit)
}

func (o *outage) Done(ctx context.Context, queue, id string) error {
	if err := o.gone(); err != nil {
		return err
	}
	return o.backend.Done(ctx, queue, id)
}

// keys lists the live records of a kind: "s:" sessions, "u:" users, "a:"
// accounts, "c:" used codes.
func (s *spy) keys(t *testing.T, kind string) (all []string) {
	t.Helper()
	err := s.List(t.Context(), kind, func(key string, _ []byte) error {
		all = append(all, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// forget deletes all records of a kind, as if their time had come.
func (s *spy) forget(t *testing.T, kind string) {
	t.Helper()
	for _, key := range s.keys(t, kind) {
		if err := s.Store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}
