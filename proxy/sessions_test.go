package proxy

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/session"
)

func TestScriptWithoutASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	for _, path := range []string{"/x", "/.wxgate/me", "/.wxgate/yunxin"} {
		res := b.do(http.MethodGet, path, "Accept", "*/*", "Sec-Fetch-Dest", "empty", "Referer", w.front.URL+"/room/7?a=1")
		if e := res.jsonError(t); res.StatusCode != 401 || e.Error != "login_required" || e.LoginURL != w.front.URL+"/.wxgate/login?next=%2Froom%2F7%3Fa%3D1" {
			t.Errorf("%s: %d %+v", path, res.StatusCode, e)
		}
		if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s may be cached: %v", path, res.Header)
		}
	}
	if w.authorizes() != 0 {
		t.Error("a script was sent to WeChat")
	}
	// The link that it was given works in the page's own browser.
	if got := b.open("/.wxgate/login?next=%2Froom%2F7%3Fa%3D1").echoed(t).URI; got != "/room/7?a=1" {
		t.Errorf("landed at %s", got)
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	user := b.login()
	m := b.me()
	if m.User != user || m.Channel != "mp" || m.OpenID != w.wechat.OpenID("xiaomei", testAppID) || m.AppID != testAppID || m.Profile || m.Snapshot || m.Name != "" {
		t.Errorf("%+v", m)
	}
	if life := m.Session.ExpiresAt.Sub(m.Session.CreatedAt); life != 720*time.Hour || w.clock.now().Sub(m.Session.CreatedAt).Abs() > time.Minute {
		t.Errorf("session %+v", m.Session)
	}
	if res := b.do(http.MethodPost, "/.wxgate/me"); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodGet {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

func TestSessionExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.restart(w.keyed(3*time.Hour, time.Hour, 5*time.Minute, worldSecret))
	gone := func(b *browser) bool {
		switch res := b.fetch("/x"); res.StatusCode {
		case http.StatusOK:
			return false
		case http.StatusUnauthorized:
			return true
		default:
			t.Fatalf("answered %d %s", res.StatusCode, res.body)
			return false
		}
	}
	idle, busy := w.browser(iPhone), w.browser(iPhone).as("aqiang")
	idle.login()
	busy.login()
	for range 5 { // 2:55 in all
		w.clock.advance(35 * time.Minute)
		if gone(busy) {
			t.Fatal("a session in use ended")
		}
	}
	if !gone(idle) {
		t.Error("an idle session lives")
	}
	w.clock.advance(5 * time.Minute)
	if !gone(busy) {
		t.Error("a session outlives its absolute life")
	}
	if idle.login() == "" || busy.login() == "" {
		t.Error("no fresh session after the end")
	}
	// And it has its whole idle life.
	w.clock.advance(59*time.Minute + 58*time.Second)
	if gone(busy) {
		t.Error("ended too early")
	}
}

func TestCachedSessionEndsInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.restart(w.keyed(time.Minute, time.Hour, 5*time.Minute, worldSecret))
	b := w.browser(iPhone)
	b.login()
	w.clock.advance(58 * time.Second)
	if res := b.fetch("/x"); res.StatusCode != http.StatusOK {
		t.Fatalf("two seconds before its end: %d", res.StatusCode)
	}
	w.clock.advance(2 * time.Second) // within the five seconds of the cache
	if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("at its end: %d", res.StatusCode)
	}
}

func TestHotRequestsAskNoStore(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	eventually(t, "the account at Yunxin is noted", func() bool { return b.me().YunxinAccid != "" || advanced(w, cacheLife) })
	w.clock.advance(cacheLife)
	b.fetch("/x")
	calls, sessions := w.store.calls.Load(), store.counted("Get s:")
	// The clock runs on by itself as well, so most of the five seconds are left to it.
	for range 20 {
		b.fetch("/x")
		b.me()
		w.clock.advance(cacheLife / 100)
	}
	if n := w.store.calls.Load() - calls; n != 0 {
		t.Errorf("%d store calls by a hot session", n)
	}
	w.clock.advance(cacheLife)
	for range 10 {
		b.fetch("/x")
	}
	if n := store.counted("Get s:") - sessions; n != 1 {
		t.Errorf("%d session reads in the sixth second, want 1", n)
	}
}

// advanced moves the clock and answers false, for use in a condition.
func advanced(w *world, d time.Duration) bool {
	w.clock.advance(d)
	return false
}

func TestColdSessionIsReadOnce(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	for range 5 {
		w.restart()
		reads := store.counted("Get s:")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if rec := b.peek(w.replica(0), "/x", "Sec-Fetch-Dest", "empty"); rec.Code != http.StatusOK {
					t.Errorf("answered %d", rec.Code)
				}
			})
		}
		wg.Wait()
		if n := store.counted("Get s:") - reads; n != 1 {
			t.Errorf("%d reads of one cold session", n)
		}
	}
}

// A request that was on its way while another one read the session takes what
// that one found.
func TestLateRequestReadsNothing(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	b.fetch("/x")
	cache := w.replica(0).sessions
	var e *entry
	cache.entries.each(func(one *entry) { e = one })
	reads := store.counted("Get s:")
	if l, err := cache.refresh(t.Context(), e, 0); err != nil || l.session == nil {
		t.Fatal(l, err)
	}
	if n := store.counted("Get s:") - reads; n != 0 {
		t.Errorf("%d reads of a session that was just read", n)
	}
}

func TestLastSeenIsSeldomWritten(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil)
	b := w.browser(iPhone)
	b.login()
	writes := store.counted("Replace s:")
	for range 200 { // ten minutes
		w.clock.advance(3 * time.Second)
		b.fetch("/x")
	}
	if n := store.counted("Replace s:") - writes; n < 9 || n > 10 {
		t.Errorf("last seen was written %d times in ten minutes", n)
	}
}

