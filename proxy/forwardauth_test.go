package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/yunxin"
)

const (
	proxyAddr    = "192.0.2.1:4711" // of a front proxy that is trusted
	strangerAddr = "198.51.100.1:4711"
	pageHeaders  = "Accept: text/html\nSec-Fetch-Dest: document\nSec-Fetch-Mode: navigate\n"
)

func forwardAuth(c *Config) {
	c.ForwardAuth = true
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	c.AllowedHosts = []string{"games.example.com"}
	c.AllowedOrigins = []string{"https://pages.example.net"}
}

// serve hands the gateway one request as the HTTP server reads it from the
// wire; a request that the server itself refuses is answered like it does.
func (w *world) serve(peer, line, host, fields string) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := httptest.NewRecorder()
	text := line + " HTTP/1.1\nHost: " + strings.ReplaceAll(host, "{host}", w.addr()) + "\n" + strings.ReplaceAll(fields, "{host}", w.addr()) + "\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(crlf(text))))
	if err != nil {
		rec.WriteHeader(http.StatusBadRequest)
		return rec
	}
	r.RemoteAddr = peer
	w.replicas[0].ServeHTTP(rec, r)
	return rec
}

// question is a front proxy's question about a request.
func (w *world) question(fields string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.serve(proxyAddr, "GET /.wxgate/auth", "wxgate:8080", fields)
}

// asNginx and asTraefik name a request the way these proxies do.
func asNginx(method, host, target string) string {
	return fmt.Sprintf("X-Original-URL: https://%s%s\nX-Original-Method: %s\n", host, target, method)
}

func asTraefik(method, host, target string) string {
	return fmt.Sprintf("X-Forwarded-Uri: %s\nX-Forwarded-Method: %s\nX-Forwarded-Host: %s\nX-Forwarded-Proto: https\n", target, method, host)
}

