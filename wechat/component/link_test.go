package component_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat/component"
	"wxgate/wechat/wechattest"
)

// A link is for the first browser that opens it, until its day is over.
func TestLinkIsForOneBrowser(t *testing.T) {
	w, p := ready(t)
	token, made, err := p.NewLink(t.Context(), component.Link{AuthType: 1, BizAppID: accountID, Mobile: true})
	if err != nil || !made.Expires.After(w.sim.Now().Add(23*time.Hour)) {
		t.Fatalf("%+v, %v", made, err)
	}
	l, state, err := p.OpenLink(t.Context(), token, nobodys)
	if err != nil || l != made || state == "" {
		t.Fatalf("opened %+v, %q, %v", l, state, err)
	}
	if _, _, err := p.OpenLink(t.Context(), token, nobodys); !errors.Is(err, component.ErrLink) {
		t.Errorf("a second browser: %v", err)
	}
	if _, again, err := p.OpenLink(t.Context(), token, func(s string) bool { return s == state }); err != nil || again != state {
		t.Errorf("the same browser: %q, %v", again, err)
	}
	w.sim.Advance(24*time.Hour + time.Second)
	if _, _, err := p.OpenLink(t.Context(), token, func(string) bool { return true }); !errors.Is(err, component.ErrLink) {
		t.Errorf("a day later: %v", err)
	}
	for _, bogus := range []string{"", "x", token + "x", strings.ToLower(token)} {
		if _, _, err := p.OpenLink(t.Context(), bogus, nobodys); !errors.Is(err, component.ErrLink) {
			t.Errorf("link %q: %v", bogus, err)
		}
	}
}

// A link is for one account: who has authorized cannot begin again with it, not
// even in the same browser. The return may come again.
func TestLinkIsUsedOnce(t *testing.T) {
	w, p := ready(t)
	token, _, err := p.NewLink(t.Context(), component.Link{AuthType: 3})
	if err != nil {
		t.Fatal(err)
	}
	_, state, err := p.OpenLink(t.Context(), token, nobodys)
	if err != nil {
		t.Fatal(err)
	}
	mine := func(s string) bool { return s == state }
	if _, err := p.Returned(t.Context(), state, "queryauthcode@@@bogus", time.Hour); !errors.Is(err, component.ErrCode) {
		t.Fatalf("a bogus code: %v", err)
	}
	if _, _, err := p.OpenLink(t.Context(), token, mine); err != nil {
		t.Errorf("after a code that WeChat refused: %v", err)
	}
	code := w.sim.Grant(platformID, accountID)
	for range 2 {
		if a, err := p.Returned(t.Context(), state, code, time.Hour); err != nil || a.AppID != accountID {
			t.Errorf("%+v, %v", a, err)
		}
	}
	if _, _, err := p.OpenLink(t.Context(), token, mine); !errors.Is(err, component.ErrLink) {
		t.Errorf("after an authorization: %v", err)
	}
	if _, err := p.Link(t.Context(), token); !errors.Is(err, component.ErrLink) {
		t.Errorf("after an authorization: %v", err)
	}
}

func TestLinkIsTakenOnce(t *testing.T) {
	w, p := ready(t)
	token, _, err := p.NewLink(t.Context(), component.Link{AuthType: 3})
	if err != nil {
		t.Fatal(err)
	}
	replicas := []*component.Platform{p, w.platform(w.store), w.platform(w.store)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for i := range 30 {
		wg.Go(func() {
			_, _, err := replicas[i%3].OpenLink(t.Context(), token, nobodys)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if !errors.Is(err, component.ErrLink) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken != 1 {
		t.Errorf("taken by %d browsers", taken)
	}
}

// Each visit of WeChat's page needs a code of its own.
func TestLaunch(t *testing.T) {
	w, p := ready(t)
	back := "https://play.example.com/.wxgate/component/callback?state=abc"
	codes := map[string]bool{}
	for range 2 {
		address, err := p.Launch(t.Context(), component.Link{AuthType: 2, BizAppID: programID}, back)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if !strings.HasPrefix(address, w.sim.URL+"/cgi-bin/componentloginpage?component_appid="+platformID) ||
			q.Get("redirect_uri") != back || q.Get("auth_type") != "2" || q.Get("biz_appid") != programID {
			t.Errorf("the address is %s", address)
		}
		codes[q.Get("pre_auth_code")] = true
	}
	if len(codes) != 2 || codes[""] {
		t.Errorf("the codes of two visits are %v", codes)
	}
	w.sim.Inject(wechattest.PreAuthCodePath, wechattest.Busy)
	if address, err := p.Launch(t.Context(), component.Link{AuthType: 2}, back); err == nil || address != "" {
		t.Errorf("WeChat is busy: %q, %v", address, err)
	}
}

func TestNoticeKeys(t *testing.T) {
	if appid, id, ok := component.ParseNoticeKey(component.NoticeKey(accountID, "abc")); !ok || appid != accountID || id != "abc" {
		t.Errorf("got %q, %q, %v", appid, id, ok)
	}
	for _, key := range []string{"", "a", "a/", "a//x", "a/" + accountID, "a/" + accountID + "/", "a/" + accountID + "/x/y", "u/" + accountID + "/x", "a/wx 1/x"} {
		if _, _, ok := component.ParseNoticeKey(key); ok {
			t.Errorf("%q is taken for a key", key)
		}
	}
}

// Without an app that wants to be told, nothing is kept for it.
func TestWithoutEvents(t *testing.T) {
	w, _ := ready(t)
	w.silent = true
	p := w.platform(w.store)
	w.front.Store(p)
	w.authorize(accountID)
	if events, err := p.Notices(t.Context(), accountID); err != nil || len(events) != 0 {
		t.Errorf("%+v, %v", events, err)
	}
	if n := len(w.store.queues["hooks"]); n != 0 {
		t.Errorf("%d entries for nobody", n)
	}
}
