package wechat_test

import (
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func consented(t *testing.T, s *wechattest.Server, c *wechat.Client) wechat.Token {
	t.Helper()
	tok, err := c.Exchange(t.Context(), app, s.IssueCode(appid, "xiaomei", wechat.ScopeUserInfo))
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRefresh(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok := consented(t, s, c)

	s.Advance(time.Hour)
	longer, err := c.Refresh(t.Context(), app, tok.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if longer.AccessToken != tok.AccessToken || longer.RefreshToken != tok.RefreshToken || longer.OpenID != tok.OpenID ||
		!longer.HasScope(wechat.ScopeUserInfo) || longer.ExpiresIn < 2*time.Hour-time.Minute {
		t.Errorf("a live token: %+v", longer)
	}

	s.Advance(29 * 24 * time.Hour)
	fresh, err := c.Refresh(t.Context(), app, tok.RefreshToken)
	if err != nil || fresh.AccessToken == tok.AccessToken || fresh.OpenID != tok.OpenID {
		t.Fatalf("an expired token: %+v, %v", fresh, err)
	}
	if u, err := c.UserInfo(t.Context(), fresh.AccessToken, fresh.OpenID); err != nil || u.Nickname != "小美" {
		t.Errorf("profile %+v, %v", u, err)
	}

	for name, tt := range map[string]struct {
		app     wechat.App
		refresh string
		code    int
		kind    wechat.Kind
	}{
		"none":           {app, "", 41003, wechat.KindToken},
		"overlong":       {app, strings.Repeat("x", 4097), 40030, wechat.KindToken},
		"unknown":        {app, "x", 40030, wechat.KindToken},
		"of another app": {mini, tok.RefreshToken, 40013, wechat.KindConfig},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Refresh(t.Context(), tt.app, tt.refresh)
			wantAPIError(t, err, tt.code, tt.kind)
			if got != (wechat.Token{}) {
				t.Errorf("a token beside an error: %+v", got)
			}
		})
	}
	s.Advance(2 * 24 * time.Hour)
	_, err = c.Refresh(t.Context(), app, tok.RefreshToken)
	wantAPIError(t, err, 40030, wechat.KindToken)
}

// Nothing says that the answer always repeats the refresh token.
func TestRefreshKeepsTheTokenItHad(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok := consented(t, s, c)
	s.Inject(wechattest.RefreshTokenPath, wechattest.Fault{Body: func(b []byte) []byte {
		return []byte(strings.Replace(string(b), `"refresh_token"`, `"no_refresh_token"`, 1))
	}})
	if got, err := c.Refresh(t.Context(), app, tok.RefreshToken); err != nil || got.RefreshToken != tok.RefreshToken {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCheckToken(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok := consented(t, s, c)
	check := func(name, access, openid string, want bool) {
		t.Helper()
		if got, err := c.CheckToken(t.Context(), access, openid); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	check("good", tok.AccessToken, tok.OpenID, true)
	check("somebody else's", tok.AccessToken, s.OpenID("aqiang", appid), false)
	check("unknown", "x", tok.OpenID, false)
	before := len(s.Journal())
	check("none", "", tok.OpenID, false)
	check("no openid", tok.AccessToken, "", false)
	check("overlong", strings.Repeat("x", 4097), tok.OpenID, false)
	if n := len(s.Journal()); n != before {
		t.Errorf("%d calls for what cannot be good", n-before)
	}

	// A question without an answer is neither yes nor no.
	s.Inject(wechattest.AuthPath, wechattest.Busy)
	if valid, err := c.CheckToken(t.Context(), tok.AccessToken, tok.OpenID); valid {
		t.Error("busy, yet good")
	} else {
		wantAPIError(t, err, -1, wechat.KindBusy)
	}
	s.Inject(wechattest.AuthPath, wechattest.HTML)
	if valid, err := c.CheckToken(t.Context(), tok.AccessToken, tok.OpenID); valid {
		t.Error("a page, yet good")
	} else {
		wantUnavailable(t, err, 200)
	}
	s.Inject(wechattest.AuthPath, wechattest.Fault{Body: func([]byte) []byte { return []byte("{}") }})
	if valid, err := c.CheckToken(t.Context(), tok.AccessToken, tok.OpenID); valid {
		t.Error("nothing said, yet good")
	} else {
		wantUnavailable(t, err, 200)
	}

	s.Advance(2 * time.Hour)
	check("expired", tok.AccessToken, tok.OpenID, false)
}
