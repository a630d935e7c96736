package wechattest_test

import (
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestComponentToken(t *testing.T) {
	s, _ := startPlatform(t)
	s.AddComponent(wechattest.Component{ID: otherPlatform, Secret: "x", Token: "tok", AESKey: aesKey})
	ticket, foreign := s.IssueTicket(platform), s.IssueTicket(otherPlatform)
	for _, tt := range []struct {
		name string
		body []any
		want int
	}{
		{"empty", []any{""}, 44002},
		{"no JSON", []any{"{"}, 47001},
		{"no appid", []any{"x", ""}, 41018},
		{"unknown", []any{"component_appid", "wxffffffffffffffff"}, 40013},
		{"an account", []any{"component_appid", appid}, 61011},
		{"no secret", []any{"component_appid", platform}, 41004},
		{"other name of the secret", []any{"component_appid", platform, "component_secret", platformSecret}, 41004},
		{"wrong secret", []any{"component_appid", platform, "component_appsecret", "x"}, 40125},
		{"no ticket", []any{"component_appid", platform, "component_appsecret", platformSecret}, 61006},
		{"null ticket", []any{`{"component_appid":"` + platform + `","component_appsecret":"` + platformSecret + `","component_verify_ticket":null}`}, 61006},
		{"another platform's ticket", []any{"component_appid", platform, "component_appsecret", platformSecret, "component_verify_ticket", foreign}, 61006},
		{"good", []any{"component_appid", platform, "component_appsecret", platformSecret, "component_verify_ticket", ticket}, 0},
	} {
		if r := post(t, s, wechattest.ComponentTokenPath, "", tt.body...); r.errcode() != tt.want || r.status != 200 {
			t.Errorf("%s: %s, want %d", tt.name, r.raw, tt.want)
		}
	}
	if r := ask(t, s, wechattest.ComponentTokenPath); r.errcode() != 43002 {
		t.Errorf("GET: %s", r.raw)
	}
	if e := last(t, s); e.Path != wechattest.ComponentTokenPath || e.Errcode != 43002 {
		t.Errorf("journal %+v", e)
	}

	s.Advance(12*time.Hour - time.Second)
	first := mint(t, s, ticket)
	if first.number("expires_in") != 7200 || len(first.text("component_access_token")) < 100 {
		t.Errorf("minted %s", first.raw)
	}
	if e := last(t, s); e.AppID != platform || e.Result != "ok" {
		t.Errorf("journal %+v", e)
	}
	s.Advance(time.Second)
	if r := mint(t, s, ticket); r.errcode() != 61005 || !strings.Contains(r.text("errmsg"), ", rid: ") {
		t.Errorf("old ticket: %s", r.raw)
	}
	second := mint(t, s, s.IssueTicket(platform))
	use := func(r reply) int {
		return post(t, s, wechattest.PreAuthCodePath, r.text("component_access_token"), "component_appid", platform).errcode()
	}
	s.Advance(5*time.Minute - time.Second)
	if a, b := use(first), use(second); a != 0 || b != 0 {
		t.Errorf("both within five minutes: %d, %d", a, b)
	}
	s.Advance(time.Second)
	if a, b := use(first), use(second); a != 40001 || b != 0 {
		t.Errorf("after five minutes: %d, %d", a, b)
	}
	s.Advance(115 * time.Minute)
	if a := use(second); a != 42001 {
		t.Errorf("after two hours: %d", a)
	}
	if state := s.ComponentState(platform); state.Mints != 3 || state.AccessToken != second.text("component_access_token") {
		t.Errorf("%d mints", state.Mints)
	}
}

func TestComponentCallsWantThePlatformsToken(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	given := exchangeGrant(t, s, cat, s.Grant(platform, appid))
	own := accountToken(t, s)
	body := []any{"component_appid", platform}
	for _, tt := range []struct {
		name, token string
		body        []any
		want        int
	}{
		{"none", "", body, 41001},
		{"unknown", "x", body, 40001},
		{"lent", given.access, body, 61014},
		{"an account's own", own, body, 61014},
		{"no component_appid", cat, []any{"x", 1}, 41018},
		{"another component_appid", cat, []any{"component_appid", otherPlatform}, 61011},
		{"no body", cat, []any{""}, 44002},
		{"good", cat, body, 0},
	} {
		if r := post(t, s, wechattest.PreAuthCodePath, tt.token, tt.body...); r.errcode() != tt.want {
			t.Errorf("%s: %s, want %d", tt.name, r.raw, tt.want)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.MismatchErrcode, b.ErrcodeText = 40013, true })
	if r := post(t, s, wechattest.PreAuthCodePath, cat, "component_appid", otherPlatform); r.text("errcode") != "40013" {
		t.Errorf("errcode as text: %s", r.raw)
	}
	s.Set(func(b *wechattest.Behaviour) { b.ErrcodeText = false })
	// The other way round: what an account's own calls take.
	openid := s.OpenID("xiaomei", appid)
	for name, tt := range map[string]struct {
		token string
		want  int
	}{"lent": {given.access, 0}, "own": {own, 0}, "the platform's": {cat, 61015}} {
		if r := ask(t, s, wechattest.FollowerPath, "access_token", tt.token, "openid", openid); r.errcode() != tt.want {
			t.Errorf("user/info with the token %s: %s", name, r.raw)
		}
		if r := ask(t, s, wechattest.TicketPath, "access_token", tt.token, "type", "jsapi"); r.errcode() != tt.want {
			t.Errorf("getticket with the token %s: %s", name, r.raw)
		}
		if r := send(t, s, wechattest.CustomSendPath, tt.token, `{"touser":"`+openid+`","msgtype":"text","text":{"content":"x"}}`); r.errcode() != tt.want {
			t.Errorf("custom/send with the token %s: %s", name, r.raw)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "192.0.2.1" })
	if r := post(t, s, wechattest.PreAuthCodePath, cat, body...); r.errcode() != 61004 {
		t.Errorf("address: %s", r.raw)
	}
	if r := ask(t, s, wechattest.FollowerPath, "access_token", given.access, "openid", openid); r.errcode() != 61004 {
		t.Errorf("address, lent: %s", r.raw)
	}
	if r := ask(t, s, wechattest.FollowerPath, "access_token", own, "openid", openid); r.errcode() != 0 {
		t.Errorf("address, own: %s", r.raw)
	}
}

func TestCheckFunctions(t *testing.T) {
	s, _ := startPlatform(t)
	cat := platformToken(t, s)
	given := exchangeGrant(t, s, cat, s.Grant(platform, appid, 4, 2))
	for on, want := range map[bool]int{false: 46003, true: 61007} {
		s.Set(func(b *wechattest.Behaviour) { b.CheckFunctions = on })
		if r := ask(t, s, wechattest.MenuGetPath, "access_token", given.access); r.errcode() != want {
			t.Errorf("%v: %s", on, r.raw)
		}
		if r := ask(t, s, wechattest.TicketPath, "access_token", given.access, "type", "jsapi"); r.errcode() != 0 {
			t.Errorf("%v: %s", on, r.raw)
		}
	}
}

func TestComponentQuota(t *testing.T) {
	s, _ := startPlatform(t)
	s.Set(func(b *wechattest.Behaviour) { b.ComponentTokenPerDay = 2 })
	ticket := s.IssueTicket(platform)
	mint(t, s, ticket)
	mint(t, s, ticket)
	if r := mint(t, s, ticket); r.errcode() != 45009 {
		t.Errorf("third: %s", r.raw)
	}
	clear := func(pairs ...any) int {
		t.Helper()
		return post(t, s, wechattest.ComponentClearQuotaPath, "", append(pairs, "component_appid", platform, "appsecret", platformSecret)...).errcode()
	}
	if got := clear(); got != 0 {
		t.Errorf("clear: %d", got)
	}
	if r := mint(t, s, ticket); r.errcode() != 0 {
		t.Errorf("after the clear: %s", r.raw)
	}
	if got := clear("appid", appid); got != 61003 {
		t.Errorf("for an account that did not authorize: %d", got)
	}
	s.Grant(platform, appid)
	for range 9 {
		if got := clear("appid", appid); got != 0 {
			t.Errorf("clear again: %d", got)
		}
	}
	if got := clear(); got != 48006 {
		t.Errorf("eleventh: %d", got)
	}
	s.Advance(32 * 24 * time.Hour)
	if got := clear(); got != 0 {
		t.Errorf("next month: %d", got)
	}
}

func TestComponentFaults(t *testing.T) {
	s, _ := startPlatform(t)
	ticket := s.IssueTicket(platform)
	s.Inject(wechattest.ComponentTokenPath, wechattest.Busy)
	if r := mint(t, s, ticket); r.errcode() != -1 {
		t.Errorf("busy: %s", r.raw)
	}
	cat := platformToken(t, s)
	code := s.Grant(platform, appid)
	s.Inject(wechattest.QueryAuthPath, wechattest.Fault{Processed: true, Errcode: -1})
	if r := post(t, s, wechattest.QueryAuthPath, cat, "component_appid", platform, "authorization_code", code); r.errcode() != -1 {
		t.Errorf("busy: %s", r.raw)
	}
	if r := post(t, s, wechattest.QueryAuthPath, cat, "component_appid", platform, "authorization_code", code); r.errcode() != 61010 {
		t.Errorf("the code was used: %s", r.raw)
	}
	if calls := s.Calls(wechattest.QueryAuthPath); len(calls) != 2 || calls[0].Result != "errcode" || calls[0].AppID != appid {
		t.Errorf("journal %+v", calls)
	}
}
