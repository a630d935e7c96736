package boltstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
)

func openForTest(t *testing.T, now func() time.Time) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "wxgate.db"), Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// transactions is the number of the last transaction that changed the file.
func (s *Store) transactions(t *testing.T) int {
	t.Helper()
	id := 0
	if err := s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// count is the number of entries in a bucket, those whose time is over included.
func (s *Store) count(t *testing.T, bucket []byte) int {
	t.Helper()
	n := 0
	err := s.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(bucket).Stats().KeyN
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWritersShareCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The clock is asked inside a transaction, which so can be held up.
		gate := make(chan struct{})
		s := openForTest(t, func() time.Time { <-gate; return time.Now() })
		defer s.Close()
		before := s.transactions(t)

		const writers = 100
		var created atomic.Int32
		errs := make(chan error, writers)
		for range writers {
			go func() {
				won, err := s.Create(context.Background(), "one key", nil, 0)
				if won {
					created.Add(1)
				}
				errs <- err
			}()
		}
		for i := range writers {
			go func() { errs <- s.Put(context.Background(), fmt.Sprint(i), nil, 0) }()
		}
		synctest.Wait() // one write is inside, all others wait for it
		close(gate)
		for range 2 * writers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if n := s.transactions(t) - before; n != 2 {
			t.Errorf("%d writes took %d transactions, want 2", 2*writers, n)
		}
		if n := created.Load(); n != 1 {
			t.Errorf("%d writers in one transaction were told that they created the key", n)
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := openForTest(t, func() time.Time { <-gate; return time.Now() })
		defer s.Close()
		first := make(chan error, 1)
		go func() { first <- s.Put(context.Background(), "first", nil, 0) }()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if created, err := s.Create(ctx, "late", nil, 0); created || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Create behind a stuck disk: %t, %v", created, err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("it came back after %s", took)
		}
		close(gate)
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		if _, found, err := s.Get(context.Background(), "late"); found || err != nil {
			t.Errorf("a write that was given up happened: %t, %v", found, err)
		}
	})
}

func TestCancelledWhileInsideItsBatch(t *testing.T) {
	s := openForTest(t, time.Now)
	defer s.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	put := func(key string) func(*bbolt.Tx, time.Time) (bool, error) {
		return func(tx *bbolt.Tx, _ time.Time) (bool, error) { return true, records{tx}.put([]byte(key), nil, never) }
	}
	gone := &write{ctx: ended, apply: put("gone"), done: make(chan error, 1)}
	live := &write{ctx: t.Context(), apply: put("live"), done: make(chan error, 1)}
	s.answer([]*write{gone, live})
	if err := <-gone.done; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled write ended with %v", err)
	}
	if err := <-live.done; err != nil {
		t.Error(err)
	}
	for key, want := range map[string]bool{"gone": false, "live": true} {
		if _, found, err := s.Get(t.Context(), key); found != want || err != nil {
			t.Errorf("Get(%s) = %t, %v", key, found, err)
		}
	}
}

