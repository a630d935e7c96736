package wechattest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestPreAuthCode(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	get := func() reply { return post(t, s, wechattest.PreAuthCodePath, cat, "component_appid", platform) }
	first, second := get(), get()
	if a, b := first.text("pre_auth_code"), second.text("pre_auth_code"); !strings.HasPrefix(a, "preauthcode@@@") || a == b || first.number("expires_in") != 1800 {
		t.Errorf("%s and %s", first.raw, second.raw)
	}
	if n := s.ComponentState(platform).PreAuthCodes; n != 2 {
		t.Errorf("%d codes", n)
	}
	s.Set(func(b *wechattest.Behaviour) { b.PreAuthSeconds = 600 })
	if r := get(); r.number("expires_in") != 600 {
		t.Errorf("%s", r.raw)
	}
	s.Advance(10 * time.Minute)
	if n := s.ComponentState(platform).PreAuthCodes; n != 2 {
		t.Errorf("%d codes after ten minutes", n)
	}
}

func TestQueryAuth(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	query := func(code string) reply {
		t.Helper()
		return post(t, s, wechattest.QueryAuthPath, cat, "component_appid", platform, "authorization_code", code)
	}
	code := s.Grant(platform, appid, 11, 1, 4)
	r := query(code)
	info := r.fields["authorization_info"].(map[string]any)
	if info["authorizer_appid"] != appid || info["expires_in"] != 7200.0 || !strings.HasPrefix(info["authorizer_refresh_token"].(string), "refreshtoken@@@") ||
		!strings.HasSuffix(r.raw, `"func_info":[{"funcscope_category":{"id":1}},{"funcscope_category":{"id":4}},{"funcscope_category":{"id":11}}]}}`) {
		t.Errorf("exchanged %s", r.raw)
	}
	if r := query(code); r.errcode() != 61010 || !strings.HasPrefix(r.text("errmsg"), "code is expired") {
		t.Errorf("again: %s", r.raw)
	}
	if r := query("preauthcode@@@x"); r.errcode() != 61009 {
		t.Errorf("unknown: %s", r.raw)
	}
	late := s.Grant(platform, mini)
	s.Advance(time.Hour)
	if r := query(late); r.errcode() != 61010 {
		t.Errorf("after an hour: %s", r.raw)
	}
	gone := s.Grant(platform, mini)
	s.Deauthorize(t.Context(), platform, mini)
	if r := query(gone); r.errcode() != 61003 {
		t.Errorf("taken back: %s", r.raw)
	}
	state := s.ComponentState(platform)
	if len(state.Authorizations) != 1 || !state.Authorizations[0].Exchanged || state.Authorizations[0].Mints != 1 ||
		!slices.Equal(state.Authorizations[0].Functions, []int{1, 4, 11}) || state.Authorizations[0].AccessToken != info["authorizer_access_token"] {
		t.Errorf("state %+v", state.Authorizations)
	}
	for _, unknown := range []func(){
		func() { s.Grant(otherPlatform, appid) }, func() { s.Grant(platform, website) }, func() { s.IssueTicket(otherPlatform) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			unknown()
		}()
	}
}

