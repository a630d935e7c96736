package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func (g *Server) ready(t *testing.T) int {
	t.Helper()
	rec := httptest.NewRecorder()
	g.Admin().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return rec.Code
}

func TestStoreDownAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.store.down.Store(true)
	g := w.restart(rules("public /free"))
	g.storeUp.Store(false) // as New leaves it
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		g.Run(ctx)
	}()
	defer func() {
		stop()
		<-ran
	}()
	asked := w.store.calls.Load()
	eventually(t, "the store was looked for", func() bool { return w.store.calls.Load() > asked })
	if got := g.ready(t); got != http.StatusServiceUnavailable {
		t.Errorf("readyz answers %d", got)
	}
	b := w.browser(iPhone)
	if res := b.open("/free"); res.StatusCode != http.StatusOK {
		t.Errorf("a public path answers %d", res.StatusCode)
	}
	callback := b.begin("/room/7")
	b.open(callback).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	w.store.down.Store(false)
	eventually(t, "readyz answers 200", func() bool { return g.ready(t) == http.StatusOK })
	if got := b.open(callback).echoed(t).URI; got != "/room/7" {
		t.Errorf("the same callback leads to %s", got)
	}
	w.oncePerCode(t, 1)
}

func TestStoreDownDuringLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	w.store.down.Store(true)
	for range 3 {
		res := b.open(callback)
		res.page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
		if len(res.Header["Set-Cookie"]) != 0 || res.Header.Get("Retry-After") == "" {
			t.Errorf("answered with %v", res.Header)
		}
	}
	if e := b.fetch(callback).jsonError(t); e.Error != "store_unavailable" {
		t.Errorf("a script is told %+v", e)
	}
	w.oncePerCode(t, 0)
	w.store.down.Store(false)
	if got := b.open(callback).echoed(t).URI; got != "/room/7" {
		t.Errorf("after the outage the callback leads to %s", got)
	}
	w.oncePerCode(t, 1)
}

// The store goes away when the code is used up already: nobody is logged in
// halfway, the code is not tried again, and a fresh login works.
func TestStoreFailsAtEachStepOfALogin(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"Get a:", "Create u:", "Create a:", "Schedule yu", "Create s:"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 2, nil)
			b := w.browser(iPhone)
			callback := b.begin("/room/7")
			store.failing(func(method, key string) error {
				if method+" "+key[:min(2, len(key))] == step {
					return errDown
				}
				return nil
			})
			var res answer
			for range 2 {
				res = b.open(callback)
				res.page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
				if sessionOf(res.Response) != "" {
					t.Error("a session was handed out")
				}
			}
			w.oncePerCode(t, 1)
			store.failing(nil)
			if e := b.open(res.button()).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-User") == "" {
				t.Errorf("the page's button leads to %s as %q", e.URI, e.Header.Get("X-Wxgate-User"))
			}
			if n := len(store.keys(t, "a:")); n != 1 {
				t.Errorf("%d accounts of one person", n)
			}
			w.oncePerCode(t, 2)
		})
	}
	t.Run("Put c:", func(t *testing.T) {
		t.Parallel()
		w, store := newSpied(t, 2, nil)
		store.failing(func(method, key string) error {
			if method == "Put" {
				return errDown
			}
			return nil
		})
		if w.browser(iPhone).open("/room/7").user(t) == "" {
			t.Error("the login is lost because its copy could not be kept")
		}
		w.oncePerCode(t, 1)
	})
}

func TestStoreDownAfterLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b, cold := w.browser(iPhone), w.browser(android)
	user := b.login()
	cold.login()
	eventually(t, "the account at Yunxin", func() bool { return b.fetch("/.wxgate/yunxin").StatusCode == http.StatusOK })
	w.restart(rules("public /free")) // nothing is cached
	b.fetch("/x")
	w.store.down.Store(true)

	quiet := func(res answer) answer {
		t.Helper()
		if len(res.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s changed cookies: %q", res.Request.URL, res.Header["Set-Cookie"])
		}
		return res
	}
	unavailable := func(b *browser) {
		t.Helper()
		for _, path := range []string{"/x", "/.wxgate/me", "/.wxgate/yunxin"} {
			res := quiet(b.fetch(path))
			if e := res.jsonError(t); res.StatusCode != http.StatusServiceUnavailable || e.Error != "store_unavailable" || res.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %+v", path, res.StatusCode, e)
			}
		}
		quiet(b.open("/x")).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
		quiet(b.do(http.MethodPost, "/.wxgate/logout", "Accept", "text/html")).page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
		if res := quiet(b.open("/free")); res.StatusCode != http.StatusOK {
			t.Errorf("a public path answers %d", res.StatusCode)
		}
	}

	// A running session goes on for a minute.
	for range 11 {
		w.clock.advance(5 * time.Second)
		if got := quiet(b.open("/x")).user(t); got != user {
			t.Fatalf("user %q", got)
		}
	}
	calls := w.store.calls.Load()
	for range 50 {
		b.fetch("/x")
	}
	if n := w.store.calls.Load() - calls; n > 2 {
		t.Errorf("50 requests during an outage asked the store %d times", n)
	}
	if quiet(b.open("/free")).user(t) != user || b.me().User != user {
		t.Error("identity is missing where it is known")
	}
	w.replica(0).watchStreams(t.Context()) // when in doubt, a stream lives

	// One that nobody knows has to wait, and is not sent to log in.
	unavailable(cold)
	w.clock.advance(6 * time.Second)
	unavailable(b)

	// Who has no session is led to login as ever, and waits there.
	fresh := w.browser(iPhone)
	for _, cookie := range []string{"a=1", "wxgate=garbage"} {
		if res := fresh.stay().open("/x", "Cookie", cookie); res.StatusCode != http.StatusFound {
			t.Errorf("%q: %d", cookie, res.StatusCode)
		}
	}

	w.store.down.Store(false)
	w.clock.advance(graceRetry)
	for _, b := range []*browser{b, cold} {
		if got := b.stay().open("/x").user(t); got != user {
			t.Errorf("after the outage: user %q", got)
		}
	}
	w.oncePerCode(t, 2)
}

// An outage must not bring back what was ended before it.
func TestLogoutBeforeTheOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	token := b.cookies()["wxgate"]
	b.do(http.MethodPost, "/.wxgate/logout")
	w.store.down.Store(true)
	w.clock.advance(cacheLife)
	if res := w.with(token, "/x"); res.StatusCode == http.StatusOK {
		t.Error("an ended session lives on in the outage")
	}
}

// A record that cannot be read is no session and no logout either.
func TestUnreadableSessionRecord(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	for _, key := range store.keys(t, "s:") {
		if err := store.Store.Put(t.Context(), key, []byte(`{"v":99}`), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	if e := b.fetch("/x").jsonError(t); e.Error != "store_unavailable" {
		t.Errorf("%+v", e)
	}
}
