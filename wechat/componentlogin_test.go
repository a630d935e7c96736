package wechat_test

import (
	"net/url"
	"strings"
	"testing"

	"wxgate/wechat"
)

func TestComponentLoginURL(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  wechat.Config
		in   wechat.Launch
		want string
	}{
		{
			name: "PC",
			in: wechat.Launch{
				ComponentAppID: componentID, PreAuthCode: "preauthcode@@@sim-0001",
				RedirectURI: "https://login.example.com/.wxgate/component/callback?state=a&x=%2F y", AuthType: 3,
			},
			want: "https://mp.weixin.qq.com/cgi-bin/componentloginpage?component_appid=wxc0ffee0123456789" +
				"&pre_auth_code=preauthcode%40%40%40sim-0001" +
				"&redirect_uri=https%3A%2F%2Flogin.example.com%2F.wxgate%2Fcomponent%2Fcallback%3Fstate%3Da%26x%3D%252F%20y&auth_type=3",
		},
		{
			name: "PC, one account, a simulator",
			cfg:  wechat.Config{MPURL: "http://127.0.0.1:8090/mp/"},
			in:   wechat.Launch{ComponentAppID: componentID, PreAuthCode: "p", RedirectURI: "http://a/", BizAppID: authorizerID},
			want: "http://127.0.0.1:8090/mp/cgi-bin/componentloginpage?component_appid=wxc0ffee0123456789&pre_auth_code=p" +
				"&redirect_uri=http%3A%2F%2Fa%2F&biz_appid=wx1a2b3c4d5e6f7081",
		},
		{
			name: "phone",
			in: wechat.Launch{
				ComponentAppID: componentID, PreAuthCode: "preauthcode@@@sim-0001", RedirectURI: "https://a.example.com/cb?x=1", AuthType: 2,
				BizAppID: authorizerID, Mobile: true,
			},
			want: "https://open.weixin.qq.com/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&component_appid=wxc0ffee0123456789" +
				"&pre_auth_code=preauthcode%40%40%40sim-0001&redirect_uri=https%3A%2F%2Fa.example.com%2Fcb%3Fx%3D1" +
				"&auth_type=2&biz_appid=wx1a2b3c4d5e6f7081#wechat_redirect",
		},
		{
			name: "phone, anything goes, a simulator",
			cfg:  wechat.Config{OpenURL: "http://127.0.0.1:8090"},
			in:   wechat.Launch{ComponentAppID: componentID, PreAuthCode: "p", RedirectURI: "http://a/", Mobile: true},
			want: "http://127.0.0.1:8090/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&component_appid=wxc0ffee0123456789" +
				"&pre_auth_code=p&redirect_uri=http%3A%2F%2Fa%2F#wechat_redirect",
		},
		{
			name: "nothing breaks out of its parameter",
			in:   wechat.Launch{ComponentAppID: "a&b", PreAuthCode: "#", RedirectURI: "&=", BizAppID: "+ #"},
			want: "https://mp.weixin.qq.com/cgi-bin/componentloginpage?component_appid=a%26b&pre_auth_code=%23&redirect_uri=%26%3D&biz_appid=%2B%20%23",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := wechat.New(tt.cfg).ComponentLoginURL(tt.in); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAuthorizeURLOnBehalf(t *testing.T) {
	got := wechat.New(wechat.Config{}).AuthorizeURL(wechat.Authorize{
		AppID: authorizerID, RedirectURI: "https://shop.example.com/.wxgate/callback?a=1&b=%2F", Scope: wechat.ScopeUserInfo,
		State: "0123456789abcdef", ComponentAppID: componentID,
	})
	want := "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx1a2b3c4d5e6f7081" +
		"&redirect_uri=https%3A%2F%2Fshop.example.com%2F.wxgate%2Fcallback%3Fa%3D1%26b%3D%252F" +
		"&response_type=code&scope=snsapi_userinfo&state=0123456789abcdef&component_appid=wxc0ffee0123456789#wechat_redirect"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzComponentURLs: whatever goes in, both links have the documented parameters
// in their order, and each comes back as it went in, decoded once.
func FuzzComponentURLs(f *testing.F) {
	f.Add(componentID, "preauthcode@@@x", "https://a.example.com/cb?x=1#y", authorizerID, "abc", true)
	f.Add("", "%", "&=", "+ \x00\xff", "#", false)
	f.Fuzz(func(t *testing.T, component, code, redirect, biz, state string, mobile bool) {
		c := wechat.New(wechat.Config{})
		launch := c.ComponentLoginURL(wechat.Launch{
			ComponentAppID: component, PreAuthCode: code, RedirectURI: redirect, AuthType: 3, BizAppID: biz, Mobile: mobile,
		})
		want := [][2]string{{"component_appid", component}, {"pre_auth_code", code}, {"redirect_uri", redirect}, {"auth_type", "3"}}
		if biz != "" {
			want = append(want, [2]string{"biz_appid", biz})
		}
		if mobile {
			want = append([][2]string{{"action", "bindcomponent"}, {"no_scan", "1"}}, want...)
		}
		wantParameters(t, launch, want)

		last := [2]string{"connect_redirect", "1"}
		if component != "" {
			last = [2]string{"component_appid", component}
		}
		wantParameters(t, c.AuthorizeURL(wechat.Authorize{
			AppID: biz, RedirectURI: redirect, Scope: wechat.ScopeBase, State: state, ComponentAppID: component,
		}), [][2]string{
			{"appid", biz}, {"redirect_uri", redirect}, {"response_type", "code"}, {"scope", wechat.ScopeBase}, {"state", state}, last,
		})
	})
}

func wantParameters(t *testing.T, link string, want [][2]string) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || (u.Host == "open.weixin.qq.com") != (u.Fragment == "wechat_redirect") {
		t.Fatalf("%s: %v", link, err)
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
}
