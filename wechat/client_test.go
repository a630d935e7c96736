package wechat_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

const (
	appid  = "wx0123456789abcdef"
	secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
)

var app = wechat.App{ID: appid, Secret: secret}

// start runs a simulator with one bound service account, and a client for it.
func start(t *testing.T, cfg wechat.Config) (*wechattest.Server, *wechat.Client) {
	t.Helper()
	s := wechattest.NewServer(wechattest.App{ID: appid, Secret: secret, CallbackHosts: []string{"127.0.0.1"}, Bound: true})
	t.Cleanup(s.Close)
	cfg.APIURL = s.URL
	if cfg.HTTP == nil {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		cfg.HTTP = &http.Client{Transport: tr}
	}
	return s, wechat.New(cfg)
}

func TestExchangeAndUserInfo(t *testing.T) {
	tests := []struct {
		player     string
		wantName   string
		wantAvatar bool
	}{
		{"xiaomei", "小美", true},
		{"aqiang", "阿强🎮👨‍👩‍👧🐱", true},
		{"nameless", "", true},
		{"wxuser", "微信用户", false},
		{"faceless", "没有头像的老王", false},
		{"control", "糖糖", true},
		{"broken", "坏\uFFFD码", true},
		{"script", "<script>alert(1)</script>", true},
		{"longname", strings.Repeat("长", 3413), true},
	}
	s, c := start(t, wechat.Config{})
	for i, tt := range tests {
		t.Run(tt.player, func(t *testing.T) {
			s.Set(func(b *wechattest.Behaviour) { b.ContentType = []string{"", "application/json; encoding=utf-8"}[i%2] })
			code := s.IssueCode(appid, tt.player, wechat.ScopeUserInfo)
			tok, err := c.Exchange(t.Context(), app, code)
			if err != nil {
				t.Fatal(err)
			}
			if tok.AccessToken == "" || tok.RefreshToken == "" {
				t.Error("no tokens")
			}
			tok.RefreshToken = ""
			want := wechat.Token{
				AccessToken: tok.AccessToken, OpenID: s.OpenID(tt.player, appid), UnionID: s.UnionID(tt.player, appid),
				Scope: wechat.ScopeUserInfo, ExpiresIn: tok.ExpiresIn,
			}
			if diff := cmp.Diff(want, tok); diff != "" {
				t.Error(diff)
			}
			if tok.ExpiresIn > 2*time.Hour || tok.ExpiresIn < 2*time.Hour-time.Minute {
				t.Errorf("life %v", tok.ExpiresIn)
			}
			if !tok.HasScope(wechat.ScopeUserInfo) || tok.HasScope(wechat.ScopeBase) {
				t.Errorf("scope %q", tok.Scope)
			}
			u, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID)
			if err != nil {
				t.Fatal(err)
			}
			if u.Nickname != tt.wantName || (u.AvatarURL != "") != tt.wantAvatar || u.OpenID != tok.OpenID || u.UnionID != tok.UnionID {
				t.Errorf("got %+v", u)
			}
		})
	}
	for _, e := range s.Journal() {
		if e.Header.Get("Referer") != "" || e.Header.Get("Cookie") != "" {
			t.Errorf("%s came with %v", e.Path, e.Header)
		}
	}
	if e := s.Calls(wechattest.UserInfoPath)[0]; e.Query.Get("lang") != "zh_CN" {
		t.Errorf("lang %q", e.Query.Get("lang"))
	}
}

func TestSilentExchange(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok, err := c.Exchange(t.Context(), app, s.IssueCode(appid, "xiaomei", wechat.ScopeBase))
	if err != nil {
		t.Fatal(err)
	}
	if tok.UnionID != "" || tok.Scope != wechat.ScopeBase || tok.Snapshot {
		t.Errorf("got %+v", tok)
	}
	_, err = c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID)
	wantAPIError(t, err, 48001, wechat.KindConfig)
}

func TestSnapshotVisitor(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok, err := c.Exchange(t.Context(), app, s.IssueCode(appid, "snapshot", wechat.ScopeBase))
	if err != nil {
		t.Fatal(err)
	}
	if !tok.Snapshot || tok.OpenID == s.OpenID("snapshot", appid) {
		t.Errorf("got %+v", tok)
	}
}

