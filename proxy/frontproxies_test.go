package proxy

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wxgate/identity"
)

func toyApp(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		w.Header().Set("X-Wxgate-Require", "profile")
		echo(w, r)
		return
	}
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Wxgate-User")))
	c.Close(websocket.StatusNormalClosure, "")
}

const playRules = "public /public/; profile /vip/; deny /internal/; user+token /game/"

func TestNginx(t *testing.T) {
	f := behindFront(t, toyApp, rules(playRules), func(c *Config) { c.VerifyFiles = map[string]string{"MP_verify_a1.txt": "a1"} })
	f.startNginx()
	f.story(t)
	if got := f.visitor(iPhone).fetch(play("/.wxgate/auth")); got.StatusCode != 404 {
		t.Errorf("the question, asked by a browser: %d", got.StatusCode)
	}
}

// story is what visitors of a front proxy live through.
func (f *fronted) story(t *testing.T) {
	b := f.visitor(iPhone)

	// A page visit: login, WeChat, callback, and the page that was asked for.
	first := b.stay().open(play("/room/7?from=share&x=%2F"))
	if want := play("/.wxgate/login?next=%2Froom%2F7%3Ffrom%3Dshare%26x%3D%252F"); first.StatusCode != 302 || first.Header.Get("Location") != want || first.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("a page without a session: %d %v", first.StatusCode, first.Header)
	}
	res := b.open(play("/room/7?from=share&x=%2F"))
	e := res.echoed(t)
	user := e.Header.Get("X-Wxgate-User")
	if e.URI != "/room/7?from=share&x=%2F" || len(user) != 26 || e.Header.Get("X-Wxgate-Openid") != f.wechat.OpenID("xiaomei", testAppID) || e.Header.Get("X-Wxgate-Channel") != "mp" {
		t.Fatalf("after the login the app was sent %s %v", e.URI, e.Header)
	}
	if res.Header.Get("X-Wxgate-Assertion") != "" || res.Header.Get("X-Wxgate-User") != "" {
		t.Errorf("the browser was told the identity: %v", res.Header)
	}
	f.verify(t, b, e.Header.Get("X-Wxgate-Assertion"), user)
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": playHost, "X-Forwarded-Proto": "https",
	} {
		if got := e.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("the app was sent %s: %q, want %s", name, got, want)
		}
	}
	if e.Host != playHost || e.Header.Get("X-Request-Id") == "" || e.Header.Get("X-Original-Url") != "" {
		t.Errorf("the app was sent Host %s, %v", e.Host, e.Header)
	}

	t.Run("the session stays between browser and wxgate", func(t *testing.T) {
		b.client.Jar.SetCookies(&url.URL{Scheme: "https", Host: playHost, Path: "/"}, []*http.Cookie{
			{Name: "sid", Value: "app"}, {Name: "long", Value: strings.Repeat("x", 3000)}, {Name: "longer", Value: strings.Repeat("y", 3500)},
		})
		got := b.do("GET", play("/"), "Authorization", "Basic YTpi").echoed(t)
		cookie := got.Header.Get("Cookie")
		if strings.Contains(cookie, "wxgate") || !strings.Contains(cookie, "sid=app") || !strings.Contains(cookie, "yyy") || got.Header.Get("Authorization") != "Basic YTpi" {
			t.Errorf("the app was sent Cookie %.200q, Authorization %q", cookie, got.Header.Get("Authorization"))
		}
	})
	t.Run("nor does the app see a bearer", func(t *testing.T) {
		got := f.visitor(iPhone).do("GET", play("/api"), "Authorization", "Bearer wxgate_"+f.member("of-a-mini-program", nil)).echoed(t)
		if got.Header.Get("X-Wxgate-User") == "" || got.Header.Get("Authorization") != "" {
			t.Errorf("the app was sent %v", got.Header)
		}
	})
	t.Run("the body is the app's", func(t *testing.T) {
		req, _ := http.NewRequest("POST", play("/api?x=1"), strings.NewReader(strings.Repeat("coin", 20000)))
		got, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		var e echoed
		if err := json.NewDecoder(got.Body).Decode(&e); err != nil || e.Method != "POST" || len(e.Body) != 80000 || e.Header.Get("X-Wxgate-User") != user {
			t.Errorf("%v, %s with %d bytes", err, e.Method, len(e.Body))
		}
	})
	t.Run("scripts", func(t *testing.T) {
		got := f.visitor(iPhone).stay().fetch(play("/api"))
		if e := got.jsonError(t); got.StatusCode != 401 || e.Error != "login_required" || e.LoginURL != play("/.wxgate/login?next=%2F") {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	})
	t.Run("public", func(t *testing.T) {
		got := f.visitor(desktop).fetch(play("/public/x"))
		if e := got.echoed(t); got.StatusCode != 200 || e.Header.Get("X-Wxgate-User") != "" || e.Header.Get("X-Wxgate-Assertion") != "" {
			t.Errorf("%d %v", got.StatusCode, e.Header)
		}
	})
	t.Run("token", func(t *testing.T) {
		eventually(t, "the Yunxin token arrives", func() bool {
			f.clock.advance(cacheLife)
			return b.fetch(play("/game/start")).echoed(t).Header.Get("X-Wxgate-Yunxin-Token") != ""
		})
		if got := b.fetch(play("/api")).echoed(t); got.Header.Get("X-Wxgate-Yunxin-Token") != "" || got.Header.Get("X-Wxgate-Yunxin-Accid") == "" {
			t.Errorf("another route was sent %v", got.Header)
		}
	})
	t.Run("profile", func(t *testing.T) {
		got := b.stay().open(play("/vip/1"))
		if got.StatusCode != 302 || got.Header.Get("Location") != play("/.wxgate/login?next=%2Fvip%2F1&profile=1&needed=1") {
			t.Errorf("a page: %d %v", got.StatusCode, got.Header)
		}
		script := b.fetch(play("/vip/1"))
		if e := script.jsonError(t); script.StatusCode != 403 || e.Error != "profile_required" || !strings.HasSuffix(e.LoginURL, "&profile=1") {
			t.Errorf("a script: %d %s", script.StatusCode, script.body)
		}
	})
	t.Run("nobody's", func(t *testing.T) {
		for _, path := range []string{"/internal/x", "/public/..%2finternal/x"} {
			if got := b.fetch(play(path)); got.StatusCode != 403 {
				t.Errorf("%s: %d %s", path, got.StatusCode, got.body)
			}
		}
		for _, path := range []string{"/.wxgate/auth", "/.wxgate/%61uth", "/.wxgate/unknown"} {
			got := b.do("GET", play(path), "X-Original-URL", play("/"), "X-Original-Method", "GET", "X-Forwarded-Uri", "/", "X-Forwarded-Method", "GET")
			if got.StatusCode != 404 && got.StatusCode != 403 || got.Header.Get("X-Wxgate-Assertion") != "" {
				t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
			}
		}
	})
	t.Run("verification file", func(t *testing.T) {
		if got := f.visitor(desktop).fetch(play("/MP_verify_a1.txt")); got.StatusCode != 200 || got.body != "a1" {
			t.Errorf("%d %q", got.StatusCode, got.body)
		}
	})
	t.Run("another request's name", func(t *testing.T) {
		for _, fields := range []string{
			"X-Original-URL: " + play("/public/x") + "\nX-Original-Method: GET\n",
			"X-Forwarded-Uri: /public/x\nX-Forwarded-Method: GET\nX-Forwarded-Host: " + playHost + "\n",
			"X-Original-URL: /public/x\nX-Forwarded-Uri: /public/x\n", "X-Rewrite-URL: /public/x\n", "X-HTTP-Method-Override: GET\n",
		} {
			if got := f.raw("GET /api", fields); statusOf(got) != 401 {
				t.Errorf("%q: %.200s", fields, got)
			}
		}
	})
	t.Run("look-alikes", func(t *testing.T) {
		fields := ""
		for _, name := range []string{
			"X-Wxgate-User", "x-wxgate-user", "X_Wxgate_User", "X-Wxgate_User", "X_WXGATE_ASSERTION", "X.Wxgate.User", "X~Wxgate~User", "X'Wxgate'User",
			"X-Wxgate-Assertion", "X-Wxgate-Channel", "X-Wxgate-Appid", "X-Wxgate-Openid", "X-Wxgate-Unionid", "X-Wxgate-Name", "X-Wxgate-Avatar",
			"X-Wxgate-Yunxin-Accid", "X-Wxgate-Yunxin-Token", "X-Wxgate-Snapshot", "X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Host", "Forwarded",
		} {
			fields += name + ": evil\n"
		}
		cookie := ""
		for _, c := range b.client.Jar.Cookies(&url.URL{Scheme: "https", Host: playHost, Path: "/"}) {
			if c.Name == "__Host-wxgate" {
				cookie = "Cookie: " + c.Name + "=" + c.Value + "\n"
			}
		}
		for name, credentials := range map[string]string{"nobody": "", "a user": cookie} {
			got := f.raw("GET /public/x", fields+credentials)
			if statusOf(got) != 200 || strings.Contains(got, "evil") {
				t.Errorf("%s: %s", name, got)
			}
			if strings.Contains(got, user) != (credentials != "") {
				t.Errorf("%s: told %s", name, got)
			}
		}
		// Nor may a list of hop-by-hop names take ours away.
		got := f.raw("GET /api", "Connection: X-Wxgate-User, X-Wxgate-Assertion\n"+cookie)
		if statusOf(got) != 200 || !strings.Contains(got, user) {
			t.Errorf("named in Connection: %s", got)
		}
	})
	t.Run("WebSocket", func(t *testing.T) {
		dial := func(b *browser, origin string) (string, int) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			c, res, err := websocket.Dial(ctx, "wss://"+playHost+"/ws", &websocket.DialOptions{HTTPClient: b.client, HTTPHeader: http.Header{"Origin": {origin}}})
			if err != nil {
				if res == nil {
					t.Fatal(err)
				}
				return "", res.StatusCode
			}
			defer c.CloseNow()
			_, text, err := c.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return string(text), res.StatusCode
		}
		if got, status := dial(b, play("")); status != 101 || got != user {
			t.Errorf("our page: %d %q", status, got)
		}
		if _, status := dial(b, "https://evil.example"); status != 403 {
			t.Errorf("a foreign page: %d", status)
		}
		if _, status := dial(f.visitor(iPhone).stay(), play("")); status != 401 {
			t.Errorf("without a session: %d", status)
		}
	})
	t.Run("store", func(t *testing.T) {
		token := f.member("not-yet-in-the-cache", nil)
		f.store.down.Store(true)
		defer f.store.down.Store(false)
		other := f.visitor(iPhone)
		other.client.Jar.SetCookies(&url.URL{Scheme: "https", Host: playHost, Path: "/"}, []*http.Cookie{
			{Name: "__Host-wxgate", Value: token, Path: "/", Secure: true},
		})
		got := other.fetch(play("/api"))
		if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", got.StatusCode, got.Header)
		}
	})
	t.Run("logout", func(t *testing.T) {
		if got := b.stay().do("POST", play("/.wxgate/logout"), "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Dest", "empty"); got.StatusCode != 204 {
			t.Fatalf("%d %s", got.StatusCode, got.body)
		}
		if got := b.stay().open(play("/room/7")); got.StatusCode != 302 {
			t.Errorf("a page after it: %d", got.StatusCode)
		}
		if got := b.fetch(play("/api")); got.StatusCode != 401 {
			t.Errorf("a call after it: %d", got.StatusCode)
		}
	})
}

// An identity header that an example forgets would be the client's to choose.
func TestFrontProxyExamplesNameEveryHeader(t *testing.T) {
	for _, file := range []string{"nginx.conf", "Caddyfile", "ingress-nginx.yaml"} {
		text, err := os.ReadFile("../deploy/front-proxies/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{
			identity.HeaderAssertion, identity.HeaderUser, identity.HeaderChannel, identity.HeaderAppID, identity.HeaderOpenID, identity.HeaderUnionID,
			identity.HeaderName, identity.HeaderAvatar, identity.HeaderYunxinAccid, identity.HeaderYunxinToken, identity.HeaderSnapshot, "Cookie", "Authorization",
		} {
			if !strings.Contains(string(text), name) {
				t.Errorf("%s does not name %s", file, name)
			}
		}
	}
}