// setStatus blocks or erases a user as an operator does.
func (w *world) setStatus(user, status string) {
	w.t.Helper()
	_, err := w.replica(0).cfg.Users.Update(w.t.Context(), user, func(u *identity.User) error {
		u.Status = status
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestBlockedUser(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil)
	b := w.browser(iPhone)
	user := b.login()
	b.fetch("/x")
	w.setStatus(user, identity.StatusBlocked)
	w.clock.advance(settled)
	for range 4 { // on either replica
		b.open("/x").page(t, http.StatusForbidden, pageUserBlocked)
	}
	for _, path := range []string{"/x", "/.wxgate/me", "/.wxgate/yunxin"} {
		if e := b.fetch(path).jsonError(t); e.Error != "user_blocked" || e.LoginURL != "" {
			t.Errorf("%s: %+v", path, e)
		}
	}
	sessions := len(store.keys(t, "s:"))
	other := w.browser(android)
	callback := other.begin("/room/7")
	for range 2 {
		res := other.open(callback)
		res.page(t, http.StatusForbidden, pageUserBlocked)
		if sessionOf(res.Response) != "" || res.button() != "" {
			t.Errorf("cookies %q, button %q", res.Header["Set-Cookie"], res.button())
		}
	}
	if n := len(store.keys(t, "s:")); n != sessions {
		t.Errorf("%d sessions, before %d", n, sessions)
	}
	w.setStatus(user, identity.StatusActive)
	w.clock.advance(cacheLife)
	if b.open("/x").user(t) != user {
		t.Error("still blocked")
	}
}

func TestErasedUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	b := w.browser(iPhone)
	user := b.login()
	w.setStatus(user, identity.StatusErased)
	w.clock.advance(settled)
	if res := b.fetch("/x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %d %s", res.StatusCode, res.body)
	}
	if again := b.login(); again == "" || again == user {
		t.Errorf("an erased person who returns is %q, was %q", again, user)
	}
}

func TestBearerSession(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 1, nil, rules("public /free"))
	b := w.browser(iPhone)
	user := b.login()
	token, _, err := w.replica(0).cfg.Sessions.Create(t.Context(), session.Session{User: user, Channel: "mobile", AppID: testAppID, OpenID: w.wechat.OpenID("xiaomei", testAppID)})
	if err != nil {
		t.Fatal(err)
	}
	native := w.browser("claw/1.0")
	native.client.Jar = nil
	call := func(path, authorization string) answer {
		return native.do(http.MethodGet, path, "Authorization", authorization)
	}
	for _, authorization := range []string{"Bearer wxgate_" + token, "bearer   wxgate_" + token, "Bearer\twxgate_" + token} {
		e := call("/x", authorization).echoed(t)
		if e.Header.Get("X-Wxgate-User") != user || e.Header.Get("X-Wxgate-Channel") != "mobile" {
			t.Errorf("%.10q: the app was told %q", authorization, e.Header)
		}
		if got := e.Header.Get("Authorization"); got != "" {
			t.Errorf("%.10q: the session token was forwarded", authorization)
		}
	}
	if res := call("/.wxgate/me", "Bearer wxgate_"+token); res.StatusCode != http.StatusOK || !strings.Contains(res.body, user) {
		t.Errorf("me: %d %s", res.StatusCode, res.body)
	}
	reads := store.counted("Get s:")
	for _, bad := range []string{"Bearer wxgate_", "Bearer wxgate_x", "Bearer wxgate_" + token + "x", "Bearer wxgate_" + token + " x"} {
		if e := call("/x", bad).jsonError(t); e.Error != "login_required" {
			t.Errorf("%.20q: %+v", bad, e)
		}
		e := call("/free", bad).echoed(t)
		if e.Header.Get("X-Wxgate-User") != "" || e.Header.Get("Authorization") != "" {
			t.Errorf("%.20q on a public path: %q", bad, e.Header)
		}
	}
	if n := store.counted("Get s:") - reads; n != 0 {
		t.Errorf("%d store reads for garbage", n)
	}
	// An invalid token is not made good by the cookie beside it.
	if res := b.do(http.MethodGet, "/x", "Authorization", "Bearer wxgate_x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("invalid token with a cookie: %d", res.StatusCode)
	}
	// The app's own credentials are none of our business.
	for _, own := range []string{"Bearer eyJhbGciOi", "Basic d3hnYXRlXzp4", "wxgate_" + token[:3], "Digest a=b"} {
		e := b.do(http.MethodGet, "/x", "Authorization", own).echoed(t)
		if e.Header.Get("Authorization") != own || e.Header.Get("X-Wxgate-User") != user {
			t.Errorf("%q arrived as %q, user %q", own, e.Header.Get("Authorization"), e.Header.Get("X-Wxgate-User"))
		}
		if got := call("/free", own).echoed(t).Header.Get("Authorization"); got != own {
			t.Errorf("%q arrived on a public path as %q", own, got)
		}
	}
	// It ends like any session.
	if res := native.do(http.MethodPost, "/.wxgate/logout", "Authorization", "Bearer wxgate_"+token); res.StatusCode != http.StatusNoContent {
		t.Errorf("logout: %d", res.StatusCode)
	}
	if e := call("/x", "Bearer wxgate_"+token).jsonError(t); e.Error != "login_required" {
		t.Errorf("after logout: %+v", e)
	}
	if b.open("/x").user(t) != user {
		t.Error("the browser's session ended with it")
	}
}
