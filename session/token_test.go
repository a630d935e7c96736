package session

import (
	"strings"
	"testing"
)

func TestHint(t *testing.T) {
	b := newBench(t)
	token, key := b.login(t, "a user")
	if got := b.Hint(token); got != "a user" {
		t.Errorf("hint %q", got)
	}
	if strings.Contains(token, "a user") {
		t.Error("the token says whose it is")
	}
	if other, _ := b.login(t, "a user"); len(other) != len(token) || b.Hint(other) != "a user" {
		t.Errorf("another token: %q", b.Hint(other))
	}
	// Known by an older secret, and not at all.
	if got := b.manager(t, secrets(newSecret, oldSecret)).Hint(token); got != "a user" {
		t.Errorf("after a rotation: %q", got)
	}
	for name, other := range map[string]string{"empty": "", "garbage": "x", "cut": token[:len(token)-1], "longer": token + "A"} {
		if got := b.Hint(other); got != "" {
			t.Errorf("%s: hint %q", name, got)
		}
	}
	// Tokens from before there were hints, and such that do not open.
	for _, id := range []string{strings.Repeat("a", 43), strings.Repeat("a", 43) + ".", strings.Repeat("a", 43) + ".!", strings.Repeat("a", 43) + ".AAAA"} {
		old, err := b.tokens[0].Encode(sessionCookieName, id)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := b.Key(old); !ok || got != sessionKey(id) || b.Hint(old) != "" {
			t.Errorf("%q: key %q, %v, hint %q", id, got, ok, b.Hint(old))
		}
	}
	// The hint decides nothing: the record does.
	record := b.store.values[key]
	b.store.values[key] = []byte(strings.Replace(string(record), "a user", "another", 1))
	if s, _, _ := b.Load(t.Context(), key); s.User != "another" {
		t.Errorf("the session is of %q", s.User)
	}
}

func TestLoadWith(t *testing.T) {
	b := newBench(t)
	_, key := b.login(t, "u1")
	b.store.values["x"] = []byte("1")
	clear(b.store.count)
	s, values, err := b.LoadWith(t.Context(), key, "x", "none")
	if err != nil || s == nil || s.User != "u1" || len(values) != 2 || string(values[0]) != "1" || values[1] != nil {
		t.Errorf("%+v, %q, %v", s, values, err)
	}
	if n := b.store.calls(); n != 1 {
		t.Errorf("%d calls", n)
	}
	if s, values, err := b.LoadWith(t.Context(), keyPrefix+"nobody", "x"); err != nil || s != nil || string(values[0]) != "1" {
		t.Errorf("no session: %+v, %q, %v", s, values, err)
	}
	b.store.fail["Batch"] = errGone
	if s, _, err := b.LoadWith(t.Context(), key, "x"); err != errGone || s != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