// member makes a user with a session and returns the token.
func (w *world) member(openID string, change func(*identity.User)) string {
	w.t.Helper()
	ctx, c := context.Background(), &w.replicas[0].cfg
	res, err := c.Users.Resolve(ctx, identity.Login{Platform: "default", Channel: "mp", AppID: testAppID, OpenID: openID, At: c.Now()})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = c.Users.Update(ctx, res.User.ID, func(u *identity.User) error {
		u.Yunxin = identity.Yunxin{Accid: u.ID, State: identity.YunxinReady, TokenKey: yunxin.TokenKey(c.Yunxin.Secrets[0])}
		if change != nil {
			change(u)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	token, _, err := c.Sessions.Create(ctx, session.Session{User: res.User.ID, Channel: "mp", AppID: testAppID, OpenID: openID})
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func withProfile(u *identity.User) {
	u.Profile = &identity.Profile{Name: "小美", UpdatedAt: u.CreatedAt}
}

func blocked(u *identity.User) { u.Status = identity.StatusBlocked }

func TestForwardAuthIsThereForTrustedProxiesOnly(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth)
	cookie := "Cookie: wxgate=" + w.member("o1", nil) + "\n"
	unknown := w.serve(strangerAddr, "GET /.wxgate/unknown", "{host}", cookie)

	asked := cookie + asNginx("GET", "{host}", "/") + asTraefik("GET", "{host}", "/")
	for _, host := range []string{"{host}", "wxgate:8080"} {
		if got := w.serve(proxyAddr, "GET /.wxgate/auth", host, asked); got.Code != 202 || got.Header().Get("X-Wxgate-Assertion") == "" {
			t.Errorf("a trusted proxy, asking for %s: %d", host, got.Code)
		}
	}
	for _, c := range []struct{ name, peer, line, more string }{
		{"a stranger", strangerAddr, "GET /.wxgate/auth", ""},
		{"a stranger who says that a proxy sent it", strangerAddr, "GET /.wxgate/auth", "X-Forwarded-For: 192.0.2.1\nX-Real-IP: 192.0.2.1\nForwarded: for=192.0.2.1\n"},
		{"a stranger through a proxy with a list", strangerAddr, "GET /.wxgate/auth", "X-Forwarded-For: 192.0.2.1, 192.0.2.1\n"},
		{"a socket without an address", "@", "GET /.wxgate/auth", ""},
		{"another spelling", proxyAddr, "GET /.wxgate/%61uth", ""},
		{"a longer path", proxyAddr, "GET /.wxgate/auth/", ""},
		{"another case", proxyAddr, "GET /.wxgate/AUTH", ""},
	} {
		got := w.serve(c.peer, c.line, "{host}", asked+c.more)
		if got.Code != 404 || errorOf(got) != errorOf(unknown) {
			t.Errorf("%s: %d %s", c.name, got.Code, got.Body)
		}
		for name := range got.Header() {
			if strings.HasPrefix(name, "X-Wxgate") {
				t.Errorf("%s: was told %s", c.name, name)
			}
		}
	}
	if got := w.serve(proxyAddr, "POST /.wxgate/auth", "{host}", asked+"Content-Length: 0\n"); got.Code != 405 || got.Header().Get("Allow") != "GET" {
		t.Errorf("POST: %d", got.Code)
	}

	off := newWorld(t, 1, nil, forwardAuth, func(c *Config) { c.ForwardAuth = false })
	if got := off.serve(proxyAddr, "GET /.wxgate/auth", "{host}", asked); got.Code != 404 {
		t.Errorf("turned off: %d", got.Code)
	}
}

func errorOf(rec *httptest.ResponseRecorder) string {
	var e struct{ Error string }
	json.Unmarshal(rec.Body.Bytes(), &e)
	return e.Error
}

func TestForwardAuthAnswers(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth, rules("public /public/; profile /vip/; deny /internal/; user+token /game/"))
	g := w.replicas[0]
	plain, vip, banned := w.member("o1", nil), w.member("o2", withProfile), w.member("o3", blocked)
	login := w.front.URL + "/.wxgate/login?next="
	for _, c := range []struct {
		name, method, target, fields string
		status                       int
		err, login                   string
		page, token, user            bool
	}{
		{name: "a page without a session", method: "GET", target: "/room/7?x=%2F&y", fields: pageHeaders, status: 401, login: login + "%2Froom%2F7%3Fx%3D%252F%26y", page: true},
		{name: "the same, asked with HEAD", method: "HEAD", target: "/room/7", fields: pageHeaders, status: 401, login: login + "%2Froom%2F7", page: true},
		{name: "a page of an old browser", method: "GET", target: "/", fields: "Accept: text/html\n", status: 401, login: login + "%2F", page: true},
		{name: "a script", method: "GET", target: "/api", fields: "Accept: */*\nSec-Fetch-Dest: empty\nReferer: http://{host}/room/7\n", status: 401, err: "login_required", login: login + "%2Froom%2F7"},
		{name: "a script that hides its page", method: "POST", target: "/api", status: 401, err: "login_required", login: login + "%2F"},
		{name: "a form", method: "POST", target: "/form", fields: pageHeaders, status: 401, login: login + "%2F"},
		{name: "a garbage session", method: "GET", target: "/api", fields: "Cookie: wxgate=garbage\n", status: 401, err: "login_required", login: login + "%2F"},
		{name: "a public path", method: "GET", target: "/public/x", status: 202},
		{name: "a public path with a session", method: "GET", target: "/public/x", fields: "Cookie: wxgate=" + plain + "\n", status: 202, user: true},
		{name: "a session", method: "PUT", target: "/", fields: "Cookie: wxgate=" + plain + "\n", status: 202, user: true},
		{name: "a bearer", method: "GET", target: "/", fields: "Authorization: Bearer wxgate_" + plain + "\n", status: 202, user: true},
		{name: "a route with token", method: "GET", target: "/game/1", fields: "Cookie: wxgate=" + plain + "\n", status: 202, user: true, token: true},
		{name: "no profile", method: "GET", target: "/vip/1", fields: "Cookie: wxgate=" + plain + "\n", status: 403, err: "profile_required", login: login + "%2F&profile=1"},
		{name: "no profile, a page", method: "GET", target: "/vip/1", fields: pageHeaders + "Cookie: wxgate=" + plain + "\n", status: 403, login: login + "%2Fvip%2F1&profile=1&needed=1", page: true},
		{name: "a profile", method: "GET", target: "/vip/1", fields: "Cookie: wxgate=" + vip + "\n", status: 202, user: true},
		{name: "blocked", method: "GET", target: "/", fields: "Cookie: wxgate=" + banned + "\n", status: 403, err: "user_blocked"},
		{name: "denied", method: "GET", target: "/internal/x", fields: "Cookie: wxgate=" + plain + "\n", status: 403, err: "not_found"},
		{name: "ours", method: "GET", target: "/.wxgate/me", fields: "Cookie: wxgate=" + plain + "\n", status: 403, err: "not_found"},
		{name: "the question about the question", method: "GET", target: "/.wxgate/auth", fields: "Cookie: wxgate=" + plain + "\n", status: 403, err: "not_found"},
		{name: "a WebSocket of ours", method: "GET", target: "/ws", fields: "Sec-WebSocket-Key: x\nOrigin: http://{host}\nCookie: wxgate=" + plain + "\n", status: 202, user: true},
		{name: "a WebSocket of a foreign page", method: "GET", target: "/ws", fields: "Sec-WebSocket-Key: x\nOrigin: https://evil.example\nCookie: wxgate=" + plain + "\n", status: 403, err: "bad_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for style, asked := range map[string]string{"nginx": asNginx(c.method, "{host}", c.target), "traefik": asTraefik(c.method, "{host}", c.target)} {
				got := w.question(asked + c.fields)
				h := got.Header()
				if got.Code != c.status || h.Get("X-Wxgate-Login-Url") != c.login {
					t.Errorf("%s: %d, login at %q, want %d, %q", style, got.Code, h.Get("X-Wxgate-Login-Url"), c.status, c.login)
				}
				if h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") == "" {
					t.Errorf("%s: headers %v", style, h)
				}
				want := ""
				if c.page {
					want = "0;url=" + c.login
				}
				if h.Get("Refresh") != want {
					t.Errorf("%s: Refresh is %q, want %q", style, h.Get("Refresh"), want)
				}
				if c.err != "" && errorOf(got) != c.err {
					t.Errorf("%s: told %s, want %s", style, got.Body, c.err)
				}
				if c.status != 202 && got.Body.Len() == 0 {
					t.Errorf("%s: no body", style)
				}
				if (h.Get("X-Wxgate-User") != "") != c.user || (h.Get("X-Wxgate-Assertion") != "") != c.user || (h.Get("X-Wxgate-Yunxin-Token") != "") != c.token {
					t.Errorf("%s: told %v", style, h)
				}
			}
		})
	}
	if forwarded, refused := requestsCounted(t, g, outcomeForwarded), requestsCounted(t, g, outcomeUnauthorized); forwarded == 0 || refused == 0 {
		t.Errorf("counted %v forwarded and %v refused requests", forwarded, refused)
	}
}

