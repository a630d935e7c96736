package proxy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

// eavesdropper notes every secret that passes by a browser.
type eavesdropper struct {
	mu      sync.Mutex
	secrets map[string]string // value to what it is
}

func (e *eavesdropper) heard(what, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.secrets[value]; !known && len(value) >= 8 {
		e.secrets[value] = what
	}
}

func (e *eavesdropper) RoundTrip(r *http.Request) (*http.Response, error) {
	e.address(r.URL)
	res, err := direct.Transport.RoundTrip(r)
	if err == nil {
		for _, c := range res.Cookies() {
			e.heard("cookie "+c.Name, c.Value)
		}
		if to, err := res.Location(); err == nil {
			e.address(to)
		}
	}
	return res, err
}

func (e *eavesdropper) address(u *url.URL) {
	e.heard("query", u.RawQuery)
	for _, name := range []string{"code", "state", "ticket"} {
		for _, value := range u.Query()[name] {
			e.heard(name, value)
		}
	}
}

// Whatever happens, at whatever level: no code, state, token, secret, cookie,
// openid or query gets into the log.
func TestLogKeepsSecrets(t *testing.T) {
	t.Parallel()
	ears := &eavesdropper{secrets: map[string]string{}}
	w, store := newSpied(t, 2, nil, rules("public /free; user+token /pay/; profile /vip/"))
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	listened := func(player string) *browser {
		b := w.browser(iPhone).as(player)
		b.client.Transport = ears
		return b
	}
	visit := func(b *browser) {
		for _, path := range []string{"/x?private_query=0123456789", "/pay/?private_query=0123456789", "/.wxgate/me?a=private_query", "/.wxgate/yunxin", "/.wxgate/nothing?private_query"} {
			res := b.fetch(path)
			var im yunxinAnswer
			if json.Unmarshal([]byte(res.body), &im) == nil {
				ears.heard("Yunxin token", im.Token)
			}
			var e echoed
			if json.Unmarshal([]byte(res.body), &e) == nil {
				ears.heard("assertion", e.Header.Get("X-Wxgate-Assertion"))
				ears.heard("Yunxin token", e.Header.Get("X-Wxgate-Yunxin-Token"))
			}
		}
	}

	// What goes well.
	b := listened("xiaomei")
	b.open("/room/7?private_query=0123456789")
	b.im()
	w.clock.advance(cacheLife)
	visit(b)
	callback := b.begin("/room/7?private_query=1")
	b.open(callback)
	b.open(callback)
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	b.open(b.open("/vip/?private_query=2").button())

	// What comes from strangers.
	stranger := listened("aqiang")
	stranger.open(callback)
	stranger.stay().open(callback + "&code=doubled_secret_code")
	stranger.stay().open("/.wxgate/callback?code=secret_code_of_nobody&state=secret_state_of_nobody;x")
	ears.heard("code", "secret_code_of_nobody")
	ears.heard("code", "doubled_secret_code")
	stranger.do(http.MethodGet, "/x", "Cookie", "wxgate=garbage_cookie_value; wxgate-login=garbage_cookie_value", "Authorization", "Bearer wxgate_garbage_bearer_value")
	ears.heard("cookie", "garbage_cookie_value")
	ears.heard("bearer token", "garbage_bearer_value")
	token, _, err := w.replica(0).cfg.Sessions.Create(t.Context(), session.Session{User: stranger.login(), Channel: "mobile", OpenID: "o_of_a_native_client"})
	if err != nil {
		t.Fatal(err)
	}
	ears.heard("bearer token", token)
	ears.heard("openid", "o_of_a_native_client")
	stranger.do(http.MethodGet, "/x", "Authorization", "Bearer wxgate_"+token)
	w.browser(iPhone).do(http.MethodPost, "/.wxgate/logout?private_query", "Authorization", "Bearer wxgate_"+token)

	// What WeChat does.
	for _, fault := range []wechattest.Fault{wechattest.Busy, wechattest.Drop, wechattest.HTML, wechattest.Empty, wechattest.Huge, {Status: 502}, {Errcode: 40013}, {Errcode: 40163, Times: 2}, {Errcode: 40226},
		{Body: func(b []byte) []byte { return b[:len(b)/2] }}} {
		w.wechat.Inject(wechattest.AccessTokenPath, fault)
		listened("faceless").open("/room/7?private_query")
		w.wechat.Inject(wechattest.UserInfoPath, fault)
		listened("faceless").open("/.wxgate/login?profile=1&agreed=1&next=/%3Fprivate_query")
		w.wechat.ClearFaults()
	}
	w.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Body: body(`{"errcode":40029,"errmsg":"invalid secret ` + testSecret + `"}`)})
	listened("faceless").open("/")
	for _, player := range []string{"snapshot", "frozen", "script", "broken"} {
		visit(listened(player))
		listened(player).open("/.wxgate/login?profile=1&agreed=1&next=/")
	}

	// What Yunxin does.
	for _, fault := range []yunxintest.Fault{{Status: 500, Body: yunxintest.AppSecret}, {Code: 403}, {Code: 102434, Text: yunxintest.AppSecret}, {Drop: true}, {Reset: true}, {Cut: true}} {
		fault.Times = 2
		w.yunxin.Inject(fault)
	}
	for _, player := range []string{"nameless", "wxuser", "longname", "control"} {
		listened(player).open("/")
	}
	w.clock.advance(imFirstRetry)
	for range 6 {
		w.replica(0).im.round(t.Context())
	}

	// What the store does, at each step.
	for _, step := range []string{"Get a:", "Get u:", "Create u:", "Create a:", "Schedule yu", "Create s:", "Create c:", "Put c:", "Replace u:", "Get s:"} {
		store.failing(func(method, key string) error {
			if method+" "+key[:min(2, len(key))] == step {
				return errDown
			}
			return nil
		})
		w.clock.advance(cacheLife)
		visit(b)
		fresh := wechattest.Player{ID: strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(step))}
		w.wechat.AddPlayer(fresh)
		listened(fresh.ID).open("/room/7?private_query")
		b.open("/.wxgate/login?next=/room/7%3Fprivate_query")
		store.failing(nil)
	}
	for _, key := range store.keys(t, "s:") {
		store.Store.Put(t.Context(), key, []byte(`{"v":1,"key":"private_query","user":"private_query"}`), 0)
		store.Store.Put(t.Context(), strings.Replace(key, "s:", "c:", 1), []byte(`private_query`), 0)
	}
	w.clock.advance(cacheLife)
	visit(b)

	// What the app does.
	w.app = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	last := listened("xiaomei")
	last.open("/room/7?private_query")
	visit(last)
	w.setStatus(last.me().User, identity.StatusBlocked)
	w.clock.advance(cacheLife)
	visit(last)
	w.replica(0).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://evil.example/?private_query", nil))

	for _, p := range w.wechat.Players() {
		ears.heard("openid", w.wechat.OpenID(p.ID, testAppID))
		ears.heard("unionid", w.wechat.UnionID(p.ID, testAppID))
	}
	for _, e := range w.wechat.Journal() {
		for _, name := range []string{"access_token", "refresh_token", "code", "secret", "openid", "state"} {
			ears.heard("WeChat's "+name, e.Query.Get(name))
		}
	}
	ears.heard("AppSecret", yunxintest.AppSecret)
	ears.heard("query", "private_query")
	ears.heard("WeChat's hidden text", "html><body>")

	log := w.log.String()
	kinds := map[string]bool{}
	for value, what := range ears.secrets {
		kinds[what] = true
		for _, form := range []string{value, url.QueryEscape(value), strings.Trim(string(must(json.Marshal(value))), `"`)} {
			if i := strings.Index(log, form); i >= 0 {
				start, end := strings.LastIndexByte(log[:i], '\n')+1, i+strings.IndexByte(log[i:], '\n')
				t.Errorf("the log shows a %s: %s", what, log[start:end])
				break
			}
		}
	}
	for _, kind := range []string{"code", "state", "query", "openid", "unionid", "assertion", "Yunxin token", "cookie wxgate", "cookie wxgate-login", "bearer token", "WeChat's secret", "WeChat's access_token"} {
		if !kinds[kind] {
			t.Errorf("the test came across no %s", kind)
		}
	}
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if strings.Count(log, `"msg":"request"`) < 100 || !strings.Contains(log, errDown.Error()) {
		t.Error("the log does not say what happened")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Each request leaves one record, under the id that the visitor sees.
func TestOneLogRecordPerRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	b.open("/x")
	res := b.open("/.wxgate/nothing")
	id := res.Header.Get("X-Request-Id")
	eventually(t, "the record is written", func() bool { return strings.Contains(w.log.String(), `"id":"`+id+`"`) })
	if n := strings.Count(w.log.String(), `"id":"`+id+`"`); n != 1 {
		t.Errorf("%d records under one id", n)
	}
	eventually(t, "five requests are recorded", func() bool { return strings.Count(w.log.String(), `"msg":"request"`) == 5 })
	var record struct {
		Level, Method, Path, Outcome string
		Status                       int
	}
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, id) {
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
		}
	}
	if record.Level != "INFO" || record.Method != "GET" || record.Path != "/.wxgate/nothing" || record.Status != 404 || record.Outcome != "own" {
		t.Errorf("%+v", record)
	}
}
