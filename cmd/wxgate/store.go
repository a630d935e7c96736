package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"wxgate/identity"
	"wxgate/proxy"
	"wxgate/session"
	"wxgate/session/boltstore"
	"wxgate/session/redisstore"
)

// store is all that the packages together need of storage. Both back ends fit.
type store interface {
	session.Store
	identity.Store
	identity.Lister
	proxy.Queue

	Ping(ctx context.Context) error
	Close() error
}

// boltLockTimeout outlasts the predecessor's last moments in a restart.
const boltLockTimeout = 5 * time.Second

// openStore opens what WXGATE_STORE_URL names. A Redis that is not there yet is
// no fault: wxgate starts, is not ready, and tries on.
func openStore(url string) (store, error) {
	if path, ok := strings.CutPrefix(url, "bolt:"); ok {
		s, err := boltstore.Open(path, boltstore.Options{LockTimeout: boltLockTimeout})
		if err != nil {
			return nil, fmt.Errorf("WXGATE_STORE_URL: %w", err)
		}
		return s, nil
	}
	s, err := redisstore.Open(url, redisstore.Options{})
	if err != nil {
		return nil, fmt.Errorf("WXGATE_STORE_URL: %w", err)
	}
	return s, nil
}

// metered counts and times what a store does.
type metered struct {
	store
	metrics *proxy.Metrics
}

// timed is used as `defer m.timed("get", time.Now(), &err)`.
func (m metered) timed(op string, start time.Time, err *error) {
	m.metrics.StoreCall(op, time.Since(start), *err != nil)
}

func (m metered) Get(ctx context.Context, key string) (_ []byte, _ bool, err error) {
	defer m.timed("get", time.Now(), &err)
	return m.store.Get(ctx, key)
}

func (m metered) GetMany(ctx context.Context, keys ...string) (_ [][]byte, err error) {
	defer m.timed("get_many", time.Now(), &err)
	return m.store.GetMany(ctx, keys...)
}

func (m metered) Batch(ctx context.Context, writes []session.Write, keys ...string) (_ []bool, _ [][]byte, err error) {
	defer m.timed("batch", time.Now(), &err)
	return m.store.Batch(ctx, writes, keys...)
}

func (m metered) Put(ctx context.Context, key string, value []byte, ttl time.Duration) (err error) {
	defer m.timed("put", time.Now(), &err)
	return m.store.Put(ctx, key, value, ttl)
}

func (m metered) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (_ bool, err error) {
	defer m.timed("create", time.Now(), &err)
	return m.store.Create(ctx, key, value, ttl)
}

func (m metered) Replace(ctx context.Context, key string, old, value []byte, ttl time.Duration) (_ bool, err error) {
	defer m.timed("replace", time.Now(), &err)
	return m.store.Replace(ctx, key, old, value, ttl)
}

func (m metered) Delete(ctx context.Context, key string) (err error) {
	defer m.timed("delete", time.Now(), &err)
	return m.store.Delete(ctx, key)
}

func (m metered) Schedule(ctx context.Context, queue, id string, at time.Time) (err error) {
	defer m.timed("schedule", time.Now(), &err)
	return m.store.Schedule(ctx, queue, id, at)
}

func (m metered) TakeDue(ctx context.Context, queue string, now time.Time, lease time.Duration, max int) (_ []string, err error) {
	defer m.timed("take_due", time.Now(), &err)
	return m.store.TakeDue(ctx, queue, now, lease, max)
}

func (m metered) Done(ctx context.Context, queue, id string) (err error) {
	defer m.timed("done", time.Now(), &err)
	return m.store.Done(ctx, queue, id)
}

func (m metered) Ping(ctx context.Context) (err error) {
	defer m.timed("ping", time.Now(), &err)
	return m.store.Ping(ctx)
}
