package proxy

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"wxgate/wechat/wechattest"
)

// twoWays are the replicas that the two deliveries of a callback may meet.
var twoWays = map[string]func(w *world) (first, second *Server){
	"one replica":  func(w *world) (*Server, *Server) { return w.replica(0), w.replica(0) },
	"two replicas": func(w *world) (*Server, *Server) { return w.replica(0), w.replica(1) },
}

func TestCallbackTwiceInSequence(t *testing.T) {
	t.Parallel()
	for name, choose := range twoWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 2, nil)
			one, two := choose(w)
			b := w.browser(android)
			callback := b.begin("/room/7?a=%2F")
			first := b.peek(one, callback).Result()
			second := b.at(two, callback).Result() // the browser had not seen the first answer
			third := b.at(one, callback).Result()  // and once more, when it has a session
			for i, res := range []*http.Response{first, second, third} {
				if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != w.front.URL+"/room/7?a=%2F" {
					t.Errorf("delivery %d: %d to %s", i+1, res.StatusCode, res.Header.Get("Location"))
				}
				if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "no-referrer" {
					t.Errorf("delivery %d may be cached or told to others: %v", i+1, res.Header)
				}
				if got := sessionOf(res); got == "" || got != sessionOf(first) {
					t.Errorf("delivery %d gives another session", i+1)
				}
			}
			if w.with(sessionOf(first), "/").user(t) == "" {
				t.Error("the session does not work")
			}
			w.oncePerCode(t, 1)
			if n := len(store.keys(t, "s:")); n != 1 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

func TestCallbackTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for name, choose := range twoWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 2, nil)
			one, two := choose(w)
			b := w.browser(android)
			callback := b.begin("/room/7")
			began, release := w.held(wechattest.Fault{})
			answers := make([]*http.Response, 2)
			var wg sync.WaitGroup
			wg.Go(func() { answers[0] = b.peek(one, callback).Result() })
			<-began
			wg.Go(func() { answers[1] = b.peek(two, callback).Result() })
			eventually(t, "both deliveries are being worked on", func() bool {
				return w.steps([]*Server{w.replica(0), w.replica(1)}, stepReturned) == 2
			})
			release()
			wg.Wait()
			for i, res := range answers {
				if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != w.front.URL+"/room/7" {
					t.Errorf("delivery %d: %d to %s", i+1, res.StatusCode, res.Header.Get("Location"))
				}
			}
			if a, b := sessionOf(answers[0]), sessionOf(answers[1]); a == "" || a != b {
				t.Errorf("two sessions of one code")
			}
			w.oncePerCode(t, 1)
			if n := len(store.keys(t, "s:")); n != 1 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// The first delivery may be dropped by the browser, whose second one then is
// the only one that can log it in.
func TestCallbackAbandonedAndRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	b := w.browser(android)
	callback := b.begin("/room/7")
	began, release := w.held(wechattest.Fault{})
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		r := httptest.NewRequest(http.MethodGet, strings.TrimPrefix(callback, w.front.URL), nil).WithContext(ctx)
		r.Host = strings.TrimPrefix(w.front.URL, "http://")
		r.Header.Set("Cookie", b.cookieHeader())
		w.replica(0).ServeHTTP(httptest.NewRecorder(), r)
	})
	<-began
	leave()
	wg.Wait()
	var second answer
	wg.Go(func() { second = b.open(callback) })
	eventually(t, "the second delivery", func() bool {
		return w.steps([]*Server{w.replica(0), w.replica(1)}, stepReturned) == 2
	})
	release()
	wg.Wait()
	if second.echoed(t).URI != "/room/7" {
		t.Errorf("ended at %s", second.Request.URL)
	}
	w.oncePerCode(t, 1)
}

// Without connect_redirect=1 WeChat on Android delivers one state with two
// codes; that parameter is not documented, so it may stop working.
func TestCallbackTwiceWithTwoCodes(t *testing.T) {
	t.Parallel()
	for _, both := range []string{"in sequence", "at once"} {
		t.Run(both, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, nil)
			w.wechat.Set(func(b *wechattest.Behaviour) { b.DoubleCallback = wechattest.DoubleOtherCode })
			b := w.browser(android)
			s := b.stay()
			page := s.open(s.open("/.wxgate/login?next=/room/7").Header.Get("Location"))
			callbacks := page.Header.Values(wechattest.CallbackHeader)
			if len(callbacks) != 2 || codeOf(callbacks[0]) == codeOf(callbacks[1]) {
				t.Fatalf("WeChat calls back at %q", callbacks)
			}
			answers := make([]*http.Response, 2)
			var wg sync.WaitGroup
			for i, c := range callbacks {
				wg.Go(func() { answers[i] = b.at(w.replica(i), c).Result() })
				if both == "in sequence" {
					wg.Wait()
				}
			}
			wg.Wait()
			for i, res := range answers {
				if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != w.front.URL+"/room/7" {
					t.Errorf("code %d: %d to %s", i+1, res.StatusCode, res.Header.Get("Location"))
				}
				// Nobody knows which of the two cookies the WebView keeps.
				if w.with(sessionOf(res), "/").user(t) == "" {
					t.Errorf("code %d: its session does not work", i+1)
				}
			}
			if b.open("/").user(t) == "" {
				t.Error("the browser has no session")
			}
			w.oncePerCode(t, 2)
		})
	}
}