func TestAuthorizerToken(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	refresh := func(id, token string) reply {
		t.Helper()
		return post(t, s, wechattest.AuthorizerTokenPath, cat, "component_appid", platform, "authorizer_appid", id, "authorizer_refresh_token", token)
	}
	works := func(access string) int {
		return ask(t, s, wechattest.TicketPath, "access_token", access, "type", "jsapi").errcode()
	}
	first := exchangeGrant(t, s, cat, s.Grant(platform, appid))
	second := exchangeGrant(t, s, cat, s.Grant(platform, mini))
	for _, tt := range []struct {
		id, token string
		want      int
	}{
		{"", first.refresh, 41002}, {"wxffffffffffffffff", first.refresh, 40013}, {website, first.refresh, 61003},
		{appid, "", 61023}, {appid, second.refresh, 61023}, {mini, second.refresh, 0},
	} {
		if r := refresh(tt.id, tt.token); r.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", tt.id, r.raw, tt.want)
		}
	}
	r := refresh(appid, first.refresh)
	access := r.text("authorizer_access_token")
	if r.text("authorizer_refresh_token") != first.refresh || access == first.access || r.number("expires_in") != 7200 {
		t.Errorf("refreshed %s", r.raw)
	}
	s.Advance(5*time.Minute - time.Second)
	if a, b := works(first.access), works(access); a != 0 || b != 0 {
		t.Errorf("within five minutes: %d and %d", a, b)
	}
	s.Advance(time.Second)
	if a, b := works(first.access), works(access); a != 40001 || b != 0 {
		t.Errorf("after five minutes: %d and %d", a, b)
	}

	s.Set(func(b *wechattest.Behaviour) { b.RotateRefresh = true })
	rotated := refresh(appid, first.refresh).text("authorizer_refresh_token")
	if rotated == first.refresh || rotated == "" {
		t.Error("not rotated")
	}
	s.Set(func(b *wechattest.Behaviour) { b.RotateRefresh = false })
	s.Advance(5*time.Minute - time.Second)
	if r := refresh(appid, first.refresh); r.errcode() != 0 || r.text("authorizer_refresh_token") != rotated {
		t.Errorf("the old one within five minutes: %s", r.raw)
	}
	s.Advance(time.Second)
	if a, b := refresh(appid, first.refresh), refresh(appid, rotated); a.errcode() != 61023 || b.errcode() != 0 {
		t.Errorf("after five minutes: %s and %s", a.raw, b.raw)
	}

	last := refresh(appid, rotated).text("authorizer_access_token")
	s.Deauthorize(t.Context(), platform, appid)
	if a, b := works(last), refresh(appid, rotated); a != 40001 || b.errcode() != 61003 {
		t.Errorf("taken back: %d, %s", a, b.raw)
	}
	s.Grant(platform, appid)
	if r := refresh(appid, rotated); r.errcode() != 61023 {
		t.Errorf("granted again: %s", r.raw)
	}
}

func TestGrantAgain(t *testing.T) {
	for _, tt := range []struct {
		name            string
		change          func(*wechattest.Behaviour)
		now, later      int // errcodes for the former refresh token
		exchangedBefore bool
	}{
		{"by default", func(*wechattest.Behaviour) {}, 61023, 61023, false},
		{"lingers", func(b *wechattest.Behaviour) { b.RefreshLingers = true }, 0, 61023, false},
		{"kept", func(b *wechattest.Behaviour) { b.GrantKeepsRefresh = true }, 0, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := startPlatform(t)
			s.Set(tt.change)
			cat := platformToken(t, s)
			former := exchangeGrant(t, s, cat, s.Grant(platform, appid)).refresh
			code := s.Grant(platform, appid, 1)
			if got := s.ComponentState(platform).Authorizations[0].Exchanged; got != tt.exchangedBefore {
				t.Errorf("exchanged: %v", got)
			}
			refresh := func() int {
				return post(t, s, wechattest.AuthorizerTokenPath, cat, "component_appid", platform,
					"authorizer_appid", appid, "authorizer_refresh_token", former).errcode()
			}
			now := refresh()
			s.Advance(5 * time.Minute)
			if later := refresh(); now != tt.now || later != tt.later {
				t.Errorf("former token: %d, then %d", now, later)
			}
			if again := exchangeGrant(t, s, cat, code); (again.refresh == former) != tt.exchangedBefore {
				t.Error("the refresh token")
			}
		})
	}
}