func TestGenuineRefusals(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name string
		call func(*wechattest.Server, *wechat.Client) error
		code int
		kind wechat.Kind
	}{
		{"unknown code", exchange(app, func(s *wechattest.Server) string { return "nonsense" }), 40029, wechat.KindCode},
		{"used code", exchange(app, func(s *wechattest.Server) string {
			code := s.IssueCode(appid, "xiaomei", wechat.ScopeBase)
			if _, err := wechat.New(wechat.Config{APIURL: s.URL}).Exchange(ctx, app, code); err != nil {
				panic(err)
			}
			return code
		}), 40163, wechat.KindCode},
		{"expired code", exchange(app, func(s *wechattest.Server) string {
			code := s.IssueCode(appid, "xiaomei", wechat.ScopeBase)
			s.Advance(5 * time.Minute)
			return code
		}), 40029, wechat.KindCode},
		{"expired code, listed errcode", exchange(app, func(s *wechattest.Server) string {
			s.Set(func(b *wechattest.Behaviour) { b.ExpiredCode = 42003 })
			code := s.IssueCode(appid, "xiaomei", wechat.ScopeBase)
			s.Advance(5 * time.Minute)
			return code
		}), 42003, wechat.KindCode},
		{"another app's code", exchange(app, func(s *wechattest.Server) string {
			s.AddApp(wechattest.App{ID: "wxffffffffffffffff", Secret: "other"})
			return s.IssueCode("wxffffffffffffffff", "xiaomei", wechat.ScopeBase)
		}), 40029, wechat.KindCode},
		{"no code", exchange(app, func(*wechattest.Server) string { return "" }), 41008, wechat.KindCode},
		{"overlong code", exchange(app, func(*wechattest.Server) string { return strings.Repeat("x", 1<<20) }), 40029, wechat.KindCode},
		{"unknown appid", exchange(wechat.App{ID: "wxeeeeeeeeeeeeeeee", Secret: secret}, goodCode), 40013, wechat.KindConfig},
		{"wrong secret", exchange(wechat.App{ID: appid, Secret: "wrong"}, goodCode), 40125, wechat.KindConfig},
		{"no appid", exchange(wechat.App{Secret: secret}, goodCode), 41002, wechat.KindConfig},
		{"no secret", exchange(wechat.App{ID: appid}, goodCode), 41004, wechat.KindConfig},
		{"frozen secret", exchange(app, func(s *wechattest.Server) string {
			s.AddApp(wechattest.App{ID: appid, Secret: secret, Frozen: true})
			return goodCode(s)
		}), 40243, wechat.KindConfig},
		{"address not allowed", exchange(app, func(s *wechattest.Server) string {
			s.Set(func(b *wechattest.Behaviour) { b.AllowedAddress, b.AllowListOnSNS = "192.0.2.1", true })
			return goodCode(s)
		}), 40164, wechat.KindConfig},
		{"quota", exchange(app, func(s *wechattest.Server) string {
			s.Set(func(b *wechattest.Behaviour) { b.SNSPerMinute = 1 })
			wechat.New(wechat.Config{APIURL: s.URL}).Exchange(ctx, app, "x")
			return goodCode(s)
		}), 45011, wechat.KindBusy},
		{"limited person", exchange(app, func(s *wechattest.Server) string {
			return s.IssueCode(appid, "frozen", wechat.ScopeBase)
		}), 50002, wechat.KindUser},
		{"void token", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) { return "void", tok.OpenID }), 40001, wechat.KindToken},
		{"no token", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) { return "", tok.OpenID }), 41001, wechat.KindToken},
		{"no openid", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) { return tok.AccessToken, "" }), 41009, wechat.KindToken},
		{"another openid", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) { return tok.AccessToken, "oX" }), 40003, wechat.KindToken},
		{"expired token", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) {
			s.Advance(2 * time.Hour)
			return tok.AccessToken, tok.OpenID
		}), 42001, wechat.KindToken},
		{"expired token, the other errcode", userinfo(func(s *wechattest.Server, tok wechat.Token) (string, string) {
			s.Set(func(b *wechattest.Behaviour) { b.ExpiredToken = 40001 })
			s.Advance(2 * time.Hour)
			return tok.AccessToken, tok.OpenID
		}), 40001, wechat.KindToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := start(t, wechat.Config{})
			wantAPIError(t, tt.call(s, c), tt.code, tt.kind)
		})
	}
}

func goodCode(s *wechattest.Server) string { return s.IssueCode(appid, "xiaomei", wechat.ScopeBase) }

func exchange(a wechat.App, code func(*wechattest.Server) string) func(*wechattest.Server, *wechat.Client) error {
	return func(s *wechattest.Server, c *wechat.Client) error {
		tok, err := c.Exchange(context.Background(), a, code(s))
		if err != nil && tok != (wechat.Token{}) {
			return errors.New("a token beside an error")
		}
		return err
	}
}

