package proxy

import (
	"encoding/json"
	"net/http"
	"testing"

	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

func TestSnapshotVisitorReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, rules("profile /vip/"), func(c *Config) { c.SnapshotVisitors = true })
	b := w.browser(iPhone).as("snapshot")
	e := b.open("/room/7").echoed(t)
	h := e.Header
	if e.URI != "/room/7" || h.Get("X-Wxgate-Snapshot") != "1" || h.Get("X-Wxgate-User") != "" || h.Get("X-Wxgate-Openid") != "" || h.Get("X-Wxgate-Unionid") != "" {
		t.Errorf("the app was told %v", h)
	}
	if c := claims(t, h.Get("X-Wxgate-Assertion")); c.Subject != "visitor" || !c.Snapshot || c.WeChat.OpenID != "" || c.Yunxin != nil {
		t.Errorf("the assertion says %+v", c)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		if res := b.do(method, "/api/x", "Sec-Fetch-Dest", "empty"); res.StatusCode != http.StatusForbidden || res.jsonError(t).Error != "snapshot_visitor" {
			t.Errorf("%s: %d %s", method, res.StatusCode, res.body)
		}
	}
	if res := b.do(http.MethodGet, "/ws", "Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="); res.StatusCode != http.StatusForbidden {
		t.Errorf("a WebSocket got %d", res.StatusCode)
	}
	if res := b.open("/vip/"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a page that needs a profile answered %d", res.StatusCode)
	}
	if res := b.fetch("/.wxgate/yunxin"); res.StatusCode != http.StatusForbidden || res.jsonError(t).Error != "snapshot_visitor" {
		t.Errorf("yunxin: %d %s", res.StatusCode, res.body)
	}
	var me meAnswer
	if err := json.Unmarshal([]byte(b.fetch("/.wxgate/me").body), &me); err != nil || !me.Snapshot || me.User != "" || me.OpenID != "" {
		t.Errorf("me: %+v, %v", me, err)
	}
	if n := len(w.yunxin.Journal(yunxintest.Create)); n != 0 {
		t.Errorf("%d accounts at Yunxin", n)
	}

	// What proves a visitor is in the cookie alone, and it ends by itself.
	w.clock.advance(31 * 60 * 1e9)
	if res := b.fetch("/room/7"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after half an hour: %d", res.StatusCode)
	}
	// The same person with the full service is a user like everybody else.
	if user := w.browser(iPhone).as("xiaomei").open("/").user(t); len(user) != 26 {
		t.Errorf("user %q", user)
	}
	// Nobody can make such a token, and none becomes a user's.
	b.setCookie("wxgate", "v."+"MTc5NTE3MzM2NXxmb3JnZWQ")
	if res := b.fetch("/room/7"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged visitor: %d", res.StatusCode)
	}
}

// Asking for consent is what makes WeChat show a snapshot page most often.
func TestSnapshotOfAConsentedLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, rules("profile /vip/"), func(c *Config) { c.SnapshotVisitors, c.ConsentLogin = true, true })
	w.wechat.Set(func(b *wechattest.Behaviour) { b.Snapshot = true })
	b := w.browser(iPhone)
	if e := b.open(b.open("/room/7").button()).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-Snapshot") != "1" {
		t.Errorf("at %s with %v", e.URI, e.Header)
	}
	other := w.browser(iPhone)
	other.open(other.open("/vip/").button()).page(t, http.StatusOK, pageSnapshotGuide)
}
