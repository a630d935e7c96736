package wechattest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

const (
	domainSentence = "请确认授权入口页所在域名，与授权后回调页所在域名相同"
	testAccount    = "gh_0123456789ab"
)

// from opens or posts to a page, coming from another one.
func (b *browser) from(referer, link string, pairs ...string) page {
	b.t.Helper()
	next := b.http.Transport
	b.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if referer != "" {
			r.Header.Set("Referer", referer)
		}
		return next.RoundTrip(r)
	})
	defer func() { b.http.Transport = next }()
	if len(pairs) == 0 {
		return b.get(link)
	}
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.do("POST", link, form)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// pcLink is a good link to the page with the QR code, with replacements applied.
func (p *thirdParty) pcLink(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(p.s.URL + wechattest.ComponentLoginPath + "?component_appid=" + platformID +
		"&pre_auth_code=" + url.QueryEscape(p.preAuthCode()) + "&redirect_uri=" + url.QueryEscape(p.URL+"/back?state=abc") + "&auth_type=3")
}

func (p *thirdParty) mobileLink(oldnew ...string) string {
	return strings.Replace(p.pcLink(oldnew...), wechattest.ComponentLoginPath+"?", wechattest.BindComponentPath+"?action=bindcomponent&no_scan=1&", 1) + "#wechat_redirect"
}

// pushed is the next event that came.
func (p *thirdParty) pushed() innerXML {
	p.t.Helper()
	select {
	case m := <-p.pushes:
		return m
	case <-time.After(patience):
		p.t.Fatal("no push")
		return innerXML{}
	}
}

func (p *thirdParty) noPush() {
	p.t.Helper()
	select {
	case m := <-p.pushes:
		p.t.Errorf("a push: %+v", m)
	default:
	}
}

func TestAuthorizationPageErrors(t *testing.T) {
	s := start(t)
	s.AddApp(wechattest.App{ID: "wx3333333333333333", Secret: secret, UserName: testAccount})
	p := newThirdParty(t, s)
	home := p.URL + "/launch"
	for _, tt := range []struct {
		name     string
		referer  string
		old, new string
		code     string
		says     string
	}{
		{"good", home, "", "", "", "同意并授权"},
		{"good without a path", "http://127.0.0.1/", "", "", "", "同意并授权"},
		{"no component", home, "component_appid=" + platformID, "component_appid=", "-306", "component_appid"},
		{"no pre_auth_code", home, "pre_auth_code=", "x=", "-307", "pre_auth_code"},
		{"no redirect_uri", home, "redirect_uri=", "x=", "-308", "redirect_uri"},
		{"unknown component", home, platformID, "wxc0ffee0123456780", "-305", "非法"},
		{"an account's appid", home, platformID, appid, "-305", "非法"},
		{"unknown code", home, "preauthcode", "preauthcodf", "-101", "重新发起"},
		{"redirect_uri not encoded", home, url.QueryEscape("/back?state=abc"), "/back?a=b&state=abc", "-301", "unknown parameter state"},
		{"redirect_uri is a path", home, "redirect_uri=http%3A%2F%2F", "redirect_uri=", "-301", "redirect_uri"},
		{"auth_type 7", home, "auth_type=3", "auth_type=7", "-301", "auth_type"},
		{"bad sets", home, "auth_type=3", "auth_type=3&category_id_list=1|x", "-113", "category_id_list"},
		{"biz_appid unknown", home, "auth_type=3", "biz_appid=wx9999999999999999", "-301", "biz_appid"},
		{"biz_appid of a website", home, "auth_type=3", "biz_appid=" + website, "-301", "biz_appid"},
		{"doubled", home, "auth_type=3", "auth_type=3&auth_type=1", "0", "twice"},
		{"no Referer", "", "", "", "-302", "授权入口页所在域名：空"},
		{"other Referer", "http://localhost/launch", "", "", "-302", "授权入口页所在域名：localhost"},
		{"longer Referer", "http://127.0.0.1.example.com/", "", "", "-302", domainSentence},
		{"other callback", home, "redirect_uri=http%3A%2F%2F127.0.0.1", "redirect_uri=http%3A%2F%2Flocalhost", "-302", "授权后回调页所在域名：localhost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newBrowser(t, wechattest.UAPlainChrome).from(tt.referer, p.pcLink(cmpOr(tt.old, "~"), tt.new))
			if got.StatusCode != 200 || got.Header.Get(wechattest.ErrorHeader) != tt.code || !strings.Contains(got.body, tt.says) {
				t.Errorf("code %q, %s", got.Header.Get(wechattest.ErrorHeader), got.body)
			}
			want := wechattest.Entry{Result: "error page"}
			if tt.code == "" {
				want.Result = "grant page"
			}
			if e := last(t, s); e.Result != want.Result {
				t.Errorf("journal %+v", e)
			}
		})
	}
	s.Set(func(b *wechattest.Behaviour) { b.AllowLoopbackPort = false })
	if got := newBrowser(t, "").from(home, p.pcLink()); got.Header.Get(wechattest.ErrorHeader) != "-302" {
		t.Errorf("a port, which WeChat has not: %s", got.body)
	}
}

