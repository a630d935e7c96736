package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	authorizeAt = "/.wxgate/component/authorize"
	returnAt    = "/.wxgate/component/callback"
)

// link is a fresh one-time link, as the operator gets it.
func (p *portal) link(l component.Link) string {
	p.t.Helper()
	if l.AuthType == 0 {
		l.AuthType = 3
	}
	token, made, err := p.platform().NewLink(p.t.Context(), l)
	if err != nil {
		p.t.Fatal(err)
	}
	q := url.Values{"auth_type": {string(rune('0' + made.AuthType))}, "biz_appid": {made.BizAppID}, "token": {token}}
	return authorizeAt + "?" + q.Encode()
}

// launched checks that an answer is the page from which WeChat's is entered, and
// returns where its link leads.
func (a answer) launched(t *testing.T, id pageID) string {
	t.Helper()
	link := a.button()
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, "<h1>"+pageTopics[id].zh.Title+"</h1>") || !strings.Contains(a.body, pageTopics[id].zh.Sentence) || link == "" {
		t.Fatalf("answered %d %s", a.StatusCode, text(a.body))
	}
	if a.Header.Get("Referrer-Policy") != "strict-origin" || a.Header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, "noreferrer") || strings.Contains(a.body, `name="referrer"`) {
		t.Errorf("the page's headers are %v", a.Header)
	}
	return link
}

// grants presses a button on WeChat's page, coming from ours as a browser does, and
// returns where it leads back to.
func (b *browser) grants(link, button, appID string, more ...string) string {
	b.w.t.Helper()
	form := url.Values{"grant": {button}, "appid": {appID}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	res := b.stay().post(link, form, "Referer", b.w.front.URL+"/")
	if button == "agree" && res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("WeChat answered %d %s %s", res.StatusCode, res.Header.Get(wechattest.ErrorHeader), text(res.body))
	}
	return res.Header.Get("Location")
}

func TestAuthorizationOnPCAndPhone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mobile bool
		agent  string
		page   pageID
		begins string
	}{
		{false, desktop, pageAuthorize, "/cgi-bin/componentloginpage?"},
		{true, iPhone, pageAuthorizeMobile, "/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&"},
	} {
		for _, order := range []string{"", "redirect-first", "twice", "redirect-only", "late"} {
			p := newPortal(t, 2)
			p.ticket()
			b := p.browser(tt.agent)
			address := p.link(component.Link{Mobile: tt.mobile})
			link := b.open(address).launched(t, tt.page)
			sent, err := url.Parse(link)
			if err != nil || !strings.HasPrefix(link, p.wechat.URL+tt.begins) || sent.Query().Get("component_appid") != portalID || sent.Query().Get("auth_type") != "3" {
				t.Fatalf("the page leads to %s", link)
			}
			back := b.grants(link, "agree", customerID, "then", order)
			want := p.front.URL + returnAt + "?state="
			if !strings.HasPrefix(back, want) {
				t.Fatalf("WeChat leads back to %s, want %s", back, want)
			}
			first := b.stay().open(back)
			if first.StatusCode != http.StatusSeeOther {
				t.Fatalf("the return answered %d %s", first.StatusCode, text(first.body))
			}
			clean := first.Header.Get("Location")
			returned, _ := url.Parse(back)
			for _, secret := range []string{returned.Query().Get("state"), returned.Query().Get("auth_code"), "auth_code", "state"} {
				if strings.Contains(clean, secret) {
					t.Errorf("the clean address is %s", clean)
				}
			}
			done := b.open(clean)
			done.page(t, http.StatusOK, pageAuthorizeDone)
			if !strings.Contains(text(done.body), "一号店 "+customerID) {
				t.Errorf("the page says %s", text(done.body))
			}
			p.described(customerID)
			// Both once more, by this browser and by another one.
			b.open(clean).page(t, http.StatusOK, pageAuthorizeDone)
			p.browser(desktop).open(back).page(t, http.StatusOK, pageAuthorizeDone)
			if n := len(p.wechat.Calls("/cgi-bin/component/api_query_auth")); n != 1 {
				t.Errorf("%q: the code was exchanged %d times", order, n)
			}
			if log := p.log.String(); strings.Contains(log, returned.Query().Get("state")) || strings.Contains(log, "queryauthcode@@@") {
				t.Error("the log shows state or code")
			}
		}
	}
}

