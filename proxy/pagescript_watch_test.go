package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const injectedScript = `<script src="/.wxgate/wxgate.js" defer></script>`

// An unmodified page recovers from the end of its session, and its own calls
// end exactly as they would have without the script.
func TestScriptWatchesThePagesCalls(t *testing.T) {
	chromium := pageBrowser(t)
	app := &scriptedApp{script: injectedScript}
	w := newWorld(t, 1, app.ServeHTTP, rules("public /open/; public /locked"))
	s := w.screen(t, chromium, iPhone)
	const place = "/room/7?a=1#/seat/3"
	s.open(place)
	s.open("about:blank")
	s.open(place)
	for name, call := range map[string]string{
		"fetch": `fetch('/api/rooms').then(r => r.text().then(text => window.got = r.status + text))`,
		"XMLHttpRequest": `(() => { const x = new XMLHttpRequest(); x.open('POST', '/api/rooms'); x.responseType = 'arraybuffer';
			x.onload = () => window.got = x.status + new TextDecoder().decode(x.response); x.send('x'); })()`,
		"synchronous": `(() => { const x = new XMLHttpRequest(); x.open('GET', '/api/rooms', false); x.send(); window.got = x.status + x.responseText; })()`,
	} {
		s.endSession()
		// What the app is told survives the page here.
		s.start(`(Object.defineProperty(window, 'got', {set(v) { sessionStorage.setItem('got', v); }}), ` + call + `)`)
		s.until(again)
		s.want(`location.href`, w.front.URL+place)
		s.want(`(() => { const got = sessionStorage.getItem('got'); return got.slice(0, 3) + JSON.parse(got.slice(3)).error; })()`, "401login_required")
		s.want(`fetch('/api/rooms').then(r => r.status)`, "200")
		s.tell(`sessionStorage.clear()`)
		w.clock.advance(2 * time.Minute)
		if t.Failed() {
			t.Fatal("with ", name)
		}
	}

	// A refusal by the app itself is none of ours.
	s.tell(`(window.before = true)`)
	s.want(`fetch('/locked').then(r => r.text().then(text => r.status + text))`, `401{"error":"login_required"}`)
	s.want(`performance.getEntriesByType('resource').filter(e => e.name.endsWith('/.wxgate/me')).length`, "0")

	// Failures reach the page as they would without the script: once, and only
	// if it does not handle them.
	s.tell(`(window.lost = [], addEventListener('unhandledrejection', e => { lost.push(e.reason.name); e.preventDefault(); }))`)
	s.want(`fetch('/locked', {signal: AbortSignal.abort()}).catch(e => e.name)`, "AbortError")
	s.want(`fetch('//[').catch(e => e.name)`, "TypeError")
	s.want(`lost.length`, "0")
	s.tell(`void fetch('//[')`)
	s.until(`lost.length > 0`)
	s.want(`lost`, "TypeError")
	s.want(`before`, "true")
}

// A page that needs no login is not taken away from visitors who have none.
func TestScriptLeavesOpenPagesAlone(t *testing.T) {
	chromium := pageBrowser(t)
	app := &scriptedApp{script: injectedScript}
	w := newWorld(t, 1, app.ServeHTTP, rules("public /open/"))
	s := w.screen(t, chromium, iPhone)
	s.open("/open/start")
	s.want(`fetch('/api/rooms').then(r => r.status)`, "401")
	eventually(t, "the script asked for the page", func() bool { return app.count("HEAD /open/start") == 1 })
	// It has read the answer when it asks no more, however much later.
	asked := func() int { return strings.Count(w.log.String(), `"path":"/.wxgate/me"`) }
	s.tell(`(window.late = Date.now(), Date.now = () => late += 60000)`)
	before := 0
	eventually(t, "the script stops asking", func() bool {
		before = asked()
		for range 5 {
			s.want(`fetch('/api/rooms').then(r => r.status)`, "401")
			s.want(`wxgate.me()`, "null")
		}
		return asked() == before+5
	})
	s.want(`location.pathname + ' ' + sessionStorage.length`, "/open/start 0")
	// But a call that asks for a login gets one.
	s.start(`wxgate.fetch('/api/rooms')`)
	s.until(again)
	s.want(`location.pathname`, "/open/start")
	s.want(`fetch('/api/rooms').then(r => r.status)`, "200")
}

func TestScriptCanBeToldToKeepStill(t *testing.T) {
	chromium := pageBrowser(t)
	w := newWorld(t, 1, (&scriptedApp{script: `<script src="/.wxgate/wxgate.js" data-manual></script>`}).ServeHTTP)
	s := w.screen(t, chromium, iPhone)
	s.open("/room")
	s.want(`/native code/.test(fetch) && /native code/.test(XMLHttpRequest.prototype.send)`, "true")
	s.endSession()
	s.start(`wxgate.fetch('/api/rooms')`)
	s.until(again)
	s.want(`wxgate.me().then(m => m.user.length)`, "26")
}

