package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// fill writes n records, many at a time because a durable store syncs each of a lone writer's.
func (f *fixture) fill(prefix string, n int, ttl time.Duration) {
	f.Helper()
	const workers = 64
	f.inParallel(workers, func(w int) error {
		for i := w; i < n; i += workers {
			key := fmt.Sprintf("%s%05d", prefix, i)
			if err := f.Put(f.ctx, key, []byte("value of "+key), ttl); err != nil {
				return err
			}
		}
		return nil
	})
}

var errStop = errors.New("stop here")

var listCases = []testCase{
	{"list nothing", func(f *fixture) {
		if got := f.list(""); len(got) != 0 {
			f.Fatalf("an empty store shows %v", got)
		}
		f.put("a", "v", 0)
		if got := f.list("b"); len(got) != 0 {
			f.Fatalf("List(b) shows %v", got)
		}
	}},
	{"list by prefix", func(f *fixture) {
		for _, key := range []string{"a", "a/", "a/1", "a/2", "a0", "b/1", "A/1", "ba/1"} {
			f.put(key, "value of "+key, 0)
		}
		got := f.list("a/")
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"a/", "a/1", "a/2"}) {
			f.Fatalf("List(a/) shows %q", keys)
		}
		for key, value := range got {
			if value != "value of "+key {
				f.Errorf("List shows %q for %q", value, key)
			}
		}
	}},
	{"list takes the prefix literally", func(f *fixture) {
		var prefixes []string
		for _, name := range oddNames {
			if len(name) < 4000 { // else a key could not be longer
				prefixes = append(prefixes, "<"+name+">")
			}
		}
		for _, prefix := range prefixes {
			f.put(prefix+"1", "", 0)
			f.put(prefix+"2", "", 0)
		}
		f.put("<xyz>1", "", 0)
		f.put("<>1", "", 0)
		for _, prefix := range prefixes {
			got := slices.Sorted(maps.Keys(f.list(prefix)))
			if !slices.Equal(got, []string{prefix + "1", prefix + "2"}) {
				f.Errorf("List(%q) shows %q", prefix, got)
			}
		}
	}},
	{"list of many thousands", func(f *fixture) {
		const n = 5000
		f.fill("many/", n, 0)
		f.fill("other/", 1000, 0)
		got := f.list("many/")
		if len(got) != n {
			f.Fatalf("List shows %d of %d records", len(got), n)
		}
		for key, value := range got {
			if value != "value of "+key {
				f.Fatalf("List shows %q for %q", value, key)
			}
		}
		if all := f.list(""); len(all) != n+1000 {
			f.Fatalf("List of all shows %d records", len(all))
		}
	}},
	{"list hides what is over", func(f *fixture) {
		f.fill("live/", 600, 0)
		f.fill("over/", 600, time.Millisecond)
		if f.forward != nil {
			f.forward(time.Millisecond)
		}
		f.eventually("only live records are shown", func() bool { return len(f.list("")) == 600 })
	}},
	{"list while writing", func(f *fixture) {
		const n = 1500
		f.fill("k/", n, 0)
		seen := map[string]int{}
		err := f.List(f.ctx, "k/", func(key string, value []byte) error {
			seen[key]++
			// Values this large make a file grow, which an open read would stand in the way of.
			if len(seen)%100 == 0 {
				if err := f.Put(f.ctx, "new/"+key, make([]byte, 1<<18), 0); err != nil {
					return err
				}
				if err := f.Delete(f.ctx, key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
		for key, times := range seen {
			if times != 1 {
				f.Errorf("%s was shown %d times", key, times)
			}
		}
		if len(seen) != n {
			f.Errorf("List showed %d of %d records", len(seen), n)
		}
		if left := len(f.list("k/")); left != n-n/100 {
			f.Errorf("%d records are left, want %d", left, n-n/100)
		}
		if added := len(f.list("new/")); added != n/100 {
			f.Errorf("%d records were added, want %d", added, n/100)
		}
	}},
	{"list shows each change once", func(f *fixture) {
		const n = 600
		f.fill("k/", n, 0)
		seen := 0
		err := f.List(f.ctx, "k/", func(key string, value []byte) error {
			seen++
			replaced, err := f.Replace(f.ctx, key, value, append(value, '!'), 0)
			if err == nil && !replaced {
				err = fmt.Errorf("%s has another value than List shows", key)
			}
			return err
		})
		if err != nil || seen != n {
			f.Fatalf("List showed %d of %d records: %v", seen, n, err)
		}
		for key, value := range f.list("k/") {
			if value != "value of "+key+"!" {
				f.Fatalf("%s has become %q", key, value)
			}
		}
	}},
	{"list stops at an error", func(f *fixture) {
		f.fill("k/", 700, 0)
		calls := 0
		err := f.List(f.ctx, "k/", func(string, []byte) error {
			calls++
			if calls == 3 {
				return errStop
			}
			return nil
		})
		if err != errStop || calls != 3 {
			f.Fatalf("List returned %v after %d calls", err, calls)
		}
	}},
	{"list stops with its context", func(f *fixture) {
		f.fill("k/", 700, 0)
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		calls := 0
		err := f.List(ctx, "k/", func(string, []byte) error {
			calls++
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) || calls != 1 {
			f.Fatalf("List returned %v after %d calls", err, calls)
		}
	}},
}