// A link is one browser's: it may load the page again, nobody else may.
func TestLinkIsForOneBrowser(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 2)
	p.ticket()
	address := p.link(component.Link{BizAppID: customerID, AuthType: 1})
	b := p.browser(desktop)
	for _, headers := range [][]string{{"Sec-Purpose", "prefetch;prerender"}, {"Purpose", "prefetch"}, {"Sec-Fetch-Dest", "iframe"}, {"Sec-Fetch-Dest", "empty"}} {
		if res := p.browser(desktop).open(address, headers...); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%v: answered %d", headers, res.StatusCode)
		}
	}
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions} {
		for _, path := range []string{address, returnAt + "?state=x&auth_code=y"} {
			if res := p.browser(desktop).do(method, path); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET" {
				t.Errorf("%s answered %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
			}
		}
	}
	first := b.open(address)
	one := first.launched(t, pageAuthorize)
	if shown := text(first.body); !strings.Contains(shown, strings.TrimPrefix(p.front.URL, "http://")+" "+pageTopics[pageAuthorize].zh.FromHost) {
		t.Errorf("the page does not say who asks: %s", shown)
	}
	if !strings.Contains(text(first.body), customerID) || !strings.Contains(one, "biz_appid="+customerID) {
		t.Errorf("the page says %s, leads to %s", text(first.body), one)
	}
	p.clock.advance(23 * time.Hour)
	p.told(eventsPath, eventXML(p.clock.now(), "component_verify_ticket", "ComponentVerifyTicket", p.wechat.IssueTicket(portalID))).accepted(t, "a ticket")
	two := b.open(address).launched(t, pageAuthorize)
	p.clock.advance(9 * time.Minute)
	three := b.open(address).launched(t, pageAuthorize)
	codes := []string{}
	for _, link := range []string{one, two, three} {
		u, _ := url.Parse(link)
		codes = append(codes, u.Query().Get("pre_auth_code"))
	}
	if slices.Sort(codes); len(slices.Compact(codes)) != 3 {
		t.Errorf("pre-authorization codes are used again: %v", codes)
	}
	if n := len(p.browserPending(b)); n != 1 {
		t.Errorf("%d pending entries in the cookie", n)
	}
	p.browser(desktop).open(address).page(t, http.StatusBadRequest, pageAuthorizeOver)
	// A login at the same time takes nothing away, nor does this one from it.
	p.browser(iPhone).open(authorizeAt+"?token=unknown").page(t, http.StatusBadRequest, pageAuthorizeOver)
	p.clock.advance(time.Hour)
	b.open(address).page(t, http.StatusBadRequest, pageAuthorizeOver)
}

// Programs that look at links before people do, and a WeChat that is away, use no
// link up.
func TestLinkIsNotUsedUpInVain(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	address := p.link(component.Link{})
	for _, agent := range []string{
		"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "facebookexternalhit/1.1", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
		"WhatsApp/2.23.20.0", "TelegramBot (like TwitterBot)", "Mozilla/5.0 (compatible; Baiduspider/2.0)",
	} {
		if res := p.browser(agent).open(address); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: answered %d", agent, res.StatusCode)
		}
	}
	p.wechat.Inject(wechattest.PreAuthCodePath, wechattest.Busy)
	if res := p.browser(desktop).open(address); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("WeChat is busy: answered %d", res.StatusCode)
	}
	p.browser(desktop).open(address).launched(t, pageAuthorize)
}

