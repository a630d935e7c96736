package proxy

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

func readAll(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestQRRedirect(t *testing.T) {
	w := newWebWorld(t, 2, "redirect")
	pc := w.browser(desktop)
	res := pc.stay().open("/room/7?x=1")
	res = pc.stay().open(res.Header.Get("Location"))
	target, err := url.Parse(res.Header.Get("Location"))
	if err != nil || target.Path != "/connect/qrconnect" || target.Query().Get("appid") != webAppID || target.Query().Get("scope") != "snsapi_login" {
		t.Fatalf("sent to %s", res.Header.Get("Location"))
	}
	e := pc.open(pc.scan("/room/7?x=1")).echoed(t)
	if e.URI != "/room/7?x=1" || e.Header.Get("X-Wxgate-Channel") != "web" || e.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("xiaomei", webAppID) {
		t.Errorf("the app was told %v at %s", e.Header, e.URI)
	}
	// The person has consented on the phone, so name and unionid are there.
	if e.Header.Get("X-Wxgate-Name") != url.PathEscape("小美") || e.Header.Get("X-Wxgate-Unionid") != w.wechat.UnionID("xiaomei", webAppID) {
		t.Errorf("name %q, unionid %q", e.Header.Get("X-Wxgate-Name"), e.Header.Get("X-Wxgate-Unionid"))
	}
	if user := pc.open("/").user(t); user != e.Header.Get("X-Wxgate-User") {
		t.Errorf("another user at the second visit: %s", user)
	}
}

// A profile rule needs no page of ours before a login that asks anyway.
func TestQRWithProfileRule(t *testing.T) {
	w := newWebWorld(t, 1, "redirect", rules("profile /room/"))
	pc := w.browser(desktop)
	res := pc.stay().open("/.wxgate/login?profile=1&next=%2Froom%2F7")
	if res.StatusCode != http.StatusFound || !strings.Contains(res.Header.Get("Location"), "/connect/qrconnect?") {
		t.Fatalf("answered %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	if e := pc.open(pc.scan("/room/7")).echoed(t); e.URI != "/room/7" {
		t.Errorf("arrived at %s", e.URI)
	}
}

func TestQRFrame(t *testing.T) {
	w := newWebWorld(t, 1, "embed")
	pc := w.browser(desktop)
	res := pc.open("/room/7?x=1", "Accept-Language", "en")
	if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("answered %d %v", res.StatusCode, res.Header)
	}
	all := pageElements(t, res.body)
	frame := pageFind(all, "iframe")[0]
	src, err := url.Parse(pageAttr(frame, "src"))
	if err != nil || !strings.HasPrefix(src.String(), w.wechat.URL+"/connect/qrconnect?") {
		t.Fatalf("frames %s", src)
	}
	if q := src.Query(); q.Get("appid") != webAppID || q.Get("redirect_uri") != w.front.URL+"/.wxgate/callback" || q.Get("self_redirect") != "default" || q.Get("lang") != "en" {
		t.Errorf("frames %s", src)
	}
	if got := pageAttr(frame, "sandbox"); got != "allow-scripts allow-top-navigation allow-same-origin" {
		t.Errorf("sandbox %q", got)
	}
	if pageAttr(frame, "allow") != "local-network-access" {
		t.Error("Chrome would not let the frame reach the WeChat of this PC")
	}
	policy := res.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "; frame-src "+w.wechat.URL+"; connect-src "+w.wechat.URL+"; ") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("policy %s", policy)
	}
	var links []string
	for _, a := range pageFind(all, "a") {
		links = append(links, pageAttr(a, "href"))
	}
	if len(links) != 2 || !strings.HasPrefix(links[0], w.wechat.URL+"/connect/qrconnect?") || links[1] != w.front.URL+"/.wxgate/login?next=%2Froom%2F7%3Fx%3D1" {
		t.Errorf("links %q, want WeChat's whole page and a fresh start", links)
	}
	// The frame sends the top window back, which has the cookie.
	back := pc.stay().post(pageAttr(frame, "src"), url.Values{"qr": {"confirm"}}).Header.Get("Location")
	if e := pc.open(back).echoed(t); e.URI != "/room/7?x=1" || e.Header.Get("X-Wxgate-Channel") != "web" {
		t.Errorf("arrived at %s by %s", e.URI, e.Header.Get("X-Wxgate-Channel"))
	}
}

