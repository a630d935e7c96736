package proxy

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func body(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }

// WeChat fails in every way it knows. A code that may be consumed is never
// exchanged again, nobody is logged in, and the page leads on.
func TestWeChatFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault  wechattest.Fault
		status int
		page   pageID
		word   string
	}{
		"busy":                    {wechattest.Busy, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"quota":                   {wechattest.Fault{Errcode: 45011}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"unknown errcode":         {wechattest.Fault{Errcode: 99999}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"dropped before it":       {wechattest.Fault{Drop: true}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"dropped after it":        {wechattest.Drop, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"HTML":                    {wechattest.HTML, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"empty":                   {wechattest.Empty, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"2 MiB":                   {wechattest.Huge, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"502":                     {wechattest.Fault{Status: 502, Processed: true}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"redirect":                {wechattest.Fault{Status: 302, Header: http.Header{"Location": {"/sns/oauth2/access_token"}}}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"an array":                {wechattest.Fault{Body: body(`[{"openid":"o1","access_token":"t"}]`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"no openid":               {wechattest.Fault{Body: body(`{"access_token":"t","expires_in":7200,"scope":"snsapi_base"}`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"empty openid":            {wechattest.Fault{Body: body(`{"access_token":"t","openid":""}`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"openid with a line end":  {wechattest.Fault{Body: body(`{"access_token":"t","openid":"o1\r\nX-Wxgate-User: u"}`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"openid as an object":     {wechattest.Fault{Body: body(`{"access_token":"t","openid":{"a":1}}`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"errcode of another type": {wechattest.Fault{Body: body(`{"access_token":"t","openid":"o1","errcode":"broken"}`)}, 503, pageWeChatUnavailable, "wechat_unavailable"},
		"wrong appid":             {wechattest.Fault{Errcode: 40013}, 503, pageWeChatMisconfigured, "wechat_unavailable"},
		"wrong secret":            {wechattest.Fault{Errcode: 40125}, 503, pageWeChatMisconfigured, "wechat_unavailable"},
		"frozen secret":           {wechattest.Fault{Errcode: 40243}, 503, pageWeChatMisconfigured, "wechat_unavailable"},
		"address not listed":      {wechattest.Fault{Errcode: 40164}, 503, pageWeChatMisconfigured, "wechat_unavailable"},
		"person of high risk":     {wechattest.Fault{Errcode: 40226}, 403, pageLoginRefused, "login_refused"},
		"person limited":          {wechattest.Fault{Errcode: 50002}, 403, pageLoginRefused, "login_refused"},
		"person unauthorized":     {wechattest.Fault{Errcode: 50001}, 403, pageLoginRefused, "login_refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := newSpied(t, 2, nil)
			b := w.browser(iPhone)
			callback := b.begin("/room/7")
			w.wechat.Inject(wechattest.AccessTokenPath, tt.fault)
			first := b.open(callback)
			first.page(t, tt.status, tt.page)
			if sessionOf(first.Response) != "" || len(store.keys(t, "s:")) != 0 || len(store.keys(t, "u:")) != 0 {
				t.Error("somebody is logged in")
			}
			if first.StatusCode == http.StatusServiceUnavailable && first.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			// Delivered again, to whichever replica: the same answer, for
			// people and for scripts.
			b.open(callback).page(t, tt.status, tt.page)
			if e := b.fetch(callback).jsonError(t); e.Error != tt.word {
				t.Errorf("a script is told %+v", e)
			}
			w.oncePerCode(t, 1)
			if w.authorizes() != 1 {
				t.Error("retried by itself")
			}
			if tt.page == pageLoginRefused {
				if first.button() != "" {
					t.Error("the page invites to try what cannot succeed")
				}
				return
			}
			if e := b.open(first.button()).echoed(t); e.URI != "/room/7" || e.Header.Get("X-Wxgate-User") == "" {
				t.Errorf("the page's button leads to %s as %q", e.URI, e.Header.Get("X-Wxgate-User"))
			}
			w.oncePerCode(t, 2)
		})
	}
}

func TestRefusedCodeIsRetriedOnce(t *testing.T) {
	t.Parallel()
	for _, errcode := range []int{40029, 40163, 42003} {
		w := newWorld(t, 2, nil)
		b := w.browser(iPhone)
		w.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Errcode: errcode})
		if e := b.open("/room/7?a=1").echoed(t); e.URI != "/room/7?a=1" || e.Header.Get("X-Wxgate-User") == "" {
			t.Errorf("%d once: ended at %s as %q", errcode, e.URI, e.Header.Get("X-Wxgate-User"))
		}
		w.oncePerCode(t, 2)

		w = newWorld(t, 2, nil)
		b = w.browser(iPhone)
		w.wechat.Inject(wechattest.AccessTokenPath, wechattest.Fault{Errcode: errcode, Times: -1})
		res := b.open("/room/7")
		res.page(t, http.StatusBadRequest, pageInvalidCode)
		w.oncePerCode(t, 2)
		w.wechat.ClearFaults()
		if e := b.open(res.button()).echoed(t); e.URI != "/room/7" {
			t.Errorf("%d twice: the page's button leads to %s", errcode, e.URI)
		}
	}
}

func TestWrongSecretIsNoStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.MP.Secret = "wrong" })
	b := w.browser(iPhone)
	b.open("/room/7").page(t, http.StatusServiceUnavailable, pageWeChatMisconfigured)
	w.oncePerCode(t, 1)
	if calls := w.wechat.Calls(wechattest.AccessTokenPath); calls[0].Errcode != 40125 {
		t.Fatalf("WeChat answered %d", calls[0].Errcode)
	}
}

func TestWeChatSpeaksWithNewFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.wechat.Inject(wechattest.AccessTokenPath, wechattest.ExtraFields)
	if w.browser(iPhone).login() == "" {
		t.Error("an unknown field stops the login")
	}
}

// impatient gives WeChat little time.
func (w *world) impatient(c *Config) {
	c.WeChat = wechat.New(wechat.Config{APIURL: w.wechat.URL, OpenURL: w.wechat.URL, HTTP: &http.Client{Timeout: 50 * time.Millisecond}})
}

func TestWeChatNeverAnswers(t *testing.T) {
	t.Parallel()
	for _, processed := range []bool{false, true} {
		w := newWorld(t, 1, nil)
		w.restart(w.impatient)
		began, release := w.held(wechattest.Fault{Processed: processed})
		b := w.browser(iPhone)
		callback := b.begin("/room/7")
		b.open(callback).page(t, http.StatusServiceUnavailable, pageWeChatUnavailable)
		<-began
		res := b.open(callback)
		res.page(t, http.StatusServiceUnavailable, pageWeChatUnavailable)
		release()
		eventually(t, "the exchange is over", func() bool { return len(w.wechat.Calls(wechattest.AccessTokenPath)) == 1 })
		w.oncePerCode(t, 1)
		w.restart()
		if e := b.open(res.button()).echoed(t); e.URI != "/room/7" {
			t.Errorf("the page's button leads to %s", e.URI)
		}
	}
}

// Visitors who wait for a slow WeChat do not hold up anybody else.
func TestSlowWeChatHoldsUpOnlyLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	ready := w.browser(iPhone)
	ready.login()
	began, release := w.held(wechattest.Fault{Times: -1})
	waiting := w.browser(iPhone).as("aqiang")
	var wg sync.WaitGroup
	user := ""
	wg.Go(func() { user = waiting.login() })
	<-began
	if ready.open("/x").user(t) == "" {
		t.Error("a running session has to wait")
	}
	if s := ready.stay().open("/.wxgate/login?next=/"); s.StatusCode != http.StatusFound {
		t.Errorf("a login start has to wait: %d", s.StatusCode)
	}
	release()
	wg.Wait()
	if user == "" {
		t.Error("the slow login came to nothing")
	}
}
