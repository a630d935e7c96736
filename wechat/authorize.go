package wechat

import (
	"net/url"
	"strings"
)

// Scopes of the login inside WeChat. A website app's snsapi_login belongs to
// another page of WeChat's.
const (
	// ScopeBase is silent and yields only the openid.
	ScopeBase = "snsapi_base"
	// ScopeUserInfo asks the person for consent and yields the profile. Asked
	// for without a click of the person's, it makes WeChat show a snapshot page.
	ScopeUserInfo = "snsapi_userinfo"
)

// MaxState is the greatest length of a state in bytes; beyond it WeChat shows an
// error page. It documents letters and digits only.
const MaxState = 128

// Authorize is one request for the person's identity.
type Authorize struct {
	AppID string
	// RedirectURI is plain, not percent-encoded. Its host must be registered
	// with the account (网页授权域名), without a port.
	RedirectURI string
	Scope       string // ScopeBase or ScopeUserInfo
	State       string // 1 to MaxState letters and digits
	// ComponentAppID is the third-party platform that logs people in on behalf of
	// the account AppID. RedirectURI is then on a host of the platform's
	// (公众号开发域名), and WeChat adds appid to what it sends back.
	ComponentAppID string
}

// AuthorizeURL returns the address to send a browser inside WeChat to. WeChat
// docs: https://developers.weixin.qq.com/doc/service/guide/h5/auth.html
//
// It is written by hand, because the order matters: WeChat says that it checks
// the link against a strict pattern, and names a wrong order as a cause of
// "Scope 参数错误". url.Values would sort connect_redirect before redirect_uri.
//
// connect_redirect=1 is undocumented. Without it WeChat on Android loads the
// callback twice, with two codes and one state
// (https://github.com/overtrue/socialite/pull/89). On behalf of an account the
// link is the documented one, without it:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Official_Accounts/official_account_website_authorization.html
func (c *Client) AuthorizeURL(a Authorize) string {
	last := "&connect_redirect=1"
	if a.ComponentAppID != "" {
		last = "&component_appid=" + escape(a.ComponentAppID)
	}
	return c.openURL + "/connect/oauth2/authorize" +
		"?appid=" + escape(a.AppID) +
		"&redirect_uri=" + escape(a.RedirectURI) +
		"&response_type=code" +
		"&scope=" + escape(a.Scope) +
		"&state=" + escape(a.State) +
		last +
		"#wechat_redirect"
}

// escape percent-encodes everything but letters, digits and "-_.~". QueryEscape
// would write a space as "+", which only forms read back as a space.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
