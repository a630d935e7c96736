package wechat

import "strconv"

// Launch is one request for the authorization of an account.
type Launch struct {
	ComponentAppID string
	PreAuthCode    string // of [Client.PreAuthCode], for one visit
	// RedirectURI is plain, not percent-encoded. Its host must be the launch domain
	// of the third-party platform (授权发起页域名).
	RedirectURI string
	// AuthType is what may authorize: 1 official accounts, 2 mini programs, 3 both,
	// 4 promoters (小程序推客), 5 channels (视频号), 6 all these, 8 selling
	// assistants. 0 leaves it to WeChat.
	AuthType int
	BizAppID string // the only account that may authorize; wins over AuthType
	Mobile   bool   // page for a phone, inside WeChat, instead of one with a QR code
}

// ComponentLoginURL returns the address of the page on which an administrator
// chooses an account and grants. WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Authorization_Process_Technical_Description.html
//
// The browser must come by a link on a page of the launch domain, and say so:
// WeChat looks at the Referer. It comes back to RedirectURI with auth_code and
// expires_in, but not with the account's appid.
func (c *Client) ComponentLoginURL(l Launch) string {
	page, fragment := c.mpURL+"/cgi-bin/componentloginpage?", ""
	if l.Mobile {
		page, fragment = c.openURL+"/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&", "#wechat_redirect"
	}
	link := page + "component_appid=" + escape(l.ComponentAppID) +
		"&pre_auth_code=" + escape(l.PreAuthCode) +
		"&redirect_uri=" + escape(l.RedirectURI)
	if l.AuthType != 0 {
		link += "&auth_type=" + strconv.Itoa(l.AuthType)
	}
	if l.BizAppID != "" {
		link += "&biz_appid=" + escape(l.BizAppID)
	}
	return link + fragment
}
