package wechattest_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
)

// An administrator comes from a page of the platform in a real browser, whose
// Referer WeChat's page judges, and goes back to it.
func TestAuthorizationInChromium(t *testing.T) {
	b := newChromium(t)
	s := start(t)
	p := newThirdParty(t, s, func(c *wechattest.Component) { c.LaunchDomain = "localhost" })
	home := strings.Replace(p.URL, "127.0.0.1", "localhost", 1) // another site than the simulator's
	link := func() string { return p.pcLink(url.QueryEscape(p.URL), url.QueryEscape(home)) }
	launch := func() {
		t.Helper()
		b.do(chromedp.Navigate(home + "/launch?to=" + url.QueryEscape(link())))
		b.do(chromedp.Click(chromedp.CSS("#go")))
		b.until(`document.getElementById("words").innerText`, "管理员微信扫描")
	}
	click := func(selector string) {
		t.Helper()
		b.do(chromedp.Click(chromedp.CSS(selector)))
	}
	returned := func() string {
		t.Helper()
		b.until("document.body.innerText", "back")
		return (<-p.visits).FormValue("auth_code")
	}

	b.do(chromedp.Navigate(link())) // typed in: no page is left
	b.until("document.body.innerText", domainSentence)
	b.shot("component-refused")

	// Buttons in the page.
	launch()
	b.shot("component-page")
	click(`input[name="appid"][value="` + mini + `"]`)
	click(`input[name="functions"][value="18"]`)
	click(`button[value="agree"]`)
	code := returned()
	if m := p.pushed(); m.AuthorizerAppid != mini || m.AuthorizationCode != code || code == "" {
		t.Errorf("%+v, back with %q", m, code)
	}
	if got := s.ComponentState(platformID).Authorizations; len(got) != 1 || !slices.Equal(got[0].Functions, []int{17, 19, 25, 30, 31}) {
		t.Errorf("%+v", got)
	}

	// A phone elsewhere: the page follows it.
	launch()
	phone := newBrowser(t, wechattest.UAIOS)
	address := b.text(`document.getElementById("code").href`)
	phone.get(address)
	b.until(`document.getElementById("words").innerText`, "扫描成功")
	phone.post(address, "grant", "agree", "appid", appid)
	if code := returned(); code == "" || p.pushed().AuthorizationCode != code {
		t.Errorf("back with %q", code)
	}

	launch()
	click(`button[value="cancel"]`)
	b.until("document.body.innerText", "已取消授权")

	// The phone's own page, and the page of the operator.
	launch()
	b.do(chromedp.Navigate(b.text(`document.getElementById("code").href`)))
	b.until("document.body.innerText", "申请获得以下授权")
	b.shot("component-phone")
	click(`button[value="cancel"]`)
	b.until("document.body.innerText", "已取消授权")

	b.do(chromedp.Navigate(s.URL + "/sim/component/"))
	b.until("document.body.innerText", "已换取 exchanged")
	b.shot("component-control")
	click(`form[action="/sim/component/release"] button`)
	b.until("document.body.innerText", "通过 passed")
	b.shot("component-release")
	click(`a[href^="/sim/component/#"]`)
	b.until("document.body.innerText", "unauthorized")
}
