package wechattest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// reply is an answer of the simulator, which these tests read as raw as they can.
type reply struct {
	status int
	header http.Header
	raw    string
	fields map[string]any
}

func (r reply) errcode() int {
	n, _ := r.fields["errcode"].(float64)
	return int(n)
}

func (r reply) text(name string) string {
	s, _ := r.fields[name].(string)
	return s
}

func (r reply) number(name string) float64 {
	n, _ := r.fields[name].(float64)
	return n
}

// ask calls an interface with pairs of parameters; stable_token gets them as JSON.
func ask(t *testing.T, s *wechattest.Server, path string, pairs ...any) reply {
	t.Helper()
	var res *http.Response
	var err error
	if path == wechattest.StableTokenPath {
		fields := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			fields[pairs[i].(string)] = pairs[i+1]
		}
		body, _ := json.Marshal(fields)
		res, err = http.Post(s.URL+path, "application/json", strings.NewReader(string(body)))
	} else {
		q := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i].(string), pairs[i+1].(string))
		}
		res, err = http.Get(s.URL + path + "?" + q.Encode())
	}
	if err != nil {
		t.Fatal(err)
	}
	return read(t, res)
}

func read(t *testing.T, res *http.Response) reply {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := reply{status: res.StatusCode, header: res.Header, raw: string(body)}
	json.Unmarshal(body, &r.fields) // some answers are not JSON on purpose
	return r
}

func exchange(t *testing.T, s *wechattest.Server, code string) reply {
	t.Helper()
	return ask(t, s, wechattest.AccessTokenPath, "appid", appid, "secret", secret, "code", code, "grant_type", "authorization_code")
}

func login(t *testing.T, s *wechattest.Server, player, scope string) reply {
	t.Helper()
	r := exchange(t, s, s.IssueCode(appid, player, scope))
	if r.errcode() != 0 || r.text("access_token") == "" {
		t.Fatalf("no login: %s", r.raw)
	}
	return r
}

func userinfo(t *testing.T, s *wechattest.Server, token, openid string) reply {
	t.Helper()
	return ask(t, s, wechattest.UserInfoPath, "access_token", token, "openid", openid, "lang", "zh_CN")
}

func TestIdentifiers(t *testing.T) {
	s := start(t)
	form := regexp.MustCompile(`^o[A-Za-z0-9_-]{27}$`)
	seen := map[string]bool{}
	for _, p := range s.Players() {
		for _, id := range []string{s.OpenID(p.ID, appid), s.OpenID(p.ID, website), s.UnionID(p.ID, appid)} {
			if !form.MatchString(id) || seen[id] {
				t.Errorf("id %q of %s is malformed or somebody else's", id, p.ID)
			}
			seen[id] = true
		}
		if s.UnionID(p.ID, website) != "" {
			t.Error("a unionid for an app that is not bound")
		}
	}
	if start(t).OpenID("xiaomei", appid) != s.OpenID("xiaomei", appid) {
		t.Error("openids change between runs")
	}
}

func TestExchangeAnswer(t *testing.T) {
	s := start(t)
	r := login(t, s, "xiaomei", "snsapi_userinfo")
	if r.status != 200 || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("status %d, type %q", r.status, r.header.Get("Content-Type"))
	}
	order := regexp.MustCompile(`^{"access_token":"[^"]{512}","expires_in":7[12]\d\d,"refresh_token":"[^"]{512}","openid":"[^"]{28}","scope":"snsapi_userinfo","unionid":"[^"]{28}"}$`)
	if !order.MatchString(r.raw) {
		t.Errorf("answer %s", r.raw)
	}
	if r.text("openid") != s.OpenID("xiaomei", appid) || r.text("unionid") != s.UnionID("xiaomei", appid) {
		t.Errorf("answer %s", r.raw)
	}
	if r := login(t, s, "xiaomei", "snsapi_base"); r.text("unionid") != "" || strings.Contains(r.raw, "is_snapshotuser") || strings.Contains(r.raw, "errcode") {
		t.Errorf("silent answer %s", r.raw)
	}
	if e := last(t, s); e.Result != "ok" || e.Player != "xiaomei" || e.Path != wechattest.AccessTokenPath {
		t.Errorf("journal %+v", e)
	}
}

