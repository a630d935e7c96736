package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// beginning is an exchange that begins a session.
func (b *bench) beginning(t *testing.T, user string, read map[string][]byte) func(context.Context, *Redemption) Outcome {
	return func(ctx context.Context, x *Redemption) Outcome {
		token, s, err := x.Begin(ctx, Session{User: user, AppID: "wx1", OpenID: "o1"}, read)
		if err != nil {
			return Outcome{Failure: "store"}
		}
		if s.User != user || !s.ExpiresAt.Equal(b.clock.Add(b.ttl)) || !s.LastSeen.Equal(b.clock) {
			t.Errorf("began %+v", s)
		}
		return Outcome{Token: token}
	}
}

func TestRedemptionBeginsInOneWrite(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	none := func() map[string][]byte { return map[string][]byte{ListKey("u1"): nil} }
	for _, c := range []struct {
		code  string
		read  func() map[string][]byte
		calls map[string]int
	}{
		{"a new user", none, map[string]int{"Create": 1, "Batch": 1}},
		{"who has a session", func() map[string][]byte { return nil }, map[string]int{"Create": 1, "Get": 1, "Batch": 1}},
		{"whose list was read", func() map[string][]byte {
			return map[string][]byte{ListKey("u1"): bytes.Clone(b.store.values[ListKey("u1")])}
		}, map[string]int{"Create": 1, "Batch": 1}},
		{"who is not new after all", none, map[string]int{"Create": 1, "Get": 1, "Batch": 2}},
	} {
		clear(b.store.count)
		out, replayed, err := r.Redeem(t.Context(), "wx1", c.code, "state", b.beginning(t, "u1", c.read()))
		if err != nil || replayed || out.Token == "" {
			t.Fatalf("%s: %+v, %v, %v", c.code, out, replayed, err)
		}
		if fmt.Sprint(b.store.count) != fmt.Sprint(c.calls) {
			t.Errorf("%s: the calls %v, want %v", c.code, b.store.count, c.calls)
		}
		key, _ := b.Key(out.Token)
		if s, found, err := b.Load(t.Context(), key); !found || err != nil || s.User != "u1" || !slices.Contains(b.sids(t, "u1"), sid(key)) {
			t.Errorf("%s: %+v, %v", c.code, s, err)
		}
		again, replayed, err := r.Redeem(t.Context(), "wx1", c.code, "state", nil)
		if err != nil || !replayed || again != out {
			t.Errorf("%s, delivered again: %+v, %v, %v", c.code, again, replayed, err)
		}
	}
	if n := len(b.sids(t, "u1")); n != 4 {
		t.Errorf("%d sessions", n)
	}
}

// The process dies after any of the writes that go together. Whoever is told a
// token by a second delivery has a session, or none at all, and never one that
// is not listed.
func TestReplayedTokensAreListed(t *testing.T) {
	kinds := []string{listPrefix, keyPrefix, codePrefix}
	for _, before := range []int{0, 1} {
		for missing := range 1 << len(kinds) { // which of the three writes were lost
			b := newBench(t)
			for range before {
				b.login(t, "u1")
			}
			listed, had := b.store.values[listPrefix+"u1"]
			r := NewRedeemer(b.Manager)
			out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", b.beginning(t, "u1", map[string][]byte{ListKey("u1"): listed}))
			if err != nil {
				t.Fatal(err)
			}
			key, _ := b.Key(out.Token)
			for i, prefix := range kinds {
				if missing&(1<<i) == 0 {
					continue
				}
				switch prefix {
				case listPrefix:
					b.store.values[listPrefix+"u1"] = listed
					if !had {
						delete(b.store.values, listPrefix+"u1")
					}
				case keyPrefix:
					delete(b.store.values, key)
				case codePrefix:
					for k := range b.store.values {
						if strings.HasPrefix(k, codePrefix) {
							b.store.values[k] = []byte(`{"binding":"` + hash("state") + `","until":"2026-11-20T08:00:00Z"}`)
						}
					}
				}
			}
			again, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", nil)
			name := fmt.Sprintf("%d sessions before, lost %03b", before, missing)
			if !replayed && err == nil {
				t.Fatalf("%s: exchanged again", name)
			}
			if missing&4 != 0 {
				if !errors.Is(err, ErrCodeLost) {
					t.Errorf("%s: %+v, %v", name, again, err)
				}
				continue
			}
			if err != nil || again != out {
				t.Fatalf("%s: %+v, %v", name, again, err)
			}
			_, found, err := b.Load(t.Context(), key)
			if err != nil || found != (missing&2 == 0) || found != slices.Contains(b.sids(t, "u1"), sid(key)) {
				t.Errorf("%s: found %v, %v; listed are %v", name, found, err, b.sids(t, "u1"))
			}
			if n := len(b.sids(t, "u1")); found && n != before+1 {
				t.Errorf("%s: %d sessions", name, n)
			}
		}
	}
}

