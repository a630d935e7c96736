package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// A login runs where its target is, wherever it is asked for.
func TestLoginLeadsToAnotherHost(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	for _, tt := range []struct{ at, to, channel string }{
		{w.public(), w.front.URL, "component"},
		{w.front.URL, w.public(), "mp"},
	} {
		b := w.browser(iPhone)
		res := b.open(tt.at + "/.wxgate/login?bind=x&next=" + url.QueryEscape(tt.to+"/room/7?a=1"))
		e := res.echoed(t)
		if !strings.HasPrefix(res.Request.URL.String(), tt.to+"/room/7?a=1") || e.Header.Get("X-Wxgate-Channel") != tt.channel {
			t.Errorf("from %s: at %s by %s", tt.at, res.Request.URL, e.Header.Get("X-Wxgate-Channel"))
		}
		if res := b.stay().open(tt.at + "/"); res.StatusCode != http.StatusFound {
			t.Errorf("from %s: the host that led there answers %d", tt.at, res.StatusCode)
		}
	}
}

// Each host has its own sessions: that of one account opens no other.
func TestSessionStaysOnItsHost(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1)
	b := w.browser(iPhone)
	b.open(w.public() + "/").user(t)
	before := len(w.wechat.Exchanges())
	if e := b.open("/").echoed(t); e.Header.Get("X-Wxgate-Channel") != "component" || len(w.wechat.Exchanges()) != before+1 {
		t.Errorf("the app was told %v", e.Header)
	}
	if e := b.open(w.public() + "/").echoed(t); e.Header.Get("X-Wxgate-Channel") != "mp" || len(w.wechat.Exchanges()) != before+1 {
		t.Errorf("the app was told %v", e.Header)
	}
}

// newBehalfWeb has a website app too.
func newBehalfWeb(t *testing.T, qr string) *world {
	w := newBehalfWorld(t, 2, withWeb(qr))
	w.wechat.AddApp(wechattest.App{ID: webAppID, Secret: webSecret, Kind: wechattest.Website, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	return w
}

// The website app returns to the public host only, which hands over what came of
// it, and nothing else.
func TestWebsiteAppOnBehalfHost(t *testing.T) {
	t.Parallel()
	w := newBehalfWeb(t, "redirect")
	pc := w.browser(desktop)
	atWeChat := pc.open("/room/7?x=1")
	if !strings.HasPrefix(atWeChat.Request.URL.String(), w.wechat.URL+"/connect/qrconnect?") {
		t.Fatalf("at %s: %s", atWeChat.Request.URL, text(atWeChat.body))
	}
	res := pc.post(atWeChat.Request.URL.String(), url.Values{"qr": {"confirm"}})
	e := res.echoed(t)
	if !strings.HasPrefix(res.Request.URL.String(), w.front.URL+"/room/7?x=1") || e.Header.Get("X-Wxgate-Channel") != "web" || e.Header.Get("X-Wxgate-Appid") != webAppID {
		t.Errorf("at %s the app was told %v", res.Request.URL, e.Header)
	}
	for _, address := range pc.trail {
		if strings.HasPrefix(address, w.front.URL) && strings.Contains(address, "code=") {
			t.Errorf("the code reached the other host: %s", address)
		}
	}
	// Its session on the public host opens this one without WeChat.
	again := w.browser(desktop)
	public, _ := url.Parse(w.public())
	again.client.Jar.SetCookies(public, pc.client.Jar.Cookies(public))
	before := len(w.wechat.Exchanges())
	if user := again.open("/").user(t); user != e.Header.Get("X-Wxgate-User") || len(w.wechat.Exchanges()) != before {
		t.Errorf("handed over to %s", user)
	}

	// One of the public host's own account does not.
	phone := w.browser(iPhone)
	phone.open(w.public() + "/").user(t)
	phone.agent = desktop
	if at := phone.open("/room/7").Request.URL.String(); !strings.HasPrefix(at, w.wechat.URL) {
		t.Errorf("handed over to %s", at)
	}
}

func TestWebsiteAppIsAskedInAFrameOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWeb(t, "embed")
	pc := w.browser(desktop)
	res := pc.open("/room/7")
	res.page(t, http.StatusOK, pageQRFrame)
	if !strings.HasPrefix(res.Request.URL.String(), w.public()) || !strings.Contains(res.body, url.QueryEscape(w.public()+"/.wxgate/callback")) {
		t.Errorf("at %s", res.Request.URL)
	}
	// Where the phone cannot scan itself, the address is this host's.
	outside := w.browser(phoneChrome).open("/room/7")
	outside.page(t, http.StatusOK, pageOpenInWeChat)
	if !strings.Contains(outside.body, w.front.URL+"/room/7") {
		t.Errorf("offers %s", text(outside.body))
	}
}

// Without a website app the phone logs in by the account of the host, and the PC
// after it.
func TestPairOnBehalf(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	wait := pc.pair("/room/7?x=1")
	phone.open(wait.path).page(t, http.StatusOK, pagePairConfirm)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if got := wait.state(); got != waitConfirmed {
		t.Fatalf("the PC hears %q", got)
	}
	e := pc.open(wait.path).echoed(t)
	if e.URI != "/room/7?x=1" || e.Header.Get("X-Wxgate-Channel") != "component" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", behalfAppID) {
		t.Errorf("at %s the app was told %v", e.URI, e.Header)
	}
	w.behalfCodes(t, 1)
}

