package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// names are the SIDs of sessions, in order.
func names(list []*Session) []string {
	var all []string
	for _, s := range list {
		all = append(all, s.SID())
	}
	slices.Sort(all)
	return all
}

func (b *bench) sids(t *testing.T, userIDs ...string) []string {
	t.Helper()
	list, err := b.Sessions(t.Context(), userIDs...)
	if err != nil {
		t.Fatal(err)
	}
	return names(list)
}

// sid is what the session of a key is called.
func sid(key string) string { return strings.TrimPrefix(key, keyPrefix) }

func sorted(list ...string) []string { return slices.Sorted(slices.Values(list)) }

func TestSessionsOfAUser(t *testing.T) {
	b := newBench(t)
	if list := b.sids(t, "u1"); len(list) != 0 {
		t.Errorf("nobody has %v", list)
	}
	_, one := b.login(t, "u1")
	_, two := b.login(t, "u1")
	_, other := b.login(t, "u2")
	source, _, err := b.Load(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	_, derived, err := b.Derive(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.sids(t, "u1"), sorted(sid(one), sid(two), derived.SID()); !slices.Equal(got, want) {
		t.Errorf("u1 has %v, want %v", got, want)
	}
	if got, want := b.sids(t, "u2", "nobody", "u1"), sorted(sid(one), sid(two), derived.SID(), sid(other)); !slices.Equal(got, want) {
		t.Errorf("both have %v, want %v", got, want)
	}
	b.clock = b.clock.Add(time.Hour)
	list, err := b.Sessions(t.Context(), "u2")
	if err != nil || len(list) != 1 || list[0].Key() != other || list[0].User != "u2" || !list[0].LastSeen.Equal(b.clock.Add(-time.Hour)) {
		t.Errorf("%+v, %v", list, err)
	}
	if s, _, _ := b.Load(t.Context(), other); !s.LastSeen.Equal(b.clock) {
		t.Error("being listed counts as having been seen")
	}
	if err := b.End(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if got := b.sids(t, "u1"); slices.Contains(got, sid(one)) || len(got) != 2 {
		t.Errorf("an ended session is listed: %v", got)
	}
	b.clock = b.clock.Add(168 * time.Hour)
	if got := b.sids(t, "u1", "u2"); len(got) != 0 {
		t.Errorf("idle sessions are listed: %v", got)
	}
}

// Another login wins the list between the look at it and the write: nobody is
// given a token before its session is listed, too.
func TestTokenComesAfterTheList(t *testing.T) {
	for _, method := range []string{"Create", "Replace"} { // without a list and with one
		b := newBench(t)
		before := 1
		if method == "Replace" {
			b.login(t, "u1")
			before++
		}
		late := ""
		b.store.before = func(m, key string) {
			if m == method && strings.HasPrefix(key, listPrefix) && late == "" {
				late = "begun"
				_, late = b.login(t, "u1")
			}
		}
		_, key := b.login(t, "u1")
		if got := b.sids(t, "u1"); len(got) != before+1 || !slices.Contains(got, sid(key)) || !slices.Contains(got, sid(late)) {
			t.Errorf("%s: %v are listed, %s and %s began", method, got, sid(key), sid(late))
		}
	}
}

func TestBeginningCostsALookAndABatch(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		clear(b.store.count)
		b.login(t, "u1")
		if want := fmt.Sprint(map[string]int{"Get": 1, "Batch": 1}); fmt.Sprint(b.store.count) != want {
			t.Errorf("login %d made the calls %v, want %v", i+1, b.store.count, want)
		}
	}
}

func TestNoSessionWithoutItsList(t *testing.T) {
	b := newBench(t)
	for _, method := range []string{"Get", "Create", "Replace"} {
		if method == "Replace" {
			b.login(t, "u1")
		}
		before := len(b.sids(t, "u1"))
		b.store.fail[method] = errGone
		token, _, err := b.Create(t.Context(), Session{User: "u1"})
		clear(b.store.fail)
		if !errors.Is(err, errGone) || token != "" {
			t.Errorf("%s fails: %q, %v", method, token, err)
		}
		if n := strings.Count(b.store.all(), `"last_seen"`); n != before {
			t.Errorf("%s fails: %d sessions are stored, %d before", method, n, before)
		}
	}
}

func TestListKeepsTime(t *testing.T) {
	b := newBench(t, func(c *Config) { c.TTL = 10 * time.Hour })
	key := listPrefix + "u1"
	_, old := b.login(t, "u1")
	if life := b.store.ttl[key]; life < 10*time.Hour || life > 10*time.Hour+time.Second {
		t.Errorf("the list lives for %v", life)
	}
	source, _, _ := b.Load(t.Context(), old)
	b.clock = b.clock.Add(9 * time.Hour)
	if _, _, err := b.Derive(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	if life := b.store.ttl[key]; life < time.Hour || life > time.Hour+time.Second {
		t.Errorf("the list outlives its last session: %v", life)
	}
	b.login(t, "u1")
	// A replica with a shorter life must not shorten that of the list.
	short := b.manager(t, func(c *Config) { c.TTL = time.Minute })
	if _, _, err := short.Create(t.Context(), Session{User: "u1"}); err != nil {
		t.Fatal(err)
	}
	if life := b.store.ttl[key]; life < 10*time.Hour {
		t.Errorf("the list ends after %v, before its sessions", life)
	}
	b.clock = b.clock.Add(time.Hour + time.Second)
	if text := string(b.store.values[key]); !strings.Contains(text, sid(old)) {
		t.Fatal("the test has lost its entry")
	}
	b.login(t, "u1")
	if text := string(b.store.values[key]); strings.Contains(text, sid(old)) || strings.Count(text, `"sid"`) != 2 {
		t.Errorf("what is over stays listed: %s", text)
	}
}

func TestListIsBounded(t *testing.T) {
	b := newBench(t)
	_, first := b.login(t, "u1")
	_, second := b.login(t, "u1")
	for range maxListed - 2 {
		b.login(t, "u1")
	}
	if _, found, _ := b.Load(t.Context(), first); !found {
		t.Fatal("ended before the list was full")
	}
	b.login(t, "u1")
	if _, found, _ := b.Load(t.Context(), first); found {
		t.Error("a session lives that is not listed")
	}
	if _, found, _ := b.Load(t.Context(), second); !found {
		t.Error("more than the oldest ended")
	}
	if got := b.sids(t, "u1"); len(got) != maxListed {
		t.Errorf("%d sessions are listed", len(got))
	}
	if n := len(b.store.values[listPrefix+"u1"]); n > maxList {
		t.Errorf("a full list has %d bytes", n)
	}
}

func TestLoginsOfOneUserAtOnce(t *testing.T) {
	b := newBench(t)
	replicas := []*Manager{b.Manager, b.manager(t)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var want []string
	for i := range 60 {
		wg.Go(func() {
			_, s, err := replicas[i%2].Create(t.Context(), Session{User: "u1"})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			want = append(want, s.SID())
		})
	}
	wg.Wait()
	if got := b.sids(t, "u1"); !slices.Equal(got, sorted(want...)) {
		t.Errorf("%d of %d sessions are listed", len(got), len(want))
	}
}

// A store in which somebody else always wins must not hold a login for ever.
func TestListThatCannotBeWritten(t *testing.T) {
	b := newBench(t)
	b.login(t, "u1")
	b.store.before = func(method, key string) {
		if method != "Replace" {
			return
		}
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if b.store.count["Replace"] > listAttempts {
			t.Fatal("it does not give up")
		}
		if value, longer := bytes.CutSuffix(b.store.values[key], []byte(" ")); longer {
			b.store.values[key] = value
		} else {
			b.store.values[key] = append(value, ' ')
		}
	}
	if token, _, err := b.Create(t.Context(), Session{User: "u1"}); err == nil || token != "" {
		t.Errorf("%q, %v", token, err)
	}
	if n := strings.Count(b.store.all(), `"last_seen"`); n != 1 {
		t.Errorf("%d sessions are stored", n)
	}
}

func TestForget(t *testing.T) {
	b := newBench(t)
	b.login(t, "u1")
	_, ended := b.login(t, "u1")
	b.login(t, "u3")
	_, other := b.login(t, "u2")
	if err := b.End(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	// A login that is under way when the list was read.
	var late string
	b.store.before = func(method, _ string) {
		if method == "Replace" && late == "" {
			late = "begun"
			_, late = b.login(t, "u1")
		}
	}
	for range 2 { // forgetting twice is fine
		if err := b.Forget(t.Context(), "u1", "nobody", "u3"); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, _ := b.Load(t.Context(), late); found || late == "" {
		t.Error("a session that began meanwhile was missed")
	}
	if n := strings.Count(b.store.all(), `"last_seen"`); n != 1 {
		t.Errorf("%d sessions are stored", n)
	}
	for _, user := range []string{"u1", "u3"} {
		key := listPrefix + user
		if text := string(b.store.values[key]); strings.Contains(text, "sid") || b.store.ttl[key] != listRest {
			t.Errorf("of a list remains for %v: %s", b.store.ttl[key], text)
		}
	}
	if _, found := b.store.values[listPrefix+"nobody"]; found {
		t.Error("a list was made to be forgotten")
	}
	if _, found, _ := b.Load(t.Context(), other); !found || len(b.sids(t, "u2")) != 1 {
		t.Error("another user's session is gone")
	}
	b.login(t, "u1")
	if got := b.sids(t, "u1"); len(got) != 1 {
		t.Errorf("the next session is listed as %v", got)
	}
	for _, method := range []string{"Get", "Delete", "Replace"} {
		b.store.fail[method] = errGone
		if err := b.Forget(t.Context(), "u1"); !errors.Is(err, errGone) {
			t.Errorf("%s fails: %v", method, err)
		}
		clear(b.store.fail)
	}
}

func TestForeignLists(t *testing.T) {
	b := newBench(t)
	b.login(t, "u1")
	b.login(t, "u2")
	key := listPrefix + "u1"
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(b.store.values[key], &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		value, _ := json.Marshal(m)
		return value
	}
	bad := map[string][]byte{
		"another user's":  b.store.values[listPrefix+"u2"],
		"empty":           {},
		"no JSON":         []byte("{"),
		"null":            []byte("null"),
		"another version": edit(func(m map[string]any) { m["v"] = 2 }),
		"no key":          edit(func(m map[string]any) { delete(m, "key") }),
		"huge":            edit(func(m map[string]any) { m["x"] = strings.Repeat("x", maxList) }),
	}
	for what, value := range bad {
		b.store.values[key] = value
		if list, err := b.Sessions(t.Context(), "u2", "u1"); err == nil || list != nil {
			t.Errorf("%s: %v, %v", what, list, err)
		}
		if token, _, err := b.Create(t.Context(), Session{User: "u1"}); err == nil || token != "" {
			t.Errorf("%s: %q, %v", what, token, err)
		}
		if string(b.store.values[key]) != string(value) {
			t.Errorf("%s: it was written over", what)
		}
	}
	if list, err := b.Sessions(t.Context(), "u2"); err != nil || len(list) != 1 {
		t.Errorf("the other user's: %v, %v", list, err)
	}
	_, broken := b.login(t, "u2")
	b.store.values[broken] = []byte("{")
	if list, err := b.Sessions(t.Context(), "u2"); err == nil || list != nil {
		t.Errorf("a session that cannot be read: %v, %v", list, err)
	}
}
