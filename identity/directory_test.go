package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpdate(t *testing.T) {
	d, s := newTestDirectory()
	id := mustResolve(t, d, login("an", 1, false)).User.ID
	s.reads, s.writes = 0, 0
	u, err := d.Update(t.Context(), id, func(u *User) error {
		u.Yunxin = Yunxin{Accid: id, State: YunxinReady, TokenKey: "k1", Epoch: 2, Name: "玩家0001"}
		u.ID = NewID() // not the function's business
		u.Accounts = append(u.Accounts, Account{})
		return nil
	})
	if err != nil || u.ID != id || u.Yunxin.Epoch != 2 {
		t.Fatalf("%+v, %v", u, err)
	}
	if s.reads != 1 || s.writes != 1 {
		t.Errorf("%d reads, %d writes", s.reads, s.writes)
	}
	again, _, err := d.User(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, again, wholeUser); diff != "" {
		t.Error(diff)
	}

	// No change, said or seen: nothing is written, and what the function did to its copy is forgotten.
	s.writes = 0
	u, err = d.Update(t.Context(), id, func(u *User) error { u.Status = StatusBlocked; return fmt.Errorf("nothing: %w", ErrNoChange) })
	if err != nil || u.Status != StatusActive {
		t.Errorf("after ErrNoChange: %+v, %v", u, err)
	}
	if _, err = d.Update(t.Context(), id, func(*User) error { return nil }); err != nil {
		t.Error(err)
	}
	if s.writes != 0 {
		t.Errorf("%d writes", s.writes)
	}

	own := errors.New("own")
	if _, err = d.Update(t.Context(), id, func(*User) error { return own }); err != own {
		t.Errorf("error %v, want the function's own", err)
	}
	never := func(*User) error { t.Error("called"); return nil }
	for _, id := range []string{"", "x", "../u", NewID()} {
		if _, err = d.Update(t.Context(), id, never); !errors.Is(err, ErrNotFound) {
			t.Errorf("Update(%q): %v", id, err)
		}
		if _, found, err := d.User(t.Context(), id); found || err != nil {
			t.Errorf("User(%q): %v, %v", id, found, err)
		}
	}
	_, err = d.Update(t.Context(), id, func(u *User) error { u.Aliases = []string{strings.Repeat("x", maxRecord)}; return nil })
	if !errors.Is(err, ErrRecord) {
		t.Errorf("oversized: %v", err)
	}
	if _, found, err := d.User(t.Context(), id); !found || err != nil {
		t.Errorf("after an oversized change: %v, %v", found, err)
	}
}

