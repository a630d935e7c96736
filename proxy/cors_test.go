package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const listedPage = "https://pages.example.com"

func withOrigins(c *Config) {
	c.AllowedOrigins, c.AllowedHosts = []string{listedPage, "http://localhost:3000"}, []string{"shop.example.com"}
}

// granted checks what an answer lets a page of an origin do.
func (a answer) granted(t *testing.T, origin string, want bool) {
	t.Helper()
	h := a.Header
	allow, credentials := h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials")
	if want && (allow != origin || credentials != "true" || !strings.Contains(h.Get("Vary"), "Origin")) {
		t.Errorf("%s may not read the answer: %d %v", origin, a.StatusCode, h)
	}
	if want {
		return
	}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s is told %s: %s", origin, name, h.Get(name))
		}
	}
}

func TestOwnAnswersForListedOrigins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, withOrigins, rules("profile /vip")).scripting()
	b := w.browser(iPhone)
	b.login()
	for origin, want := range map[string]bool{
		listedPage: true, "http://localhost:3000": true, "http://shop.example.com": true,
		"https://evil.example.com": false, "http://pages.example.com": false, "https://pages.example.com:8443": false, "https://x.pages.example.com": false,
		"https://pages.example.com.evil.com": false, "http://localhost:3001": false, "null": false, "https://shop.example.com": false,
	} {
		nobody := w.browser(iPhone)
		for path, statuses := range map[string][2]int{
			"/.wxgate/me":                         {200, 401},
			"/.wxgate/yunxin":                     {200, 401},
			"/.wxgate/jssdk?url=" + w.front.URL:   {200, 200},
			"/.wxgate/jssdk?url=http://evil.com/": {400, 400},
			"/api/rooms":                          {200, 401},
			"/vip":                                {403, 401},
			"/.wxgate/nothing":                    {404, 404},
		} {
			for i, visitor := range []*browser{b, nobody} {
				res := visitor.do(http.MethodGet, path, "Origin", origin, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty")
				if res.StatusCode != statuses[i] {
					t.Errorf("%s from %s: %d %s", path, origin, res.StatusCode, res.body)
				}
				// The app's own answers are the app's business.
				res.granted(t, origin, want && !(path == "/api/rooms" && i == 0))
			}
		}
	}
	if res := b.fetch("/.wxgate/me"); res.Header.Get("Vary") != "Origin" {
		t.Errorf("a cache could hand this answer to another origin: %v", res.Header)
	}
}

func TestOutageIsReadableForListedOrigins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, withOrigins)
	b := w.browser(iPhone)
	b.login()
	w.store.down.Store(true)
	defer w.store.down.Store(false)
	w.clock.advance(graceLife + cacheLife)
	res := b.do(http.MethodGet, "/.wxgate/me", "Origin", listedPage)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(res.Header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	res.granted(t, listedPage, true)
}

func TestOwnPreflights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(http.ResponseWriter, *http.Request) { t.Error("the app was asked") }, withOrigins)
	b := w.browser(iPhone)
	for path, method := range map[string]string{"me": "GET", "yunxin": "GET", "jssdk": "GET", "logout": "POST"} {
		ask := func(origin string) answer {
			return b.do(http.MethodOptions, "/.wxgate/"+path, "Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,x-request-id")
		}
		res := ask(listedPage)
		h := res.Header
		if res.StatusCode != http.StatusNoContent || res.body != "" || h.Get("Access-Control-Allow-Methods") != method ||
			h.Get("Access-Control-Allow-Headers") != "authorization,x-request-id" || h.Get("Access-Control-Max-Age") != "600" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, res.StatusCode, h)
		}
		res.granted(t, listedPage, true)

		res = ask("https://evil.example.com")
		if res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: another origin's preflight is answered %d", path, res.StatusCode)
		}
		res.granted(t, "https://evil.example.com", false)

		// Without the question it is no preflight.
		if res := b.do(http.MethodOptions, "/.wxgate/"+path, "Origin", listedPage); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: OPTIONS is answered %d", path, res.StatusCode)
		}
	}
	for _, path := range []string{"login", "callback", "handover", "jwks.json", "wxgate.js", "nothing"} {
		res := b.do(http.MethodOptions, "/.wxgate/"+path, "Origin", listedPage, "Access-Control-Request-Method", "POST")
		if res.StatusCode != http.StatusMethodNotAllowed && res.StatusCode != http.StatusNotFound || res.Header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s: the preflight is answered %d %v", path, res.StatusCode, res.Header)
		}
	}
}

