package wechat_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
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

// The secrets of a call, planted so that they need escaping in a URL too.
const (
	plantedSecret = "planted/secret+0123456789"
	plantedCode   = "planted code&0123456789"
	plantedToken  = "planted?token=0123456789"
	plantedOpenID = "o-planted-openid-0123456789"
)

// TestNoSecretInErrors makes calls fail in every way there is and looks at all
// texts that come out.
func TestNoSecretInErrors(t *testing.T) {
	var elsewhere []*http.Request
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r) }))
	defer thief.Close()

	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  wechat.Config
	}{
		{"nobody listens", wechat.Config{APIURL: "http://" + closedPort(t)}},
		{"not a URL", wechat.Config{APIURL: "http://127.0.0.1:port"}},
		{"unknown scheme", wechat.Config{APIURL: "gopher://127.0.0.1"}},
		{"control character in the URL", wechat.Config{APIURL: "http://127.0.0.1\x7f"}},
		{"not HTTP, echoes the request", wechat.Config{APIURL: "http://" + echo(t, "")}},
		{"bad header, echoes the request", wechat.Config{APIURL: "http://" + echo(t, "HTTP/1.1 200 OK\r\n")}},
		{"hangs", wechat.Config{
			HTTP:   &http.Client{Timeout: 20 * time.Millisecond},
			APIURL: serve(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		}},
		{"body cut short", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, r.URL.RawQuery)
		})}},
		{"redirect elsewhere", wechat.Config{
			HTTP: &http.Client{Jar: jar},
			APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, thief.URL+"/?"+r.URL.RawQuery, http.StatusFound)
			}),
		}},
		{"redirect to nonsense", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://%zz?"+r.URL.RawQuery)
			w.WriteHeader(302)
		})}},
		{"redirect with the method kept", wechat.Config{
			APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
			}),
		}},
		{"error page that repeats the query", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.URL.RequestURI(), 500)
		})}},
		{"errmsg that repeats everything", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			fmt.Fprintf(w, `{"errcode":40029,"errmsg":%q}`, fmt.Sprint("rid: ", q.Get("code"), q.Get("access_token"), q, r.URL.RequestURI()))
		})}},
		{"errmsg that repeats single values as they were sent", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
				if _, value, _ := strings.Cut(part, "="); strings.Contains(value, "planted") {
					fmt.Fprintf(w, `{"errcode":40029,"errmsg":%q}`, value)
					return
				}
			}
		})}},
		{"errcode that repeats the query", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"errcode":%q}`, r.URL.RawQuery)
		})}},
		{"openid that repeats the query", wechat.Config{APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"openid":%q}`, r.URL.RawQuery+" "+plantedToken+plantedSecret)
		})}},
		{"transport that quotes the URL", wechat.Config{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("dialling for %s: %w", r.URL, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF})
		})}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := wechat.New(tt.cfg)
			_, err := c.Exchange(t.Context(), wechat.App{ID: appid, Secret: plantedSecret}, plantedCode)
			wantNoSecret(t, err)
			_, err = c.UserInfo(t.Context(), plantedToken, plantedOpenID)
			wantNoSecret(t, err)
		})
	}
	if len(elsewhere) != 0 {
		t.Errorf("a redirect was followed: %v", elsewhere[0].URL)
	}
}

func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, format := range []string{"%v", "%+v", "%#v", "%q"} {
			text := fmt.Sprintf(format, e)
			for _, planted := range []string{plantedSecret, plantedCode, plantedToken, plantedOpenID, "planted"} {
				for _, form := range []string{planted, url.QueryEscape(planted)} {
					if strings.Contains(text, form) {
						t.Errorf("%s shows %q", text, form)
					}
				}
			}
			if strings.Contains(text, "grant_type=") || strings.Contains(text, "lang=zh_CN") {
				t.Errorf("%s shows the query", text)
			}
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// echo answers any connection with prefix and the request line, and no HTTP.
func echo(t *testing.T, prefix string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(conn).ReadString('\n')
			fmt.Fprintf(conn, "%s%s\r\n\r\n", prefix, strings.TrimSpace(line))
			conn.Close()
		}
	}()
	return l.Addr().String()
}
