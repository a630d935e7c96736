package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// scripting lets pages at the gateway use the JS-SDK, by WeChat's console.
func (w *world) scripting() *world {
	w.wechat.AddApp(wechattest.App{ID: testAppID, Secret: testSecret, CallbackHosts: []string{"127.0.0.1"}, JSDomains: []string{"127.0.0.1"}})
	return w
}

// sign asks for a signature as a script would.
func (b *browser) sign(address string) (answer, jssdkAnswer) {
	b.w.t.Helper()
	res := b.fetch("/.wxgate/jssdk?url=" + url.QueryEscape(address))
	var a jssdkAnswer
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(res.body), &a); err != nil {
			b.w.t.Fatalf("%v: %s", err, res.body)
		}
	}
	return res, a
}

// accepts asks what WeChat's client thinks of a signature on a page.
func (w *world) accepts(a jssdkAnswer, page string) error {
	return w.wechat.CheckJSConfig(wechattest.JSConfig{
		AppID: a.AppID, NonceStr: a.NonceStr, Timestamp: a.Timestamp, Signature: a.Signature,
		Landing: page, Current: page, UserAgent: android,
	})
}

func TestJSSDK(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil).scripting()
	b := w.browser(android) // without a session: pages for everybody have share buttons too
	seen := map[string]bool{}
	for _, page := range []string{
		w.front.URL, w.front.URL + "/", w.front.URL + "?params=value", w.front.URL + "/room/7?from=singlemessage&isappinstalled=0",
		w.front.URL + "/a%20b/%E4%B8%AD?x=%2F&y=a+b;z&url=http://evil.example/", w.front.URL + "/中?名=字", w.front.URL + "/a&noncestr=x",
	} {
		res, a := b.sign(page + "#/seat?x#y")
		if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Fatalf("%s: %d %s", page, res.StatusCode, res.body)
		}
		if err := w.accepts(a, page); err != nil {
			t.Errorf("%s: WeChat says %v", page, err)
		}
		if err := w.accepts(a, page+"/other"); err != wechattest.InvalidSignature {
			t.Errorf("%s: WeChat takes the signature for another page: %v", page, err)
		}
		if a.AppID != testAppID || len(a.NonceStr) < 16 || seen[a.NonceStr] || time.Since(time.Unix(a.Timestamp, 0)).Abs() > time.Minute {
			t.Errorf("%s: %+v", page, a)
		}
		seen[a.NonceStr] = true
		var names map[string]any
		if json.Unmarshal([]byte(res.body), &names); len(names) != 4 {
			t.Errorf("want the four members of wx.config, got %v", names)
		}
	}
	if n, m := len(w.wechat.Calls(wechattest.StableTokenPath)), len(w.wechat.Calls(wechattest.TicketPath)); n != 1 || m != 1 {
		t.Errorf("%d tokens and %d tickets were fetched, want one of each", n, m)
	}
	if len(b.cookies()) != 0 {
		t.Errorf("cookies were set: %v", b.cookies())
	}
}

func TestJSSDKSignsForServedHostsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) {
		c.AllowedHosts, c.AllowedOrigins = []string{"shop.example.com"}, []string{"http://listed.example.com"}
	}).scripting()
	b := w.browser(android)
	if res, _ := b.sign("http://shop.example.com/a"); res.StatusCode != http.StatusOK {
		t.Errorf("a served host: %d %s", res.StatusCode, res.body)
	}
	host := w.addr()
	for _, page := range []string{
		"", "/", "/room", "room", "#", "//" + host + "/", "https://" + host + "/", "HTTP://" + host + "/", "http:" + host, "http:///" + host,
		"http://evil.example/", "http://evil.example/#" + host, "http://evil.example?" + host, "http://" + host + ".evil.example/", "http://" + host + "@evil.example/",
		"http://x@" + host + "/", `http://evil.example\@` + host + "/", `http://` + host + `\.evil.example/`, "http://127.0.0.1/", "http://127.0.0.1:1/", "http://listed.example.com/",
		"http://" + host + "/a\n", "http://" + host + "/a b", "http://" + host + "\x00", "javascript:alert(1)//http://" + host, "ws://" + host + "/",
	} {
		res, _ := b.sign(page)
		if res.StatusCode != http.StatusBadRequest || res.jsonError(t).Error != "bad_request" {
			t.Errorf("signs for %q: %d %s", page, res.StatusCode, res.body)
		}
	}
	page := url.QueryEscape(w.front.URL + "/")
	for _, query := range []string{"", "?", "?url", "?URL=" + page, "?url=" + page + "&url=" + page, "?url=" + page + "&x=%zz", "?url=" + page + ";x"} {
		if res := b.fetch("/.wxgate/jssdk" + query); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, res.StatusCode, res.body)
		}
	}
	if res := b.do(http.MethodPost, "/.wxgate/jssdk?url="+page); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

func TestJSSDKNeedsServiceAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.MP = wechat.App{} })
	if res, _ := w.browser(android).sign(w.front.URL + "/"); res.StatusCode != http.StatusNotFound || res.jsonError(t).Error != "not_found" {
		t.Errorf("%d %s", res.StatusCode, res.body)
	}
}

func TestJSSDKWhenWeChatFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path  string
		fault wechattest.Fault
		retry string
	}{
		"token refused: allow-list": {wechattest.StableTokenPath, wechattest.Fault{Errcode: 40164}, "60"},
		"token: busy":               {wechattest.StableTokenPath, wechattest.Fault{Errcode: -1}, "5"},
		"token dropped":             {wechattest.StableTokenPath, wechattest.Fault{Drop: true}, "5"},
		"ticket: quota":             {wechattest.TicketPath, wechattest.Fault{Errcode: 45009}, "5"},
		"ticket: no right":          {wechattest.TicketPath, wechattest.Fault{Errcode: 48001}, "60"},
		"ticket: nonsense":          {wechattest.TicketPath, wechattest.Fault{Status: 502}, "5"},
		"ticket: not about a code":  {wechattest.TicketPath, wechattest.Fault{Errcode: 40029}, "5"},
		"ticket: not about anybody": {wechattest.TicketPath, wechattest.Fault{Errcode: 50002}, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil).scripting()
			w.wechat.Inject(tt.path, tt.fault)
			b := w.browser(android)
			res, _ := b.sign(w.front.URL + "/")
			if res.StatusCode != http.StatusServiceUnavailable || res.jsonError(t).Error != "wechat_unavailable" || res.Header.Get("Retry-After") != tt.retry {
				t.Errorf("%d, retry after %s: %s", res.StatusCode, res.Header.Get("Retry-After"), res.body)
			}
			if strings.Contains(res.body, "errcode") {
				t.Errorf("the page is told WeChat's words: %s", res.body)
			}
		})
	}
}

// However many pages ask at once, WeChat is asked once.
func TestJSSDKAsksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil).scripting()
	reached, hold := make(chan struct{}), make(chan struct{})
	w.wechat.Inject(wechattest.TicketPath, wechattest.Fault{Reached: func() { close(reached) }, Hold: hold})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if res, _ := w.browser(android).sign(w.front.URL + "/"); res.StatusCode != http.StatusOK {
				t.Errorf("%d %s", res.StatusCode, res.body)
			}
		})
	}
	<-reached
	close(hold)
	wg.Wait()
	if n := len(w.wechat.Calls(wechattest.TicketPath)); n != 1 {
		t.Errorf("%d tickets were fetched", n)
	}
}
