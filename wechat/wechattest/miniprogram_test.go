package wechattest_test

import (
	"regexp"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestCode2Session(t *testing.T) {
	s := start(t)
	session := func(code string, pairs ...any) reply {
		t.Helper()
		return ask(t, s, wechattest.Code2SessionPath, append([]any{"appid", mini, "secret", secret, "js_code", code, "grant_type", "authorization_code"}, pairs...)...)
	}
	code := s.IssueCode(mini, "snapshot", "") // mini programs have no snapshot mode
	form := regexp.MustCompile(`^{"session_key":"[^"]{24,30}","openid":"[^"]{28}"}$`)
	if r := session(code); !form.MatchString(r.raw) || r.text("openid") != s.OpenID("snapshot", mini) {
		t.Errorf("answer %s", r.raw)
	}
	if r := session(code); r.errcode() != 40163 {
		t.Errorf("used: %s", r.raw)
	}
	if n := s.Exchanges()[code]; n != 2 {
		t.Errorf("%d exchanges", n)
	}
	late := s.IssueCode(mini, "xiaomei", "")
	s.Advance(5 * time.Minute)
	good := s.IssueCode(mini, "xiaomei", "")
	for name, tt := range map[string]struct {
		got  reply
		want int
	}{
		"expired":              {session(late), 40029},
		"unknown":              {session("x"), 40029},
		"of a service account": {session(s.IssueCode(appid, "xiaomei", "")), 40029},
		"high risk":            {session(s.IssueCode(mini, "risky", "")), 40226},
		"no appid":             {session(good, "appid", ""), 41002},
		"no secret":            {session(good, "secret", ""), 41004},
		"no code":              {session(""), 41008},
		"grant_type":           {session(good, "grant_type", "x"), 40002},
		"appid":                {session(good, "appid", "wx9999999999999999"), 40013},
		"secret":               {session(good, "secret", "x"), 40125},
		"no mini program":      {session(good, "appid", appid), 40029},
		"at the wrong place":   {ask(t, s, wechattest.AccessTokenPath, "appid", mini, "secret", secret, "code", good, "grant_type", "authorization_code"), 40029},
	} {
		if tt.got.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", name, tt.got.raw, tt.want)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.SessionErrcode = true })
	if r := session(good); r.fields["errcode"] != float64(0) || r.text("openid") == "" {
		t.Errorf("by switch: %s", r.raw)
	}
	s.AddApp(wechattest.App{ID: mini, Secret: secret, Kind: wechattest.MiniProgram, Bound: true})
	if r := session(s.IssueCode(mini, "aqiang", "")); r.text("unionid") != s.UnionID("aqiang", appid) {
		t.Errorf("bound: %s", r.raw)
	}
}

// The quota counts each person for himself.
func TestSessionQuota(t *testing.T) {
	s := start(t)
	for i := range 101 {
		want := 0
		if i == 100 {
			want = 45011
		}
		r := ask(t, s, wechattest.Code2SessionPath, "appid", mini, "secret", secret, "js_code", s.IssueCode(mini, "xiaomei", ""), "grant_type", "authorization_code")
		if r.errcode() != want {
			t.Fatalf("login %d: %s", i, r.raw)
		}
	}
	r := ask(t, s, wechattest.Code2SessionPath, "appid", mini, "secret", secret, "js_code", s.IssueCode(mini, "aqiang", ""), "grant_type", "authorization_code")
	if r.errcode() != 0 {
		t.Errorf("somebody else: %s", r.raw)
	}
}

// The usual scope of an app makes codes without a browser, by Go and by form.
func TestCodesOfOtherClients(t *testing.T) {
	s := start(t)
	const mobile = "wx3333333333333333"
	s.AddApp(wechattest.App{ID: mobile, Secret: secret, Kind: wechattest.Mobile})
	code := newBrowser(t, "").post(s.URL+"/sim/code", "appid", mobile, "player", "aqiang").body
	for _, code := range []string{code, s.IssueCode(mobile, "aqiang", "")} {
		r := ask(t, s, wechattest.AccessTokenPath, "appid", mobile, "secret", secret, "code", code, "grant_type", "authorization_code")
		if r.text("scope") != "snsapi_userinfo" || r.text("openid") != s.OpenID("aqiang", mobile) {
			t.Errorf("answer %s", r.raw)
		}
	}
}
