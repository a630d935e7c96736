package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/identity"
	"wxgate/wechat/wechattest"
)

// late is a moment in the last tenth of a session's life. The visitor comes
// every few days, so that it does not end for want of use.
func late(w *world, b *browser) {
	for range 5 {
		w.clock.advance(131 * time.Hour)
		b.fetch("/")
	}
}

func TestRenewal(t *testing.T) {
	w := newWorld(t, 1, nil, clearing(AppCookie{"sid", "/"}))
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	b.setCookie("sid", "mine")
	for range 4 {
		w.clock.advance(100 * time.Hour)
		b.open("/")
	}
	if n := len(w.wechat.Exchanges()); n != 1 {
		t.Fatalf("%d codes were exchanged long before the end", n)
	}
	w.clock.advance(130 * time.Hour)
	b.fetch("/")
	w.clock.advance(130 * time.Hour)
	before := b.cookies()["wxgate"]
	if res := b.fetch("/"); res.StatusCode != 200 || b.cookies()["wxgate"] != before || len(w.wechat.Exchanges()) != 1 {
		t.Fatalf("a script's call: %d, %d exchanges", res.StatusCode, len(w.wechat.Exchanges()))
	}
	place := "/room/7?a=%2F&b=1;c"
	res := b.open(place)
	if e := res.echoed(t); e.URI != place || e.Header.Get("X-Wxgate-User") != user {
		t.Errorf("landed at %s as %s", e.URI, e.Header.Get("X-Wxgate-User"))
	}
	if b.cookies()["wxgate"] == before || len(w.wechat.Exchanges()) != 2 {
		t.Errorf("not renewed; %d exchanges", len(w.wechat.Exchanges()))
	}
	if b.cookies()["sid"] != "mine" {
		t.Error("the same user lost the app's cookie")
	}
	w.clock.advance(100 * time.Hour) // beyond the first session's end
	b.open("/").user(t)
	if n := len(w.wechat.Exchanges()); n != 2 {
		t.Errorf("%d exchanges, the fresh session was renewed again", n)
	}
}

