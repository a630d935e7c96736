package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// startServer runs a simulator and ServerTokens on its clock.
func startServer(t *testing.T) (*wechattest.Server, *wechat.ServerTokens) {
	t.Helper()
	var s *wechattest.Server
	s, c := start(t, wechat.Config{Now: func() time.Time { return s.Now() }})
	return s, wechat.NewServerTokens(c, nil)
}

func wantCalls(t *testing.T, s *wechattest.Server, path string, want int) {
	t.Helper()
	if n := len(s.Calls(path)); n != want {
		t.Errorf("%d calls of %s, want %d", n, path, want)
	}
}

func TestServerTokenIsKept(t *testing.T) {
	s, tokens := startServer(t)
	get := func() string {
		t.Helper()
		token, err := tokens.Token(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := get()
	s.Advance(2*time.Hour - 5*time.Minute - 2*time.Second)
	if get() != first {
		t.Error("another token inside the life of the first")
	}
	wantCalls(t, s, wechattest.StableTokenPath, 1)
	s.Advance(2 * time.Second)
	second := get()
	if second == first {
		t.Error("the old token in its last five minutes")
	}
	wantCalls(t, s, wechattest.StableTokenPath, 2)

	tokens.Drop(app, first) // somebody late: it has been replaced already
	if get() != second {
		t.Error("the late one took the new token away")
	}
	wantCalls(t, s, wechattest.StableTokenPath, 2)
	tokens.Drop(app, second)
	if get() != second { // WeChat still has no other
		t.Error("another token: was it forced?")
	}
	wantCalls(t, s, wechattest.StableTokenPath, 3)

	// The owner's other systems on /cgi-bin/token are not disturbed.
	wantCalls(t, s, wechattest.TokenPath, 0)
}

func TestServerTokensAreOfOneAccount(t *testing.T) {
	s, tokens := startServer(t)
	other := wechat.App{ID: "wxffffffffffffffff", Secret: "other"}
	s.AddApp(wechattest.App{ID: other.ID, Secret: other.Secret})
	one, err := tokens.Token(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := tokens.Token(t.Context(), other); err != nil || two == one {
		t.Errorf("the token of another account, %v", err)
	}
	// Who does not know the secret gets nothing from the cache either.
	_, err = tokens.Token(t.Context(), wechat.App{ID: appid, Secret: "x"})
	wantAPIError(t, err, 40125, wechat.KindConfig)
}

func TestServerTokenIsFetchedOnce(t *testing.T) {
	s, tokens := startServer(t)
	const n = 32
	release, reached := make(chan struct{}), make(chan struct{})
	s.Inject(wechattest.StableTokenPath, wechattest.Fault{Reached: func() { close(reached) }, Hold: release})
	var wg sync.WaitGroup
	got := make([]string, n)
	for i := range n {
		wg.Go(func() {
			ticket, err := tokens.JSAPITicket(t.Context(), app)
			if err != nil {
				t.Error(err)
			}
			got[i] = ticket
		})
	}
	<-reached
	close(release)
	wg.Wait()
	for _, ticket := range got {
		if ticket == "" || ticket != got[0] {
			t.Fatalf("tickets %q and %q", got[0], ticket)
		}
	}
	wantCalls(t, s, wechattest.StableTokenPath, 1)
	wantCalls(t, s, wechattest.TicketPath, 1)
}

// Whoever waits for a fetch may leave; the fetch goes on for the others.
func TestLeavingDoesNotSpoilTheFetch(t *testing.T) {
	s, tokens := startServer(t)
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s.Inject(wechattest.StableTokenPath, wechattest.Fault{Reached: cancel, Hold: release})
	_, err := tokens.Token(ctx, app)
	wantUnavailable(t, err, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Error(err)
	}
	wantCalls(t, s, wechattest.StableTokenPath, 1)
}

func TestRefusalIsNotAskedForAgain(t *testing.T) {
	s, tokens := startServer(t)
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "192.0.2.1" })
	for range 5 {
		_, err := tokens.Token(t.Context(), app)
		wantAPIError(t, err, 40164, wechat.KindConfig)
		_, _, err = tokens.Follower(t.Context(), app, s.OpenID("xiaomei", appid))
		wantAPIError(t, err, 40164, wechat.KindConfig)
	}
	wantCalls(t, s, wechattest.StableTokenPath, 1)
	s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress = "" })
	s.Advance(10 * time.Second)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Errorf("after it was repaired: %v", err)
	}
	// An accident is no refusal.
	s.Advance(2 * time.Hour)
	s.Inject(wechattest.StableTokenPath, wechattest.HTML)
	_, err := tokens.Token(t.Context(), app)
	wantUnavailable(t, err, 200)
	if _, err := tokens.Token(t.Context(), app); err != nil {
		t.Error(err)
	}
}

