package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"wxgate/session/storetest"
	"wxgate/wechat/wechattest"
)

const (
	chinese = "zh-CN,zh"
	english = "en-US,en"

	inTheApp = `(document.querySelector('#user') || {innerText: ''}).innerText.length === 26`
)

// newScreenStage has a WeChat under another host than the gateway, as in life: its redirects come from another site.
func newScreenStage(t *testing.T, settings ...string) *stage {
	t.Helper()
	s := newStage(t, settings...)
	s.env["WXGATE_WECHAT_OPEN_URL"] = s.wechatAt()
	return s
}

func (s *stage) wechatAt() string { return strings.Replace(s.wechat.URL, "127.0.0.1", "localhost", 1) }

// as makes the browser one of the simulator's players.
func (b *tab) as(s *stage, player string) *tab {
	b.t.Helper()
	devtools(b, network.SetCookie, network.SetCookieParams{Name: wechattest.PlayerCookie, Value: player, URL: s.wechatAt()})
	return b
}

// authorized counts the visits to WeChat's authorize page.
func (s *stage) authorized() int { return len(s.wechat.Calls("/connect/oauth2/authorize")) }

// notice waits for one of wxgate's own pages, checks what every one of them must have, and takes its picture.
func (b *tab) notice(title, picture string) {
	b.t.Helper()
	b.until(`(document.querySelector('h1') || {}).innerText === '` + title + `'`)
	b.until(`document.querySelector('footer code').innerText.length === 16`) // the request id
	b.until(`document.documentElement.scrollWidth <= innerWidth`)
	b.shot(picture)
}

func TestScreenFirstVisit(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	s := newScreenStage(t)
	s.start()
	public := "http://" + s.listen
	for name, agent := range map[string]string{
		"ios": wechattest.UAIOS, "android": wechattest.UAAndroid, "harmony": wechattest.UAHarmony,
		"windows": wechattest.UAWindows, "mac": wechattest.UAMac,
	} {
		t.Run(name, func(t *testing.T) {
			b := c.tab(t, agent, chinese).as(s, "aqiang")
			start := public + "/play?room=7&toy=%E5%A8%83%E5%A8%83&a=1;b=2"
			b.open(start)
			b.until(inTheApp)
			// Browsers carry a fragment over redirects, and WeChat's links end in #wechat_redirect.
			if got := b.place(); got != start || b.eval(`location.hash`) != "" {
				t.Errorf("the address after the login is %s, want %s", b.address(), start)
			}
			if path := b.text("#path"); path != "/play" {
				t.Errorf("the app was asked for %s", path)
			}
			if seen := b.eval("document.cookie"); strings.Contains(seen, "wxgate") {
				t.Errorf("the page can read the cookies %q", seen)
			}
			cookie := b.session()
			if cookie == nil || !cookie.HTTPOnly || cookie.SameSite != network.CookieSameSiteLax || cookie.Path != "/" || cookie.Domain != "127.0.0.1" {
				t.Errorf("the session cookie is %+v", cookie)
			}

			// The way back leads through the app, not through the login.
			b.click("#more")
			b.until(`document.querySelector('#path').innerText === '/more'`)
			if h := b.history(); len(h) != 3 || !strings.HasPrefix(h[1], start) || h[2] != public+"/more" {
				t.Errorf("the browser remembers %q", h)
			}
			b.back()
			b.until(`location.pathname === '/play' && ` + inTheApp)

			before := s.authorized()
			user := b.text("#user")
			b.open(public + "/again")
			b.until(`location.pathname === '/again' && ` + inTheApp)
			if s.authorized() != before || b.text("#user") != user {
				t.Errorf("the second visit went through WeChat %d times and was user %s, before %s", s.authorized()-before, b.text("#user"), user)
			}
		})
	}
}

