package storetest

import (
	"fmt"
	"strconv"
	"sync/atomic"
)

var contentionCases = []testCase{
	{"one creator wins", func(f *fixture) {
		for round := range 5 {
			key := fmt.Sprint("k", round)
			var winners atomic.Int32
			var winner atomic.Value
			f.inParallel(32, func(i int) error {
				value := fmt.Sprint("creator ", i)
				created, err := f.Create(f.ctx, key, []byte(value), 0)
				if created {
					winners.Add(1)
					winner.Store(value)
				}
				return err
			})
			if n := winners.Load(); n != 1 {
				f.Fatalf("%d of 32 were told that they created the key", n)
			}
			f.wantValue(key, winner.Load().(string))
		}
	}},
	{"one replacer wins", func(f *fixture) {
		for round := range 5 {
			key := fmt.Sprint("k", round)
			f.put(key, "old", 0)
			var winners atomic.Int32
			var winner atomic.Value
			f.inParallel(32, func(i int) error {
				value := fmt.Sprint("replacer ", i)
				replaced, err := f.Replace(f.ctx, key, []byte("old"), []byte(value), 0)
				if replaced {
					winners.Add(1)
					winner.Store(value)
				}
				return err
			})
			if n := winners.Load(); n != 1 {
				f.Fatalf("%d of 32 were told that they replaced the value", n)
			}
			f.wantValue(key, winner.Load().(string))
		}
	}},
	{"nothing counted is lost", func(f *fixture) {
		const workers, each = 8, 20
		f.put("n", "0", 0)
		f.inParallel(workers, func(int) error {
			for done := 0; done < each; {
				old, found, err := f.Get(f.ctx, "n")
				if err != nil || !found {
					return fmt.Errorf("get: %t, %v", found, err)
				}
				n, err := strconv.Atoi(string(old))
				if err != nil {
					return err
				}
				replaced, err := f.Replace(f.ctx, "n", old, []byte(strconv.Itoa(n+1)), 0)
				if err != nil {
					return err
				}
				if replaced {
					done++
				}
			}
			return nil
		})
		f.wantValue("n", strconv.Itoa(workers*each))
	}},
	{"many writers at once", func(f *fixture) {
		const workers, each = 32, 10
		f.inParallel(workers, func(i int) error {
			for j := range each {
				key := fmt.Sprintf("w%d/%d", i, j)
				if created, err := f.Create(f.ctx, key, []byte(key), 0); err != nil || !created {
					return fmt.Errorf("create %s: %t, %v", key, created, err)
				}
				if value, found, err := f.Get(f.ctx, key); err != nil || !found || string(value) != key {
					return fmt.Errorf("get %s after create: %q, %t, %v", key, value, found, err)
				}
				if j%2 == 0 {
					if err := f.Delete(f.ctx, key); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if got := f.list("w"); len(got) != workers*each/2 {
			f.Fatalf("%d records are left of %d", len(got), workers*each/2)
		}
	}},
}
