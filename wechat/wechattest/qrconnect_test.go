package wechattest_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"wxgate/wechat/wechattest"
)

// qrLink returns a good link to the whole QR page, frameLink to the framed one.
func qrLink(s *wechattest.Server, oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(s.URL + "/connect/qrconnect?appid=" + website +
		"&redirect_uri=https%3A%2F%2Fplay.example.com%2Fcb&response_type=code&scope=snsapi_login&state=abc123#wechat_redirect")
}

func frameLink(s *wechattest.Server, oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(s.URL + "/connect/qrconnect?appid=" + website +
		"&scope=snsapi_login&redirect_uri=https%3A%2F%2Fplay.example.com%2Fcb&state=abc123&login_type=jssdk&self_redirect=default&style=black")
}

func TestQRErrors(t *testing.T) {
	type change []string
	tests := []struct {
		name   string
		framed bool
		set    func(*wechattest.Behaviour)
		oldnew change
		code   string // of the page; "" means that it is accepted
	}{
		{"good", false, nil, nil, ""},
		{"framed", true, nil, nil, ""},
		{"framed, with all options", true, nil, change{"&style=black", "&styletype=&sizetype=&bgcolor=&rst=&style=white&href=x&stylelite=1&fast_login=0&lang=en"}, ""},
		{"no state", false, nil, change{"&state=abc123", ""}, ""},
		{"English", false, nil, change{"abc123", "abc123&lang=en"}, ""},
		{"state of any length and kind", false, nil, change{"abc123", strings.Repeat("a-_.", 100)}, ""},
		{"no appid", false, nil, change{"appid=" + website, "appid="}, "10012"},
		{"no redirect_uri", false, nil, change{"https%3A%2F%2Fplay.example.com%2Fcb", ""}, "10011"},
		{"no scope", false, nil, change{"snsapi_login", ""}, "10010"},
		{"unknown appid", false, nil, change{website, "wx9999999999999999"}, "0"},
		{"service account's appid", false, nil, change{website, appid}, "10005"},
		{"service account's scope", false, nil, change{"snsapi_login", "snsapi_userinfo"}, "10005"},
		{"another host", false, nil, change{"play.example", "pay.example"}, "10003"},
		{"port", false, nil, change{"example.com", "example.com%3A443"}, "10003"},
		{"encoded twice", false, nil, change{"https%3A%2F%2F", "https%253A%252F%252F"}, "10003"},
		{"response_type", false, nil, change{"response_type=code", "response_type=token"}, "0"},
		{"wrong order", false, nil, change{"&state=abc123", "", "appid=", "state=abc123&appid="}, "0"},
		{"wrong order, lenient", false, func(b *wechattest.Behaviour) { b.LenientOrder = true }, change{"&state=abc123", "", "appid=", "state=abc123&appid="}, ""},
		{"unknown parameter", false, nil, change{"abc123", "abc123&x=1"}, "0"},
		{"connect_redirect belongs elsewhere", false, nil, change{"abc123", "abc123&connect_redirect=1"}, "0"},
		{"framed in the order of the page", true, nil, change{"&scope=snsapi_login", "", "&state=", "&scope=snsapi_login&state="}, "0"},
		{"login_type", true, nil, change{"jssdk", "sdk"}, "0"},
		{"self_redirect", true, nil, change{"default", "yes"}, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			if tt.set != nil {
				s.Set(tt.set)
			}
			link := qrLink(s, tt.oldnew...)
			if tt.framed {
				link = frameLink(s, tt.oldnew...)
			}
			got := newBrowser(t, wechattest.UAPlainChrome).get(link)
			if got.StatusCode != 200 || got.Header.Get(wechattest.ErrorHeader) != tt.code {
				t.Fatalf("status %d, code %q, want %q: %s", got.StatusCode, got.Header.Get(wechattest.ErrorHeader), tt.code, got.body)
			}
			if tt.code != "" {
				return
			}
			if !strings.Contains(got.body, `src="/connect/qrcode/`) {
				t.Errorf("no picture: %s", got.body)
			}
			want := "frame-ancestors 'none'"
			if tt.framed {
				want = "frame-ancestors *"
			}
			if csp := got.Header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, want) {
				t.Errorf("policy %q", csp)
			}
		})
	}
}

