package wechattest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

// site counts visits in a cookie and shows the cookies that it got.
func site(w http.ResponseWriter, r *http.Request) {
	n := 0
	if c, err := r.Cookie("visits"); err == nil {
		fmt.Sscan(c.Value, &n)
	}
	http.SetCookie(w, &http.Cookie{Name: "visits", Value: fmt.Sprint(n + 1), Path: "/", HttpOnly: true})
	switch r.URL.Path {
	case "/json":
		w.Header().Set("Content-Type", "application/json")
	case "/moved":
		http.Redirect(w, r, "/", http.StatusFound)
		return
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", fmt.Sprint(len(fmt.Sprintf("visits %d", n))))
	}
	fmt.Fprintf(w, "visits %d", n)
}

var fullLink = regexp.MustCompile(`href="(http[^"]+/sim/full[^"]*)"`)

func TestWebViewSnapshot(t *testing.T) {
	s := start(t)
	view := httptest.NewServer(s.WebView(http.HandlerFunc(site)))
	defer view.Close()
	b := newBrowser(t, wechattest.UAIOS)

	for i := range 2 {
		if got := b.get(view.URL); got.body != fmt.Sprintf("visits %d", i) {
			t.Fatalf("ordinary visit %d: %s", i, got.body)
		}
	}
	b.get(s.URL + "/sim/?player=snapshot")
	for i := range 2 { // another storage
		got := b.get(view.URL + "/page?x=1&y=2")
		if !strings.HasPrefix(got.body, fmt.Sprintf("visits %d<p", i)) || !strings.Contains(got.body, "使用完整服务") {
			t.Fatalf("snapshot visit %d: %s", i, got.body)
		}
	}
	if got := b.get(view.URL + "/json"); got.body != "visits 2" {
		t.Errorf("an answer that is no page was changed: %q", got.body)
	}
	if got := b.get(view.URL + "/moved"); got.StatusCode != 302 || strings.Contains(got.body, "<p") {
		t.Errorf("a redirect was changed: %q", got.body)
	}

	m := fullLink.FindStringSubmatch(b.get(view.URL + "/page?x=1&y=2").body)
	if m == nil {
		t.Fatal("no way out")
	}
	full := strings.ReplaceAll(m[1], "&amp;", "&")
	if got := b.get(full); !strings.Contains(got.body, "同意") {
		t.Fatalf("no consent page: %s", got.body)
	}
	if got := b.post(full, "consent", "deny"); got.StatusCode != 303 || got.Header.Get("Location") != view.URL+"/page?x=1&y=2" {
		t.Errorf("denied: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	if got := b.get(view.URL); !strings.Contains(got.body, "使用完整服务") {
		t.Error("a refusal led out of the mode")
	}
	got := b.post(full, "consent", "agree")
	if got.StatusCode != 303 || got.Header.Get("Location") != view.URL+"/page?x=1&y=2" {
		t.Fatalf("agreed: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	if got := b.get(got.Header.Get("Location")); got.body != "visits 2" {
		t.Errorf("the normal storage: %s", got.body)
	}
	u, _ := url.Parse(view.URL)
	for _, c := range b.http.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "wxsnap_") {
			t.Errorf("%s outlived the mode", c.Name)
		}
	}
	// The login is the real person's from now on, who is asked as anybody.
	if got := b.get(link(s, "snsapi_userinfo")); got.StatusCode != 200 || !strings.Contains(got.body, "同意") {
		t.Errorf("consent: %d", got.StatusCode)
	}
	back, err := url.Parse(b.get(link(s, "snsapi_base")).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	if r := exchange(t, s, back.Query().Get("code")); r.text("openid") != s.OpenID("snapshot", appid) || strings.Contains(r.raw, "is_snapshotuser") {
		t.Errorf("login: %s", r.raw)
	}
	b.get(s.URL + "/sim/?player=snapshot") // choosing again begins again
	if got := b.get(view.URL); !strings.HasPrefix(got.body, "visits 0<p") {
		t.Errorf("again: %s", got.body)
	}

	for _, bad := range []string{"", "x", "javascript:alert(1)", "http:///x"} {
		if got := b.get(s.URL + "/sim/full?url=" + url.QueryEscape(bad)); got.StatusCode != 400 {
			t.Errorf("%q: %d", bad, got.StatusCode)
		}
	}
	if got := b.post(full, "consent", "x"); got.StatusCode != 400 {
		t.Errorf("bad answer: %d", got.StatusCode)
	}
}

func TestWebViewLosesCookies(t *testing.T) {
	s := start(t)
	view := httptest.NewServer(s.WebView(http.HandlerFunc(site)))
	defer view.Close()
	b := newBrowser(t, wechattest.UAIOS)
	b.get(s.URL + "/sim/?player=aqiang")
	b.get(view.URL)
	s.Set(func(b *wechattest.Behaviour) { b.LoseCookies = 1 })
	for _, tt := range []struct{ path, want string }{
		{"/", "visits 1"},                     // no callback
		{"/cb?code=C&state=S", "visits 0"},    // lost
		{"/", "visits 1"},                     // what was set since is kept
		{"/cb?code=C&state=S", "visits 2"},    // lost but once
		{"/cb?code=C", "visits 3"},            // no callback either
		{"/cb?code=C&state=S#x", "visits 4"},  //
		{"/cb?state=S&code=C&x=", "visits 5"}, //
	} {
		if got := b.get(view.URL + tt.path); got.body != tt.want {
			t.Errorf("%s: %s, want %s", tt.path, got.body, tt.want)
		}
	}
	if s.Behaviour().LoseCookies != 0 {
		t.Error("the count does not go down")
	}
	if b.get(link(s, "snsapi_base")); last(t, s).Player != "aqiang" {
		t.Error("WeChat forgot the person")
	}
}

// Streams and upgrades pass through.
func TestWebViewIsTransparent(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.Player = "snapshot" })
	release := make(chan struct{})
	view := httptest.NewServer(s.WebView(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-release
	})))
	defer view.Close()
	res, err := http.Get(view.URL)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 9)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Errorf("stream: %q, %v", first, err)
	}
	close(release)
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
		t.Errorf("the rest: %q, %v", rest, err)
	}
	res.Body.Close()
	req := newRequest(t, view.URL+"/hijack")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "x")
	res, err = http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if raw, err := io.ReadAll(res.Body); err != nil || string(raw) != "raw" || res.StatusCode != 101 {
		t.Errorf("upgrade: %d, %q, %v", res.StatusCode, raw, err)
	}
}
