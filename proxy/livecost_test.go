package proxy

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/securecookie"
)

// legacyKey signs session tokens, see session.NewManager.
func legacyKey(t *testing.T) []byte {
	t.Helper()
	key, err := hkdf.Key(sha256.New, shelfSecrets[0], nil, "wxgate session cookie v1", 32)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A thousand requests come at once with a session that is not in memory, and
// again when what is in memory is too old.
func TestHerdReadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newShelf()
		g := shelved(t, store, time.Now)
		token, user := g.person(t, "o1")
		for _, when := range []string{"cold", "too old"} {
			store.took()
			answer := make(chan struct{})
			store.before = func() { <-answer }
			var herd sync.WaitGroup
			var right atomic.Int32
			for range 1000 {
				herd.Go(func() {
					if l, err := g.sessions.get(t.Context(), strings.Clone(token)); err == nil && l != nil && l.user.ID == user {
						right.Add(1)
					}
				})
			}
			synctest.Wait() // all of them wait for the store
			close(answer)
			herd.Wait()
			if took := store.took(); took != "s+u" || right.Load() != 1000 {
				t.Errorf("%s: the store was asked for %q, and %d requests were answered rightly", when, took, right.Load())
			}
			store.before = nil
			g.wantUser(t, token, user)
			if took := store.took(); took != "" {
				t.Errorf("%s: then it was asked for %q", when, took)
			}
			time.Sleep(cacheLife) // in the bubble
		}
	})
}

// Whatever is known of a session beforehand, one round trip reads it, and what
// was not known is read once.
func TestSessionCostsOneTrip(t *testing.T) {
	t.Parallel()
	var clock clock
	store := newShelf()
	g := shelved(t, store, clock.now)
	token, user := g.person(t, "o1")
	cost := func(what, token, user, want string) {
		t.Helper()
		store.took()
		g.wantUser(t, token, user)
		if took := store.took(); took != want {
			t.Errorf("%s: the store was asked for %q, want %q", what, took, want)
		}
		g.wantUser(t, token, user)
		if took := store.took(); took != "" {
			t.Errorf("%s: and once more for %q", what, took)
		}
		clock.advance(cacheLife)
	}
	cost("cold", token, user, "s+u")
	cost("known", token, user, "s+u")

	// The user became another one: the first look finds out, further ones know.
	_, other := g.person(t, "o2")
	if _, _, err := g.cfg.Users.Merge(t.Context(), other, user); err != nil {
		t.Fatal(err)
	}
	cost("merged", token, other, "s+u, u")
	cost("merged, known", token, other, "s+u+u")
	g = shelved(t, store, clock.now)
	cost("merged, cold", token, other, "s+u, u")
	cost("merged, then known", token, other, "s+u+u")

	// A token of a version that put nothing into it, as stored by that one.
	old := strings.Repeat("a", 43)
	legacy, err := securecookie.New(legacyKey(t), nil).MaxAge(0).SetSerializer(securecookie.JSONEncoder{}).Encode("session", old)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := g.cfg.Sessions.Key(legacy)
	if !ok {
		t.Fatal("a token of a former version is refused")
	}
	record, _ := g.cfg.Sessions.Key(token)
	store.m[key] = bytes.ReplaceAll(store.m[record], []byte(record), []byte(key))
	cost("a former token", legacy, other, "s, u, u")
	cost("a former token, known", legacy, other, "s+u+u")
}

// One read for each session in five seconds, in whatever order requests come.
func TestRandomAccessReadsSeldom(t *testing.T) {
	t.Parallel()
	const people, requests = 5000, 100_000
	var clock clock
	start := clock.now()
	at := start
	store := newShelf()
	g := shelved(t, store, func() time.Time { return at })
	tokens, users := make([]string, people), make([]string, people)
	for i := range people {
		tokens[i], users[i] = g.person(t, fmt.Sprint("o", i))
	}
	store.took()
	rng := rand.New(rand.NewPCG(1, 2))
	want := 0
	readAt := make([]time.Time, people)
	for range requests {
		at = at.Add(200 * time.Microsecond) // twenty seconds in all
		i := rng.IntN(people)
		if readAt[i].IsZero() || at.Sub(readAt[i]) >= cacheLife {
			readAt[i] = at
			want++
		}
		g.wantUser(t, tokens[i], users[i])
		if rng.IntN(10_000) == 0 {
			g.sessions.sweep()
		}
	}
	got := strings.Split(store.took(), ", ")
	for _, trip := range got {
		if trip != "s+u" {
			t.Fatalf("the store was asked for %q", trip)
		}
	}
	if len(got) != want || want > people*5 {
		t.Errorf("%d reads of %d sessions in %v, want %d", len(got), people, at.Sub(start), want)
	}
}

func TestRandomAccessOnRedis(t *testing.T) {
	t.Parallel()
	const people, rounds = 200, 3
	_, trips, store := onRedis(t)
	var clock clock
	g := shelved(t, store, clock.now)
	tokens, users := make([]string, people), make([]string, people)
	for i := range people {
		tokens[i], users[i] = g.person(t, fmt.Sprint("o", i))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		before := trips.trips.Load()
		for range 5 {
			for _, i := range rng.Perm(people) {
				g.wantUser(t, tokens[i], users[i])
			}
		}
		if n := trips.trips.Load() - before; n != people {
			t.Errorf("round %d: %d round trips on the wire for %d sessions", round, n, people)
		}
		clock.advance(cacheLife)
	}
	// A herd on the wire.
	before := trips.trips.Load()
	var herd sync.WaitGroup
	for range 1000 {
		herd.Go(func() {
			if l, err := g.sessions.get(t.Context(), tokens[0]); err != nil || l == nil || l.user.ID != users[0] {
				t.Errorf("%+v, %v", l, err)
			}
		})
	}
	herd.Wait()
	if n := trips.trips.Load() - before; n != 1 {
		t.Errorf("%d round trips for a thousand requests of one session", n)
	}
}
