package wechattest_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"wxgate/wechat/wechattest"
)

const (
	appid   = "wx0123456789abcdef"
	secret  = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	website = "wx1111111111111111"
	mini    = "wx2222222222222222"
)

// start runs a simulator with an app of each kind that the tests need.
func start(t *testing.T) *wechattest.Server {
	t.Helper()
	s := wechattest.NewServer(
		wechattest.App{ID: appid, Secret: secret, Name: "抓娃娃", CallbackHosts: []string{"play.example.com", "127.0.0.1"}, Bound: true},
		wechattest.App{ID: website, Secret: secret, Kind: wechattest.Website, CallbackHosts: []string{"play.example.com"}},
		wechattest.App{ID: mini, Secret: secret, Kind: wechattest.MiniProgram, CallbackHosts: []string{"play.example.com"}},
	)
	t.Cleanup(s.Close)
	return s
}

// browser keeps cookies, follows no redirects, and has a User-Agent.
type browser struct {
	t     *testing.T
	agent string
	http  *http.Client
}

func newBrowser(t *testing.T, agent string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &browser{t, agent, &http.Client{
		Transport: tr, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type page struct {
	*http.Response
	body string
}

func (b *browser) do(method, link string, form url.Values) page {
	b.t.Helper()
	req, err := http.NewRequest(method, link, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("User-Agent", b.agent)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{res, string(body)}
}

func (b *browser) get(link string) page { b.t.Helper(); return b.do("GET", link, nil) }

func (b *browser) post(link string, pairs ...string) page {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.do("POST", link, form)
}

// link returns a good authorize link with replacements applied.
func link(s *wechattest.Server, scope string, oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(s.URL + "/connect/oauth2/authorize?appid=" + appid +
		"&redirect_uri=https%3A%2F%2Fplay.example.com%2Fcb&response_type=code&scope=" + scope +
		"&state=abc123&connect_redirect=1#wechat_redirect")
}

func last(t *testing.T, s *wechattest.Server) wechattest.Entry {
	t.Helper()
	j := s.Journal()
	if len(j) == 0 {
		t.Fatal("the journal is empty")
	}
	return j[len(j)-1]
}

func TestAuthorizeErrors(t *testing.T) {
	const redirect = "https%3A%2F%2Fplay.example.com%2Fcb"
	tests := []struct {
		name   string
		set    func(*wechattest.Behaviour)
		oldnew []string
		code   string // of the page; "" means that it is accepted
	}{
		{"good", nil, nil, ""},
		{"no appid", nil, []string{"appid=" + appid, "appid="}, "10012"},
		{"no redirect_uri", nil, []string{redirect, ""}, "10011"},
		{"no scope", nil, []string{"scope=snsapi_base", "scope="}, "10010"},
		{"no state", nil, []string{"state=abc123", "state="}, "10013"},
		{"state missing altogether", nil, []string{"&state=abc123", ""}, "10013"},
		{"unknown appid", nil, []string{appid, "wx9999999999999999"}, "0"},
		{"website's appid", nil, []string{appid, website}, "10016"},
		{"mini program's appid", nil, []string{appid, mini}, "10005"},
		{"website's scope", nil, []string{"snsapi_base", "snsapi_login"}, "10005"},
		{"two scopes", nil, []string{"snsapi_base", "snsapi_base,snsapi_userinfo"}, "10005"},
		{"response_type", nil, []string{"response_type=code", "response_type=token"}, "0"},
		{"state of 128 bytes", nil, []string{"abc123", strings.Repeat("a", 128)}, ""},
		{"state of 129 bytes", nil, []string{"abc123", strings.Repeat("a", 129)}, "0"},
		{"state with a dash", nil, []string{"abc123", "abc-123"}, "0"},
		{"state with a dash, lenient", func(b *wechattest.Behaviour) { b.LenientState = true }, []string{"abc123", "abc-123"}, ""},
		{"wrong order", nil, []string{"&state=abc123", "", "appid=", "state=abc123&appid="}, "0"},
		{"wrong order, lenient", func(b *wechattest.Behaviour) { b.LenientOrder = true }, []string{"&state=abc123", "", "appid=", "state=abc123&appid="}, ""},
		{"connect_redirect too early", nil, []string{"&connect_redirect=1", "", "&redirect_uri", "&connect_redirect=1&redirect_uri"}, "0"},
		{"unknown parameter", nil, []string{"connect_redirect=1", "x=1"}, "0"},
		{"doubled parameter", nil, []string{"connect_redirect=1", "state=b"}, "0"},
		{"redirect_uri not encoded", nil, []string{redirect, "https://play.example.com/cb?a=1&b=2"}, "0"},
		{"redirect_uri encoded twice", nil, []string{redirect, url.QueryEscape(redirect)}, "10003"},
		{"redirect_uri badly encoded", nil, []string{redirect, "https%3"}, "0"},
		{"www", nil, []string{"%2F%2Fplay.", "%2F%2Fwww.play."}, "10003"},
		{"parent domain", nil, []string{"play.example.com", "example.com"}, "10003"},
		{"suffix", nil, []string{"play.example.com", "play.example.com.evil.test"}, "10003"},
		{"user name", nil, []string{"play.example.com", "play.example.com%40evil.test"}, "10003"},
		{"port", nil, []string{"play.example.com", "play.example.com%3A443"}, "10003"},
		{"empty port", nil, []string{"play.example.com", "play.example.com%3A"}, "10003"},
		{"fragment", nil, []string{"%2Fcb", "%2Fcb%23x"}, "10003"},
		{"scheme", nil, []string{"https%3A", "ftp%3A"}, "10003"},
		{"upper case host", nil, []string{"play.example.com", "Play.Example.com"}, ""},
		{"loopback port", nil, []string{"https%3A%2F%2Fplay.example.com", "http%3A%2F%2F127.0.0.1%3A8080"}, ""},
		{"loopback port, strict", func(b *wechattest.Behaviour) { b.AllowLoopbackPort = false }, []string{"https%3A%2F%2Fplay.example.com", "http%3A%2F%2F127.0.0.1%3A8080"}, "10003"},
		{"loopback host not registered", nil, []string{"https%3A%2F%2Fplay.example.com", "http%3A%2F%2Flocalhost%3A8080"}, "10003"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			if tt.set != nil {
				s.Set(tt.set)
			}
			got := newBrowser(t, wechattest.UAIOS).get(link(s, "snsapi_base", tt.oldnew...))
			if tt.code == "" {
				if got.StatusCode != 302 || last(t, s).Result != "redirect" {
					t.Fatalf("status %d, %s", got.StatusCode, got.body)
				}
				return
			}
			if got.StatusCode != 200 || got.Header.Get("Location") != "" || got.Header.Get(wechattest.ErrorHeader) != tt.code {
				t.Errorf("status %d, code %q, want page with %s", got.StatusCode, got.Header.Get(wechattest.ErrorHeader), tt.code)
			}
			if tt.code != "0" && !strings.Contains(got.body, "<b>"+tt.code+"</b>") {
				t.Errorf("the page does not show the code: %s", got.body)
			}
			if e := last(t, s); e.Result != "error page" {
				t.Errorf("journal says %q", e.Result)
			}
		})
	}
}

func TestOnlyInsideWeChat(t *testing.T) {
	s := start(t)
	for agent, want := range map[string]int{
		wechattest.UAIOS: 302, wechattest.UAAndroid: 302, wechattest.UAHarmony: 302, wechattest.UAWindows: 302,
		wechattest.UAMac: 302, wechattest.UAMiniProgram: 302,
		wechattest.UAWeCom: 200, wechattest.UAPlainChrome: 200, "": 200,
	} {
		got := newBrowser(t, agent).get(link(s, "snsapi_base"))
		if got.StatusCode != want || want == 200 && !strings.Contains(got.body, "请在微信客户端打开链接") {
			t.Errorf("%q: status %d, want %d", agent, got.StatusCode, want)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.AnyBrowser = true })
	if got := newBrowser(t, wechattest.UAPlainChrome).get(link(s, "snsapi_base")); got.StatusCode != 302 {
		t.Errorf("AnyBrowser: status %d", got.StatusCode)
	}
}

var callbackForm = regexp.MustCompile(`^https://play\.example\.com/cb\?code=([0-9A-Za-z]{32})&state=abc123$`)

func TestSilentLogin(t *testing.T) {
	s := start(t)
	got := newBrowser(t, wechattest.UAIOS).get(link(s, "snsapi_base"))
	if !callbackForm.MatchString(got.Header.Get("Location")) {
		t.Errorf("Location %q", got.Header.Get("Location"))
	}
	if got.Header.Get("Cache-Control") != "no-store" {
		t.Error("the redirect may be cached")
	}
	// An existing query is kept as it is.
	got = newBrowser(t, wechattest.UAIOS).get(link(s, "snsapi_base", "%2Fcb", "%2Fcb%3Fa%3D1%2526%26b"))
	if !strings.HasPrefix(got.Header.Get("Location"), "https://play.example.com/cb?a=1%26&b&code=") {
		t.Errorf("Location %q", got.Header.Get("Location"))
	}
}

func TestConsent(t *testing.T) {
	s := start(t)
	b := newBrowser(t, wechattest.UAIOS)
	ask := link(s, "snsapi_userinfo")

	got := b.get(ask)
	if got.StatusCode != 200 || !strings.Contains(got.body, "抓娃娃") || !strings.Contains(got.body, "同意") ||
		!strings.Contains(got.body, "拒绝") || !strings.Contains(got.body, "小美") {
		t.Fatalf("no consent page: %s", got.body)
	}
	if got := b.post(ask, "consent", "agree"); got.StatusCode != 302 || !callbackForm.MatchString(got.Header.Get("Location")) {
		t.Errorf("agreed: status %d, Location %q", got.StatusCode, got.Header.Get("Location"))
	}
	if got := b.post(ask, "consent", "deny"); got.StatusCode != 200 || got.Header.Get("Location") != "" || !strings.Contains(got.body, "返回") {
		t.Errorf("denied on iOS: status %d, %s", got.StatusCode, got.body)
	}
	android := newBrowser(t, wechattest.UAAndroid)
	got = android.post(ask, "consent", "deny")
	if blank := regexp.MustCompile(`<body>\s*</body>`); got.StatusCode != 200 || got.Header.Get("Location") != "" || !blank.MatchString(got.body) {
		t.Errorf("denied on Android: status %d, %s", got.StatusCode, got.body)
	}
	if got := b.post(strings.Replace(ask, "play.", "evil.", 1), "consent", "agree"); got.Header.Get("Location") != "" {
		t.Errorf("the answer skips the checks: %q", got.Header.Get("Location"))
	}

	s.Set(func(b *wechattest.Behaviour) { b.SilentFollowers = true })
	if got := b.get(ask); got.StatusCode != 302 {
		t.Errorf("a follower was asked: %d", got.StatusCode)
	}
	s.Set(func(b *wechattest.Behaviour) { b.Player = "aqiang" })
	if got := b.get(ask); got.StatusCode != 200 {
		t.Errorf("somebody who does not follow was not asked: %d", got.StatusCode)
	}
	s.Set(func(b *wechattest.Behaviour) { b.AutoConsent = true })
	if got := b.get(ask); got.StatusCode != 302 {
		t.Errorf("AutoConsent: %d", got.StatusCode)
	}
	if got := b.do("DELETE", ask, nil); got.StatusCode != 405 {
		t.Errorf("DELETE: %d", got.StatusCode)
	}
}

func TestChoosingAPlayer(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.Choose = true })
	b := newBrowser(t, wechattest.UAIOS)
	base := link(s, "snsapi_base")

	got := b.get(base)
	if got.StatusCode != 200 || last(t, s).Result != "choose page" {
		t.Fatalf("status %d, %q", got.StatusCode, last(t, s).Result)
	}
	for _, want := range []string{"阿强🎮", "&lt;script&gt;alert(1)", "（空昵称）", "模拟器"} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(got.body, "<script>alert") {
		t.Error("a nickname became markup")
	}
	got = b.post(base, "player", "aqiang")
	path, _, _ := strings.Cut(strings.TrimPrefix(base, s.URL), "#")
	if got.StatusCode != 303 || got.Header.Get("Location") != path {
		t.Fatalf("status %d, Location %q", got.StatusCode, got.Header.Get("Location"))
	}
	if got = b.get(base); got.StatusCode != 302 || last(t, s).Player != "aqiang" {
		t.Errorf("status %d, player %q", got.StatusCode, last(t, s).Player)
	}
	if got := b.post(base, "player", "nobody"); got.StatusCode != 404 {
		t.Errorf("unknown player: %d", got.StatusCode)
	}
	// The control page chooses too.
	if got := b.get(s.URL + "/sim/?player=nameless"); got.StatusCode != 303 || got.Header.Get("Location") != "/sim/" {
		t.Errorf("control page: %d %q", got.StatusCode, got.Header.Get("Location"))
	}
	if b.get(base); last(t, s).Player != "nameless" {
		t.Errorf("player %q", last(t, s).Player)
	}
}

func TestCallbackOddities(t *testing.T) {
	without := []string{"&connect_redirect=1", ""}
	tests := []struct {
		name   string
		agent  string
		set    func(*wechattest.Behaviour)
		oldnew []string
		want   int // callbacks
		same   bool
	}{
		{"Android with connect_redirect", wechattest.UAAndroid, nil, nil, 1, false},
		{"Android without", wechattest.UAAndroid, nil, without, 2, false},
		{"iOS without", wechattest.UAIOS, nil, without, 1, false},
		{"Android without, switched off", wechattest.UAAndroid, func(b *wechattest.Behaviour) { b.DoubleCallback = wechattest.DoubleNever }, without, 1, false},
		{"always the same code", wechattest.UAIOS, func(b *wechattest.Behaviour) { b.DoubleCallback = wechattest.DoubleSameCode }, nil, 2, true},
		{"always another code", wechattest.UAIOS, func(b *wechattest.Behaviour) { b.DoubleCallback = wechattest.DoubleOtherCode }, nil, 2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			if tt.set != nil {
				s.Set(tt.set)
			}
			got := newBrowser(t, tt.agent).get(link(s, "snsapi_base", tt.oldnew...))
			callbacks := got.Header.Values(wechattest.CallbackHeader)
			if len(callbacks) != tt.want {
				t.Fatalf("%d callbacks", len(callbacks))
			}
			codes := map[string]bool{}
			for _, c := range callbacks {
				m := callbackForm.FindStringSubmatch(c)
				if m == nil {
					t.Fatalf("callback %q", c)
				}
				codes[m[1]] = true
			}
			if tt.want == 1 {
				if got.StatusCode != 302 || got.Header.Get("Location") != callbacks[0] {
					t.Errorf("status %d", got.StatusCode)
				}
				return
			}
			if got.StatusCode != 200 || (len(codes) == 1) != tt.same || !strings.Contains(got.body, "location.replace(") {
				t.Errorf("status %d, codes %v: %s", got.StatusCode, codes, got.body)
			}
		})
	}

	s := start(t)
	b := newBrowser(t, wechattest.UAIOS)
	s.Set(func(b *wechattest.Behaviour) { b.StateJunk = "https://junk.test/" })
	if loc := b.get(link(s, "snsapi_base")).Header.Get("Location"); !strings.HasSuffix(loc, "&state=abc123https://junk.test/") {
		t.Errorf("junk: %q", loc)
	}
	s.Set(func(b *wechattest.Behaviour) { b.StateJunk, b.ReplayCode = "", "OLDCODE" })
	if loc := b.get(link(s, "snsapi_base")).Header.Get("Location"); loc != "https://play.example.com/cb?code=OLDCODE&state=abc123" {
		t.Errorf("replay: %q", loc)
	}
	s.Set(func(b *wechattest.Behaviour) { b.BareCallback = true })
	if loc := b.get(link(s, "snsapi_base")).Header.Get("Location"); loc != "https://play.example.com/cb" {
		t.Errorf("bare: %q", loc)
	}
}

func TestSnapshotSkipsConsent(t *testing.T) {
	s := start(t)
	b := newBrowser(t, wechattest.UAIOS)
	if got := b.get(link(s, "snsapi_userinfo", "connect_redirect=1", "forceSnapShot=true")); got.StatusCode != 302 {
		t.Errorf("forceSnapShot: status %d", got.StatusCode)
	}
	s.Set(func(b *wechattest.Behaviour) { b.Player = "snapshot" })
	if got := b.get(link(s, "snsapi_userinfo")); got.StatusCode != 302 {
		t.Errorf("snapshot visitor: status %d", got.StatusCode)
	}
}
