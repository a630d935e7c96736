package wechat

import "strings"

// Browser is what a User-Agent says about a client. Anybody can send any
// User-Agent: choose a flow or a page by it, never a right.
type Browser struct {
	// InWeChat: a page inside WeChat, where the login of this package works.
	InWeChat bool
	// WeCom: a page inside WeCom (企业微信), which names MicroMessenger too but
	// cannot do this login.
	WeCom bool
	// MiniProgram: a web-view of a mini program. Older iOS clients do not say so.
	MiniProgram bool
	// Mobile: a phone or tablet. Everything else is a desktop; the desktop
	// tokens of WeChat are no help, since WindowsWechat also occurs on macOS,
	// Linux and in WeCom.
	Mobile bool
}

// mobileTokens mark phones and tablets. HarmonyOS phones name OpenHarmony.
var mobileTokens = []string{"mobile", "android", "iphone", "ipad", "ipod", "openharmony", "windows phone"}

// Detect reads a User-Agent. WeCom is tested before WeChat, because its strings
// contain both names.
func Detect(userAgent string) Browser {
	ua := strings.ToLower(userAgent)
	var b Browser
	switch {
	case strings.Contains(ua, "wxwork"):
		b.WeCom = true
	case strings.Contains(ua, "micromessenger"):
		b.InWeChat = true
		b.MiniProgram = strings.Contains(ua, "miniprogram")
	}
	for _, token := range mobileTokens {
		if strings.Contains(ua, token) {
			b.Mobile = true
			break
		}
	}
	return b
}
