package wechattest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

func TestRegisterDomain(t *testing.T) {
	s := start(t)
	name, body := s.VerifyFile(mini)
	if !regexp.MustCompile(`^MP_verify_[0-9a-zA-Z]{16}\.txt$`).MatchString(name) || !strings.Contains(name, body) {
		t.Fatalf("file %q with %q", name, body)
	}
	for _, tt := range []struct {
		name  string
		serve http.HandlerFunc
		want  string
	}{
		{"right", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }, ""},
		{"newline added", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body+"\n") }, "内容与下载文件不符"},
		{"a page", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, "内容与下载文件不符"},
		{"login", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "HTTP 状态 302"},
		{"missing", http.NotFound, "HTTP 状态 404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			s.AddApp(wechattest.App{ID: mini, Secret: secret})
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/"+name || r.URL.Path == "/login" {
					tt.serve(w, r)
				}
			}))
			defer site.Close()
			err := s.RegisterDomain(t.Context(), mini, site.URL)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			want := map[bool]string{true: "verified", false: "not verified"}[err == nil]
			if e := last(t, s); e.Result != want || e.Path != "/"+name {
				t.Errorf("journal %+v", e)
			}
			got := newBrowser(t, wechattest.UAIOS).get(link(s, "snsapi_base", appid, mini, "https%3A%2F%2Fplay.example.com", "http%3A%2F%2F127.0.0.1"))
			if (got.StatusCode == 302) != (err == nil) {
				t.Errorf("login with the domain: %d", got.StatusCode)
			}
		})
	}
	for _, origin := range []string{"", "play.example.com", "ftp://play.example.com", "https://play.example.com/x", "http://%zz"} {
		if s.RegisterDomain(t.Context(), mini, origin) == nil {
			t.Errorf("%q was registered", origin)
		}
	}
	if s.RegisterDomain(t.Context(), "wx9999999999999999", "https://play.example.com") == nil {
		t.Error("an unknown app got a domain")
	}
	if got := newBrowser(t, "").post(s.URL+"/sim/domain", "appid", mini, "origin", "x"); got.StatusCode != 400 {
		t.Errorf("form: %d", got.StatusCode)
	}
}

func TestJSDomainsAreChecked(t *testing.T) {
	for _, domains := range [][]string{{"https://a.test"}, {"a.test:80"}, {""}, {"/x"}, {"A.test/x"}, {"192.0.2.1"}, {"a", "b", "c", "d", "e", "f"}} {
		a := wechattest.App{ID: appid, Secret: secret, JSDomains: domains}
		if a.Check() == nil {
			t.Errorf("%q: accepted", domains)
		}
	}
	a := wechattest.App{ID: appid, Secret: secret, JSDomains: []string{"a.test", "b.test/x/y", "c.test/", "127.0.0.1", "localhost"}}
	if err := a.Check(); err != nil {
		t.Error(err)
	}
}