// requestsCounted reads the request counter of one outcome.
func requestsCounted(t *testing.T, g *Server, outcome string) float64 {
	t.Helper()
	families, err := g.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wxgate_http_requests_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// What the app may see of the client's credentials is in the answer, so that
// the front proxy can put it in the place of what the client sent.
func TestForwardAuthKeepsTheSessionFromTheApp(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth)
	token := w.member("o1", nil)
	for _, c := range []struct{ name, fields, cookie, authorization string }{
		{"the app's cookies around ours", "Cookie: a=1; wxgate=" + token + "; b=\"2\"\n", "a=1; b=\"2\"", ""},
		{"ours alone", "Cookie: wxgate=" + token + "\n", "", ""},
		{"other spellings of ours", "Cookie: wxgate=" + token + "; __Host-wxgate=x; __Secure-wxgate-login=y; c=3\n", "c=3", ""},
		{"several lines", "Cookie: a=1\nCookie: wxgate=" + token + "\nCookie: b=2\n", "a=1; b=2", ""},
		{"the app's own credentials", "Cookie: wxgate=" + token + "\nAuthorization: Basic YTpi\n", "", "Basic YTpi"},
		{"our bearer", "Cookie: a=1\nAuthorization: Bearer wxgate_" + token + "\n", "a=1", ""},
	} {
		got := w.question(asNginx("GET", "{host}", "/") + c.fields)
		if h := got.Header(); got.Code != 202 || h.Get("Cookie") != c.cookie || h.Get("Authorization") != c.authorization {
			t.Errorf("%s: %d, Cookie %q, Authorization %q", c.name, got.Code, h.Get("Cookie"), h.Get("Authorization"))
		}
		if strings.Contains(fmt.Sprint(got.Header()), token) {
			t.Errorf("%s: the session is in the answer", c.name)
		}
	}
}

