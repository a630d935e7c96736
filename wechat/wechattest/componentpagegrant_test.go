package wechattest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// What the platform hears of a grant, and in which order.
func TestGrantOrders(t *testing.T) {
	for _, tt := range []struct {
		then     string
		switched wechattest.GrantOrder
		pushes   int
		back     bool
	}{
		{"", "", 1, true},
		{"-", wechattest.GrantPushOnly, 1, false},
		{"-", wechattest.GrantRedirectOnly, 0, true},
		{"", wechattest.GrantRedirectOnly, 1, true},
		{"twice", "", 2, true},
		{"push-only", "", 1, false},
		{"redirect-only", "", 0, true},
		{"late", "", 0, true},
	} {
		s := start(t)
		s.Set(func(b *wechattest.Behaviour) { b.GrantOrder, b.AuthCodeSeconds = tt.switched, 600 })
		p := newThirdParty(t, s)
		p.noStore = true
		pairs := []string{"grant", "agree", "appid", appid, "then", tt.then}
		if tt.then == "-" {
			pairs = pairs[:4]
		}
		link := p.pcLink()
		got := newBrowser(t, "").from(p.URL, link, pairs...)
		back, err := url.Parse(got.Header.Get("Location"))
		if err != nil || (got.StatusCode == 302) != tt.back || got.Header.Get(wechattest.CallbackHeader) != got.Header.Get("Location") {
			t.Fatalf("%+v: %d %v", tt, got.StatusCode, got.Header)
		}
		if !tt.back && !strings.Contains(got.body, "授权成功") {
			t.Errorf("%+v: %s", tt, got.body)
		}
		q := back.Query()
		if tt.back && (back.Host != strings.TrimPrefix(p.URL, "http://") || q.Get("state") != "abc" || q.Get("auth_code") == "" || q.Get("expires_in") != "600" || len(q) != 3) {
			t.Errorf("%+v: back to %s", tt, back)
		}
		sent, _ := url.Parse(link)
		for range tt.pushes {
			m := p.pushed()
			if m.InfoType != "authorized" || m.AuthorizerAppid != appid || m.PreAuthCode != sent.Query().Get("pre_auth_code") || tt.back && m.AuthorizationCode != q.Get("auth_code") {
				t.Errorf("%+v: %+v", tt, m)
			}
		}
		p.noPush()
	}
}

// A push that comes after the redirect waits for the code to be exchanged.
func TestRedirectFirst(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	p.noStore = true
	p.event = func(_ http.ResponseWriter, m innerXML) bool {
		if len(s.Calls(wechattest.QueryAuthPath)) == 0 {
			t.Error("the push came first")
		}
		return false
	}
	got := newBrowser(t, "").from(p.URL, p.pcLink(), "grant", "agree", "appid", mini, "then", "redirect-first")
	back, err := url.Parse(got.Header.Get("Location"))
	if err != nil || got.StatusCode != 302 {
		t.Fatal(got.body)
	}
	for range 50 { // time enough for one that does not wait
		newBrowser(t, "").get(s.URL + "/sim/component/state")
	}
	p.noPush()
	if account, _ := p.query(back.Query().Get("auth_code")); account != mini {
		t.Errorf("exchanged for %s", account)
	}
	if m := p.pushed(); m.InfoType != "authorized" || m.AuthorizationCode != back.Query().Get("auth_code") {
		t.Errorf("%+v", m)
	}

	// Close does not wait for a platform that never exchanges it.
	got = newBrowser(t, "").from(p.URL, p.pcLink(), "grant", "agree", "appid", appid, "then", "redirect-first")
	if got.StatusCode != 302 {
		t.Fatal(got.body)
	}
	s.Close()
	p.noPush()
}

func TestOtherButtons(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	b := newBrowser(t, "")
	for _, tt := range []struct{ button, then, says, result string }{
		{"cancel", "", "已取消授权", "denied"},
		{"expire", "", "二维码已失效", "expired"},
	} {
		got := b.from(p.URL, p.pcLink(), "grant", tt.button, "appid", appid)
		if got.StatusCode != 200 || !strings.Contains(got.body, tt.says) || last(t, s).Result != tt.result {
			t.Errorf("%s: %d %s, %+v", tt.button, got.StatusCode, got.body, last(t, s))
		}
	}
	for _, pairs := range [][]string{
		{"grant", "maybe", "appid", appid},
		{"grant", "agree", "appid", appid, "then", "never"},
		{"grant", "agree", "appid", "nobody"},
		{"grant", "agree", "uuid", "unknown"},
	} {
		if got := b.from(p.URL, p.pcLink(), pairs...); got.StatusCode != 400 {
			t.Errorf("%v: %d", pairs, got.StatusCode)
		}
	}
	if got := b.do("PUT", p.pcLink(), nil); got.StatusCode != 405 {
		t.Errorf("PUT: %d", got.StatusCode)
	}
	p.noPush()
	if state := s.ComponentState(platformID); len(state.Authorizations) != 0 {
		t.Errorf("%+v", state.Authorizations)
	}
}

