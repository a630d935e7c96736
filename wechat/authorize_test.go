package wechat_test

import (
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
)

func TestAuthorizeURL(t *testing.T) {
	const state = "0123456789abcdefghijklmnopqrstuv"
	tests := []struct {
		name string
		cfg  wechat.Config
		in   wechat.Authorize
		want string
	}{
		{
			name: "WeChat itself",
			in: wechat.Authorize{
				AppID: "wx0123456789abcdef", RedirectURI: "https://play.example.com/.wxgate/callback",
				Scope: wechat.ScopeBase, State: state,
			},
			want: "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx0123456789abcdef" +
				"&redirect_uri=https%3A%2F%2Fplay.example.com%2F.wxgate%2Fcallback" +
				"&response_type=code&scope=snsapi_base&state=" + state + "&connect_redirect=1#wechat_redirect",
		},
		{
			name: "query, spaces, Chinese and escapes in the callback are encoded once",
			cfg:  wechat.Config{OpenURL: "http://127.0.0.1:8090/"},
			in: wechat.Authorize{
				AppID: "wx0123456789abcdef", RedirectURI: "http://127.0.0.1:8080/cb?a=1&b=x y&c=娃+%2F~",
				Scope: wechat.ScopeUserInfo, State: "a",
			},
			want: "http://127.0.0.1:8090/connect/oauth2/authorize?appid=wx0123456789abcdef" +
				"&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb%3Fa%3D1%26b%3Dx%20y%26c%3D%E5%A8%83%2B%252F~" +
				"&response_type=code&scope=snsapi_userinfo&state=a&connect_redirect=1#wechat_redirect",
		},
		{
			name: "nothing breaks out of its parameter",
			in:   wechat.Authorize{AppID: "wx&x=1", RedirectURI: "#", Scope: "a&b", State: "s#&="},
			want: "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx%26x%3D1" +
				"&redirect_uri=%23&response_type=code&scope=a%26b&state=s%23%26%3D&connect_redirect=1#wechat_redirect",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := wechat.New(tt.cfg).AuthorizeURL(tt.in); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// FuzzAuthorizeURL: whatever goes in, the link has exactly the documented
// parameters in their order, and each comes back as it went in.
func FuzzAuthorizeURL(f *testing.F) {
	f.Add("wx0123456789abcdef", "https://play.example.com/cb?x=1#y", "snsapi_base", "abc")
	f.Add("", "%", "&=", "+ \x00\xff")
	f.Fuzz(func(t *testing.T, appid, redirect, scope, state string) {
		link := wechat.New(wechat.Config{}).AuthorizeURL(wechat.Authorize{
			AppID: appid, RedirectURI: redirect, Scope: scope, State: state,
		})
		u, err := url.Parse(link)
		if err != nil || u.Fragment != "wechat_redirect" || u.Host != "open.weixin.qq.com" {
			t.Fatalf("%s: %v", link, err)
		}
		want := [][2]string{
			{"appid", appid}, {"redirect_uri", redirect}, {"response_type", "code"},
			{"scope", scope}, {"state", state}, {"connect_redirect", "1"},
		}
		parts := strings.Split(u.RawQuery, "&")
		if len(parts) != len(want) {
			t.Fatalf("%d parameters in %s", len(parts), link)
		}
		for i, part := range parts {
			name, value, _ := strings.Cut(part, "=")
			plain, err := url.QueryUnescape(value)
			if err != nil || name != want[i][0] || plain != want[i][1] {
				t.Errorf("parameter %d is %s=%q (%v), want %s=%q", i, name, plain, err, want[i][0], want[i][1])
			}
		}
	})
}
