package wechattest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// onBehalf is a link as documented for a login through a platform, with changes.
func onBehalf(s *wechattest.Server, oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(s.URL + "/connect/oauth2/authorize?appid=" + appid +
		"&redirect_uri=" + url.QueryEscape("https://pay.example.com/cb?x=1") +
		"&response_type=code&scope=snsapi_userinfo&state=abc123&component_appid=" + platform)
}

func TestAuthorizeOnBehalf(t *testing.T) {
	s, _ := startPlatform(t)
	s.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	b := newBrowser(t, wechattest.UAIOS)
	if p := b.get(onBehalf(s)); p.Header.Get(wechattest.ErrorHeader) != "10015" || !strings.Contains(p.body, "未授权") || !strings.Contains(p.body, "<b>10015</b>") {
		t.Errorf("not authorized: %d %s", p.StatusCode, p.body)
	}
	s.Grant(platform, appid)
	for _, tt := range []struct {
		name   string
		change []string
		want   string // error code, or "" for a redirect
	}{
		{"as documented", nil, ""},
		{"account's subdomain", []string{"pay.example.com", appid + ".pay.example.com"}, ""},
		{"another account's subdomain", []string{"pay.example.com", mini + ".pay.example.com"}, "10003"},
		{"the account's own host", []string{"pay.example.com", "play.example.com"}, "10003"},
		{"with a port", []string{"pay.example.com", "pay.example.com%3A8080"}, "10003"},
		{"loopback with a port", []string{"pay.example.com", "127.0.0.1%3A8080"}, ""},
		{"account's subdomain of localhost with a port", []string{"https%3A%2F%2Fpay.example.com", "http%3A%2F%2F" + appid + ".localhost%3A8080"}, ""},
		{"something like localhost with a port", []string{"pay.example.com", "xlocalhost%3A8080"}, "10003"},
		{"platform first", []string{"?appid", "?component_appid=" + platform + "&appid", "&component_appid=" + platform, ""}, "0"},
		{"platform before state", []string{"&state=abc123&component_appid=" + platform, "&component_appid=" + platform + "&state=abc123"}, "0"},
		{"capital letters", []string{"component_appid", "Component_appid"}, "0"},
		{"unknown platform", []string{platform, otherPlatform}, "0"},
		{"no state", []string{"&state=abc123", ""}, ""},
		{"empty state", []string{"state=abc123", "state="}, ""},
		{"long state", []string{"abc123", strings.Repeat("a", 129)}, "0"},
		{"two scopes", []string{"snsapi_userinfo", "snsapi_base,snsapi_userinfo"}, ""},
		{"odd scope", []string{"snsapi_userinfo", "snsapi_base,snsapi_login"}, "10005"},
	} {
		if p := b.get(onBehalf(s, tt.change...)); p.Header.Get(wechattest.ErrorHeader) != tt.want || (p.StatusCode == 302) != (tt.want == "") {
			t.Errorf("%s: status %d, error %q", tt.name, p.StatusCode, p.Header.Get(wechattest.ErrorHeader))
		}
	}
	p := b.get(onBehalf(s))
	back, err := url.Parse(p.Header.Get("Location"))
	if q := back.Query(); err != nil || q.Get("x") != "1" || len(q.Get("code")) != 32 || q.Get("state") != "abc123" || q.Get("appid") != appid || len(q) != 4 {
		t.Errorf("back to %s", back)
	}
	s.Set(func(b *wechattest.Behaviour) { b.AutoConsent = false })
	if p := b.post(onBehalf(s), "consent", "deny"); p.Header.Get("Location") != "https://pay.example.com/cb?x=1&state=abc123" || last(t, s).Result != "denied" {
		t.Errorf("refused: %d %s", p.StatusCode, p.Header.Get("Location"))
	}
	s.Set(func(b *wechattest.Behaviour) { b.CheckFunctions = true })
	s.Grant(platform, appid, 1, 2)
	if p := b.get(onBehalf(s)); p.Header.Get(wechattest.ErrorHeader) != "10005" {
		t.Errorf("web login not granted: %d", p.StatusCode)
	}
}

