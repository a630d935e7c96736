package proxy

import (
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestOldProfileIsReadAnewWithoutAsking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil, func(c *Config) { c.ProfileMaxAge = 24 * time.Hour })
	w.wechat.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	w.wechat.AddPlayer(wechattest.Player{ID: "renamed", Nickname: "旧名字"})
	b := w.browser(iPhone).as("renamed")
	if name := b.open("/.wxgate/login?profile=1&agreed=1&next=/").echoed(t).Header.Get("X-Wxgate-Name"); name != "%E6%97%A7%E5%90%8D%E5%AD%97" {
		t.Fatalf("name %q", name)
	}
	w.wechat.AddPlayer(wechattest.Player{ID: "renamed", Nickname: "新名字"})
	again := func() string {
		return w.browser(iPhone).as("renamed").open("/").echoed(t).Header.Get("X-Wxgate-Name")
	}
	if name := again(); name != "%E6%97%A7%E5%90%8D%E5%AD%97" || len(w.wechat.Calls(wechattest.AuthPath)) != 0 {
		t.Errorf("a young profile: name %q, %d questions", name, len(w.wechat.Calls(wechattest.AuthPath)))
	}

	// A day later the access token is void as well, and the refresh token is not.
	w.clock.advance(25 * time.Hour)
	w.wechat.Advance(25 * time.Hour)
	again()
	eventually(t, "the new name arrives", func() bool { return w.account("renamed").Profile.Name == "新名字" })
	if n := len(w.wechat.Calls(wechattest.RefreshTokenPath)); n != 1 {
		t.Errorf("%d refreshes", n)
	}

	// Where no refresh token is left, nobody is asked and nobody is kept out.
	w.clock.advance(40 * 24 * time.Hour)
	w.wechat.Advance(40 * 24 * time.Hour)
	if name := again(); name != "%E6%96%B0%E5%90%8D%E5%AD%97" {
		t.Errorf("with everything expired: %q", name)
	}
	eventually(t, "the log says why", func() bool { return strings.Contains(w.log.String(), "an old profile stays") })
	for _, secret := range []string{"refresh_token=", "access_token="} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log contains %s", secret)
		}
	}
}