func TestQRButtonsWithoutScript(t *testing.T) {
	s := start(t)
	pc := newBrowser(t, wechattest.UAPlainChrome)
	for _, link := range []string{qrLink(s), frameLink(s)} {
		got := pc.post(link, "qr", "confirm", "player", "aqiang")
		if !callbackForm.MatchString(got.Header.Get("Location")) || got.StatusCode != 302 || got.Header.Get(wechattest.CallbackHeader) != got.Header.Get("Location") {
			t.Fatalf("confirmed: %d, %q", got.StatusCode, got.Header.Get("Location"))
		}
		if e := last(t, s); e.Result != "redirect" || e.Player != "aqiang" {
			t.Errorf("journal %+v", e)
		}
		for _, button := range []string{"scan", "cancel", "expire"} {
			if got := pc.post(link, "qr", button); got.StatusCode != 200 || got.Header.Get("Location") != "" {
				t.Errorf("%s: %d, %q", button, got.StatusCode, got.Header.Get("Location"))
			}
		}
	}
	for _, form := range []url.Values{{"qr": {"fast"}}, {"qr": {"x"}}, {}, {"qr": {"confirm"}, "player": {"nobody"}}} {
		if got := pc.do("POST", qrLink(s), form); got.StatusCode != 400 {
			t.Errorf("%v: %d", form, got.StatusCode)
		}
	}
	s.Set(func(b *wechattest.Behaviour) { b.QRDenyRedirects = true })
	if got := pc.post(qrLink(s), "qr", "cancel"); got.Header.Get("Location") != "https://play.example.com/cb?state=abc123" {
		t.Errorf("denied by switch: %q", got.Header.Get("Location"))
	}
	if got := pc.do("DELETE", qrLink(s), nil); got.StatusCode != 404 {
		t.Errorf("DELETE: %d", got.StatusCode)
	}
}