// What fails leaves no session, and the second delivery is told of the failure.
func TestRedemptionFails(t *testing.T) {
	for _, method := range []string{"Get", "Batch", "Create", "Replace"} {
		b := newBench(t)
		b.login(t, "u1")
		r := NewRedeemer(b.Manager)
		begin := b.beginning(t, "u1", nil)
		out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", func(ctx context.Context, x *Redemption) Outcome {
			b.store.fail[method] = errGone
			defer clear(b.store.fail)
			return begin(ctx, x)
		})
		if err != nil || out.Failure != "store" {
			t.Errorf("%s: %+v, %v", method, out, err)
		}
		if n := strings.Count(b.store.all(), `"last_seen"`); n != 1 {
			t.Errorf("%s: %d sessions are stored", method, n)
		}
		if out, replayed, err := r.Redeem(t.Context(), "wx1", "code", "state", nil); err != nil || !replayed || out.Failure != "store" {
			t.Errorf("%s, delivered again: %+v, %v", method, out, err)
		}
	}
	// Only the outcome cannot be kept: the login stands, and a second delivery
	// has to log in again.
	lost := newBench(t)
	lost.store.fail["Put"] = errGone
	l := NewRedeemer(lost.Manager)
	out, _, err := l.Redeem(t.Context(), "wx1", "code", "state", lost.beginning(t, "u1", nil))
	clear(lost.store.fail)
	if err != nil || out.Token == "" || len(lost.sids(t, "u1")) != 1 {
		t.Errorf("%+v, %v; %v are listed", out, err, lost.sids(t, "u1"))
	}
	lost.clock = lost.clock.Add(redeemLimit)
	if out, _, err := l.Redeem(t.Context(), "wx1", "code", "state", nil); !errors.Is(err, ErrCodeLost) {
		t.Errorf("delivered again: %+v, %v", out, err)
	}
	// A store that does not answer the look at the list is an error, too.
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	if _, _, err := r.Redeem(t.Context(), "wx1", "code", "state", b.beginning(t, "u1", nil)); err != nil {
		t.Fatal(err)
	}
	b.store.values[listPrefix+"u1"] = []byte("{")
	if out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", nil); err == nil {
		t.Errorf("an unreadable list: %+v", out)
	}
}

// An exchange may begin a session and then come to something else.
func TestOutcomeAfterBeginning(t *testing.T) {
	b := newBench(t)
	r := NewRedeemer(b.Manager)
	begin := b.beginning(t, "u1", nil)
	for _, want := range []string{"afterthought", "afterthought"} {
		out, _, err := r.Redeem(t.Context(), "wx1", "code", "state", func(ctx context.Context, x *Redemption) Outcome {
			begin(ctx, x)
			return Outcome{Failure: "afterthought"}
		})
		if err != nil || out != (Outcome{Failure: want}) {
			t.Errorf("%+v, %v", out, err)
		}
	}
}
