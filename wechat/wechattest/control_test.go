package wechattest_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

func TestControlPage(t *testing.T) {
	s := start(t)
	b := newBrowser(t, wechattest.UAPlainChrome)
	exchange(t, s, "somecode")

	got := b.get(s.URL + "/sim/")
	for _, want := range []string{"小美", appid, "AllowLoopbackPort", "ReplayCode", wechattest.AccessTokenPath, "somecode", "40029", "secret=***"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got.body, secret) {
		t.Error("the page shows a secret")
	}
	if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
	if got := b.get(s.URL + "/"); got.StatusCode != 302 || got.Header.Get("Location") != "/sim/" {
		t.Errorf("root: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	if got := b.get(s.URL + "/sim/style.css"); !strings.HasPrefix(got.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %v", got.Header)
	}
	if got := b.get(s.URL + "/sim/nothing"); got.StatusCode != 404 {
		t.Errorf("unknown page: %d", got.StatusCode)
	}

	var lines []map[string]any
	if err := json.Unmarshal([]byte(b.get(s.URL+"/sim/journal").body), &lines); err != nil {
		t.Fatal(err)
	}
	if len(lines) != 1 || lines[0]["errcode"] != float64(40029) || strings.Contains(lines[0]["query"].(string), secret) {
		t.Errorf("journal %v", lines)
	}
}

func TestControlForms(t *testing.T) {
	s := start(t)
	b := newBrowser(t, wechattest.UAPlainChrome)
	before := s.Now()
	if got := b.post(s.URL+"/sim/clock", "advance", "2h"); got.StatusCode != 303 || s.Now().Sub(before) < 2*time.Hour {
		t.Errorf("clock: %d, %v", got.StatusCode, s.Now().Sub(before))
	}
	if got := b.post(s.URL+"/sim/clock", "advance", "soon"); got.StatusCode != 400 {
		t.Errorf("bad clock: %d", got.StatusCode)
	}
	got := b.post(s.URL+"/sim/behaviour", "Choose", "on", "SNSPerMinute", "7", "DoubleCallback", "same-code")
	want := wechattest.Behaviour{Choose: true, SNSPerMinute: 7, DoubleCallback: wechattest.DoubleSameCode}
	if got.StatusCode != 303 || s.Behaviour() != want {
		t.Errorf("switches: %d, %+v", got.StatusCode, s.Behaviour())
	}
	if got := b.post(s.URL+"/sim/behaviour", "SNSPerMinute", "many"); got.StatusCode != 400 || s.Behaviour() != want {
		t.Errorf("bad switch: %d, %+v", got.StatusCode, s.Behaviour())
	}
	if got := b.post(s.URL+"/sim/fault", "path", wechattest.AccessTokenPath, "fault", "busy", "times", "2"); got.StatusCode != 303 {
		t.Errorf("fault: %d", got.StatusCode)
	}
	for _, want := range []int{-1, -1, 40029} {
		if r := exchange(t, s, "x"); r.errcode() != want {
			t.Errorf("%s, want %d", r.raw, want)
		}
	}
	for _, form := range []url.Values{
		{"path": {"/x"}, "fault": {"busy"}},
		{"path": {wechattest.UserInfoPath}, "fault": {"x"}},
		{"path": {wechattest.UserInfoPath}, "fault": {"busy"}, "times": {"x"}},
	} {
		if got := b.do("POST", s.URL+"/sim/fault", form); got.StatusCode != 400 {
			t.Errorf("%v: %d", form, got.StatusCode)
		}
	}
	code := b.post(s.URL+"/sim/code", "appid", appid, "player", "aqiang", "scope", "snsapi_base")
	if r := exchange(t, s, code.body); r.text("openid") != s.OpenID("aqiang", appid) {
		t.Errorf("code %q: %s", code.body, r.raw)
	}
	if got := b.post(s.URL+"/sim/code", "appid", appid, "player", "nobody", "scope", "snsapi_base"); got.StatusCode != 400 {
		t.Errorf("code for nobody: %d", got.StatusCode)
	}
	if got := b.get(s.URL + "/sim/?player=nobody"); got.StatusCode != 404 {
		t.Errorf("unknown player: %d", got.StatusCode)
	}
}