// The link for WeChat's own browser has no QR code and is for no other browser.
func TestMobileAuthorization(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	phone, pc := newBrowser(t, wechattest.UAIOS), newBrowser(t, wechattest.UAPlainChrome)
	if got := pc.from(p.URL, p.mobileLink()); !strings.Contains(got.body, "请在微信客户端打开链接") || last(t, s).Result != "not wechat" {
		t.Errorf("on a PC: %s", got.body)
	}
	if got := newBrowser(t, wechattest.UAWeCom).from(p.URL, p.mobileLink()); !strings.Contains(got.body, "请在微信客户端打开链接") {
		t.Errorf("in WeCom: %s", got.body)
	}
	for _, old := range []string{"action=bindcomponent&", "no_scan=1&"} {
		if got := phone.from(p.URL, strings.Replace(p.mobileLink(), old, "", 1)); got.Header.Get(wechattest.ErrorHeader) != "-301" {
			t.Errorf("without %s: %s", old, got.body)
		}
	}
	if got := phone.from("", p.mobileLink()); got.Header.Get(wechattest.ErrorHeader) != "-302" {
		t.Errorf("from nowhere: %s", got.body)
	}
	got := phone.from(p.URL, p.mobileLink())
	if !strings.Contains(got.body, "同意并授权") || strings.Contains(got.body, "/connect/qrcode/") {
		t.Fatal(got.body)
	}
	uuid := between(got.body, `name="uuid" value="`, `"`)
	if got := phone.post(s.URL+wechattest.ComponentLoginPath, "uuid", uuid, "grant", "agree", "appid", mini); got.StatusCode != 302 || p.pushed().AuthorizerAppid != mini {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}

	old := strings.Replace(p.mobileLink(), wechattest.BindComponentPath, wechattest.OldBindPath, 1)
	s.Set(func(b *wechattest.Behaviour) { b.AnyBrowser, b.MobileLaunchAnywhere = true, true })
	if got := pc.from("", old); !strings.Contains(got.body, "同意并授权") {
		t.Errorf("lenient: %s", got.body)
	}
	if got := pc.from("", p.pcLink()); got.Header.Get(wechattest.ErrorHeader) != "-302" {
		t.Errorf("the switch is about phones: %s", got.body)
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	found, _, _ := strings.Cut(rest, to)
	return found
}

// The page on the PC follows what happens on the phone.
func TestScanToAuthorize(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	pc, phone := newBrowser(t, wechattest.UAPlainChrome), newBrowser(t, wechattest.UAIOS)
	open := func() (uuid string) {
		t.Helper()
		got := pc.from(p.URL, p.pcLink())
		if uuid = between(got.body, "/connect/qrcode/", `"`); uuid == "" {
			t.Fatal(got.body)
		}
		return uuid
	}
	poll := func(uuid string) (launch struct {
		Open        bool
		Words, Back string
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(pc.get(s.URL+"/sim/component/launch?uuid="+uuid).body), &launch); err != nil {
			t.Fatal(err)
		}
		return launch
	}
	uuid := open()
	if l := poll(uuid); !l.Open || !strings.Contains(l.Words, "扫描") || l.Back != "" {
		t.Errorf("%+v", l)
	}
	link := s.URL + "/sim/component/phone?uuid=" + uuid
	if got := phone.get(link); !strings.Contains(got.body, "同意并授权") || !strings.Contains(got.body, "抓娃娃平台") {
		t.Fatal(got.body)
	}
	if l := poll(uuid); !l.Open || !strings.Contains(l.Words, "扫描成功") {
		t.Errorf("%+v", l)
	}
	if got := phone.post(s.URL+"/sim/component/phone", "uuid", uuid, "grant", "agree", "appid", appid); got.StatusCode != 200 || !strings.Contains(got.body, "授权成功") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	l := poll(uuid)
	if l.Open || !strings.HasPrefix(l.Back, p.URL+"/back?state=abc&auth_code=") {
		t.Errorf("%+v", l)
	}
	// Pressing once more changes nothing.
	if got := pc.post(s.URL+wechattest.ComponentLoginPath, "uuid", uuid, "grant", "cancel"); got.StatusCode != 302 || got.Header.Get("Location") != l.Back {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if last(t, s).Result != "over" || len(s.ComponentState(platformID).Authorizations) != 1 {
		t.Errorf("%+v", last(t, s))
	}

	uuid = open()
	phone.post(s.URL+"/sim/component/phone", "uuid", uuid, "grant", "cancel")
	phone.post(s.URL+"/sim/component/phone", "uuid", uuid, "grant", "agree", "appid", mini)
	if last(t, s).Result != "over" {
		t.Errorf("%+v", last(t, s))
	}
	if l := poll(uuid); l.Open || !strings.Contains(l.Words, "已取消") || l.Back != "" {
		t.Errorf("%+v", l)
	}
	uuid = open()
	s.Advance(5 * time.Minute)
	if l := poll(uuid); l.Open || !strings.Contains(l.Words, "失效") {
		t.Errorf("%+v", l)
	}
	if got := phone.get(s.URL + "/sim/component/phone?uuid=" + uuid); !strings.Contains(got.body, "失效") || strings.Contains(got.body, "同意并授权") {
		t.Errorf("%s", got.body)
	}
	if got := phone.get(s.URL + "/sim/component/phone?uuid=unknown"); got.StatusCode != 200 || !strings.Contains(got.body, "失效") {
		t.Errorf("unknown: %d %s", got.StatusCode, got.body)
	}
}
