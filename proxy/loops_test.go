package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// forgetful is a cookie jar that loses cookies.
type forgetful struct {
	http.CookieJar
	lose func(host, name string) bool
}

func (j forgetful) SetCookies(u *url.URL, cookies []*http.Cookie) {
	var kept []*http.Cookie
	for _, c := range cookies {
		if !j.lose(u.Hostname(), c.Name) {
			kept = append(kept, c)
		}
	}
	j.CookieJar.SetCookies(u, kept)
}

// loses makes the browser drop such cookies as often as times says; negative
// means always.
func (b *browser) loses(name string, times int) *browser {
	b.client.Jar = forgetful{b.client.Jar, func(_, n string) bool {
		if n != name || times == 0 {
			return false
		}
		times--
		return true
	}}
	return b
}

func TestLoginCookieLostOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone).loses("wxgate-login", 1)
	if b.open("/room/7").user(t) == "" {
		t.Error("nobody is logged in")
	}
	if n := b.asked("/.wxgate/login"); n != 2 {
		t.Errorf("%d logins, want the lost one and its replacement", n)
	}
	w.oncePerCode(t, 1)
}

func TestLoginCookieAlwaysLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone).loses("wxgate-login", -1)
	res := b.open("/room/7")
	res.page(t, http.StatusBadRequest, pageStateLost)
	if !strings.Contains(res.body, pageDetails[detailHTTP].zh) {
		t.Errorf("the page names no cause: %s", text(res.body))
	}
	// /, then twice login, WeChat and callback.
	if len(b.trail) != 6 {
		t.Errorf("%d redirects: %q", len(b.trail), b.trail)
	}
	w.oncePerCode(t, 0)
	// The button tries again, and ends again.
	b.trail = nil
	b.open(res.button()).page(t, http.StatusBadRequest, pageStateLost)
	if len(b.trail) > 6 {
		t.Errorf("%d redirects behind the button", len(b.trail))
	}
}

// Without any cookie the login cookie goes first; that page comes, no loop.
func TestNoCookiesAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.client.Jar = nil
	b.open("/room/7").page(t, http.StatusBadRequest, pageStateLost)
	w.oncePerCode(t, 0)
}

func TestSessionCookieAlwaysLost(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]string{
		"short": "/room/7",
		"long":  "/room/7?q=" + strings.Repeat("x", 1500), // two of these fit into no cookie
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, nil)
			b := w.browser(iPhone).loses("wxgate", -1)
			res := b.open(target)
			res.page(t, http.StatusBadRequest, pageLoopStopped)
			if !strings.Contains(res.body, pageDetails[detailHTTP].zh) {
				t.Errorf("the page names no cause: %s", text(res.body))
			}
			if n := b.asked("/.wxgate/login"); n != 3 {
				t.Errorf("stopped at login %d, want the third", n)
			}
			w.oncePerCode(t, 2)
			if res.button() != w.front.URL+target {
				t.Errorf("the button leads to %.60s", res.button())
			}
			// The button is no way round the stop.
			b.open(res.button()).page(t, http.StatusBadRequest, pageLoopStopped)
			w.oncePerCode(t, 2)
			// A minute later it is free again.
			w.clock.advance(time.Minute)
			b.trail = nil
			b.open(target).page(t, http.StatusBadRequest, pageLoopStopped)
			if n := b.asked("/.wxgate/login"); n != 3 {
				t.Errorf("a minute later it is stopped at login %d", n)
			}
			// Once cookies are kept, so is the session.
			w.clock.advance(time.Minute)
			b.client.Jar = b.client.Jar.(forgetful).CookieJar
			if got := b.open(target).echoed(t).URI; got != target {
				t.Errorf("landed at %.60s", got)
			}
		})
	}
}

// A second host has cookies of its own to lose.
func TestCookiesLostOnASecondHost(t *testing.T) {
	t.Parallel()
	for lost, page := range map[string]pageID{"wxgate-login": pageStateLost, "wxgate": pageLoopStopped} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil, second)
			b := w.browser(iPhone).tab()
			b.client.Jar = forgetful{b.client.Jar, func(host, name string) bool { return host == "localhost" && name == lost }}
			b.open(w.other()+"/room/7").page(t, http.StatusBadRequest, page)
			w.oncePerCode(t, 1)
		})
	}
}

// Where each login needs a click, the third one still names the cause.
func TestConsentedLoginsThatAreLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.ConsentLogin = true })
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	b := w.browser(iPhone).loses("wxgate", -1)
	ours := b.open("/room/7")
	for range 2 {
		ours.page(t, http.StatusOK, pageConsent)
		ours = b.open(ours.button())
	}
	ours.page(t, http.StatusBadRequest, pageLoopStopped)
	w.oncePerCode(t, 2)
}

func TestLogoutFreesTheLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	for range 5 { // all within a minute
		if b.login() == "" {
			t.Fatal("nobody is logged in")
		}
		if res := b.do(http.MethodPost, "/.wxgate/logout", "Sec-Fetch-Site", "same-origin"); res.StatusCode != http.StatusNoContent {
			t.Fatalf("logout answered %d", res.StatusCode)
		}
	}
}

// Logins that lost nothing are no loop, however many there are.
func TestManyLoginsWithASession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	user := b.login()
	for range 5 {
		if got := b.open("/.wxgate/login?next=/room/7").echoed(t); got.URI != "/room/7" || got.Header.Get("X-Wxgate-User") != user {
			t.Fatalf("ended at %s as %q", got.URI, got.Header.Get("X-Wxgate-User"))
		}
	}
	if n := w.authorizes(); n > 2 {
		t.Errorf("%d visits to WeChat within a minute", n)
	}
}
