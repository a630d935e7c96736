package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"wxgate/identity"
)

// verdict is what becomes of a request, in words of both modes.
type verdict struct {
	kind  string // "through", "login" (a page visit), "refused", "down"
	code  int
	err   string
	login string

	user, assertion, token string
	cookie, authorization  string
}

func (w *world) proxied(line, host, fields string) verdict {
	rec := w.serve(proxyAddr, line, host, fields)
	v := verdict{code: rec.Code, err: errorOf(rec)}
	switch {
	case rec.Header().Get("X-App") != "":
		var e echoed
		body, _ := io.ReadAll(rec.Body)
		if strings.HasPrefix(line, "HEAD ") {
			body = []byte(rec.Header().Get("X-App"))
		}
		if err := json.Unmarshal(body, &e); err != nil {
			w.t.Fatalf("%s: %v in %q", line, err, body)
		}
		return verdict{
			kind: "through", user: e.Header.Get("X-Wxgate-User"), assertion: e.Header.Get("X-Wxgate-Assertion"), token: e.Header.Get("X-Wxgate-Yunxin-Token"),
			cookie: e.Header.Get("Cookie"), authorization: e.Header.Get("Authorization"),
		}
	case rec.Code == 302:
		return verdict{kind: "login", login: rec.Header().Get("Location")}
	case rec.Code == 503:
		v.kind = "down"
		return v
	}
	v.kind = "refused"
	if rec.Code != 401 {
		v.code = 403 // what front proxies are told of every refusal
	}
	var e struct {
		LoginURL string `json:"login_url"`
	}
	json.Unmarshal(rec.Body.Bytes(), &e)
	v.login = e.LoginURL
	return v
}

func verdictOf(rec *httptest.ResponseRecorder) verdict {
	h := rec.Header()
	v := verdict{kind: "refused", code: rec.Code, err: errorOf(rec), login: h.Get("X-Wxgate-Login-Url")}
	switch {
	case rec.Code == 202:
		return verdict{
			kind: "through", user: h.Get("X-Wxgate-User"), assertion: h.Get("X-Wxgate-Assertion"), token: h.Get("X-Wxgate-Yunxin-Token"),
			cookie: h.Get("Cookie"), authorization: h.Get("Authorization"),
		}
	case h.Get("Refresh") != "":
		return verdict{kind: "login", login: v.login}
	case rec.Code == 503:
		v.kind = "down"
	case !strings.HasPrefix(h.Get("Content-Type"), "application/json"):
		v.login = "" // the proxy mode says it in the page's link alone
	}
	return v
}

