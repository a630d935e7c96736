package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestFirstVisitInsideWeChat(t *testing.T) {
	t.Parallel()
	for name, agent := range map[string]string{
		"iOS": wechattest.UAIOS, "Android": wechattest.UAAndroid, "HarmonyOS": wechattest.UAHarmony,
		"Windows": wechattest.UAWindows, "macOS": wechattest.UAMac, "mini program": wechattest.UAMiniProgram,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			b := w.browser(agent)
			res := b.open("/room/7?from=share&x=%2F#top")
			e := res.echoed(t)
			if e.URI != "/room/7?from=share&x=%2F" {
				t.Errorf("landed at %s, want the page that was asked for", e.URI)
			}
			if len(e.Header.Get("X-Wxgate-User")) != 26 || e.Header.Get("X-Wxgate-Channel") != "mp" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", testAppID) {
				t.Errorf("the app was told %v", e.Header)
			}
			if res.StatusCode != http.StatusOK || strings.Contains(res.Request.URL.String(), "code=") {
				t.Errorf("ended with %d at %s", res.StatusCode, res.Request.URL)
			}
			if e.Header.Get("Cookie") != "" {
				t.Errorf("our cookies reached the app: %s", e.Header.Get("Cookie"))
			}
			if len(b.trail) != 4 { // login, WeChat, callback, page
				t.Errorf("%d redirects: %q", len(b.trail), b.trail)
			}
			if again := b.open("/").user(t); again != e.Header.Get("X-Wxgate-User") {
				t.Errorf("another user at the second visit: %s", again)
			}
			if len(b.trail) != 4 {
				t.Error("the second visit was sent to log in again")
			}
			w.oncePerCode(t, 1)
		})
	}
}

func TestVisitOutsideWeChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, agent := range []string{phoneChrome, phoneSafari, wechattest.UAWeCom, weComDesktop} {
		res := w.browser(agent).open("/room/7?a=1")
		res.page(t, http.StatusOK, pageOpenInWeChat)
		if !strings.Contains(res.body, w.front.URL+"/room/7?a=1") {
			t.Errorf("%.20s: the page does not offer the address to copy", agent)
		}
	}
	if n := w.authorizes(); n != 0 {
		t.Errorf("%d visits to WeChat's page, which would refuse them", n)
	}
}

func TestOnePersonManyFirstVisits(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil)
	users := make([]string, 50)
	var wg sync.WaitGroup
	for i := range users {
		b := w.browser(android)
		wg.Go(func() { users[i] = b.login() })
	}
	wg.Wait()
	for _, u := range users {
		if len(u) != 26 || u != users[0] {
			t.Fatalf("one person became %q and %q", users[0], u)
		}
	}
	w.oncePerCode(t, 50)
	if n := len(store.keys(t, "a:")); n != 1 {
		t.Errorf("%d accounts", n)
	}
	created := 0.0
	for i := range 2 {
		created += w.replica(i).metric(t, "wxgate_users_created_total")
	}
	if created != 1 {
		t.Errorf("%v users were counted as created", created)
	}
	eventually(t, "the account at Yunxin", func() bool {
		a, found := w.yunxin.Account(users[0])
		return found && a.Token != ""
	})
	if n := w.yunxin.Accounts(); n != 1 {
		t.Errorf("%d accounts at Yunxin", n)
	}
}

func TestTargetIsKeptByteForByte(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for _, target := range []string{
		"/", "/?", "/a%2Fb/c;v=1?x=%2F&y=%zz;z", "/%E4%B8%AD?q=%E4%B8%AD+%20", "/a'b(c)*!$,@:~?'", "/a?next=https://evil.example/&code=1&state=2",
	} {
		b := w.browser(iPhone)
		if got := b.open(target).echoed(t).URI; got != target {
			t.Errorf("asked for %s, landed at %s", target, got)
		}
	}
}

func TestForeignTargetsBecomeTheRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	host := strings.TrimPrefix(w.front.URL, "http://")
	for _, next := range []string{
		"", "https://evil.example/", "//evil.example/", `/\evil.example/`, `\\evil.example`, "/\t/evil.example", "///evil.example", "javascript:alert(1)",
		"http:evil.example", "http://" + host + "@evil.example/", "http://" + host + ".evil.example/", "http://" + host + "//evil.example",
		"/.wxgate/login", "/.wxgate/logout", "/%2ewxgate/login", "/x/../.wxgate/callback", "/a\r\nSet-Cookie: a=b", "relative",
	} {
		res := w.browser(iPhone).open("/.wxgate/login?next=" + url.QueryEscape(next))
		if got := res.Request.URL.String(); got != w.front.URL+"/" {
			t.Errorf("next=%q leads to %s", next, got)
		}
	}
	own := w.browser(iPhone).open("/.wxgate/login?next=" + url.QueryEscape(w.front.URL+"/room/7?a=1"))
	if got := own.Request.URL.String(); got != w.front.URL+"/room/7?a=1" {
		t.Errorf("our own address leads to %s", got)
	}
}

func TestTargetTooLongForACookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	for target, want := range map[string]string{
		"/room/7?q=" + strings.Repeat("x", 5000): "/room/7",
		"/" + strings.Repeat("x", 5000):          "/",
	} {
		if got := w.browser(iPhone).open(target).echoed(t).URI; got != want {
			t.Errorf("landed at %.50s, want %s", got, want)
		}
	}
}

func TestTabsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	b := w.browser(iPhone)
	var callbacks []string
	for _, next := range []string{"/a", "/b", "/c", "/d", "/e"} {
		callbacks = append(callbacks, b.begin(next))
	}
	for i := len(callbacks) - 1; i >= 0; i-- {
		want := "/" + string("abcde"[i])
		if got := b.open(callbacks[i]).echoed(t); got.URI != want || got.Header.Get("X-Wxgate-User") == "" {
			t.Errorf("tab %d landed at %s, want %s", i, got.URI, want)
		}
	}
	w.oncePerCode(t, 5)
}

// Tabs that a browser restores at once start from the same empty cookie jar
// and overwrite one another's login cookie.
func TestTabsAtOnce(t *testing.T) {
	t.Parallel()
	for range 5 {
		w := newWorld(t, 2, nil)
		b := w.browser(iPhone)
		answers := make([]answer, 5)
		var wg sync.WaitGroup
		for i := range answers {
			tab := b.tab()
			wg.Go(func() { answers[i] = tab.open("/tab") })
		}
		wg.Wait()
		users := map[string]bool{}
		for _, a := range answers {
			if a.StatusCode != http.StatusOK {
				// Overtaken again and again: one click is all it may take.
				a.page(t, http.StatusBadRequest, pageStateLost)
				a = b.open(a.button())
			}
			users[a.user(t)] = true
		}
		if len(users) != 1 || users[""] {
			t.Fatalf("the tabs are %v", users)
		}
		w.oncePerCode(t, len(w.wechat.Exchanges()))
	}
}

func TestOvertakenTabRestartsByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b, g := w.browser(iPhone), w.replica(0)
	lost := b.begin("/lost")
	for range maxRestarts {
		b.setCookie("wxgate-login", "")
		b.begin("/other") // another tab, which has not seen the cookie of this one
		rec := b.at(g, lost)
		if want := w.front.URL + "/.wxgate/login?next=%2F&again=1"; rec.Code != http.StatusFound || rec.Header().Get("Location") != want {
			t.Fatalf("answered %d to %s, want the way to %s", rec.Code, rec.Header().Get("Location"), want)
		}
		rec = b.at(g, rec.Header().Get("Location"))
		lost = b.stay().open(rec.Header().Get("Location")).Header.Get("Location")
	}
	if b.open(lost).user(t) == "" {
		t.Error("nobody is logged in")
	}
	w.oncePerCode(t, 1)
}

func TestGivingUpIsNeverStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := ""
	for range 12 {
		callback = b.begin("/room/7") // fails on anything but the way to WeChat
	}
	if got := b.open(callback).echoed(t).URI; got != "/room/7" {
		t.Errorf("the last attempt landed at %s", got)
	}
}

func TestOldPendingLoginRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	w.clock.advance(pendingLifeOfLogins)
	if user := b.open(callback).user(t); user == "" {
		t.Error("nobody is logged in")
	}
	if w.wechat.Exchanges()[codeOf(callback)] != 0 {
		t.Error("the code of an expired login was used")
	}
	w.oncePerCode(t, 1)
}

// pendingLifeOfLogins is the contract's life of a pending login.
const pendingLifeOfLogins = 10 * time.Minute

func TestReplicaRestartedMidLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	w.restart()
	if got := b.open(callback).echoed(t).URI; got != "/room/7" {
		t.Errorf("landed at %s", got)
	}
	w.oncePerCode(t, 1)
}

func TestSecretsRotatedMidLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	w.restart(w.rotated(secretOf("new"), worldSecret))
	if got := b.open(callback).echoed(t).URI; got != "/room/7" {
		t.Errorf("landed at %s", got)
	}
	w.oncePerCode(t, 1)

	// Without the old secret the login is lost, and begins anew by itself.
	callback = w.browser(iPhone).begin("/room/7")
	w.restart(w.rotated(secretOf("newer")))
	if w.browser(iPhone).open(callback).user(t) == "" {
		t.Error("nobody is logged in")
	}
	if w.wechat.Exchanges()[codeOf(callback)] != 0 {
		t.Error("a login that nobody can read was finished")
	}
}

func TestLoginRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.LoginRate = Rate{N: 4, Per: time.Minute} }, rules("public /free"))
	b := w.browser(iPhone)
	callback := b.begin("/") // one start
	b.open(callback)         // one callback
	b.begin("/")
	if res := b.stay().open(b.begin("/") + "&again=1"); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
		t.Errorf("a callback beyond the rate: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	} else {
		res.page(t, http.StatusTooManyRequests, pageRateLimited)
	}
	if e := b.fetch("/.wxgate/login?next=/").jsonError(t); e.Error != "rate_limited" {
		t.Errorf("a start beyond the rate: %+v", e)
	}
	if b.open("/x").user(t) == "" || w.browser(iPhone).open("/free").StatusCode != http.StatusOK {
		t.Error("the rate of logins slows other requests down")
	}
	w.clock.advance(15 * time.Second) // one more
	b.begin("/")
	if got := len(w.wechat.Exchanges()); got != 1 {
		t.Errorf("%d codes were exchanged", got)
	}
}