func TestNoRenewal(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *world, b *browser)
		visit   func(b *browser) answer
	}{
		"outside WeChat":                     {visit: func(b *browser) answer { b.agent = desktop; return b.stay().open("/") }},
		"in WeCom":                           {visit: func(b *browser) answer { b.agent = wechattest.UAWeCom; return b.stay().open("/") }},
		"another method":                     {visit: func(b *browser) answer { return b.stay().do("POST", "/", "Accept", "text/html") }},
		"a script":                           {visit: func(b *browser) answer { return b.stay().fetch("/") }},
		"a place that cannot be returned to": {visit: func(b *browser) answer { return b.stay().open("/" + strings.Repeat("x", 3000)) }},
		"no rate left": {
			prepare: func(w *world, b *browser) {
				w.replicas[0].limit = newLimiter(Rate{N: 2, Per: time.Hour}, w.clock.now)
			},
			visit: func(b *browser) answer { return b.stay().open("/") },
		},
		"a session of another channel": {
			prepare: func(w *world, b *browser) { w.replicas[0].cfg.MP.ID = "wx00000000000000ff" },
			visit:   func(b *browser) answer { return b.stay().open("/") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			b := w.browser(iPhone)
			b.open("/")
			late(w, b)
			if c.prepare != nil {
				c.prepare(w, b)
			}
			if res := c.visit(b); res.StatusCode != 200 {
				t.Errorf("%d to %s", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// Whatever fails on the way, the visitor gets in with the session they have, and
// nobody goes in circles.
func TestRenewalFails(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(w *world, b *browser)
	}{
		"WeChat does not answer": {func(w *world, b *browser) {
			w.wechat.Inject("/sns/oauth2/access_token", wechattest.Fault{Status: 500, Times: -1})
		}},
		"WeChat refuses": {func(w *world, b *browser) {
			w.wechat.Inject("/sns/oauth2/access_token", wechattest.Fault{Errcode: 40029, Times: -1})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, nil)
			b := w.browser(iPhone)
			user := b.open("/").user(t)
			late(w, b)
			c.fail(w, b)
			if res := b.open("/room/7"); res.StatusCode != 200 || res.echoed(t).URI != "/room/7" || res.user(t) != user {
				t.Errorf("%d %s", res.StatusCode, res.body)
			}
			if res := b.stay().open("/room/7"); res.StatusCode != 200 {
				t.Errorf("the next visit: %d to %s", res.StatusCode, res.Header.Get("Location"))
			}
			w.clock.advance(renewEvery + time.Second)
			if res := b.stay().open("/room/7"); res.StatusCode != 302 || !strings.Contains(res.Header.Get("Location"), "renew=1") {
				t.Errorf("some minutes later: %d to %s", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
}

// A browser that stops on its way, whatever cookie it loses, gets in.
func TestRenewalAbandoned(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		for _, lost := range []string{"", "wxgate-login"} {
			w := newWorld(t, replicas, nil)
			b := w.browser(iPhone)
			b.open("/")
			late(w, b)
			got, tries := 0, 0
			for got != 200 && tries <= replicas+1 {
				got = b.stay().open("/").StatusCode
				tries++
				if lost != "" {
					b.setCookie(lost, "")
				}
			}
			limit := 2
			if lost != "" {
				limit = 60 // requests go to replicas at random; each tries once
			}
			for got != 200 && tries < limit {
				got = b.stay().open("/").StatusCode
				b.setCookie(lost, "")
				tries++
			}
			if got != 200 {
				t.Errorf("%d replicas, without %q: after %d visits still %d", replicas, lost, tries, got)
			}
		}
	}
}

func TestRenewalWhereLoginsAskForConsent(t *testing.T) {
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.open("/")
	w.replicas[0].cfg.ConsentLogin = true
	late(w, b)
	if res := b.open("/room/7"); res.StatusCode != 200 || res.echoed(t).URI != "/room/7" || len(w.wechat.Exchanges()) != 2 {
		t.Errorf("%d, %d exchanges: %s", res.StatusCode, len(w.wechat.Exchanges()), res.body)
	}
	// The word alone, without a session, spares nobody the question.
	if res := w.browser(iPhone).open("/.wxgate/login?renew=1&next=/"); !strings.Contains(res.body, "agreed=1") {
		t.Errorf("without a session: %d %s", res.StatusCode, res.body)
	}
}

func TestRenewalKeepsTheFragment(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.KeepFragment = true })
	b := w.browser(iPhone)
	b.open("/.wxgate/login?next=/")
	late(w, b)
	res := b.stay().open("/room/7")
	if res.StatusCode != 200 || !strings.Contains(res.body, "location.replace") || !strings.Contains(res.body, "renew") {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
	b.open("/.wxgate/login?renew=1&next=" + url.QueryEscape("/room/7#/seat/2"))
	if n := len(w.wechat.Exchanges()); n != 2 {
		t.Errorf("%d exchanges", n)
	}
	if res := b.stay().do(http.MethodGet, "/x", "Accept", "text/html"); res.StatusCode != 200 || res.echoed(t).URI != "/x" {
		t.Errorf("with the fresh session: %d", res.StatusCode)
	}
}

func TestRenewalOfTheBlocked(t *testing.T) {
	w := newWorld(t, 1, nil, rules("public /p"))
	b := w.browser(iPhone)
	user := b.open("/").user(t)
	late(w, b)
	if _, err := w.replicas[0].cfg.Users.Update(t.Context(), user, func(u *identity.User) error { u.Status = identity.StatusBlocked; return nil }); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(cacheLife + time.Second)
	if res := b.stay().open("/p"); res.StatusCode != 200 {
		t.Errorf("a blocked user was led to login: %d", res.StatusCode)
	}
}