// Both modes judge every request alike, whatever its method, address, headers
// and session, and the app is told the same of it.
func TestForwardAuthAgreesWithProxying(t *testing.T) {
	app := func(w http.ResponseWriter, r *http.Request) {
		text, _ := json.Marshal(map[string]any{"header": r.Header})
		w.Header().Set("X-App", string(text))
		w.Write(text)
	}
	w := newWorld(t, 1, app, forwardAuth, rules(`public /public/; public GET /mixed; user POST /mixed; profile /vip/; deny /internal/; user+token /game/;
		public /game/help; deny POST /public/write; user /public/mine; profile+token /vip/game/; public /Pictures/`))
	host := w.addr()

	rng := rand.New(rand.NewPCG(3, 7))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	sessions := []string{w.member("o1", nil), w.member("o2", withProfile), w.member("o3", blocked), w.member("o4", func(u *identity.User) { u.Yunxin = identity.Yunxin{} })}
	asNginxPath := func(method, _, target string) string {
		return fmt.Sprintf("X-Original-URL: %s\nX-Original-Method: %s\n", target, method)
	}

	target := func() string {
		if rng.IntN(2) == 0 {
			return pick("/", "/public/x", "/mixed", "/vip/x", "/vip/game/x", "/game/x", "/game/help", "/internal/x", "/public/write", "/public/mine", "/Pictures/x") + pick("", "", "?a=1")
		}
		var b strings.Builder
		for range 1 + rng.IntN(3) {
			b.WriteString(pick("/", "/", "/", "/", "//", "/./", "/../", "/%2e%2e/", "%2f", "\\"))
			b.WriteString(pick("", "public", "public", "mixed", "vip", "internal", "game", "help", "mine", "write", "Public", "Pictures", "pictures", "%70ublic", "internal;x",
				".wxgate", ".WXGATE", "%2ewxgate", "auth", "me", "x.txt", "a%00", "%252e%252e", "%zz", "中", "a b", "a#b"))
		}
		if b.String()[0] != '/' {
			return "/" + b.String()
		}
		return b.String() + pick("", "", "", "/", "?a=1", "?", "?next=/public/", "?a=%zz;b", "#x")
	}
	headers := func() string {
		h := pick("", pageHeaders, "Accept: text/html,*/*\n", "Accept: */*\n", "Accept: text/html\nX-Requested-With: XMLHttpRequest\n",
			"Sec-Fetch-Dest: empty\nSec-Fetch-Mode: cors\n", "Sec-Fetch-Dest: iframe\nSec-Fetch-Mode: navigate\nAccept: text/html\n")
		h += pick("", "", "", "Referer: http://"+host+"/room?x=1\n", "Referer: https://evil.example/\n")
		h += pick("", "", "", "X-Wxgate-User: evil\nX_Wxgate_Assertion: evil\n")
		h += pick("", "", "", "Origin: http://"+host+"\n", "Origin: https://evil.example\n", "Origin: https://pages.example.net\n", "Origin: null\n")
		return h
	}
	credentials := func() string {
		s := sessions[rng.IntN(len(sessions))]
		return pick("", "", "Cookie: a=1; b=2\n", "Cookie: wxgate=garbage\n", "Cookie: wxgate="+s+"\n", "Cookie: wxgate="+s+"\n", "Cookie: wxgate="+s+"\n",
			"Cookie: a=1; wxgate="+s+"; b=2\n", "Authorization: Bearer wxgate_"+s+"\n", "Authorization: Basic YTpi\nCookie: wxgate="+s+"\n",
			"Authorization: Bearer other\n", "Authorization: Bearer wxgate_garbage\nCookie: wxgate="+s+"\n")
	}

	seen := map[string]int{}
	compare := func() {
		method := pick("GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "POST", "OPTIONS", "PUT", "DELETE", pick("TRACE", "BREW", "get"))
		target, onHost := target(), pick(host, host, host, host, host, "games.example.com", "GAMES.example.com.", "games.example.com:80", pick("evil.example", ""))
		fields := headers() + credentials()
		upgrade := pick("", "", "", "", "", "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n", "Connection: Upgrade\nUpgrade: h2c\n")

		want := w.proxied(method+" "+target, onHost, fields+upgrade)
		if path, _, _ := strings.Cut(target, "?"); reserved(path) {
			// The proxy mode answers these itself; a front proxy has to hand
			// them over instead of asking.
			want = verdict{kind: "ours", code: 403}
		}
		// Upgrade and Connection do not survive a front proxy.
		asked := fields
		if strings.Contains(upgrade, "Sec-WebSocket-Key") {
			asked += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
		}
		for style, name := range map[string]func(method, host, target string) string{"nginx": asNginx, "a path alone": asNginxPath, "traefik": asTraefik} {
			questionHost := "wxgate:8080"
			if style == "a path alone" {
				questionHost = onHost
			}
			got := verdictOf(w.serve(proxyAddr, "GET /.wxgate/auth", questionHost, asked+name(method, onHost, target)))
			if want.kind == "ours" && got.code == 403 {
				continue
			}
			if want.err == "" && want.kind != "through" {
				got.err = "" // a page, an answer to HEAD, or the server's own refusal
				if method == http.MethodHead && want.kind == "refused" {
					got.login = ""
				}
			}
			if got != want {
				t.Errorf("%s %s on %q with\n%s%s\nproxied:  %+v\nanswered: %+v (%s)", method, target, onHost, fields, upgrade, want, got, style)
			}
		}
		kind := want.kind
		if want.user != "" {
			kind += " with user"
		}
		if want.token != "" {
			kind += " and token"
		}
		if want.kind == "refused" {
			kind += fmt.Sprint(" ", want.code, " ", want.err)
		}
		seen[kind]++
	}
	for range 6000 {
		compare()
		if t.Failed() {
			return
		}
	}
	t.Log(seen)
	for _, kind := range []string{
		"through", "through with user", "through with user and token", "login", "ours", "refused 401 login_required",
		"refused 403 profile_required", "refused 403 user_blocked", "refused 403 not_found", "refused 403 wrong_host", "refused 403 method_not_allowed", "refused 403 bad_request",
	} {
		if seen[kind] < 5 {
			t.Errorf("only %d requests were %q: the generator is too tame", seen[kind], kind)
		}
	}

	// With the store away, and sessions that are not known yet.
	for i := range sessions {
		sessions[i] = w.member(fmt.Sprint("p", i), nil)
	}
	w.store.down.Store(true)
	clear(seen)
	for range 300 {
		compare()
		if t.Failed() {
			return
		}
	}
	if seen["down"] < 5 || seen["through"] < 5 || slices.ContainsFunc([]string{"through with user", "through with user and token"}, func(k string) bool { return seen[k] > 0 }) {
		t.Errorf("without the store: %v", seen)
	}
}