func TestAuthorizerListAndInfo(t *testing.T) {
	s, _ := startPlatform(t)
	s.AddApp(wechattest.App{ID: mini, Secret: secret, Kind: wechattest.MiniProgram, Name: "小程序", UserName: "gh_0123456789ab", Principal: "掌柜公司", JSDomains: []string{"play.example.com"}})
	cat := platformToken(t, s)
	codes := []string{s.Grant(platform, appid), s.Grant(platform, mini)}
	page := func(offset, count int) reply {
		t.Helper()
		return post(t, s, wechattest.AuthorizerListPath, cat, "component_appid", platform, "offset", offset, "count", count)
	}
	info := func(id string) reply {
		t.Helper()
		return post(t, s, wechattest.AuthorizerInfoPath, cat, "component_appid", platform, "authorizer_appid", id)
	}
	if r := page(0, 500); r.number("total_count") != 2 || len(r.fields["list"].([]any)) != 2 || strings.Contains(r.raw, "refresh_token") || !strings.Contains(r.raw, `"auth_time":1`) {
		t.Errorf("before the exchange: %s", r.raw)
	}
	if r := info(appid); !strings.Contains(r.raw, `"authorizer_refresh_token":""`) || strings.Contains(r.raw, "MiniProgramInfo") {
		t.Errorf("before the exchange: %s", r.raw)
	}
	given := exchangeGrant(t, s, cat, codes[1])
	if r := page(1, 1); r.number("total_count") != 2 || !strings.Contains(r.raw, `"list":[{"authorizer_appid":"`+mini+`","refresh_token":"`+given.refresh) {
		t.Errorf("the second: %s", r.raw)
	}
	if r := page(2, 10); r.raw != `{"total_count":2,"list":[]}` {
		t.Errorf("past the end: %s", r.raw)
	}
	for _, count := range []int{501, -1} {
		if r := page(0, count); r.errcode() != 40170 {
			t.Errorf("count %d: %s", count, r.raw)
		}
	}
	r := info(mini)
	for _, want := range []string{
		`"nick_name":"小程序"`, `"user_name":"gh_0123456789ab"`, `"principal_name":"掌柜公司"`, `"RequestDomain":["https:\/\/play.example.com"]`,
		`"service_type_info":{"id":0,`, `"account_status":1`, given.refresh, `"funcscope_category":{"id":17}`,
	} {
		if !strings.Contains(r.raw, want) {
			t.Errorf("no %s in %s", want, r.raw)
		}
	}
	if strings.Contains(r.raw, given.access) || r.fields == nil {
		t.Errorf("an access token, or no JSON: %s", r.raw)
	}
	if r := info(website); r.errcode() != 61003 {
		t.Errorf("not authorized: %s", r.raw)
	}
}

func TestAuthorizerOptions(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	given := exchangeGrant(t, s, cat, s.Grant(platform, appid))
	s.Grant(platform, mini)
	old := strings.Replace(wechattest.SetAuthorizerOptionPath, "/set", "/api_set", 1)
	for _, tt := range []struct {
		name, path, token string
		body              []any
		want              int
	}{
		{"set", wechattest.SetAuthorizerOptionPath, cat, []any{"component_appid", platform, "authorizer_appid", appid, "option_name", "location_report", "option_value", "2"}, 0},
		{"old path", old, cat, []any{"component_appid", platform, "authorizer_appid", appid, "option_name", "customer_service", "option_value", "1"}, 0},
		{"lent token", wechattest.SetAuthorizerOptionPath, given.access, []any{"option_name", "voice_recognize", "option_value", "1"}, 0},
		{"lent token of another", wechattest.SetAuthorizerOptionPath, given.access, []any{"authorizer_appid", mini, "option_name", "voice_recognize", "option_value", "1"}, 61003},
		{"no such option", wechattest.SetAuthorizerOptionPath, cat, []any{"component_appid", platform, "authorizer_appid", appid, "option_name", "x", "option_value", "1"}, 61012},
		{"no such value", wechattest.SetAuthorizerOptionPath, cat, []any{"component_appid", platform, "authorizer_appid", appid, "option_name", "voice_recognize", "option_value", "2"}, 61013},
		{"not authorized", wechattest.SetAuthorizerOptionPath, cat, []any{"component_appid", platform, "authorizer_appid", website, "option_name", "voice_recognize", "option_value", "1"}, 61003},
		{"an account's own token", wechattest.AuthorizerOptionPath, accountToken(t, s), []any{"component_appid", platform, "authorizer_appid", appid, "option_name", "voice_recognize"}, 61014},
	} {
		if r := post(t, s, tt.path, tt.token, tt.body...); r.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, r.raw, tt.want)
		}
	}
	for _, tt := range []struct{ id, name, want string }{
		{appid, "location_report", "2"}, {appid, "customer_service", "1"}, {appid, "voice_recognize", "1"}, {mini, "location_report", "0"},
	} {
		r := post(t, s, wechattest.AuthorizerOptionPath, cat, "component_appid", platform, "authorizer_appid", tt.id, "option_name", tt.name)
		if r.text("option_value") != tt.want || r.text("authorizer_appid") != tt.id || r.text("option_name") != tt.name {
			t.Errorf("%s of %s: %s, want %s", tt.name, tt.id, r.raw, tt.want)
		}
	}
}