func TestUpdateCompeting(t *testing.T) {
	d, s := newTestDirectory()
	id := mustResolve(t, d, login("an", 1, false)).User.ID
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := d.Update(t.Context(), id, func(u *User) error { u.Yunxin.Epoch++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	u, _, err := d.User(t.Context(), id)
	if err != nil || u.Yunxin.Epoch != writers*each {
		t.Errorf("epoch %d, want %d (%v)", u.Yunxin.Epoch, writers*each, err)
	}

	// Somebody who always gets in between: the loop ends.
	n := 0
	s.hook = func(op, key string) outcome {
		if op == "replace" {
			n++
			s.set(key, rewritten(t, s.value(key), n))
		}
		return proceed
	}
	_, err = d.Update(t.Context(), id, func(u *User) error { u.Status = StatusBlocked; return nil })
	if !errors.Is(err, ErrContended) || n != maxAttempts {
		t.Errorf("after %d attempts: %v", n, err)
	}
	// The record disappears in between.
	s.hook = func(op, key string) outcome {
		if op == "replace" {
			delete(s.m, key)
		}
		return proceed
	}
	if _, err = d.Update(t.Context(), id, func(u *User) error { u.Status = StatusBlocked; return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func rewritten(t *testing.T, raw string, epoch int) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		t.Fatal(err)
	}
	m["yunxin"].(map[string]any)["epoch"] = epoch
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The JSON of a user is public: the admin API shows and exports it.
func TestUserJSON(t *testing.T) {
	u := &User{
		ID: "aaaaaaaaaaaaaaaaaaaaaaaaae", Status: StatusActive, CreatedAt: t0,
		Accounts: []Account{{ChannelMP, "wx1", "o1", t0, t0.Add(time.Hour)}},
		Unionids: map[string]string{"default": "u1"},
		Profile:  &Profile{"安", "https://a/b", t0},
		Yunxin:   Yunxin{Accid: "aaaaaaaaaaaaaaaaaaaaaaaaae", State: YunxinReady, TokenKey: "k"},
		History:  []Event{{Time: t0, Type: EventLinked, Channel: ChannelMP, AppID: "wx1", OpenID: "o1", Platform: "default", UnionID: "u1", From: "x"}},
	}
	const want = `{"v":2,"id":"aaaaaaaaaaaaaaaaaaaaaaaaae","status":"active","created_at":"2026-03-01T12:00:00Z",` +
		`"accounts":[{"channel":"mp","appid":"wx1","openid":"o1","first_seen":"2026-03-01T12:00:00Z","last_seen":"2026-03-01T13:00:00Z"}],` +
		`"unionids":{"default":"u1"},"profile":{"name":"安","avatar":"https://a/b","updated_at":"2026-03-01T12:00:00Z"},` +
		`"yunxin":{"accid":"aaaaaaaaaaaaaaaaaaaaaaaaae","state":"ready","token_key":"k"},"aliases":[],` +
		`"history":[{"time":"2026-03-01T12:00:00Z","type":"linked","channel":"mp","appid":"wx1","openid":"o1","platform":"default","unionid":"u1","from":"x"}]}`
	got, err := encodeUser(u)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	back, err := decodeUser(u.ID, got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, back, wholeUser); diff != "" {
		t.Error(diff)
	}
	empty, err := encodeUser(&User{ID: u.ID, Status: StatusErased, CreatedAt: t0})
	if err != nil {
		t.Fatal(err)
	}
	const wantEmpty = `{"v":2,"id":"aaaaaaaaaaaaaaaaaaaaaaaaae","status":"erased","created_at":"2026-03-01T12:00:00Z",` +
		`"accounts":[],"unionids":{},"yunxin":{"accid":"","state":"none"},"aliases":[],"history":[]}`
	if diff := cmp.Diff(wantEmpty, string(empty)); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeUser(f *testing.F) {
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaae"
	good, err := encodeUser(&User{ID: id, Status: StatusActive, CreatedAt: t0, Accounts: []Account{{ChannelMP, "wx1", "o1", t0, t0}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1,"id":"` + id + `","status":"active","history":null}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUser(id, b)
		if err != nil {
			if !errors.Is(err, ErrRecord) || u != nil {
				t.Fatalf("%v, %v", u, err)
			}
			return
		}
		once, err := encodeUser(u)
		if err != nil {
			t.Skip(err) // a year beyond 9999, or larger once written out
		}
		u, err = decodeUser(id, once)
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if twice, err := encodeUser(u); err != nil || string(twice) != string(once) {
			t.Fatalf("not stable: %s, then %s (%v)", once, twice, err)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	u := &User{}
	u.AddEvent(Event{Time: t0, Type: EventCreated})
	for i := range 100 {
		u.AddEvent(Event{Time: t0.Add(time.Duration(i) * 1500 * time.Millisecond), Type: EventLinked, OpenID: fmt.Sprint(i)})
	}
	if len(u.History) != maxHistory || u.History[0].Type != EventCreated || u.History[1].OpenID != "37" || u.History[63].OpenID != "99" {
		t.Errorf("%d entries: %+v", len(u.History), u.History)
	}
	if got := u.History[63].Time; got != t0.Add(148*time.Second) {
		t.Errorf("time %v, want whole seconds", got)
	}
	u.AddEvent(Event{Time: t0.Add(time.Hour), Type: EventLinked, OpenID: "50"})
	if len(u.History) != maxHistory || u.History[63].OpenID != "50" || u.History[63].Time != t0.Add(time.Hour) {
		t.Errorf("a repeated entry: %+v", u.History)
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if !ValidID(id) || seen[id] {
			t.Fatalf("NewID: %q", id)
		}
		seen[id] = true
	}
	for _, s := range []string{
		"", strings.Repeat("a", 25), strings.Repeat("a", 27), strings.Repeat("A", 26), strings.Repeat("1", 26),
		strings.Repeat("8", 26), strings.Repeat("a", 25) + "/", strings.Repeat("a", 25) + "\x00", VisitorSubject,
	} {
		if ValidID(s) {
			t.Errorf("ValidID(%q)", s)
		}
	}
	// A faulty source of ids must not overwrite anybody.
	s := newMemStore()
	d := NewDirectory(DirectoryConfig{Store: s, NewID: func() string { return strings.Repeat("a", 26) }})
	mustResolve(t, d, login("an", 1, false))
	before := s.value("u:" + strings.Repeat("a", 26))
	if _, err := d.Resolve(t.Context(), login("bo", 1, false)); !errors.Is(err, ErrContended) {
		t.Errorf("error %v", err)
	}
	if s.value("u:"+strings.Repeat("a", 26)) != before {
		t.Error("a record was overwritten")
	}
	d = NewDirectory(DirectoryConfig{Store: s, NewID: func() string { return "bo" }})
	if _, err := d.Resolve(t.Context(), login("bo", 1, false)); err == nil {
		t.Error("an invalid id was used")
	}
}

func FuzzIndexKeys(f *testing.F) {
	f.Add("wx1", "o", "wx1/o", "")
	f.Add("a/b", "c", "a", "b/c")
	f.Add("a%2Fb", "c", "a/b", "c")
	f.Add("a", "", "", "a")
	f.Fuzz(func(t *testing.T, a1, b1, a2, b2 string) {
		same := a1 == a2 && b1 == b2
		if got := accountKey(a1, b1) == accountKey(a2, b2); got != same {
			t.Errorf("(%q, %q) and (%q, %q): %q", a1, b1, a2, b2, accountKey(a1, b1))
		}
		if got := unionKey(a1, b1) == unionKey(a2, b2); got != same {
			t.Errorf("(%q, %q) and (%q, %q): %q", a1, b1, a2, b2, unionKey(a1, b1))
		}
	})
}

func BenchmarkResolveReturning(b *testing.B) {
	s := newMemStore()
	d := NewDirectory(DirectoryConfig{Store: s})
	if _, err := d.Resolve(b.Context(), login("an", 1, false)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(b.Context(), login("an", 1, false)); err != nil {
			b.Fatal(err)
		}
	}
}