func TestExchangeOnBehalf(t *testing.T) {
	s, _ := startPlatform(t)
	s.AddComponent(wechattest.Component{ID: otherPlatform, Secret: "x", Token: "tok", AESKey: aesKey})
	cat := platformToken(t, s)
	given := exchangeGrant(t, s, cat, s.Grant(platform, appid))
	through := func(code string, change ...string) reply {
		t.Helper()
		q := map[string]string{
			"appid": appid, "code": code, "grant_type": "authorization_code", "component_appid": platform, "component_access_token": cat,
		}
		for i := 0; i < len(change); i += 2 {
			q[change[i]] = change[i+1]
		}
		pairs := []any{}
		for name, value := range q {
			pairs = append(pairs, name, value)
		}
		return ask(t, s, wechattest.ComponentAccessTokenPath, pairs...)
	}
	code := s.IssueCodeOnBehalf(platform, appid, "xiaomei", "snsapi_userinfo")
	for _, tt := range []struct {
		name   string
		change []string
		want   int
	}{
		{"no token", []string{"component_access_token", ""}, 41001},
		{"token under the other name", []string{"component_access_token", "", "access_token", cat}, 41001},
		{"void token", []string{"component_access_token", "x"}, 40001},
		{"lent token", []string{"component_access_token", given.access}, 48001},
		{"no platform", []string{"component_appid", ""}, 41018},
		{"another platform", []string{"component_appid", otherPlatform}, 61011},
		{"no appid", []string{"appid", ""}, 41002},
		{"no code", []string{"code", ""}, 41008},
		{"grant_type", []string{"grant_type", "x"}, 40002},
		{"unknown appid", []string{"appid", "wxffffffffffffffff"}, 40013},
		{"not authorized", []string{"appid", website}, 61003},
		{"unknown code", []string{"code", "x"}, 40029},
		{"a code without a platform", []string{"code", s.IssueCode(appid, "xiaomei", "")}, 40029},
		{"a code through another platform", []string{"code", s.IssueCodeOnBehalf(otherPlatform, appid, "xiaomei", "")}, 40029},
		{"good", nil, 0},
		{"again", nil, 40163},
	} {
		if r := through(code, tt.change...); r.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, r.raw, tt.want)
		}
	}
	if n := s.Exchanges()[code]; n != 12 {
		t.Errorf("%d exchanges", n)
	}
	r := through(s.IssueCodeOnBehalf(platform, appid, "xiaomei", "snsapi_userinfo"))
	if r.text("openid") != s.OpenID("xiaomei", appid) || r.text("unionid") != s.UnionID("xiaomei", appid) || r.text("unionid") == "" {
		t.Errorf("exchanged %s", r.raw)
	}
	if e := last(t, s); e.Player != "xiaomei" || e.AppID != appid {
		t.Errorf("journal %+v", e)
	}
	if p := ask(t, s, wechattest.UserInfoPath, "access_token", r.text("access_token"), "openid", r.text("openid")); p.text("nickname") != "小美" {
		t.Errorf("profile %s", p.raw)
	}
	renew := func(pairs ...any) reply {
		t.Helper()
		return ask(t, s, wechattest.ComponentRefreshTokenPath, append([]any{
			"appid", appid, "grant_type", "refresh_token", "component_appid", platform, "component_access_token", cat, "refresh_token", r.text("refresh_token"),
		}, pairs...)...)
	}
	if again := renew(); again.text("openid") != r.text("openid") || again.text("refresh_token") != r.text("refresh_token") {
		t.Errorf("renewed %s", again.raw)
	}
	if again := renew("refresh_token", ""); again.errcode() != 41003 {
		t.Errorf("no refresh_token: %s", again.raw)
	}
	if direct := ask(t, s, wechattest.RefreshTokenPath, "appid", appid, "grant_type", "refresh_token", "refresh_token", r.text("refresh_token")); direct.errcode() != 40030 {
		t.Errorf("renewed without the platform: %s", direct.raw)
	}
	if direct := exchange(t, s, s.IssueCodeOnBehalf(platform, appid, "xiaomei", "")); direct.errcode() != 40029 {
		t.Errorf("exchanged without the platform: %s", direct.raw)
	}
	s.Deauthorize(t.Context(), platform, appid)
	if again := renew(); again.errcode() != 61003 {
		t.Errorf("taken back: %s", again.raw)
	}
}

func TestSessionOnBehalf(t *testing.T) {
	s, _ := startPlatform(t)
	s.AddApp(wechattest.App{ID: mini, Secret: secret, Kind: wechattest.MiniProgram, Bound: true, OpenAccount: "another merchant"})
	cat := platformToken(t, s)
	s.Grant(platform, appid)
	s.Grant(platform, mini)
	session := func(id, code string) reply {
		t.Helper()
		return ask(t, s, wechattest.ComponentCode2SessionPath, "appid", id, "js_code", code, "grant_type", "authorization_code",
			"component_appid", platform, "component_access_token", cat)
	}
	r := session(mini, s.IssueCodeOnBehalf(platform, mini, "aqiang", ""))
	if r.text("openid") != s.OpenID("aqiang", mini) || r.text("session_key") == "" {
		t.Errorf("session %s", r.raw)
	}
	if u := r.text("unionid"); u == "" || u == s.UnionID("aqiang", appid) || u != s.UnionID("aqiang", mini) {
		t.Errorf("unionid %q at another merchant's open-platform account, here %q", u, s.UnionID("aqiang", appid))
	}
	if r := session(mini, s.IssueCode(mini, "aqiang", "")); r.errcode() != 40029 {
		t.Errorf("code without the platform: %s", r.raw)
	}
	if r := session(appid, s.IssueCodeOnBehalf(platform, appid, "aqiang", "")); r.errcode() != 40029 {
		t.Errorf("service account: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.SessionPerMinute = 1 })
	s.Advance(time.Minute)
	first, second := session(mini, s.IssueCodeOnBehalf(platform, mini, "aqiang", "")), session(mini, s.IssueCodeOnBehalf(platform, mini, "aqiang", ""))
	if first.errcode() != 0 || second.errcode() != 45011 {
		t.Errorf("quota: %s, %s", first.raw, second.raw)
	}
	s.Advance(time.Minute)
	late := s.IssueCodeOnBehalf(platform, mini, "aqiang", "")
	s.Advance(5 * time.Minute)
	if r := session(mini, late); r.errcode() != 40029 {
		t.Errorf("late: %s", r.raw)
	}
}
