package wechat_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

// The times in these tests are those of a bubble, in which nobody waits.

// slowly reads one byte after each pause, unless ctx is over.
type slowly struct {
	ctx   context.Context
	pause time.Duration
	left  int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.left--
	p[0] = 'x'
	return 1, nil
}

func (s *slowly) Close() error { return nil }

func TestSlowBodiesAreNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := overTransport(wechat.Config{}, func(r *http.Request) (*http.Response, error) {
			sent, err := io.ReadAll(r.Body)
			if err != nil || len(sent) != 5 {
				t.Errorf("sent %d bytes, %v", len(sent), err)
			}
			time.Sleep(9 * time.Second)
			res := respond("")
			res.Header.Set("Content-Type", "video/mp4")
			res.Body = &slowly{r.Context(), time.Hour, 5}
			return res, nil
		})
		start := time.Now()
		res, body := answer(t, tokens, wechat.Call{Method: "POST", Path: "x", Body: &slowly{t.Context(), time.Hour, 5}, ContentLength: -1})
		if body != "xxxxx" || res.StatusCode != 200 {
			t.Errorf("got %d, %q", res.StatusCode, body)
		}
		if took := time.Since(start); took != 10*time.Hour+9*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Also when the answer comes while the app is still sending.
func TestEarlyAnswerIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := overTransport(wechat.Config{}, func(r *http.Request) (*http.Response, error) {
			go io.Copy(io.Discard, r.Body)
			res := respond("")
			res.Header.Set("Content-Type", "video/mp4")
			res.Body = &slowly{r.Context(), time.Hour, 5}
			return res, nil
		})
		if _, body := answer(t, tokens, wechat.Call{Method: "POST", Path: "x", Body: &slowly{t.Context(), time.Minute, 5}, ContentLength: -1}); body != "xxxxx" {
			t.Errorf("got %q", body)
		}
	})
}

func TestSilenceEndsACall(t *testing.T) {
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	for _, tt := range []struct {
		name  string
		after time.Duration
		other transport
	}{
		{"at once", 0, hang},
		{"after a part of the body", 2 * time.Hour, func(r *http.Request) (*http.Response, error) {
			r.Body.Read(make([]byte, 1))
			r.Body.Read(make([]byte, 1))
			return hang(r)
		}},
		{"after the body", 5 * time.Hour, func(r *http.Request) (*http.Response, error) {
			io.Copy(io.Discard, r.Body)
			return hang(r)
		}},
		{"within an answer that may be about the token", 0, func(r *http.Request) (*http.Response, error) {
			res := respond("")
			body, w := io.Pipe()
			context.AfterFunc(r.Context(), func() { w.CloseWithError(r.Context().Err()) })
			go w.Write([]byte("{"))
			res.Body = body
			return res, nil
		}},
	} {
		for _, timeout := range []time.Duration{0, time.Minute} { // 0: the usual 10 seconds
			t.Run(fmt.Sprint(tt.name, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tokens := overTransport(wechat.Config{HTTP: &http.Client{Timeout: timeout}}, tt.other)
					start := time.Now()
					_, err := tokens.Do(t.Context(), app, wechat.Call{Method: "POST", Path: "x", Body: &slowly{t.Context(), time.Hour, 5}, ContentLength: -1})
					if _, ok := errors.AsType[*wechat.UnavailableError](err); !ok || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
					if took, want := time.Since(start), tt.after+cmp.Or(timeout, 10*time.Second); took != want {
						t.Errorf("took %v, want %v", took, want)
					}
					time.Sleep(24 * time.Hour) // until the app has said all
				})
			})
		}
	}
}

