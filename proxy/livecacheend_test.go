package proxy

import (
	"fmt"
	"testing"
	"time"
)

// A session that was ended on this replica is over here at once, however its
// entry came to be kept.
func TestEndedHereIsOverHere(t *testing.T) {
	for _, tt := range []struct {
		name    string
		happens func(c *entries, key, token string, pass func(time.Duration), visit func())
	}{
		{"no room for its key", func(c *entries, key, token string, pass func(time.Duration), visit func()) {
			p := c.part(&c.keys, key)
			for i := range maxCached / cacheParts {
				e := &entry{key: fmt.Sprint("x", i)}
				e.used.Store(1 << 40)
				p.m[e.key] = e
			}
			visit()
		}},
		{"its key was swept and its token was not", func(c *entries, key, token string, pass func(time.Duration), visit func()) {
			visit()
			pass(keepUnused + 2*time.Second)
			c.part(&c.keys, key).drop(time.Unix(1<<40, 0))
			visit()
			visit()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			g := shelved(t, newShelf(), func() time.Time { return now })
			token, user := g.person(t, "o1")
			key, _ := g.cfg.Sessions.Key(token)
			tt.happens(g.sessions.entries, key, token, func(d time.Duration) { now = now.Add(d) }, func() { g.wantUser(t, token, user) })
			if err := g.sessions.end(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if l, err := g.sessions.get(t.Context(), token); l != nil || err != nil {
				t.Errorf("it is served still, or not known to be over: %v", err)
			}
		})
	}
}