func TestForeignBrowserGetsNothing(t *testing.T) {
	t.Parallel()
	strangers := map[string]func(w *world) *browser{
		"who never was here": func(w *world) *browser { return w.browser(iPhone).as("aqiang") },
		"in the middle of a login": func(w *world) *browser {
			b := w.browser(iPhone).as("aqiang")
			b.begin("/elsewhere")
			return b
		},
	}
	for name, stranger := range strangers {
		for _, order := range []string{"first", "second"} {
			t.Run("a stranger "+name+" comes "+order, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, 2, nil)
				owner, other := w.browser(iPhone), stranger(w)
				callback := owner.begin("/room/7")
				mine := ""
				if order == "second" {
					mine = owner.open(callback).user(t)
				}
				theirs := other.open(callback).echoed(t)
				if theirs.Header.Get("X-Wxgate-Openid") != w.wechat.OpenID("aqiang", testAppID) || theirs.URI != "/" {
					t.Errorf("the stranger became %s at %s", theirs.Header.Get("X-Wxgate-Openid"), theirs.URI)
				}
				if order == "first" {
					if w.wechat.Exchanges()[codeOf(callback)] != 0 {
						t.Error("the stranger's visit used the code")
					}
					mine = owner.open(callback).user(t)
				}
				if mine == "" || mine == theirs.Header.Get("X-Wxgate-User") {
					t.Errorf("owner %q, stranger %q", mine, theirs.Header.Get("X-Wxgate-User"))
				}
				w.oncePerCode(t, 2)
			})
		}
	}
	t.Run("a stranger with a session", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 2, nil)
		owner, other := w.browser(iPhone), w.browser(iPhone).as("aqiang")
		stranger := other.login()
		callback := owner.begin("/room/7")
		res := other.stay().open(callback)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != w.front.URL+"/" || sessionOf(res.Response) != "" {
			t.Errorf("answered %d to %s, cookies %q", res.StatusCode, res.Header.Get("Location"), res.Header["Set-Cookie"])
		}
		if other.open("/").user(t) != stranger {
			t.Error("the stranger became somebody else")
		}
		if user := owner.open(callback).user(t); user == "" || user == stranger {
			t.Errorf("the owner became %q", user)
		}
		w.oncePerCode(t, 2)
	})
}

// A code that somebody else's login brought before is theirs, even under a
// state of this browser.
func TestCodeOfAnotherLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, nil)
	owner, thief := w.browser(iPhone), w.browser(iPhone).as("aqiang")
	callback := owner.begin("/")
	mine := owner.open(callback).user(t)
	theirs, _ := url.Parse(thief.begin("/"))
	q := theirs.Query()
	q.Set("code", codeOf(callback))
	theirs.RawQuery = q.Encode()
	res := thief.stay().open(theirs.String())
	if res.StatusCode != http.StatusFound || !strings.HasPrefix(res.Header.Get("Location"), w.front.URL+"/.wxgate/login?") || len(res.Header["Set-Cookie"]) != 0 {
		t.Errorf("answered %d to %s, cookies %q", res.StatusCode, res.Header.Get("Location"), res.Header["Set-Cookie"])
	}
	if got := thief.open(theirs.String()).user(t); got == "" || got == mine {
		t.Errorf("with another's used code the browser became %q, its owner is %q", got, mine)
	}
	if n := w.wechat.Exchanges()[codeOf(callback)]; n != 1 {
		t.Errorf("the code was exchanged %d times", n)
	}
}

// Back button and reloads bring a callback address that is long used up.
func TestOldCallbackAddress(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	user := b.open(callback).user(t)
	store.forget(t, "c:") // two minutes later
	if e := b.open(callback).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-User") != user {
		t.Errorf("with a session: user %q at %s", e.Header.Get("X-Wxgate-User"), e.URI)
	}
	store.forget(t, "c:")
	b.setCookie("wxgate", "")
	starts := w.authorizes()
	if e := b.open(callback).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-User") != user {
		t.Errorf("without a session: user %q at %s", e.Header.Get("X-Wxgate-User"), e.URI)
	}
	if n := w.authorizes() - starts; n != 1 {
		t.Errorf("%d further logins for a code that WeChat refuses as used", n)
	}
}

func TestCallbackMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	b := w.browser(iPhone)
	callback := b.begin("/room/7")
	for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		res := b.stay().do(method, callback)
		if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodGet {
			t.Errorf("%s: %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
		}
	}
	w.oncePerCode(t, 0)
	if b.open(callback).user(t) == "" {
		t.Error("the login cannot be finished afterwards")
	}
}

// A login that runs out of a living session ends that one: the cookie is
// replaced, and a copy of the former one must not go on.
func TestLoginReplacesTheSession(t *testing.T) {
	t.Parallel()
	w, store := newSpied(t, 2, nil)
	b := w.browser(iPhone)
	first := b.login()
	old := b.cookies()["wxgate"]
	w.clock.advance(cacheLife)
	b.as("aqiang")
	w.clock.advance(cacheLife)
	second := b.open("/.wxgate/login?next=/").user(t)
	if second == "" || second == first || b.cookies()["wxgate"] == old {
		t.Errorf("user %q, before %q", second, first)
	}
	w.clock.advance(settled)
	if res := w.with(old, "/"); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the former session still answers %d", res.StatusCode)
	}
	if n := len(store.keys(t, "s:")); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