func userinfo(args func(*wechattest.Server, wechat.Token) (token, openid string)) func(*wechattest.Server, *wechat.Client) error {
	return func(s *wechattest.Server, c *wechat.Client) error {
		tok, err := c.Exchange(context.Background(), app, s.IssueCode(appid, "xiaomei", wechat.ScopeUserInfo))
		if err != nil {
			return err
		}
		access, openid := args(s, tok)
		_, err = c.UserInfo(context.Background(), access, openid)
		return err
	}
}

func wantAPIError(t *testing.T, err error, code int, kind wechat.Kind) {
	t.Helper()
	var e *wechat.APIError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want errcode %d", err, code)
	}
	if e.Code != code || e.Kind() != kind {
		t.Errorf("errcode %d of kind %q, want %d of kind %q", e.Code, e.Kind(), code, kind)
	}
	if e.RID == "" && !strings.Contains(e.Message, "not sent") {
		t.Errorf("no rid in %q", e.Message)
	}
}

func TestImpossibleCodesAreNotSent(t *testing.T) {
	s, c := start(t, wechat.Config{})
	for _, code := range []string{"", strings.Repeat("x", 513)} {
		if _, err := c.Exchange(t.Context(), app, code); err == nil {
			t.Error("a login without a code")
		}
	}
	if n := len(s.Journal()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// Every code of WeChat's list, with both forms of its texts, as either call meets it.
func TestListedErrcodes(t *testing.T) {
	s, c := start(t, wechat.Config{})
	for _, code := range []int{-1, 40001, 40002, 40003, 40013, 40014, 40029, 40030, 40125, 40163, 40164, 40226, 40243,
		41001, 41002, 41003, 41004, 41008, 41009, 42001, 42002, 42003, 42007, 43002, 43003, 44002, 45009, 45011,
		47001, 48001, 48004, 50001, 50002, 61004, 89503} {
		for _, hints := range []bool{false, true} {
			s.Set(func(b *wechattest.Behaviour) { b.Hints = hints })
			s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Errcode: code})
			_, err := c.Exchange(t.Context(), app, "code")
			wantAPIError(t, err, code, (&wechat.APIError{API: "sns/oauth2/access_token", Code: code}).Kind())
			s.Inject(wechattest.UserInfoPath, wechattest.Fault{Errcode: code})
			_, err = c.UserInfo(t.Context(), "token", "oX")
			wantAPIError(t, err, code, (&wechat.APIError{API: "sns/userinfo", Code: code}).Kind())
		}
	}
}

// Of any number of exchanges of one code exactly one wins, the others are told.
func TestParallelExchanges(t *testing.T) {
	s, c := start(t, wechat.Config{})
	code := goodCode(s)
	const n = 32
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { _, errs[i] = c.Exchange(t.Context(), app, code) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		wantAPIError(t, err, 40163, wechat.KindCode)
	}
	if won != 1 || s.Exchanges()[code] != n {
		t.Errorf("%d exchanges won of %d seen", won, s.Exchanges()[code])
	}
}

func TestObserve(t *testing.T) {
	type observation struct {
		api, class string
		took       time.Duration
	}
	var seen []observation
	now := time.Unix(1_800_000_000, 0)
	s, c := start(t, wechat.Config{
		Observe: func(api, class string, took time.Duration) { seen = append(seen, observation{api, class, took}) },
		Now:     func() time.Time { now = now.Add(time.Second); return now },
	})
	call := func(faults ...wechattest.Fault) {
		for _, f := range faults {
			s.Inject(wechattest.AccessTokenPath, f)
		}
		c.Exchange(t.Context(), app, goodCode(s))
	}
	call()
	for _, code := range []int{40029, 40014, 40013, -1, 50001, 12345} {
		call(wechattest.Fault{Errcode: code})
	}
	call(wechattest.Drop)
	call(wechattest.HTML)
	c.UserInfo(t.Context(), "void", "oX")
	c.Exchange(t.Context(), app, "") // no call, nothing to observe

	var want []observation
	for _, class := range []string{"ok", "code", "token", "config", "busy", "user", "unknown", "unavailable", "unavailable"} {
		want = append(want, observation{"sns/oauth2/access_token", class, time.Second})
	}
	want = append(want, observation{"sns/userinfo", "token", time.Second})
	if diff := cmp.Diff(want, seen, cmp.AllowUnexported(observation{})); diff != "" {
		t.Error(diff)
	}
}
