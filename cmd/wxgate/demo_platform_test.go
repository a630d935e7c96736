package main

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// platformStory is a browser at the demo's page of the third-party platform.
type platformStory struct {
	*visitor
	t *testing.T
}

func (s platformStory) view() (v platformView) {
	s.t.Helper()
	a, err := s.do(http.MethodGet, platformData)
	if err != nil || a.status != http.StatusOK {
		s.t.Fatalf("the story: %v, %d %s", err, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		s.t.Fatal(err)
	}
	return v
}

// step presses a button and wants it to work.
func (s platformStory) step(name string, more ...string) {
	s.t.Helper()
	if a := s.press(name, more...); a.status != http.StatusNoContent {
		s.t.Fatalf("%s answered %d %s", name, a.status, a.body)
	}
}

func (s platformStory) press(name string, more ...string) answer {
	s.t.Helper()
	form := url.Values{"step": {name}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return s.post(s.public+platformStep, form)
}

func (s platformStory) post(address string, form url.Values, headers ...string) answer {
	s.t.Helper()
	a, err := s.do(http.MethodPost, address+"?"+form.Encode(), headers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// customer is the customer's account in the list of the admin API.
func (s platformStory) customer() (found component.Authorizer) {
	s.t.Helper()
	var all []component.Authorizer
	if err := json.Unmarshal(s.view().Authorizers, &all); err != nil {
		s.t.Fatal(err)
	}
	for _, a := range all {
		if a.AppID == demoCustomerID {
			found = a
		}
	}
	return found
}

func (s platformStory) ticket() (o component.Overview) {
	s.t.Helper()
	if err := json.Unmarshal(s.view().Overview, &o); err != nil {
		s.t.Fatal(err)
	}
	return o
}

// sessionOf is what a host's session says of itself.
type sessionOf struct{ User, UnionID string }

// withUnionID waits until the unionid of a session is known.
func (s platformStory) withUnionID(origin string) (me sessionOf) {
	s.t.Helper()
	eventually(s.t, patience, "a unionid at "+origin, func() bool {
		a, err := s.do(http.MethodGet, origin+"/.wxgate/me")
		return err == nil && a.status == http.StatusOK && json.Unmarshal([]byte(a.body), &me) == nil && me.UnionID != ""
	})
	return me
}

// told are the types of the events about the customer's account and its users. Those of an account come in order, those
// of different ones do not.
func (s platformStory) told() (types []string) {
	s.t.Helper()
	for _, raw := range s.view().Events {
		var e struct {
			Type, AppID string
			Account     struct{ Channel, AppID string }
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			s.t.Fatal(err)
		}
		if e.AppID == demoCustomerID || e.Account.AppID == demoCustomerID && e.Account.Channel == "component" {
			types = append(types, e.Type)
		}
	}
	slices.Sort(types)
	return types
}

var toWeChat = regexp.MustCompile(`href="(http[^"]*/(?:cgi-bin/componentloginpage|wxaopen/safe/bindcomponent)[^"]*)"`)

// authorize opens the link of the story and agrees as the account's administrator.
func (s platformStory) authorize(appID string) answer {
	s.t.Helper()
	page, err := s.page(s.view().Link.URL)
	found := toWeChat.FindStringSubmatch(page.body)
	if err != nil || found == nil {
		s.t.Fatalf("the page of the link: %v, %d %s", err, page.status, page.body)
	}
	address, _, _ := strings.Cut(html.UnescapeString(found[1]), "#")
	form := strings.NewReader(url.Values{"grant": {"agree"}, "appid": {appID}}.Encode())
	r, err := http.NewRequest(http.MethodPost, address, form)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Referer", s.public+"/")
	res, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	back := res.Header.Get("Location")
	if res.StatusCode != http.StatusFound {
		s.t.Fatalf("the administrator's button answered %s, %s", res.Status, res.Header.Get(wechattest.ErrorHeader))
	}
	return s.open(back)
}

func TestDemoPlatform(t *testing.T) {
	t.Parallel()
	p, public := startDemo(t)
	s := platformStory{newVisitor(t, public, "xiaomei"), t}
	host := "http://" + s.view().Host

	eventually(t, patience, "the first ticket", func() bool { return s.ticket().Ticket.Valid })
	s.step("ticket")
	// Until there is a customer, localhost is only another name for the demo.
	if a, err := s.page(host + "/"); err != nil || a.header.Get("Location") != public+"/" {
		t.Errorf("localhost before the story: %v, %d %q", err, a.status, a.header.Get("Location"))
	}
	if a := s.press("message"); a.status != http.StatusInternalServerError {
		t.Errorf("a message to nobody's account: %d %s", a.status, a.body)
	}
	s.step("link", "mobile", "1")
	if a, err := s.page(s.view().Link.URL); err != nil || !strings.Contains(a.body, wechattest.BindComponentPath) {
		t.Errorf("the link for a phone: %v, %d %s", err, a.status, a.body)
	}
	s.step("link")
	if a := s.authorize(demoCustomerID); a.status != http.StatusOK || !strings.Contains(a.body, "授权完成") || !strings.Contains(a.body, `class="button" href="`+platformPage+`"`) {
		t.Fatalf("back from the authorization: %d %s", a.status, a.body)
	}
	eventually(t, patience, "the account with its name and permission sets", func() bool {
		a := s.customer()
		return a.Status == component.StatusAuthorized && a.HasRefreshToken && len(a.Functions) > 0 && a.Name == customerApps()[0].Name
	})

	if a := s.open(host + "/"); a.status != http.StatusOK || !strings.Contains(a.body, "抓个娃娃") || strings.Contains(a.body, demoSwitchPath) {
		t.Fatalf("the game at the customer's host: %d %s", a.status, a.body)
	}
	there := s.view().Visitor
	if len(there.User) != 26 || there.Player != "xiaomei" {
		t.Errorf("the visitor at the customer's host is %+v", there)
	}
	s.open(public + "/")
	ours, theirs := s.withUnionID(public), s.withUnionID(host)
	if theirs.User != there.User || ours.User == theirs.User || ours.UnionID == theirs.UnionID {
		t.Errorf("one person at two companies is %+v and %+v", ours, theirs)
	}

	s.step("message", "text", "有人吗")
	if m := s.view().Message; m.Text != "有人吗" || !strings.Contains(m.Reply, "「有人吗」") {
		t.Errorf("the app's answer is %+v", m)
	}
	s.step("release")
	if v := s.view(); !v.Release.Passed || !v.Published || len(v.Release.Steps) == 0 {
		t.Errorf("the release test: %+v", v.Release)
	}
	s.step("leave")
	if a := s.customer(); a.Status != component.StatusUnauthorized || a.HasRefreshToken {
		t.Errorf("the customer who left: %+v", a)
	}
	if a := s.open(host + "/.wxgate/login?next=/"); !strings.Contains(a.body, "未授权给第三方平台") {
		t.Errorf("a login at the host of a customer who left: %d %s", a.status, a.body)
	}
	eventually(t, patience, "the events", func() bool {
		return slices.Equal(s.told(), []string{"authorizer.authorized", "authorizer.unauthorized", "user.created"})
	})
	for _, kind := range peopleOf(t, public).eventTypes(t) {
		if kind != "user.created" {
			t.Errorf("the other story got the event %s", kind)
		}
	}
	if a := s.press("nonsense"); a.status != http.StatusInternalServerError {
		t.Errorf("a step that is none: %d", a.status)
	}
	if a := s.post(public+platformStep, url.Values{"step": {"leave"}}, "Origin", "http://evil.example.com"); a.status != http.StatusForbidden {
		t.Errorf("another site's page: %d", a.status)
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if said := p.stderr.String(); said != "" {
		t.Errorf("the demo complained:\n%s", said)
	}
}

func TestDemoPlatformOnScreen(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	p, public := startDemo(t)
	b := c.tab(t, wechattest.UAPlainChrome, chinese)
	desk, phone := chromedp.EmulateViewport(1100, 1500), chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile)
	story := func(done ...string) {
		b.t.Helper()
		b.do(desk)
		b.open(public + platformPage)
		for _, id := range done {
			b.until(`document.querySelector('#` + id + `.done') !== null`)
		}
	}
	button := func(step string) {
		b.t.Helper()
		b.until(`!document.querySelector('button[data-step=` + step + `]').disabled`)
		b.click("button[data-step=" + step + "]")
	}
	b.open(public + demoPage)
	b.click(`a[href="` + platformPage + `"]`)
	story("s1")
	b.until(`document.getElementById('host').textContent !== '' && !document.getElementById('host').href`)
	b.until(`document.getElementById('visitor').textContent.includes('先完成第 ② 步')`)
	button("link")
	b.until(`!document.getElementById('link').hidden`)
	b.shot("demo-platform-link")
	b.open(b.text("#link a"))
	b.notice("授权公众号或小程序", "demo-platform-authorize")
	b.click("a.button")
	b.until(`document.querySelector('button[value=agree]') !== null`)
	b.shot("demo-platform-administrator")
	b.click("button[value=agree]")
	b.notice("授权完成", "demo-platform-authorized")
	b.click(`a.button[href="` + platformPage + `"]`)

	story("s1", "s2", "s3")
	host := b.text("#host")
	b.do(phone)
	b.open(host)
	b.until(`(document.querySelector('#me-name') || {textContent: ''}).textContent !== '' && !document.querySelector('#me-tick').hidden`)
	b.until(`document.querySelector('#pane').innerText.includes('✓ 已验证')`)
	b.until(`document.querySelector('#pane').innerText.includes('` + demoCustomerID + `')`)
	b.shot("demo-platform-game")

	story("s4")
	button("message")
	b.until(`document.querySelector('#s5.done') !== null && document.getElementById('message').textContent.includes('「你好」')`)
	button("release")
	b.until(`document.querySelector('#s6.done') !== null && document.getElementById('release').innerText.includes('可选 optional')`)
	button("leave")
	b.until(`document.querySelector('#s7.done') !== null && document.getElementById('events').innerText.includes('authorizer.unauthorized')`)
	b.until(`document.getElementById('problem').textContent === ''`)
	b.do(chromedp.EmulateViewport(1100, 2300))
	b.shot("demo-platform")
	b.do(phone)
	b.until(`innerWidth === 390 && document.documentElement.scrollWidth <= 390`)
	b.shot("demo-platform-phone")
	b.open(host + ".wxgate/login?next=/")
	b.until(`document.body.innerText.includes('未授权给第三方平台')`)
	b.shot("demo-platform-left")
	p.signal(os.Interrupt)
	p.exit()
}
