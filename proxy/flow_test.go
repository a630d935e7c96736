package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wxgate/identity"
	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

const (
	phoneChrome  = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Mobile Safari/537.36"
	phoneSafari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.3 Mobile/15E148 Safari/604.1"
	weComDesktop = "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/81.0 Safari/537.36 wxwork/4.1.39 (MicroMessenger/6.2) WindowsWechat MailPlugin_Electron"
	linuxWeChat  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Safari/537.36 MicroMessenger/7.0.20.1781(0x6700143B) WindowsWechat(0x63090a13) UnifiedPCLinuxWechat(0xf2741107) XWEB/14978 Flue"

	webAppID  = "wx00000000000000b2"
	webSecret = "fedcba9876543210fedcba9876543210"
)

func TestFlow(t *testing.T) {
	mp, web := wechat.App{ID: testAppID}, wechat.App{ID: webAppID}
	setups := []Config{
		{MP: mp, Web: web, QR: "embed"}, {MP: mp, Web: web, QR: "redirect"}, {MP: mp, Web: web, QR: "phone"},
		{MP: mp, QR: "phone"}, {Web: web, QR: "embed"}, {Web: web, QR: "redirect"}, {QR: "phone"},
	}
	for _, tt := range []struct {
		what, agent, via string
		want             [7]flow // by setup
	}{
		{"WeChat, iOS", wechattest.UAIOS, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, Android", wechattest.UAAndroid, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, HarmonyOS", wechattest.UAHarmony, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, Windows", wechattest.UAWindows, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, macOS", wechattest.UAMac, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, Linux", linuxWeChat, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"mini program", wechattest.UAMiniProgram, "", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeCom, phone", wechattest.UAWeCom, "", [7]flow{flowOpen, flowOpen, flowOpen, flowOpen, flowFrame, flowRedirect, flowNone}},
		{"WeCom, Windows", weComDesktop, "", [7]flow{flowOpen, flowOpen, flowOpen, flowOpen, flowFrame, flowRedirect, flowNone}},
		{"phone, Chrome", phoneChrome, "", [7]flow{flowOpen, flowOpen, flowOpen, flowOpen, flowFrame, flowRedirect, flowNone}},
		{"phone, Safari", phoneSafari, "", [7]flow{flowOpen, flowOpen, flowOpen, flowOpen, flowFrame, flowRedirect, flowNone}},
		{"desktop", desktop, "", [7]flow{flowFrame, flowRedirect, flowPair, flowPair, flowFrame, flowRedirect, flowNone}},
		{"no User-Agent", "", "", [7]flow{flowFrame, flowRedirect, flowPair, flowPair, flowFrame, flowRedirect, flowNone}},
		{"desktop, mp", desktop, "mp", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeCom, mp", wechattest.UAWeCom, "mp", [7]flow{flowMP, flowMP, flowMP, flowMP, flowNone, flowNone, flowNone}},
		{"WeChat, qr", wechattest.UAIOS, "qr", [7]flow{flowFrame, flowRedirect, flowPair, flowPair, flowFrame, flowRedirect, flowNone}},
		{"phone, qr", phoneChrome, "qr", [7]flow{flowFrame, flowRedirect, flowPair, flowPair, flowFrame, flowRedirect, flowNone}},
		{"desktop, unknown via", desktop, "x", [7]flow{flowFrame, flowRedirect, flowPair, flowPair, flowFrame, flowRedirect, flowNone}},
	} {
		for i, c := range setups {
			s := &Server{cfg: c}
			if got := s.flow(wechat.Detect(tt.agent), tt.via, ""); got != tt.want[i] {
				t.Errorf("%s with setup %d: flow %d, want %d", tt.what, i, got, tt.want[i])
			}
		}
	}
}

// What was chosen at the start decides about account and secret, as long as the
// login's host is still that account's.
func TestAccountOfPendingLogin(t *testing.T) {
	s := &Server{
		cfg: Config{
			MP: wechat.App{ID: testAppID, Secret: "m"}, Web: wechat.App{ID: webAppID, Secret: "w"}, Mini: wechat.App{ID: testMini.ID, Secret: "p"},
			Component: component.New(component.Config{}),
		},
		hosts: newHosts(&url.URL{Scheme: "https", Host: "a.example"}, []string{"b.example"}, map[string]string{"C.example": "wx00000000000000e5", "d.example": testAppID}),
	}
	behalf := func(appID string) speaker { return behalfSpeaker{s.cfg.Component, appID} }
	own := func(id, secret string) speaker { return ownSpeaker{app: wechat.App{ID: id, Secret: secret}} }
	for _, tt := range []struct {
		p    session.Pending
		want speaker
	}{
		{session.Pending{Channel: identity.ChannelMP, AppID: testAppID, Scope: scopeBase}, own(testAppID, "m")},
		{session.Pending{Channel: identity.ChannelMP, AppID: testAppID, Scope: scopeBase, Host: "b.example"}, own(testAppID, "m")},
		{session.Pending{Channel: identity.ChannelMini, AppID: testMini.ID}, own(testMini.ID, "p")},
		{session.Pending{Channel: identity.ChannelWeb, AppID: webAppID, Scope: scopeLogin}, own(webAppID, "w")},
		{session.Pending{Channel: identity.ChannelWeb, AppID: webAppID, Scope: scopeLogin, Host: "c.example"}, own(webAppID, "w")},
		{session.Pending{Channel: identity.ChannelMP, AppID: webAppID, Scope: scopeBase}, nil},
		{session.Pending{Channel: identity.ChannelWeb, AppID: testAppID, Scope: scopeLogin}, nil},
		{session.Pending{Channel: identity.ChannelMP, AppID: testAppID, Scope: scopePair}, nil},
		{session.Pending{Channel: identity.ChannelMobile, AppID: ""}, nil},
		{session.Pending{Channel: "other", AppID: testAppID}, nil},

		{session.Pending{Channel: identity.ChannelComponent, AppID: "wx00000000000000e5", Scope: scopeBase, Host: "c.example"}, behalf("wx00000000000000e5")},
		{session.Pending{Channel: identity.ChannelComponent, AppID: testAppID, Scope: scopeUserInfo, Host: "d.example"}, behalf(testAppID)},
		{session.Pending{Channel: identity.ChannelComponent, AppID: "wx00000000000000e5", Scope: scopePair, Host: "c.example"}, nil},
		{session.Pending{Channel: identity.ChannelComponent, AppID: "wx00000000000000e5", Scope: scopeBase, Host: "d.example"}, nil},
		{session.Pending{Channel: identity.ChannelComponent, AppID: "wx00000000000000e5", Scope: scopeBase}, nil},
		{session.Pending{Channel: identity.ChannelComponent, AppID: testAppID, Scope: scopeBase}, nil},
		{session.Pending{Channel: identity.ChannelMP, AppID: testAppID, Scope: scopeBase, Host: "d.example"}, nil},
	} {
		got, err := s.speaker(tt.p)
		if got != tt.want || (err == nil) != (tt.want != nil) {
			t.Errorf("%+v: %v, %v", tt.p, got, err)
		}
	}
}

// withWeb adds a website app, and says how PCs log in.
func withWeb(qr string) option {
	return func(c *Config) { c.Web, c.QR = wechat.App{ID: webAppID, Secret: webSecret}, qr }
}

func newWebWorld(t *testing.T, n int, qr string, opts ...option) *world {
	t.Helper()
	w := newWorld(t, n, nil, append([]option{withWeb(qr)}, opts...)...)
	w.wechat.AddApp(wechattest.App{ID: webAppID, Secret: webSecret, Kind: wechattest.Website, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	return w
}

// A phone outside WeChat gets the address to copy, and as a QR code.
func TestPhoneOutsideWeChat(t *testing.T) {
	w := newWebWorld(t, 1, "embed")
	for _, agent := range []string{phoneChrome, phoneSafari, wechattest.UAWeCom} {
		res := w.browser(agent).open("/room/7?a=1")
		res.page(t, http.StatusOK, pageOpenInWeChat)
		all := pageElements(t, res.body)
		if got := pageTextOf(pageFind(all, ".address")[0]); got != w.front.URL+"/room/7?a=1" {
			t.Errorf("offers %s", got)
		}
		code := newQRCode(w.front.URL + "/room/7?a=1")
		if !strings.Contains(res.body, `d="`+code.Path+`"`) {
			t.Error("no QR code of the address")
		}
	}
	res := w.browser(phoneChrome).open("/" + strings.Repeat("long/", 200))
	res.page(t, http.StatusOK, pageOpenInWeChat)
	if len(pageFind(pageElements(t, res.body), ".qr")) != 0 {
		t.Error("a QR code that nothing can scan")
	}
}

// Where nothing is configured the page speaks to the operator.
func TestNothingConfigured(t *testing.T) {
	w := newWorld(t, 1, nil, func(c *Config) { c.MP = wechat.App{} })
	for _, agent := range []string{iPhone, desktop, phoneChrome, wechattest.UAWeCom} {
		res := w.browser(agent).open("/")
		res.page(t, http.StatusServiceUnavailable, pageWeChatMisconfigured)
		if !strings.Contains(res.body, "WXGATE_MP_APP_ID") || !strings.Contains(res.body, "WXGATE_WEB_APP_ID") {
			t.Errorf("does not say what to do: %s", text(res.body))
		}
	}
	web := newWebWorld(t, 1, "embed", func(c *Config) { c.MP = wechat.App{} })
	res := web.browser(iPhone).open("/")
	res.page(t, http.StatusServiceUnavailable, pageWeChatMisconfigured)
	if !strings.Contains(res.body, "WXGATE_MP_APP_ID") || strings.Contains(res.body, "WXGATE_WEB_APP_ID") {
		t.Errorf("does not say what is missing inside WeChat: %s", text(res.body))
	}
}

// The User-Agent is a hint at the start and nothing afterwards.
func TestUserAgentChangesOnTheWay(t *testing.T) {
	w := newWebWorld(t, 1, "redirect")
	pc := w.browser(desktop)
	back := pc.scan("/room/7")
	pc.agent = iPhone // as with "request desktop site" turned off on the way
	e := pc.open(back).echoed(t)
	if e.Header.Get("X-Wxgate-Channel") != "web" || e.Header.Get("X-Wxgate-Appid") != webAppID {
		t.Errorf("logged in by %s %s", e.Header.Get("X-Wxgate-Channel"), e.Header.Get("X-Wxgate-Appid"))
	}

	phone := w.browser(iPhone)
	callback := phone.begin("/room/8")
	phone.agent = desktop
	e = phone.open(callback).echoed(t)
	if e.Header.Get("X-Wxgate-Channel") != "mp" || e.URI != "/room/8" {
		t.Errorf("logged in by %s at %s", e.Header.Get("X-Wxgate-Channel"), e.URI)
	}
}

// scan begins a login on WeChat's own QR page, lets a phone confirm, and returns
// where WeChat would send the browser back.
func (b *browser) scan(next string) (callback string) {
	b.w.t.Helper()
	s := b.stay()
	res := s.open("/.wxgate/login?next=" + url.QueryEscape(next))
	if res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("login answered %d %s", res.StatusCode, text(res.body))
	}
	res = s.post(res.Header.Get("Location"), url.Values{"qr": {"confirm"}})
	if res.StatusCode != http.StatusFound {
		b.w.t.Fatalf("WeChat answered %d %s", res.StatusCode, text(res.body))
	}
	return res.Header.Get("Location")
}

// post sends a form as a page of the same origin does.
func (b *browser) post(address string, form url.Values, headers ...string) answer {
	b.w.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.w.front.URL + address
	}
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	for i, header := 0, append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "User-Agent", b.agent, "Accept", "text/html",
		"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document",
	}, headers...); i < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) answer {
	b.w.t.Helper()
	res, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return answer{res, readAll(b.w.t, res)}
}