// A client's headers travel with the question. They may spoil it, but not turn
// it into one about another request.
func TestForwardAuthIsNotTalkedIntoAnotherRequest(t *testing.T) {
	// Everything is public: what is refused is refused for how it is asked.
	w := newWorld(t, 1, nil, forwardAuth, rules("public /"))
	for _, c := range []struct{ name, fields string }{
		{"nothing said", ""},
		{"no method", "X-Original-URL: https://{host}/public/x\n"},
		{"no address", "X-Original-Method: GET\n"},
		{"no method, the other family", "X-Forwarded-Uri: /public/x\nX-Forwarded-Host: {host}\n"},
		{"no address, the other family", "X-Forwarded-Method: GET\nX-Forwarded-Host: {host}\n"},
		{"a client's X-Original-* behind Traefik", asNginx("GET", "{host}", "/public/x") + asTraefik("GET", "{host}", "/secret")},
		{"a client's method behind Traefik", asNginx("GET", "{host}", "/form") + asTraefik("POST", "{host}", "/form")},
		{"half of a family behind Traefik", "X-Original-Method: GET\n" + asTraefik("POST", "{host}", "/form")},
		{"a client's X-Forwarded-* behind nginx", asNginx("GET", "{host}", "/secret") + asTraefik("GET", "{host}", "/public/x")},
		{"doubled", asNginx("GET", "{host}", "/public/x") + asNginx("GET", "{host}", "/secret")},
		{"doubled, the other family", asTraefik("GET", "{host}", "/public/x") + asTraefik("GET", "{host}", "/secret")},
		{"a Host that eats the path", asNginx("GET", "{host}?", "/secret")},
		{"a Host that hides the path", asNginx("GET", "{host}#", "/secret")},
		{"a Host with a user", asNginx("GET", "x@{host}", "/public/x")},
		{"a Host with a backslash", asNginx("GET", "{host}\\public", "/public/x")},
		{"no Host", asNginx("GET", "", "/public/x")},
		{"a foreign Host", asNginx("GET", "evil.example", "/public/x")},
		{"a foreign Host, the other family", asTraefik("GET", "evil.example", "/public/x")},
		{"a list of Hosts", asTraefik("GET", "{host}, evil.example", "/public/x")},
		{"no path", asNginx("GET", "{host}", "")},
		{"no path but a query", asNginx("GET", "{host}", "?/public/x")},
		{"another scheme", "X-Original-URL: ftp://{host}/public/x\nX-Original-Method: GET\n"},
		{"no scheme", "X-Original-URL: {host}/public/x\nX-Original-Method: GET\n"},
		{"a space", asNginx("GET", "{host}", "/public/x /secret")},
		{"a broken escape", asNginx("GET", "{host}", "/public/%zz")},
		{"a method nobody has", asNginx("BREW", "{host}", "/public/x")},
		{"a method in lower case", asNginx("get", "{host}", "/public/x")},
		{"CONNECT", asNginx("CONNECT", "{host}", "/public/x")},
		{"an address in the other family's form", "X-Forwarded-Uri: https://{host}/public/x\nX-Forwarded-Method: GET\nX-Forwarded-Host: {host}\n"},
	} {
		got := w.question(c.fields)
		if got.Code != 403 {
			t.Errorf("%s: %d %s", c.name, got.Code, got.Body)
		}
	}
	// Both families at once are fine where they agree.
	if got := w.question(asNginx("GET", "{host}", "/public/x") + asTraefik("GET", "{host}", "/public/x")); got.Code != 202 {
		t.Errorf("both, agreeing: %d", got.Code)
	}
	// A path alone is on the question's own host.
	fields := "X-Original-URL: /public/x\nX-Original-Method: GET\n"
	if got := w.serve(proxyAddr, "GET /.wxgate/auth", "{host}", fields); got.Code != 202 {
		t.Errorf("a path on our host: %d", got.Code)
	}
	if got := w.serve(proxyAddr, "GET /.wxgate/auth", "evil.example", fields); got.Code != 403 {
		t.Errorf("a path on a foreign host: %d", got.Code)
	}
}

