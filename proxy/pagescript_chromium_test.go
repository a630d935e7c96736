package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdpnetwork "github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"wxgate/wechat/wechattest"
	"wxgate/yunxin/yunxintest"
)

// The tests below let Chromium run wxgate.js in pages behind the gateway.

// scriptedApp is an app whose pages include the script, under a policy that
// allows nothing beyond their own origin, and count what reaches them.
type scriptedApp struct {
	script string // the element that includes it
	header http.Header

	mu   sync.Mutex
	seen map[string]int // by method and path
}

const plainScript = `<script src="/.wxgate/wxgate.js"></script>`

func (a *scriptedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	if a.seen == nil {
		a.seen = map[string]int{}
	}
	a.seen[r.Method+" "+r.URL.Path]++
	a.mu.Unlock()
	switch {
	case strings.Contains(r.URL.Path, "/api/"):
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"user":%q}`, r.Header.Get("X-Wxgate-User"))
	case strings.HasSuffix(r.URL.Path, "/locked"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"login_required"}`)
	default:
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		fmt.Fprint(w, `<!doctype html><title>room</title><link rel="icon" href="data:,"><body>`+a.script)
	}
}

func (a *scriptedApp) count(what string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[what]
}

// screen is a tab of Chromium with a storage of its own.
type screen struct {
	t   *testing.T
	ctx context.Context
	w   *world
}

func (w *world) screen(t *testing.T, chromium context.Context, agent string) *screen {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if _, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent}); err != nil {
		t.Fatal(err)
	}
	return &screen{t, ctx, w}
}

// as makes the person in front of the screen one of the simulator's players.
func (s *screen) as(player string) {
	s.t.Helper()
	cookie := cdpnetwork.SetCookieParams{Name: wechattest.PlayerCookie, Value: player, URL: s.w.wechat.URL}
	if _, err := chromedp.Call(s.ctx, cdpnetwork.SetCookie, cookie); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) open(address string) {
	s.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = s.w.front.URL + address
	}
	if err := chromedp.Do(s.ctx, chromedp.Navigate(address)); err != nil {
		s.t.Fatal(err)
	}
}

// tell evaluates an expression, waits for the promise if it is one, and returns
// the value as text.
func (s *screen) tell(expression string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](`Promise.resolve(`+expression+`).then(String, e => 'failed: ' + e.message + ' ' + e.status + ' ' + e.code)`, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%s: %v", expression, err)
	}
	return got
}

func (s *screen) want(expression, want string) {
	s.t.Helper()
	if got := s.tell(expression); got != want {
		s.t.Errorf("%s is %s, want %s", expression, got, want)
	}
}

