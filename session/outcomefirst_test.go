package session

import (
	"bytes"
	"slices"
	"testing"
)

// In a Cluster the outcome of a login may be stored before its session. Who
// reads it there gives the token away, and the writer may die before the list.
func TestTokenGivenAwayBeforeItsSessionIsListed(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", b.beginning(t, "u1", map[string][]byte{ListKey("u1"): nil}))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := b.Key(out.Token)
	record := bytes.Clone(b.store.values[key])
	delete(b.store.values, key)
	delete(b.store.values, listPrefix+"u1")
	again, _, err := r.Redeem(t.Context(), "wx1", "code", "state", nil)
	if err != nil || again.Token != out.Token {
		t.Fatal(again, err)
	}
	b.store.values[key] = record
	if _, found, err := b.Load(t.Context(), key); !found || err != nil {
		t.Fatal(found, err)
	}
	if !slices.Contains(b.sids(t, "u1"), sid(key)) {
		t.Error("the session lives, and nobody who ends the user's sessions finds it")
	}
}
