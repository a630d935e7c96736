package proxy

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	devnet "github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"wxgate/session"
	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// qrTab is a tab in a browser profile of its own.
type qrTab struct {
	t      *testing.T
	ctx    context.Context
	frames map[string]bool // those that were attached to
}

const (
	pcWidth, pcHeight       = 1280, 800
	phoneWidth, phoneHeight = 390, 844
	tabPatience             = 30 * time.Second
)

// newQRTab opens a tab with a User-Agent and a language, without cookies of third
// parties.
func newQRTab(t *testing.T, chromium context.Context, agent, language string, width, height int64) *qrTab {
	t.Helper()
	ctx, stop := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	options := []chromedp.EmulateViewportOption{chromedp.EmulateScale(1)}
	if width == phoneWidth {
		options = []chromedp.EmulateViewportOption{chromedp.EmulateScale(2), chromedp.EmulateMobile}
	}
	b := &qrTab{t, ctx, map[string]bool{}}
	b.do(chromedp.EmulateViewport(width, height, options...))
	devtools(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
	devtools(b, devnet.Enable, devnet.EnableParams{})
	devtools(b, devnet.SetCookieControls, devnet.SetCookieControlsParams{EnableThirdPartyCookieRestriction: true})
	return b
}

func devtools[P any](b *qrTab, command cdp.Command[P, cdp.Empty], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

func (b *qrTab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	err := chromedp.Do(ctx, actions...)
	for err != nil && strings.Contains(err.Error(), "Could not find node") {
		err = chromedp.Do(ctx, actions...) // the page was drawn anew between look and touch, and nothing was done
	}
	if err != nil {
		b.t.Fatalf("browser: %v\nat %s", err, b.eval(`location.href + " " + document.body.innerText`))
	}
}

func (b *qrTab) open(address string) { b.t.Helper(); b.do(chromedp.Navigate(address)) }

func (b *qrTab) click(selector string) { b.t.Helper(); b.do(chromedp.Click(chromedp.CSS(selector))) }

func (b *qrTab) eval(expression string) string {
	ctx, cancel := context.WithTimeout(b.ctx, tabPatience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		return "(" + err.Error() + ")" // between two pages, for one
	}
	return s
}

// until waits for an expression to hold a text, through any number of pages.
func (b *qrTab) until(expression, want string) {
	b.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(tabPatience)
	defer tick.Stop()
	for got := ""; ; {
		if got = b.eval(expression); strings.Contains(got, want) {
			return
		}
		select {
		case <-end:
			b.t.Fatalf("%s is %.500q, never %q\nat %s", expression, got, want, b.eval("location.href"))
		case <-tick.C:
		}
	}
}

func (b *qrTab) title(id pageID) { b.t.Helper(); b.until("document.title", pageTopics[id].zh.Title) }

// frame attaches to the frame of another site in the page, once to each: the one
// of the page before may linger, and whoever attaches to that waits for ever.
func (b *qrTab) frame(address string) *qrTab {
	b.t.Helper()
	tick, end := time.NewTicker(20*time.Millisecond), time.After(tabPatience)
	defer tick.Stop()
	for {
		targets, err := chromedp.Targets(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, target := range targets {
			if id := string(target.TargetID); target.Type == "iframe" && strings.HasPrefix(target.URL, address) && !b.frames[id] {
				b.frames[id] = true
				ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(target.TargetID))
				b.t.Cleanup(stop)
				if err := chromedp.Do(ctx); err != nil { // begins it; must have no time limit
					b.t.Fatal(err)
				}
				return &qrTab{b.t, ctx, map[string]bool{}}
			}
		}
		select {
		case <-end:
			b.t.Fatalf("no frame of %s", address)
		case <-tick.C:
		}
	}
}

// fits checks that a page is not wider than its screen, and keeps a picture of
// it in the folder WXGATE_TEST_SCREENSHOTS, if that is set.
func (b *qrTab) fits(name string) {
	b.t.Helper()
	if got := b.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); got != "0" {
		b.t.Errorf("%s: %s pixels too wide", name, got)
	}
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

// arrived waits for the app's page and returns what the app was told.
func (b *qrTab) arrived(uri string) string {
	b.t.Helper()
	b.until("location.pathname + location.search", uri)
	b.until("document.body.innerText", `"X-Wxgate-User"`)
	return b.eval("document.body.innerText")
}

// framedBy makes WeChat's pages another site than the gateway, and serves them at
// address instead of the simulator, if one is given.
func framedBy(w func() *world, address string) option {
	return func(c *Config) {
		open := strings.Replace(w().wechat.URL, "127.0.0.1", "localhost", 1)
		if address != "" {
			open = address
		}
		c.WeChat = wechat.New(wechat.Config{APIURL: w().wechat.URL, OpenURL: open})
	}
}

// newFramedWorld is a world whose WeChat pages are of another site.
func newFramedWorld(t *testing.T, qr, address string) *world {
	t.Helper()
	w := newWebWorld(t, 1, qr)
	w.restart(withWeb(qr), framedBy(func() *world { return w }, address))
	return w
}

// The frame in our page takes the top window to the callback though nobody has
// touched it and no cookie of a third party is kept; what ends inside the frame
// leaves a page that can begin anew.
func TestQRFrameInChromium(t *testing.T) {
	chromium := pageBrowser(t)
	w := newFramedWorld(t, "embed", "")
	open := strings.Replace(w.wechat.URL, "127.0.0.1", "localhost", 1)
	for _, screen := range []struct {
		name          string
		width, height int64
	}{{"1280", pcWidth, pcHeight}, {"390", phoneWidth, phoneHeight}} {
		pc := newQRTab(t, chromium, desktop, "zh-CN", screen.width, screen.height)
		pc.open(w.front.URL + "/room/7?x=1")
		pc.title(pageQRFrame)
		frame := pc.frame(open + "/connect/qrconnect?")
		words := `document.getElementById("words").innerText`
		frame.until(words, "微信扫一扫")
		pc.fits("qr-frame-" + screen.name)

		frame.click(`button[value="cancel"]`)
		frame.until(words, "你已取消")
		pc.fits("qr-frame-cancelled-" + screen.name)
		pc.click(`.quiet[href*="/.wxgate/login"]`)
		pc.until(`document.readyState + document.querySelector("iframe").src`, "complete")
		frame = pc.frame(open + "/connect/qrconnect?")
		frame.until(words, "微信扫一扫")

		// The phone is elsewhere.
		confirmation := frame.eval(`document.getElementById("code").href`)
		phone := w.browser(iPhone)
		phone.post(confirmation, url.Values{"qr": {"confirm"}, "player": {"aqiang"}})
		if told := pc.arrived("/room/7?x=1"); !strings.Contains(told, w.wechat.OpenID("aqiang", webAppID)) {
			t.Errorf("logged in as somebody else: %s", told)
		}
	}
}

func TestQRRedirectInChromium(t *testing.T) {
	chromium := pageBrowser(t)
	w := newFramedWorld(t, "redirect", "")
	w.wechat.Set(func(b *wechattest.Behaviour) { b.QRDenyRedirects = true })
	pc := newQRTab(t, chromium, desktop, "zh-CN", pcWidth, pcHeight)
	pc.open(w.front.URL + "/room/7?x=1")
	words := `document.getElementById("words").innerText`
	pc.until(words, "微信扫一扫")
	pc.click(`button[value="cancel"]`)
	pc.title(pageDenied)
	pc.fits("qr-denied-1280")
	pc.click(".button")
	pc.until(words, "微信扫一扫")
	pc.click(`button[value="confirm"]`)
	pc.arrived("/room/7?x=1")
}

// Where the frame does not load, the whole page is opened without anybody's
// help; where that is all that works, the visitor does not notice.
func TestQRFrameDoesNotLoad(t *testing.T) {
	chromium := pageBrowser(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://localhost:" + dead.Addr().String()[strings.LastIndexByte(dead.Addr().String(), ':')+1:]
	dead.Close()

	t.Run("unreachable", func(t *testing.T) {
		w := newFramedWorld(t, "embed", refused)
		pc := newQRTab(t, chromium, desktop, "zh-CN", pcWidth, pcHeight)
		go chromedp.Do(pc.ctx, chromedp.Navigate(w.front.URL+"/")) // ends on a page that is none
		// The address of a page that did not load is still what was asked for.
		tick, end := time.NewTicker(20*time.Millisecond), time.After(tabPatience)
		defer tick.Stop()
		for {
			targets, err := chromedp.Targets(pc.ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range targets {
				if target.Type == "page" && strings.HasPrefix(target.URL, refused+"/connect/qrconnect?") && strings.Contains(target.URL, "response_type=code") {
					return
				}
			}
			select {
			case <-end:
				t.Fatal("the whole page was never asked for")
			case <-tick.C:
			}
		}
	})

	t.Run("only the frame hangs", func(t *testing.T) {
		var inside atomic.Pointer[wechattest.Server]
		hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("login_type") == "jssdk" {
				<-r.Context().Done() // swallowed by something on the way
				return
			}
			inside.Load().ServeHTTP(w, r)
		}))
		defer hang.Close()
		w := newFramedWorld(t, "embed", strings.Replace(hang.URL, "127.0.0.1", "localhost", 1))
		inside.Store(w.wechat)
		pc := newQRTab(t, chromium, desktop, "zh-CN", pcWidth, pcHeight)
		go chromedp.Do(pc.ctx, chromedp.Navigate(w.front.URL+"/room/7"))
		pc.until(`document.getElementById("words").innerText`, "微信扫一扫")
		if got := pc.eval("location.search"); !strings.Contains(got, "response_type=code") {
			t.Errorf("at %s", got)
		}
		pc.click(`button[value="confirm"]`)
		pc.arrived("/room/7")
	})
}

// A PC and a phone, two browsers: the whole of the login by the phone, the pages
// on both, and the ways in which it ends otherwise.
func TestPairInChromium(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 2, nil)
	for _, lang := range []string{"zh-CN", "en"} {
		pc := newQRTab(t, chromium, desktop, lang, pcWidth, pcHeight)
		phone := newQRTab(t, chromium, iPhone, lang, phoneWidth, phoneHeight)
		devtools(pc, devnet.SetCookieControls, devnet.SetCookieControlsParams{EnableThirdPartyCookieRestriction: true})
		ask := func() string {
			t.Helper()
			pc.open(w.front.URL + "/room/7?x=1")
			pc.until(`document.getElementById("pair").getAttribute("data-pair")`, pairPath)
			path := pc.eval(`document.getElementById("pair").getAttribute("data-pair")`)
			phone.open(w.front.URL + path)
			phone.until("location.pathname + document.forms.length", path+"1")
			return pc.eval(`document.querySelector(".compare b").innerText`)
		}

		number := ask()
		pc.fits("pair-pc-" + lang)
		phone.fits("pair-phone-" + lang)
		// Without a choice the browser itself asks for one.
		phone.click(`button[value="confirm"]`)
		if got := phone.eval(`document.querySelector("form").checkValidity()`); got != "false" {
			t.Error("the form can be sent without a number")
		}
		phone.click(`input[value="` + number + `"]`)
		phone.fits("pair-phone-chosen-" + lang)
		phone.click(`button[value="confirm"]`)
		phone.until("document.forms.length + document.querySelector('h1').className + document.title", "0")
		phone.fits("pair-phone-done-" + lang)
		pc.arrived("/room/7?x=1")
		if got := pc.eval("history.length"); got != "2" { // about:blank, and where it arrived
			t.Errorf("%s entries in the history: back leads to a used QR code", got)
		}

		devtools(pc, devnet.ClearBrowserCookies, cdp.Empty{})
		ask()
		phone.click(`button[value="refuse"]`)
		pc.until(`document.getElementById("refused").hidden`, "false")
		pc.fits("pair-pc-refused-" + lang)
		phone.until("document.forms.length", "0")
		phone.fits("pair-phone-refused-" + lang)
		pc.click("#over .button")
		pc.until(`document.getElementById("pair").hidden`, "false")

		number = ask()
		wrong := phone.eval(`[].map.call(document.querySelectorAll("input"), function (i) { return i.value; }).filter(function (v) { return v !== "` + number + `"; })[0]`)
		phone.click(`input[value="` + wrong + `"]`)
		phone.click(`button[value="confirm"]`)
		phone.until("document.forms.length", "0")
		phone.fits("pair-phone-mistaken-" + lang)
		pc.until(`document.getElementById("refused").hidden`, "false")

		ask()
		w.clock.advance(session.PairLife)
		pc.until(`document.getElementById("expired").hidden`, "false")
		pc.fits("pair-pc-expired-" + lang)
		phone.click(`input[value]`)
		phone.click(`button[value="confirm"]`)
		phone.until("document.forms.length", "0")
		phone.fits("pair-phone-over-" + lang)
		pc.click("#over .button")
		pc.until(`document.getElementById("pair").hidden`, "false")
		pc.open("about:blank") // its stream must not outlast the test
	}
}