func TestScreenConsent(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	s := newScreenStage(t)
	s.start()
	public := "http://" + s.listen
	wanted := public + "/.wxgate/login?profile=1&next=/hello"

	t.Run("yes", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "xiaomei")
		b.open(public + "/hello")
		b.until(inTheApp)
		user := b.text("#user")
		if name := b.text("#name"); name != "" {
			t.Errorf("a silent login brought the name %q", name)
		}
		b.open(wanted)
		b.notice("用微信身份继续", "consent")
		b.click("a.button")
		b.until(`document.querySelector('button.yes') !== null`)
		b.shot("simulator-consent")
		b.click("button.yes")
		b.until(`(document.querySelector('#name') || {}).innerText === '小美'`)
		if b.place() != public+"/hello" || b.text("#user") != user {
			t.Errorf("the consent ended at %s as %s, before %s", b.address(), b.text("#user"), user)
		}
	})
	t.Run("nasty name", func(t *testing.T) {
		b := c.tab(t, wechattest.UAAndroid, chinese).as(s, "script")
		b.open(wanted)
		b.click("a.button")
		b.click("button.yes")
		b.until(`(document.querySelector('#name') || {}).innerText === '<script>alert(1)<\/script>'`)
	})
	t.Run("a page that needs it", func(t *testing.T) {
		b := c.tab(t, wechattest.UAAndroid, chinese).as(s, "aqiang")
		b.open(public + "/named")
		b.notice("用微信身份继续", "consent-required")
		b.click("a.button")
		b.click("button.yes")
		b.until(`location.pathname === '/named' && (document.querySelector('#name') || {innerText: ''}).innerText.startsWith('阿强')`)
	})
	t.Run("no", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "wxuser")
		b.open(public + "/hello")
		b.until(inTheApp)
		b.open(wanted)
		b.click("a.button")
		b.click("button.no")
		b.until(`(document.querySelector('h1') || {}).innerText === '已拒绝授权'`)
		b.shot("simulator-denied")
		// Back to WeChat's question, and from there to our page, whose other link leads into the app.
		b.back()
		b.until(`document.querySelector('button.no') !== null`)
		b.back()
		b.notice("用微信身份继续", "consent-after-no")
		b.click("a.quiet")
		b.until(`location.pathname === '/hello' && ` + inTheApp)
	})
	t.Run("no, where it is needed", func(t *testing.T) {
		// "Not now", if it is offered, must not lead to the same question again.
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "faceless")
		b.open(public + "/hello")
		b.until(inTheApp)
		b.open(public + "/named")
		b.notice("用微信身份继续", "consent-required-again")
		asked := b.text("footer code")
		if b.text("a.quiet") != "" {
			b.click("a.quiet")
			b.until(`document.readyState === 'complete' && (document.querySelector('footer code') || {}).innerText !== '` + asked + `'`)
			if b.text("h1") == "用微信身份继续" {
				t.Errorf("not now leads to the same question, at %s", b.address())
			}
		}
	})
}

func TestScreenOtherVisitors(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	s := newScreenStage(t)
	s.start()
	public := "http://" + s.listen
	const phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Mobile Safari/537.36"
	noSession := func(b *tab) {
		b.t.Helper()
		if cookie := b.session(); cookie != nil {
			b.t.Errorf("a session for somebody who is not logged in: %+v", cookie)
		}
	}
	t.Run("snapshot", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "snapshot")
		b.open(public + "/play")
		b.notice("还差一步", "snapshot-guide")
		noSession(b)
	})
	t.Run("outside WeChat", func(t *testing.T) {
		b := c.tab(t, phone, chinese)
		b.open(public + "/play?room=7")
		b.notice("请在微信里打开", "open-in-wechat")
		if address := b.text("#address"); address != public+"/play?room=7" {
			t.Errorf("the address to copy is %s", address)
		}
		before := b.text("#status")
		b.click("#copy")
		b.until(`document.querySelector('#status').innerText !== '` + before + `'`)
		b.shot("open-in-wechat-copied")
		noSession(b)
	})
	t.Run("in English", func(t *testing.T) {
		b := c.tab(t, phone, english)
		b.open(public)
		b.notice("Open this in WeChat", "open-in-wechat-english")
	})
	t.Run("WeCom", func(t *testing.T) {
		b := c.tab(t, wechattest.UAWeCom, chinese)
		b.open(public)
		b.notice("请在微信里打开", "open-in-wechat-wecom")
	})
	t.Run("refused by WeChat", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "frozen")
		b.open(public)
		b.notice("微信没有允许登录", "login-refused")
		noSession(b)
	})
	t.Run("somebody else's callback", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese).as(s, "nameless")
		stolen := s.wechat.IssueCode(stageAppID, "aqiang", "snsapi_base")
		b.open(public + "/.wxgate/callback?code=" + stolen + "&state=" + strings.Repeat("a", 32))
		b.until(inTheApp)
		if _, used := s.wechat.Exchanges()[stolen]; used {
			t.Error("a code was used that belongs to no login of this browser")
		}
		if h := b.history(); slices.ContainsFunc(h, func(a string) bool { return strings.Contains(a, stolen) }) {
			t.Errorf("the code stays in the history %q", h)
		}
	})
	t.Run("form without a session", func(t *testing.T) {
		b := c.tab(t, wechattest.UAIOS, chinese)
		b.open(public + "/public")
		b.until(`document.querySelector('#path') !== null`)
		b.eval(`(() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/order'; document.body.append(f); f.submit(); return ''; })()`)
		b.notice("请先登录", "login-required")
		b.click("a.button")
		b.until(`location.pathname === '/public' && ` + inTheApp)
	})
}

