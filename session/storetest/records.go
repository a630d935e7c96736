package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// oddNames are names that a file format, a wire format or a pattern could trip over.
var oddNames = []string{
	"a",
	"0",
	" ",
	"\x00",
	"\x00\x00",
	"a\x00b",
	"\r\n$5\r\n",
	"*",
	"?",
	"[a]",
	`\`,
	`\E`,
	`a\*b`,
	"{tag}a",
	"\xff\xfe",
	"\xe7\x8e",
	"玩家",
	strings.Repeat("k", 4096),
	strings.Repeat("\xff", 4096),
}

var recordCases = []testCase{
	{"round trip", func(f *fixture) {
		f.wantAbsent("k")
		f.put("k", "one", 0)
		f.wantValue("k", "one")
		f.put("k", "two", 0)
		f.wantValue("k", "two")
		f.wantAbsent("k2")
		f.delete("k")
		f.wantAbsent("k")
	}},
	{"empty value", func(f *fixture) {
		f.put("put", "", 0)
		f.wantValue("put", "")
		if err := f.Put(f.ctx, "nil", nil, 0); err != nil {
			f.Fatal(err)
		}
		f.wantValue("nil", "")
		if !f.create("created", "", 0) {
			f.Fatal("an absent key was not created")
		}
		if f.create("created", "x", 0) {
			f.Fatal("a key with an empty value counts as absent")
		}
		if f.replace("absent", "", "x", 0) {
			f.Fatal("an absent key counts as one with an empty value")
		}
		if !f.replace("created", "", "full", 0) || !f.replace("created", "full", "", 0) {
			f.Fatal("an empty value was not replaced, or not set")
		}
		f.wantValue("created", "")
		if got := f.list("created"); len(got) != 1 {
			f.Fatalf("List shows %v", got)
		}
	}},
	{"values of any bytes and size", func(f *fixture) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for _, value := range []string{string(all), "\r\n", "$-1\r\n", strings.Repeat("v", 1<<20)} {
			f.put("k", value, 0)
			f.wantValue("k", value)
			if !f.replace("k", value, value+"!", 0) {
				f.Fatalf("%.20q was not replaced", value)
			}
			f.wantValue("k", value+"!")
		}
	}},
	{"keys of any bytes", func(f *fixture) {
		for _, key := range oddNames {
			f.put(key, "value of "+key, 0)
		}
		for _, key := range oddNames {
			f.wantValue(key, "value of "+key)
		}
		got := f.list("")
		if len(got) != len(oddNames) {
			f.Fatalf("List shows %d records of %d", len(got), len(oddNames))
		}
		for _, key := range oddNames {
			if got[key] != "value of "+key {
				f.Errorf("List shows %.60q for key %.60q", got[key], key)
			}
			f.delete(key)
			f.wantAbsent(key)
		}
	}},
	{"senseless questions", func(f *fixture) {
		long := strings.Repeat("k", 4097)
		for _, name := range []string{"", long} {
			_, _, getErr := f.Get(f.ctx, name)
			_, createErr := f.Create(f.ctx, name, nil, 0)
			_, replaceErr := f.Replace(f.ctx, name, nil, nil, 0)
			_, takeErr := f.TakeDue(f.ctx, name, epoch, second, 1)
			_, lenErr := f.QueueLen(f.ctx, name)
			for call, err := range map[string]error{
				"Get": getErr, "Create": createErr, "Replace": replaceErr, "TakeDue": takeErr, "QueueLen": lenErr,
				"Put":               f.Put(f.ctx, name, nil, 0),
				"Delete":            f.Delete(f.ctx, name),
				"Schedule to queue": f.Schedule(f.ctx, name, "id", epoch),
				"Schedule id":       f.Schedule(f.ctx, "queue", name, epoch),
				"Done in queue":     f.Done(f.ctx, name, "id"),
				"Done with id":      f.Done(f.ctx, "queue", name),
			} {
				if err == nil {
					f.Errorf("%s takes a name of %d bytes", call, len(name))
				}
			}
		}
		_, createErr := f.Create(f.ctx, "k", nil, -second)
		_, replaceErr := f.Replace(f.ctx, "k", nil, nil, -second)
		_, takeErr := f.TakeDue(f.ctx, "q", epoch, 0, 1)
		for call, err := range map[string]error{
			"Put": f.Put(f.ctx, "k", nil, -second), "Create": createErr, "Replace": replaceErr, "TakeDue": takeErr,
		} {
			if err == nil {
				f.Errorf("%s takes a lifetime or lease that is over before it begins", call)
			}
		}
		f.wantAbsent("k")
	}},
	{"delete of the absent", func(f *fixture) {
		f.delete("k")
		f.put("k", "v", 0)
		f.delete("k")
		f.delete("k")
		f.wantAbsent("k")
	}},
	{"create only the absent", func(f *fixture) {
		if !f.create("k", "one", 0) {
			f.Fatal("an absent key was not created")
		}
		if f.create("k", "two", 0) || f.create("k", "one", 0) {
			f.Fatal("a key was created twice")
		}
		f.wantValue("k", "one")
		f.delete("k")
		if !f.create("k", "two", 0) {
			f.Fatal("a deleted key was not created")
		}
		f.wantValue("k", "two")
	}},
	{"replace only the unchanged", func(f *fixture) {
		f.put("k", "one", 0)
		if f.replace("k", "On", "two", 0) || f.replace("k", "one ", "two", 0) || f.replace("k", "", "two", 0) {
			f.Fatal("replaced a value that is another")
		}
		f.wantValue("k", "one")
		if !f.replace("k", "one", "two", 0) {
			f.Fatal("not replaced")
		}
		f.wantValue("k", "two")
		if !f.replace("k", "two", "two", 0) {
			f.Fatal("not replaced by the same")
		}
	}},
	{"replace does not bring back the deleted", func(f *fixture) {
		f.put("k", "one", 0)
		f.delete("k")
		if f.replace("k", "one", "two", 0) {
			f.Fatal("replaced")
		}
		f.wantAbsent("k")
	}},
}

var ownershipCases = []testCase{
	{"bytes handed in are not kept", func(f *fixture) {
		scribble := func(b []byte) {
			for i := range b {
				b[i] = 'X'
			}
		}
		for i := range 50 {
			key := fmt.Sprint("k", i)
			value := []byte("put")
			if err := f.Put(f.ctx, key, value, 0); err != nil {
				f.Fatal(err)
			}
			scribble(value)
			f.wantValue(key, "put")

			old, next := []byte("put"), []byte("replaced")
			if replaced, err := f.Replace(f.ctx, key, old, next, 0); err != nil || !replaced {
				f.Fatal(replaced, err)
			}
			scribble(old)
			scribble(next)
			f.wantValue(key, "replaced")

			value = []byte("created")
			if created, err := f.Create(f.ctx, "c"+key, value, 0); err != nil || !created {
				f.Fatal(created, err)
			}
			scribble(value)
			f.wantValue("c"+key, "created")
		}
	}},
	{"bytes handed out belong to the caller", func(f *fixture) {
		const records = 64
		for i := range records {
			f.put(fmt.Sprint("k", i), fmt.Sprint("value ", i), 0)
		}
		got, listed := map[string][]byte{}, map[string][]byte{}
		for i := range records {
			key := fmt.Sprint("k", i)
			value, found, err := f.Get(f.ctx, key)
			if err != nil || !found {
				f.Fatal(found, err)
			}
			got[key] = value
		}
		err := f.List(f.ctx, "k", func(key string, value []byte) error {
			listed[key] = value
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
		// Overwriting everything, and more of it than fits where it was, would show bytes that are only borrowed.
		big := strings.Repeat("other", 10_000)
		f.inParallel(records, func(i int) error {
			return f.Put(f.ctx, fmt.Sprint("k", i), []byte(big), 0)
		})
		for i := range records {
			key, want := fmt.Sprint("k", i), fmt.Appendf(nil, "value %d", i)
			if !bytes.Equal(got[key], want) || !bytes.Equal(listed[key], want) {
				f.Fatalf("bytes of %s changed in the caller's hands: %.20q from Get, %.20q from List", key, got[key], listed[key])
			}
			// The caller may write to them, and to what append finds behind them.
			for j := range got[key] {
				got[key][j] = 'X'
				listed[key][j] = 'Y'
			}
			_ = append(got[key], "more"...)
			_ = append(listed[key], "more"...)
			f.wantValue(key, big)
		}
	}},
}

// RunShared tests that two handles on the same store, as two replicas have, see each other's writes at once.
func RunShared(t *testing.T, a, b Store) {
	fa, fb := &fixture{T: t, Store: a, ctx: t.Context()}, &fixture{T: t, Store: b, ctx: t.Context()}
	for i := range 20 {
		key := fmt.Sprint("shared ", i)
		if !fa.create(key, "a", 0) {
			t.Fatal("an absent key was not created")
		}
		fb.wantValue(key, "a")
		if fb.create(key, "b", 0) {
			t.Fatal("both handles created a key")
		}
		if !fb.replace(key, "a", "b", 0) || fa.replace(key, "a", "c", 0) {
			t.Fatal("a replaced value counts as unchanged for the other handle")
		}
		fa.wantValue(key, "b")
		if got := fa.list(key); got[key] != "b" {
			t.Fatalf("List shows %v", got)
		}
		fb.delete(key)
		fa.wantAbsent(key)
	}
	fa.schedule("shared", "id", epoch)
	fb.wantLen("shared", 1)
	if ids := fb.takeDue("shared", epoch, second, 1); len(ids) != 1 {
		t.Fatalf("took %q", ids)
	}
	if ids := fa.takeDue("shared", epoch, second, 1); len(ids) != 0 {
		t.Fatalf("took %q, which the other handle has", ids)
	}
	fb.done("shared", "id")
	fa.wantLen("shared", 0)

	winners := make(chan Store, 40)
	fa.inParallel(40, func(i int) error {
		store := []Store{a, b}[i%2]
		created, err := store.Create(fa.ctx, "raced", []byte{byte(i)}, 0)
		if created {
			winners <- store
		}
		return err
	})
	if len(winners) != 1 {
		t.Fatalf("%d of two handles' 40 creators won", len(winners))
	}
}
