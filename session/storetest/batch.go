package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

func put(key, value string) Write { return Write{Op: "put", Key: key, Value: []byte(value)} }

func create(key, value string) Write { return Write{Op: "create", Key: key, Value: []byte(value)} }

func replace(key, old, value string) Write {
	return Write{Op: "replace", Key: key, Old: []byte(old), Value: []byte(value)}
}

func (f *fixture) batch(writes []Write, keys ...string) (done []bool, values [][]byte) {
	f.Helper()
	done, values, err := f.Batch(f.ctx, writes, keys...)
	if err != nil || len(done) != len(writes) || len(values) != len(keys) {
		f.Fatalf("Batch of %d writes and %d reads = %v, %d values, %v", len(writes), len(keys), done, len(values), err)
	}
	return done, values
}

// wantMany checks values; an absent one is wanted as "-".
func (f *fixture) wantMany(values [][]byte, want ...string) {
	f.Helper()
	var got []string
	for _, v := range values {
		if v == nil {
			got = append(got, "-")
		} else {
			got = append(got, string(v))
		}
	}
	if fmt.Sprintf("%.60q", got) != fmt.Sprintf("%.60q", want) {
		f.Fatalf("values %.60q, want %.60q", got, want)
	}
}

var batchCases = []testCase{
	{"many reads", func(f *fixture) {
		f.put("a", "1", 0)
		f.put("empty", "", 0)
		for _, keys := range [][]string{nil, {"a"}, {"none"}, {"a", "none", "empty", "b"}, {"empty", "a"}} {
			values, err := f.GetMany(f.ctx, keys...)
			if err != nil || len(values) != len(keys) {
				f.Fatalf("GetMany(%q) = %q, %v", keys, values, err)
			}
			var want []string
			for _, key := range keys {
				want = append(want, map[string]string{"a": "1", "empty": ""}[key])
				if key == "none" || key == "b" {
					want[len(want)-1] = "-"
				}
			}
			f.wantMany(values, want...)
		}
		values, err := f.GetMany(f.ctx, oddNames...)
		if err != nil || len(values) != len(oddNames) || string(values[0]) != "1" {
			f.Fatalf("odd names: %.60q, %v", values, err)
		}
	}},
	{"many writes", func(f *fixture) {
		f.put("r", "old", 0)
		f.put("there", "x", 0)
		done, values := f.batch([]Write{put("p", "1"), create("c", "2"), replace("r", "old", "3"), create("there", "y")}, "there", "none")
		if fmt.Sprint(done) != "[true true true false]" {
			f.Errorf("done %v", done)
		}
		f.wantMany(values, "x", "-")
		for key, want := range map[string]string{"p": "1", "c": "2", "r": "3", "there": "x"} {
			f.wantValue(key, want)
		}
		// What fails stops nothing else.
		done, _ = f.batch([]Write{replace("r", "old", "4"), create("c", "4"), replace("none", "", "4"), put("p", "4"), replace("p2", "", "4")})
		if fmt.Sprint(done) != "[false false false true false]" {
			f.Errorf("done %v", done)
		}
		for key, want := range map[string]string{"p": "4", "c": "2", "r": "3"} {
			f.wantValue(key, want)
		}
		f.wantAbsent("none")
		f.wantAbsent("p2")
		// Of one, of none, and of reads alone.
		if done, _ = f.batch([]Write{replace("r", "3", "")}); !done[0] {
			f.Error("a single write was not made")
		}
		if done, _ = f.batch([]Write{replace("r", "", "5")}); !done[0] {
			f.Error("an empty value was not replaced")
		}
		f.batch(nil)
		_, values = f.batch(nil, "r")
		f.wantMany(values, "5")
		_, values = f.batch(nil, "none", "p")
		f.wantMany(values, "-", "4")
	}},
	{"lifetimes in a batch", func(f *fixture) {
		w := []Write{put("p", "1"), create("c", "1"), replace("r", "0", "1"), put("stays", "1")}
		f.put("r", "0", 0)
		for i := range w[:3] {
			w[i].TTL = 50 * time.Millisecond
		}
		f.batch(w)
		if f.forward != nil {
			f.forward(49 * time.Millisecond)
			_, values := f.batch(nil, "p", "c", "r", "stays")
			f.wantMany(values, "1", "1", "1", "1")
			f.forward(time.Millisecond)
		}
		f.eventually("the records are gone", func() bool {
			_, values := f.batch(nil, "p", "c", "r", "stays")
			return values[0] == nil && values[1] == nil && values[2] == nil && values[3] != nil
		})
		done, _ := f.batch([]Write{create("c", "2"), replace("r", "1", "2")})
		if !done[0] || done[1] {
			f.Errorf("after the end of their lives: %v", done)
		}
	}},
	{"senseless batches", func(f *fixture) {
		long := strings.Repeat("k", 4097)
		for name, w := range map[string]Write{
			"no operation":      {Key: "k"},
			"unknown operation": {Op: "delete", Key: "k"},
			"empty key":         put("", "v"),
			"long key":          put(long, "v"),
			"negative lifetime": {Op: "put", Key: "k", TTL: -second},
		} {
			if _, _, err := f.Batch(f.ctx, []Write{put("other", "v"), w}); err == nil {
				f.Errorf("%s: no error", name)
			}
		}
		for _, key := range []string{"", long} {
			if _, err := f.GetMany(f.ctx, "k", key); err == nil {
				f.Errorf("GetMany takes a key of %d bytes", len(key))
			}
			if _, _, err := f.Batch(f.ctx, []Write{put("other", "v")}, key); err == nil {
				f.Errorf("Batch takes a key of %d bytes", len(key))
			}
		}
		f.wantAbsent("other")
	}},
	{"one of many batches wins", func(f *fixture) {
		f.put("r", "old", 0)
		created, replaced := make(chan int, 32), make(chan int, 32)
		f.inParallel(32, func(i int) error {
			value := fmt.Sprint("writer ", i)
			done, _, err := f.Batch(f.ctx, []Write{create("c", value), replace("r", "old", value), put(fmt.Sprint("p", i), value)}, "c")
			if err == nil && done[0] {
				created <- i
			}
			if err == nil && done[1] {
				replaced <- i
			}
			return err
		})
		if len(created) != 1 || len(replaced) != 1 {
			f.Fatalf("%d of 32 created, %d replaced", len(created), len(replaced))
		}
		f.wantValue("c", fmt.Sprint("writer ", <-created))
		f.wantValue("r", fmt.Sprint("writer ", <-replaced))
		if got := f.list("p"); len(got) != 32 {
			f.Errorf("%d of 32 were put", len(got))
		}
	}},
	{"bytes of a batch", func(f *fixture) {
		value, old := []byte("new"), []byte("old")
		f.put("k", "old", 0)
		f.put("l", "old", 0)
		_, values := f.batch([]Write{{Op: "replace", Key: "k", Old: old, Value: value}, {Op: "put", Key: "p", Value: value}}, "l")
		copy(value, "XXX")
		copy(old, "XXX")
		f.wantValue("k", "new")
		f.wantValue("p", "new")
		for i := range 64 {
			f.put(fmt.Sprint("big", i), strings.Repeat("other", 1000), 0)
		}
		if !bytes.Equal(values[0], []byte("old")) {
			f.Errorf("bytes that were handed out changed to %q", values[0])
		}
		copy(values[0], "YYY")
		f.wantValue("l", "old")
	}},
}