// browserPending lists what the browser's login cookie holds.
func (p *portal) browserPending(b *browser) []string {
	h := http.Header{"Cookie": {"wxgate-login=" + b.cookies()["wxgate-login"]}}
	var all []string
	for _, pending := range p.replica(0).cfg.Sessions.Logins(h).Pending {
		all = append(all, pending.State)
	}
	return all
}

func TestChangedLinks(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	good := p.link(component.Link{AuthType: 1, BizAppID: customerID})
	b := p.browser(desktop)
	for _, changed := range []string{
		strings.Replace(good, "auth_type=1", "auth_type=3", 1), strings.Replace(good, customerID, otherID, 1), good + "&token=x",
		good + "&auth_type=1", good + "&biz_appid=" + customerID, strings.Replace(good, "token=", "tokens=", 1), good + "&x=%zz", good + "&a;b",
	} {
		res := b.open(changed)
		res.page(t, http.StatusBadRequest, pageBadRequest)
	}
	// Whoever asked can still go on, with the link as it was made.
	b.open(good).launched(t, pageAuthorize)
	b.open(strings.Replace(strings.Replace(good, "auth_type=1", "auth_type=", 1), "biz_appid="+customerID, "", 1)).launched(t, pageAuthorize)
	if n := len(p.wechat.Calls("/cgi-bin/component/api_create_preauthcode")); n != 2 {
		t.Errorf("WeChat was asked for %d codes", n)
	}
}

// Each link is for the place where it works: a code on the screen of a PC is for the
// phone to scan, so the phone's own browser is no better than WeChat.
func TestLinksInTheWrongPlace(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	for _, agent := range []string{iPhone, android, phoneSafari, phoneChrome, wechattest.UAWindows, wechattest.UAMac, wechattest.UAWeCom} {
		address := p.link(component.Link{})
		p.browser(agent).open(address).page(t, http.StatusOK, pageAuthorizeOnPC)
		p.browser(desktop).open(address).launched(t, pageAuthorize) // it is not used up
	}
	for _, agent := range []string{desktop, "Mozilla/5.0 (Linux; Android 10) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36"} {
		address := p.link(component.Link{Mobile: true})
		res := p.browser(agent).open(address)
		res.page(t, http.StatusOK, pageAuthorizeInWeChat)
		shown := text(res.body)
		if !strings.Contains(shown, "/.wxgate/component/authorize?") {
			t.Errorf("the page says %s", shown)
		}
		if onPC := strings.Contains(shown, pageWordsZH.Phone); onPC != (agent == desktop) || strings.Contains(shown, pageWordsZH.OtherPhone) == onPC {
			t.Errorf("%s: the page says %s", agent, shown)
		}
		p.browser(iPhone).open(address).launched(t, pageAuthorizeMobile)
	}
	if n := len(p.wechat.Calls("/cgi-bin/component/api_create_preauthcode")); n != 9 {
		t.Errorf("WeChat was asked for %d codes", n)
	}
}

// WeChat wants both pages on the launch domain.
func TestAuthorizationOnThePublicHost(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1, second)
	p.ticket()
	address := p.link(component.Link{})
	b := p.browser(desktop)
	res := b.stay().open(p.other() + address)
	if res.StatusCode != http.StatusFound || res.Header.Get("Location") != p.front.URL+address {
		t.Errorf("answered %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	if res := b.stay().open(p.other() + returnAt + "?state=x"); res.Header.Get("Location") != p.front.URL+returnAt+"?state=x" {
		t.Errorf("answered %d to %s", res.StatusCode, res.Header.Get("Location"))
	}
	b.open(p.other()+address).launched(t, pageAuthorize)
}

