package main

// WeChat is about the accounts that log visitors in, and about how they are asked.
type WeChat struct {
	MPAppID     appID  `envconfig:"WXGATE_MP_APP_ID" implied:"required" desc:"service account (公众号/服务号) that logs visitors in inside WeChat"`
	MPAppSecret secret `envconfig:"WXGATE_MP_APP_SECRET" implied:"required" desc:"its AppSecret"`

	// PlatformID becomes part of stored keys: renaming it later makes every known unionid a stranger.
	PlatformID word `envconfig:"WXGATE_PLATFORM_ID" default:"default" desc:"name of the open-platform account (微信开放平台): the namespace of unionids; never change it later"`

	Login         choice   `envconfig:"WXGATE_LOGIN" default:"silent" oneof:"silent consent" desc:"inside WeChat: 'silent' = snsapi_base first, consent only where a 'profile' rule or the app asks; 'consent' = an explanatory page with a button, then snsapi_userinfo"`
	Snapshot      choice   `envconfig:"WXGATE_SNAPSHOT" default:"guide" oneof:"guide visitor" desc:"visitors of a snapshot page: 'guide' = page that explains 使用完整服务; 'visitor' = forwarded as a visitor, safe methods only"`
	ProfileMaxAge duration `envconfig:"WXGATE_PROFILE_MAX_AGE" default:"720h" desc:"older profiles are refreshed at the next consented login"`

	// The two addresses are variables so that end-to-end tests can put a simulator in WeChat's place.
	WeChatAPIURL  serviceURL `envconfig:"WXGATE_WECHAT_API_URL" default:"https://api.weixin.qq.com" desc:"the server API of WeChat"`
	WeChatOpenURL serviceURL `envconfig:"WXGATE_WECHAT_OPEN_URL" default:"https://open.weixin.qq.com" desc:"the authorize pages of WeChat"`
}