func TestPictures(t *testing.T) {
	s := wechattest.New(wechattest.Config{
		PublicURL: "http://wechat.test/",
		Apps:      []wechattest.App{{ID: appid, Secret: secret}},
	})
	served := start(t)
	got := newBrowser(t, "").get(served.URL + "/sim/avatar/xiaomei.svg")
	if got.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("type %q", got.Header.Get("Content-Type"))
	}
	for d := xml.NewDecoder(strings.NewReader(got.body)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
	rec := &recorder{discard: discard{map[string][]string{}}}
	s.ServeHTTP(rec, newRequest(t, "/sns/oauth2/access_token?appid="+appid+"&secret="+secret+"&grant_type=authorization_code&code="+s.IssueCode(appid, "xiaomei", "snsapi_userinfo")))
	var tok struct {
		Token  string `json:"access_token"`
		OpenID string `json:"openid"`
	}
	if err := json.Unmarshal(rec.body, &tok); err != nil {
		t.Fatal(err)
	}
	rec.body = nil
	s.ServeHTTP(rec, newRequest(t, "/sns/userinfo?access_token="+tok.Token+"&openid="+tok.OpenID))
	if !strings.Contains(string(rec.body), `"headimgurl":"http:\/\/wechat.test\/sim\/avatar\/xiaomei.svg"`) {
		t.Errorf("profile %s", rec.body)
	}
}

type recorder struct {
	discard
	body []byte
}

func (r *recorder) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }

func TestBadAppsAndPlayers(t *testing.T) {
	good := wechattest.App{ID: appid, Secret: secret}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*wechattest.App){
		"appid":       func(a *wechattest.App) { a.ID = "gh_123" },
		"secret":      func(a *wechattest.App) { a.Secret = "" },
		"kind":        func(a *wechattest.App) { a.Kind = "tv" },
		"three hosts": func(a *wechattest.App) { a.CallbackHosts = []string{"a.test", "b.test", "c.test"} },
		"scheme":      func(a *wechattest.App) { a.CallbackHosts = []string{"https://a.test"} },
		"port":        func(a *wechattest.App) { a.CallbackHosts = []string{"a.test:80"} },
		"path":        func(a *wechattest.App) { a.CallbackHosts = []string{"a.test/x"} },
		"address":     func(a *wechattest.App) { a.CallbackHosts = []string{"192.0.2.1"} },
		"case":        func(a *wechattest.App) { a.CallbackHosts = []string{"A.test"} },
		"no host":     func(a *wechattest.App) { a.CallbackHosts = []string{""} },
	} {
		a := good
		change(&a)
		if a.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
		wantPanic(t, name, func() { wechattest.New(wechattest.Config{Apps: []wechattest.App{a}}) })
	}
	s := wechattest.New(wechattest.Config{Apps: []wechattest.App{good}})
	wantPanic(t, "player id", func() { s.AddPlayer(wechattest.Player{ID: "A b"}) })
	wantPanic(t, "code for nobody", func() { s.IssueCode(appid, "nobody", "snsapi_base") })
	wantPanic(t, "code of no app", func() { s.IssueCode(website, "xiaomei", "snsapi_base") })
}

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

// A simulator may be used from many goroutines while a test turns its knobs.
func TestConcurrentUse(t *testing.T) {
	s := start(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			s.Advance(time.Second)
			s.Set(func(b *wechattest.Behaviour) { b.Hints = !b.Hints })
			s.AddPlayer(wechattest.Player{ID: "late"})
			s.Journal()
			s.Inject(wechattest.AuthPath, wechattest.Busy)
		}
	}()
	b := newBrowser(t, wechattest.UAIOS)
	for range 20 {
		loc := b.get(link(s, "snsapi_base")).Header.Get("Location")
		u, err := url.Parse(loc)
		if err != nil {
			t.Fatal(err)
		}
		if r := exchange(t, s, u.Query().Get("code")); r.errcode() != 0 {
			t.Errorf("login: %s", r.raw)
		}
		b.get(s.URL + "/sim/")
	}
	<-done
}
