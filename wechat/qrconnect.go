package wechat

// ScopeLogin is the one scope of a website app's login by QR code. It yields the
// profile; the person confirms on the phone.
const ScopeLogin = "snsapi_login"

// QRConnect is one request for the identity of a person in front of a PC, by a
// QR code that the person scans with WeChat. It needs a website app (网站应用) of
// the open platform, which has an appid and secret of its own.
type QRConnect struct {
	AppID string
	// RedirectURI is plain, not percent-encoded. Its host must be the app's
	// callback domain (授权回调域). It has no fragment: fast login on the desktop
	// puts code and state before the "#", scanning puts them after it.
	RedirectURI string
	State       string
	English     bool // WeChat's words on the page; Chinese otherwise
}

// QRConnectURL returns the address of WeChat's whole page with the QR code, in
// the documented order. Code and state come back to RedirectURI; a refusal comes
// back with the state alone, or not at all: WeChat's pages say both. WeChat docs:
// https://developers.weixin.qq.com/doc/oplatform/developers/dev/auth/web.md
func (c *Client) QRConnectURL(q QRConnect) string {
	return c.openURL + "/connect/qrconnect" +
		"?appid=" + escape(q.AppID) +
		"&redirect_uri=" + escape(q.RedirectURI) +
		"&response_type=code" +
		"&scope=" + ScopeLogin +
		"&state=" + escape(q.State) +
		q.language() +
		"#wechat_redirect"
}

// QRFrame is a QRConnect inside a page of one's own.
type QRFrame struct {
	QRConnect
	// White text, for a dark page; black otherwise. Lite pages ignore it.
	White bool
	// Lite is the newer look, without a title: a frame of at least 220x220 px.
	// The older one wants 300x400 px. WeChat docs:
	// https://developers.weixin.qq.com/doc/knowledge/2e076284689c6bcd.md
	Lite bool
}

// QRFrameURL returns the address for an iframe, with the parameters that WeChat's
// own script wxLogin.js gives to the one it makes. So a page needs no script of
// theirs, and its policy no more than frame-src with the address of OpenURL.
// WeChat docs: https://developers.weixin.qq.com/doc/oplatform/developers/dev/auth/web.md
//
// The frame navigates the top window to RedirectURI (self_redirect=default).
// Inside the frame that would be a visit from another site, without the cookies
// that say which login it belongs to. Chrome 142 and later want
// allow="local-network-access" on the iframe for the fast login of the desktop.
func (c *Client) QRFrameURL(f QRFrame) string {
	look := "&style=black"
	switch {
	case f.Lite:
		look = "&stylelite=1"
	case f.White:
		look = "&style=white"
	}
	return c.openURL + "/connect/qrconnect" +
		"?appid=" + escape(f.AppID) +
		"&scope=" + ScopeLogin +
		"&redirect_uri=" + escape(f.RedirectURI) +
		"&state=" + escape(f.State) +
		"&login_type=jssdk" +
		"&self_redirect=default" +
		look +
		f.language()
}

func (q QRConnect) language() string {
	if q.English {
		return "&lang=en"
	}
	return "" // Chinese is WeChat's default
}