func TestNothingChangedCostsNoCommit(t *testing.T) {
	ctx := t.Context()
	s := openForTest(t, time.Now)
	defer s.Close()
	if err := s.Put(ctx, "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	before := s.transactions(t)
	if created, err := s.Create(ctx, "k", nil, 0); created || err != nil {
		t.Fatal(created, err)
	}
	if replaced, err := s.Replace(ctx, "k", []byte("other"), nil, 0); replaced || err != nil {
		t.Fatal(replaced, err)
	}
	if err := s.Delete(ctx, "absent"); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.TakeDue(ctx, "q", time.Now(), time.Second, 10); len(ids) != 0 || err != nil {
		t.Fatal(ids, err)
	}
	if n := s.transactions(t) - before; n != 0 {
		t.Errorf("%d transactions", n)
	}
}

func TestBusyStoreForgetsWhatIsOver(t *testing.T) {
	ctx := t.Context()
	var nanos atomic.Int64
	now := func() time.Time { return time.Unix(1_800_000_000, nanos.Load()) }
	s := openForTest(t, now)
	defer s.Close()
	const writes = 300
	most := 0
	for i := range writes {
		if err := s.Put(ctx, fmt.Sprint("k", i), nil, 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		nanos.Add(int64(time.Millisecond))
		most = max(most, s.count(t, recordsBucket))
	}
	if most > 25 {
		t.Errorf("up to %d records were in the file, 10 of them live", most)
	}
	if records, index := s.count(t, recordsBucket), s.count(t, expiriesBucket); records != index {
		t.Errorf("%d records, %d index entries", records, index)
	}
}

func TestIndexFollowsEachChange(t *testing.T) {
	ctx := t.Context()
	s := openForTest(t, time.Now)
	defer s.Close()
	for i := range 20 {
		if err := s.Put(ctx, "k", nil, time.Hour+time.Duration(i)*time.Second); err != nil {
			t.Fatal(err)
		}
		if replaced, err := s.Replace(ctx, "k", nil, nil, time.Hour); !replaced || err != nil {
			t.Fatal(replaced, err)
		}
	}
	if n := s.count(t, expiriesBucket); n != 1 {
		t.Errorf("one record with a lifetime has %d index entries", n)
	}
	if err := s.Put(ctx, "k", nil, 0); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, expiriesBucket); n != 0 {
		t.Errorf("a record without a lifetime has %d index entries", n)
	}
	if err := errors.Join(s.Put(ctx, "k", nil, time.Hour), s.Delete(ctx, "k")); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, expiriesBucket); n != 0 {
		t.Errorf("a deleted record has %d index entries", n)
	}
}

func TestIdleStoreForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openForTest(t, time.Now)
		const over = 2*sweepIdle + 1 // more than one sweep removes
		put := func(tx *bbolt.Tx) error {
			for i := range over {
				if err := (records{tx}).put(fmt.Appendf(nil, "over%d", i), nil, end(time.Now(), time.Second)); err != nil {
					return err
				}
			}
			return records{tx}.put([]byte("live"), nil, end(time.Now(), time.Hour))
		}
		if err := s.db.Update(put); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepEvery + time.Second) // the bubble's clock, which costs no time
		synctest.Wait()
		if n := s.count(t, recordsBucket); n != 1 {
			t.Errorf("%d records are left, want 1", n)
		}
		if n := s.count(t, expiriesBucket); n != 1 {
			t.Errorf("%d index entries are left, want 1", n)
		}
		// The bubble ends only when the goroutine that sweeps has ended.
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDamagedRecordIsAnError(t *testing.T) {
	ctx := t.Context()
	s := openForTest(t, time.Now)
	defer s.Close()
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(recordsBucket).Put([]byte("k"), []byte("short")) })
	if err != nil {
		t.Fatal(err)
	}
	_, found, getErr := s.Get(ctx, "k")
	created, createErr := s.Create(ctx, "k", nil, 0)
	listErr := s.List(ctx, "", func(string, []byte) error { return nil })
	for call, err := range map[string]error{"Get": getErr, "Create": createErr, "List": listErr} {
		if !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if found || created {
		t.Errorf("found %t, created %t", found, created)
	}
}

func TestFileOfAnotherFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wxgate.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte("2")) })
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time shows that the first has let go of the file
		if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), `"2"`) || !strings.Contains(err.Error(), path) {
			t.Errorf("a file of another format: %v", err)
		}
	}
}

func TestNothingEndsEarly(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC)
	for _, ttl := range []time.Duration{1, time.Microsecond, time.Second, time.Second + 1, 290 * 365 * 24 * time.Hour} {
		over := end(now, ttl)
		if over == never || over.reached(now.Add(ttl-1)) {
			t.Errorf("a lifetime of %s is over early, or never", ttl)
		}
		if !over.reached(now.Add(ttl + time.Microsecond)) {
			t.Errorf("a lifetime of %s is late by a microsecond", ttl)
		}
	}
	if end(now, 0) != never {
		t.Error("no lifetime is one")
	}
}
