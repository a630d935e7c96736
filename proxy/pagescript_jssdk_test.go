package proxy

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	cdpnetwork "github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
)

// weixinHosts has the simulator answer for WeChat's hosts of the page script,
// but for those that are down. It returns what is asked for, by address.
func (s *screen) weixinHosts(down ...string) (asked func() []string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	paused := chromedp.Events(ctx, fetch.RequestPaused)
	if _, err := chromedp.Call(s.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "https://*"}}}); err != nil {
		s.t.Fatal(err)
	}
	var mu sync.Mutex
	var list []string
	var wg sync.WaitGroup
	wg.Go(func() {
		for e, err := range paused {
			if err != nil {
				return
			}
			mu.Lock()
			list = append(list, e.Request.URL)
			mu.Unlock()
			host, path, _ := strings.Cut(strings.TrimPrefix(e.Request.URL, "https://"), "/")
			if slices.Contains(down, host) {
				_, err = chromedp.Call(ctx, fetch.FailRequest, fetch.FailRequestParams{RequestID: e.RequestID, ErrorReason: cdpnetwork.ErrorReasonConnectionRefused})
			} else {
				_, err = chromedp.Call(ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID, URL: s.w.wechat.URL + "/" + path})
			}
			if err != nil && ctx.Err() == nil {
				s.t.Errorf("%s: %v", e.Request.URL, err)
			}
		}
	})
	s.t.Cleanup(func() { cancel(); wg.Wait() })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// weixinApp is an app whose policy allows WeChat's script beside its own. Only
// the simulator's stand-in calls its host as well.
func weixinApp(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	const hosts = " https://res.wx.qq.com https://res2.wx.qq.com"
	w.Header().Set("Content-Security-Policy", "default-src 'self'; script-src 'self'"+hosts+"; connect-src 'self'"+hosts)
	page := `<!doctype html><title>shop</title><link rel="icon" href="data:,">` + plainScript
	if r.URL.Path == "/loaded" {
		// The stand-in takes the address at which it is loaded for the landing
		// page's; WeChat's client knows better.
		page += `<script src="` + weixinScript + `"></script>`
	}
	w.Write([]byte(page))
}

const weixinScript = "https://res.wx.qq.com/open/js/jweixin-1.6.0.js"

// iOS checks the signature against the address that the page was loaded from,
// everybody else against the one it has by now; the simulator does the same.
func TestScriptConfiguresJSSDK(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, weixinApp).scripting()
	for name, agent := range map[string]string{"iOS": wechattest.UAIOS, "Android": wechattest.UAAndroid, "macOS": wechattest.UAMac} {
		t.Run(name, func(t *testing.T) {
			s := w.screen(t, chromium, agent)
			asked := s.weixinHosts()
			s.open("/loaded?from=singlemessage&isappinstalled=0#/first")
			s.tell(`history.pushState(null, '', '/shop/room/7?a=%2F#/second')`)
			s.want(`wxgate.jssdk(['scanQRCode']).then(x => x === window.wx)`, "true")
			want := w.front.URL + "/shop/room/7?a=%2F"
			if name == "iOS" {
				want = w.front.URL + "/loaded?from=singlemessage&isappinstalled=0"
			}
			s.want(`performance.getEntriesByType('resource').filter(e => e.name.includes('/jssdk?')).map(e => new URL(e.name).searchParams.get('url'))`, want)
			// The next address needs its own configuration, not another script.
			s.tell(`history.pushState(null, '', '/shop/room/8')`)
			s.want(`wxgate.jssdk().then(() => 'ready')`, "ready")
			if list := asked(); list[0] != weixinScript || slices.Contains(list[1:], weixinScript) {
				t.Errorf("asked for %q", list)
			}
		})
	}
}

func TestScriptWithoutJSSDK(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, weixinApp, rules("public /")).scripting()

	t.Run("the first host is down", func(t *testing.T) {
		s := w.screen(t, chromium, android)
		asked := s.weixinHosts("res.wx.qq.com")
		s.open("/shop")
		s.want(`wxgate.jssdk().then(x => typeof x.config)`, "function")
		if list := asked(); len(list) != 3 || list[0] != weixinScript || list[1] != "https://res2.wx.qq.com/open/js/jweixin-1.6.0.js" {
			t.Errorf("asked for %q", list)
		}
	})
	t.Run("both hosts are down", func(t *testing.T) {
		s := w.screen(t, chromium, android)
		s.weixinHosts("res.wx.qq.com", "res2.wx.qq.com")
		s.open("/shop")
		s.want(`wxgate.jssdk()`, "failed: wxgate: the JS-SDK does not load undefined undefined")
	})
	t.Run("outside WeChat", func(t *testing.T) {
		s := w.screen(t, chromium, desktop)
		asked := s.weixinHosts()
		s.open("/shop")
		s.want(`wxgate.jssdk()`, "failed: wxgate: not inside WeChat undefined undefined")
		if list := asked(); len(list) != 0 {
			t.Errorf("asked for %q", list)
		}
	})
	t.Run("nobody answers", func(t *testing.T) {
		s := w.screen(t, chromium, desktop)
		s.open("/shop")
		s.tell(`(window.wx = {config() {}, ready() {}, error() {}}, window.setTimeout = (f, ms) => window.waited = (f(), ms))`)
		s.want(`wxgate.jssdk()`, "failed: wxgate: WeChat does not answer undefined undefined")
		s.want(`waited`, "10000")
	})
	t.Run("WeChat refuses", func(t *testing.T) {
		w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, JSDomains: []string{"elsewhere.example.com"}})
		s := w.screen(t, chromium, android)
		s.weixinHosts()
		s.open("/shop")
		s.want(`wxgate.jssdk()`, "failed: wxgate: config:invalid url domain undefined undefined")
	})
}
