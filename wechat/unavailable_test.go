package wechat_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func TestUnusableAnswers(t *testing.T) {
	replace := func(old, new string) wechattest.Fault {
		return wechattest.Fault{Body: func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }}
	}
	tests := []struct {
		name   string
		fault  wechattest.Fault
		status int
	}{
		{"connection closed after the work", wechattest.Drop, 0},
		{"connection closed before the work", wechattest.Fault{Drop: true}, 0},
		{"a page", wechattest.HTML, 200},
		{"nothing", wechattest.Empty, 200},
		{"two megabytes", wechattest.Huge, 200},
		{"two megabytes of space after a good answer", wechattest.Fault{Body: func(b []byte) []byte {
			return append(b, strings.Repeat(" ", 2<<20)...)
		}}, 200},
		{"an array", wechattest.Fault{Body: func(b []byte) []byte { return []byte("[" + string(b) + "]") }}, 200},
		{"no openid", replace(`"openid"`, `"no_openid"`), 200},
		{"errcode in words", replace(`{`, `{"errcode":"forty",`), 200},
		{"status 502", wechattest.Fault{Status: 502}, 502},
		{"status 404 with an errcode", wechattest.Fault{Status: 404, Errcode: 40029}, 404},
		{"redirect", wechattest.Fault{Status: 302, Header: http.Header{"Location": {"/elsewhere"}}}, 302},
		{"cut short", wechattest.Fault{Body: func(b []byte) []byte { return b[:len(b)-1] }}, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := start(t, wechat.Config{})
			code := s.IssueCode(appid, "xiaomei", wechat.ScopeUserInfo)
			tok, err := c.Exchange(t.Context(), app, code)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{wechattest.AccessTokenPath, wechattest.UserInfoPath} {
				s.Inject(path, tt.fault)
			}
			code = goodCode(s)
			got, err := c.Exchange(t.Context(), app, code)
			wantUnavailable(t, err, tt.status)
			if got != (wechat.Token{}) {
				t.Errorf("a token beside an error: %+v", got)
			}
			if n := s.Exchanges()[code]; n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
			if tt.fault.Drop {
				return // net/http may well repeat the profile call
			}
			u, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID)
			wantUnavailable(t, err, tt.status)
			if u != (wechat.UserInfo{}) {
				t.Errorf("a profile beside an error: %+v", u)
			}
		})
	}
}

func wantUnavailable(t *testing.T, err error, status int) {
	t.Helper()
	var e *wechat.UnavailableError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an UnavailableError", err)
	}
	if e.Status != status {
		t.Errorf("status %d, want %d", e.Status, status)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	s, c := start(t, wechat.Config{})
	s.Inject(wechattest.AccessTokenPath, wechattest.ExtraFields)
	s.Inject(wechattest.UserInfoPath, wechattest.ExtraFields)
	tok, err := c.Exchange(t.Context(), app, s.IssueCode(appid, "xiaomei", wechat.ScopeUserInfo))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID); err != nil {
		t.Fatal(err)
	}
}

func TestNoCookies(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, c := start(t, wechat.Config{HTTP: &http.Client{Jar: jar}})
	s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Times: 2, Header: http.Header{"Set-Cookie": {"a=b; Path=/"}}})
	for range 2 {
		if _, err := c.Exchange(t.Context(), app, goodCode(s)); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range s.Journal() {
		if e.Header.Get("Cookie") != "" {
			t.Errorf("a cookie was kept: %v", e.Header)
		}
	}
}

func TestProfileOfSomebodyElse(t *testing.T) {
	s, c := start(t, wechat.Config{})
	tok, err := c.Exchange(t.Context(), app, s.IssueCode(appid, "xiaomei", wechat.ScopeUserInfo))
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(wechattest.UserInfoPath, wechattest.Fault{Body: func(b []byte) []byte {
		return []byte(strings.ReplaceAll(string(b), tok.OpenID, s.OpenID("aqiang", appid)))
	}})
	u, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID)
	if !errors.Is(err, wechat.ErrOtherPerson) || u != (wechat.UserInfo{}) {
		t.Errorf("got %+v, %v", u, err)
	}
}

// net/http repeats a GET by itself when a kept-alive connection dies before the
// answer. An exchange must not be repeated: WeChat may have used up the code.
func TestNoSilentRepetition(t *testing.T) {
	s, c := start(t, wechat.Config{})
	for range 3 { // from the second on, the connection is a used one
		if _, err := c.Exchange(t.Context(), app, goodCode(s)); err != nil {
			t.Fatal(err)
		}
		s.Inject(wechattest.AccessTokenPath, wechattest.Drop)
		code := goodCode(s)
		_, err := c.Exchange(t.Context(), app, code)
		wantUnavailable(t, err, 0)
		if n := s.Exchanges()[code]; n != 1 {
			t.Fatalf("the code was sent %d times", n)
		}
	}
	for _, e := range s.Calls(wechattest.AccessTokenPath) {
		if e.Method != http.MethodGet || e.Header.Get("Transfer-Encoding") != "" || e.Header.Get("Content-Length") != "" {
			t.Errorf("%s with headers %v", e.Method, e.Header)
		}
	}
}

func TestSlowAnswers(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		s, c := start(t, wechat.Config{HTTP: &http.Client{Timeout: 20 * time.Millisecond}})
		s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Hold: make(chan struct{})})
		_, err := c.Exchange(t.Context(), app, goodCode(s))
		wantUnavailable(t, err, 0)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s, c := start(t, wechat.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		s.Inject(wechattest.UserInfoPath, wechattest.Fault{Reached: cancel, Hold: make(chan struct{})})
		_, err := c.UserInfo(ctx, "token", "oX")
		wantUnavailable(t, err, 0)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want a cancellation", err)
		}
	})
	t.Run("slow but in time", func(t *testing.T) {
		s, c := start(t, wechat.Config{})
		release := make(chan struct{})
		s.Inject(wechattest.AccessTokenPath, wechattest.Fault{Reached: func() { close(release) }, Hold: release})
		if _, err := c.Exchange(t.Context(), app, goodCode(s)); err != nil {
			t.Fatal(err)
		}
	})
}
