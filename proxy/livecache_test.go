package proxy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestEntriesAreFoundByTokenAndKey(t *testing.T) {
	t.Parallel()
	c, now := newEntries(), time.Unix(1000, 0)
	one := c.keep("token", &entry{key: "s:1"}, now)
	if again := c.keep("another spelling", &entry{key: "s:1"}, now); again != one {
		t.Error("one session has two entries")
	}
	if c.keep("", &entry{key: "s:2"}, now) == one {
		t.Error("two sessions have one entry")
	}
	for _, e := range []*entry{c.byToken("token"), c.byToken("another spelling"), c.byKey("s:1")} {
		if e != one {
			t.Errorf("found %p, want %p", e, one)
		}
	}
	if c.byToken("s:1") != nil || c.byKey("token") != nil || c.byToken("") != nil {
		t.Error("a name of one kind is found as the other")
	}
	seen := 0
	c.each(func(*entry) { seen++ })
	if seen != 2 || c.size() != 2 {
		t.Errorf("%d entries are seen, %d counted", seen, c.size())
	}
	one.use(now.Add(time.Minute))
	c.sweep(now.Add(keepUnused + time.Second))
	if c.byToken("token") != one || c.byKey("s:1") != one || c.byKey("s:2") != nil {
		t.Error("swept what was used, or kept what was not")
	}
	c.sweep(now.Add(keepUnused + 2*time.Minute))
	if c.byToken("token") != nil || c.size() != 0 {
		t.Error("what nobody uses stays")
	}
}

// More sessions than the cache holds: those that come find a place as soon as
// others are not asked for any more, and memory stays bounded.
func TestFullCacheMakesRoom(t *testing.T) {
	t.Parallel()
	c, now := newEntries(), time.Unix(1000, 0)
	fill := func(from, to int) (kept int) {
		for i := from; i < to; i++ {
			name := fmt.Sprint(i)
			if e := c.keep(name, &entry{key: name}, now); e == nil {
				t.Fatal("no entry")
			}
			if c.byKey(name) != nil && c.byToken(name) != nil {
				kept++
			}
		}
		return kept
	}
	if kept := fill(0, 3*maxCached/2); kept > maxCached || kept < maxCached*9/10 {
		t.Errorf("%d of %d entries are kept", kept, 3*maxCached/2)
	}
	now = now.Add(cacheLife / 2)
	const news = maxCached / 20
	if kept := fill(2*maxCached, 2*maxCached+news); kept != 0 {
		t.Errorf("%d entries took the place of others that are in use", kept)
	}
	now = now.Add(cacheLife)
	if kept := fill(2*maxCached, 2*maxCached+news); kept < news*9/10 {
		t.Errorf("only %d of %d entries found a place", kept, news)
	}
	if n := c.size(); n > maxCached {
		t.Errorf("%d entries", n)
	}
}

// shelvedCrowd is a gateway with this many sessions in memory, where no time
// passes.
func shelvedCrowd(b *testing.B, people int) (*Server, []string) {
	start := time.Now()
	g := shelved(b, newShelf(), func() time.Time { return start })
	tokens := make([]string, people)
	for i := range people {
		token, user := g.person(b, fmt.Sprint("o", i))
		tokens[i] = token
		g.wantUser(b, token, user)
	}
	return g, tokens
}

// BenchmarkSessionsGet is what every request with a session in memory pays to
// find it.
func BenchmarkSessionsGet(b *testing.B) {
	g, tokens := shelvedCrowd(b, 1)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if l, err := g.sessions.get(b.Context(), tokens[0]); err != nil || l == nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		ctx := b.Context()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if l, err := g.sessions.get(ctx, tokens[0]); err != nil || l == nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkSessionsGetOfMany asks for sessions of many in turn, while the cache
// is swept without a pause, and says how long the slowest in a hundred took.
func BenchmarkSessionsGetOfMany(b *testing.B) {
	const people = 100_000
	g, tokens := shelvedCrowd(b, people)
	for _, sweeping := range []bool{false, true} {
		b.Run(fmt.Sprintf("sweeping %v", sweeping), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var sweeper sync.WaitGroup
			defer sweeper.Wait()
			defer cancel()
			if sweeping {
				sweeper.Go(func() {
					for ctx.Err() == nil {
						g.sessions.sweep()
						runtime.Gosched()
					}
				})
			}
			var mu sync.Mutex
			var all []time.Duration
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var took []time.Duration
				for i := rand.IntN(people); pb.Next(); i = (i + 7919) % people {
					start := time.Now()
					if l, err := g.sessions.get(ctx, tokens[i]); err != nil || l == nil {
						b.Error(err)
					}
					took = append(took, time.Since(start))
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, took...)
			})
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(all[len(all)-1].Nanoseconds()), "max-ns")
		})
	}
}

// BenchmarkSessionsSweep walks through a cache of many sessions, of which each
// part is closed to requests for its share of the time.
func BenchmarkSessionsSweep(b *testing.B) {
	g, _ := shelvedCrowd(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		g.sessions.sweep()
	}
}
