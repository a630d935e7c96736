package wechat_test

import (
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func TestServerTokenExpiry(t *testing.T) {
	s, tokens := startServer(t)
	want := func(when string, known bool, left time.Duration) {
		t.Helper()
		end, got := tokens.Expiry(app)
		if got != known || known && end.Sub(s.Now()).Round(time.Minute) != left {
			t.Errorf("%s: %v (%v), want %v (%v)", when, end.Sub(s.Now()), got, left, known)
		}
	}
	want("before any call", false, 0)
	s.Inject(wechattest.StableTokenPath, wechattest.Fault{Errcode: 40164})
	if _, err := tokens.Token(t.Context(), app); err == nil {
		t.Fatal("a token that was refused")
	}
	want("after a refusal", false, 0)
	s.Advance(time.Minute)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	want("of a new token", true, 2*time.Hour)
	s.Advance(time.Hour + 54*time.Minute)
	want("before it is given up", true, 6*time.Minute)
	s.Advance(2 * time.Minute)
	want("after it was given up", false, 0)
	token, err := tokens.Token(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	want("of the next one", true, 2*time.Hour)
	if _, known := tokens.Expiry(wechat.App{ID: app.ID, Secret: "another"}); known {
		t.Error("the expiry is told to who does not know the secret")
	}
	tokens.Drop(app, token)
	want("after WeChat called it void", false, 0)
	wantCalls(t, s, wechattest.StableTokenPath, 3)
}