type preflightCase struct {
	method, path string
	fields       []string
	want         int
	known        bool // the app is told who asks
}

// body is what the fields announce.
func (c preflightCase) body() string {
	if slices.Contains(c.fields, "Transfer-Encoding: chunked") || slices.Contains(c.fields, "Content-Length: 5") {
		return "0\r\n\r\n"
	}
	return ""
}

func TestAppPreflights(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, withOrigins, rules("public /open/; deny /host/; profile /vip/; user+token /im/"))
	session := w.sessionCookie()
	type lines = []string
	preflight := lines{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-csrf"}
	for name, tt := range map[string]preflightCase{
		"listed":               {"OPTIONS", "/api", append(lines{"Origin: " + listedPage}, preflight...), 200, false},
		"served":               {"OPTIONS", "/api", append(lines{"Origin: http://shop.example.com"}, preflight...), 200, false},
		"profile rule":         {"OPTIONS", "/vip/x", append(lines{"Origin: " + listedPage}, preflight...), 200, false},
		"with a session":       {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "Cookie: a=b; " + session}, preflight...), 200, false},
		"with a session, +im":  {"OPTIONS", "/im/x", append(lines{"Origin: " + listedPage, "Cookie: " + session}, preflight...), 200, false},
		"with a bearer":        {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "Authorization: Basic YTpi"}, preflight...), 200, false},
		"claims an identity":   {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "X-Wxgate-User: me", "x_wxgate_user: me"}, preflight...), 200, false},
		"denied":               {"OPTIONS", "/host/x", append(lines{"Origin: " + listedPage}, preflight...), 404, false},
		"denied in a reading":  {"OPTIONS", "/api/%2e%2e/host/x", append(lines{"Origin: " + listedPage}, preflight...), 404, false},
		"ours in a reading":    {"OPTIONS", "/api/%2e%2e/.wxgate/me", append(lines{"Origin: " + listedPage}, preflight...), 404, false},
		"unlisted":             {"OPTIONS", "/api", append(lines{"Origin: https://evil.example.com"}, preflight...), 401, false},
		"unlisted, public":     {"OPTIONS", "/open/x", append(lines{"Origin: https://evil.example.com"}, preflight...), 200, false},
		"null":                 {"OPTIONS", "/api", append(lines{"Origin: null"}, preflight...), 401, false},
		"no origin":            {"OPTIONS", "/api", preflight, 401, false},
		"asks for nothing":     {"OPTIONS", "/api", lines{"Origin: " + listedPage}, 401, false},
		"asks for nothing, in": {"OPTIONS", "/api", lines{"Origin: " + listedPage, "Cookie: " + session}, 200, true},
		"not OPTIONS":          {"DELETE", "/api", append(lines{"Origin: " + listedPage}, preflight...), 401, false},
		"overridden":           {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "X-HTTP-Method-Override: POST"}, preflight...), 401, false},
		"names its method":     {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "X-Forwarded-Method: OPTIONS"}, preflight...), 200, false},
		"overridden, _":        {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "X_Method: POST"}, preflight...), 401, false},
		"upgrade":              {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "Upgrade: websocket"}, preflight...), 401, false},
		"with a body":          {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "Content-Length: 5"}, preflight...), 401, false},
		"chunked":              {"OPTIONS", "/api", append(lines{"Origin: " + listedPage, "Transfer-Encoding: chunked"}, preflight...), 401, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.talk(tt.method + " " + tt.path + " HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n" + strings.Join(tt.fields, "\r\n") + "\r\n\r\n" + tt.body())
			status := statusOf(got)
			if status != tt.want {
				t.Fatalf("answered %d, want %d: %s", status, tt.want, got)
			}
			if status != http.StatusOK {
				return
			}
			if known := strings.Contains(got, `"X-Wxgate-User"`); known != tt.known {
				t.Errorf("the app was told who asks: %v: %s", known, got)
			}
			if !tt.known && tt.path != "/open/x" && (strings.Contains(strings.ToLower(got), "wxgate") || strings.Contains(got, `"Cookie"`) || strings.Contains(got, `"Authorization"`)) {
				t.Errorf("the app can tell who asks: %s", got)
			}
			if tt.path == "/api" && !tt.known && !(strings.Contains(got, `"Access-Control-Request-Method":["POST"]`) && strings.Contains(got, `"Access-Control-Request-Headers":["x-csrf"]`) && strings.Contains(got, `"method":"OPTIONS"`)) {
				t.Errorf("the app did not get the question: %s", got)
			}
		})
	}
}

func TestLogoutFromListedOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, withOrigins)
	for _, tt := range []struct {
		origin, site string
		want         int
	}{
		{listedPage, "same-site", 204}, {listedPage, "cross-site", 204}, {listedPage, "", 204}, {w.front.URL, "", 204},
		{"https://evil.example.com", "same-site", 403}, {"https://evil.example.com", "", 403}, {"http://shop.example.com", "cross-site", 403}, {"null", "cross-site", 403},
	} {
		b := w.browser(iPhone)
		b.login()
		headers := []string{"Origin", tt.origin, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}
		if tt.site != "" {
			headers = append(headers, "Sec-Fetch-Site", tt.site)
		}
		res := b.do(http.MethodPost, "/.wxgate/logout", headers...)
		if res.StatusCode != tt.want {
			t.Errorf("%s, %s: %d %s", tt.origin, tt.site, res.StatusCode, res.body)
		}
		res.granted(t, tt.origin, tt.origin == listedPage || strings.HasPrefix(tt.origin, "http://"))
		if over := b.fetch("/.wxgate/me").StatusCode == http.StatusUnauthorized; over != (tt.want == 204) {
			t.Errorf("%s, %s: the session is over: %v", tt.origin, tt.site, over)
		}
	}
}

// The header by which wxgate.js knows a refusal of ours cannot come from the
// app, and is there for scripts only.
func TestRefusalsAreMarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Wxgate-Login-Url", "https://evil.example/")
		rw.WriteHeader(http.StatusUnauthorized)
	}, rules("public /open; profile /vip"))
	b := w.browser(iPhone)
	for path, want := range map[string]string{"/x": "/.wxgate/login?next=%2F", "/.wxgate/me": "/.wxgate/login?next=%2F", "/open": ""} {
		res := b.fetch(path)
		if got := res.Header.Get("X-Wxgate-Login-Url"); res.StatusCode != http.StatusUnauthorized || got != want && got != w.front.URL+want {
			t.Errorf("%s: %d says %q", path, res.StatusCode, got)
		} else if want != "" && got != res.jsonError(t).LoginURL {
			t.Errorf("%s: the header says %s, the body %s", path, got, res.body)
		}
	}
	b.open("/x")
	if res := b.fetch("/vip"); res.StatusCode != http.StatusForbidden || !strings.HasSuffix(res.Header.Get("X-Wxgate-Login-Url"), "&profile=1") {
		t.Errorf("/vip: %d %v", res.StatusCode, res.Header)
	}
	if res := b.do(http.MethodPost, "/.wxgate/logout", "Origin", "https://evil.example"); res.StatusCode != http.StatusForbidden || res.Header.Get("X-Wxgate-Login-Url") != "" {
		t.Errorf("logout: %d %v", res.StatusCode, res.Header)
	}
}

// A front proxy that asks about a preflight hears what the gateway itself would
// have done.
func TestPreflightBehindFrontProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, withOrigins, func(c *Config) {
		c.ForwardAuth, c.TrustedProxies = true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	session := w.sessionCookie()
	for origin, want := range map[string]int{listedPage: http.StatusAccepted, "https://evil.example.com": http.StatusUnauthorized} {
		for _, family := range [][4]string{{"X-Original-Method", "OPTIONS", "X-Original-URL", w.front.URL + "/api"}, {"X-Forwarded-Method", "OPTIONS", "X-Forwarded-Uri", "/api"}} {
			for _, cookie := range []string{"", "a=b; " + session} {
				res := w.browser(iPhone).do(http.MethodGet, "/.wxgate/auth", append(family[:], "Origin", origin, "Access-Control-Request-Method", "POST", "Cookie", cookie)...)
				if origin != listedPage && cookie != "" {
					continue // no preflight, and with a session
				}
				if res.StatusCode != want || res.Header.Get("X-Wxgate-User") != "" || res.Header.Get("Cookie") != "" {
					t.Errorf("%s, %s, %q: %d %v", origin, family[0], cookie, res.StatusCode, res.Header)
				}
			}
		}
	}
}
