package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func TestFirstVisitInsideWeChat(t *testing.T) {
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	res := b.open("/room/7?from=share&x=%2F#top")
	e := res.echoed(t)
	if e.URI != "/room/7?from=share&x=%2F" {
		t.Errorf("landed at %s, want the page that was asked for", e.URI)
	}
	if len(e.Header.Get("X-Wxgate-User")) != 26 || e.Header.Get("X-Wxgate-Channel") != "mp" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", testAppID) {
		t.Errorf("the app was told %v", e.Header)
	}
	if strings.Contains(res.Request.URL.String(), "code=") {
		t.Errorf("the code stayed in the address: %s", res.Request.URL)
	}
	if e.Header.Get("Cookie") != "" {
		t.Errorf("our cookies reached the app: %s", e.Header.Get("Cookie"))
	}
	again := b.open("/").user(t)
	if again != e.Header.Get("X-Wxgate-User") {
		t.Errorf("another user at the second visit: %s", again)
	}
	if n := len(w.wechat.Exchanges()); n != 1 {
		t.Errorf("%d codes were exchanged, want 1", n)
	}
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
}
