package session

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSessionLife(t *testing.T) {
	b := newBench(t)
	token, made, err := b.Create(t.Context(), Session{User: "u1", Channel: "mp", AppID: "wx1", OpenID: "o1", UnionID: "un", Scope: "snsapi_base"})
	if err != nil {
		t.Fatal(err)
	}
	key, ok := b.Key(token)
	if !ok {
		t.Fatal("our own token is refused")
	}
	got, found, err := b.Load(t.Context(), key)
	if err != nil || !found || got.User != "u1" || got.UnionID != "un" || !got.CreatedAt.Equal(b.clock) ||
		!got.ExpiresAt.Equal(b.clock.Add(720*time.Hour)) || got.SID() != made.SID() || got.SID() == "" {
		t.Errorf("loaded %+v, %v, %v", got, found, err)
	}
	if b.store.ttl[key] != 168*time.Hour {
		t.Errorf("the store keeps it for %v, want the idle life", b.store.ttl[key])
	}
	if strings.Contains(key, token) || strings.Contains(b.store.all(), token) || strings.Contains(token, got.SID()) {
		t.Error("token and store can be read from one another")
	}
	other, _ := b.login(t, "u1")
	if otherKey, _ := b.Key(other); other == token || otherKey == key {
		t.Error("two logins share a session")
	}
	for range 2 { // ending twice is fine
		if err := b.End(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if _, found, err := b.Load(t.Context(), key); found || err != nil {
		t.Errorf("after its end: %v, %v", found, err)
	}
}

func TestExpiry(t *testing.T) {
	for _, tt := range []struct {
		name       string
		ttl, idle  time.Duration
		visitEvery time.Duration
		last       time.Duration // the last visit that finds it
	}{
		{"idle", 100 * time.Hour, time.Hour, 0, time.Hour - time.Second},
		{"absolute", 3 * time.Hour, 2 * time.Hour, time.Hour, 3*time.Hour - time.Second},
		{"absolute below idle", time.Hour, 2 * time.Hour, 0, time.Hour - time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(c *Config) { c.TTL, c.Idle = tt.ttl, tt.idle })
			start := b.clock
			_, key := b.login(t, "u1")
			visit := func(at time.Duration) bool {
				b.clock = start.Add(at)
				_, found, err := b.Load(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				return found
			}
			if tt.visitEvery > 0 {
				for at := time.Duration(0); at < tt.last; at += tt.visitEvery {
					if !visit(at) {
						t.Fatalf("over after %v", at)
					}
				}
			}
			// A second copy is asked for the edge, so that the visit just before it does not prolong an idle session.
			record := b.store.values[key]
			if !visit(tt.last) {
				t.Errorf("over after %v", tt.last)
			}
			b.store.values[key] = record
			if visit(tt.last + time.Second) {
				t.Errorf("still there after %v", tt.last+time.Second)
			}
		})
	}
}

func TestLastSeenIsWrittenOnceAMinute(t *testing.T) {
	b := newBench(t)
	_, key := b.login(t, "u1")
	for range 300 { // five minutes
		b.clock = b.clock.Add(time.Second)
		if _, found, err := b.Load(t.Context(), key); err != nil || !found {
			t.Fatal(found, err)
		}
	}
	if n := b.store.count["Replace"]; n != 5 {
		t.Errorf("%d writes in five minutes", n)
	}
	s, _, _ := b.Load(t.Context(), key)
	if !s.LastSeen.Equal(b.clock) {
		t.Errorf("last seen %v ago", b.clock.Sub(s.LastSeen))
	}
}

// A busy session must not end for idleness, however short the idle life is.
func TestBusySessionIsNotIdle(t *testing.T) {
	for _, idle := range []time.Duration{10 * time.Second, time.Minute, 90 * time.Second, 10 * time.Minute} {
		b := newBench(t, func(c *Config) { c.Idle = idle })
		_, key := b.login(t, "u1")
		step := idle / 3
		for range 30 {
			b.clock = b.clock.Add(step)
			if _, found, err := b.Load(t.Context(), key); err != nil || !found {
				t.Fatalf("idle life %v, used every %v: found %v, %v", idle, step, found, err)
			}
		}
	}
}

func TestEndedWhileSeen(t *testing.T) {
	b := newBench(t)
	_, key := b.login(t, "u1")
	b.clock = b.clock.Add(time.Hour)
	b.store.before = func(method, _ string) {
		if method == "Replace" { // another replica logs out between our read and our write
			b.store.mu.Lock()
			delete(b.store.values, key)
			b.store.mu.Unlock()
		}
	}
	if _, _, err := b.Load(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if b.store.values[key] != nil {
		t.Error("noting that it was seen brought an ended session back")
	}
}

func TestLastSeenCannotBeWritten(t *testing.T) {
	b := newBench(t)
	_, key := b.login(t, "u1")
	b.clock = b.clock.Add(time.Hour)
	b.store.fail["Replace"] = errGone
	if _, found, err := b.Load(t.Context(), key); err != nil || !found {
		t.Errorf("a store that only reads ends the session: %v, %v", found, err)
	}
}

func TestStoreErrorIsNoAnswer(t *testing.T) {
	b := newBench(t)
	_, key := b.login(t, "u1")
	b.store.fail["Get"], b.store.fail["Create"], b.store.fail["Delete"] = errGone, errGone, errGone
	if _, found, err := b.Load(t.Context(), key); !errors.Is(err, errGone) || found {
		t.Errorf("Load: %v, %v", found, err)
	}
	if token, _, err := b.Create(t.Context(), Session{User: "u1"}); !errors.Is(err, errGone) || token != "" {
		t.Errorf("Create: %q, %v", token, err)
	}
	if err := b.End(t.Context(), key); !errors.Is(err, errGone) {
		t.Errorf("End: %v", err)
	}
}

func TestForeignRecords(t *testing.T) {
	b := newBench(t)
	_, one := b.login(t, "u1")
	_, two := b.login(t, "u2")
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(b.store.values[one], &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		value, _ := json.Marshal(m)
		return value
	}
	for what, value := range map[string][]byte{
		"another session's": b.store.values[two],
		"empty":             {},
		"no JSON":           []byte("{"),
		"null":              []byte("null"),
		"another version":   edit(func(m map[string]any) { m["v"] = 2 }),
		"no user":           edit(func(m map[string]any) { m["user"] = "" }),
		"no key":            edit(func(m map[string]any) { delete(m, "key") }),
		"huge":              edit(func(m map[string]any) { m["x"] = strings.Repeat("x", maxRecord) }),
	} {
		b.store.values[one] = value
		if s, found, err := b.Load(t.Context(), one); err == nil || found {
			t.Errorf("%s: %+v, %v, %v", what, s, found, err)
		}
	}
}

func TestTokenIsOpaque(t *testing.T) {
	b := newBench(t)
	token, key := b.login(t, "u1")
	if len(token) > 300 || !regexp.MustCompile(`^[A-Za-z0-9_=-]+$`).MatchString(token) {
		t.Errorf("token %q is nothing for a cookie or header", token)
	}
	before := b.store.calls()
	refused := 0
	for i := range token {
		altered := []byte(token)
		altered[i] ^= 1
		got, ok := b.Key(string(altered))
		if !ok {
			refused++
		} else if got != key {
			t.Fatalf("byte %d altered opens another session", i)
		}
	}
	if refused < len(token)-2 {
		t.Errorf("only %d of %d altered tokens were refused", refused, len(token))
	}
	loginValue, err := b.logins[0].Encode(loginName, &Logins{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", loginValue, token + "x", strings.Repeat("A", 1<<20), token[:len(token)/2]} {
		if _, ok := b.Key(text); ok {
			t.Errorf("%.40q is taken for a token", text)
		}
	}
	if b.store.calls() != before {
		t.Error("garbage costs store calls")
	}
}

func TestTokenOfRequest(t *testing.T) {
	b := newBench(t)
	one, _ := b.login(t, "u1")
	two, _ := b.login(t, "u2")
	const name = "__Host-wxgate="
	bearer := func(h http.Header, value ...string) http.Header {
		h["Authorization"] = value
		return h
	}
	tests := []struct {
		what   string
		header http.Header
		want   string
	}{
		{"nothing", cookies(), ""},
		{"cookie", cookies("a=1; " + name + one), one},
		{"garbage and a valid one", cookies(name + "garbage; " + name + one), one},
		{"a valid one and garbage", cookies(name+one, name+"garbage"), one},
		{"the same twice", cookies(name + one + "; " + name + one), one},
		{"two people", cookies(name + one + "; " + name + two), ""},
		{"two people, three cookies", cookies(name + one + "; " + name + two + "; " + name + one), ""},
		{"in 3000 cookies", cookies(strings.Repeat("a=1; ", 3000) + name + one), one},
		{"other prefix", cookies("wxgate=" + one), ""},
		{"bearer", bearer(cookies(), "Bearer wxgate_"+one), one},
		{"bearer before cookie", bearer(cookies(name+two), "bearer  wxgate_"+one), one},
		{"bearer behind a tab", bearer(cookies(), "Bearer\twxgate_"+one+" "), one},
		{"invalid bearer hides the cookie", bearer(cookies(name+one), "Bearer wxgate_x"), "x"},
		{"the app's bearer", bearer(cookies(name+one), "Bearer eyJ"), one},
		{"the app's basic", bearer(cookies(name+one), "Basic wxgate_x"), one},
		{"second Authorization", bearer(cookies(), "Basic abc", "Bearer wxgate_"+one), one},
		{"nothing behind the scheme", bearer(cookies(), "Bearer", "", "wxgate_"+one), ""},
	}
	for _, tt := range tests {
		if got := b.Token(tt.header); got != tt.want {
			t.Errorf("%s: %.20q, want %.20q", tt.what, got, tt.want)
		}
	}
	if _, ours := Bearer(bearer(cookies(), "Bearer eyJ")); ours {
		t.Error("the app's token is taken for ours")
	}
	if _, ours := Bearer(bearer(cookies(), "Bearer\twxgate_x")); !ours {
		t.Error("our token behind a tab would be handed to the app")
	}
}

func TestRotationKeepsSessions(t *testing.T) {
	b := newBench(t)
	token, key := b.login(t, "u1")
	rotated := b.manager(t, secrets(newSecret, oldSecret))
	if got, ok := rotated.Key(token); !ok || got != key {
		t.Error("the session did not survive")
	}
	fresh, _, err := rotated.Create(t.Context(), Session{User: "u1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Key(fresh); ok {
		t.Error("new tokens are made with the old secret")
	}
	if _, ok := b.manager(t, secrets(oldSecret, newSecret)).Key(fresh); !ok {
		t.Error("a replica that knows both secrets in the other order refuses it")
	}
	if _, ok := b.manager(t, secrets(newSecret)).Key(token); ok {
		t.Error("a secret that was taken out still opens")
	}
	plain := b.manager(t, func(c *Config) { c.Secure = false })
	if got, ok := plain.Key(token); !ok || got != key {
		t.Error("the token depends on the cookie's prefix")
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Store: newMemory(), Secrets: [][]byte{oldSecret}, TTL: time.Hour, Idle: time.Hour}
	for what, change := range map[string]func(*Config){
		"no secret":     secrets(),
		"short secret":  secrets(oldSecret[:31]),
		"long second":   secrets(oldSecret, append(oldSecret[:32:32], 0)),
		"empty secret":  secrets(oldSecret, nil),
		"no life":       func(c *Config) { c.TTL = 0 },
		"no idle life":  func(c *Config) { c.Idle = 0 },
		"negative life": func(c *Config) { c.TTL = -1 },
	} {
		c := good
		change(&c)
		if _, err := NewManager(c); err == nil {
			t.Errorf("%s is accepted", what)
		} else if strings.Contains(err.Error(), string(oldSecret)) {
			t.Errorf("%s: the error shows a secret", what)
		}
	}
}
