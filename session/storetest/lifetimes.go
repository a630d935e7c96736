package storetest

import "time"

const second = time.Second

// timeless is a fixture's reason to skip: the exact end of a lifetime shows only under a clock that stands still.
const timeless = "this store's clock cannot be moved, so there is no exact edge to look at"

var lifetimeCases = []testCase{
	{"exact end", func(f *fixture) {
		if f.forward == nil {
			f.Skip(timeless)
		}
		f.put("put", "v", 10*second)
		f.create("created", "v", 10*second)
		f.put("replaced", "v", 0)
		f.replace("replaced", "v", "v", 10*second)
		keys := []string{"put", "created", "replaced"}

		f.forward(10*second - time.Millisecond)
		for _, key := range keys {
			f.wantValue(key, "v")
		}
		if got := f.list(""); len(got) != len(keys) {
			f.Fatalf("a millisecond before the end List shows %v", got)
		}
		if f.create("put", "w", 0) {
			f.Fatal("created over a live record")
		}

		f.forward(time.Millisecond)
		for _, key := range keys {
			f.wantAbsent(key)
			if f.replace(key, "v", "w", 0) {
				f.Fatalf("replaced %s after its end", key)
			}
		}
		if got := f.list(""); len(got) != 0 {
			f.Fatalf("at the end List shows %v", got)
		}
		if !f.create("created", "again", 0) {
			f.Fatal("not created after the end")
		}
		f.delete("put")
		f.forward(1000 * time.Hour)
		f.wantValue("created", "again")
	}},
	{"lifetime is set anew by each write", func(f *fixture) {
		if f.forward == nil {
			f.Skip(timeless)
		}
		f.put("longer by put", "v", 10*second)
		f.put("longer by replace", "v", 10*second)
		f.put("endless by put", "v", 10*second)
		f.put("endless by replace", "v", 10*second)
		f.put("shorter by put", "v", 100*second)
		f.put("shorter by replace", "v", 0)
		f.put("not replaced", "v", 10*second)
		f.put("not created", "v", 10*second)

		f.put("longer by put", "v", 20*second)
		f.put("endless by put", "v", 0)
		f.put("shorter by put", "v", 10*second)
		if !f.replace("longer by replace", "v", "v", 20*second) || !f.replace("endless by replace", "v", "v", 0) ||
			!f.replace("shorter by replace", "v", "v", 10*second) {
			f.Fatal("not replaced")
		}
		if f.replace("not replaced", "other", "v", 100*second) || f.create("not created", "v", 100*second) {
			f.Fatal("replaced or created")
		}

		f.forward(10 * second)
		for _, key := range []string{"shorter by put", "shorter by replace", "not replaced", "not created"} {
			f.wantAbsent(key)
		}
		f.wantValue("longer by put", "v")
		f.wantValue("longer by replace", "v")
		f.forward(10 * second)
		f.wantAbsent("longer by put")
		f.wantAbsent("longer by replace")
		f.forward(1000 * time.Hour)
		f.wantValue("endless by put", "v")
		f.wantValue("endless by replace", "v")
	}},
	{"lifetimes of every size", func(f *fixture) {
		const longest = 290 * 365 * 24 * time.Hour // close to what a Duration holds
		f.put("century", "v", longest)
		f.put("endless", "v", 0)
		f.put("a part of a millisecond", "v", time.Nanosecond)
		f.put("one and a bit", "v", time.Millisecond+time.Nanosecond)
		if f.forward != nil {
			f.forward(2 * time.Millisecond)
		}
		f.eventually("the short ones are gone", func() bool {
			return len(f.list("")) == 2
		})
		f.wantValue("century", "v")
		f.wantValue("endless", "v")
	}},
	{"records end in every store", func(f *fixture) {
		const short = 20 * time.Millisecond
		f.put("put", "v", short)
		f.create("created", "v", short)
		f.put("replaced", "v", 0)
		f.replace("replaced", "v", "v", short)
		f.put("kept by put", "v", short)
		f.put("kept by put", "v", 0)
		f.put("kept by create", "v", 0)
		f.create("kept by create", "v", short)
		if f.forward != nil {
			f.forward(short)
		}
		for _, key := range []string{"put", "created", "replaced"} {
			f.eventually(key+" is gone", func() bool {
				_, found, err := f.Get(f.ctx, key)
				if err != nil {
					f.Fatal(err)
				}
				return !found
			})
			if f.replace(key, "v", "w", 0) {
				f.Fatalf("replaced %s after its end", key)
			}
			if !f.create(key, "again", 0) {
				f.Fatalf("%s was not created after its end", key)
			}
		}
		f.wantValue("kept by create", "v")
	}},
}