// An app that never sends the rest does not keep a call that is over.
func TestSilentAppCanBeLeft(t *testing.T) {
	s, tokens := startServer(t)
	stuck, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		w.Write([]byte(`{"touser":`))
		cancel()
	}()
	_, err := tokens.Do(ctx, app, wechat.Call{Method: "POST", Path: "cgi-bin/message/custom/send", Body: stuck, ContentLength: -1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if sent := len(s.CustomMessages()); sent != 0 {
		t.Errorf("%d messages", sent)
	}
}

// TestCallsShowNoToken makes calls fail in every way there is and looks at all
// that comes out: errors, headers, status and what else is in an answer.
func TestCallsShowNoToken(t *testing.T) {
	var elsewhere []*http.Request
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r) }))
	defer thief.Close()
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	tests := []struct {
		name, to string
		timeout  time.Duration
		other    transport
	}{
		{name: "nobody listens", to: "http://" + closedPort(t)},
		{name: "not HTTP, echoes the request", to: "http://" + echo(t, "")},
		{name: "bad header, echoes the request", to: "http://" + echo(t, "HTTP/1.1 200 OK\r\n")},
		{name: "status line that echoes the request", to: "http://" + echo(t, "HTTP/1.1 200 ")},
		{name: "status of an upgrade", to: "http://" + echo(t, "HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\nX: ")},
		{name: "hangs", timeout: 20 * time.Millisecond, to: serve(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})},
		{name: "small body cut short", to: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{", r.URL.RawQuery)
		})},
		{name: "file cut short", to: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("Content-Type", "image/png")
			fmt.Fprint(w, "{")
		})},
		{name: "headers of all sorts", to: serve(func(w http.ResponseWriter, r *http.Request) {
			token := r.URL.Query().Get("access_token")
			for _, name := range []string{"Content-Type", "Content-Disposition", "Content-Language", "Etag", "Cache-Control", "Set-Cookie", "X-Any"} {
				w.Header().Add(name, "a; b="+token)
				w.Header().Add(name, "a; b="+url.QueryEscape(token))
				w.Header().Add(name, r.URL.String())
			}
		})},
		{name: "errmsg that repeats the query", to: serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"errcode":40013,"errmsg":%q}`, r.URL.RawQuery+" rid: "+r.URL.Query().Get("access_token"))
		})},
		{name: "redirect elsewhere", to: serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+"/?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		})},
		{name: "redirect to nonsense", to: serve(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://%zz?"+r.URL.RawQuery)
			w.WriteHeader(302)
		})},
		{name: "transport that quotes the URL", other: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("dialling for %s: %w", r.URL, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF})
		}},
		{name: "transport that quotes the token", other: func(r *http.Request) (*http.Response, error) {
			return nil, errors.New(r.URL.Query().Get("access_token"))
		}},
		{name: "transport that fails in the body", other: func(r *http.Request) (*http.Response, error) {
			res := respond("")
			res.Header.Set("Content-Type", "image/png")
			res.Status, res.Request, res.Trailer = "200 "+r.URL.String(), r, http.Header{"X": {r.URL.String()}}
			res.Body = io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{&url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New(r.URL.RawQuery)}}))
			return res, nil
		}},
		{name: "transport that cannot close the body", other: func(r *http.Request) (*http.Response, error) {
			res := respond("")
			res.Body = unclosable{res.Body, errors.New(r.URL.String())}
			return res, nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inner := &http.Transport{}
			t.Cleanup(inner.CloseIdleConnections)
			c := wechat.New(wechat.Config{
				APIURL: cmp.Or(tt.to, "http://127.0.0.1"),
				HTTP: &http.Client{Timeout: tt.timeout, Transport: transport(func(r *http.Request) (*http.Response, error) {
					switch {
					case r.URL.Path == wechattest.StableTokenPath:
						return respond(fmt.Sprintf(`{"access_token":%q,"expires_in":7200}`, plantedToken)), nil
					case tt.other != nil:
						return tt.other(r)
					}
					return inner.RoundTrip(r)
				})},
			})
			call := post("cgi-bin/x", strings.Repeat("x", 100))
			call.RawQuery = "a=planted-parameter"
			tokens := wechat.NewServerTokens(c, nil)
			_, err := tokens.Menu(t.Context(), app)
			wantNoSecret(t, err)
			wantNoSecret(t, tokens.SetMenu(t.Context(), app, wechat.Menu{}))
			wantNoSecret(t, tokens.SetMenu(t.Context(), app, parseMenu(t, oneOfEach)))
			res, err := tokens.Do(t.Context(), app, call)
			if err != nil {
				wantNoSecret(t, err)
				return
			}
			if res.StatusCode < 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			_, readErr := io.ReadAll(res.Body)
			closeErr := res.Body.Close()
			for _, err := range []error{readErr, closeErr} {
				if err != nil {
					wantNoSecret(t, err)
				}
			}
			res.Body = nil
			if text := fmt.Sprintf("%+v %v", *res, res.Header); strings.Contains(text, "planted") {
				t.Errorf("answer shows it: %s", text)
			}
			if res.Request != nil {
				t.Error("the answer knows the request")
			}
			if strings.Contains(tt.name, "cut short") && readErr == nil {
				t.Error("half a file was taken for a whole one")
			}
		})
	}
	if len(elsewhere) != 0 {
		t.Errorf("a redirect was followed: %v", elsewhere[0].URL)
	}
}

type unclosable struct {
	io.Reader
	err error
}

func (u unclosable) Close() error { return u.err }

// However a path is written, what is sent is that path, and none that a server
// could read as one of those that are closed.
func FuzzCallPath(f *testing.F) {
	for _, seed := range []string{
		"cgi-bin/menu/get", "cgi-bin/token", "cgi-bin/%74oken", "cgi-bin/x/../token", "cgi-bin//token", "cgi-bin/./token", "/cgi-bin/token/",
		"CGI-BIN\\TOKEN", "cgi-bin/token;x", "cgi-bin/token?x", "cgi-bin/token#", "sns/userinfo", "sns%2fuserinfo", "x@y/z", "a.b/c..d", "cgi-bin/clear_quota/v2.",
	} {
		f.Add(seed, "")
	}
	f.Add("x", "a=1&access_token=2;Access%5Ftoken=3&+access.token[1]")
	f.Add("x", "a b#c\x00")
	var sent *url.URL
	tokens := overTransport(wechat.Config{}, func(r *http.Request) (*http.Response, error) {
		sent = r.URL
		return respond("{}"), nil
	})
	closed := []string{
		"/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/component", "/cgi-bin/clear_quota/v2", "/sns", "/wxa/component",
		"/componenttcb", "/donut/code2verifyinfo", "/tcb/getqcloudtoken",
	}
	f.Fuzz(func(t *testing.T, p, query string) {
		sent = nil
		res, err := tokens.Do(t.Context(), app, wechat.Call{Method: "GET", Path: p, RawQuery: query})
		if err != nil {
			if !errors.Is(err, wechat.ErrCallRefused) || sent != nil {
				t.Fatalf("%q, %q: %v", p, query, err)
			}
			return
		}
		res.Body.Close()
		if sent.EscapedPath() != "/"+p || sent.Host != "api.weixin.qq.com" || sent.User != nil || sent.Scheme != "https" || sent.Fragment != "" {
			t.Fatalf("%q became %s", p, sent)
		}
		for _, reading := range readings(sent.Path) {
			for _, c := range closed {
				if reading == c || strings.HasPrefix(reading, c+"/") {
					t.Fatalf("%q can be read as %s", p, reading)
				}
			}
		}
		if q, _ := url.ParseQuery(sent.RawQuery); len(q["access_token"]) != 1 || q.Get("access_token") != "token1" {
			t.Fatalf("query %q became %q", query, sent.RawQuery)
		}
		if strings.ContainsAny(sent.RawQuery, " #\r\n\x00") {
			t.Fatalf("query %q became %q", query, sent.RawQuery)
		}
	})
}

// readings are all paths that one could be for servers that unescape, clean, cut
// and fold.
func readings(p string) []string {
	all := []string{p}
	for _, change := range []func(string) string{
		func(p string) string {
			if u, err := url.PathUnescape(p); err == nil {
				return u
			}
			return p
		},
		func(p string) string {
			if u, err := url.PathUnescape(p); err == nil {
				return u
			}
			return p
		},
		func(p string) string { return strings.ReplaceAll(p, "\\", "/") },
		func(p string) string { p, _, _ = strings.Cut(p, ";"); return p },
		func(p string) string { return p[:strings.IndexAny(p+"?", "?#\x00")] },
		func(p string) string { return strings.TrimRight(p, ". /") },
		func(p string) string { return path.Clean("/" + p) },
		strings.ToLower,
	} {
		for _, one := range all {
			all = append(all, change(one))
		}
	}
	return all
}