func TestAuthorizationWithoutWeChat(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	b := p.browser(desktop)
	address := p.link(component.Link{})
	// No ticket yet, so that WeChat is not asked, and the link stays good for anybody.
	res := p.browser(desktop).open(address)
	res.page(t, http.StatusServiceUnavailable, pageAuthorizeTooEarly)
	if shown := text(res.body); res.Header.Get("Retry-After") != "600" || res.button() != "" || !strings.Contains(shown, pageTopics[pageAuthorizeTooEarly].zh.Instruction) || strings.Contains(shown, "请等") {
		t.Errorf("Retry-After %q, the page leads to %q and says %s", res.Header.Get("Retry-After"), res.button(), shown)
	}
	if n := len(p.wechat.Calls("/cgi-bin/component/api_component_token")); n != 0 {
		t.Errorf("WeChat was asked %d times for a token", n)
	}
	p.ticket()
	p.wechat.Inject("/cgi-bin/component/api_component_token", wechattest.Fault{Times: 1, Errcode: 61006})
	b.open(address).page(t, http.StatusServiceUnavailable, pageAuthorizeTooEarly) // the ticket has expired
	p.ticket()
	p.wechat.Inject("/cgi-bin/component/api_create_preauthcode", wechattest.Fault{Times: 1, Errcode: -1})
	res = b.open(address)
	res.page(t, http.StatusServiceUnavailable, pageAuthorizeAway)
	if res.Header.Get("Retry-After") != "5" || res.button() != address {
		t.Errorf("the page leads to %q, Retry-After %q", res.button(), res.Header.Get("Retry-After"))
	}
	p.wechat.Inject("/cgi-bin/component/api_create_preauthcode", wechattest.Fault{Times: 1, Errcode: 61004})
	b.open(address).page(t, http.StatusServiceUnavailable, pageAuthorizeMisset)
	p.store.down.Store(true)
	res = b.open(address)
	res.page(t, http.StatusServiceUnavailable, pageStoreUnavailable)
	if res.button() != address {
		t.Errorf("the page leads to %q", res.button())
	}
	p.store.down.Store(false)
	b.open(address).launched(t, pageAuthorize)
	if strings.Contains(p.log.String(), "ticket@@@") {
		t.Error("the log shows the ticket")
	}
}

// What a browser keeps of an authorization is no login, however it is asked for.
func TestAuthorizationIsNoLogin(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1)
	p.ticket()
	b := p.browser(iPhone).as("aqiang")
	link := b.open(p.link(component.Link{Mobile: true})).launched(t, pageAuthorizeMobile)
	sent, _ := url.Parse(link)
	back, _ := url.Parse(sent.Query().Get("redirect_uri"))
	state := back.Query().Get("state")
	if state == "" || len(p.browserPending(b)) != 1 {
		t.Fatalf("the link is %s, the cookie has %v", link, p.browserPending(b))
	}
	code := p.wechat.IssueCode(testAppID, "aqiang", "snsapi_userinfo")
	for _, asked := range append(p.browserPending(b), state, scopeAuthorize, "") {
		b.stay().open("/.wxgate/callback?code=" + code + "&state=" + url.QueryEscape(asked))
		if b.cookies()["wxgate"] != "" {
			t.Fatalf("%q makes a session", asked)
		}
	}
	if n := len(p.wechat.Exchanges()); n != 0 {
		t.Errorf("%d codes were exchanged", n)
	}
}

func TestAuthorizationRate(t *testing.T) {
	t.Parallel()
	p := newPortal(t, 1, func(c *Config) { c.LoginRate = Rate{N: 2, Per: time.Hour} })
	b := p.browser(desktop)
	b.open(authorizeAt+"?token=a").page(t, http.StatusBadRequest, pageAuthorizeOver)
	b.open(returnAt).page(t, http.StatusBadRequest, pageBadRequest)
	for _, path := range []string{authorizeAt + "?token=a", returnAt + "?state=a&auth_code=b"} {
		b.open(path).page(t, http.StatusTooManyRequests, pageRateLimited)
	}
}