func TestScreenFailures(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	s := newScreenStage(t)
	s.start()
	public := "http://" + s.listen
	b := c.tab(t, wechattest.UAIOS, chinese).as(s, "aqiang")

	b.open("http://localhost:" + strings.TrimPrefix(s.listen, "127.0.0.1:") + "/play")
	b.notice("网址不对", "wrong-host")
	b.click("a.button")
	b.until(`location.origin === '` + public + `' && ` + inTheApp)

	b.open(public + "/.wxgate/nothing")
	b.notice("没有这个页面", "not-found")
	b.open(public + "/.wxgate/callback?code=a&code=b&state=c")
	b.notice("链接有问题", "bad-request")

	stranger := c.tab(t, wechattest.UAAndroid, chinese).as(s, "xiaomei")
	s.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Times: -1, Drop: true, Processed: true})
	stranger.open(public + "/play?room=7")
	stranger.notice("暂时连不上微信", "wechat-down")
	s.wechat.ClearFaults()
	s.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Times: -1, Errcode: 40125})
	stranger.click("a.button")
	stranger.notice("登录暂时不可用", "wechat-misconfigured")
	s.wechat.ClearFaults()
	stranger.click("a.button")
	stranger.until(`location.search === '?room=7' && ` + inTheApp)
	for code, n := range s.wechat.Exchanges() {
		if n != 1 {
			t.Errorf("code %s was exchanged %d times", code, n)
		}
	}

	s.appAt.Close()
	b.open(public + "/play")
	b.notice("网站暂时打不开", "app-down")
	again := c.tab(t, wechattest.UAIOS, english).as(s, "aqiang")
	again.open(public + "/play")
	again.notice("The site is away for a moment", "app-down-english")
	a, err := s.visitor("aqiang").do(http.MethodGet, "/public", "Accept", "application/json")
	if err != nil || a.status != http.StatusBadGateway || !strings.Contains(a.body, `"upstream_unavailable"`) {
		t.Errorf("a script was told %v, %d %s", err, a.status, a.body)
	}
}

func TestScreenStoreDown(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	redis := storetest.StartRedis(t)
	s := newScreenStage(t, "WXGATE_STORE_URL="+redis.URL)
	p := s.start()
	public := "http://" + s.listen
	player := c.tab(t, wechattest.UAIOS, chinese).as(s, "aqiang")
	player.open(public + "/play")
	player.until(inTheApp)
	user := player.text("#user")

	redis.Stop()
	player.open(public + "/more") // known to this process, and an outage is no logout
	player.until(`location.pathname === '/more' && ` + inTheApp)
	stranger := c.tab(t, wechattest.UAIOS, chinese).as(s, "nameless")
	stranger.open(public + "/play")
	stranger.notice("暂时无法确认登录", "store-down-login")

	p.kill()
	launch(t, s.env)
	eventually(t, patience, "wxgate lives", func() bool { return probe(s.admin, "/healthz") == http.StatusOK })
	player.open(public + "/more")
	player.notice("暂时无法确认登录", "store-down")

	redis.Restart()
	eventually(t, patience, "ready", func() bool { return probe(s.admin, "/readyz") == http.StatusOK })
	player.click("a.button")
	player.until(`location.pathname === '/more' && document.querySelector('#user') !== null && document.querySelector('#user').innerText === '` + user + `'`)
	stranger.click("a.button")
	stranger.until(`location.pathname === '/play' && ` + inTheApp)
}

func TestScreenTooManyLogins(t *testing.T) {
	t.Parallel()
	c := newChrome(t)
	s := newScreenStage(t, "WXGATE_LOGIN_RATE=1/h")
	s.start()
	b := c.tab(t, wechattest.UAIOS, chinese)
	b.open("http://" + s.listen + "/play")
	b.notice("请稍等一下", "rate-limited")
}