func TestPreAuthCodes(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	b := newBrowser(t, "")
	link := p.pcLink()
	for range 2 { // only a grant uses it
		if got := b.from(p.URL, link); got.Header.Get(wechattest.ErrorHeader) != "" {
			t.Fatal(got.body)
		}
	}
	s.Advance(30 * time.Minute)
	if got := b.from(p.URL, link); got.Header.Get(wechattest.ErrorHeader) != "-105" {
		t.Errorf("after half an hour: %s", got.body)
	}
	link = p.pcLink()
	if got := b.from(p.URL, link, "grant", "agree", "appid", appid); got.StatusCode != 302 {
		t.Fatal(got.body)
	}
	for _, got := range []page{b.from(p.URL, link), b.from(p.URL, link, "grant", "agree", "appid", mini)} {
		if got.Header.Get(wechattest.ErrorHeader) != "-110" {
			t.Errorf("used: %s", got.body)
		}
	}
	if n := len(s.ComponentState(platformID).Authorizations); n != 1 {
		t.Errorf("%d authorizations", n)
	}
}

// The page offers the accounts that the link asks for.
func TestOfferedAccounts(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	for _, tt := range []struct {
		parameters     string
		official, mini bool
	}{
		{"auth_type=1", true, false},
		{"auth_type=2", false, true},
		{"auth_type=3", true, true},
		{"auth_type=4", false, false},
		{"auth_type=6", true, true},
		{"lang=zh_CN", true, true},
		{"auth_type=2&biz_appid=" + appid, true, false},
		{"auth_type=1&biz_appid=" + mini, false, true},
	} {
		link := p.pcLink("auth_type=3", tt.parameters)
		got := newBrowser(t, "").from(p.URL, link)
		if strings.Contains(got.body, `value="`+appid) != tt.official || strings.Contains(got.body, `value="`+mini) != tt.mini || strings.Contains(got.body, website) {
			t.Errorf("%s: %s", tt.parameters, got.body)
		}
		for id, offered := range map[string]bool{appid: tt.official, mini: tt.mini, website: false} {
			got := newBrowser(t, "").from(p.URL, p.pcLink("auth_type=3", tt.parameters), "grant", "agree", "appid", id, "then", "redirect-only")
			if (got.StatusCode == 302) != offered || !offered && got.StatusCode != 400 {
				t.Errorf("%s: granting %s: %d", tt.parameters, id, got.StatusCode)
			}
		}
	}
	p.noPush()
}

// Nobody but the accounts on the list can authorize a platform that is not
// published.
func TestTestAccountsOnly(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s, func(c *wechattest.Component) {
		c.Published, c.TestAccounts = false, []string{s.OriginalID(mini)}
	})
	got := newBrowser(t, "").from(p.URL, p.pcLink(), "grant", "agree", "appid", appid)
	if got.Header.Get(wechattest.ErrorHeader) != "-108" || !strings.Contains(got.body, "未全网发布") || last(t, s).Errcode != -108 {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := newBrowser(t, "").from(p.URL, p.pcLink(), "grant", "agree", "appid", mini); got.StatusCode != 302 {
		t.Errorf("on the list: %d %s", got.StatusCode, got.body)
	}
}

func TestGrantedFunctions(t *testing.T) {
	s := start(t)
	p := newThirdParty(t, s)
	for _, tt := range []struct {
		asked  string
		appid  string
		ticked []string
		want   []int
	}{
		{"", appid, []string{"functions", "", "functions", "4", "functions", "1"}, []int{1, 4}},
		{"", appid, []string{"functions", "1,18"}, []int{1}}, // 18 is not for official accounts
		{"&category_id_list=1|4|18", appid, nil, []int{1, 4}},
		{"&category_id_list=1|4|18", mini, nil, []int{18}},
		{"&category_id_list=1|4|99", appid, []string{"functions", "2", "functions", "99"}, []int{99}},
		{"", appid, []string{"functions", ""}, nil},
		{"", appid, []string{"functions", "24"}, []int{24}},
		{"&category_id_list=1", appid, []string{"functions", "4"}, nil},
		{"", appid, []string{"functions", "x"}, nil},
	} {
		pairs := append([]string{"grant", "agree", "appid", tt.appid, "then", "redirect-only"}, tt.ticked...)
		got := newBrowser(t, "").from(p.URL, p.pcLink("auth_type=3", "auth_type=3"+tt.asked), pairs...)
		if (got.StatusCode == 302) != (tt.want != nil) {
			t.Errorf("%+v: %d %s", tt, got.StatusCode, got.body)
			continue
		}
		if tt.want == nil {
			continue
		}
		for _, a := range s.ComponentState(platformID).Authorizations {
			if a.AppID == tt.appid && !slices.Equal(a.Functions, tt.want) {
				t.Errorf("%+v: granted %v", tt, a.Functions)
			}
		}
	}
}
