package wechattest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestClassicServerToken(t *testing.T) {
	s := start(t)
	get := func() string {
		t.Helper()
		r := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret)
		if r.errcode() != 0 {
			t.Fatal(r.raw)
		}
		return r.text("access_token")
	}
	first := get()
	second := get()
	if first == second {
		t.Fatal("the same token twice")
	}
	wantAccount := func(token string, want int) {
		t.Helper()
		if r := ask(t, s, wechattest.FollowerPath, "access_token", token, "openid", s.OpenID("xiaomei", appid)); r.errcode() != want {
			t.Errorf("%s, want %d", r.raw, want)
		}
	}
	wantAccount(first, 0)
	wantAccount(second, 0)
	s.Advance(5 * time.Minute)
	wantAccount(first, 40001)
	wantAccount(second, 0)
	s.Advance(2 * time.Hour)
	wantAccount(second, 42001)
	wantAccount("x", 40001)
	wantAccount("", 41001)

	for want, pairs := range map[int][]any{
		40002: {"appid", appid, "secret", secret},
		41002: {"grant_type", "client_credential", "secret", secret},
		41004: {"grant_type", "client_credential", "appid", appid},
		40013: {"grant_type", "client_credential", "appid", "wx9999999999999999", "secret", secret},
		40125: {"grant_type", "client_credential", "appid", appid, "secret", "x"},
	} {
		if r := ask(t, s, wechattest.TokenPath, pairs...); r.errcode() != want {
			t.Errorf("%v: %s, want %d", pairs, r.raw, want)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.TokenPerDay = 1 })
	if r := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret); r.errcode() != 45009 {
		t.Errorf("quota: %s", r.raw)
	}
}

func TestStableServerToken(t *testing.T) {
	s := start(t)
	get := func(force bool) reply {
		t.Helper()
		return ask(t, s, wechattest.StableTokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret, "force_refresh", force)
	}
	works := func(token string) bool {
		t.Helper()
		return ask(t, s, wechattest.FollowerPath, "access_token", token, "openid", s.OpenID("xiaomei", appid)).errcode() == 0
	}
	first := get(false).text("access_token")
	ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret)
	s.Advance(114 * time.Minute)
	if r := get(false); r.text("access_token") != first || r.number("expires_in") < 300 {
		t.Errorf("changed before its time: %s", r.raw)
	}
	s.Advance(2 * time.Minute)
	second := get(false)
	if second.text("access_token") == first || second.number("expires_in") < 7100 {
		t.Errorf("not renewed in the last five minutes: %s", second.raw)
	}
	if !works(first) || !works(second.text("access_token")) {
		t.Error("no overlap")
	}
	s.Advance(5 * time.Minute)
	if works(first) {
		t.Error("the old token outlived itself")
	}
	third := get(true).text("access_token")
	if third == second.text("access_token") || works(second.text("access_token")) || !works(third) {
		t.Error("force_refresh did not void the token")
	}
	if get(true).text("access_token") != third {
		t.Error("force_refresh twice within 30 seconds")
	}
	for range 19 {
		s.Advance(31 * time.Second)
		third = get(true).text("access_token")
	}
	s.Advance(31 * time.Second)
	if get(true).text("access_token") != third {
		t.Error("force_refresh a 21st time")
	}
	for body, want := range map[string]int{
		"": 44002, "{": 47001, "{}": 40002, `{"grant_type":"client_credential"}`: 41002,
		`{"grant_type":"client_credential","appid":"` + appid + `"}`:                      41004,
		`{"grant_type":"client_credential","appid":"` + appid + `","secret":"x"}`:         40125,
		`{"grant_type":"client_credential","appid":"wx9999999999999999","secret":"x"}`:    40013,
		`{"grant_type":"authorization_code","appid":"` + appid + `","secret":"x"}`:        40002,
		`{"grant_type":"client_credential","appid":"` + appid + `","secret":` + `7` + `}`: 47001,
	} {
		res, err := http.Post(s.URL+wechattest.StableTokenPath, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r := read(t, res); r.errcode() != want {
			t.Errorf("%s: %s, want %d", body, r.raw, want)
		}
	}
	if r := ask(t, s, wechattest.TokenPath+"x"); r.status != 404 {
		t.Errorf("unknown path: %d", r.status)
	}
	res, err := http.Get(s.URL + wechattest.StableTokenPath)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, res); r.errcode() != 43002 {
		t.Errorf("GET: %s", r.raw)
	}
}

func TestFollowers(t *testing.T) {
	s := start(t)
	token := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret).text("access_token")
	follower := func(openid string) reply {
		t.Helper()
		return ask(t, s, wechattest.FollowerPath, "access_token", token, "openid", openid)
	}
	if r := follower(s.OpenID("xiaomei", appid)); r.number("subscribe") != 1 || r.text("unionid") != s.UnionID("xiaomei", appid) || r.text("nickname") != "" {
		t.Errorf("follower: %s", r.raw)
	}
	if r := follower(s.OpenID("aqiang", appid)); r.raw != `{"subscribe":0,"openid":"`+s.OpenID("aqiang", appid)+`"}` {
		t.Errorf("no follower: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.UnionIDForAll = true })
	if r := follower(s.OpenID("aqiang", appid)); r.text("unionid") == "" {
		t.Errorf("by switch: %s", r.raw)
	}
	if r := follower(s.OpenID("xiaomei", website)); r.errcode() != 40003 {
		t.Errorf("another account's openid: %s", r.raw)
	}
	if r := follower(""); r.errcode() != 41009 {
		t.Errorf("no openid: %s", r.raw)
	}
}

func TestAllowListAndQuota(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "192.0.2.1" })
	r := ask(t, s, wechattest.TokenPath, "grant_type", "client_credential", "appid", appid, "secret", secret)
	if r.errcode() != 40164 || !strings.HasPrefix(r.text("errmsg"), "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist, rid: ") {
		t.Errorf("answer %s", r.raw)
	}
	if r := exchange(t, s, "x"); r.errcode() != 40029 {
		t.Errorf("login is not on the allow-list: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.AllowListOnSNS = true })
	if r := exchange(t, s, "x"); r.errcode() != 40164 {
		t.Errorf("by switch: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "127.0.0.1"; b.SNSPerMinute = 3 })
	s.Advance(time.Minute)
	for i, want := range []int{40029, 40029, 40029, 45011} {
		if r := exchange(t, s, "x"); r.errcode() != want {
			t.Errorf("call %d: %s", i, r.raw)
		}
	}
	s.Advance(time.Minute)
	if r := exchange(t, s, "x"); r.errcode() != 40029 {
		t.Errorf("a minute later: %s", r.raw)
	}
}