func TestUnusableServerTokenAnswers(t *testing.T) {
	for _, body := range []string{`{}`, `{"expires_in":7200}`, `{"access_token":"","expires_in":7200}`, `[]`, ``} {
		s, tokens := startServer(t)
		s.Inject(wechattest.StableTokenPath, wechattest.Fault{Body: func([]byte) []byte { return []byte(body) }})
		token, err := tokens.Token(t.Context(), app)
		wantUnavailable(t, err, 200)
		if token != "" {
			t.Errorf("%s: token %q", body, token)
		}
	}
	// A token without a usable life serves its caller, and is not kept.
	s, tokens := startServer(t)
	s.Inject(wechattest.StableTokenPath, wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"access_token":"short"}`) }})
	if token, err := tokens.Token(t.Context(), app); err != nil || token != "short" {
		t.Errorf("token %q, %v", token, err)
	}
	if token, err := tokens.Token(t.Context(), app); err != nil || token == "short" {
		t.Errorf("token %q, %v", token, err)
	}
}

func TestFollower(t *testing.T) {
	s, tokens := startServer(t)
	for _, tt := range []struct {
		player     string
		everybody  bool
		subscribed bool
		union      bool
	}{
		{"xiaomei", false, true, true},
		{"aqiang", false, false, false},
		{"aqiang", true, false, true},
	} {
		s.Set(func(b *wechattest.Behaviour) { b.UnionIDForAll = tt.everybody })
		subscribed, unionid, err := tokens.Follower(t.Context(), app, s.OpenID(tt.player, appid))
		if err != nil || subscribed != tt.subscribed || (unionid != "") != tt.union || tt.union && unionid != s.UnionID(tt.player, appid) {
			t.Errorf("%s: %v, %q, %v", tt.player, subscribed, unionid, err)
		}
	}
	_, _, err := tokens.Follower(t.Context(), app, "oNobody")
	wantAPIError(t, err, 40003, wechat.KindToken)
	wantCalls(t, s, wechattest.StableTokenPath, 1) // 40003 is not about the token

	s.Inject(wechattest.FollowerPath, wechattest.Fault{Body: func(b []byte) []byte {
		return []byte(strings.ReplaceAll(string(b), s.OpenID("xiaomei", appid), s.OpenID("aqiang", appid)))
	}})
	subscribed, unionid, err := tokens.Follower(t.Context(), app, s.OpenID("xiaomei", appid))
	if !errors.Is(err, wechat.ErrOtherPerson) || subscribed || unionid != "" {
		t.Errorf("got %v, %q, %v", subscribed, unionid, err)
	}
}

// A void token is dropped once and the call made once more, never a third time.
func TestVoidServerToken(t *testing.T) {
	for _, code := range []int{40001, 40014, 42001} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			s, tokens := startServer(t)
			openid := s.OpenID("xiaomei", appid)
			s.Inject(wechattest.FollowerPath, wechattest.Fault{Errcode: code})
			if subscribed, _, err := tokens.Follower(t.Context(), app, openid); err != nil || !subscribed {
				t.Errorf("got %v, %v", subscribed, err)
			}
			wantCalls(t, s, wechattest.StableTokenPath, 2)
			wantCalls(t, s, wechattest.FollowerPath, 2)

			s.Inject(wechattest.TicketPath, wechattest.Fault{Errcode: code, Times: -1})
			_, err := tokens.JSAPITicket(t.Context(), app)
			wantAPIError(t, err, code, wechat.KindToken)
			wantCalls(t, s, wechattest.StableTokenPath, 3)
			wantCalls(t, s, wechattest.TicketPath, 2)
		})
	}
	s, tokens := startServer(t)
	s.Inject(wechattest.FollowerPath, wechattest.Busy)
	_, _, err := tokens.Follower(t.Context(), app, s.OpenID("xiaomei", appid))
	wantAPIError(t, err, -1, wechat.KindBusy)
	wantCalls(t, s, wechattest.FollowerPath, 1)
	if wechat.Void(err) || wechat.Void(nil) || wechat.Void(context.Canceled) {
		t.Error("what is not about a token is called void")
	}
}

func TestJSAPITicketIsKept(t *testing.T) {
	s, tokens := startServer(t)
	get := func() string {
		t.Helper()
		ticket, err := tokens.JSAPITicket(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	first := get()
	s.Advance(2*time.Hour - 5*time.Minute - 2*time.Second)
	if get() != first {
		t.Error("another ticket inside the life of the first")
	}
	wantCalls(t, s, wechattest.TicketPath, 1)
	s.Advance(2 * time.Second)
	get()
	wantCalls(t, s, wechattest.TicketPath, 2)

	s.Advance(2 * time.Hour)
	s.Inject(wechattest.TicketPath, wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"errcode":0,"ticket":""}`) }})
	_, err := tokens.JSAPITicket(t.Context(), app)
	wantUnavailable(t, err, 200)
	// However long WeChat says that it lives, two hours are documented.
	s.Inject(wechattest.TicketPath, wechattest.Fault{Body: func([]byte) []byte { return []byte(`{"errcode":0,"ticket":"long","expires_in":99999}`) }})
	if got := get(); got != "long" {
		t.Errorf("ticket %q", got)
	}
	s.Advance(2 * time.Hour)
	if got := get(); got == "long" {
		t.Error("the ticket outlived itself")
	}
}