// look-alikes of identity headers in a question must not come back as ours.
func TestForwardAuthStripsTheQuestion(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth, rules("public /public/"))
	got := w.question(asNginx("GET", "{host}", "/public/x") + "X-Wxgate-User: evil\nX_Wxgate_Assertion: evil\nX-Wxgate-Yunxin-Token: evil\n")
	if got.Code != 202 || strings.Contains(fmt.Sprint(got.Header()), "evil") {
		t.Errorf("%d %v", got.Code, got.Header())
	}
}

func TestForwardAuthWithoutStore(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth, rules("public /public/"))
	cookie := "Cookie: wxgate=" + w.member("o1", nil) + "\n"
	w.store.down.Store(true)
	got := w.question(asNginx("GET", "{host}", "/") + cookie)
	if got.Code != 503 || got.Header().Get("Retry-After") == "" || errorOf(got) != "store_unavailable" || got.Header().Get("X-Wxgate-Login-Url") != "" {
		t.Errorf("%d %v %s", got.Code, got.Header(), got.Body)
	}
	if got = w.question(asNginx("GET", "{host}", "/public/x") + cookie); got.Code != 202 || got.Header().Get("X-Wxgate-User") != "" {
		t.Errorf("a public path: %d %v", got.Code, got.Header())
	}
}

// The answer to a HEAD request's question is read by the front proxy, which
// asked with GET: it has to be whole.
func TestForwardAuthAnswerIsWhole(t *testing.T) {
	w := newWorld(t, 1, nil, forwardAuth, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	for _, accept := range []string{"text/html", "*/*"} {
		b := w.browser(iPhone)
		got := b.do(http.MethodGet, "/.wxgate/auth", "Accept", accept, "X-Original-URL", w.front.URL+"/x", "X-Original-Method", "HEAD")
		if got.StatusCode != 401 || got.body == "" || got.ContentLength != int64(len(got.body)) {
			t.Errorf("%s: %d, %d of %d bytes", accept, got.StatusCode, len(got.body), got.ContentLength)
		}
	}
	if !strings.Contains(w.log.String(), `"method":"HEAD","path":"/x"`) {
		t.Error("the log does not say which request was asked about")
	}
}

// A script that a front proxy sends to login is told so instead of being led
// to pages of WeChat that would not answer it.
func TestLoginTellsScripts(t *testing.T) {
	w := newWorld(t, 1, nil)
	got := w.browser(iPhone).stay().fetch("/.wxgate/login?next=/room")
	if e := got.jsonError(t); got.StatusCode != 401 || e.Error != "login_required" || e.LoginURL == "" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := w.browser(iPhone).stay().open("/.wxgate/login?next=/room", "Sec-Fetch-Dest", "document"); got.StatusCode != 302 {
		t.Errorf("a page: %d", got.StatusCode)
	}
}
