package proxy

import (
	"testing"
	"time"
)

// A sweep comes to an entry's key, then a request to the entry, then the sweep
// to its token: the session can be ended here all the same.
func TestVisitInTheMiddleOfASweep(t *testing.T) {
	now := time.Now()
	g := shelved(t, newShelf(), func() time.Time { return now })
	token, user := g.person(t, "o1")
	key, _ := g.cfg.Sessions.Key(token)
	c := g.sessions.entries
	g.wantUser(t, token, user)
	now = now.Add(keepUnused + 2*time.Second)
	since := now.Add(-keepUnused)
	c.part(&c.keys, key).drop(since)
	if c.byKey(key) != nil {
		t.Fatal("the sweep left the key")
	}
	g.wantUser(t, token, user)
	c.part(&c.tokens, token).drop(since)
	for range 100 { // busy, so that no later sweep takes it
		now = now.Add(3 * time.Second)
		g.wantUser(t, token, user)
		g.sessions.sweep()
	}
	if e := c.byKey(key); e == nil || e != c.byToken(token) {
		t.Errorf("by its key it is %p, by its token %p", e, c.byToken(token))
	}
	if err := g.sessions.end(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if l, err := g.sessions.get(t.Context(), token); l != nil || err != nil {
		t.Errorf("ended here, and got %+v, %v", l, err)
	}
}