// Where no events arrive the page asks again and again.
func TestPairPollsInChromium(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, nil)
	var polls, streams atomic.Int64
	gateway := w.front.Config.Handler
	w.front.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/wait") {
			if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
				streams.Add(1)
				http.Error(rw, "no streams here", http.StatusBadGateway)
				return
			}
			polls.Add(1)
		}
		gateway.ServeHTTP(rw, r)
	})
	phone := w.browser(iPhone)
	phone.login()
	pc := newQRTab(t, chromium, desktop, "zh-CN", pcWidth, pcHeight)
	pc.open(w.front.URL + "/room/7")
	pc.title(pageQRPair)
	eventually(t, "the page polls", func() bool { return polls.Load() >= 2 })
	path := pc.eval(`document.getElementById("pair").getAttribute("data-pair")`)
	phone.post(path, confirm(pc.eval(`document.querySelector(".compare b").innerText`))).page(t, http.StatusOK, pagePairDone)
	pc.arrived("/room/7")
	if streams.Load() != 1 {
		t.Errorf("%d streams were tried", streams.Load())
	}
}

// A browser that knows no Fetch Metadata names the origin of the phone's form,
// which it would hide as "null" on a page without the page's own referrer
// policy.
func TestPairFormNamesItsOrigin(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, nil)
	origins := make(chan string, 4)
	gateway := w.front.Config.Handler
	w.front.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			origins <- r.Header.Get("Origin")
			for name := range r.Header {
				if strings.HasPrefix(name, "Sec-Fetch-") {
					r.Header.Del(name)
				}
			}
		}
		gateway.ServeHTTP(rw, r)
	})
	wait := w.browser(desktop).pair("/")
	phone := newQRTab(t, chromium, iPhone, "zh-CN", phoneWidth, phoneHeight)
	phone.open(w.front.URL + wait.path)
	phone.click(`input[value="` + wait.number + `"]`)
	phone.click(`button[value="confirm"]`)
	phone.title(pagePairDone)
	if got := <-origins; got != w.front.URL {
		t.Errorf("Origin was %q", got)
	}
	if wait.state() != waitConfirmed {
		t.Error("not confirmed")
	}
}

// A phone outside WeChat, and pages for the operator.
func TestOpenInWeChatInChromium(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWebWorld(t, 1, "embed")
	phone := newQRTab(t, chromium, phoneSafari, "zh-CN", phoneWidth, phoneHeight)
	phone.open(w.front.URL + "/claw/room/12?from=share")
	phone.title(pageOpenInWeChat)
	phone.fits("open-in-wechat-390")
	none := newWorld(t, 1, nil, func(c *Config) { c.MP = wechat.App{} })
	phone.open(none.front.URL + "/")
	phone.title(pageWeChatMisconfigured)
	phone.fits("nothing-configured-390")
}
