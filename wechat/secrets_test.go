package wechat_test

import (
	"bufio"
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
)

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
			HTTP: &http.Client{Timeout: 20 * time.Millisecond},
			APIURL: serve(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) // only then does net/http notice that the client left
				<-r.Context().Done()
			}),
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
			planted := wechat.App{ID: appid, Secret: plantedSecret}
			_, err = c.Code2Session(t.Context(), planted, plantedCode)
			wantNoSecret(t, err)
			_, err = c.Refresh(t.Context(), planted, plantedToken)
			wantNoSecret(t, err)
			_, err = wechat.NewServerTokens(c, nil).Token(t.Context(), planted)
			wantNoSecret(t, err)
			if valid, err := c.CheckToken(t.Context(), plantedToken, plantedOpenID); err != nil {
				wantNoSecret(t, err)
			} else if valid {
				t.Error("a good token")
			}
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