func TestExchangeErrors(t *testing.T) {
	good := map[string]string{"appid": appid, "secret": secret, "code": "", "grant_type": "authorization_code"}
	tests := []struct {
		name, param, value string
		want               int
	}{
		{"no appid", "appid", "", 41002},
		{"no secret", "secret", "", 41004},
		{"no code", "code", "", 41008},
		{"no grant_type", "grant_type", "", 40002},
		{"wrong grant_type", "grant_type", "client_credential", 40002},
		{"unknown appid", "appid", "wx9999999999999999", 40013},
		{"wrong secret", "secret", "wrong", 40125},
		{"foreign appid", "appid", website, 40029},
		{"unknown code", "code", "x", 40029},
	}
	s := start(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var pairs []any
			for name, value := range good {
				if name == "code" {
					value = s.IssueCode(appid, "xiaomei", "snsapi_base")
				}
				if name == tt.param {
					value = tt.value
				}
				pairs = append(pairs, name, value)
			}
			r := ask(t, s, wechattest.AccessTokenPath, pairs...)
			rid := regexp.MustCompile(`, rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)
			if r.status != 200 || r.errcode() != tt.want || !rid.MatchString(r.text("errmsg")) {
				t.Errorf("status %d, %s; want %d", r.status, r.raw, tt.want)
			}
		})
	}
	s.Set(func(b *wechattest.Behaviour) { b.Hints = true })
	if r := exchange(t, s, "x"); !regexp.MustCompile(` hints: \[ req_id: \w{14} \]$`).MatchString(r.text("errmsg")) {
		t.Errorf("hints: %s", r.raw)
	}
	res, err := http.Post(s.URL+wechattest.AccessTokenPath, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, res); r.errcode() != 43001 {
		t.Errorf("POST: %s", r.raw)
	}
}

func TestCodeLife(t *testing.T) {
	s := start(t)
	first, second := s.IssueCode(appid, "xiaomei", "snsapi_base"), s.IssueCode(appid, "xiaomei", "snsapi_base")
	s.Advance(5*time.Minute - time.Minute)
	if r := exchange(t, s, first); r.errcode() != 0 {
		t.Errorf("after four minutes: %s", r.raw)
	}
	if r := exchange(t, s, first); r.errcode() != 40163 {
		t.Errorf("used: %s", r.raw)
	}
	s.Advance(time.Minute)
	if r := exchange(t, s, second); r.errcode() != 40029 {
		t.Errorf("after five minutes: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.ExpiredCode = 42003 })
	if r := exchange(t, s, second); r.errcode() != 42003 {
		t.Errorf("by switch: %s", r.raw)
	}
	// A website app's code lives for ten minutes.
	code := s.IssueCode(website, "xiaomei", "snsapi_login")
	s.Advance(9 * time.Minute)
	if r := ask(t, s, wechattest.AccessTokenPath, "appid", website, "secret", secret, "code", code, "grant_type", "authorization_code"); r.errcode() != 0 {
		t.Errorf("website: %s", r.raw)
	}
}

func TestOneExchangeWins(t *testing.T) {
	s := start(t)
	code := s.IssueCode(appid, "xiaomei", "snsapi_base")
	var mu sync.Mutex
	results := map[int]int{}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			r := exchange(t, s, code)
			mu.Lock()
			defer mu.Unlock()
			results[r.errcode()]++
		})
	}
	wg.Wait()
	if results[0] != 1 || results[40163] != 31 || s.Exchanges()[code] != 32 {
		t.Errorf("results %v, seen %d", results, s.Exchanges()[code])
	}
}

func TestUserInfo(t *testing.T) {
	s := start(t)
	for _, p := range s.Players() {
		if p.Refused != 0 || p.Snapshot {
			continue
		}
		tok := login(t, s, p.ID, "snsapi_userinfo")
		r := userinfo(t, s, tok.text("access_token"), tok.text("openid"))
		// Byte for byte, even where that is not JSON.
		name := strings.NewReplacer(`"`, `\"`, `/`, `\/`).Replace(p.Nickname)
		if !strings.HasPrefix(r.raw, `{"openid":"`+tok.text("openid")+`","nickname":"`+name+`","sex":0,"language":"","city":"","province":"","country":"","headimgurl":"`) {
			t.Errorf("%s: %.200q", p.ID, r.raw)
		}
		if picture := strings.Contains(r.raw, `"headimgurl":"https:\/\/thirdwx.qlogo.cn\/mmopen\/vi_32\/`); picture == p.NoAvatar {
			t.Errorf("%s: picture %v", p.ID, picture)
		}
		if !strings.HasSuffix(r.raw, `"privilege":[],"unionid":"`+s.UnionID(p.ID, appid)+`"}`) {
			t.Errorf("%s: %.200q", p.ID, r.raw)
		}
	}
	if r := exchange(t, s, s.IssueCode(appid, "frozen", "snsapi_base")); r.errcode() != 50002 {
		t.Errorf("limited person: %s", r.raw)
	}
}

func TestUserInfoErrors(t *testing.T) {
	s := start(t)
	tok := login(t, s, "xiaomei", "snsapi_userinfo")
	access, openid := tok.text("access_token"), tok.text("openid")
	base := login(t, s, "xiaomei", "snsapi_base")
	server := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret)
	for _, tt := range []struct {
		name, token, openid string
		want                int
	}{
		{"no token", "", openid, 41001},
		{"no openid", access, "", 41009},
		{"unknown token", "x", openid, 40001},
		{"server token", server.text("access_token"), openid, 40001},
		{"base scope", base.text("access_token"), openid, 48001},
		{"another openid", access, s.OpenID("aqiang", appid), 40003},
	} {
		if r := userinfo(t, s, tt.token, tt.openid); r.errcode() != tt.want {
			t.Errorf("%s: %s", tt.name, r.raw)
		}
	}
	if r := ask(t, s, wechattest.AuthPath, "access_token", access, "openid", openid); r.raw != `{"errcode":0,"errmsg":"ok"}` {
		t.Errorf("auth: %s", r.raw)
	}
	for token, want := range map[string]int{access: 40003, "x": 40014} {
		if r := ask(t, s, wechattest.AuthPath, "access_token", token, "openid", "oX"); r.errcode() != want {
			t.Errorf("auth: %s, want %d", r.raw, want)
		}
	}
	s.Advance(2 * time.Hour)
	if r := userinfo(t, s, access, openid); r.errcode() != 42001 {
		t.Errorf("expired: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.ExpiredToken = 40001 })
	if r := userinfo(t, s, access, openid); r.errcode() != 40001 {
		t.Errorf("expired, by switch: %s", r.raw)
	}
}

func TestRefresh(t *testing.T) {
	s := start(t)
	tok := login(t, s, "xiaomei", "snsapi_userinfo")
	access, refresh, openid := tok.text("access_token"), tok.text("refresh_token"), tok.text("openid")
	renew := func(pairs ...any) reply {
		t.Helper()
		return ask(t, s, wechattest.RefreshTokenPath, append([]any{"appid", appid, "grant_type", "refresh_token", "refresh_token", refresh}, pairs...)...)
	}
	s.Advance(time.Hour)
	if r := renew(); r.text("access_token") != access || r.number("expires_in") < 7100 || r.text("refresh_token") != refresh {
		t.Errorf("a live token changed: %s", r.raw)
	}
	s.Advance(2 * time.Hour)
	r := renew()
	if r.text("access_token") == access || r.text("openid") != openid || r.text("scope") != "snsapi_userinfo" {
		t.Errorf("an expired token did not change: %s", r.raw)
	}
	if old := userinfo(t, s, access, openid); old.errcode() != 42001 {
		t.Errorf("the old token: %s", old.raw)
	}
	if fresh := userinfo(t, s, r.text("access_token"), openid); fresh.errcode() != 0 {
		t.Errorf("the new token: %s", fresh.raw)
	}
	for want, pairs := range map[int][]any{
		41002: {"appid", ""}, 41003: {"refresh_token", ""}, 40002: {"grant_type", "x"}, 40013: {"appid", "wx9999999999999999"},
		40030: {"refresh_token", "x"},
	} {
		if r := renew(pairs...); r.errcode() != want {
			t.Errorf("%v: %s, want %d", pairs, r.raw, want)
		}
	}
	if r := renew("appid", website); r.errcode() != 40030 {
		t.Errorf("another app: %s", r.raw)
	}
	s.Advance(30 * 24 * time.Hour)
	if r := renew(); r.errcode() != 40030 {
		t.Errorf("after thirty days: %s", r.raw)
	}

	refresh = login(t, s, "xiaomei", "snsapi_userinfo").text("refresh_token")
	login(t, s, "xiaomei", "snsapi_base")
	if r := renew(); r.errcode() != 0 {
		t.Errorf("a silent login voided the token: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.BaseVoidsRefresh = true })
	login(t, s, "xiaomei", "snsapi_base")
	if r := renew(); r.errcode() != 40030 {
		t.Errorf("by switch: %s", r.raw)
	}
}

func TestSnapshot(t *testing.T) {
	s := start(t)
	first, second := login(t, s, "snapshot", "snsapi_userinfo"), login(t, s, "snapshot", "snsapi_userinfo")
	for _, r := range []reply{first, second} {
		if r.number("is_snapshotuser") != 1 || r.text("openid") == s.OpenID("snapshot", appid) || r.text("unionid") == s.UnionID("snapshot", appid) || r.text("unionid") == "" {
			t.Errorf("answer %s", r.raw)
		}
	}
	if first.text("openid") == second.text("openid") {
		t.Error("the virtual account came again")
	}
	if r := userinfo(t, s, first.text("access_token"), first.text("openid")); r.text("nickname") != "微信用户" || r.text("headimgurl") != "" || strings.Contains(r.raw, "snapshot") {
		t.Errorf("profile %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.SnapshotNoUserInfo = true })
	if r := userinfo(t, s, first.text("access_token"), first.text("openid")); r.errcode() != 48001 {
		t.Errorf("profile by switch: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.SnapshotRealIDs = true })
	if r := login(t, s, "snapshot", "snsapi_userinfo"); r.text("openid") != s.OpenID("snapshot", appid) || r.number("is_snapshotuser") != 1 {
		t.Errorf("real ids: %s", r.raw)
	}

	s = start(t)
	s.Set(func(b *wechattest.Behaviour) { b.SnapshotUnmarked = 2 })
	for i, want := range []float64{0, 0, 1, 1} {
		if r := login(t, s, "snapshot", "snsapi_base"); r.number("is_snapshotuser") != want {
			t.Errorf("visit %d: %s", i, r.raw)
		}
	}
}
