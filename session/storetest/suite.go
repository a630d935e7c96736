package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Open returns an empty store that lives as long as t, and a function that moves the store's clock. A nil forward says
// that its clock cannot be moved; then lifetimes are tested with very short ones, by asking until the record is gone,
// and their exact edge not at all.
type Open = func(t *testing.T) (store Store, forward func(time.Duration))

// Run tests one back end. Each case opens a store of its own.
func Run(t *testing.T, open Open) {
	for _, group := range [][]testCase{recordCases, batchCases, ownershipCases, lifetimeCases, contentionCases, listCases, queueCases, contextCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				store, forward := open(t)
				c.run(&fixture{T: t, Store: store, ctx: t.Context(), forward: forward})
			})
		}
	}
}

type testCase struct {
	name string
	run  func(*fixture)
}

// fixture is a store together with the test that uses it: the methods below fail the test where the store does.
type fixture struct {
	*testing.T
	Store
	ctx     context.Context
	forward func(time.Duration)
}

func (f *fixture) put(key, value string, ttl time.Duration) {
	f.Helper()
	if err := f.Put(f.ctx, key, []byte(value), ttl); err != nil {
		f.Fatalf("Put(%.60q): %v", key, err)
	}
}

func (f *fixture) create(key, value string, ttl time.Duration) bool {
	f.Helper()
	created, err := f.Create(f.ctx, key, []byte(value), ttl)
	if err != nil {
		f.Fatalf("Create(%.60q): %v", key, err)
	}
	return created
}

func (f *fixture) replace(key, old, value string, ttl time.Duration) bool {
	f.Helper()
	replaced, err := f.Replace(f.ctx, key, []byte(old), []byte(value), ttl)
	if err != nil {
		f.Fatalf("Replace(%.60q): %v", key, err)
	}
	return replaced
}

func (f *fixture) delete(key string) {
	f.Helper()
	if err := f.Delete(f.ctx, key); err != nil {
		f.Fatalf("Delete(%.60q): %v", key, err)
	}
}

// wantValue checks that key is there.
func (f *fixture) wantValue(key, want string) {
	f.Helper()
	value, found, err := f.Get(f.ctx, key)
	if err != nil || !found || string(value) != want {
		f.Fatalf("Get(%.60q) = %.60q, %t, %v; want %.60q", key, value, found, err, want)
	}
}

func (f *fixture) wantAbsent(key string) {
	f.Helper()
	value, found, err := f.Get(f.ctx, key)
	if err != nil || found || value != nil {
		f.Fatalf("Get(%.60q) = %.60q, %t, %v; want nothing", key, value, found, err)
	}
}

// list collects what List shows and fails on a key that is shown twice.
func (f *fixture) list(prefix string) map[string]string {
	f.Helper()
	got := map[string]string{}
	err := f.List(f.ctx, prefix, func(key string, value []byte) error {
		if _, twice := got[key]; twice {
			return fmt.Errorf("key %.60q is shown twice", key)
		}
		got[key] = string(value)
		return nil
	})
	if err != nil {
		f.Fatalf("List(%.60q): %v", prefix, err)
	}
	return got
}

func (f *fixture) schedule(queue, id string, at time.Time) {
	f.Helper()
	if err := f.Schedule(f.ctx, queue, id, at); err != nil {
		f.Fatalf("Schedule(%q, %.60q): %v", queue, id, err)
	}
}

func (f *fixture) takeDue(queue string, now time.Time, lease time.Duration, max int) []string {
	f.Helper()
	ids, err := f.TakeDue(f.ctx, queue, now, lease, max)
	if err != nil {
		f.Fatalf("TakeDue(%q): %v", queue, err)
	}
	return ids
}

func (f *fixture) done(queue, id string) {
	f.Helper()
	if err := f.Done(f.ctx, queue, id); err != nil {
		f.Fatalf("Done(%q, %.60q): %v", queue, id, err)
	}
}

func (f *fixture) wantLen(queue string, want int) {
	f.Helper()
	if n, err := f.QueueLen(f.ctx, queue); err != nil || n != want {
		f.Fatalf("QueueLen(%q) = %d, %v; want %d", queue, n, err, want)
	}
}

// inParallel runs work(0) to work(n-1) at once and fails the test for each error.
func (f *fixture) inParallel(n int, work func(i int) error) {
	f.Helper()
	errs := make(chan error)
	for i := range n {
		go func() { errs <- work(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			f.Error(err)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}

// eventually asks until ok says yes, for a bounded time.
func (f *fixture) eventually(what string, ok func() bool) {
	f.Helper()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			f.Fatalf("after 10 seconds still not: %s", what)
		}
	}
}
