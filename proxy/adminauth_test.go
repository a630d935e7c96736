package proxy

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"wxgate/identity"
)

const testAdminToken = "an operator's token of the tests"

// operated opens the operator's API.
func operated(c *Config) { c.AdminToken = testAdminToken }

// operator calls the admin listeners of the replicas, drawn at random.
type operator struct {
	w      *world
	url    string
	client *http.Client
}

func (w *world) operator() *operator {
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		g := w.replicas[rand.IntN(len(w.replicas))]
		w.mu.Unlock()
		g.Admin().ServeHTTP(rw, r)
	}))
	w.t.Cleanup(front.Close)
	client := *direct
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &operator{w, front.URL, &client}
}

// bare calls without the token; fields are pairs of header names and values, a
// name may come twice.
func (o *operator) bare(method, path, body string, fields ...string) answer {
	o.w.t.Helper()
	r, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.w.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	res, err := o.client.Do(r)
	if err != nil {
		o.w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		o.w.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (o *operator) call(method, path, body string) answer {
	o.w.t.Helper()
	return o.bare(method, path, body, "Authorization", "Bearer "+testAdminToken)
}

// into makes a call that must succeed and reads its answer.
func (o *operator) into(answer any, method, path, body string) {
	o.w.t.Helper()
	res := o.call(method, path, body)
	d := json.NewDecoder(strings.NewReader(res.body))
	d.DisallowUnknownFields()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json; charset=utf-8" || d.Decode(answer) != nil {
		o.w.t.Fatalf("%s %s answered %d %s", method, path, res.StatusCode, res.body)
	}
}

// user makes a call that must succeed and answer with a user.
func (o *operator) user(method, path, body string) (u identity.User) {
	o.w.t.Helper()
	o.into(&u, method, path, body)
	return u
}

func TestAdminNeedsItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, operated)
	o := w.operator()
	b := w.browser(iPhone)
	user := b.login()
	session := b.cookies()["wxgate"]
	tokens := map[string][]string{
		"none":               {},
		"empty":              {"Authorization", ""},
		"no scheme":          {"Authorization", testAdminToken},
		"nothing behind it":  {"Authorization", "Bearer"},
		"another scheme":     {"Authorization", "Basic " + testAdminToken},
		"scheme run on":      {"Authorization", "Bearer" + testAdminToken},
		"wrong":              {"Authorization", "Bearer " + strings.ToUpper(testAdminToken)},
		"longer":             {"Authorization", "Bearer " + testAdminToken + "x"},
		"its beginning":      {"Authorization", "Bearer " + testAdminToken[:8]},
		"quoted":             {"Authorization", `Bearer "` + testAdminToken + `"`},
		"twice":              {"Authorization", "Bearer " + testAdminToken, "Authorization", "Bearer " + testAdminToken},
		"and a wrong one":    {"Authorization", "Bearer x", "Authorization", "Bearer " + testAdminToken},
		"a session's":        {"Authorization", "Bearer wxgate_" + session},
		"a cookie":           {"Cookie", "wxgate=" + session + "; token=" + testAdminToken},
		"some other header":  {"X-Admin-Token", testAdminToken, "Proxy-Authorization", "Bearer " + testAdminToken},
		"a browser's script": {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Cookie", "wxgate=" + session},
	}
	paths := []string{
		"/admin", "/admin/", "/admin/users/" + user, "/admin/users/aaaaaaaaaaaaaaaaaaaaaaaaaa", "/admin/users/x", "/admin/nothing", "/admin/users/", "/admin//users", "/admin/../healthz",
		"/admin/users/export", "/admin/users/" + user + "/sessions", "/%61dmin/nothing", "/admin/users?appid=&access_token=" + strings.ReplaceAll(testAdminToken, " ", "+"),
	}
	for what, token := range tokens {
		for i, path := range paths {
			method := []string{"GET", "DELETE", "POST", "OPTIONS", "BREW"}[i%5]
			if path == "/admin/users/"+user {
				method = "DELETE"
			}
			res := o.bare(method, path, "{}", token...)
			e := res.jsonError(t)
			if res.StatusCode != http.StatusUnauthorized || e.Error != "login_required" || e.Message != "This needs a bearer token." || e.LoginURL != "" {
				t.Errorf("%s, %s %s: %d %s", what, method, path, res.StatusCode, res.body)
			}
			h := res.Header
			if h.Get("WWW-Authenticate") != "Bearer" || h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") != e.RequestID || h.Get("Allow") != "" ||
				h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Methods") != "" || h.Get("Location") != "" {
				t.Errorf("%s, %s %s: %v", what, method, path, h)
			}
		}
	}
	if u := o.user("GET", "/admin/users/"+user, ""); u.Status != identity.StatusActive {
		t.Errorf("somebody without the token made the user %+v", u)
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
		if res := o.bare("GET", "/admin/users/"+user, "", "Authorization", scheme+testAdminToken); res.StatusCode != http.StatusOK {
			t.Errorf("%q: %d %s", scheme, res.StatusCode, res.body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/jwks.json"} {
		if res := o.bare("GET", path, ""); res.StatusCode != http.StatusOK {
			t.Errorf("%s needs the token: %d", path, res.StatusCode)
		}
	}
	// What browsers reach has no such API: the path is the app's.
	if res := b.do("DELETE", "/admin/users/"+user, "Authorization", "Bearer "+testAdminToken); res.echoed(t).URI != "/admin/users/"+user {
		t.Errorf("the public listener answers %d %s", res.StatusCode, res.body)
	}
	if strings.Contains(w.log.String(), testAdminToken) {
		t.Error("the log shows the token")
	}
}

func TestAdminWithoutAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	o := w.operator()
	user := w.browser(iPhone).login()
	unknown := o.bare("GET", "/nothing", "")
	for _, path := range []string{"/admin", "/admin/", "/admin/users/" + user, "/admin/nothing"} {
		for _, token := range []string{"", "Bearer", "Bearer ", "Bearer " + testAdminToken} {
			for _, method := range []string{"GET", "DELETE", "OPTIONS"} {
				res := o.bare(method, path, "", "Authorization", token)
				if res.StatusCode != http.StatusNotFound || res.body != unknown.body || len(res.Header) != len(unknown.Header) {
					t.Errorf("%s %s with %q: %d %q %v", method, path, token, res.StatusCode, res.body, res.Header)
				}
			}
		}
	}
}

func TestAdminUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, operated)
	o := w.operator()
	user := w.browser(iPhone).login()
	for _, path := range []string{
		"/admin", "/admin/", "/admin/nothing", "/admin/users/", "/admin/users/" + user + "/", "/admin/users/" + user + "/nothing", "/admin/users/" + user + "/sessions/x", "/admin//users/" + user,
		"/admin/./users/" + user, "/admin/nothing/../users/" + user, "/admin/users//sessions", "/admin/users/%2e%2e/users", "/admin/Users/" + user, "/admin/users/" + user + "%2Fsessions",
	} {
		res := o.call("GET", path, "")
		if e := res.jsonError(t); res.StatusCode != http.StatusNotFound || e.Error != "not_found" || res.Header.Get("Location") != "" {
			t.Errorf("%s: %d %s", path, res.StatusCode, res.body)
		}
	}
	for path, allowed := range map[string]string{
		"users": "GET, HEAD", "users/" + user: "DELETE, GET, HEAD", "users/" + user + "/sessions": "DELETE, GET, HEAD", "users/" + user + "/block": "POST", "users/" + user + "/unblock": "POST",
		"users/" + user + "/merge": "POST", "users/" + user + "/split": "POST", "users/export": "GET, HEAD", "users/import": "POST",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"} {
			if slices.Contains(strings.Split(allowed, ", "), method) {
				continue
			}
			res := o.call(method, "/admin/"+path, "{}")
			if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != allowed || res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: %d, Allow %q", method, path, res.StatusCode, res.Header.Get("Allow"))
			}
			if method != "HEAD" && res.jsonError(t).Error != "method_not_allowed" {
				t.Errorf("%s %s: %s", method, path, res.body)
			}
		}
	}
	if u := o.user("GET", "/admin/users/"+user, ""); u.Status != identity.StatusActive {
		t.Errorf("a method that is not allowed made the user %+v", u)
	}
	res := o.call("HEAD", "/admin/users/"+user, "")
	if res.StatusCode != http.StatusOK || res.body != "" || res.ContentLength <= 0 {
		t.Errorf("HEAD: %d, %d bytes", res.StatusCode, res.ContentLength)
	}
}

func TestAdminTokenNeedsALister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	c := w.replica(0).cfg
	c.AdminToken, c.Lister = testAdminToken, nil
	if _, err := New(c); err == nil {
		t.Error("a gateway that cannot export was made")
	}
}

// A call that fails leaves one record, with the pattern and never the path.
func TestAdminLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, operated)
	o := w.operator()
	user := w.browser(iPhone).login()
	openID := w.wechat.OpenID("xiaomei", testAppID)
	id := o.call("POST", "/admin/users/"+user+"/block", "").Header.Get("X-Request-Id")
	o.call("GET", "/admin/users?appid="+testAppID+"&openid="+openID, "")
	o.call("POST", "/admin/users/"+user+"/split", `{"account":{"appid":"`+testAppID+`","openid":"`+openID+`"}}`)
	o.call("DELETE", "/admin/users/"+user, "")
	text := w.log.String()
	if strings.Contains(text, openID) || strings.Contains(text, testAdminToken) || strings.Contains(text, "/admin/users/"+user) {
		t.Errorf("the log shows too much: %s", text)
	}
	var records, orders int
	for line := range bytes.Lines([]byte(text)) {
		var r struct{ Msg, ID, Pattern, User, Level string }
		if json.Unmarshal(line, &r) != nil || r.ID != id {
			continue
		}
		switch {
		case r.Msg == "api call" && r.Pattern == "/admin/users/{id}/block" && r.User == "":
			records++
		case r.Msg == "by the operator: blocked" && r.User == user && r.Level == "INFO":
			orders++
		default:
			t.Errorf("the log says %s", line)
		}
	}
	if records != 1 || orders != 1 || !strings.Contains(text, `"by the operator: erased"`) {
		t.Errorf("the log says %s", text)
	}
}
