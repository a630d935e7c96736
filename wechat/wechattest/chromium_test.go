package wechattest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
)

const patience = 20 * time.Second

// tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func newChromium(t *testing.T) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("WXGATE_TEST_REQUIRE"), ","), "chromium") {
			t.Fatalf("WXGATE_TEST_REQUIRE names chromium: %v", err)
		}
		t.Skipf("needs chromium: %v", err)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(stop)
	return newTab(t, ctx)
}

func newTab(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(parent, options...)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil { // begins it; must have no time limit
		t.Fatal(err)
	}
	if len(options) == 0 {
		t.Cleanup(func() {
			if err := chromedp.Cancel(ctx); err != nil {
				t.Errorf("stopping Chromium: %v", err)
			}
		})
	}
	return &tab{t, ctx}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	for err != nil && strings.Contains(err.Error(), "Could not find node") {
		err = chromedp.Do(ctx, actions...) // the page was drawn anew between look and touch, and nothing was done
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) text(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

// until waits for a JavaScript expression to have a text in it.
func (b *tab) until(expression, want string) {
	b.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		got := b.text(expression)
		if strings.Contains(got, want) {
			return
		}
		select {
		case <-end:
			b.t.Fatalf("%s is %q, never %q", expression, got, want)
		case <-tick.C:
		}
	}
}

// shot keeps a picture in the folder WXGATE_TEST_SCREENSHOTS, if that is set.
func (b *tab) shot(name string) {
	b.t.Helper()
	folder := os.Getenv("WXGATE_TEST_SCREENSHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// frame attaches to the frame of another site inside the page.
func (b *tab) frame(address string) *tab {
	b.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		targets, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, target := range targets {
			if target.Type == "iframe" && strings.HasPrefix(target.URL, address) {
				return newTab(b.t, b.ctx, chromedp.WithTargetID(target.TargetID))
			}
		}
		select {
		case <-end:
			b.t.Fatalf("no frame of %s", address)
		case <-tick.C:
		}
	}
}

// The framed QR page takes the whole window to the callback, as WeChat's does:
// with the cookies of the site that framed it, though it is another site.
func TestFramedLoginInChromium(t *testing.T) {
	b := newChromium(t)
	s := start(t)
	callbacks := make(chan *http.Request, 1)
	var frame string
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "login", Value: "begun", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>site</title><iframe width="300" height="400" src="%s" `+
			`sandbox="allow-scripts allow-same-origin allow-top-navigation"></iframe>`, strings.ReplaceAll(frame, "&", "&amp;"))
	})
	mux.HandleFunc("/cb", func(w http.ResponseWriter, r *http.Request) {
		callbacks <- r.Clone(context.WithoutCancel(r.Context()))
		io.WriteString(w, "back")
	})
	site := httptest.NewServer(mux)
	defer site.Close()
	home := strings.Replace(site.URL, "127.0.0.1", "localhost", 1) // another site than the simulator's
	s.AddApp(wechattest.App{ID: website, Secret: secret, Name: "抓娃娃", Kind: wechattest.Website, CallbackHosts: []string{"localhost"}})
	frame = s.URL + "/connect/qrconnect?appid=" + website + "&scope=snsapi_login&redirect_uri=" + url.QueryEscape(home+"/cb") +
		"&state=abc123&login_type=jssdk&self_redirect=default&style=black"

	arrived := func(player string) {
		t.Helper()
		b.until("document.body.innerText", "back")
		r := <-callbacks
		if c, err := r.Cookie("login"); err != nil || c.Value != "begun" || r.Header.Get("Sec-Fetch-Dest") != "document" || r.FormValue("state") != "abc123" {
			t.Errorf("callback %s with %v", r.URL, r.Header)
		}
		a := ask(t, s, wechattest.AccessTokenPath, "appid", website, "secret", secret, "code", r.FormValue("code"), "grant_type", "authorization_code")
		if a.text("openid") != s.OpenID(player, website) {
			t.Errorf("%s came back: %s", last(t, s).Player, a.raw)
		}
	}
	press := func(f *tab, button string) {
		t.Helper()
		f.do(chromedp.Click(chromedp.CSS(`button[value="` + button + `"]`)))
	}
	words := `document.getElementById("words").innerText`

	// Buttons in the page.
	b.do(chromedp.Navigate(home))
	f := b.frame(s.URL)
	f.until(words, "微信扫一扫")
	b.shot("qr-frame")
	press(f, "scan")
	f.until(words, "扫描成功")
	press(f, "cancel")
	f.until(words, "你已取消")
	f.until(`String(document.getElementById("remote").hidden)`, "true")

	// A phone elsewhere: nobody has touched the frame.
	b.do(chromedp.Navigate(home))
	f = b.frame(s.URL)
	f.until(words, "微信扫一扫")
	confirm := f.text(`document.getElementById("code").href`)
	phone := newBrowser(t, wechattest.UAIOS)
	phone.get(s.URL + "/sim/?player=aqiang")
	phone.get(confirm)
	f.until(words, "扫描成功")
	phone.post(confirm, "qr", "confirm", "player", "aqiang")
	arrived("aqiang")

	b.do(chromedp.Navigate(home))
	f = b.frame(s.URL)
	f.until(words, "微信扫一扫")
	press(f, "confirm")
	arrived("xiaomei")

	// The whole page and the phone's.
	b.do(chromedp.Navigate(qrLink(s, "play.example.com", url.QueryEscape(strings.TrimPrefix(home, "http://")), "https", "http")))
	b.until(words, "微信扫一扫")
	b.shot("qr-page")
	confirm = b.text(`document.getElementById("code").href`)
	press(b, "expire")
	b.until(words, "二维码已失效")
	b.do(chromedp.Click(chromedp.CSS("#again a")))
	b.until(`document.getElementById("again").hidden ? document.getElementById("words").innerText : ""`, "微信扫一扫")
	press(b, "confirm")
	arrived("xiaomei")
	b.do(chromedp.Navigate(confirm))
	b.until("document.body.innerText", "二维码已失效")
}

// The stand-in for the JS-SDK calls wx.ready for a good signature of the page as
// it is now, and on iOS of the page as it was loaded.
func TestJSSDKInChromium(t *testing.T) {
	b := newChromium(t)
	s := start(t)
	s.AddApp(wechattest.App{ID: appid, Secret: secret, JSDomains: []string{"localhost"}})
	ticket := ask(t, s, wechattest.TicketPath, "access_token", serverToken(t, s, appid), "type", "jsapi").text("ticket")
	var signed string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><body>waiting</body><script src="%s%s"></script><script>
history.pushState(null, "", "/room/1");
wx.ready(() => document.body.textContent = "ready");
wx.error(e => document.body.textContent = e.errMsg);
wx.config({appId: %q, timestamp: 1800000000, nonceStr: "n", signature: %q, jsApiList: []});
</script>`, s.URL, wechattest.JSSDKPath, appid, sign(ticket, "n", 1_800_000_000, signed))
	}))
	defer site.Close()
	home := strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct{ page, want string }{
		{home + "/room/1", "ready"},
		{home + "/", "config:invalid signature"}, // the browser is no iOS
		{strings.Replace(home, "localhost", "127.0.0.1", 1) + "/room/1", "config:invalid signature"},
	} {
		signed = tt.page
		b.do(chromedp.Navigate(home + "/"))
		b.until("document.body.textContent", tt.want)
	}
}
