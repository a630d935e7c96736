package proxy

import (
	"strings"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"
)

func TestYunxinTokenOutlivesARotation(t *testing.T) {
	t.Parallel()
	for _, api := range []string{"v1", "v2"} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, nil)
			w.restart(w.speaking(api))
			b := w.browser(iPhone)
			b.login()
			before := b.im()
			w.restart(w.speaking(api), w.rotated(secretOf("new"), worldSecret))
			calls := len(w.yunxin.Journal(""))
			if a := b.im(); a != before || w.admitted(a) != 200 {
				t.Errorf("after the rotation the page is told %+v, before %+v; Yunxin answers %d", a, before, w.admitted(a))
			}
			if len(w.yunxin.Journal("")) != calls {
				t.Error("the rotation alone asks Yunxin")
			}
			w.browser(android).login() // the person's next login
			eventually(t, "the new token is set", func() bool { w.clock.advance(cacheLife); return b.im().Token != before.Token })
			if code := w.admitted(b.im()); code != 200 {
				t.Errorf("Yunxin answers the new token with %d", code)
			}
			if code := w.admitted(before); code != 302 {
				t.Errorf("Yunxin answers the old token with %d", code)
			}
			// A secret that is gone leaves no way to know the token: a new one is set.
			w.restart(w.speaking(api), w.rotated(secretOf("newer")))
			again := w.browser(android)
			again.login()
			if a := again.im(); a.Token == before.Token || w.admitted(a) != 200 {
				t.Errorf("the page is told %+v, Yunxin answers %d", a, w.admitted(a))
			}
		})
	}
}

func TestYunxinDynamicTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.yunxin.Change(func(b *yunxintest.Behaviour) { b.DynamicLogin, b.StaticLoginOff = true, true })
	dynamic := func(c *Config) { c.Yunxin.Dynamic = true }
	w.restart(w.speaking("v2"), dynamic)
	b := w.browser(iPhone)
	b.login()
	a := b.im()
	if a.AuthType != 1 || a.ExpiresAt == nil || a.ExpiresAt.Sub(w.clock.now()).Round(time.Minute) != 10*time.Minute {
		t.Errorf("the page is told %+v", a)
	}
	if code := w.admitted(a); code != 200 {
		t.Errorf("Yunxin answers the page with %d", code)
	}
	// It is minted anew each time, and the old one runs out.
	w.clock.advance(10*time.Minute + time.Second)
	w.yunxin.Advance(10*time.Minute + time.Second)
	if code := w.admitted(a); code != 302 {
		t.Errorf("Yunxin answers an expired token with %d", code)
	}
	if fresh := b.im(); fresh.Token == a.Token || w.admitted(fresh) != 200 {
		t.Errorf("Yunxin answers a fresh one with %d", w.admitted(fresh))
	}
	if account, _ := w.yunxin.Account(a.Account); account.Token == "" || strings.Contains(b.fetch("/.wxgate/yunxin").body, account.Token) {
		t.Error("the static token of the account gets out")
	}
}
