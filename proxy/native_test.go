package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

var (
	testMobile = wechat.App{ID: "wx00000000000000b2", Secret: "secret-of-the-mobile-app"}
	testMini   = wechat.App{ID: "wx00000000000000c3", Secret: "secret-of-the-mini-program"}
)

func newNativeWorld(t *testing.T, n int, opts ...option) *world {
	w := newWorld(t, n, nil, append(opts, func(c *Config) { c.Mobile, c.Mini = testMobile, testMini })...)
	w.wechat.AddApp(wechattest.App{ID: testMobile.ID, Secret: testMobile.Secret, Kind: wechattest.Mobile, Bound: true})
	w.wechat.AddApp(wechattest.App{ID: testMini.ID, Secret: testMini.Secret, Kind: wechattest.MiniProgram, Bound: true})
	return w
}

func (w *world) post(path, agent, body string) answer {
	w.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, w.front.URL+path, strings.NewReader(body))
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Content-Type", "application/json")
	res, err := direct.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (w *world) exchangeCode(client, code, agent string) (exchangeAnswer, answer) {
	w.t.Helper()
	body, _ := json.Marshal(exchangeRequest{client, code})
	res := w.post("/.wxgate/exchange", agent, string(body))
	var a exchangeAnswer
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(res.body), &a); err != nil {
			w.t.Fatal(err)
		}
	}
	return a, res
}

func TestNativeClientsGetBearerSessions(t *testing.T) {
	t.Parallel()
	w := newNativeWorld(t, 2)
	users := map[string]bool{}
	for client, app := range map[string]wechat.App{"mobile": testMobile, "mini": testMini} {
		a, res := w.exchangeCode(client, w.wechat.IssueCode(app.ID, "xiaomei", ""), "app/1.0")
		if res.StatusCode != http.StatusOK || !strings.HasPrefix(a.SessionToken, session.BearerPrefix) || a.ExpiresIn < 719*3600 ||
			a.User.Channel != client || a.User.OpenID != w.wechat.OpenID("xiaomei", app.ID) {
			t.Errorf("%s: %d %+v", client, res.StatusCode, a)
		}
		if res.Header.Get("Set-Cookie") != "" || strings.Contains(res.body, "session_key") {
			t.Errorf("%s: cookie %q, body %s", client, res.Header.Get("Set-Cookie"), res.body)
		}
		users[a.User.User] = true
		e := w.browser("app/1.0").do(http.MethodPost, "/api/grab", "Authorization", "Bearer "+a.SessionToken).echoed(t)
		if e.Header.Get("X-Wxgate-User") != a.User.User || e.Header.Get("Authorization") != "" || e.Header.Get("X-Wxgate-Channel") != client {
			t.Errorf("%s: the app was told %v", client, e.Header)
		}
	}
	if len(users) != 1 {
		t.Errorf("one person with one unionid is %d users", len(users))
	}
}

func TestExchangeIsIdempotentForOneClient(t *testing.T) {
	t.Parallel()
	w := newNativeWorld(t, 2)
	code := w.wechat.IssueCode(testMobile.ID, "xiaomei", "")
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		wg.Go(func() {
			a, _ := w.exchangeCode("mobile", code, "app/1.0")
			tokens[i] = a.SessionToken
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Fatalf("one code gave the sessions %q", tokens)
		}
	}
	if n := w.wechat.Exchanges()[code]; n != 1 {
		t.Errorf("the code was exchanged %d times", n)
	}
	if _, res := w.exchangeCode("mobile", code, "thief/6.6"); res.StatusCode != http.StatusBadRequest || res.jsonError(t).Error != "invalid_code" {
		t.Errorf("another client with the same code: %d %s", res.StatusCode, res.body)
	}
}

func TestBadExchanges(t *testing.T) {
	t.Parallel()
	w := newNativeWorld(t, 1)
	for name, body := range map[string]string{
		"no JSON": "code=1", "array": `[]`, "no client": `{"code":"x"}`, "unknown client": `{"client":"web","code":"x"}`,
		"no code": `{"client":"mini"}`, "huge": `{"client":"mobile","code":"` + strings.Repeat("x", 5000) + `"}`, "empty": "",
	} {
		if res := w.post("/.wxgate/exchange", "app", body); res.StatusCode != http.StatusBadRequest || res.jsonError(t).Error != "bad_request" {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.body)
		}
	}
	for name, code := range map[string]string{
		"unknown": "071AdBVI1ZHOd509MKUI1jwjVI1AdBVV", "control bytes": "a\nb",
		"of the other client": w.wechat.IssueCode(testMini.ID, "xiaomei", ""),
	} {
		if _, res := w.exchangeCode("mobile", code, "app"); res.StatusCode != http.StatusBadRequest || res.jsonError(t).Error != "invalid_code" {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.body)
		}
	}
	if _, res := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "risky", ""), "app"); res.StatusCode != http.StatusForbidden || res.jsonError(t).Error != "login_refused" {
		t.Errorf("a risky person: %d %s", res.StatusCode, res.body)
	}
	w.wechat.Inject(wechattest.Code2SessionPath, wechattest.Busy)
	if _, res := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "xiaomei", ""), "app"); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("WeChat busy: %d %s", res.StatusCode, res.body)
	}
	if res := w.browser("app").do(http.MethodGet, "/.wxgate/exchange"); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", res.StatusCode)
	}
	for _, secret := range []string{testMobile.Secret, testMini.Secret, "session_key", "071AdBVI1ZHOd509MKUI1jwjVI1AdBVV"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log contains %s", secret)
		}
	}
}

func TestBearerSessionEnds(t *testing.T) {
	t.Parallel()
	w := newNativeWorld(t, 2)
	a, _ := w.exchangeCode("mini", w.wechat.IssueCode(testMini.ID, "xiaomei", ""), "app")
	b := w.browser("app")
	call := func(method, path string) answer {
		return b.do(method, path, "Authorization", "Bearer "+a.SessionToken, "Accept", "application/json")
	}
	if res := call(http.MethodPost, "/.wxgate/logout"); res.StatusCode != http.StatusNoContent {
		t.Fatalf("logout: %d %s", res.StatusCode, res.body)
	}
	w.clock.advance(5 * time.Second)
	if res := call(http.MethodGet, "/x"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after logout: %d", res.StatusCode)
	}
}
