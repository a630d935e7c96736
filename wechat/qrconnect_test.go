package wechat_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
	"wxgate/wechat/wechattest"
)

func TestQRConnectURL(t *testing.T) {
	const state = "0123456789abcdefghijklmnopqrstuv"
	q := wechat.QRConnect{AppID: "wx0123456789abcdef", RedirectURI: "https://play.example.com/.wxgate/callback", State: state}
	tests := []struct {
		name string
		got  func(*wechat.Client) string
		want string
	}{
		{
			"whole page", func(c *wechat.Client) string { return c.QRConnectURL(q) },
			"https://open.weixin.qq.com/connect/qrconnect?appid=wx0123456789abcdef" +
				"&redirect_uri=https%3A%2F%2Fplay.example.com%2F.wxgate%2Fcallback" +
				"&response_type=code&scope=snsapi_login&state=" + state + "#wechat_redirect",
		},
		{
			"whole page in English", func(c *wechat.Client) string {
				return c.QRConnectURL(wechat.QRConnect{AppID: "wx&x=1", RedirectURI: "http://a.test/?a=1&b=x y+", State: "s#&=", English: true})
			},
			"https://open.weixin.qq.com/connect/qrconnect?appid=wx%26x%3D1" +
				"&redirect_uri=http%3A%2F%2Fa.test%2F%3Fa%3D1%26b%3Dx%20y%2B" +
				"&response_type=code&scope=snsapi_login&state=s%23%26%3D&lang=en#wechat_redirect",
		},
		{
			"frame", func(c *wechat.Client) string { return c.QRFrameURL(wechat.QRFrame{QRConnect: q}) },
			"https://open.weixin.qq.com/connect/qrconnect?appid=wx0123456789abcdef&scope=snsapi_login" +
				"&redirect_uri=https%3A%2F%2Fplay.example.com%2F.wxgate%2Fcallback&state=" + state +
				"&login_type=jssdk&self_redirect=default&style=black",
		},
		{
			"frame, white, English", func(c *wechat.Client) string {
				return c.QRFrameURL(wechat.QRFrame{QRConnect: wechat.QRConnect{AppID: "a", RedirectURI: "b", State: "c", English: true}, White: true})
			},
			"https://open.weixin.qq.com/connect/qrconnect?appid=a&scope=snsapi_login&redirect_uri=b&state=c" +
				"&login_type=jssdk&self_redirect=default&style=white&lang=en",
		},
		{
			"frame, lite", func(c *wechat.Client) string {
				return c.QRFrameURL(wechat.QRFrame{QRConnect: wechat.QRConnect{AppID: "a", RedirectURI: "b", State: "c"}, White: true, Lite: true})
			},
			"https://open.weixin.qq.com/connect/qrconnect?appid=a&scope=snsapi_login&redirect_uri=b&state=c" +
				"&login_type=jssdk&self_redirect=default&stylelite=1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.got(wechat.New(wechat.Config{})); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A login on a PC, from either link to the profile.
func TestQRLogin(t *testing.T) {
	s, _ := start(t, wechat.Config{})
	web := wechat.App{ID: "wx1111111111111111", Secret: "websecret"}
	s.AddApp(wechattest.App{ID: web.ID, Secret: web.Secret, Kind: wechattest.Website, CallbackHosts: []string{"play.example.com"}, Bound: true})
	c := wechat.New(wechat.Config{APIURL: s.URL, OpenURL: s.URL})
	q := wechat.QRConnect{AppID: web.ID, RedirectURI: "https://play.example.com/cb", State: "abc"}
	pc := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, link := range []string{c.QRConnectURL(q), c.QRFrameURL(wechat.QRFrame{QRConnect: q}), c.QRFrameURL(wechat.QRFrame{QRConnect: q, Lite: true})} {
		res, err := pc.PostForm(link, url.Values{"qr": {"confirm"}, "player": {"aqiang"}})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		back, err := url.Parse(res.Header.Get("Location"))
		if err != nil || res.StatusCode != http.StatusFound || back.Query().Get("state") != "abc" {
			t.Fatalf("%s: status %d, %q, %s", link, res.StatusCode, res.Header.Get("Location"), body)
		}
		tok, err := c.Exchange(t.Context(), web, back.Query().Get("code"))
		if err != nil {
			t.Fatal(err)
		}
		if tok.OpenID != s.OpenID("aqiang", web.ID) || tok.UnionID != s.UnionID("aqiang", web.ID) || !tok.HasScope(wechat.ScopeLogin) || tok.Snapshot {
			t.Errorf("token %+v", tok)
		}
		u, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID)
		if err != nil || !strings.HasPrefix(u.Nickname, "阿强") {
			t.Errorf("profile %+v, %v", u, err)
		}
	}
}

// The SDK of a mobile app hands over a code that is exchanged like any other.
func TestMobileApp(t *testing.T) {
	s, c := start(t, wechat.Config{})
	mobile := wechat.App{ID: "wx3333333333333333", Secret: "mobilesecret"}
	s.AddApp(wechattest.App{ID: mobile.ID, Secret: mobile.Secret, Kind: wechattest.Mobile, Bound: true})
	tok, err := c.Exchange(t.Context(), mobile, s.IssueCode(mobile.ID, "xiaomei", ""))
	if err != nil || tok.OpenID != s.OpenID("xiaomei", mobile.ID) || tok.UnionID == "" {
		t.Fatalf("token %+v, %v", tok, err)
	}
	if _, err := c.UserInfo(t.Context(), tok.AccessToken, tok.OpenID); err != nil {
		t.Error(err)
	}
	_, err = c.Exchange(t.Context(), app, s.IssueCode(mobile.ID, "xiaomei", ""))
	wantAPIError(t, err, 40029, wechat.KindCode)
}