// WeChat's documents say both that a refusal comes back with the state alone and
// that it does not come back.
func TestQRDenied(t *testing.T) {
	w := newWebWorld(t, 1, "redirect")
	w.wechat.Set(func(b *wechattest.Behaviour) { b.QRDenyRedirects = true })
	pc := w.browser(desktop)
	page := pc.stay().open("/.wxgate/login?next=%2Froom%2F7").Header.Get("Location")
	back := pc.stay().post(page, url.Values{"qr": {"cancel"}}).Header.Get("Location")
	if !strings.Contains(back, "state=") || strings.Contains(back, "code=") {
		t.Fatalf("came back to %s", back)
	}
	res := pc.open(back)
	res.page(t, http.StatusBadRequest, pageDenied)
	if again := w.front.URL + "/.wxgate/login?next=%2Froom%2F7"; !strings.Contains(res.body, `href="`+html.EscapeString(again)+`"`) {
		t.Errorf("the page does not offer %s", again)
	}
	if len(w.wechat.Exchanges()) != 0 {
		t.Error("a code was exchanged")
	}
	if e := pc.open(pc.scan("/room/7")).echoed(t); e.URI != "/room/7" {
		t.Errorf("the second try ended at %s", e.URI)
	}
}

// A code of the QR page is worth nothing to another browser, and WeChat's second
// delivery finds the same session.
func TestQRCodeBelongsToItsBrowser(t *testing.T) {
	w := newWebWorld(t, 2, "redirect")
	pc := w.browser(desktop)
	back := pc.scan("/room/7")
	thief := w.browser(desktop)
	if res := thief.stay().open(back); sessionOf(res.Response) != "" || len(w.wechat.Exchanges()) != 0 {
		t.Fatal("another browser used the code")
	}
	first := pc.stay().open(back)
	second := pc.stay().open(back)
	if sessionOf(first.Response) == "" || sessionOf(first.Response) != sessionOf(second.Response) {
		t.Error("the second delivery made another session")
	}
	if n := len(w.wechat.Exchanges()); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// A login that was begun with an app that is not configured any more begins
// anew; its code is shown to no other app.
func TestQRAppChangedOnTheWay(t *testing.T) {
	w := newWebWorld(t, 1, "redirect")
	pc := w.browser(desktop)
	back := pc.scan("/room/7")
	w.restart(func(c *Config) { withWeb("redirect")(c); c.Web.ID = "wx00000000000000c3" })
	pc.open(back).page(t, http.StatusBadRequest, pageInvalidCode)
	if len(w.wechat.Exchanges()) != 0 {
		t.Error("the code was exchanged")
	}
}

func TestQRCodeDrawing(t *testing.T) {
	if newQRCode("") != nil || newQRCode(strings.Repeat("a", maxQRText+1)) != nil {
		t.Error("drew what cannot be scanned")
	}
	code := newQRCode("https://play.example.com/")
	// Version 2 has 25 modules and a quiet zone of 4 on each side; the finder
	// pattern's first row is 7 dark modules, in row and column 4.
	if code == nil || code.Size != 33 || !strings.HasPrefix(code.Path, "M4 4h7v1h-7z") {
		t.Fatalf("drew %+v", code)
	}
	if longest := newQRCode(strings.Repeat("a", maxQRText)); longest == nil || longest.Size > 110 {
		t.Error("the longest text is not drawn, or too finely")
	}
}

func TestDeviceOf(t *testing.T) {
	for agent, want := range map[string]string{
		desktop:      "Windows · Chrome",
		weComDesktop: "Windows · WeCom",
		linuxWeChat:  "Linux · WeChat",
		iPhone:       "iPhone · WeChat",
		phoneChrome:  "Android · Chrome",
		phoneSafari:  "iPhone · Safari",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:122.0) Gecko/20100101 Firefox/122.0":                                          "macOS · Firefox",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Safari/605.1.15":         "macOS · Safari",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0": "Windows · Edge",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 OPR/106.0":      "ChromeOS · Opera",
		"你的银行，请确认": "",
		"":         "",
	} {
		if got := deviceOf(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}