// A QR code of one host with the name of another in its address: the phone's page
// would speak of that one, so what is said there does not count.
func TestPairOfAnotherHost(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 2)
	pc, phone := w.browser(desktop), w.browser(iPhone)
	wait := pc.pair("/room/7")
	elsewhere := w.public() + wait.path
	phone.open(elsewhere).page(t, http.StatusOK, pagePairConfirm)
	phone.post(elsewhere, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if got := wait.state(); got != waitWaiting {
		t.Errorf("the PC hears %q", got)
	}
	if res := pc.open(wait.path); sessionOf(res.Response) != "" || pc.cookies()["wxgate"] != "" {
		t.Error("the PC is logged in")
	}
	// Nor has the PC anything to ask for there.
	if res := pc.do(http.MethodGet, elsewhere+"/wait", "Sec-Fetch-Dest", "empty"); res.StatusCode != http.StatusNotFound {
		t.Errorf("the other host lets the PC wait: %d", res.StatusCode)
	}
	// What is said on its own host still does.
	phone.open(wait.path)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if got := wait.state(); got != waitConfirmed {
		t.Errorf("the PC hears %q", got)
	}
}

// The public host may be assigned to an account too. Hosts without one log in
// there.
func TestPublicHostOnBehalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil, behalfOf(map[string]string{"127.0.0.1": behalfAppID}), second, func(c *Config) { c.MP = wechat.App{} })
	w.behalfAccounts("127.0.0.1")
	w.ticket()
	w.wechat.Grant(behalfPlatformID, behalfAppID)
	b := w.browser(iPhone)
	e := b.open(w.other() + "/room/7").echoed(t)
	if e.URI != "/room/7" || !strings.HasPrefix(w.other(), "http://"+e.Host) || e.Header.Get("X-Wxgate-Channel") != "component" {
		t.Errorf("at %s%s the app was told %v", e.Host, e.URI, e.Header)
	}
	if there := b.open("/").user(t); there != e.Header.Get("X-Wxgate-User") {
		t.Errorf("the public host has user %s", there)
	}
	w.behalfCodes(t, 1)
	pc := w.browser(desktop)
	wait := pc.waits(pc.open(w.other() + "/room/8"))
	b.open(wait.path).page(t, http.StatusOK, pagePairConfirm)
	b.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if e := pc.open(wait.path).echoed(t); e.URI != "/room/8" || !strings.HasPrefix(w.other(), "http://"+e.Host) {
		t.Errorf("the PC is at %s%s", e.Host, e.URI)
	}
}