func TestQRCodeLivesTenMinutes(t *testing.T) {
	for after, want := range map[time.Duration]int{10*time.Minute - 30*time.Second: 0, 10 * time.Minute: 40029} {
		s := start(t)
		back, err := url.Parse(newBrowser(t, "").post(qrLink(s), "qr", "confirm").Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		s.Advance(after)
		r := ask(t, s, wechattest.AccessTokenPath, "appid", website, "secret", secret, "code", back.Query().Get("code"), "grant_type", "authorization_code")
		if r.errcode() != want || want == 0 && r.text("scope") != "snsapi_login" {
			t.Errorf("after %v: %s", after, r.raw)
		}
	}
}

var uuidForm = regexp.MustCompile(`/connect/qrcode/(\w+)`)

// The way of a real one: the page polls, the phone scans and confirms.
func TestScan(t *testing.T) {
	tests := []struct {
		name  string
		press func(t *testing.T, s *wechattest.Server, phone *browser, confirm string)
		state string
		back  string
	}{
		{"nothing", func(*testing.T, *wechattest.Server, *browser, string) {}, "408", ""},
		{"scanned", func(t *testing.T, s *wechattest.Server, phone *browser, confirm string) {
			if got := phone.get(confirm); !strings.Contains(got.body, "允许") {
				t.Errorf("phone: %s", got.body)
			}
		}, "404", ""},
		{"confirmed", func(t *testing.T, s *wechattest.Server, phone *browser, confirm string) {
			phone.get(confirm)
			phone.post(confirm, "qr", "confirm", "player", "aqiang")
			phone.post(confirm, "qr", "cancel") // too late
			if e := last(t, s); e.Result != "over" {
				t.Errorf("journal %q", e.Result)
			}
		}, "405", "https://play.example.com/cb?code="},
		{"cancelled", func(t *testing.T, s *wechattest.Server, phone *browser, confirm string) {
			phone.post(confirm, "qr", "cancel")
			phone.post(confirm, "qr", "confirm")
		}, "403", ""},
		{"expired", func(t *testing.T, s *wechattest.Server, phone *browser, confirm string) {
			phone.get(confirm)
			s.Advance(5 * time.Minute)
			if got := phone.post(confirm, "qr", "confirm"); !strings.Contains(got.body, "二维码已失效") {
				t.Errorf("phone: %s", got.body)
			}
		}, "402", ""},
		{"made to expire", func(t *testing.T, s *wechattest.Server, phone *browser, confirm string) {
			phone.post(confirm, "qr", "expire")
		}, "402", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			uuid := uuidForm.FindStringSubmatch(newBrowser(t, wechattest.UAPlainChrome).get(qrLink(s)).body)[1]
			phone := newBrowser(t, wechattest.UAIOS)
			phone.get(s.URL + "/sim/?player=aqiang")
			tt.press(t, s, phone, s.URL+"/connect/confirm?uuid="+uuid)
			got := phone.get(s.URL + "/connect/l/qrconnect?uuid=" + uuid)
			m := regexp.MustCompile(`^window\.wx_errcode=(\d+);window\.wx_code='(\w*)';window\.wx_back="(.*)";$`).FindStringSubmatch(got.body)
			if m == nil || m[1] != tt.state || !strings.HasPrefix(m[3], tt.back) || (m[3] == "") != (tt.back == "") || (m[2] == "") != (tt.back == "") {
				t.Fatalf("poll %s", got.body)
			}
			if m[2] != "" {
				r := ask(t, s, wechattest.AccessTokenPath, "appid", website, "secret", secret, "code", m[2], "grant_type", "authorization_code")
				if r.text("openid") != s.OpenID("aqiang", website) {
					t.Errorf("who scanned is not who comes back: %s", r.raw)
				}
			}
		})
	}
	s := start(t)
	b := newBrowser(t, "")
	if got := b.get(s.URL + "/connect/l/qrconnect?uuid=none"); !strings.Contains(got.body, "=402;") {
		t.Errorf("unknown: %s", got.body)
	}
	if got := b.get(s.URL + "/connect/confirm?uuid=none"); !strings.Contains(got.body, "二维码已失效") {
		t.Errorf("unknown: %s", got.body)
	}
	if got := b.get(s.URL + "/connect/nothing"); got.StatusCode != http.StatusNotFound {
		t.Errorf("unknown path: %d", got.StatusCode)
	}
}

// Fast login breaks a callback with a fragment, scanning one in another way.
func TestFastLogin(t *testing.T) {
	s := start(t)
	s.Set(func(b *wechattest.Behaviour) { b.FastLogin, b.ReplayCode = true, "CODE" })
	b := newBrowser(t, wechattest.UAPlainChrome)
	link := qrLink(s, "%2Fcb", "%2Fcb%23%2Froom")
	if got := b.get(link); !strings.Contains(got.body, "电脑快捷登录") {
		t.Error("fast login is not offered")
	}
	for button, want := range map[string]string{
		"fast":    "https://play.example.com/cb?code=CODE&state=abc123#/room",
		"confirm": "https://play.example.com/cb#/room?code=CODE&state=abc123",
	} {
		if got := b.post(link, "qr", button).Header.Get("Location"); got != want {
			t.Errorf("%s: %s, want %s", button, got, want)
		}
	}
	if got := b.get(frameLink(s, "&style=black", "&stylelite=1&fast_login=0")); strings.Contains(got.body, "电脑快捷登录") {
		t.Error("fast login is offered in spite of fast_login=0")
	}
}

func TestQRPicture(t *testing.T) {
	s := start(t)
	b := newBrowser(t, "")
	one, two := b.get(s.URL+"/connect/qrcode/one"), b.get(s.URL+"/connect/qrcode/two")
	if one.Header.Get("Content-Type") != "image/svg+xml" || one.body == two.body {
		t.Errorf("type %q, or all look the same", one.Header.Get("Content-Type"))
	}
	for d := xml.NewDecoder(strings.NewReader(one.body)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}