// Pages from a cache may be older than the session's end.
func TestScriptChecksPagesFromTheCache(t *testing.T) {
	chromium := pageBrowser(t)
	app := &scriptedApp{script: injectedScript, header: http.Header{"Cache-Control": {"max-age=3600"}}}
	w := newWorld(t, 1, app.ServeHTTP, rules("public /open/"))
	s := w.screen(t, chromium, iPhone)
	s.open("/room")
	s.open("/open/start")
	s.endSession()
	loads := app.count("GET /room")
	s.open("/room") // the cached one, which leaves for login
	s.until(again + ` && sessionStorage.getItem('wxgate') !== null && performance.timeOrigin > JSON.parse(sessionStorage.getItem('wxgate'))[0]`)
	s.want(`location.pathname`, "/room")
	s.want(`wxgate.me().then(m => m.user.length)`, "26")
	if n := app.count("GET /room"); n > loads+1 {
		t.Errorf("the page was loaded %d times", n-loads)
	}

	// From the browser's memory of pages (back-forward cache), as far as an event tells.
	s.open("/room?2")
	s.endSession()
	w.clock.advance(2 * time.Minute)
	s.start(`dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))`)
	s.until(again)
	s.want(`location.pathname + location.search`, "/room?2")
	s.want(`wxgate.me().then(m => m.user.length)`, "26")

	// A page that everybody may see stays, session or not.
	s.endSession()
	s.open("/open/start")
	s.want(`performance.getEntriesByType('navigation')[0].transferSize`, "0")
	eventually(t, "the script asked for the page", func() bool { return app.count("HEAD /open/start") == 1 })
	s.want(`location.pathname`, "/open/start")
}

// Pages of other origins that include the script ask the gateway it came from.
func TestScriptInPagesOfOtherOrigins(t *testing.T) {
	chromium := pageBrowser(t)
	var gate string
	page := func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.Write([]byte(`<!doctype html><title>other</title><link rel="icon" href="data:,"><script src="` + gate + `/.wxgate/wxgate.js"></script>`))
	}
	listed, unlisted := httptest.NewServer(http.HandlerFunc(page)), httptest.NewServer(http.HandlerFunc(page))
	t.Cleanup(listed.Close)
	t.Cleanup(unlisted.Close)
	w := newWorld(t, 1, func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		h.Set("Access-Control-Allow-Credentials", "true")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "PUT")
			h.Set("Access-Control-Allow-Headers", "x-csrf")
			if r.Header.Get("X-Wxgate-User") != "" {
				t.Error("a preflight has an identity")
			}
			return
		}
		rw.Write([]byte(r.Method + r.Header.Get("X-Wxgate-User")))
	}, func(c *Config) { c.AllowedOrigins = []string{listed.URL} }).scripting()
	gate = w.front.URL
	put := `fetch('` + gate + `/api/x', {method: 'PUT', credentials: 'include', headers: {'X-Csrf': '1'}})`

	s := w.screen(t, chromium, android)
	s.open("/")
	s.open(listed.URL)
	s.tell(`(window.before = true)`)
	s.want(`wxgate.me().then(m => m.user.length)`, "26")
	s.want(`wxgate.yunxin().then(y => y.account.length)`, "26")
	s.want(put+`.then(r => r.text()).then(text => text.length)`, "29")
	s.want(`fetch('`+gate+`/.wxgate/jssdk?url='+encodeURIComponent('`+gate+`/'), {headers: {'X-Any': '1'}}).then(r => r.json()).then(c => c.signature.length)`, "40")
	s.want(`/native code/.test(fetch)`, "true")

	s.open(unlisted.URL)
	s.want(`wxgate.me()`, "failed: Failed to fetch undefined undefined")
	s.want(`wxgate.yunxin()`, "failed: Failed to fetch undefined undefined")
	s.want(put, "failed: Failed to fetch undefined undefined")
	s.want(`fetch('`+gate+`/.wxgate/logout', {method: 'POST', mode: 'no-cors', credentials: 'include'}).then(r => r.type)`, "opaque")

	s.open(listed.URL)
	s.tell(`(window.before = true)`)
	s.want(`wxgate.me().then(m => m.user.length)`, "26") // the other page's logout did nothing
	s.want(`fetch('`+gate+`/.wxgate/logout', {method: 'POST', credentials: 'include', headers: {'X-Any': '1'}}).then(r => r.status)`, "204")
	s.want(`wxgate.me()`, "null")
	s.want(put+`.then(r => r.json().then(b => r.status + b.error))`, "401login_required")
	// A login could not lead back here, so the page is told and stays.
	s.want(`wxgate.fetch('`+gate+`/api/x', {credentials: 'include'}).then(r => r.status)`, "401")
	s.want(`wxgate.yunxin()`, "failed: "+"wxgate: "+loginRequired.message+" 401 login_required")
	s.want(`before + ' ' + sessionStorage.length`, "true 0")
}