// A host without any account says to its operator what is missing.
func TestHostWithoutAccount(t *testing.T) {
	t.Parallel()
	w := newBehalfWorld(t, 1, func(c *Config) { c.MP = wechat.App{} })
	b := w.browser(iPhone)
	if b.open("/").user(t) == "" {
		t.Error("nobody is logged in on the host that has one")
	}
	res := b.open(w.public() + "/")
	res.page(t, http.StatusServiceUnavailable, pageWeChatMisconfigured)
	if !strings.Contains(res.body, "WXGATE_COMPONENT_ACCOUNTS") {
		t.Errorf("does not say what is missing: %s", text(res.body))
	}
}

// Where hosts share the cookie of pending logins, each finishes its own only.
func TestPendingLoginsOfSharedCookies(t *testing.T) {
	t.Parallel()
	w, play, shop, club := newSharing(t)
	hosts := []string{play, shop, club}
	b := w.browser(iPhone).local()
	callbacks := map[string]string{}
	for _, host := range hosts {
		if callbacks[host] = b.beginAt(host, "/room/7"); !strings.HasPrefix(callbacks[host], host+"/.wxgate/callback?") {
			t.Fatalf("WeChat returns to %s", callbacks[host])
		}
	}
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			res := b.stay().open(strings.Replace(callbacks[from], from, to, 1))
			if at, _ := url.Parse(res.Header.Get("Location")); res.StatusCode != http.StatusFound || at.Path != "/.wxgate/login" || sessionOf(res.Response) != "" {
				t.Errorf("%s took the return to %s: %d to %s", to, from, res.StatusCode, at)
			}
		}
	}
	w.oncePerCode(t, 0)
	for _, host := range hosts {
		res := b.open(callbacks[host])
		if e := res.echoed(t); !strings.HasPrefix(res.Request.URL.String(), host+"/room/7") || e.Header.Get("X-Wxgate-Appid") != map[string]string{play: testAppID, shop: behalfAppID, club: behalfOtherID}[host] {
			t.Errorf("%s: at %s by %s", host, res.Request.URL, e.Header.Get("X-Wxgate-Appid"))
		}
	}
	w.oncePerCode(t, 3)
	// The last session is that of all hosts: the cookie is one.
	for _, host := range hosts {
		if e := b.open(host + "/").echoed(t); e.Header.Get("X-Wxgate-Appid") != behalfOtherID {
			t.Errorf("%s: the app was told %v", host, e.Header)
		}
	}
	w.oncePerCode(t, 3)
}

// With shared cookies the website app's login needs no ticket.
func TestWebsiteAppWithSharedCookies(t *testing.T) {
	t.Parallel()
	w, _, shop, _ := newSharing(t, withWeb("redirect"))
	pc := w.browser(desktop).local()
	atWeChat := pc.open(shop + "/room/7")
	res := pc.post(atWeChat.Request.URL.String(), url.Values{"qr": {"confirm"}})
	if e := res.echoed(t); !strings.HasPrefix(res.Request.URL.String(), shop+"/room/7") || e.Header.Get("X-Wxgate-Channel") != "web" {
		t.Errorf("at %s by %s", res.Request.URL, e.Header.Get("X-Wxgate-Channel"))
	}
	for _, address := range pc.trail {
		if strings.Contains(address, "/handover") {
			t.Errorf("a ticket was needed: %s", address)
		}
	}

}

// The phone's login is the host's own, and so is its QR code.
func TestPairWithSharedCookies(t *testing.T) {
	t.Parallel()
	w, play, shop, _ := newSharing(t)
	pc, phone := w.browser(desktop).local(), w.browser(iPhone).local()
	page := pc.open(shop + "/room/7")
	page.page(t, http.StatusOK, pageQRPair)
	w.front.URL = shop
	wait := pc.waits(page)
	if res := pc.open(play + wait.path); strings.Contains(res.body, "data-pair") {
		t.Error("the public host shows the QR code of another one")
	}
	phone.open(wait.path).page(t, http.StatusOK, pagePairConfirm)
	phone.post(wait.path, confirm(wait.number)).page(t, http.StatusOK, pagePairDone)
	if e := pc.open(wait.path).echoed(t); e.Header.Get("X-Wxgate-Appid") != behalfAppID || e.URI != "/room/7" {
		t.Errorf("the PC is at %s by %s", e.URI, e.Header.Get("X-Wxgate-Appid"))
	}
}