// until waits for a condition, through any number of pages.
func (s *screen) until(condition string) {
	s.t.Helper()
	var last error
	var there string
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; ; <-tick.C {
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		if last = err; err == nil && !ok {
			there, _ = chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + ' ' + document.body.innerText`))
		}
		cancel()
		if ok && err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s (%v) at %s", condition, last, there)
		}
	}
}

// start runs an expression that nobody waits for, on a page that is marked, to
// be told from the one that comes after it.
func (s *screen) start(expression string) {
	s.t.Helper()
	s.tell(`(window.before = true, void (` + expression + `))`)
}

// again waits for the page after a marked one.
const again = `!window.before && document.readyState === 'complete' && !!window.wxgate`

// endSession ends the session of the page as the gateway's operator would.
func (s *screen) endSession() {
	s.t.Helper()
	cookies, err := chromedp.Call(s.ctx, cdpnetwork.GetCookies, cdpnetwork.GetCookiesParams{URLs: []string{s.w.front.URL}})
	if err != nil {
		s.t.Fatal(err)
	}
	g := s.w.replica(0)
	for _, c := range cookies.Cookies {
		if key, ok := g.cfg.Sessions.Key(c.Value); ok && c.Name == "wxgate" {
			if err := g.sessions.end(s.ctx, key); err != nil {
				s.t.Fatal(err)
			}
			return
		}
	}
	s.t.Fatal("the page has no session")
}

func TestScriptLogsInAgain(t *testing.T) {
	chromium := pageBrowser(t)
	app := &scriptedApp{script: plainScript}
	w := newWorld(t, 1, app.ServeHTTP)
	const place = "/room/7?a=1&b=%2F&c=x+y#/seat/3?z=%20"
	for name, call := range map[string]string{
		"fetch": `wxgate.fetch('/api/rooms', {method: 'POST', body: 'x'})`, "Request": `wxgate.fetch(new Request('/api/rooms'))`, "yunxin": `wxgate.yunxin()`,
	} {
		s := w.screen(t, chromium, iPhone)
		s.open(place)
		s.open("about:blank")
		s.open(place)
		s.want(`wxgate.fetch('/api/rooms').then(r => r.status + r.headers.get('Content-Type'))`, "200application/json")
		first, entries := s.tell(`wxgate.me().then(m => m.user)`), s.tell(`history.length`)
		s.endSession()
		s.want(`wxgate.me()`, "null")
		// Calls that fail together are one login.
		s.start(`[` + strings.Repeat(call+`,`, 5) + `]`)
		s.until(again)
		s.want(`location.href`, w.front.URL+place)
		s.want(`history.length`, entries)
		s.want(`wxgate.me().then(m => m.user)`, first)
		s.want(`JSON.parse(sessionStorage.getItem('wxgate')).length`, "1")
		if t.Failed() {
			t.Fatal("with ", name)
		}
	}
	if n := app.count("POST /api/rooms"); n != 0 {
		t.Errorf("%d calls reached the app without a session", n)
	}
}

func TestScriptStopsLoggingIn(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, (&scriptedApp{script: plainScript}).ServeHTTP)
	s := w.screen(t, chromium, iPhone)
	s.open("/room")
	for range 2 {
		s.endSession()
		s.start(`wxgate.fetch('/api/rooms')`)
		s.until(again)
		w.clock.advance(2 * time.Minute) // the gateway's own guard is not what is asked here
	}
	s.endSession()
	s.tell(`(window.events = [], addEventListener('wxgate:login-required', e => events.push(e.detail.url)))`)
	s.want(`wxgate.fetch('/api/rooms')`, "failed: wxgate: login required 401 login_required")
	s.want(`events.map(u => new URL(u).pathname)`, "/.wxgate/login")
	s.want(`wxgate.yunxin()`, "failed: wxgate: login required 401 login_required")
	s.want(`events.length`, "2")
	// The page's own calls are left alone, and it stays where it is.
	s.want(`fetch('/api/rooms').then(r => r.status)`, "401")
	s.until(`events.length === 3`)
	s.want(`location.pathname`, "/room")
	// A minute later it may go again.
	s.tell(`sessionStorage.setItem('wxgate', JSON.stringify(JSON.parse(sessionStorage.getItem('wxgate')).map(t => t - 60000)))`)
	s.start(`wxgate.fetch('/api/rooms')`)
	s.until(again)

	// Where nobody can count, nobody goes.
	s.endSession()
	s.tell(`(window.before = true, window.events = [], addEventListener('wxgate:login-required', e => events.push(e)), Object.defineProperty(window, 'sessionStorage', {get() { throw new Error('off') }}))`)
	s.want(`wxgate.fetch('/api/rooms')`, "failed: wxgate: login required 401 login_required")
	s.want(`events.length + ' ' + before`, "1 true")
}

func TestScriptAsksForProfile(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, (&scriptedApp{script: plainScript}).ServeHTTP, rules("profile /vip/"))
	s := w.screen(t, chromium, iPhone)
	s.open("/room")
	s.open("/room?x#/vip")
	s.want(`fetch('/vip/api/x').then(r => r.status)`, "403")
	s.start(`wxgate.fetch('/vip/api/x')`)
	s.until(`location.pathname === '/.wxgate/login' && document.readyState === 'complete'`)
	s.want(`new URLSearchParams(location.search).get('next') + ' ' + new URLSearchParams(location.search).get('profile')`, "/room?x#/vip 1")
	s.tell(`document.querySelector('main a').click()`)
	s.until(`location.origin === '` + w.wechat.URL + `' && !!document.querySelector('.yes')`)
	s.tell(`document.querySelector('.yes').click()`)
	s.until(again)
	s.want(`location.href`, w.front.URL+"/room?x#/vip")
	s.want(`wxgate.fetch('/vip/api/x').then(r => r.status)`, "200")
	s.want(`wxgate.me().then(m => m.profile && m.name !== '')`, "true")
}

func TestScriptWaitsForYunxin(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, (&scriptedApp{script: plainScript}).ServeHTTP)
	down := yunxintest.Fault{Times: -1, Status: http.StatusBadGateway}
	w.yunxin.Inject(down)
	s := w.screen(t, chromium, iPhone)
	s.open("/room")
	// The page's clock is the test's.
	s.tell(`(window.waits = [], window.setTimeout = (f, ms) => { waits.push(ms); window.go = f; })`)
	s.tell(`void (window.result = wxgate.yunxin(), result.catch(() => {}))`)
	for i := range 2 {
		s.until(fmt.Sprintf(`waits.length === %d`, i+1))
		if i == 1 {
			w.yunxin.ClearFaults()
		}
		s.tell(`go()`)
	}
	s.want(`result.then(y => y.account.length + ' ' + y.appKey.length + ' ' + (y.token !== '') + ' ' + y.authType)`, "26 32 true 0")
	s.want(`waits`, "5000,5000")

	// It gives up in the end.
	other := w.screen(t, chromium, iPhone)
	w.yunxin.Inject(down)
	other.as("aqiang")
	other.open("/room")
	other.tell(`(window.waits = [], window.setTimeout = (f, ms) => { waits.push(ms); f(); })`)
	other.want(`wxgate.yunxin()`, "failed: wxgate: "+accountUnavailable.message+" 503 upstream_unavailable")
	other.want(`waits.length`, "5")
}
